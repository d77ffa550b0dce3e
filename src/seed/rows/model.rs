//! The tables as the generator sees them: columns by position, tables by position.

use std::collections::BTreeMap;

use super::catalog::{Catalog, SequenceEntry};
use super::expr::{self, Expr};
use super::kinds::{Type, Types};
use super::look::{self, Look};
use super::partitions::{self, Leaf};
use crate::identifiers::quote_identifier;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    /// `schema.table`, for people.
    pub(super) label: String,
    /// The same for SQL.
    pub(super) sql: String,
    pub(super) occupied: bool,
    pub(super) columns: Vec<Column>,
    pub(super) uniques: Vec<Unique>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) checks: Vec<Check>,
    /// Where its rows may go; none for an ordinary table.
    pub(super) leaves: Option<Vec<Leaf>>,
}

impl Table {
    /// A table without anything, which keeps every constraint.
    pub(super) const fn nothing() -> Self {
        Self {
            label: String::new(),
            sql: String::new(),
            occupied: false,
            columns: Vec::new(),
            uniques: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            leaves: None,
        }
    }
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) not_null: bool,
    /// Whether the server computes it.
    pub(super) generated: bool,
    /// Its default, if that is a constant.
    pub(super) default: Option<String>,
    pub(super) sequences: Vec<SequenceEntry>,
    /// Whether it is a unique key by itself.
    pub(super) unique: bool,
    /// Whether a unique index is on something computed from it, so that its values had better be far apart.
    pub(super) spread: bool,
    /// Whether it is a part of a unique key.
    pub(super) keyed: bool,
    /// Whether a foreign key references it, so that its NULLs would be missed.
    pub(super) referenced: bool,
    /// What its name says of texts.
    pub(super) look: Look,
    /// What its name says of numbers.
    pub(super) usual: Option<(i64, i64)>,
}

impl Column {
    /// A column of which no more is known.
    pub(super) fn plain(name: &str, kind: Type) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            not_null: false,
            generated: false,
            default: None,
            sequences: Vec::new(),
            unique: false,
            spread: false,
            keyed: false,
            referenced: false,
            look: Look::of(name),
            usual: look::range(name),
        }
    }
}

/// A unique key.
#[derive(Debug)]
pub(super) struct Unique {
    pub(super) name: String,
    pub(super) columns: Vec<usize>,
    pub(super) predicate: Option<Expr>,
    pub(super) nulls_equal: bool,
    /// Whether keys that differ in upper and lower case alone may be the same one.
    pub(super) folded: bool,
}

/// A foreign key.
#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) columns: Vec<usize>,
    /// The referenced table; none if rows are not made for it.
    pub(super) target: Option<usize>,
    pub(super) target_name: String,
    pub(super) target_columns: Vec<usize>,
    /// `MATCH FULL`.
    pub(super) full: bool,
}

impl ForeignKey {
    /// The columns that may be NULL to make the key void.
    pub(super) fn voidable(&self, columns: &[Column]) -> Vec<usize> {
        let nullable: Vec<usize> = self
            .columns
            .iter()
            .copied()
            .filter(|at| columns.get(*at).is_some_and(|column| !column.not_null))
            .collect();
        if self.full && nullable.len() < self.columns.len() {
            return Vec::new();
        }
        nullable
    }
}

/// A check constraint.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: String,
    /// As the server writes it.
    pub(super) text: String,
    pub(super) expr: Expr,
    /// The columns it speaks of.
    pub(super) columns: Vec<usize>,
    /// The texts and numbers that occur in it.
    pub(super) literals: Vec<String>,
}

/// Makes the model out of what the catalogs say.
pub(super) fn build(catalog: Catalog) -> Vec<Table> {
    let types = Types::new(catalog.types);
    let positions: BTreeMap<i64, (usize, BTreeMap<i16, usize>)> = catalog
        .tables
        .iter()
        .enumerate()
        .map(|(at, table)| {
            let numbers = table.columns.iter().enumerate().map(|(at, column)| (column.number, at));
            (table.oid, (at, numbers.collect()))
        })
        .collect();
    let mut tables = Vec::new();
    for entry in catalog.tables {
        let names: BTreeMap<&str, usize> =
            entry.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), at)).collect();
        let own = positions.get(&entry.oid).map(|(_, numbers)| numbers);
        let by_number = |number: &i16| own.and_then(|numbers| numbers.get(number).copied());
        let named = |text: &str| {
            let mut found: Vec<usize> =
                expr::identifiers(text).iter().filter_map(|name| names.get(name.as_str()).copied()).collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let uniques: Vec<Unique> = entry
            .uniques
            .iter()
            .map(|unique| {
                let mut columns: Vec<usize> = unique.columns.iter().filter_map(by_number).collect();
                columns.extend(named(unique.expressions.as_deref().unwrap_or_default()));
                columns.sort_unstable();
                columns.dedup();
                Unique {
                    name: unique.name.clone(),
                    columns,
                    predicate: unique.predicate.as_deref().map(expr::parse),
                    nulls_equal: unique.nulls_equal,
                    folded: unique.expressions.is_some(),
                }
            })
            .collect();
        let mut foreign_keys: Vec<ForeignKey> = entry
            .foreign_keys
            .iter()
            .map(|key| {
                let target = positions.get(&key.target);
                ForeignKey {
                    name: key.name.clone(),
                    columns: key
                        .columns
                        .iter()
                        .filter_map(|name| names.get(name.as_str()).copied())
                        .collect(),
                    target: target.map(|(at, _)| *at),
                    target_name: key.target_name.clone(),
                    target_columns: target
                        .map(|(_, numbers)| {
                            let find = |number: &i16| numbers.get(number).copied();
                            key.target_columns.iter().filter_map(find).collect()
                        })
                        .unwrap_or_default(),
                    full: key.full,
                }
            })
            .collect();
        // Keys of several columns first: what they leave open, simple ones of the same columns follow.
        foreign_keys.sort_by_key(|key| std::cmp::Reverse(key.columns.len()));
        let checks = entry
            .checks
            .iter()
            .filter_map(|check| {
                let text = check.expression.as_deref()?;
                Some(Check {
                    name: check.name.clone(),
                    text: text.to_owned(),
                    expr: expr::parse(text),
                    columns: named(text),
                    literals: expr::literals(text),
                })
            })
            .collect();
        let columns = entry
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let kind = types.resolve(column.type_oid, column.modifier);
                Column {
                    not_null: column.not_null || kind.not_null,
                    generated: column.generated,
                    default: column.default.as_deref().and_then(constant),
                    sequences: column.sequences.clone(),
                    unique: uniques.iter().any(|unique| unique.columns == [at]),
                    spread: uniques.iter().any(|unique| unique.folded && unique.columns.contains(&at)),
                    keyed: uniques.iter().any(|unique| unique.columns.contains(&at)),
                    ..Column::plain(&column.name, kind)
                }
            })
            .collect();
        tables.push(Table {
            label: format!("{}.{}", entry.schema, entry.name),
            sql: format!("{}.{}", quote_identifier(&entry.schema), quote_identifier(&entry.name)),
            occupied: entry.occupied,
            leaves: entry.partitioned.then(|| partitions::leaves(entry.oid, &catalog.partitions, &names)),
            columns,
            uniques,
            foreign_keys,
            checks,
        });
    }
    let referenced: Vec<(usize, usize)> = tables
        .iter()
        .flat_map(|table| &table.foreign_keys)
        .flat_map(|key| key.target.map(|at| key.target_columns.iter().map(move |column| (at, *column))))
        .flatten()
        .collect();
    for (at, column) in referenced {
        if let Some(column) = tables.get_mut(at).and_then(|table| table.columns.get_mut(column)) {
            column.referenced = true;
        }
    }
    tables
}

/// The value of a default that is a constant.
fn constant(default: &str) -> Option<String> {
    match expr::parse(default) {
        Expr::Constant(text) => Some(text),
        Expr::Bool(value) => Some(if value { "t" } else { "f" }.to_owned()),
        _ => None,
    }
}
