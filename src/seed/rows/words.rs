//! Texts that look like what their column promises, out of the word lists of the crate `fake`.
//!
//! Nothing real is ever named: mail and web addresses are of domains that RFC 2606 sets aside, network
//! addresses of RFC 5737 and RFC 3849, telephone numbers of the range that North America keeps for fiction.

use std::fmt::Write as _;

use fake::locales::{Data as _, EN};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::look::Look;
use super::pattern::pick;

const STATUS: &[&str] = &["new", "active", "pending", "done"];
const LANGUAGE: &[&str] = &["en", "de", "fr", "es", "pt", "it", "nl", "sv", "pl", "cs"];
const MIME: &[&str] = &["text/plain", "text/html", "application/json", "application/pdf", "image/png"];

/// Telephone numbers that fiction has in one area.
const LINES: u64 = 100;
/// Areas, from 201 on.
const AREAS: u64 = 799;

/// One common word.
pub(super) fn word(rng: &mut ChaCha8Rng) -> &'static str {
    one(EN::LOREM_WORD, rng)
}

fn one(of: &[&'static str], rng: &mut ChaCha8Rng) -> &'static str {
    pick(of, rng).copied().unwrap_or("word")
}

fn push_capital(text: &mut String, word: &str) {
    let mut chars = word.chars();
    text.extend(chars.next().into_iter().flat_map(char::to_uppercase));
    text.push_str(chars.as_str());
}

fn push_plain(text: &mut String, name: &str) {
    text.extend(name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()));
}

/// A text of this look, of `limit` characters if that is possible. With a number it is different from
/// those of other numbers.
pub(super) fn text(look: Look, number: Option<u64>, limit: usize, rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    let counted = write(look, number, limit, rng, &mut text);
    if let (Some(n), false) = (number, counted) {
        let _ = write!(text, "{}{n}", if matches!(look, Look::Login) { "" } else { "-" });
    }
    text
}

/// Writes the text; `true` if it has the number in it.
fn write(look: Look, number: Option<u64>, limit: usize, rng: &mut ChaCha8Rng, text: &mut String) -> bool {
    match look {
        Look::Email => {
            push_plain(text, one(EN::NAME_FIRST_NAME, rng));
            text.push('.');
            push_plain(text, one(EN::NAME_LAST_NAME, rng));
            if let Some(n) = number {
                let _ = write!(text, "{n}");
            }
            text.push_str("@example.com");
            return true;
        }
        Look::Url => {
            text.push_str("https://www.example.com/");
            text.push_str(word(rng));
        }
        Look::Host => {
            text.push_str(word(rng));
            if let Some(n) = number {
                let _ = write!(text, "-{n}");
            }
            text.push_str(".example.com");
            return true;
        }
        Look::Ip => {
            address(number.unwrap_or_else(|| rng.random_range(0..768)), text);
            return true;
        }
        Look::Mac => {
            mac(number.unwrap_or_else(|| rng.random_range(0..1 << 24)), text);
            return true;
        }
        Look::Phone => {
            let n = number.unwrap_or_else(|| rng.random_range(0..LINES * AREAS));
            let _ = write!(text, "+1{}55501{:02}", 201 + n / LINES % AREAS, n % LINES);
            if n >= LINES * AREAS {
                let _ = write!(text, "x{}", n / LINES / AREAS);
            }
            return true;
        }
        Look::Uuid => {
            uuid(rng, text);
            return true;
        }
        Look::Hex(digits) => {
            hex(rng, digits.min(limit) / 2, text);
            return limit >= 16;
        }
        Look::Json => {
            let n = number.unwrap_or_else(|| rng.random_range(1..1000));
            let _ = write!(text, "{{\"id\": {n}, \"label\": \"{}\"}}", word(rng));
            return true;
        }
        Look::Login => push_plain(text, one(EN::NAME_FIRST_NAME, rng)),
        Look::FirstName => text.push_str(one(EN::NAME_FIRST_NAME, rng)),
        Look::LastName => text.push_str(one(EN::NAME_LAST_NAME, rng)),
        Look::FullName => {
            let _ = write!(text, "{} {}", one(EN::NAME_FIRST_NAME, rng), one(EN::NAME_LAST_NAME, rng));
        }
        Look::Company => {
            let _ = write!(text, "{} {}", one(EN::NAME_LAST_NAME, rng), one(EN::COMPANY_SUFFIX, rng));
        }
        Look::Job => text.push_str(one(EN::COMPANY_PROFESSION, rng)),
        Look::City => {
            let _ = write!(text, "{} {}", one(EN::ADDRESS_CITY_PREFIX, rng), one(EN::NAME_LAST_NAME, rng));
        }
        Look::Country => text.push_str(match limit {
            0..=20 => one(EN::ADDRESS_COUNTRY_CODE, rng),
            _ => one(EN::ADDRESS_COUNTRY, rng),
        }),
        Look::Currency => text.push_str(one(EN::CURRENCY_CODE, rng)),
        Look::State => text.push_str(match limit {
            0..=14 => one(EN::ADDRESS_STATE_ABBR, rng),
            _ => one(EN::ADDRESS_STATE, rng),
        }),
        Look::Street => {
            let (name, suffix) = (one(EN::NAME_LAST_NAME, rng), one(EN::ADDRESS_STREET_SUFFIX, rng));
            let _ = write!(text, "{} {name} {suffix}", rng.random_range(1..1000));
        }
        Look::Zip => {
            let _ = write!(text, "{:05}", rng.random_range(10_000..99_999));
        }
        Look::TimeZone => text.push_str(one(EN::ADDRESS_TIME_ZONE, rng)),
        Look::Language => text.push_str(one(LANGUAGE, rng)),
        Look::Colour => {
            let _ = write!(text, "#{:06x}", rng.random_range(0..1 << 24));
        }
        Look::UserAgent => text.push_str(one(EN::INTERNET_USER_AGENT, rng)),
        Look::MimeType => text.push_str(one(MIME, rng)),
        Look::File => {
            text.push_str(word(rng));
            if let Some(n) = number {
                let _ = write!(text, "-{n}");
            }
            text.push_str(".txt");
            return true;
        }
        Look::Status => text.push_str(one(STATUS, rng)),
        Look::Title => {
            push_capital(text, word(rng));
            let _ = write!(text, " {}", word(rng));
        }
        Look::Sentence => {
            push_capital(text, word(rng));
            for _ in 0..rng.random_range(2..8) {
                let _ = write!(text, " {}", word(rng));
            }
        }
        Look::Name if number.is_none() => push_capital(text, word(rng)),
        Look::Name | Look::Word => text.push_str(word(rng)),
    }
    false
}

/// An address that documentation may use: of IPv4 (RFC 5737), and of IPv6 (RFC 3849) when those are used up.
pub(super) fn address(n: u64, text: &mut String) {
    let _ = match n {
        0..=255 => write!(text, "192.0.2.{n}"),
        256..=511 => write!(text, "198.51.100.{}", n - 256),
        512..=767 => write!(text, "203.0.113.{}", n - 512),
        _ => write!(text, "2001:db8::{:x}:{:x}", n >> 16 & 0xffff, n & 0xffff),
    };
}

/// An address that its network's administrator gave (RFC 9542, 2.1), so that no maker's device has it.
pub(super) fn mac(n: u64, text: &mut String) {
    let _ = write!(
        text,
        "02:00:{:02x}:{:02x}:{:02x}:{:02x}",
        n >> 24 & 255,
        n >> 16 & 255,
        n >> 8 & 255,
        n & 255
    );
}

/// Random bytes as hexadecimal digits.
pub(super) fn hex(rng: &mut ChaCha8Rng, bytes: usize, text: &mut String) {
    for _ in 0..bytes {
        let byte: u8 = rng.random();
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
        }
    }
}

/// A random UUID, version 4 (RFC 9562, 5.4).
pub(super) fn uuid(rng: &mut ChaCha8Rng, text: &mut String) {
    let bits = rng.random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    for (place, shift) in (0..32).rev().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        let digit = u8::try_from(bits >> (4 * shift) & 15).unwrap_or_default();
        text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_text_suits_its_look_and_its_number() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        assert!(text(Look::Email, Some(7), 99, rng).ends_with("7@example.com"));
        assert!(text(Look::Url, None, 99, rng).starts_with("https://www.example.com/"));
        assert!(text(Look::Country, None, 2, rng).len() == 2);
        assert_eq!(text(Look::Phone, Some(101), 99, rng), "+12025550101");
    }

    #[test]
    fn numbers_tell_texts_apart() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for look in [Look::Phone, Look::Ip, Look::Mac, Look::Email, Look::Word, Look::Hex(64), Look::Street] {
            let texts: HashSet<_> = (0..90_000).map(|n| text(look, Some(n), 99, rng)).collect();
            assert_eq!(texts.len(), 90_000, "{look:?}");
        }
    }

    #[test]
    fn a_uuid_names_its_version() {
        let mut found = String::new();
        uuid(&mut ChaCha8Rng::seed_from_u64(1), &mut found);
        assert_eq!(found.len(), 36);
        assert_eq!(found.chars().nth(14), Some('4'));
        assert!("89ab".contains(found.chars().nth(19).unwrap()));
    }
}
