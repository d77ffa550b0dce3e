//! Types of which any value is as good as another.

use rand_chacha::ChaCha8Rng;

use super::words;

/// Twelve digits and the one that checks them: weights 1 and 3 by turns (GS1's general specifications, 7.9).
fn ean(digits: u64) -> String {
    let sum: u64 =
        (0..12_u32).map(|place| digits / 10_u64.pow(place) % 10 * if place % 2 == 0 { 3 } else { 1 }).sum();
    format!("{digits:012}{}", (10 - sum % 10) % 10)
}

fn isbn(n: u64) -> String {
    ean(978_000_000_000 + n)
}

/// The value with a number.
pub(super) fn value(name: &str, n: u64, rng: &mut ChaCha8Rng) -> String {
    let word = words::word(rng);
    match name {
        "xml" => format!("<item id=\"{n}\">{word}</item>"),
        "tsvector" => format!("'{word}' 'n{n}'"),
        "tsquery" => format!("'{word}' & 'n{n}'"),
        "point" => format!("({n},{})", n + 1),
        "line" => format!("{{1,-1,{n}}}"),
        "lseg" => format!("[({n},0),({n},1)]"),
        "box" => format!("({},1),({n},0)", n + 1),
        "path" => format!("[({n},0),({n},1)]"),
        "polygon" => format!("(({n},0),({n},1),({},1))", n + 1),
        "circle" => format!("<({n},0),1>"),
        "hstore" => format!("\"{word}\"=>\"{n}\""),
        "ltree" => format!("top.{word}.n{n}"),
        "pg_lsn" => format!("0/{n:X}"),
        "seg" => format!("{n} .. {}", n + 1),
        "isbn" => isbn(n),
        "ean13" => ean(200_000_000_000 + n),
        "aclitem" => format!("=r/{}", crate::postgres::SUPERUSER),
        "vector of numbers" => format!("{n} {}", n + 1),
        "snapshot" => format!("{n}:{}:", n + 1),
        "tid" => format!("(0,{})", n % 60_000 + 1),
        "cube" => format!("({n})"),
        "geometry" => format!("POINT({} 1)", n % 90),
        "vector" => format!("[{n}]"),
        "jsonpath" => format!("$.\"{word}{n}\""),
        "zero" => "-".to_owned(),
        _ => word.to_owned(),
    }
}
