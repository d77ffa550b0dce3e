//! Types of which any value is as good as another.

use rand_chacha::ChaCha8Rng;

use super::words;

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
