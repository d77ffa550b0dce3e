//! What belongs to a table: constraints, indexes, triggers, rules, policies.

use std::collections::BTreeSet;

use super::super::catalogs::{Catalog, Constraint, Index, Rule, Trigger};
use super::super::snapshot::Snapshot;
use super::{ALTERED, Diff, Pair, Place, RENAMED, from_to};
use crate::identifiers::written_identifier;
use crate::observations::{Change, ChangeKind};

/// What is told of something that belongs to a table.
struct Part<'a> {
    word: &'static str,
    name: &'a str,
    relation: u32,
    catalog: Catalog,
    added: ChangeKind,
    dropped: ChangeKind,
}

/// `tgenabled` and `ev_enabled` (PostgreSQL manual, ALTER TABLE).
fn enabling(state: char) -> (&'static str, &'static str) {
    match state {
        'D' => ("DISABLE", "disabled"),
        'R' => ("ENABLE REPLICA", "enabled on replicas"),
        'A' => ("ENABLE ALWAYS", "always enabled"),
        _ => ("ENABLE", "enabled"),
    }
}

impl<'a> Diff<'a> {
    pub(super) fn attached(&mut self) {
        self.constraints();
        self.indexes();
        self.triggers();
        self.rules();
        self.policies();
    }

    fn part_label(&self, part: &Part, relation: u32) -> String {
        format!("{} {} of {}", part.word, written_identifier(part.name), self.after.relation_label(relation))
    }

    fn part_added(&mut self, oid: u32, part: &Part, undo: String) {
        let label = self.part_label(part, part.relation);
        let detail = self.after.definition(part.catalog, oid).unwrap_or_default().trim().to_owned();
        self.tell(Place::Made(oid), part.added, label, detail).undone_by([undo]);
    }

    /// Tells that something is gone of a table that is still there, or there again.
    fn part_dropped(&mut self, oid: u32, part: &Part, again: impl Fn(&str, &str) -> String) {
        let Some(now) = self.now(Catalog::Relation, part.relation) else { return };
        let label = self.part_label(part, now);
        let table = self.after.relation_sql(now);
        let definition = self.before.definition(part.catalog, oid).map(str::to_owned);
        let undo = definition.as_deref().map(|definition| vec![again(definition, &table)]);
        let place = Place::Gone(std::cmp::Reverse(oid));
        let detail = definition.map(|definition| definition.trim().to_owned()).unwrap_or_default();
        self.tell(place, part.dropped, label, detail).undo = undo;
    }

    /// Whether two definitions say something else. Their stored form alone does not tell: up to 16 it has the
    /// place of each word in the statement, and a renamed table changes the text only.
    pub(super) fn differs(&self, catalog: Catalog, old: u32, new: u32, stored: bool) -> bool {
        let texts = (self.before.definition(catalog, old), self.after.definition(catalog, new));
        stored && !matches!(texts, (Some(was), Some(is)) if was == is)
    }

    pub(super) fn altered(
        &mut self,
        kind: ChangeKind,
        label: String,
        detail: impl Into<String>,
    ) -> &mut Change {
        self.tell(Place::Changed(ALTERED), kind, label, detail)
    }

    fn constraints(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Constraint,
            &before.tables.constraints,
            &after.tables.constraints,
            |diff, _, row: &Constraint, is_before| {
                // NOT NULL is told with the column, what triggers keep with the trigger, and what a partition has from
                // its table with that.
                if matches!(row.kind, 'n' | 't') || row.parent != 0 {
                    return None;
                }
                if row.relation == 0 {
                    return diff
                        .within(Catalog::Type, row.domain, &row.name, is_before)
                        .map(|key| format!("domain {key}"));
                }
                diff.within(Catalog::Relation, row.relation, &row.name, is_before)
            },
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), is) => {
                    let (label, table) = self.constraint_names(is);
                    let undo =
                        format!("ALTER {table} DROP CONSTRAINT IF EXISTS {}", written_identifier(&is.name));
                    let detail = after.definition(Catalog::Constraint, oid).unwrap_or_default();
                    if !self.above_has(is, false) {
                        self.tell(Place::Made(oid), ChangeKind::ConstraintAdded, label, detail)
                            .undone_by([undo]);
                    }
                }
                Pair::Dropped((oid, ..), was) => {
                    let relation = self.now(Catalog::Relation, was.relation).unwrap_or(0);
                    let domain = self.now(Catalog::Type, was.domain).unwrap_or(0);
                    let (label, table) = self.constraint_names(&Constraint { relation, domain, ..bare(was) });
                    let text = before.definition(Catalog::Constraint, oid);
                    let name = written_identifier(&was.name);
                    let undo = text.map(|text| vec![format!("ALTER {table} ADD CONSTRAINT {name} {text}")]);
                    if !self.above_has(was, true) {
                        let place = Place::Gone(std::cmp::Reverse(oid));
                        self.tell(place, ChangeKind::ConstraintDropped, label, text.unwrap_or_default())
                            .undo = undo;
                    }
                }
                Pair::Recreated((old, ..), was, (new, ..), is) => self.constraint((old, was), (new, is)),
                Pair::Changed((oid, ..), was, is) => self.constraint((oid, was), (oid, is)),
            }
        }
    }

    /// The constraint in words, and what it is on for ALTER.
    fn constraint_names(&self, row: &Constraint) -> (String, String) {
        let name = written_identifier(&row.name);
        if row.relation == 0 {
            let domain = self.after.type_name(row.domain, -1);
            return (format!("constraint {name} of domain {domain}"), format!("DOMAIN {domain}"));
        }
        let label = format!("constraint {name} of {}", self.after.relation_label(row.relation));
        (label, format!("TABLE {}", self.after.relation_sql(row.relation)))
    }

    /// Whether the table above has come by, or lost, a constraint of the same name, too.
    fn above_has(&self, row: &Constraint, before: bool) -> bool {
        let state = if before { self.before } else { self.after };
        let (here, there) = if before { (self.before, self.after) } else { (self.after, self.before) };
        state.tables.inheritance.of(row.relation).any(|(_, above)| {
            let has = |state: &Snapshot| {
                let mut all = state.tables.constraints.iter();
                all.any(|(_, other)| other.relation == above.parent && other.name == row.name)
            };
            has(here) && !has(there)
        })
    }

    fn constraint(&mut self, (old, was): (u32, &Constraint), (new, is): (u32, &Constraint)) {
        if matches!(is.kind, 'n' | 't') || is.parent != 0 {
            return;
        }
        let (label, table) = self.constraint_names(is);
        let name = written_identifier(&is.name);
        if was.name != is.name {
            let (word, of) = (table.to_lowercase(), written_identifier(&was.name));
            let object = label.replacen(&name, &of, 1);
            let undo = format!("ALTER {table} RENAME CONSTRAINT {name} TO {of}");
            if word.starts_with("table") || word.starts_with("domain") {
                self.tell(Place::Changed(RENAMED), ChangeKind::ObjectRenamed, object, from_to(of, &name))
                    .undone_by([undo]);
            }
        }
        let definition = self.before.definition(Catalog::Constraint, old).map(str::to_owned);
        let again = definition.map(|text| {
            vec![
                format!("ALTER {table} DROP CONSTRAINT IF EXISTS {name}"),
                format!("ALTER {table} ADD CONSTRAINT {name} {text}"),
            ]
        });
        let timing = |row: &Constraint| match (row.deferrable, row.deferred) {
            (false, _) => "NOT DEFERRABLE",
            (true, false) => "DEFERRABLE INITIALLY IMMEDIATE",
            (true, true) => "DEFERRABLE INITIALLY DEFERRED",
        };
        let told = self.differs(Catalog::Constraint, old, new, was.definition != is.definition);
        if was.validated != is.validated {
            let detail = if is.validated { "validated" } else { "no longer validated" };
            self.altered(ChangeKind::ConstraintChanged, label.clone(), detail).undo = again.clone();
        }
        if was.enforced != is.enforced {
            let verb = if was.enforced { "ENFORCED" } else { "NOT ENFORCED" };
            let undo = format!("ALTER {table} ALTER CONSTRAINT {name} {verb}");
            let detail = if is.enforced { "enforced" } else { "no longer enforced" };
            self.altered(ChangeKind::ConstraintChanged, label.clone(), detail).undone_by([undo]);
        }
        if timing(was) != timing(is) {
            let undo = if is.kind == 'f' {
                Some(vec![format!("ALTER {table} ALTER CONSTRAINT {name} {}", timing(was))])
            } else {
                again.clone()
            };
            let detail = from_to(timing(was), timing(is));
            self.altered(ChangeKind::ConstraintChanged, label.clone(), detail).undo = undo;
        }
        if told {
            let text = |state: &Snapshot, oid| {
                state.definition(Catalog::Constraint, oid).unwrap_or("another definition").to_owned()
            };
            let detail = from_to(text(self.before, old), text(self.after, new));
            self.altered(ChangeKind::ConstraintChanged, label, detail).undo = again;
        }
    }

    /// Indexes of constraints, which come and go with these.
    fn constraint_indexes(&self) -> BTreeSet<u32> {
        let both = [self.before, self.after].into_iter();
        both.flat_map(|state| state.tables.constraints.iter().map(|(_, row)| row))
            .filter(|row| matches!(row.kind, 'p' | 'u' | 'x'))
            .map(|row| row.index)
            .collect()
    }

    fn indexes(&mut self) {
        let (before, after) = (self.before, self.after);
        if before.tables.indexes.same(&after.tables.indexes) {
            return;
        }
        let of_constraints = self.constraint_indexes();
        let name = |state: &Snapshot, oid: u32| {
            state.tables.relations.oid(oid).map(|relation| relation.name.clone())
        };
        let pairs = self.pairs(
            Catalog::Index,
            &before.tables.indexes,
            &after.tables.indexes,
            |diff, (oid, ..), row: &Index, is_before| {
                let state = if is_before { before } else { after };
                // Partitions of an index come and go with it.
                if of_constraints.contains(&oid) || state.tables.inheritance.of(oid).next().is_some() {
                    return None;
                }
                diff.within(Catalog::Relation, row.relation, &name(state, oid)?, is_before)
            },
        );
        let part = |name: &'static str, relation| Part {
            word: "index",
            name,
            relation,
            catalog: Catalog::Index,
            added: ChangeKind::IndexAdded,
            dropped: ChangeKind::IndexDropped,
        };
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), is) => {
                    let name = name(after, oid).unwrap_or_default();
                    let undo = format!("DROP INDEX IF EXISTS {}", after.relation_sql(oid));
                    self.part_added(oid, &Part { name: &name, ..part("", is.relation) }, undo);
                    if !is.valid {
                        self.index_validity(oid, is);
                    }
                }
                Pair::Dropped((oid, ..), was) => {
                    let name = name(before, oid).unwrap_or_default();
                    self.part_dropped(oid, &Part { name: &name, ..part("", was.relation) }, |text, _| {
                        text.to_owned()
                    });
                }
                Pair::Recreated((old, ..), was, (new, ..), is) => self.index((old, was), (new, is)),
                Pair::Changed((oid, ..), was, is) => self.index((oid, was), (oid, is)),
            }
        }
    }

    fn index_label(&self, oid: u32, is: &Index) -> String {
        let name = self.after.tables.relations.oid(oid).map(|relation| written_identifier(&relation.name));
        format!("index {} of {}", name.unwrap_or_default(), self.after.relation_label(is.relation))
    }

    fn index_validity(&mut self, oid: u32, is: &Index) {
        let label = self.index_label(oid, is);
        let detail =
            if is.valid { "valid" } else { "invalid: no query uses it, and every write maintains it" };
        let undo = (!is.valid).then(|| vec![format!("REINDEX INDEX {}", self.after.relation_sql(oid))]);
        self.altered(ChangeKind::IndexChanged, label, detail).undo = undo;
    }

    fn index(&mut self, (old, was): (u32, &Index), (new, is): (u32, &Index)) {
        if was.valid != is.valid {
            self.index_validity(new, is);
        }
        let stored = was.definition != is.definition || was.unique != is.unique;
        let label = self.index_label(new, is);
        if self.differs(Catalog::Index, old, new, stored) {
            let text = self.before.definition(Catalog::Index, old).map(str::to_owned);
            let undo =
                text.map(|text| vec![format!("DROP INDEX IF EXISTS {}", self.after.relation_sql(new)), text]);
            let detail =
                self.after.definition(Catalog::Index, new).unwrap_or("another definition").to_owned();
            self.altered(ChangeKind::IndexChanged, label, detail).undo = undo;
        }
    }

    fn triggers(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Trigger,
            &before.tables.triggers,
            &after.tables.triggers,
            |diff, _, row: &Trigger, is_before| {
                if row.internal || row.parent != 0 {
                    return None;
                }
                diff.within(Catalog::Relation, row.relation, &row.name, is_before)
            },
        );
        let of_trigger = |row: &'a Trigger| Part {
            name: &row.name,
            relation: row.relation,
            word: "trigger",
            catalog: Catalog::Trigger,
            added: ChangeKind::TriggerAdded,
            dropped: ChangeKind::TriggerDropped,
        };
        let mut kept_by_triggers = BTreeSet::new();
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), is) => {
                    let (name, table) = (written_identifier(&is.name), after.relation_sql(is.relation));
                    self.part_added(
                        oid,
                        &of_trigger(is),
                        format!("DROP TRIGGER IF EXISTS {name} ON {table}"),
                    );
                }
                Pair::Dropped((oid, ..), was) => {
                    let enabled = was.enabled;
                    let name = written_identifier(&was.name);
                    self.part_dropped(oid, &of_trigger(was), |text, table| match enabled {
                        'O' => text.to_owned(),
                        state => format!("{text}; ALTER TABLE {table} {} TRIGGER {name}", enabling(state).0),
                    });
                }
                Pair::Recreated((old, ..), was, (new, ..), is) => self.trigger((old, was), (new, is)),
                Pair::Changed(_, was, is) if is.internal => {
                    // The server keeps a foreign key with triggers of both tables.
                    if was.enabled != is.enabled {
                        kept_by_triggers.insert((is.relation, is.constraint, is.enabled, was.enabled));
                    }
                }
                Pair::Changed((oid, ..), was, is) => {
                    if is.parent == 0
                        || !after.tables.has(Catalog::Trigger, is.parent)
                        || was.enabled != is.enabled
                    {
                        self.trigger((oid, was), (oid, is));
                    }
                }
            }
        }
        for (relation, constraint, is, was) in kept_by_triggers {
            let name = after.tables.constraints.oid(constraint).map(|row| written_identifier(&row.name));
            let label = format!(
                "triggers of constraint {} on {}",
                name.unwrap_or_default(),
                after.relation_label(relation)
            );
            let kind = if is == 'D' { ChangeKind::TriggerDisabled } else { ChangeKind::TriggerEnabled };
            let undo =
                format!("ALTER TABLE {} {} TRIGGER ALL", after.relation_sql(relation), enabling(was).0);
            self.altered(kind, label, from_to(enabling(was).1, enabling(is).1)).undone_by([undo]);
        }
    }

    fn trigger(&mut self, (old, was): (u32, &Trigger), (new, is): (u32, &Trigger)) {
        let (name, table) = (written_identifier(&is.name), self.after.relation_sql(is.relation));
        let label = format!("trigger {name} of {}", self.after.relation_label(is.relation));
        if was.name != is.name {
            let before = written_identifier(&was.name);
            let undo = format!("ALTER TRIGGER {name} ON {table} RENAME TO {before}");
            let object = format!("trigger {before} of {}", self.after.relation_label(is.relation));
            self.tell(Place::Changed(RENAMED), ChangeKind::ObjectRenamed, object, from_to(before, &name))
                .undone_by([undo]);
        }
        let stored = was.definition != is.definition || was.function != is.function;
        if self.differs(Catalog::Trigger, old, new, stored) {
            let text = self.before.definition(Catalog::Trigger, old).map(str::to_owned);
            let undo = text.map(|text| vec![format!("DROP TRIGGER IF EXISTS {name} ON {table}"), text]);
            let detail =
                self.after.definition(Catalog::Trigger, new).unwrap_or("another definition").to_owned();
            self.altered(ChangeKind::TriggerChanged, label.clone(), detail).undo = undo;
        }
        if was.enabled != is.enabled {
            let kind =
                if is.enabled == 'D' { ChangeKind::TriggerDisabled } else { ChangeKind::TriggerEnabled };
            let undo = format!("ALTER TABLE {table} {} TRIGGER {name}", enabling(was.enabled).0);
            self.altered(kind, label, from_to(enabling(was.enabled).1, enabling(is.enabled).1))
                .undone_by([undo]);
        }
    }

    fn rules(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Rule,
            &before.tables.rules,
            &after.tables.rules,
            |diff, _, row: &Rule, is_before| {
                diff.within(Catalog::Relation, row.relation, &row.name, is_before)
            },
        );
        let of_rule = |row: &'a Rule| Part {
            name: &row.name,
            relation: row.relation,
            word: "rule",
            catalog: Catalog::Rule,
            added: ChangeKind::RuleAdded,
            dropped: ChangeKind::RuleDropped,
        };
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), is) => {
                    let (name, table) = (written_identifier(&is.name), after.relation_sql(is.relation));
                    self.part_added(oid, &of_rule(is), format!("DROP RULE IF EXISTS {name} ON {table}"));
                }
                Pair::Dropped((oid, ..), was) => {
                    self.part_dropped(oid, &of_rule(was), |text, _| text.to_owned())
                }
                Pair::Recreated((old, ..), was, (new, ..), is) => self.rule((old, was), (new, is)),
                Pair::Changed((oid, ..), was, is) => self.rule((oid, was), (oid, is)),
            }
        }
    }

    fn rule(&mut self, (old, was): (u32, &Rule), (new, is): (u32, &Rule)) {
        let (name, table) = (written_identifier(&is.name), self.after.relation_sql(is.relation));
        let stored = was.definition != is.definition || (was.event, was.instead) != (is.event, is.instead);
        let differs = self.differs(Catalog::Rule, old, new, stored);
        let text = self.before.definition(Catalog::Rule, old).map(str::to_owned);
        let now = self.after.definition(Catalog::Rule, new).unwrap_or("another definition").trim().to_owned();
        if &*is.name == "_RETURN" {
            if differs {
                let label = self.after.relation_label(is.relation);
                let view =
                    self.after.tables.relations.oid(is.relation).is_some_and(|relation| relation.kind == 'v');
                let undo = text
                    .filter(|_| view)
                    .map(|text| vec![format!("CREATE OR REPLACE VIEW {table} AS {text}")]);
                self.altered(ChangeKind::DefinitionChanged, label, now).undo = undo;
            }
            return;
        }
        let label = format!("rule {name} of {}", self.after.relation_label(is.relation));
        if was.name != is.name {
            let before = written_identifier(&was.name);
            let undo = format!("ALTER RULE {name} ON {table} RENAME TO {before}");
            let object = format!("rule {before} of {}", self.after.relation_label(is.relation));
            self.tell(Place::Changed(RENAMED), ChangeKind::ObjectRenamed, object, from_to(before, &name))
                .undone_by([undo]);
        }
        if differs {
            let undo = text.map(|text| vec![format!("DROP RULE IF EXISTS {name} ON {table}"), text]);
            self.altered(ChangeKind::RuleChanged, label.clone(), now).undo = undo;
        }
        if was.enabled != is.enabled {
            let kind = if is.enabled == 'D' { ChangeKind::RuleDisabled } else { ChangeKind::RuleEnabled };
            let undo = format!("ALTER TABLE {table} {} RULE {name}", enabling(was.enabled).0);
            self.altered(kind, label, from_to(enabling(was.enabled).1, enabling(is.enabled).1))
                .undone_by([undo]);
        }
    }
}

fn bare(row: &Constraint) -> Constraint {
    Constraint { name: row.name.clone(), ..*row }
}
