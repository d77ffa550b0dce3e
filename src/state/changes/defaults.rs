//! Privileges on settings, and those that objects made later will have.

use std::collections::BTreeMap;

use super::super::acl::{Acl, Grant, Kind, Privileges};
use super::super::catalogs::Catalog;
use super::super::tables::{Difference, differences};
use super::{ALTERED, Diff, Pair, Place};
use crate::observations::ChangeKind;

impl Diff<'_> {
    /// Privileges on settings: a setting without any has no row.
    pub(super) fn parameters(&mut self) {
        let (before, after) = (self.before, self.after);
        // The bootstrap superuser, who has the OID 10, grants them, and is on the list itself as soon as there is one.
        let all = Kind::Parameter.all(after.version);
        let own = Grant { grantee: 10, grantor: 10, privileges: all, grantable: Privileges::NONE };
        let none = Some(Acl(vec![own]));
        for difference in differences(&before.tables.parameters, &after.tables.parameters) {
            let (name, was, is) = match difference {
                Difference::Added(_, row) => (&row.name, &none, &row.acl),
                Difference::Removed(_, row) => (&row.name, &row.acl, &none),
                Difference::Changed(_, was, is) => (&is.name, &was.acl, &is.acl),
            };
            let on = super::privileges::On {
                kind: Kind::Parameter,
                label: format!("parameter {name}"),
                sql: format!("PARAMETER {name}"),
                column: None,
            };
            self.privileges(&on, (was, 10), (is, 10));
        }
    }

    pub(super) fn default_privileges(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::DefaultPrivileges,
            &before.tables.default_privileges,
            &after.tables.default_privileges,
            |_, _, row, _| Some(format!("{} {} {}", row.role, row.schema, row.kind)),
        );
        for pair in pairs {
            let (row, was, is) = match pair {
                Pair::Created(_, row) => (row, None, Some(&row.acl)),
                Pair::Dropped(_, row) => (row, Some(&row.acl), None),
                Pair::Changed(_, was, is) | Pair::Recreated(_, was, _, is) => {
                    (is, Some(&was.acl), Some(&is.acl))
                }
            };
            if !after.tables.has(Catalog::Role, row.role) {
                continue;
            }
            let (kind, word) = match row.kind {
                'S' => (Kind::Sequence, "SEQUENCES"),
                'f' => (Kind::Function, "FUNCTIONS"),
                'T' => (Kind::Type, "TYPES"),
                'n' => (Kind::Schema, "SCHEMAS"),
                'L' => (Kind::Relation, "LARGE OBJECTS"),
                _ => (Kind::Relation, "TABLES"),
            };
            // In a schema they are added to what is granted anyway; without one they stand in its place.
            let implicit = Acl::default_of(kind, row.role, after.version);
            let rest = if row.schema == 0 { implicit } else { Acl::default() };
            let (was, is) = (was.unwrap_or(&rest), is.unwrap_or(&rest));
            let within = if row.schema == 0 {
                String::new()
            } else {
                format!(" IN SCHEMA {}", after.schema(row.schema))
            };
            let maker = after.role_sql(row.role);
            let alter = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {maker}{within}");
            let label =
                format!("default privileges of {maker} on {}{}", word.to_lowercase(), within.to_lowercase());
            let list = |acl: &Acl| {
                let mut found = BTreeMap::new();
                for grant in &acl.0 {
                    found.insert(grant.grantee, (grant.privileges, grant.grantable));
                }
                found
            };
            let (old, new) = (list(was), list(is));
            let grantees: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
            for grantee in grantees {
                let (had, has) = (
                    old.get(&grantee).copied().unwrap_or_default(),
                    new.get(&grantee).copied().unwrap_or_default(),
                );
                let who = self.role_sql_now(grantee);
                let role = self.role_now(grantee);
                for (one, privilege) in had.0.without(has.0).each() {
                    let option = if had.1.has(one) { " WITH GRANT OPTION" } else { "" };
                    let undo = format!("{alter} GRANT {privilege} ON {word} TO {who}{option}");
                    let place = Place::Changed(ALTERED);
                    self.tell(
                        place,
                        ChangeKind::DefaultPrivilegesChanged,
                        label.clone(),
                        format!("no longer {privilege}"),
                    )
                    .of(role.clone())
                    .undone_by([undo]);
                }
                for (_, privilege) in has.0.without(had.0).each() {
                    let undo = format!("{alter} REVOKE {privilege} ON {word} FROM {who}");
                    self.tell(
                        Place::Changed(ALTERED),
                        ChangeKind::DefaultPrivilegesChanged,
                        label.clone(),
                        privilege,
                    )
                    .of(role.clone())
                    .undone_by([undo]);
                }
            }
        }
    }
}
