//! Short texts that look like what a column's name promises.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::pattern::pick;

const FIRST: &[&str] = &[
    "alice", "bruno", "clara", "david", "elena", "felix", "grace", "hugo", "irene", "jonas", "karin", "liam",
    "maria", "nils", "olivia", "pavel", "rosa", "simon", "teresa", "viktor",
];
const LAST: &[&str] = &[
    "adams", "berg", "costa", "dietrich", "evans", "fischer", "garcia", "hansen", "ivanov", "jansen",
    "keller", "lopez", "moreau", "novak", "olsen", "petrov", "rossi", "silva", "tanaka", "weber",
];
const CITY: &[&str] = &[
    "Berlin", "Lisbon", "Oslo", "Prague", "Vienna", "Dublin", "Madrid", "Turin", "Ghent", "Riga", "Porto",
    "Bergen",
];
const COUNTRY: &[&str] = &["DE", "PT", "NO", "CZ", "AT", "IE", "ES", "IT", "BE", "LV"];
const CURRENCY: &[&str] = &["EUR", "USD", "GBP", "CHF", "NOK"];
const STATUS: &[&str] = &["new", "active", "pending", "done"];
const WORD: &[&str] = &[
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "indigo", "juniper", "kelp",
    "lumen", "maple", "north", "ochre", "pearl", "quartz", "river", "slate", "tidal", "umber", "velvet",
    "willow", "zephyr",
];

/// One common word.
pub(super) fn word(rng: &mut ChaCha8Rng) -> &'static str {
    one(WORD, rng)
}

fn one(of: &[&'static str], rng: &mut ChaCha8Rng) -> &'static str {
    pick(of, rng).copied().unwrap_or("word")
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A text for a column of this name. With a number it is different from those of other numbers.
pub(super) fn text(name: &str, number: Option<u64>, rng: &mut ChaCha8Rng) -> String {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let tail = number.map(|n| n.to_string()).unwrap_or_default();
    let dashed = number.map(|n| format!("-{n}")).unwrap_or_default();
    let (first, last) = (one(FIRST, rng), one(LAST, rng));
    if has(&["email", "e_mail"]) {
        return format!("{first}.{last}{tail}@example.com");
    }
    if has(&["url", "website", "link", "webhook"]) {
        return format!("https://example.com/{}{dashed}", word(rng));
    }
    if has(&["phone", "mobile", "fax"]) {
        let n = number.unwrap_or_else(|| rng.random_range(0..10_000_000));
        return format!("+1555{n:07}");
    }
    if number.is_some() {
        if has(&["login", "username", "user_name"]) {
            return format!("{first}{tail}");
        }
        return format!("{}{dashed}", word(rng));
    }
    if has(&["first_name", "given", "firstname"]) {
        return capital(first);
    }
    if has(&["last_name", "family", "surname", "lastname"]) {
        return capital(last);
    }
    if has(&["login", "username", "user_name"]) {
        return first.to_owned();
    }
    if has(&["full_name", "customer_name", "contact", "author", "owner", "person"]) {
        return format!("{} {}", capital(first), capital(last));
    }
    if has(&["city", "town"]) {
        return one(CITY, rng).to_owned();
    }
    if has(&["country"]) {
        return one(COUNTRY, rng).to_owned();
    }
    if has(&["currency"]) {
        return one(CURRENCY, rng).to_owned();
    }
    if has(&["status", "state"]) {
        return one(STATUS, rng).to_owned();
    }
    if has(&["street", "address"]) {
        return format!("{} {} Street", rng.random_range(1..200), capital(last));
    }
    if has(&["zip", "postal", "postcode"]) {
        return format!("{:05}", rng.random_range(10_000..99_999));
    }
    if has(&["description", "comment", "note", "body", "message", "content", "summary"]) {
        return format!("{} {} {}", capital(word(rng)), word(rng), word(rng));
    }
    if has(&["title", "subject"]) {
        return format!("{} {}", capital(word(rng)), word(rng));
    }
    if name == "name" || name.ends_with("_name") {
        return capital(word(rng));
    }
    word(rng).to_owned()
}

/// The numbers that columns of this name usually hold, in whole units.
pub(super) fn range(name: &str) -> Option<(i64, i64)> {
    let name = name.to_lowercase();
    // As a word of its own, at the beginning or at the end.
    let is = |word: &str| {
        name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            || name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
    };
    Some(if is("age") {
        (18, 90)
    } else if is("year") {
        (2000, 2024)
    } else if is("month") {
        (1, 12)
    } else if is("day") || is("hour") {
        (1, 23)
    } else if is("lat") || is("latitude") || is("lon") || is("lng") || is("longitude") {
        (1, 89)
    } else if is("quantity") || is("qty") || is("count") || is("position") || is("priority") {
        (1, 20)
    } else if is("percent") || is("percentage") || is("pct") || is("rate") || is("discount") {
        (1, 100)
    } else if is("rating") || is("stars") || is("score") {
        (1, 5)
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_text_suits_its_column_and_its_number() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        assert!(text("contact_email", Some(7), rng).ends_with("7@example.com"));
        assert!(text("homepage_url", None, rng).starts_with("https://"));
        assert_ne!(text("sku", Some(1), rng), text("sku", Some(2), rng));
        assert_eq!(range("birth_year"), Some((2000, 2024)));
        assert_eq!(range("message"), None);
    }
}
