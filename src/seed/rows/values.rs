//! One value of a type, as COPY takes it.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::kinds::{Kind, Type};
use super::model::Column;
use super::pattern::pick;
use super::scale;
use super::wish::Wish;
use super::wishes::Gatherer;
use super::words;

/// What a value is for.
pub(super) struct Purpose<'a> {
    /// The column's name.
    pub(super) name: &'a str,
    /// The number of the row, where no two rows may have the same value.
    pub(super) unique: Option<u64>,
    /// Where the numbers of a sequence begin, and how far apart they are.
    pub(super) sequence: Option<(i64, i64)>,
}

/// A value, or none where nothing fits.
pub(super) fn make(kind: &Kind, wish: &Wish, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<String> {
    if let Some(choice) = &wish.one_of {
        let allowed: Vec<&String> = choice.iter().filter(|one| wish.allows(kind, Some(one))).collect();
        return match purpose.unique {
            Some(n) => allowed.get(modulo(n, allowed.len())?).map(|one| (*one).clone()),
            None => pick(&allowed, rng).map(|one| (*one).clone()),
        };
    }
    for _ in 0..20 {
        let value = once(kind, wish, purpose, rng)?;
        if wish.none_of.contains(&value) {
            if purpose.unique.is_some() {
                return None;
            }
            continue;
        }
        return Some(value);
    }
    None
}

fn modulo(n: u64, of: usize) -> Option<usize> {
    usize::try_from(n).ok()?.checked_rem(of)
}

fn once(kind: &Kind, wish: &Wish, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<String> {
    let n = purpose.unique;
    if scale::usual(kind).is_some() {
        return number(kind, wish, purpose, rng).map(|value| scale::write(kind, value));
    }
    Some(match kind {
        Kind::Bool => {
            let yes = n.map_or_else(|| rng.random_range(0..2) == 0, |n| n % 2 == 0);
            if yes { "t" } else { "f" }.to_owned()
        }
        Kind::Text(_) | Kind::Char(_) => return super::texts::text(kind, wish, purpose, rng),
        Kind::Uuid => uuid(rng),
        Kind::Json => json(wish, n, rng),
        Kind::Bytea => format!("\\x{}", hex(rng, wish.min_length.max(8).min(wish.max_length.unwrap_or(64)))),
        Kind::Inet | Kind::Cidr => {
            let n = n.unwrap_or_else(|| rng.random_range(0..1 << 24));
            format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
        }
        Kind::MacAddr => format!("02:{}", pairs(rng, 5)),
        Kind::MacAddr8 => format!("02:{}", pairs(rng, 7)),
        Kind::Bit(length) => match n {
            Some(n) => {
                let bits = format!("{n:0length$b}");
                bits.get(bits.len() - length..)?.to_owned()
            }
            None => (0..*length).map(|_| if rng.random_range(0..2) == 0 { '0' } else { '1' }).collect(),
        },
        Kind::Enum(labels) => {
            let allowed: Vec<&String> = labels.iter().filter(|label| !wish.none_of.contains(label)).collect();
            match n {
                Some(n) => (*allowed.get(modulo(n, allowed.len())?)?).clone(),
                None => (*pick(&allowed, rng)?).clone(),
            }
        }
        Kind::Array(element) => {
            let count = rng.random_range(1..4).max(wish.min_length).min(wish.max_length.unwrap_or(16).max(1));
            let mut items = Vec::new();
            for at in 0..count {
                let item = part(element, &Purpose { unique: n.filter(|_| at == 0), ..*purpose }, rng)?;
                items.push(quoted(&item));
            }
            format!("{{{}}}", items.join(","))
        }
        Kind::Range(of) => range(of, purpose, rng)?,
        Kind::Multirange(of) => format!("{{{}}}", range(of, purpose, rng)?),
        Kind::Composite(fields) => {
            let mut items = Vec::new();
            for (at, field) in fields.iter().enumerate() {
                let item = part(field, &Purpose { unique: n.filter(|_| at == 0), ..*purpose }, rng)?;
                items.push(quoted(&item));
            }
            format!("({})", items.join(","))
        }
        Kind::Odd(name) => super::odd::value(name, n.unwrap_or_else(|| rng.random_range(1..500)), rng),
        _ => return None,
    })
}

/// A member of an array or a composite, which may have a domain of its own.
fn part(element: &Type, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<String> {
    let column = [Column {
        name: "VALUE".to_owned(),
        kind: element.kind.clone().into(),
        not_null: true,
        generated: false,
        default: None,
        sequences: Vec::new(),
        unique: false,
    }];
    let mut gatherer = Gatherer::new(&column, rng);
    for check in &element.checks {
        gatherer.demand(check, true);
    }
    let wish = gatherer.wishes.columns.pop()?;
    make(&element.kind, &wish, purpose, rng)
}

fn quoted(item: &str) -> String {
    format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A place on the scale within what is usual, what is demanded and what the type can hold.
fn number(kind: &Kind, wish: &Wish, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<i64> {
    let (type_lo, type_hi) = scale::limits(kind)?;
    let (mut lo, mut hi) = scale::usual(kind)?;
    if let (Some((from, to)), Kind::Int(_) | Kind::Numeric { .. } | Kind::Float) =
        (words::range(purpose.name), kind)
    {
        lo = scale::read(kind, &from.to_string())?.clamp(type_lo, type_hi);
        hi = scale::read(kind, &to.to_string())?.clamp(type_lo, type_hi);
    }
    let width = hi - lo;
    if let Some(want) = wish.lo {
        lo = lo.max(want);
        if lo >= hi {
            hi = lo.saturating_add(width);
        }
    }
    if let Some(want) = wish.hi {
        hi = hi.min(want);
        if lo > hi {
            lo = wish.lo.unwrap_or(hi.saturating_sub(width));
        }
    }
    if let (Some(n), true) = (purpose.unique, matches!(kind, Kind::Int(_))) {
        // Numbers that count rows go as far as the type and the wishes let them.
        hi = wish.hi.unwrap_or(type_hi);
        if let Some((start, step)) = purpose.sequence {
            let value = start.saturating_add(step.saturating_mul(i64::try_from(n).ok()?));
            let fits = wish.lo.is_none_or(|lo| value >= lo) && value <= hi;
            if fits {
                return Some(value);
            }
        }
    }
    lo = lo.clamp(type_lo, type_hi);
    hi = hi.clamp(type_lo, type_hi);
    if lo > hi {
        return None;
    }
    let span = hi.saturating_sub(lo).saturating_add(1);
    Some(match purpose.unique {
        Some(n) => {
            // Days apart, where there is room for it.
            let unit = match kind {
                Kind::Timestamp | Kind::TimestampTz if span > scale::DAY * 400 => 3600,
                Kind::Time | Kind::TimeTz => 60,
                _ => 1,
            };
            let n = i64::try_from(n).ok()?;
            lo + n.saturating_mul(unit).checked_rem(span)?
        }
        None => rng.random_range(lo..=hi),
    })
}

fn hex(rng: &mut ChaCha8Rng, bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rng.random::<u8>())).collect()
}

fn pairs(rng: &mut ChaCha8Rng, count: usize) -> String {
    let pairs: Vec<String> = (0..count).map(|_| hex(rng, 1)).collect();
    pairs.join(":")
}

/// A random UUID, version 4 (RFC 9562, 5.4).
fn uuid(rng: &mut ChaCha8Rng) -> String {
    let bits = rng.random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn json(wish: &Wish, n: Option<u64>, rng: &mut ChaCha8Rng) -> String {
    let mut map = serde_json::Map::new();
    for key in &wish.contains {
        map.insert(key.clone(), words::word(rng).into());
    }
    map.insert("id".to_owned(), n.unwrap_or_else(|| rng.random_range(1..1000)).into());
    map.insert("label".to_owned(), words::word(rng).into());
    serde_json::Value::Object(map).to_string()
}

/// Ranges of different rows do not overlap, where rows are told apart.
fn range(of: &Kind, purpose: &Purpose<'_>, rng: &mut ChaCha8Rng) -> Option<String> {
    let (lo, hi) = scale::usual(of)?;
    let step = match of {
        Kind::Timestamp | Kind::TimestampTz => 7200,
        Kind::Date => 3,
        _ => 20,
    };
    let at = match purpose.unique {
        Some(n) => lo + i64::try_from(n).ok()? * step,
        None => rng.random_range(lo..=hi),
    };
    let long = rng.random_range(step / 2..step);
    Some(format!("[\"{}\",\"{}\")", scale::write(of, at), scale::write(of, at + long.max(1))))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    fn value(kind: &Kind, wish: &Wish, unique: Option<u64>) -> Option<String> {
        let purpose = Purpose { name: "code", unique, sequence: None };
        make(kind, wish, &purpose, &mut ChaCha8Rng::seed_from_u64(3))
    }

    #[test]
    fn wishes_are_granted() {
        let wish = Wish { lo: Some(5000), hi: Some(5001), ..Wish::default() };
        let found = value(&Kind::Int(i64::MAX), &wish, None).unwrap();
        assert!(found == "5000" || found == "5001");
        let wish = Wish { hi: Some(-7), ..Wish::default() };
        assert!(value(&Kind::Int(i64::MAX), &wish, None).unwrap().parse::<i64>().unwrap() <= -7);
        let wish = Wish { min_length: 9, max_length: Some(9), upper: true, ..Wish::default() };
        let found = value(&Kind::Text(None), &wish, None).unwrap();
        assert!(found.len() == 9 && found == found.to_uppercase(), "{found}");
        let wish = Wish { one_of: Some(vec!["a".into()]), none_of: vec!["a".into()], ..Wish::default() };
        assert_eq!(value(&Kind::Text(None), &wish, None), None);
    }

    #[test]
    fn unique_values_differ_however_short_they_are() {
        for kind in [Kind::Char(2), Kind::Text(Some(3)), Kind::Int(32767), Kind::Date, Kind::Bit(8)] {
            let found: HashSet<_> =
                (0..200).map(|n| value(&kind, &Wish::default(), Some(n)).unwrap()).collect();
            assert_eq!(found.len(), 200, "{kind:?}");
        }
    }

    #[test]
    fn a_uuid_names_its_version() {
        let found = uuid(&mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(found.len(), 36);
        assert_eq!(found.chars().nth(14), Some('4'));
        assert!("89ab".contains(found.chars().nth(19).unwrap()));
    }
}
