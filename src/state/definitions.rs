//! Definitions as the server writes them: of views, functions, indexes, constraints and the like, and how types
//! are called. They are read when their object was touched, or when a name changed that may stand in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ask::Ask;
use super::catalogs::{Catalog, Tables};
use super::query::{self, DEFINED};
use super::snapshot::Snapshot;
use super::tables::{Difference, Table, differences};
use super::watcher::{Rows, unreadable};
use crate::postgres::QueryFailure;

/// Which definitions have to be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing {
    /// All of them.
    all: bool,
    some: BTreeMap<Catalog, BTreeSet<u32>>,
    /// Those of everything that depends on these tables and functions.
    renamed: BTreeSet<u32>,
    types: BTreeSet<(u32, i32)>,
}

impl Missing {
    /// What is left when only what waits for no lock was read.
    fn locking(&self) -> Self {
        let locks = |wanted: &Catalog| DEFINED.iter().any(|(catalog, locks, _)| catalog == wanted && *locks);
        let some = self.some.iter().filter(|(catalog, _)| locks(catalog));
        let some = some.map(|(catalog, oids)| (*catalog, oids.clone())).collect();
        Self { all: self.all, some, renamed: self.renamed.clone(), types: BTreeSet::new() }
    }

    fn add(&mut self, catalog: Catalog, oid: u32) {
        self.some.entry(catalog).or_default().insert(oid);
    }

    /// Adds what differs between two readings, from one that has nothing: everything.
    pub(super) fn note(&mut self, before: &Snapshot, after: &Snapshot) {
        if before.version == 0 {
            self.all = true;
        }
        let (old, new) = (&before.tables, &after.tables);
        match renamed(old, new) {
            Some(renamed) if renamed.is_empty() => {}
            renamed => {
                self.all |= renamed.is_none();
                let renamed = renamed.unwrap_or_default();
                // An index of a constraint depends on that, and not on its table.
                let indexes = new.indexes.iter().filter(|(_, index)| renamed.contains(&index.relation));
                indexes.for_each(|((oid, ..), _)| self.add(Catalog::Index, oid));
                self.renamed.extend(renamed);
                self.types.extend(after.type_names.keys().copied());
            }
        }
        touched(&old.defaults, &new.defaults, |oid| self.add(Catalog::ColumnDefault, oid));
        touched(&old.constraints, &new.constraints, |oid| self.add(Catalog::Constraint, oid));
        touched(&old.indexes, &new.indexes, |oid| self.add(Catalog::Index, oid));
        touched(&old.triggers, &new.triggers, |oid| self.add(Catalog::Trigger, oid));
        touched(&old.rules, &new.rules, |oid| self.add(Catalog::Rule, oid));
        touched(&old.policies, &new.policies, |oid| self.add(Catalog::Policy, oid));
        touched(&old.functions, &new.functions, |oid| self.add(Catalog::Function, oid));
        // The bound of a partition stands with its relation, and the options of an index, too.
        for difference in differences(&old.relations, &new.relations) {
            let (oid, was, is) = match difference {
                Difference::Added((oid, ..), is) => (oid, None, is),
                Difference::Changed((oid, ..), was, is) => (oid, Some(was), is),
                Difference::Removed(..) => continue,
            };
            if matches!(is.kind, 'i' | 'I') {
                self.add(Catalog::Index, oid);
            } else if is.partition || was.is_some_and(|was| was.partition) {
                self.add(Catalog::Relation, oid);
            }
        }
        self.note_types(old, new);
    }

    fn note_types(&mut self, old: &Tables, new: &Tables) {
        let mut types = Vec::new();
        each(&old.columns, &new.columns, |_, column| types.push((column.type_oid, column.modifier)));
        each(&old.functions, &new.functions, |_, function| {
            types.push((function.returns, -1));
            types.extend(function.arguments.0.iter().map(|argument| (*argument, -1)));
        });
        each(&old.types, &new.types, |oid, of| types.extend([(oid, -1), (of.base, of.modifier)]));
        each(&old.sequences, &new.sequences, |_, sequence| types.push((sequence.type_oid, -1)));
        self.types.extend(types.into_iter().filter(|(oid, _)| *oid != 0));
    }
}

/// Calls for each row that is new or other than it was.
fn each<R: PartialEq>(old: &Table<R>, new: &Table<R>, mut call: impl FnMut(u32, &R)) {
    for difference in differences(old, new) {
        match difference {
            Difference::Added((oid, _, _), row) | Difference::Changed((oid, _, _), _, row) => call(oid, row),
            Difference::Removed(..) => {}
        }
    }
}

fn touched<R: PartialEq>(old: &Table<R>, new: &Table<R>, mut call: impl FnMut(u32)) {
    each(old, new, |oid, _| call(oid));
}

/// The tables and functions of which a name changed that may stand in definitions of what depends on them; none when
/// a name changed that may stand anywhere.
fn renamed(old: &Tables, new: &Tables) -> Option<BTreeSet<u32>> {
    if !changed(&old.types, &new.types, |a, b| a.name != b.name || a.schema != b.schema).is_empty()
        || !changed(&old.schemas, &new.schemas, |a, b| a.name != b.name).is_empty()
    {
        return None;
    }
    let mut found = changed(&old.relations, &new.relations, |a, b| a.name != b.name || a.schema != b.schema);
    found.extend(changed(&old.columns, &new.columns, |a, b| a.name != b.name && !b.dropped));
    found.extend(changed(&old.functions, &new.functions, |a, b| a.name != b.name || a.schema != b.schema));
    Some(found)
}

/// The first OIDs of the keys of rows of which that holds.
fn changed<R: PartialEq>(old: &Table<R>, new: &Table<R>, is: impl Fn(&R, &R) -> bool) -> BTreeSet<u32> {
    let pairs = differences(old, new).into_iter();
    pairs
        .filter_map(|pair| match pair {
            Difference::Changed(key, a, b) if is(a, b) => Some(key.0),
            _ => None,
        })
        .collect()
}

/// How definitions are asked for.
pub(super) struct Reader<'a> {
    pub(super) path: Option<&'a str>,
    pub(super) restricted: bool,
    /// The catalogs of which rows may be gone whose definitions are held.
    pub(super) touched: Vec<Catalog>,
}

impl Reader<'_> {
    /// Reads what is missing; what somebody has locked stays missing.
    pub(super) async fn read<A: Ask>(
        &self,
        asker: &A,
        missing: &mut Missing,
        next: &mut Snapshot,
    ) -> Result<(), QueryFailure> {
        let unknown: Vec<_> = missing.types.iter().copied().collect();
        let mut statements = Vec::new();
        if !unknown.is_empty() {
            statements.push(query::type_names(&unknown));
        }
        let (mut free, mut locking) = (Vec::new(), Vec::new());
        for (catalog, locks, text) in DEFINED {
            let none = BTreeSet::new();
            let some = missing.some.get(catalog).unwrap_or(&none);
            let which = (!missing.all).then_some((some, &missing.renamed));
            if which.is_some_and(|(some, renamed)| some.is_empty() && renamed.is_empty()) {
                continue;
            }
            let statement = query::definitions(*catalog, text, which);
            if *locks { locking.push((*catalog, statement)) } else { free.push((*catalog, statement)) }
        }

        let mut left = Missing::default();
        let mut asked = free;
        if self.restricted {
            left = missing.locking();
        } else {
            asked.extend(locking.iter().cloned());
        }
        let all = statements.iter().cloned().chain(asked.iter().map(|(_, statement)| statement.clone()));
        let all: Vec<_> = all.collect();
        let gone = |catalog: &Catalog| {
            let mut held = next.definitions.range((*catalog, 0)..=(*catalog, u32::MAX));
            held.any(|((_, oid), _)| !next.tables.has(*catalog, *oid))
        };
        if all.is_empty() && !self.touched.iter().any(gone) {
            return Ok(());
        }
        let mut texts = (*next.definitions).clone();
        if !all.is_empty() {
            let patient = !self.restricted;
            let rows = match asker.ask(&query::framed(&all, self.path, patient)).await {
                // SQLSTATE lock_not_available: read what waits for no lock, the rest another time.
                Err(failure) if patient && failure.sqlstate.as_str() == "55P03" => {
                    left = missing.locking();
                    asked.retain(|(catalog, _)| !locking.iter().any(|(other, _)| other == catalog));
                    statements.extend(asked.iter().map(|(_, statement)| statement.clone()));
                    asker.ask(&query::framed(&statements, self.path, patient)).await?
                }
                answer => answer?,
            };
            // What was asked for and not answered has none.
            for (catalog, _) in &asked {
                let some = missing.some.get(catalog);
                let forget = |oid: &u32| missing.all || some.is_some_and(|some| some.contains(oid));
                texts.retain(|(of, oid), _| of != catalog || !forget(oid));
            }
            take(rows, &mut texts, next)?;
        }
        texts.retain(|(catalog, oid), _| next.tables.has(*catalog, *oid));
        next.definitions = Arc::new(texts);
        *missing = left;
        Ok(())
    }
}

fn take(
    rows: Rows,
    texts: &mut super::snapshot::Definitions,
    next: &mut Snapshot,
) -> Result<(), QueryFailure> {
    let mut names = BTreeMap::new();
    for row in rows {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        match text(0) {
            Some("type") => {
                let oid = text(1).and_then(|oid| oid.parse().ok());
                let modifier = text(2).and_then(|modifier| modifier.parse().ok());
                if let (Some(oid), Some(modifier), Some(name)) = (oid, modifier, text(3)) {
                    names.insert((oid, modifier), Arc::from(name));
                }
            }
            Some("definition") => {
                let catalog = text(1).and_then(Catalog::named);
                let oid = text(2).and_then(|oid| oid.parse().ok());
                let Some(key) = catalog.zip(oid) else { return Err(unreadable("definitions")) };
                match text(3) {
                    Some(definition) => texts.insert(key, Arc::from(definition)),
                    None => texts.remove(&key),
                };
            }
            _ => {}
        }
    }
    if !names.is_empty() {
        Arc::make_mut(&mut next.type_names).extend(names);
    }
    Ok(())
}
