//! One value of a type, as COPY takes it.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::kinds::{Kind, Type};
use super::look::Look;
use super::model::Column;
use super::pattern::pick;
use super::scale;
use super::wish::Wish;
use super::wishes::Gatherer;
use super::words;

/// What a value is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// What the column's name says of texts.
    pub(super) look: Look,
    /// What it says of numbers.
    pub(super) usual: Option<(i64, i64)>,
    /// The number of the row, where no two rows may have the same value.
    pub(super) unique: Option<u64>,
    /// Whether it is not the value itself that may be there only once, but what is computed from it.
    pub(super) spread: bool,
    /// Where the numbers of a sequence begin, and how far apart they are.
    pub(super) sequence: Option<(i64, i64)>,
}

/// A value, or none where nothing fits.
pub(super) fn make(kind: &Kind, wish: &Wish, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<String> {
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

fn once(kind: &Kind, wish: &Wish, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<String> {
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
        Kind::Uuid => {
            let mut text = String::new();
            words::uuid(rng, &mut text);
            text
        }
        Kind::Json => json(wish, n, rng),
        Kind::Bytea => {
            let mut text = String::from("\\x");
            words::hex(rng, wish.min_length.max(8).min(wish.max_length.unwrap_or(64)), &mut text);
            text
        }
        Kind::Inet | Kind::Cidr => {
            let mut text = String::new();
            words::address(n.unwrap_or_else(|| rng.random_range(0..768)), &mut text);
            text
        }
        Kind::MacAddr | Kind::MacAddr8 => {
            let mut text = String::new();
            words::mac(n.unwrap_or_else(|| rng.random_range(0..1 << 24)), &mut text);
            if *kind == Kind::MacAddr8 {
                text.push_str(":00:01");
            }
            text
        }
        Kind::Bit(length) => match n {
            Some(n) => {
                let bits = format!("{n:b}");
                let missing = "0".repeat(length.saturating_sub(bits.len()));
                format!("{missing}{}", bits.get(bits.len().saturating_sub(*length)..)?)
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
fn part(element: &Type, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<String> {
    let column = [Column { not_null: true, ..Column::plain("VALUE", element.kind.clone().into()) }];
    let mut gatherer = Gatherer::new(&column, rng);
    for check in &element.checks {
        gatherer.demand(check, true);
    }
    let wish = gatherer.wishes.columns.pop()?;
    make(&element.kind, &wish, purpose, rng)
}

pub(super) fn quoted(item: &str) -> String {
    format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A place on the scale within what is usual, what is demanded and what the type can hold.
fn number(kind: &Kind, wish: &Wish, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<i64> {
    let (type_lo, type_hi) = scale::limits(kind)?;
    let (mut lo, mut hi) = scale::usual(kind)?;
    if let (Some((from, to)), Kind::Int(_) | Kind::Numeric { .. } | Kind::Float) = (purpose.usual, kind) {
        lo = scale::read(kind, &from.to_string())?.clamp(type_lo, type_hi);
        hi = scale::read(kind, &to.to_string())?.clamp(type_lo, type_hi);
    }
    let width = hi.saturating_sub(lo);
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
    if let (Some((divisor, rest)), Kind::Int(_)) = (wish.step, kind) {
        // The numbers between the bounds that leave this rest.
        let first = lo.saturating_add(rest.checked_sub(lo)?.rem_euclid(divisor));
        let count = hi.checked_sub(first)?.checked_div(divisor)?.saturating_add(1);
        if count <= 0 {
            return None;
        }
        let place = match purpose.unique {
            Some(n) => i64::try_from(n).ok()?.checked_rem(count)?,
            None => rng.random_range(0..count),
        };
        return Some(first.saturating_add(place.saturating_mul(divisor)));
    }
    let span = hi.saturating_sub(lo).saturating_add(1);
    Some(match purpose.unique {
        Some(n) => {
            // Days apart, where there is room for it.
            let unit = match kind {
                Kind::Timestamp | Kind::TimestampTz if purpose.spread && span > scale::DAY * 30 => scale::DAY,
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

fn json(wish: &Wish, n: Option<u64>, rng: &mut ChaCha8Rng) -> String {
    let n = n.unwrap_or_else(|| rng.random_range(1..1000));
    if wish.contains.is_empty() {
        return format!("{{\"id\": {n}, \"label\": \"{}\"}}", words::word(rng));
    }
    let mut map = serde_json::Map::new();
    for key in &wish.contains {
        map.insert(key.clone(), words::word(rng).into());
    }
    map.insert("id".to_owned(), n.into());
    map.insert("label".to_owned(), words::word(rng).into());
    serde_json::Value::Object(map).to_string()
}

/// Ranges of different rows do not overlap, where rows are told apart.
fn range(of: &Kind, purpose: &Purpose, rng: &mut ChaCha8Rng) -> Option<String> {
    let Some((lo, hi)) = scale::usual(of) else {
        // Of what has an order that is not known here, a range holds one value.
        let only =
            quoted(&once(of, &Wish::default(), &Purpose { usual: None, sequence: None, ..*purpose }, rng)?);
        return Some(format!("[{only},{only}]"));
    };
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
        let purpose = Purpose { look: Look::Word, usual: None, unique, spread: false, sequence: None };
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
    fn what_is_demanded_without_measure_is_refused() {
        let mut wish = Wish::default();
        wish.length(">", i64::MAX);
        wish.length("<", i64::MIN);
        assert_eq!(wish.min_length, usize::try_from(i64::MAX).unwrap());
        wish.max_length = None;
        assert_eq!(value(&Kind::Text(None), &wish, None), None);
        let long = Wish { min_length: 500_000, ..Wish::default() };
        assert!(value(&Kind::Text(None), &long, None).unwrap().len() >= 500_000);
        let step = Wish { lo: Some(i64::MAX), step: Some((7, i64::MIN)), ..Wish::default() };
        assert_eq!(value(&Kind::Int(i64::MAX), &step, None), None);
        // Wider than what formats can pad.
        assert_eq!(value(&Kind::Bit(70_000), &Wish::default(), Some(5)).unwrap().len(), 70_000);
    }

    #[test]
    fn unique_values_differ_however_short_they_are() {
        for kind in [Kind::Char(2), Kind::Text(Some(3)), Kind::Int(32767), Kind::Date, Kind::Bit(8)] {
            let found: HashSet<_> =
                (0..200).map(|n| value(&kind, &Wish::default(), Some(n)).unwrap()).collect();
            assert_eq!(found.len(), 200, "{kind:?}");
        }
    }
}
