//! Policies of row security.

use super::super::catalogs::{Catalog, Policy};
use super::super::snapshot::Snapshot;
use super::{Diff, Pair, Place, RENAMED, from_to};
use crate::identifiers::written_identifier;
use crate::observations::ChangeKind;

impl Diff<'_> {
    pub(super) fn policies(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::Policy,
            &before.tables.policies,
            &after.tables.policies,
            |diff, _, row: &Policy, is_before| {
                diff.within(Catalog::Relation, row.relation, &row.name, is_before)
            },
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, ..), is) => {
                    let (label, drop) = self.policy_names(is, is.relation);
                    let detail = policy(after, oid, is, |role| after.role_sql(role));
                    self.tell(Place::Made(oid), ChangeKind::PolicyAdded, label, detail).undone_by([drop]);
                }
                Pair::Dropped((oid, ..), was) => {
                    let Some(now) = self.now(Catalog::Relation, was.relation) else { continue };
                    let (label, _) = self.policy_names(was, now);
                    let detail = policy(before, oid, was, |role| self.role_sql_now(role));
                    let undo = self.create_policy(was, now, &detail);
                    let place = Place::Gone(std::cmp::Reverse(oid));
                    self.tell(place, ChangeKind::PolicyDropped, label, detail).undone_by([undo]);
                }
                Pair::Recreated((old, ..), was, (new, ..), is) => self.policy((old, was), (new, is)),
                Pair::Changed((oid, ..), was, is) => self.policy((oid, was), (oid, is)),
            }
        }
    }

    fn policy_names(&self, row: &Policy, relation: u32) -> (String, String) {
        let (name, table) = (written_identifier(&row.name), self.after.relation_sql(relation));
        let label = format!("policy {name} of {}", self.after.relation_label(relation));
        (label, format!("DROP POLICY IF EXISTS {name} ON {table}"))
    }

    fn create_policy(&self, row: &Policy, relation: u32, definition: &str) -> String {
        let (name, table) = (written_identifier(&row.name), self.after.relation_sql(relation));
        format!("CREATE POLICY {name} ON {table} {definition}")
    }

    fn policy(&mut self, (old, was): (u32, &Policy), (new, is): (u32, &Policy)) {
        let (label, drop) = self.policy_names(is, is.relation);
        if was.name != is.name {
            let (from, to) = (written_identifier(&was.name), written_identifier(&is.name));
            let table = self.after.relation_sql(is.relation);
            let undo = format!("ALTER POLICY {to} ON {table} RENAME TO {from}");
            let object = label.replacen(&to, &from, 1);
            self.tell(Place::Changed(RENAMED), ChangeKind::ObjectRenamed, object, from_to(from, to))
                .undone_by([undo]);
        }
        let stored = (was.using, was.check) != (is.using, is.check);
        let differs = self.differs(Catalog::Policy, old, new, stored);
        let roles: Vec<_> =
            was.roles.0.iter().map(|role| self.now(Catalog::Role, *role).unwrap_or(*role)).collect();
        if differs || (was.command, was.permissive) != (is.command, is.permissive) || roles != is.roles.0 {
            let text = policy(self.before, old, was, |role| self.role_sql_now(role));
            let now = policy(self.after, new, is, |role| self.after.role_sql(role));
            let again = self.create_policy(is, is.relation, &text);
            self.altered(ChangeKind::PolicyChanged, label, from_to(text, now)).undone_by([drop, again]);
        }
    }
}

/// All of a policy but its name and its table.
fn policy(state: &Snapshot, oid: u32, row: &Policy, role: impl Fn(u32) -> String) -> String {
    let command = match row.command {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        _ => "ALL",
    };
    let kind = if row.permissive { "PERMISSIVE" } else { "RESTRICTIVE" };
    let roles: Vec<_> = row.roles.0.iter().map(|oid| role(*oid)).collect();
    let rest = state.definition(Catalog::Policy, oid).unwrap_or_default();
    format!("AS {kind} FOR {command} TO {}{rest}", roles.join(", "))
}
