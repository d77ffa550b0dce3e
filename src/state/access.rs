//! What each login role can do, whatever the path, and what it can no longer do.

use std::collections::{BTreeMap, HashMap};

use super::acl::{Kind, Privileges};
use super::catalogs::Catalog;
use super::objects::{self, Guarded};
use super::reach::{Memberships, Reach};
use super::snapshot::Snapshot;
use super::tables::{Difference, Table, differences};
use super::why::paths;
use crate::identifiers::{RoleName, written_identifier};
use crate::observations::{Change, ChangeKind};

/// What the roles that can log in, and are there on both sides, can do on one side only. Superusers can do
/// everything, so of them it is told only where one is a superuser no longer, or only now.
///
/// Roles and objects are matched by name, as clients name them; what was renamed, made or dropped is told by
/// [`super::changes`].
pub fn access_changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let roles = roles(before, after);
    let touched = Objects::differing(before, after);
    // An object that is the same as before is looked at only for roles that reach other privileges than before.
    let mut found = Vec::new();
    let everything = roles.iter().any(|(_, (was, is))| !same(was, is)).then(|| Objects::all(before, after));
    for (name, (was, is)) in &roles {
        if was.superuser && is.superuser {
            continue;
        }
        let wanted = if same(was, is) { &touched } else { everything.as_ref().unwrap_or(&touched) };
        for (old, new) in &wanted.0 {
            compare(before, after, name, (was, old), (is, new), &mut found);
        }
    }
    found.sort_by(|a, b| {
        (a.kind, &a.role, &a.object).cmp(&(b.kind, &b.role, &b.object)).then_with(|| a.detail.cmp(&b.detail))
    });
    found
}

/// Login roles of both sides by name.
fn roles(before: &Snapshot, after: &Snapshot) -> BTreeMap<String, (Reach, Reach)> {
    let (old, new) = (Memberships::new(before), Memberships::new(after));
    let names: HashMap<&str, u32> = after
        .tables
        .roles
        .iter()
        .filter(|(_, row)| row.login)
        .map(|((oid, ..), row)| (&*row.name, oid))
        .collect();
    let logins = before.tables.roles.iter().filter(|(_, row)| row.login);
    logins
        .filter_map(|((oid, ..), row)| {
            let now = names.get(&*row.name)?;
            Some((row.name.to_string(), (old.reach(oid), new.reach(*now))))
        })
        .collect()
}

/// Whether a role reaches what it reached before; by which way does not matter.
fn same(was: &Reach, is: &Reach) -> bool {
    (was.role, was.superuser, was.bypass_rls) == (is.role, is.superuser, is.bypass_rls) && was.reaches(is)
}

/// Objects of both sides.
struct Objects<'a>(Vec<(Guarded<'a>, Guarded<'a>)>);

impl<'a> Objects<'a> {
    fn all(before: &'a Snapshot, after: &'a Snapshot) -> Self {
        let mut pairs = Self::differing(before, after).0;
        let known: std::collections::HashSet<_> =
            pairs.iter().map(|(old, _)| (old.catalog, old.key)).collect();
        let new: HashMap<_, _> =
            objects::all(after).map(|object| ((object.catalog, object.key), object)).collect();
        for old in objects::all(before) {
            let at = (old.catalog, old.key);
            if !known.contains(&at)
                && let Some(new) = new.get(&at)
            {
                pairs.push((old, *new));
            }
        }
        Self(pairs)
    }

    /// Those whose row is another than before.
    fn differing(before: &'a Snapshot, after: &'a Snapshot) -> Self {
        let mut pairs = Vec::new();
        let (old, new) = (&before.tables, &after.tables);
        each(&old.databases, &new.databases, before, after, &mut pairs, |(oid, ..), row| {
            Some(object(Catalog::Database, (oid, 0), Kind::Database, row.owner, &row.acl))
        });
        each(&old.schemas, &new.schemas, before, after, &mut pairs, |(oid, ..), row| {
            Some(object(Catalog::Schema, (oid, 0), Kind::Schema, row.owner, &row.acl))
        });
        each(&old.relations, &new.relations, before, after, &mut pairs, |(oid, ..), row| {
            objects::has_privileges(row).then(|| objects::relation(oid, row))
        });
        each(&old.functions, &new.functions, before, after, &mut pairs, |(oid, ..), row| {
            Some(object(Catalog::Function, (oid, 0), Kind::Function, row.owner, &row.acl))
        });
        each(&old.columns, &new.columns, before, after, &mut pairs, |(relation, number, _), row| {
            (!row.dropped).then(|| object(Catalog::Column, (relation, number), Kind::Column, 0, &row.acl))
        });
        Self(pairs)
    }
}

fn object(
    catalog: Catalog,
    key: (u32, u32),
    kind: Kind,
    owner: u32,
    acl: &Option<super::acl::Acl>,
) -> Guarded<'_> {
    Guarded { catalog, key, kind, owner, acl }
}

fn each<'a, R: PartialEq>(
    old: &'a Table<R>,
    new: &'a Table<R>,
    before: &Snapshot,
    after: &Snapshot,
    pairs: &mut Vec<(Guarded<'a>, Guarded<'a>)>,
    form: impl Fn((u32, u32, u32), &'a R) -> Option<Guarded<'a>>,
) {
    let mut gone = HashMap::new();
    let mut made = Vec::new();
    for difference in differences(old, new) {
        match difference {
            Difference::Changed(key, was, is) => pairs.extend(form(key, was).zip(form(key, is))),
            Difference::Removed(key, was) => {
                gone.extend(form(key, was).map(|object| (before.guarded_label(&object), object)));
            }
            Difference::Added(key, is) => made.extend(form(key, is)),
        }
    }
    if !gone.is_empty() {
        pairs.extend(made.into_iter().filter_map(|is| Some((*gone.get(&after.guarded_label(&is))?, is))));
    }
}

fn compare(
    before: &Snapshot,
    after: &Snapshot,
    name: &str,
    (reach, old): (&Reach, &Guarded),
    (reach_now, new): (&Reach, &Guarded),
    found: &mut Vec<Change>,
) {
    let (was, is) = (old.access(reach, before.version), new.access(reach_now, after.version));
    let (lost, gained) = if old.kind == Kind::Column {
        // What its table gives, the column need not.
        let whole = |state: &Snapshot, reach: &Reach, relation: u32| {
            let row = state.tables.relations.oid(relation);
            row.map_or(Privileges::NONE, |row| objects::relation(relation, row).access(reach, state.version))
        };
        let both = whole(before, reach, old.key.0).and(whole(after, reach_now, new.key.0));
        (was.without(is).without(both), is.without(was).without(both))
    } else {
        (was.without(is), is.without(was))
    };
    let mut tell = |kind, detail: String, undo| {
        found.push(Change {
            kind,
            object: after.guarded_label(new),
            role: Some(RoleName::new(name)),
            detail,
            statement: None,
            undo,
        });
    };
    let role = written_identifier(name);
    for (one, word) in lost.each() {
        let path = paths(before, reach, one, old).first().map(|path| format!(" (it had it {path})"));
        let (column, target) = after.grant_target(new);
        let undo = vec![format!("GRANT {word}{column} ON {target} TO {role}")];
        tell(ChangeKind::AccessLost, format!("{word}{}", path.unwrap_or_default()), Some(undo));
    }
    for (one, word) in gained.each() {
        let path = paths(after, reach_now, one, new).first().map(|path| format!(" ({path})"));
        tell(ChangeKind::AccessGained, format!("{word}{}", path.unwrap_or_default()), None);
    }
    if old.kind == Kind::Relation {
        let bound = (bound(before, reach, old.key.0), bound(after, reach_now, new.key.0));
        let reads =
            Privileges::SELECT.and(Privileges::INSERT).and(Privileges::UPDATE).and(Privileges::DELETE);
        if bound == (false, true) && !is.both(reads).is_empty() {
            let detail = "rows that no policy gives it (row security now applies to it)";
            tell(ChangeKind::AccessLost, detail.to_owned(), None);
        } else if bound == (true, false) && !is.both(reads).is_empty() {
            tell(
                ChangeKind::AccessGained,
                "every row (row security no longer applies to it)".to_owned(),
                None,
            );
        }
    }
}

/// Whether policies decide which rows of a table a role sees (PostgreSQL manual, 5.9).
fn bound(state: &Snapshot, reach: &Reach, relation: u32) -> bool {
    state.tables.relations.oid(relation).is_some_and(|row| {
        row.row_security && !reach.superuser && !reach.bypass_rls && (row.forced || !reach.has(row.owner))
    })
}
