//! Texts that fit their length, their pattern and their column's name.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;

use super::kinds::Kind;
use super::values::Purpose;
use super::wish::Wish;
use super::words;

/// Tries for a text of a pattern.
const TRIES: u64 = 20;
/// Characters of the longest text that is made: a check may demand more than there is memory.
const LONGEST: usize = 1 << 20;

/// A text that grants the wish; none if there is none.
pub(super) fn text(kind: &Kind, wish: &Wish, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<String> {
    let (mut limit, fixed) = match kind {
        Kind::Char(length) => (*length, true),
        Kind::Text(limit) => (limit.unwrap_or(usize::MAX), false),
        _ => return None,
    };
    limit = limit.min(wish.max_length.unwrap_or(usize::MAX));
    let natural = natural(wish, purpose, limit, fixed, rng);
    if wish.like.is_empty() && wish.unlike.is_empty() {
        return natural;
    }
    let fits = |text: &str| {
        let length = text.chars().count();
        length >= wish.min_length && length <= limit && wish.matches(text)
    };
    if let Some(found) = natural.and_then(|text| variant(&text, &fits)) {
        return Some(found);
    }
    for attempt in 0..TRIES {
        for pattern in &wish.like {
            let number = purpose.unique.filter(|_| attempt == 0);
            if let Some(sample) = pattern.sample(number, rng).filter(|sample| fits(sample)) {
                return Some(sample);
            }
        }
    }
    None
}

/// The text as it is, or written as patterns often want it.
fn variant(text: &str, fits: &dyn Fn(&str) -> bool) -> Option<String> {
    let spaced = |with: &str| {
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        words.join(with)
    };
    let mut forms = vec![text.to_owned()];
    forms.extend(["-", "_", ""].map(spaced));
    forms.extend(forms.clone().iter().map(|form| form.to_lowercase()));
    forms.extend(forms.clone().iter().take(4).map(|form| form.to_uppercase()));
    forms.into_iter().find(|form| fits(form))
}

/// What the column's name suggests, made to fit its length.
fn natural(
    wish: &Wish,
    purpose: &Purpose,
    limit: usize,
    fixed: bool,
    rng: &mut ChaCha8Rng,
) -> Option<String> {
    let mut text = words::text(purpose.look, purpose.unique, limit, rng);
    for part in &wish.contains {
        if !text.contains(part.as_str()) {
            let _ = write!(text, "{part}{}", words::word(rng));
        }
    }
    if let Some(prefix) = &wish.prefix {
        text.insert_str(0, prefix);
    }
    // Bytes are never fewer than characters.
    if text.len() > limit && text.chars().count() > limit {
        text = match purpose.unique {
            Some(n) => squeezed(&text, n, limit, fixed)?,
            None => text.chars().take(limit).collect::<String>().trim_end().to_owned(),
        };
    }
    if wish.min_length.min(limit) > LONGEST {
        return None;
    }
    if wish.min_length > 0 {
        // Length is asked of the text without the blanks that `char(n)` is padded with.
        let mut length = text.chars().count();
        while length < wish.min_length.min(limit) {
            let word = words::word(rng);
            text.push_str(word);
            length += word.chars().count();
        }
        if text.chars().count() > limit {
            text = text.chars().take(limit).collect();
        }
    }
    Some(match (wish.upper, wish.lower) {
        (true, _) => text.to_uppercase(),
        (_, true) => text.to_lowercase(),
        _ => text,
    })
}

/// A short text that is unlike those of other numbers.
fn squeezed(text: &str, n: u64, limit: usize, fixed: bool) -> Option<String> {
    let tail = digits(n, limit)?;
    let room = limit.checked_sub(tail.chars().count())?;
    let pad: String = text.chars().filter(char::is_ascii_alphabetic).take(room.min(6)).collect();
    let missing = if fixed { room.saturating_sub(pad.len()) } else { 0 };
    let pad = format!("{pad}{}", "a".repeat(missing));
    Some(format!("{pad}{tail}"))
}

/// What numbers are written with: letters of both cases and signs only where there is no other way.
const DIGITS: &[u8] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&()*+,-./:;<=>?@[]^_{|}~";
/// Where that is too few: signs of Chinese writing, of which no two are alike to any collation.
const SIGNS: (u32, u32) = (0x4e00, 20_000);

/// The number in no more than `room` digits, to the smallest base that does it.
fn digits(n: u64, room: usize) -> Option<String> {
    let in_base = |base: u32, digit: &dyn Fn(u32) -> Option<char>| {
        let mut left = n;
        let mut found = Vec::new();
        while found.is_empty() || left > 0 {
            found.push(digit(u32::try_from(left % u64::from(base)).ok()?)?);
            left /= u64::from(base);
        }
        (found.len() <= room).then(|| found.into_iter().rev().collect())
    };
    let ascii = |digit: u32| DIGITS.get(usize::try_from(digit).ok()?).copied().map(char::from);
    [36, 62, 90]
        .into_iter()
        .find_map(|base| in_base(base, &ascii))
        .or_else(|| in_base(SIGNS.1, &|digit| char::from_u32(SIGNS.0 + digit)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn few_digits_hold_many_numbers() {
        let texts: HashSet<_> = (0..1000).map(|n| digits(n, 1).unwrap()).collect();
        assert_eq!(texts.len(), 1000);
        assert!(texts.iter().all(|text| text.chars().count() == 1));
        assert_eq!(digits(89, 1).as_deref(), Some("~"));
        assert_eq!(digits(20_000, 1), None);
        assert_eq!(digits(1295, 2).as_deref(), Some("zz"));
    }
}
