//! By which paths a role has a privilege.

use std::fmt;

use super::acl::{Kind, PUBLIC, Privileges};
use super::catalogs::Catalog;
use super::objects::{self, Guarded};
use super::reach::{Memberships, Reach};
use super::snapshot::Snapshot;
use crate::identifiers::RoleName;

/// One path by which a role has a privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The memberships that lead there: a role that it is a member of, one that this is a member of, and so on.
    pub through: Vec<RoleName>,
    /// What the last of them, or the role itself, has it by.
    pub ground: Ground,
}

/// What somebody has a privilege by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// No privilege is ever checked.
    Superuser,
    /// It owns the object.
    Owner,
    /// Everybody has it.
    Public,
    /// It was granted by this role.
    Granted(RoleName),
    /// The predefined role has it on everything (PostgreSQL manual, 21.5).
    Predefined,
    /// On a column: its table gives it.
    Table(Box<Path>),
}

impl fmt::Display for Path {
    /// As it stands behind "it has the privilege".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ground::Table(path) = &self.ground {
            return write!(f, "on the whole table, {path}");
        }
        let Some((first, rest)) = self.through.split_first() else {
            return match &self.ground {
                Ground::Superuser => f.write_str("as a superuser"),
                Ground::Owner => f.write_str("as the owner"),
                Ground::Public => f.write_str("as everybody, by a grant to PUBLIC"),
                Ground::Granted(by) => write!(f, "by a direct grant from {by}"),
                Ground::Predefined => f.write_str("as a predefined role"),
                Ground::Table(_) => Ok(()),
            };
        };
        write!(f, "through its membership in {first}")?;
        for role in rest {
            write!(f, ", a member of {role}")?;
        }
        match &self.ground {
            Ground::Owner => f.write_str(", the owner"),
            Ground::Predefined => f.write_str(", which has it on everything"),
            _ => Ok(()),
        }
    }
}

/// By which paths a role has a privilege on an object; nothing where it has not. The privilege is a word as GRANT has
/// it, the object is told as in [`super::Change`].
pub fn why(snapshot: &Snapshot, role: &RoleName, privilege: &str, object: &str) -> Vec<Path> {
    let Some((oid, privilege)) = snapshot.role_named(role.as_str()).zip(Privileges::word(privilege)) else {
        return Vec::new();
    };
    let reach = Memberships::new(snapshot).reach(oid);
    if let Some((table, own)) = column(snapshot, object) {
        let mut found: Vec<_> = own.map(|own| paths(snapshot, &reach, privilege, &own)).unwrap_or_default();
        let whole = paths(snapshot, &reach, privilege, &table).into_iter();
        found.extend(whole.map(|path| Path { through: Vec::new(), ground: Ground::Table(Box::new(path)) }));
        return found;
    }
    find(snapshot, object).map(|guarded| paths(snapshot, &reach, privilege, &guarded)).unwrap_or_default()
}

/// The object that is called so.
fn find<'a>(snapshot: &'a Snapshot, label: &str) -> Option<Guarded<'a>> {
    // Its bare name is in it, which is seen faster than the whole is written.
    let mut named = objects::all(snapshot).filter(|guarded| {
        let (tables, oid) = (&snapshot.tables, guarded.key.0);
        let name = match guarded.catalog {
            Catalog::Relation => tables.relations.oid(oid).map(|row| &row.name),
            Catalog::Function => tables.functions.oid(oid).map(|row| &row.name),
            _ => None,
        };
        name.is_none_or(|name| name.contains('"') || label.contains(&**name))
    });
    named.find(|guarded| snapshot.guarded_label(guarded) == label)
}

/// `column NAME of table …`: the table, and the column where it has privileges of its own.
fn column<'a>(snapshot: &'a Snapshot, object: &str) -> Option<(Guarded<'a>, Option<Guarded<'a>>)> {
    let (name, table) = object.strip_prefix("column ")?.split_once(" of ")?;
    let table = find(snapshot, table)?;
    let own = objects::all(snapshot).find(|guarded| {
        guarded.kind == Kind::Column
            && guarded.key.0 == table.key.0
            && snapshot.column_name(guarded.key.0, guarded.key.1) == name
    });
    Some((table, own))
}

/// The paths to one object, the shortest first.
pub(super) fn paths(
    snapshot: &Snapshot,
    reach: &Reach,
    privilege: Privileges,
    object: &Guarded,
) -> Vec<Path> {
    if reach.superuser {
        return vec![Path { through: Vec::new(), ground: Ground::Superuser }];
    }
    // Nobody but a superuser has what is taken from all others.
    if !object.access(reach, snapshot.version).has(privilege) {
        return Vec::new();
    }
    let through = |to| reach.way(to).into_iter().map(|role| snapshot.role(role)).collect::<Vec<_>>();
    let mut found = Vec::new();
    for grant in object.grants(snapshot.version).iter().filter(|grant| grant.privileges.has(privilege)) {
        if grant.grantee == PUBLIC {
            found.push(Path { through: Vec::new(), ground: Ground::Public });
        } else if reach.has(grant.grantee) {
            let ground = if grant.grantee == object.owner {
                Ground::Owner
            } else {
                Ground::Granted(snapshot.role(grant.grantor))
            };
            found.push(Path { through: through(grant.grantee), ground });
        }
    }
    let relation = matches!(object.kind, Kind::Relation | Kind::Sequence);
    let schema = object.kind == Kind::Schema && privilege == Privileges::USAGE;
    let writes = Privileges::INSERT.and(Privileges::UPDATE).and(Privileges::DELETE);
    for (role, gives) in [
        (reach.reads_all, relation && privilege == Privileges::SELECT || schema),
        (reach.writes_all, relation && writes.has(privilege) || schema),
        (reach.maintains_all, relation && privilege == Privileges::MAINTAIN),
    ] {
        if let Some(role) = role.filter(|_| gives) {
            found.push(Path { through: through(role), ground: Ground::Predefined });
        }
    }
    found.sort_by_key(|path| path.through.len());
    found
}
