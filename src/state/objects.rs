//! Everything that has privileges, in one form.

use super::acl::{Acl, Grant, Kind, Privileges};
use super::catalogs::{Catalog, Relation};
use super::reach::Reach;
use super::snapshot::Snapshot;

/// An object with a list of privileges.
#[derive(Clone, Copy)]
pub(super) struct Guarded<'a> {
    pub(super) catalog: Catalog,
    pub(super) key: (u32, u32),
    pub(super) kind: Kind,
    pub(super) owner: u32,
    pub(super) acl: &'a Option<Acl>,
}

impl Guarded<'_> {
    /// Who was granted what, whether that stands there or goes without saying.
    pub(super) fn grants(&self, version: u32) -> Vec<Grant> {
        match self.acl {
            Some(acl) => acl.0.clone(),
            None => Acl::default_of(self.kind, self.owner, version).0,
        }
    }

    /// Whether it is a relation of PostgreSQL's own.
    pub(super) fn is_own(&self) -> bool {
        self.kind == Kind::Relation && self.key.0 < 12_000
    }

    /// What a role can do with it, whatever the path (PostgreSQL manual, 5.8). For a column, what it has by the
    /// column's own list.
    pub(super) fn access(&self, reach: &Reach, version: u32) -> Privileges {
        let all = self.kind.all(version);
        if reach.superuser {
            return all;
        }
        let mut found = Privileges::NONE;
        let mut add = |grant: &Grant| {
            if grant.grantee == super::acl::PUBLIC || reach.has(grant.grantee) {
                found = found.and(grant.privileges);
            }
        };
        match self.acl {
            Some(acl) => acl.0.iter().for_each(&mut add),
            None => self.grants(version).iter().for_each(&mut add),
        }
        // Nobody but a superuser writes to a catalog.
        if self.is_own() {
            let writes =
                Privileges::INSERT.and(Privileges::UPDATE).and(Privileges::DELETE).and(Privileges::TRUNCATE);
            found = found.without(writes);
        } else {
            found = found.and(self.predefined(reach));
        }
        found.both(all)
    }

    fn predefined(&self, reach: &Reach) -> Privileges {
        use Privileges as P;
        let mut found = P::NONE;
        for (role, on_relation) in [
            (reach.reads_all, P::SELECT),
            (reach.writes_all, P::INSERT.and(P::UPDATE).and(P::DELETE)),
            (reach.maintains_all, P::MAINTAIN),
        ] {
            if role.is_some() {
                found = found.and(match self.kind {
                    Kind::Relation | Kind::Sequence => on_relation,
                    Kind::Schema if on_relation != P::MAINTAIN => P::USAGE,
                    _ => P::NONE,
                });
            }
        }
        found
    }
}

/// Relations of this kind have privileges.
pub(super) fn has_privileges(relation: &Relation) -> bool {
    !matches!(relation.kind, 'i' | 'I' | 'c' | 't')
}

pub(super) fn relation(oid: u32, row: &Relation) -> Guarded<'_> {
    let kind = if row.kind == 'S' { Kind::Sequence } else { Kind::Relation };
    Guarded { catalog: Catalog::Relation, key: (oid, 0), kind, owner: row.owner, acl: &row.acl }
}

/// Each object of a state with its privileges. Columns only where they have their own.
pub(super) fn all(state: &Snapshot) -> impl Iterator<Item = Guarded<'_>> {
    let tables = &state.tables;
    let databases = tables.databases.iter().map(|((oid, ..), row)| Guarded {
        catalog: Catalog::Database,
        key: (oid, 0),
        kind: Kind::Database,
        owner: row.owner,
        acl: &row.acl,
    });
    let schemas = tables.schemas.iter().map(|((oid, ..), row)| Guarded {
        catalog: Catalog::Schema,
        key: (oid, 0),
        kind: Kind::Schema,
        owner: row.owner,
        acl: &row.acl,
    });
    let relations = tables
        .relations
        .iter()
        .filter(|(_, row)| has_privileges(row))
        .map(|((oid, ..), row)| relation(oid, row));
    let functions = tables.functions.iter().map(|((oid, ..), row)| Guarded {
        catalog: Catalog::Function,
        key: (oid, 0),
        kind: Kind::Function,
        owner: row.owner,
        acl: &row.acl,
    });
    let columns = tables.columns.iter().filter(|(_, row)| row.acl.is_some() && !row.dropped).map(
        |((relation, number, _), row)| Guarded {
            catalog: Catalog::Column,
            key: (relation, number),
            kind: Kind::Column,
            owner: tables.relations.oid(relation).map_or(0, |relation| relation.owner),
            acl: &row.acl,
        },
    );
    let large = tables.large_objects.iter().map(|((oid, ..), row)| Guarded {
        catalog: Catalog::LargeObject,
        key: (oid, 0),
        kind: Kind::LargeObject,
        owner: row.owner,
        acl: &row.acl,
    });
    databases.chain(schemas).chain(relations).chain(functions).chain(columns).chain(large)
}

impl Snapshot {
    pub(super) fn role_named(&self, name: &str) -> Option<u32> {
        self.tables.roles.iter().find(|(_, role)| &*role.name == name).map(|((oid, ..), _)| oid)
    }

    /// What an object with privileges is called.
    pub(super) fn guarded_label(&self, object: &Guarded) -> String {
        let (oid, number) = object.key;
        match object.catalog {
            Catalog::Database => format!("database {}", self.database_name(oid)),
            Catalog::Schema => format!("schema {}", self.schema(oid)),
            Catalog::Function => self.function_label(oid),
            Catalog::LargeObject => format!("large object {oid}"),
            Catalog::Column => {
                format!("column {} of {}", self.column_name(oid, number), self.relation_label(oid))
            }
            _ => self.relation_label(oid),
        }
    }

    /// What stands behind `ON` in GRANT, and the column in front of it.
    pub(super) fn grant_target(&self, object: &Guarded) -> (String, String) {
        let (oid, number) = object.key;
        let none = String::new();
        match object.catalog {
            Catalog::Database => (none, format!("DATABASE {}", self.database_name(oid))),
            Catalog::Schema => (none, format!("SCHEMA {}", self.schema(oid))),
            Catalog::LargeObject => (none, format!("LARGE OBJECT {oid}")),
            Catalog::Function => {
                let row = self.tables.functions.oid(oid);
                let word = if row.is_some_and(|row| row.kind == 'p') { "PROCEDURE" } else { "FUNCTION" };
                (none, format!("{word} {}", row.map(|row| self.function_signature(row)).unwrap_or_default()))
            }
            Catalog::Column => (format!(" ({})", self.column_name(oid, number)), self.relation_sql(oid)),
            _ if object.kind == Kind::Sequence => (none, format!("SEQUENCE {}", self.relation_sql(oid))),
            _ => (none, self.relation_sql(oid)),
        }
    }
}
