//! The difference between two states, told change by change.
//!
//! Objects are matched by OID, so that a new name is a new name; what has another OID and the same name was
//! dropped and made anew. What came or went with its table is not told by itself.

mod attached;
mod columns;
mod common;
mod defaults;
mod functions;
mod policies;
mod privileges;
mod publications;
mod relations;
mod roles;
mod running;
mod server;

use std::collections::HashMap;

use super::catalogs::Catalog;
use super::snapshot::Snapshot;
use super::tables::{Difference, Key, Table, differences};
use crate::identifiers::RoleName;
use crate::observations::{Change, ChangeKind};

/// What differs between two states: first what was made, in the order of its making, then what was changed, then
/// what is gone. Taking them back from the last to the first finds everything there that it needs.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut diff = Diff { before, after, twins: HashMap::new(), found: Vec::new() };
    diff.roles();
    diff.server();
    diff.relations();
    diff.functions();
    diff.types();
    diff.columns();
    diff.attached();
    diff.running();
    diff.told()
}

/// Where a change stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Made, with this OID.
    Made(u32),
    /// Changed; names before what is told with names, and privileges last.
    Changed(u8),
    /// Gone, the last made first.
    Gone(std::cmp::Reverse<u32>),
    Left,
}

const RENAMED_SCHEMA: u8 = 0;
const MOVED: u8 = 1;
const RENAMED: u8 = 2;
const RENAMED_COLUMN: u8 = 3;
const OWNER: u8 = 4;
const ALTERED: u8 = 5;
const PRIVILEGES: u8 = 6;

/// An object on one or both sides.
enum Pair<'a, R> {
    Created(Key, &'a R),
    Dropped(Key, &'a R),
    /// Gone, and another one of the same name is there.
    Recreated(Key, &'a R, Key, &'a R),
    Changed(Key, &'a R, &'a R),
}

struct Diff<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
    /// The new OID of what was made anew.
    twins: HashMap<(Catalog, u32), u32>,
    found: Vec<(Place, Change)>,
}

impl<'a> Diff<'a> {
    /// Matches the rows of a catalog that differ. Rows for which `identity` gives none are left out; the identity of
    /// rows of before is told in OIDs of after.
    fn pairs<R: PartialEq>(
        &mut self,
        catalog: Catalog,
        old: &'a Table<R>,
        new: &'a Table<R>,
        identity: impl Fn(&Self, Key, &R, bool) -> Option<String>,
    ) -> Vec<Pair<'a, R>> {
        let mut found = Vec::new();
        let mut removed: HashMap<String, (Key, &R)> = HashMap::new();
        let mut added = Vec::new();
        for difference in differences(old, new) {
            match difference {
                Difference::Changed(key, was, is) => found.push(Pair::Changed(key, was, is)),
                Difference::Removed(key, was) => {
                    if let Some(identity) = identity(self, key, was, true) {
                        removed.insert(identity, (key, was));
                    }
                }
                Difference::Added(key, is) => {
                    added.extend(identity(self, key, is, false).map(|identity| (identity, key, is)))
                }
            }
        }
        for (identity, key, is) in added {
            match removed.remove(&identity) {
                Some((was_key, was)) => {
                    self.twins.insert((catalog, was_key.0), key.0);
                    found.push(Pair::Recreated(was_key, was, key, is));
                }
                None => found.push(Pair::Created(key, is)),
            }
        }
        found.extend(removed.into_values().map(|(key, was)| Pair::Dropped(key, was)));
        found
    }

    /// The OID in the state after of what had this one before.
    fn now(&self, catalog: Catalog, oid: u32) -> Option<u32> {
        if self.after.tables.has(catalog, oid) { Some(oid) } else { self.twins.get(&(catalog, oid)).copied() }
    }

    /// What identifies something that belongs to a relation; none if that came or went with it.
    fn within(&self, catalog: Catalog, of: u32, name: &str, before: bool) -> Option<String> {
        let of = if before {
            self.now(catalog, of)?
        } else if self.before.tables.has(catalog, of) || self.twins.values().any(|twin| *twin == of) {
            of
        } else {
            return None;
        };
        Some(format!("{of} {name}"))
    }

    /// A role of the state before as the state after calls it.
    fn role_now(&self, oid: u32) -> RoleName {
        match self.now(Catalog::Role, oid) {
            Some(now) => self.after.role(now),
            None => self.before.role(oid),
        }
    }

    fn role_sql_now(&self, oid: u32) -> String {
        match self.now(Catalog::Role, oid) {
            Some(now) => self.after.role_sql(now),
            None => self.before.role_sql(oid),
        }
    }

    fn tell(
        &mut self,
        place: Place,
        kind: ChangeKind,
        object: impl Into<String>,
        detail: impl Into<String>,
    ) -> &mut Change {
        let change = Change {
            kind,
            object: object.into(),
            role: None,
            detail: detail.into(),
            statement: None,
            undo: None,
        };
        self.found.push((place, change));
        let last = self.found.len() - 1;
        // One was pushed just now.
        #[allow(clippy::indexing_slicing)]
        &mut self.found[last].1
    }

    fn told(mut self) -> Vec<Change> {
        self.found.sort_by(|(place, change), (other_place, other)| {
            let key = |change: &Change| {
                (change.object.clone(), change.kind, change.role.clone(), change.detail.clone())
            };
            place.cmp(other_place).then_with(|| key(change).cmp(&key(other)))
        });
        self.found.into_iter().map(|(_, change)| change).collect()
    }
}

impl Change {
    fn of(&mut self, role: RoleName) -> &mut Self {
        self.role = Some(role);
        self
    }

    fn undone_by(&mut self, statements: impl IntoIterator<Item = String>) -> &mut Self {
        self.undo = Some(statements.into_iter().collect());
        self
    }
}

/// A list for a report.
fn listed(texts: &super::fields::Texts) -> String {
    if texts.0.is_empty() { "none".to_owned() } else { texts.0.join(", ") }
}

/// `before → after` for a report.
fn from_to(before: impl std::fmt::Display, after: impl std::fmt::Display) -> String {
    format!("{before} → {after}")
}
