//! What each login role can do, whatever the path, and what it can no longer do.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use super::acl::{Kind, Privileges};
use super::catalogs::Catalog;
use super::objects::{self, Guarded};
use super::reach::{Memberships, Reach};
use super::snapshot::Snapshot;
use super::sorts::{Access, Sorts};
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
    let mut pairs = differing(before, after);
    let touched = pairs.len();
    // An object that is the same as before is looked at only for roles that reach other privileges than before.
    if roles.values().any(|(was, is)| !same(was, is)) {
        add_others(before, after, &mut pairs);
    }
    let (old, new) =
        (Sorts::new(pairs.iter().map(|pair| &pair.old)), Sorts::new(pairs.iter().map(|pair| &pair.new)));
    let mut found = Vec::new();
    for (by, (name, (was, is))) in roles.iter().enumerate() {
        if was.superuser && is.superuser {
            continue;
        }
        let looked_at = if same(was, is) { touched } else { pairs.len() };
        let (had, has) = (Access::new(&old, before.version, was), Access::new(&new, after.version, is));
        let grantee = written_identifier(name);
        let mut role = Role { before, after, name, grantee, was, is, had, has, ways: HashMap::new() };
        for (at, pair) in pairs.iter().take(looked_at).enumerate() {
            role.compare(at, pair, &mut |change| found.push((by, at, change)));
        }
    }
    // Thousands of changes may be told of one object: it is put into its place by its name once.
    let mut named: Vec<usize> = found.iter().map(|(_, at, _)| *at).collect();
    named.sort_unstable();
    named.dedup();
    let label = |at: &usize| pairs.get(*at).map(|pair| pair.label(after));
    named.sort_by(|a, b| label(a).cmp(&label(b)));
    let mut places = vec![0; pairs.len()];
    for (place, at) in named.into_iter().enumerate() {
        if let Some(slot) = places.get_mut(at) {
            *slot = place;
        }
    }
    let place = |at: usize| places.get(at).copied();
    found.sort_by(|(by, at, a), (other, bt, b)| {
        let order = (a.kind, by, place(*at)).cmp(&(b.kind, other, place(*bt)));
        order.then_with(|| a.detail.cmp(&b.detail))
    });
    found.into_iter().map(|(.., change)| change).collect()
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

/// An object as it is on both sides.
struct Pair<'a> {
    old: Guarded<'a>,
    new: Guarded<'a>,
    label: OnceCell<String>,
    /// What is behind `ON` in GRANT.
    target: OnceCell<(String, String)>,
    row_security: OnceCell<bool>,
}

impl<'a> Pair<'a> {
    const fn new(old: Guarded<'a>, new: Guarded<'a>) -> Self {
        Self { old, new, label: OnceCell::new(), target: OnceCell::new(), row_security: OnceCell::new() }
    }

    fn label(&self, after: &Snapshot) -> &str {
        self.label.get_or_init(|| after.guarded_label(&self.new))
    }

    fn target(&self, after: &Snapshot) -> &(String, String) {
        self.target.get_or_init(|| after.grant_target(&self.new))
    }

    /// Whether policies may decide about its rows on one side.
    fn row_security(&self, before: &Snapshot, after: &Snapshot) -> bool {
        let of = |state: &Snapshot, object: &Guarded| {
            state.tables.relations.oid(object.key.0).is_some_and(|row| row.row_security)
        };
        *self.row_security.get_or_init(|| of(before, &self.old) || of(after, &self.new))
    }
}

/// Adds the objects whose row is the same as before.
fn add_others<'a>(before: &'a Snapshot, after: &'a Snapshot, pairs: &mut Vec<Pair<'a>>) {
    let known: std::collections::HashSet<_> =
        pairs.iter().map(|pair| (pair.old.catalog, pair.old.key)).collect();
    let new: HashMap<_, _> =
        objects::all(after).map(|object| ((object.catalog, object.key), object)).collect();
    for old in objects::all(before) {
        let at = (old.catalog, old.key);
        if !known.contains(&at)
            && let Some(new) = new.get(&at)
        {
            pairs.push(Pair::new(old, *new));
        }
    }
}

/// The objects whose row is another than before.
fn differing<'a>(before: &'a Snapshot, after: &'a Snapshot) -> Vec<Pair<'a>> {
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
    each(&old.large_objects, &new.large_objects, before, after, &mut pairs, |(oid, ..), row| {
        Some(object(Catalog::LargeObject, (oid, 0), Kind::LargeObject, row.owner, &row.acl))
    });
    each(&old.columns, &new.columns, before, after, &mut pairs, |(relation, number, _), row| {
        (!row.dropped).then(|| object(Catalog::Column, (relation, number), Kind::Column, 0, &row.acl))
    });
    pairs
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
    pairs: &mut Vec<Pair<'a>>,
    form: impl Fn((u32, u32, u32), &'a R) -> Option<Guarded<'a>>,
) {
    let mut gone = HashMap::new();
    let mut made = Vec::new();
    for difference in differences(old, new) {
        match difference {
            Difference::Changed(key, was, is) => {
                pairs.extend(form(key, was).zip(form(key, is)).map(|(old, new)| Pair::new(old, new)));
            }
            Difference::Removed(key, was) => {
                gone.extend(form(key, was).map(|object| (before.guarded_label(&object), object)));
            }
            Difference::Added(key, is) => made.extend(form(key, is)),
        }
    }
    if !gone.is_empty() {
        let of = |is| Some(Pair::new(*gone.get(&after.guarded_label(&is))?, is));
        pairs.extend(made.into_iter().filter_map(of));
    }
}

/// A role that can log in on both sides.
struct Role<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
    name: &'a str,
    /// Its name as SQL has it.
    grantee: String,
    was: &'a Reach,
    is: &'a Reach,
    had: Access<'a>,
    has: Access<'a>,
    /// What is told of a privilege that is lost (or not) of an object of a sort: by which way the role has had it.
    ways: HashMap<(bool, Privileges, usize), String>,
}

impl Role<'_> {
    fn compare(&mut self, at: usize, pair: &Pair, tell: &mut impl FnMut(Change)) {
        let (before, after, old, new) = (self.before, self.after, &pair.old, &pair.new);
        let (was, is) = (self.had.of(at, old), self.has.of(at, new));
        let (lost, gained) = if old.kind == Kind::Column {
            // What its table gives, the column need not.
            let whole = |state: &Snapshot, reach: &Reach, relation: u32| {
                let row = state.tables.relations.oid(relation);
                row.map_or(Privileges::NONE, |row| {
                    objects::relation(relation, row).access(reach, state.version)
                })
            };
            let both = whole(before, self.was, old.key.0).and(whole(after, self.is, new.key.0));
            (was.without(is).without(both), is.without(was).without(both))
        } else {
            (was.without(is), is.without(was))
        };
        let name = self.name;
        let mut tell = |kind, detail: String, undo| {
            tell(Change {
                kind,
                object: pair.label(after).to_owned(),
                role: Some(RoleName::new(name)),
                detail,
                statement: None,
                undo,
            });
        };
        for (one, word) in lost.each() {
            let detail = self.ways.entry((true, one, self.had.sort(at))).or_insert_with(|| {
                let path = paths(before, self.was, one, old).into_iter().next();
                path.map_or_else(|| word.to_owned(), |path| format!("{word} (it had it {path})"))
            });
            let (column, target) = pair.target(after);
            let undo = vec![format!("GRANT {word}{column} ON {target} TO {}", self.grantee)];
            tell(ChangeKind::AccessLost, detail.clone(), Some(undo));
        }
        for (one, word) in gained.each() {
            let detail = self.ways.entry((false, one, self.has.sort(at))).or_insert_with(|| {
                let path = paths(after, self.is, one, new).into_iter().next();
                path.map_or_else(|| word.to_owned(), |path| format!("{word} ({path})"))
            });
            tell(ChangeKind::AccessGained, detail.clone(), None);
        }
        if old.kind == Kind::Relation && pair.row_security(before, after) {
            let bound = (bound(before, self.was, old.key.0), bound(after, self.is, new.key.0));
            let reads =
                Privileges::SELECT.and(Privileges::INSERT).and(Privileges::UPDATE).and(Privileges::DELETE);
            if bound == (false, true) && !is.both(reads).is_empty() {
                let detail = "rows that no policy gives it (row security now applies to it)";
                tell(ChangeKind::AccessLost, detail.to_owned(), None);
            } else if bound == (true, false) && !is.both(reads).is_empty() {
                let detail = "every row (row security no longer applies to it)";
                tell(ChangeKind::AccessGained, detail.to_owned(), None);
            }
        }
    }
}

/// Whether policies decide which rows of a table a role sees (PostgreSQL manual, 5.9).
fn bound(state: &Snapshot, reach: &Reach, relation: u32) -> bool {
    state.tables.relations.oid(relation).is_some_and(|row| {
        row.row_security && !reach.superuser && !reach.bypass_rls && (row.forced || !reach.has(row.owner))
    })
}
