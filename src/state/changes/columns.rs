//! Columns and their defaults.

use std::collections::HashMap;

use super::super::acl::Kind;
use super::super::catalogs::{Catalog, Column};
use super::super::snapshot::Snapshot;
use super::super::tables::Difference;
use super::privileges::On;
use super::{ALTERED, Diff, Place, RENAMED_COLUMN, differences, from_to};
use crate::identifiers::written_identifier;
use crate::observations::ChangeKind;

/// The OID and the expression of each column's default.
type Defaults<'a> = HashMap<(u32, u32), (u32, i64)>;

fn defaults(state: &Snapshot) -> Defaults<'_> {
    state
        .tables
        .defaults
        .iter()
        .map(|((oid, ..), row)| ((row.relation, row.column), (oid, row.expression)))
        .collect()
}

impl Diff<'_> {
    pub(super) fn columns(&mut self) {
        let (before, after) = (self.before, self.after);
        // By table and name, for tables that were made anew.
        let mut lost: HashMap<(u32, String), (u32, u32)> = HashMap::new();
        let mut gained = Vec::new();
        let mut touched = Vec::new();
        for difference in differences(&before.tables.columns, &after.tables.columns) {
            match difference {
                Difference::Changed((relation, number, _), was, is) => {
                    if is.dropped && !was.dropped {
                        lost.insert((relation, was.name.to_string()), (relation, number));
                    } else if !is.dropped {
                        touched.push(((relation, number), (relation, number)));
                    }
                }
                Difference::Removed((relation, number, _), was) => {
                    if !was.dropped
                        && let Some(now) = self.now(Catalog::Relation, relation)
                    {
                        lost.insert((now, was.name.to_string()), (relation, number));
                    }
                }
                Difference::Added((relation, number, _), is) => {
                    if !is.dropped && self.within(Catalog::Relation, relation, "", false).is_some() {
                        gained.push((relation, number, is));
                    }
                }
            }
        }
        for (relation, number, is) in gained {
            match lost.remove(&(relation, is.name.to_string())) {
                Some(old) if old.0 != relation => touched.push((old, (relation, number))),
                // Dropped and added within one table: its values are gone.
                Some(old) => {
                    self.column_dropped(old, relation);
                    self.column_added(relation, number, is);
                }
                None => self.column_added(relation, number, is),
            }
        }
        let mut left: Vec<_> = lost.into_iter().collect();
        left.sort_unstable();
        for ((relation, _), old) in left {
            self.column_dropped(old, relation);
        }
        if before.tables.defaults.same(&after.tables.defaults) && touched.is_empty() {
            return;
        }
        let (old_defaults, new_defaults) = (defaults(before), defaults(after));
        for (old, new) in &touched {
            let pair =
                (before.tables.columns.get((old.0, old.1, 0)), after.tables.columns.get((new.0, new.1, 0)));
            if let (Some(was), Some(is)) = pair {
                self.column(*new, was, is);
            }
        }
        let mut numbers: Vec<_> = touched;
        for (column, default) in &new_defaults {
            if old_defaults.get(column) != Some(default)
                && before.tables.columns.get((column.0, column.1, 0)).is_some()
            {
                numbers.push((*column, *column));
            }
        }
        for column in old_defaults.keys() {
            if !new_defaults.contains_key(column) {
                numbers.push((*column, *column));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        for (old, new) in numbers {
            self.default((old, old_defaults.get(&old)), (new, new_defaults.get(&new)));
        }
    }

    /// The column in words, and its table in SQL.
    fn column_names(&self, (relation, number): (u32, u32)) -> (String, String, String) {
        let name = self.after.column_name(relation, number);
        let label = format!("column {name} of {}", self.after.relation_label(relation));
        (label, name, self.after.relation_sql(relation))
    }

    fn is_view(&self, relation: u32) -> bool {
        self.after.tables.relations.oid(relation).is_some_and(|relation| matches!(relation.kind, 'v' | 'm'))
    }

    /// Whether a partition has it from its table, where it is told already.
    fn told_above(&self, relation: u32, column: &Column, kind: ChangeKind) -> bool {
        if column.ancestors == 0 {
            return false;
        }
        let name = written_identifier(&column.name);
        self.after.tables.inheritance.of(relation).any(|(_, row)| {
            let above = format!("column {name} of {}", self.after.relation_label(row.parent));
            self.found.iter().any(|(_, change)| change.kind == kind && change.object == above)
                || self.parent_has_same(row.parent, column)
        })
    }

    /// Whether the column of that name has changed in the table above, too.
    fn parent_has_same(&self, parent: u32, column: &Column) -> bool {
        let find = |state: &Snapshot| {
            let found = state.tables.columns.of(parent).find(|(_, other)| other.name == column.name);
            found.map(|(_, other)| (other.type_oid, other.modifier, other.not_null, other.has_default))
        };
        find(self.before) != find(self.after)
    }

    fn column_added(&mut self, relation: u32, number: u32, is: &Column) {
        if self.is_view(relation) || self.told_above(relation, is, ChangeKind::ColumnAdded) {
            return;
        }
        let (label, name, table) = self.column_names((relation, number));
        let detail = self.after.type_name(is.type_oid, is.modifier);
        let detail = if is.not_null { format!("{detail} NOT NULL") } else { detail };
        let undo = format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {name}");
        // Behind everything that was made with it.
        self.tell(Place::Made(u32::MAX), ChangeKind::ColumnAdded, label, detail).undone_by([undo]);
    }

    fn column_dropped(&mut self, (relation, number): (u32, u32), now: u32) {
        let Some(was) = self.before.tables.columns.get((relation, number, 0)) else { return };
        if self.is_view(now) || self.told_above(now, was, ChangeKind::ColumnDropped) {
            return;
        }
        let label = format!("column {} of {}", written_identifier(&was.name), self.after.relation_label(now));
        let detail = self.written(relation, number, was);
        self.tell(Place::Gone(std::cmp::Reverse(0)), ChangeKind::ColumnDropped, label, detail);
    }

    /// A column as it was, as CREATE TABLE has it.
    fn written(&self, relation: u32, number: u32, was: &Column) -> String {
        let state = self.before;
        let mut written = state.type_name(was.type_oid, was.modifier);
        let default =
            state.tables.defaults.iter().find(|(_, row)| (row.relation, row.column) == (relation, number));
        let text = default.and_then(|((oid, ..), _)| state.definition(Catalog::ColumnDefault, oid));
        match (was.generated, was.identity, text) {
            ('s', _, Some(text)) => written.push_str(&format!(" GENERATED ALWAYS AS ({text}) STORED")),
            ('v', _, Some(text)) => written.push_str(&format!(" GENERATED ALWAYS AS ({text})")),
            (_, 'a', _) => written.push_str(" GENERATED ALWAYS AS IDENTITY"),
            (_, 'd', _) => written.push_str(" GENERATED BY DEFAULT AS IDENTITY"),
            (_, _, Some(text)) => written.push_str(&format!(" DEFAULT {text}")),
            (_, _, None) => {}
        }
        if was.not_null {
            written.push_str(" NOT NULL");
        }
        written
    }

    fn column(&mut self, at: (u32, u32), was: &Column, is: &Column) {
        let (label, name, table) = self.column_names(at);
        let (before, after) = (self.before, self.after);
        let of = |column: String| format!("ALTER TABLE {table} ALTER COLUMN {column}");
        if was.name != is.name && !self.told_above(at.0, is, ChangeKind::ColumnRenamed) {
            let old = written_identifier(&was.name);
            let undo = format!("ALTER TABLE {table} RENAME COLUMN {name} TO {old}");
            let object = format!("column {old} of {}", after.relation_label(at.0));
            self.tell(
                Place::Changed(RENAMED_COLUMN),
                ChangeKind::ColumnRenamed,
                object,
                from_to(&old, &name),
            )
            .undone_by([undo]);
        }
        let place = Place::Changed(ALTERED);
        let view = self.is_view(at.0);
        if (was.type_oid, was.modifier) != (is.type_oid, is.modifier) && !view {
            let (old, new) =
                (before.type_name(was.type_oid, was.modifier), after.type_name(is.type_oid, is.modifier));
            if !self.told_above(at.0, is, ChangeKind::ColumnTypeChanged) {
                let undo = format!("{} TYPE {old} USING {name}::{old}", of(name.clone()));
                self.tell(place, ChangeKind::ColumnTypeChanged, label.clone(), from_to(old, new))
                    .undone_by([undo]);
            }
        }
        if was.not_null != is.not_null && !self.told_above(at.0, is, ChangeKind::ColumnNullabilityChanged) {
            let verb = if was.not_null { "SET" } else { "DROP" };
            let undo = format!("{} {verb} NOT NULL", of(name.clone()));
            let detail = if is.not_null { "NOT NULL" } else { "may be NULL" };
            self.tell(place, ChangeKind::ColumnNullabilityChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.identity != is.identity {
            let word = |kind| match kind {
                'a' => "GENERATED ALWAYS",
                'd' => "GENERATED BY DEFAULT",
                _ => "no identity",
            };
            let undo = match (was.identity, is.identity) {
                (' ', _) => format!("{} DROP IDENTITY", of(name.clone())),
                (kind, ' ') => format!("{} ADD {} AS IDENTITY", of(name.clone()), word(kind)),
                (kind, _) => format!("{} SET {}", of(name.clone()), word(kind)),
            };
            let detail = from_to(word(was.identity), word(is.identity));
            self.tell(place, ChangeKind::ColumnChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.generated != is.generated {
            let word = |kind| if kind == ' ' { "not generated" } else { "generated" };
            let detail = from_to(word(was.generated), word(is.generated));
            self.tell(place, ChangeKind::ColumnChanged, label.clone(), detail);
        }
        if was.collation != is.collation && was.type_oid == is.type_oid {
            self.tell(place, ChangeKind::ColumnChanged, label.clone(), "another collation");
        }
        // Until a GRANT or REVOKE names the column it has no list; then the owner is not on it.
        let on = On { kind: Kind::Column, label, sql: table, column: Some(name) };
        let owner = after.tables.relations.oid(at.0).map_or(0, |relation| relation.owner);
        self.privileges(&on, (&was.acl, owner), (&is.acl, owner));
    }

    fn default(
        &mut self,
        (old, was): ((u32, u32), Option<&(u32, i64)>),
        (new, is): ((u32, u32), Option<&(u32, i64)>),
    ) {
        let (before, after) = (self.before, self.after);
        let text = |state: &Snapshot, of: Option<&(u32, i64)>| {
            of.and_then(|(oid, _)| state.definition(Catalog::ColumnDefault, *oid)).map(str::to_owned)
        };
        let (old_text, new_text) = (text(before, was), text(after, is));
        let known = (was.is_none() || old_text.is_some()) && (is.is_none() || new_text.is_some());
        let unchanged =
            was.map(|(_, hash)| hash) == is.map(|(_, hash)| hash) && was.is_some() == is.is_some();
        let columns =
            (before.tables.columns.get((old.0, old.1, 0)), after.tables.columns.get((new.0, new.1, 0)));
        let (Some(_), Some(column)) = columns else { return };
        if unchanged || known && old_text == new_text || column.dropped {
            return;
        }
        if self.told_above(new.0, column, ChangeKind::ColumnDefaultChanged) {
            return;
        }
        let (label, name, table) = self.column_names(new);
        let told = |text: &Option<String>, of: Option<&(u32, i64)>| match (text, of) {
            (Some(text), _) => text.clone(),
            (None, Some(_)) => "a default".to_owned(),
            (None, None) => "none".to_owned(),
        };
        let undo = match (&old_text, column.generated) {
            (_, 's' | 'v') => None,
            (Some(text), _) => Some(format!("ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {text}")),
            (None, _) if was.is_none() => {
                Some(format!("ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT"))
            }
            (None, _) => None,
        };
        let detail = from_to(told(&old_text, was), told(&new_text, is));
        self.tell(Place::Changed(ALTERED), ChangeKind::ColumnDefaultChanged, label, detail).undo =
            undo.map(|undo| vec![undo]);
    }
}
