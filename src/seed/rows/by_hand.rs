//! Rows of a table that stands in no database: it has a column of every kind that checks speak of, and checks as
//! somebody gives them.

use std::collections::BTreeSet;

use super::expr;
use super::generate::{Generator, Hints, Row, dice};
use super::kinds::Kind;
use super::model::{Check, Column, Table};
use super::order::Step;

/// The columns; a check names them.
fn columns() -> Vec<Column> {
    let kinds = [
        ("flag", Kind::Bool),
        ("small", Kind::Int(32_767)),
        ("number", Kind::Int(2_147_483_647)),
        ("large", Kind::Int(i64::MAX)),
        ("price", Kind::Numeric { whole: 6, scale: 2 }),
        ("exact", Kind::Numeric { whole: 100, scale: 30 }),
        ("ratio", Kind::Float),
        ("cost", Kind::Money),
        ("name", Kind::Text(None)),
        ("code", Kind::Text(Some(8))),
        ("letter", Kind::Char(3)),
        ("day", Kind::Date),
        ("at", Kind::Time),
        ("made", Kind::TimestampTz),
        ("took", Kind::Interval),
        ("key", Kind::Uuid),
        ("body", Kind::Json),
        ("status", Kind::Enum(vec!["open".to_owned(), "closed".to_owned()])),
        ("tags", Kind::Array(Box::new(Kind::Text(None).into()))),
        ("span", Kind::Range(Box::new(Kind::Int(2_147_483_647)))),
        ("bits", Kind::Bit(4)),
        ("address", Kind::Inet),
    ];
    kinds.into_iter().map(|(name, kind)| Column::plain(name, kind.into())).collect()
}

/// Makes rows that keep these checks, as the server writes them, as far as they are understood; and rows for the
/// server to choose from.
pub(crate) fn rows(checks: &[&str], seed: u64) -> Vec<Row> {
    let columns = columns();
    let checks: Vec<Check> = checks
        .iter()
        .map(|text| {
            let named = expr::identifiers(text);
            Check {
                name: "check".to_owned(),
                text: (*text).to_owned(),
                expr: expr::parse(text),
                columns: (0..columns.len())
                    .filter(|at| columns.get(*at).is_some_and(|column| named.contains(&column.name)))
                    .collect(),
                literals: expr::literals(text),
            }
        })
        .collect();
    let literals: Vec<String> = checks.iter().flat_map(|check| check.literals.clone()).collect();
    let spoken: BTreeSet<usize> = checks.iter().flat_map(|check| check.columns.clone()).collect();
    let tables = [Table { columns, checks, ..Table::nothing() }];
    let step = Step { table: 0, void: Vec::new(), pending: Vec::new(), circle: false };
    let mut rng = dice(seed, "", 0);
    let mut generator = Generator::new(&tables);
    let mut rows: Vec<Row> =
        (0..2).filter_map(|_| generator.row(&step, &Hints::default(), &mut rng).ok()).collect();
    rows.extend(generator.candidates(&step, &spoken, &literals, 8, &mut rng));
    rows
}
