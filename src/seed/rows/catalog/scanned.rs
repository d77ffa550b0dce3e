//! The answers to `catalog.sql`, and how they are put together.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::super::RowsError;
use super::{
    CheckEntry, ColumnEntry, ForeignKeyEntry, PartitionEntry, SequenceEntry, TableEntry, UniqueEntry,
};

/// A column by its table and number.
type Place = (i64, i16);

/// What was read, by the numbers that the catalogs give things.
#[derive(Default)]
pub(super) struct Scanned {
    classes: Vec<Class>,
    columns: BTreeMap<i64, Vec<ColumnEntry>>,
    uniques: BTreeMap<i64, Vec<UniqueEntry>>,
    keys: Vec<Key>,
    checks: BTreeMap<i64, Vec<CheckEntry>>,
    defaults: BTreeMap<Place, String>,
    sequences: BTreeMap<i64, SequenceEntry>,
    /// The sequences of columns.
    feeds: BTreeMap<Place, BTreeSet<i64>>,
    /// Whether some trigger fires always.
    pub(super) restless: bool,
}

struct Class {
    entry: TableEntry,
    partition: bool,
}

struct Key {
    table: i64,
    columns: Vec<i16>,
    entry: ForeignKeyEntry,
}

/// One row of an answer.
struct Line<'a>(&'a SimpleQueryRow);

impl Line<'_> {
    fn maybe(&self, at: usize) -> Option<&str> {
        if at < self.0.len() { self.0.get(at) } else { None }
    }

    fn text(&self, at: usize) -> String {
        self.maybe(at).unwrap_or_default().to_owned()
    }

    fn is(&self, at: usize, value: &str) -> bool {
        self.maybe(at) == Some(value)
    }

    fn number<T: DeserializeOwned>(&self, at: usize) -> Result<T, RowsError> {
        serde_json::from_str(self.maybe(at).unwrap_or_default()).map_err(RowsError::Answer)
    }

    /// The numbers of an array (`{1,2}`) or a vector (`1 2`).
    fn numbers(&self, at: usize) -> Vec<i16> {
        let text = self.maybe(at).unwrap_or_default();
        text.split(['{', '}', ',', ' ']).filter_map(|number| number.parse().ok()).collect()
    }
}

impl Scanned {
    /// Takes the answers apart: one after the other, each begun by a description of its rows.
    pub(super) fn read(messages: &[SimpleQueryMessage]) -> Result<Self, RowsError> {
        let mut scanned = Self::default();
        let mut fed_by_default: Vec<(i64, i64)> = Vec::new();
        let mut defaults: BTreeMap<i64, Place> = BTreeMap::new();
        let mut extended: BTreeSet<i64> = BTreeSet::new();
        let mut schemas: BTreeMap<i64, String> = BTreeMap::new();
        let mut query = 0;
        for message in messages {
            let line = match message {
                SimpleQueryMessage::RowDescription(_) => {
                    query += 1;
                    continue;
                }
                SimpleQueryMessage::Row(row) => Line(row),
                _ => continue,
            };
            match query {
                1 => drop(schemas.insert(line.number(0)?, line.text(1))),
                2 => scanned.class(&line, &schemas)?,
                3 => scanned.column(&line)?,
                4 => {
                    let place = (line.number(1)?, line.number(2)?);
                    defaults.insert(line.number(0)?, place);
                    scanned.defaults.extend(line.maybe(3).map(|text| (place, text.to_owned())));
                }
                5 => scanned.unique(&line)?,
                6 => scanned.constraint(&line)?,
                7 => scanned.sequence(&line)?,
                8 if line.is(0, "t") => fed_by_default.push((line.number(1)?, line.number(2)?)),
                8 if line.is(4, "e") => {
                    extended.insert(line.number(1)?);
                }
                8 => {
                    let place = (line.number(2)?, line.number(3)?);
                    scanned.feeds.entry(place).or_default().insert(line.number(1)?);
                }
                _ => scanned.restless = true,
            }
        }
        for (default, sequence) in fed_by_default {
            if let Some(place) = defaults.get(&default) {
                scanned.feeds.entry(*place).or_default().insert(sequence);
            }
        }
        scanned.classes.retain(|class| !extended.contains(&class.entry.oid));
        Ok(scanned)
    }

    /// Takes note of a table, where its schema is one of a user.
    fn class(&mut self, line: &Line, schemas: &BTreeMap<i64, String>) -> Result<(), RowsError> {
        let Some(schema) = schemas.get(&line.number(1)?) else {
            return Ok(());
        };
        let entry = TableEntry {
            oid: line.number(0)?,
            schema: schema.clone(),
            name: line.text(2),
            partitioned: line.is(3, "p"),
            occupied: line.is(5, "t"),
            columns: Vec::new(),
            uniques: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
        };
        self.classes.push(Class { entry, partition: line.is(4, "t") });
        Ok(())
    }

    fn column(&mut self, line: &Line) -> Result<(), RowsError> {
        let column = ColumnEntry {
            number: line.number(1)?,
            name: line.text(2),
            type_oid: line.number(3)?,
            modifier: line.number(4)?,
            not_null: line.is(5, "t"),
            generated: line.is(6, "t"),
            default: None,
            sequences: Vec::new(),
        };
        self.columns.entry(line.number(0)?).or_default().push(column);
        Ok(())
    }

    fn unique(&mut self, line: &Line) -> Result<(), RowsError> {
        let mut columns = line.numbers(2);
        // What an index only includes is no part of its key.
        columns.truncate(line.number(3)?);
        let unique = UniqueEntry {
            name: line.text(1),
            columns,
            primary: line.is(4, "t"),
            expressions: line.maybe(5).map(str::to_owned),
            predicate: line.maybe(6).map(str::to_owned),
            nulls_equal: line.is(7, "t"),
        };
        self.uniques.entry(line.number(0)?).or_default().push(unique);
        Ok(())
    }

    fn constraint(&mut self, line: &Line) -> Result<(), RowsError> {
        let table = line.number(0)?;
        let name = line.text(1);
        if line.is(2, "c") {
            let check = CheckEntry { name, expression: line.maybe(8).map(str::to_owned) };
            self.checks.entry(table).or_default().push(check);
            return Ok(());
        }
        let entry = ForeignKeyEntry {
            name,
            columns: Vec::new(),
            target: line.number(4)?,
            target_name: line.text(5),
            target_columns: line.numbers(6),
            full: line.is(7, "f"),
        };
        self.keys.push(Key { table, columns: line.numbers(3), entry });
        Ok(())
    }

    fn sequence(&mut self, line: &Line) -> Result<(), RowsError> {
        let oid = line.number(0)?;
        let entry = SequenceEntry {
            oid,
            start: line.number(1)?,
            increment: line.number(2)?,
            min: line.number(3)?,
            max: line.number(4)?,
            last: line.maybe(5).and_then(|last| last.parse().ok()),
        };
        self.sequences.insert(oid, entry);
        Ok(())
    }

    /// How many tables there are, partitions among them.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.classes.len()).unwrap_or(u64::MAX)
    }

    /// Whether some table has partitions.
    pub(super) fn partitioned(&self) -> bool {
        self.classes.iter().any(|class| class.entry.partitioned)
    }

    /// The tables that rows are put into, by name: partitions get theirs through the table that they are of.
    pub(super) fn tables(&mut self, partitions: &[PartitionEntry]) -> Vec<TableEntry> {
        let occupied: BTreeSet<i64> =
            self.classes.iter().filter(|class| class.entry.occupied).map(|class| class.entry.oid).collect();
        let roots: BTreeMap<i64, i64> = partitions.iter().map(|entry| (entry.node, entry.root)).collect();
        let mut keys: BTreeMap<i64, Vec<ForeignKeyEntry>> = BTreeMap::new();
        for mut key in std::mem::take(&mut self.keys) {
            let own = self.columns.get(&key.table).map_or(&[][..], Vec::as_slice);
            let name = |number: &i16| own.iter().find(|column| column.number == *number);
            key.entry.columns =
                key.columns.iter().filter_map(name).map(|column| column.name.clone()).collect();
            let table = roots.get(&key.table).copied().unwrap_or(key.table);
            keys.entry(table).or_default().push(key.entry);
        }
        let mut tables = Vec::new();
        for Class { mut entry, partition } in std::mem::take(&mut self.classes) {
            if partition {
                continue;
            }
            let oid = entry.oid;
            if entry.partitioned {
                let leaf = |node: &&PartitionEntry| node.root == oid && node.leaf && node.node != oid;
                entry.occupied = partitions.iter().filter(leaf).any(|node| occupied.contains(&node.node));
            }
            entry.columns = self.columns.remove(&oid).unwrap_or_default();
            entry.columns.sort_by_key(|column| column.number);
            for column in &mut entry.columns {
                let place = (oid, column.number);
                column.default = self.defaults.remove(&place);
                let feeds = self.feeds.remove(&place).unwrap_or_default();
                column.sequences =
                    feeds.iter().filter_map(|sequence| self.sequences.get(sequence).cloned()).collect();
            }
            entry.uniques = self.uniques.remove(&oid).unwrap_or_default();
            entry.uniques.sort_by(|a, b| (!a.primary, &a.name).cmp(&(!b.primary, &b.name)));
            entry.foreign_keys = keys.remove(&oid).unwrap_or_default();
            entry.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
            entry.checks = self.checks.remove(&oid).unwrap_or_default();
            entry.checks.sort_by(|a, b| a.name.cmp(&b.name));
            tables.push(entry);
        }
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        tables
    }
}
