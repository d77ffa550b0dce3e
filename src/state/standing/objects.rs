//! Tables and what belongs to them, left halfway.

use std::collections::{BTreeMap, BTreeSet};

use super::super::snapshot::Snapshot;
use super::oddity;
use crate::identifiers::written_identifier;
use crate::observations::{Oddity, OddityKind};

/// What can be said of a state without knowing any other.
pub(super) fn halfway(state: &Snapshot) -> Vec<Oddity> {
    let mut found = Vec::new();
    let tables = &state.tables;
    for ((oid, ..), row) in tables.indexes.iter().filter(|(_, row)| !row.valid || !row.ready) {
        let Some(relation) = tables.relations.oid(oid) else { continue };
        let object =
            format!("index {} of {}", written_identifier(&relation.name), state.relation_label(row.relation));
        // That of a partitioned table waits for its partitions' (PostgreSQL manual, CREATE INDEX).
        let detail = if relation.kind == 'I' { "partitioned" } else { "" };
        found.push(Oddity { detail: detail.to_owned(), ..oddity(OddityKind::InvalidIndex, object) });
    }
    // A foreign key is asked for only when its own columns change; a check whenever a row does.
    let checks = tables.constraints.iter().filter(|(_, row)| matches!(row.kind, 'c' | 'n'));
    for (_, row) in checks.filter(|(_, row)| !row.validated && row.enforced && row.relation != 0) {
        let object =
            format!("constraint {} of {}", written_identifier(&row.name), state.relation_label(row.relation));
        found.push(oddity(OddityKind::UnvalidatedConstraint, object));
    }
    let mut disabled: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (_, row) in tables.triggers.iter().filter(|(_, row)| row.enabled == 'D') {
        let name = if row.internal { "foreign keys".to_owned() } else { written_identifier(&row.name) };
        disabled.entry(row.relation).or_default().push(name);
    }
    for (relation, mut names) in disabled {
        names.sort_unstable();
        names.dedup();
        let detail = names.join(", ");
        found.push(Oddity { detail, ..oddity(OddityKind::TriggersDisabled, state.relation_label(relation)) });
    }
    for (_, row) in tables.event_triggers.iter().filter(|(_, row)| row.enabled == 'D') {
        let object = format!("event trigger {}", written_identifier(&row.name));
        found.push(oddity(OddityKind::EventTriggerDisabled, object));
    }
    found.extend(row_security(state));
    found
}

fn row_security(state: &Snapshot) -> Vec<Oddity> {
    let mut found = Vec::new();
    let with_policies: BTreeSet<u32> = state.tables.policies.iter().map(|(_, row)| row.relation).collect();
    for ((oid, ..), row) in state.tables.relations.iter() {
        // Where nobody but its owner may do anything, no policy shuts nobody out.
        let others = row.acl.iter().flat_map(|acl| &acl.0).any(|grant| grant.grantee != row.owner);
        if row.row_security && !with_policies.contains(&oid) && others {
            found.push(oddity(OddityKind::NoPolicy, state.relation_label(oid)));
        }
        if !row.row_security && with_policies.contains(&oid) {
            found.push(oddity(OddityKind::PoliciesWithoutEffect, state.relation_label(oid)));
        }
    }
    found
}

/// Tables that were better off before, found by their names, since a new one may have taken the place.
pub(super) fn made_worse(before: &Snapshot, after: &Snapshot) -> Vec<Oddity> {
    if before.tables.relations.same(&after.tables.relations) {
        return Vec::new();
    }
    let was: BTreeMap<String, _> = before
        .tables
        .relations
        .iter()
        .filter(|(_, row)| matches!(row.kind, 'r' | 'p' | 'm'))
        .map(|(_, row)| (before.label_of_relation(row), row))
        .collect();
    let mut found = Vec::new();
    for (_, row) in after.tables.relations.iter().filter(|(_, row)| matches!(row.kind, 'r' | 'p' | 'm')) {
        let object = after.label_of_relation(row);
        let Some(was) = was.get(&object) else { continue };
        if row.persistence == 'u' && was.persistence == 'p' {
            found.push(Oddity { new: true, ..oddity(OddityKind::NoLongerLogged, object.clone()) });
        }
        let off = |options: &super::super::fields::Texts| {
            let mut settings = options.settings();
            settings.any(|(name, value)| {
                name == "autovacuum_enabled" && matches!(value, "false" | "off" | "0" | "no")
            })
        };
        if off(&row.options) && !off(&was.options) {
            found.push(Oddity { new: true, ..oddity(OddityKind::NoAutovacuum, object) });
        }
    }
    found
}
