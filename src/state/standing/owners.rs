//! Who owns things: whether anybody can still act as that role, and whether what it is to give reaches what others
//! make.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::catalogs::{Catalog, Relation};
use super::super::snapshot::Snapshot;
use super::super::tables::{Difference, differences};
use super::oddity;
use crate::observations::{Oddity, OddityKind};

/// Names that are told of many.
const TOLD: usize = 3;

/// Roles whose tables a role that can log in, and is no superuser, could alter before, and none can now.
pub(super) fn out_of_reach(before: &Snapshot, after: &Snapshot) -> Vec<Oddity> {
    let (old, new) = (&before.tables, &after.tables);
    if old.relations.same(&new.relations) && old.members.same(&new.members) && old.roles.same(&new.roles) {
        return Vec::new();
    }
    let (was, is) = (acting(before), acting(after));
    let mut lost: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for ((oid, ..), row) in new.relations.iter().filter(|(_, row)| is_own(row)) {
        let Some(earlier) = old.relations.oid(oid) else { continue };
        let superuser = after.role_row(row.owner).is_none_or(|owner| owner.superuser);
        if was.contains(&earlier.owner) && !is.contains(&row.owner) && !superuser {
            lost.entry(row.owner).or_default().push(after.label_of_relation(row));
        }
    }
    lost.into_iter()
        .map(|(owner, mut objects)| {
            objects.sort_unstable();
            let more = objects.len().saturating_sub(TOLD);
            objects.truncate(TOLD);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            Oddity {
                role: Some(after.role(owner)),
                detail: format!("{}{more}", objects.join(", ")),
                new: true,
                ..oddity(OddityKind::OutOfReach, format!("role {}", after.role_sql(owner)))
            }
        })
        .collect()
}

fn is_own(row: &Relation) -> bool {
    matches!(row.kind, 'r' | 'p' | 'v' | 'm' | 'f')
}

/// The roles as which somebody can act who can log in and is no superuser: itself, and those it is a member of.
fn acting(state: &Snapshot) -> BTreeSet<u32> {
    let mut of: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for ((role, member, _), _) in state.tables.members.iter() {
        of.entry(member).or_default().push(role);
    }
    let logins = state.tables.roles.iter().filter(|(_, row)| row.login && !row.superuser);
    let mut next: VecDeque<u32> = logins.map(|((oid, ..), _)| oid).collect();
    let mut found = BTreeSet::new();
    while let Some(role) = next.pop_front() {
        if found.insert(role) {
            next.extend(of.get(&role).into_iter().flatten());
        }
    }
    found
}

/// Default privileges that were set for a role which owns no table where others own some: they hold only for what
/// that role makes itself (PostgreSQL manual, ALTER DEFAULT PRIVILEGES).
pub(super) fn default_privileges_of_another(before: &Snapshot, after: &Snapshot) -> Vec<Oddity> {
    let mut found = Vec::new();
    for difference in differences(&before.tables.default_privileges, &after.tables.default_privileges) {
        let ((oid, ..), row) = match difference {
            Difference::Added(key, row) | Difference::Changed(key, _, row) => (key, row),
            Difference::Removed(..) => continue,
        };
        if row.kind != 'r' || !after.tables.has(Catalog::DefaultPrivileges, oid) {
            continue;
        }
        let there = |table: &Relation| is_own(table) && (row.schema == 0 || table.schema == row.schema);
        let users = |state: &Snapshot, table: &Relation| {
            state.tables.schemas.oid(table.schema).is_some_and(|schema| {
                !schema.name.starts_with("pg_") && &*schema.name != "information_schema"
            })
        };
        let tables = after.tables.relations.iter().map(|(_, table)| table);
        let owners: BTreeSet<u32> =
            tables.filter(|table| there(table) && users(after, table)).map(|table| table.owner).collect();
        if owners.is_empty() || owners.contains(&row.role) {
            continue;
        }
        let names: Vec<_> = owners.iter().map(|owner| after.role_sql(*owner)).collect();
        let within =
            if row.schema == 0 { String::new() } else { format!(" in schema {}", after.schema(row.schema)) };
        found.push(Oddity {
            role: Some(after.role(row.role)),
            detail: names.join(", "),
            new: true,
            ..oddity(
                OddityKind::DefaultPrivilegesOfAnother,
                format!("default privileges of {} on tables{within}", after.role_sql(row.role)),
            )
        });
    }
    found
}
