//! Tables, views, sequences and the like; what is a partition of what.

use std::collections::HashSet;

use super::super::acl::Kind;
use super::super::catalogs::{Catalog, Inheritance, Relation};
use super::super::labels::relation_word;
use super::super::snapshot::Snapshot;
use super::super::tables::{Difference, differences};
use super::common::{Object, PG_CLASS};
use super::{ALTERED, Diff, Pair, Place, from_to, listed};
use crate::observations::ChangeKind;

/// A sequence whose rest is less than this part of its whole is near its end.
const REST: f64 = 0.1;

fn object(relation: &Relation) -> Object<'_> {
    let kind = if relation.kind == 'S' { Kind::Sequence } else { Kind::Relation };
    Object {
        word: relation_word(relation.kind),
        name: &relation.name,
        schema: Some(relation.schema),
        owner: Some(relation.owner),
        arguments: String::new(),
        acl: Some((kind, &relation.acl)),
    }
}

/// The query of a view.
fn query(state: &Snapshot, oid: u32) -> Option<&str> {
    let (rule, _) =
        state.tables.rules.iter().find(|(_, rule)| rule.relation == oid && &*rule.name == "_RETURN")?;
    state.definition(Catalog::Rule, rule.0).map(|query| query.trim_end_matches(';'))
}

/// The statement that makes a relation anew, where it has no rows of its own, or is the part of a table that others find
/// missing: what was in it does not come back by a statement.
fn again(state: &Snapshot, oid: u32, relation: &Relation) -> Option<String> {
    let name = state.qualified(relation.schema, &relation.name);
    match relation.kind {
        'v' | 'm' => {
            let word = relation_word(relation.kind).to_uppercase();
            let options = if relation.options.0.is_empty() {
                String::new()
            } else {
                format!(" WITH ({})", relation.options.0.join(", "))
            };
            Some(format!("CREATE {word} {name}{options} AS {}", query(state, oid)?))
        }
        'S' => {
            let sequence = state.tables.sequences.oid(oid)?;
            let start = state.positions.get(&oid).map(|last| last.saturating_add(sequence.increment));
            let cycle = if sequence.cycle { " CYCLE" } else { "" };
            let start = start.filter(|start| (sequence.min..=sequence.max).contains(start));
            let restart = start
                .map(|start| format!("; ALTER SEQUENCE {name} RESTART WITH {start}"))
                .unwrap_or_default();
            Some(format!(
                "CREATE SEQUENCE {name} AS {} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {}{cycle}{restart}",
                state.type_name(sequence.type_oid, -1),
                sequence.increment,
                sequence.min,
                sequence.max,
                sequence.start,
                sequence.cache
            ))
        }
        'r' if relation.partition => {
            let (_, inherits) = state.tables.inheritance.of(oid).next()?;
            let bound = state.definition(Catalog::Relation, oid)?;
            Some(format!("CREATE TABLE {name} PARTITION OF {} {bound}", state.relation_sql(inherits.parent)))
        }
        _ => None,
    }
}

impl Diff<'_> {
    pub(super) fn relations(&mut self) {
        let pairs = self.pairs(
            Catalog::Relation,
            &self.before.tables.relations,
            &self.after.tables.relations,
            |diff, _, relation, before| {
                // Indexes are told with their tables.
                if matches!(relation.kind, 'i' | 'I') {
                    return None;
                }
                let schema =
                    if before { diff.now(Catalog::Schema, relation.schema)? } else { relation.schema };
                Some(format!("{schema} {}", relation.name))
            },
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, _, _), _)
                    if Self::is_member(self.after, PG_CLASS, oid)
                        || Self::owning_column(self.after, oid).is_some() => {}
                Pair::Created((oid, _, _), relation) => self.created(oid, &object(relation)),
                Pair::Dropped((oid, _, _), _)
                    if Self::is_member(self.before, PG_CLASS, oid) || self.went_with_column(oid) => {}
                Pair::Dropped((oid, _, _), relation) => {
                    let again = again(self.before, oid, relation);
                    self.dropped(oid, &object(relation), again);
                }
                Pair::Recreated((oid, _, _), was, _, is) => {
                    let again = again(self.before, oid, was);
                    if self.went_with_column(oid) {
                        self.owned_sequence(was, is);
                        continue;
                    }
                    self.recreated(oid, &object(was), &object(is), again);
                    self.common(&object(was), &object(is));
                    self.relation(is, was);
                }
                Pair::Changed((oid, _, _), was, is) => {
                    if matches!(is.kind, 'i' | 'I') {
                        if self.is_constraint_index(oid) && was.name != is.name {
                            continue;
                        }
                        self.renamed_only(was, is);
                    } else if Self::owning_column(self.after, oid).is_some() {
                        self.owned_sequence(was, is);
                        self.renamed_only(was, is);
                    } else {
                        self.common(&object(was), &object(is));
                    }
                    self.relation(is, was);
                }
            }
        }
        self.partitions();
        self.sequences();
    }

    /// Whether the column that a sequence belonged to is gone, too.
    fn went_with_column(&self, sequence: u32) -> bool {
        let Some((table, column)) = Self::owning_column(self.before, sequence) else { return false };
        self.after.tables.columns.get((table, column, 0)).is_none_or(|column| column.dropped)
    }

    /// A sequence that belongs to a column follows its table to another schema and another owner.
    fn owned_sequence(&mut self, was: &Relation, is: &Relation) {
        let on = super::privileges::On {
            kind: Kind::Sequence,
            label: self.after.label_of_relation(is),
            sql: format!("SEQUENCE {}", self.after.qualified(is.schema, &is.name)),
            column: None,
        };
        self.privileges(&on, (&was.acl, was.owner), (&is.acl, is.owner));
    }

    /// Tells a new name and nothing else.
    fn renamed_only(&mut self, was: &Relation, is: &Relation) {
        let now = Some(is.schema);
        let bare = |relation| Object { schema: now, owner: None, acl: None, ..object(relation) };
        self.common(&bare(was), &bare(is));
    }

    /// A constraint and its index have one name.
    fn is_constraint_index(&self, oid: u32) -> bool {
        self.after.tables.constraints.iter().any(|(_, constraint)| constraint.index == oid)
    }

    fn relation(&mut self, is: &Relation, was: &Relation) {
        let name = self.after.qualified(is.schema, &is.name);
        let label = self.after.label_of_relation(is);
        let word = relation_word(is.kind).to_uppercase();
        let place = Place::Changed(ALTERED);
        if was.row_security != is.row_security {
            let verb = |on: bool| if on { "enabled" } else { "disabled" };
            let undo = format!(
                "ALTER TABLE {name} {} ROW LEVEL SECURITY",
                if was.row_security { "ENABLE" } else { "DISABLE" }
            );
            self.tell(place, ChangeKind::RowSecurityChanged, label.clone(), verb(is.row_security))
                .undone_by([undo]);
        }
        if was.forced != is.forced {
            let undo = format!(
                "ALTER TABLE {name} {} ROW LEVEL SECURITY",
                if was.forced { "FORCE" } else { "NO FORCE" }
            );
            let detail = if is.forced { "forced on the owner, too" } else { "no longer forced on the owner" };
            self.tell(place, ChangeKind::RowSecurityChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.persistence != is.persistence {
            let word = |kind: char| if kind == 'u' { "UNLOGGED" } else { "LOGGED" };
            let undo = format!(
                "ALTER {} {name} SET {}",
                relation_word(is.kind).to_uppercase(),
                word(was.persistence)
            );
            let detail = from_to(word(was.persistence), word(is.persistence));
            self.tell(place, ChangeKind::OptionsChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.options != is.options {
            let undo = if was.options.0.is_empty() {
                let names: Vec<_> = is.options.settings().map(|(name, _)| name).collect();
                vec![format!("ALTER {word} {name} RESET ({})", names.join(", "))]
            } else {
                let added: Vec<_> = is
                    .options
                    .settings()
                    .map(|(name, _)| name)
                    .filter(|name| !was.options.settings().any(|(old, _)| old == *name))
                    .collect();
                let reset =
                    (!added.is_empty()).then(|| format!("ALTER {word} {name} RESET ({})", added.join(", ")));
                reset
                    .into_iter()
                    .chain([format!("ALTER {word} {name} SET ({})", was.options.0.join(", "))])
                    .collect()
            };
            let detail = from_to(listed(&was.options), listed(&is.options));
            self.tell(place, ChangeKind::OptionsChanged, label.clone(), detail).undone_by(undo);
        }
        if was.replica_identity != is.replica_identity {
            let word = |kind| match kind {
                'n' => Some("NOTHING"),
                'f' => Some("FULL"),
                'd' => Some("DEFAULT"),
                _ => None,
            };
            let undo = word(was.replica_identity)
                .map(|word| vec![format!("ALTER TABLE {name} REPLICA IDENTITY {word}")]);
            let told = |kind| word(kind).unwrap_or("an index");
            let detail = format!(
                "replica identity {}",
                from_to(told(was.replica_identity), told(is.replica_identity))
            );
            self.tell(place, ChangeKind::OptionsChanged, label.clone(), detail).undo = undo;
        }
        if was.tablespace != is.tablespace {
            let of = |state: &Snapshot, oid: u32| match state.tables.tablespaces.oid(oid) {
                Some(tablespace) => crate::identifiers::written_identifier(&tablespace.name),
                None => "pg_default".to_owned(),
            };
            let old = of(self.before, was.tablespace);
            let detail = format!("tablespace {}", from_to(&old, of(self.after, is.tablespace)));
            let undo = format!("ALTER {word} {name} SET TABLESPACE {old}");
            self.tell(place, ChangeKind::OptionsChanged, label.clone(), detail).undone_by([undo]);
        }
        if was.populated != is.populated && is.kind == 'm' {
            let undo = if was.populated { "" } else { " WITH NO DATA" };
            let undo = format!("REFRESH MATERIALIZED VIEW {name}{undo}");
            let detail = if is.populated { "populated" } else { "no longer populated: it cannot be read" };
            self.tell(place, ChangeKind::OptionsChanged, label, detail).undone_by([undo]);
        }
    }

    fn partitions(&mut self) {
        let all = differences(&self.before.tables.inheritance, &self.after.tables.inheritance);
        let mut anew = HashSet::new();
        for difference in &all {
            if let Difference::Removed((child, ..), Inheritance { parent }) = difference
                && let Some(child_now) = self.now(Catalog::Relation, *child)
                && let Some(parent_now) = self.now(Catalog::Relation, *parent)
                && self.before.definition(Catalog::Relation, *child)
                    == self.after.definition(Catalog::Relation, child_now)
            {
                anew.insert((child_now, parent_now));
            }
        }
        for difference in all {
            match difference {
                // A table that was made anew is again what it was.
                Difference::Added((child, ..), Inheritance { parent })
                    if anew.contains(&(child, *parent)) => {}
                Difference::Added((child, ..), Inheritance { parent }) => {
                    if self.before.tables.has(Catalog::Relation, *parent) {
                        self.attached_to(child, *parent);
                    }
                }
                Difference::Removed((child, ..), Inheritance { parent }) => {
                    if self.after.tables.has(Catalog::Relation, child) {
                        self.detached_from(child, *parent);
                    }
                }
                Difference::Changed((child, ..), was, is) => {
                    self.detached_from(child, was.parent);
                    self.attached_to(child, is.parent);
                }
            }
        }
    }

    fn attached_to(&mut self, child: u32, parent: u32) {
        let Some(relation) = self.after.tables.relations.oid(child) else { return };
        // Partitions of an index come and go with those of its table.
        if matches!(relation.kind, 'i' | 'I') {
            return;
        }
        let (name, of) = (self.after.relation_sql(child), self.after.relation_sql(parent));
        let (undo, bound) = if relation.partition {
            let bound = self.after.definition(Catalog::Relation, child).unwrap_or_default();
            (format!("ALTER TABLE {of} DETACH PARTITION {name}"), format!("partition of {of} {bound}"))
        } else {
            (format!("ALTER TABLE {name} NO INHERIT {of}"), format!("child of {of}"))
        };
        let label = self.after.relation_label(child);
        self.tell(Place::Changed(ALTERED), ChangeKind::PartitionAttached, label, bound).undone_by([undo]);
    }

    fn detached_from(&mut self, child: u32, parent: u32) {
        let Some(relation) = self.before.tables.relations.oid(child) else { return };
        if matches!(relation.kind, 'i' | 'I') {
            return;
        }
        let Some(parent_now) = self.now(Catalog::Relation, parent) else { return };
        let (name, of) = (self.after.relation_sql(child), self.after.relation_sql(parent_now));
        let (undo, bound) = if relation.partition {
            let bound = self.before.definition(Catalog::Relation, child).unwrap_or_default();
            (
                Some(format!("ALTER TABLE {of} ATTACH PARTITION {name} {bound}")),
                format!("partition of {of} {bound}"),
            )
        } else {
            (Some(format!("ALTER TABLE {name} INHERIT {of}")), format!("child of {of}"))
        };
        let label = self.after.relation_label(child);
        self.tell(Place::Changed(ALTERED), ChangeKind::PartitionDetached, label, bound).undo =
            undo.map(|undo| vec![undo]);
    }

    fn sequences(&mut self) {
        let (before, after) = (self.before, self.after);
        for difference in differences(&before.tables.sequences, &after.tables.sequences) {
            if let Difference::Changed((oid, ..), was, is) = difference {
                let name = after.relation_sql(oid);
                let cycle = |on: bool| if on { "CYCLE" } else { "NO CYCLE" };
                let text = |state: &Snapshot, row: &super::super::catalogs::Sequence| {
                    format!(
                        "AS {} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}",
                        state.type_name(row.type_oid, -1),
                        row.increment,
                        row.min,
                        row.max,
                        row.start,
                        row.cache,
                        cycle(row.cycle)
                    )
                };
                let (old, new) = (text(before, was), text(after, is));
                if old == new {
                    continue;
                }
                let undo = format!("ALTER SEQUENCE {name} {old}");
                let label = after.relation_label(oid);
                self.tell(Place::Changed(ALTERED), ChangeKind::SequenceChanged, label, from_to(old, new))
                    .undone_by([undo]);
            }
        }
        if std::sync::Arc::ptr_eq(&before.positions, &after.positions) {
            return;
        }
        for (oid, was) in before.positions.iter() {
            let Some(sequence) = after.tables.sequences.oid(*oid) else { continue };
            // One that has given no value yet, or again none, begins with its first.
            let Some(last) = after.positions.get(oid) else {
                let label = after.relation_label(*oid);
                let undo = self.forward(*oid, sequence, *was);
                let detail = from_to(was, "its beginning");
                self.tell(Place::Changed(ALTERED), ChangeKind::SequenceMovedBack, label, detail)
                    .undone_by([undo]);
                continue;
            };
            let forward = sequence.increment > 0;
            let label = after.relation_label(*oid);
            let back = if forward { last < was } else { last > was };
            if back && !sequence.cycle {
                let undo = self.forward(*oid, sequence, *was);
                let detail = from_to(was, last);
                self.tell(Place::Changed(ALTERED), ChangeKind::SequenceMovedBack, label, detail)
                    .undone_by([undo]);
            } else if near_end(*last, sequence) && !near_end(*was, sequence) {
                let end = if forward { sequence.max } else { sequence.min };
                let detail = format!("at {last} of {end}");
                let undo = self.forward(*oid, sequence, *was);
                self.tell(Place::Changed(ALTERED), ChangeKind::SequenceNearEnd, label, detail)
                    .undone_by([undo]);
            }
        }
    }

    /// Sets a sequence so that it gives what its column does not have yet; one that belongs to none to what it was.
    fn forward(&self, oid: u32, sequence: &super::super::catalogs::Sequence, was: i64) -> String {
        let after = self.after;
        let name = crate::identifiers::quote_literal(&after.relation_sql(oid));
        if sequence.table == 0 || sequence.increment < 0 {
            return format!("SELECT pg_catalog.setval({name}, {was})");
        }
        let (table, column) =
            (after.relation_sql(sequence.table), after.column_name(sequence.table, sequence.column));
        format!("SELECT pg_catalog.setval({name}, (SELECT max({column}) FROM {table}))")
    }
}

#[allow(clippy::cast_precision_loss)] // A share of a whole.
fn near_end(last: i64, sequence: &super::super::catalogs::Sequence) -> bool {
    let whole = sequence.max as f64 - sequence.min as f64;
    let rest = if sequence.increment > 0 {
        sequence.max as f64 - last as f64
    } else {
        last as f64 - sequence.min as f64
    };
    !sequence.cycle && rest < whole * REST
}
