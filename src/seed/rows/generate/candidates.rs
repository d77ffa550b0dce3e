//! Rows out of which the server picks those that keep checks which nobody here understands.
//!
//! A check is most easily kept by what it speaks of itself: its constants, their neighbours, texts that match them,
//! lists of them; and by NULL.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::super::kinds::Kind;
use super::super::order::Step;
use super::super::pattern::{Pattern, pick};
use super::super::{scale, values, words};
use super::attempt::Try;
use super::{Generator, Hints, Row};

/// Steps from a constant: neighbours, days, hours, and what stands for a part of it.
const STEPS: [i64; 8] = [0, 1, -1, 2, 60, 3600, scale::DAY, -scale::DAY];

impl Generator<'_> {
    /// Rows that might do, of which these columns are drawn from the literals.
    pub(in super::super) fn candidates(
        &self,
        step: &Step,
        columns: &BTreeSet<usize>,
        literals: &[String],
        count: u64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Row> {
        let Some(table) = self.tables.get(step.table) else {
            return Vec::new();
        };
        let hints = Hints { loose: true, ..Hints::default() };
        let keyed: BTreeSet<usize> =
            table.foreign_keys.iter().flat_map(|key| key.columns.iter().copied()).collect();
        let mut rows = Vec::new();
        let plain = count / 4;
        for attempt in 0..count {
            let Ok(mut row) = Try::new(self, step, &hints, attempt, rng).row() else {
                continue;
            };
            // The first ones are what would be made anyway.
            for at in columns.iter().filter(|at| attempt >= plain && !keyed.contains(at)) {
                let (Some(column), Some(cell)) = (table.columns.get(*at), row.get_mut(*at)) else {
                    continue;
                };
                match rng.random_range(0..4) {
                    0 if !column.not_null => *cell = None,
                    0 | 1 => {}
                    _ => {
                        if let Some(value) = derived(&column.kind.kind, literals, rng) {
                            *cell = Some(value);
                        }
                    }
                }
            }
            rows.push(row);
        }
        rows
    }

    /// Takes what the columns of rows that keep all checks have in them.
    pub(in super::super) fn learn(&mut self, at: usize, columns: &BTreeSet<usize>, rows: &[Row]) {
        let cells =
            |row: &Row| columns.iter().map(|column| (*column, row.get(*column).cloned().flatten())).collect();
        if let Some(fitting) = self.fitting.get_mut(at) {
            fitting.push(rows.iter().map(cells).collect());
        }
    }
}

/// A value of the kind that has to do with one of the literals, or that is somehow round.
fn derived(kind: &Kind, literals: &[String], rng: &mut ChaCha8Rng) -> Option<String> {
    match kind {
        Kind::Bool => Some(if rng.random_range(0..2) == 0 { "t" } else { "f" }.to_owned()),
        Kind::Text(limit) => text(*limit, literals, rng),
        Kind::Char(length) => text(Some(*length), literals, rng),
        Kind::Numeric { whole, .. } if *whole > 9 => large(literals, rng),
        Kind::Enum(labels) => pick(labels, rng).cloned(),
        Kind::Json => json(literals, rng),
        Kind::Array(element) => {
            let count = rng.random_range(0..5);
            let items: Option<Vec<String>> = (0..count)
                .map(|_| derived(&element.kind, literals, rng).map(|item| values::quoted(&item)))
                .collect();
            Some(format!("{{{}}}", items?.join(",")))
        }
        kind if scale::usual(kind).is_some() => number(kind, literals, rng),
        _ => None,
    }
}

fn number(kind: &Kind, literals: &[String], rng: &mut ChaCha8Rng) -> Option<String> {
    let (low, high) = scale::limits(kind)?;
    let known: Vec<i64> = literals
        .iter()
        .filter_map(|text| scale::read(kind, text).or_else(|| scale::read(&Kind::Int(i64::MAX), text)))
        .collect();
    let base = match pick(&known, rng) {
        Some(base) if rng.random_range(0..6) > 0 => *base,
        _ => match kind {
            // The first day of a month, a small number, a year.
            Kind::Date => {
                (scale::EPOCH_DAY..).step_by(1).take(31).last()? - 30 + 366 * rng.random_range(0..3)
            }
            Kind::Timestamp | Kind::TimestampTz => {
                (scale::EPOCH_DAY + 366 * rng.random_range(0..3)) * scale::DAY
            }
            Kind::Int(_) => pick(&[0, 1, 2, 3, 4, 5, 7, 10, 12, 100, 2024, -1], rng).copied()?,
            _ => scale::usual(kind)?.0,
        },
    };
    let step = pick(&STEPS, rng).copied()?;
    let value = match rng.random_range(0..5) {
        0 => base.saturating_mul(2),
        1 if base > 1 => rng.random_range(0..base),
        _ => base.saturating_add(step),
    };
    Some(scale::write(kind, value.clamp(low, high)))
}

/// Numbers that are too large for the scale.
fn large(literals: &[String], rng: &mut ChaCha8Rng) -> Option<String> {
    let whole: Vec<i128> = literals.iter().filter_map(|text| text.split('.').next()?.parse().ok()).collect();
    let base = pick(&whole, rng).copied().unwrap_or(1);
    Some(base.saturating_add(pick(&[0, 1, -1, 2, 10, 1000], rng).copied()?).to_string())
}

fn text(limit: Option<usize>, literals: &[String], rng: &mut ChaCha8Rng) -> Option<String> {
    let literal = pick(literals, rng).cloned().unwrap_or_default();
    let word = words::word(rng);
    let made = match rng.random_range(0..8) {
        0 | 1 => literal,
        2 => format!("{literal}{word}"),
        3 => format!("{word}{literal}"),
        4 => format!("{word}{literal}{word}"),
        5 => Pattern::of("~~", &literal)?.sample(None, rng)?,
        6 => format!("{literal}{}", pick(literals, rng)?),
        _ => Pattern::of("~", &literal)?.sample(None, rng)?,
    };
    let made = if rng.random_range(0..8) == 0 { made.to_uppercase() } else { made };
    Some(made.chars().take(limit.unwrap_or(200)).collect())
}

fn json(literals: &[String], rng: &mut ChaCha8Rng) -> Option<String> {
    use serde_json::{Map, Value};
    let leaf = |rng: &mut ChaCha8Rng| {
        let literal = pick(literals, rng).cloned().unwrap_or_default();
        match rng.random_range(0..5) {
            0 => Value::Array(vec![Value::String(literal)]),
            1 => Value::Object(Map::new()),
            2 => literal.parse::<i64>().map_or(Value::Bool(true), Value::from),
            3 => Value::Array(Vec::new()),
            _ => Value::String(literal),
        }
    };
    let whole = pick(literals, rng).and_then(|literal| serde_json::from_str::<Value>(literal).ok());
    let made = match (rng.random_range(0..4), whole) {
        (0 | 1, Some(whole)) => whole,
        (0, None) => leaf(rng),
        _ => {
            let mut map = Map::new();
            for literal in literals {
                if rng.random_range(0..3) > 0 {
                    map.insert(literal.clone(), leaf(rng));
                }
            }
            Value::Object(map)
        }
    };
    Some(made.to_string())
}
