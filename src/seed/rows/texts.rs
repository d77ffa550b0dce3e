//! Texts that fit their length, their pattern and their column's name.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;

use super::kinds::Kind;
use super::values::Purpose;
use super::wish::Wish;
use super::words;

/// A text that grants the wish; none if there is none.
pub(super) fn text(kind: &Kind, wish: &Wish, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<String> {
    let (mut limit, fixed) = match kind {
        Kind::Char(length) => (*length, true),
        Kind::Text(limit) => (limit.unwrap_or(usize::MAX), false),
        _ => return None,
    };
    limit = limit.min(wish.max_length.unwrap_or(usize::MAX));
    if let Some(pattern) = &wish.pattern {
        for _ in 0..20 {
            let sample = pattern.sample(rng);
            let length = sample.chars().count();
            if length <= limit && length >= wish.min_length {
                return Some(sample);
            }
        }
        return None;
    }
    let mut text = words::text(purpose.name, purpose.unique, rng);
    for part in &wish.contains {
        if !text.contains(part.as_str()) {
            let _ = write!(text, "{part}{}", words::word(rng));
        }
    }
    if let Some(prefix) = &wish.prefix {
        text.insert_str(0, prefix);
    }
    let length = text.chars().count();
    if length > limit {
        text = match purpose.unique {
            Some(n) => {
                let tail = base36(n);
                let room = limit.checked_sub(tail.len())?;
                let pad: String = text.chars().filter(char::is_ascii_alphabetic).take(room.min(6)).collect();
                let pad = if fixed { format!("{pad:a<room$}") } else { pad };
                format!("{pad}{tail}")
            }
            None => text.chars().take(limit).collect::<String>().trim_end().to_owned(),
        };
    }
    // Length is asked of the text without the blanks that `char(n)` is padded with.
    while text.chars().count() < wish.min_length.min(limit) {
        text.push_str(words::word(rng));
    }
    if text.chars().count() > limit {
        text = text.chars().take(limit).collect();
    }
    Some(if wish.upper { text.to_uppercase() } else { text })
}

fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(u32::try_from(n % 36).unwrap_or_default(), 36));
        n /= 36;
        if n == 0 {
            return digits.iter().rev().collect();
        }
    }
}
