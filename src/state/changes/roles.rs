//! Roles, their settings and who is a member of which.

use std::collections::BTreeMap;

use super::super::catalogs::{Catalog, Member, Role, RoleSettings};
use super::super::tables::{Difference, differences};
use super::{ALTERED, Diff, Pair, Place, RENAMED_SCHEMA, from_to};
use crate::identifiers::{RoleName, quote_literal, written_identifier};
use crate::observations::ChangeKind;

/// Each attribute by the word that gives it (PostgreSQL manual, CREATE ROLE).
fn attributes(role: &Role) -> [(&'static str, bool); 7] {
    [
        ("SUPERUSER", role.superuser),
        ("INHERIT", role.inherit),
        ("CREATEROLE", role.create_role),
        ("CREATEDB", role.create_db),
        ("LOGIN", role.login),
        ("REPLICATION", role.replication),
        ("BYPASSRLS", role.bypass_rls),
    ]
}

fn attribute(word: &str, on: bool) -> String {
    format!("{}{word}", if on { "" } else { "NO" })
}

fn until(valid: Option<&str>) -> &str {
    valid.unwrap_or("infinity")
}

/// How a password is stored, without a trace of it.
fn password_kind(role: &Role) -> &str {
    role.password.as_deref().and_then(|stored| stored.split_once(' ')).map_or("none", |(kind, _)| kind)
}

impl Diff<'_> {
    pub(super) fn roles(&mut self) {
        let pairs = self.pairs(
            Catalog::Role,
            &self.before.tables.roles,
            &self.after.tables.roles,
            |_, _, role, _| Some(role.name.to_string()),
        );
        for pair in pairs {
            match pair {
                Pair::Created((oid, _, _), role) => {
                    let undo = format!("DROP ROLE IF EXISTS {}", written_identifier(&role.name));
                    let detail = if role.login { "LOGIN" } else { "" };
                    self.role_change(Place::Made(oid), ChangeKind::RoleCreated, role, detail)
                        .undone_by([undo]);
                }
                Pair::Dropped((oid, _, _), role) => {
                    // Without its password it would be another one.
                    let undo = role.password.is_none().then(|| vec![create_role(role)]);
                    let place = Place::Gone(std::cmp::Reverse(oid));
                    self.role_change(place, ChangeKind::RoleDropped, role, "").undo = undo;
                }
                Pair::Recreated((oid, _, _), was, _, is) => {
                    let place = Place::Gone(std::cmp::Reverse(oid));
                    let detail = "dropped and made anew: what was granted to it, its memberships and its settings are gone";
                    self.role_change(place, ChangeKind::RoleRecreated, is, detail);
                    self.role_attributes(was, is);
                }
                Pair::Changed(_, was, is) => {
                    if was.name != is.name {
                        let (old, new) = (written_identifier(&was.name), written_identifier(&is.name));
                        let undo = format!("ALTER ROLE {new} RENAME TO {old}");
                        let place = Place::Changed(RENAMED_SCHEMA);
                        self.tell(place, ChangeKind::RoleRenamed, format!("role {old}"), from_to(&old, &new))
                            .of(RoleName::new(&*is.name))
                            .undone_by([undo]);
                    }
                    self.role_attributes(was, is);
                }
            }
        }
        self.role_settings();
        self.members();
    }

    fn role_change(
        &mut self,
        place: Place,
        kind: ChangeKind,
        role: &Role,
        detail: &str,
    ) -> &mut super::Change {
        self.tell(place, kind, format!("role {}", written_identifier(&role.name)), detail)
            .of(RoleName::new(&*role.name))
    }

    fn role_attributes(&mut self, was: &Role, is: &Role) {
        let name = written_identifier(&is.name);
        let place = Place::Changed(ALTERED);
        let kind = ChangeKind::RoleAttributeChanged;
        for ((word, old), (_, new)) in attributes(was).into_iter().zip(attributes(is)) {
            if old != new {
                let undo = format!("ALTER ROLE {name} {}", attribute(word, old));
                self.role_change(place, kind, is, &attribute(word, new)).undone_by([undo]);
            }
        }
        if was.connection_limit != is.connection_limit {
            let undo = format!("ALTER ROLE {name} CONNECTION LIMIT {}", was.connection_limit);
            let detail = format!("CONNECTION LIMIT {}", from_to(was.connection_limit, is.connection_limit));
            self.role_change(place, kind, is, &detail).undone_by([undo]);
        }
        let (old, new) = (until(was.valid_until.as_deref()), until(is.valid_until.as_deref()));
        if old != new {
            let undo = format!("ALTER ROLE {name} VALID UNTIL {}", quote_literal(old));
            self.role_change(place, kind, is, &format!("VALID UNTIL {}", from_to(old, new)))
                .undone_by([undo]);
        }
        if was.password != is.password {
            let (old, new) = (password_kind(was), password_kind(is));
            let detail = if old == new { format!("another password ({new})") } else { from_to(old, new) };
            let undo = was.password.is_none().then(|| vec![format!("ALTER ROLE {name} PASSWORD NULL")]);
            self.role_change(place, ChangeKind::PasswordChanged, is, &detail).undo = undo;
        }
    }

    fn role_settings(&mut self) {
        for difference in differences(&self.before.tables.role_settings, &self.after.tables.role_settings) {
            let (key, old, new) = match difference {
                Difference::Added(key, new) => (key, None, Some(new)),
                Difference::Removed(key, old) => (key, Some(old), None),
                Difference::Changed(key, old, new) => (key, Some(old), Some(new)),
            };
            let (database, role, _) = key;
            if role != 0 && !self.before.tables.has(Catalog::Role, role) {
                continue;
            }
            let database_name = (database != 0).then(|| {
                if self.after.tables.has(Catalog::Database, database) { self.after } else { self.before }
                    .database_name(database)
            });
            let name = self.role_sql_now(role);
            let (object, target, kind) = match (&database_name, role) {
                (Some(database), 0) => (
                    format!("database {database}"),
                    format!("DATABASE {database}"),
                    ChangeKind::SettingChanged,
                ),
                (None, 0) => ("every role".to_owned(), "ROLE ALL".to_owned(), ChangeKind::RoleSettingChanged),
                (Some(database), _) => (
                    format!("role {name} in database {database}"),
                    format!("ROLE {name} IN DATABASE {database}"),
                    ChangeKind::RoleSettingChanged,
                ),
                (None, _) => (format!("role {name}"), format!("ROLE {name}"), ChangeKind::RoleSettingChanged),
            };
            let concerned = (role != 0).then(|| self.role_now(role));
            let (old, new) = (settings(old), settings(new));
            let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
            for setting in names {
                let (was, is) = (old.get(setting).copied(), new.get(setting).copied());
                if was != is {
                    let undo = match was {
                        Some(was) => format!("ALTER {target} SET {setting} = {}", setting_sql(setting, was)),
                        None => format!("ALTER {target} RESET {setting}"),
                    };
                    let detail =
                        format!("{setting}: {}", from_to(was.unwrap_or("not set"), is.unwrap_or("not set")));
                    let change =
                        self.tell(Place::Changed(ALTERED), kind, object.clone(), detail).undone_by([undo]);
                    change.role = concerned.clone();
                }
            }
        }
    }

    fn members(&mut self) {
        let (old, new) = (&self.before.tables.members, &self.after.tables.members);
        if old.same(new) {
            return;
        }
        let (old, new) = (self.memberships(true), self.memberships(false));
        let pairs: std::collections::BTreeSet<(u32, u32)> = old.keys().chain(new.keys()).copied().collect();
        for (role, member) in pairs {
            let (was, is) = (old.get(&(role, member)), new.get(&(role, member)));
            if was == is {
                continue;
            }
            let (role_sql, member_sql) = (self.role_sql_now(role), self.role_sql_now(member));
            let place = Place::Changed(ALTERED);
            let (kind, detail, undo) = match (was, is) {
                (Some(was), None) => (
                    ChangeKind::MembershipLost,
                    format!("member of {role_sql}{}", was.told()),
                    // What GRANT gives by itself need not be written (PostgreSQL manual, GRANT).
                    if (was.admin, was.inherit, was.set) == (false, true, true)
                        && self.after.role_row(member).is_some_and(|member| member.inherit)
                    {
                        vec![format!("GRANT {role_sql} TO {member_sql}")]
                    } else {
                        was.grants(&role_sql, &member_sql, self.before.version)
                    },
                ),
                (None, Some(is)) => (
                    ChangeKind::MembershipGained,
                    format!("member of {role_sql}{}", is.told()),
                    vec![format!("REVOKE {role_sql} FROM {member_sql}{}", is.by(self.after.version, self))],
                ),
                (Some(was), Some(is)) => (
                    ChangeKind::MembershipChanged,
                    format!("member of {role_sql}: {}", from_to(or_plain(&was.told()), or_plain(&is.told()))),
                    was.back(is, &role_sql, &member_sql, self.before.version),
                ),
                (None, None) => continue,
            };
            let concerned = self.role_now(member);
            self.tell(place, kind, format!("role {member_sql}"), detail).of(concerned).undone_by(undo);
        }
    }

    /// What each member has of each role from all who granted it, by OIDs of after.
    fn memberships(&self, before: bool) -> BTreeMap<(u32, u32), Membership> {
        let state = if before { self.before } else { self.after };
        let mut found: BTreeMap<_, Membership> = BTreeMap::new();
        for ((role, member, grantor), Member { admin, inherit, set }) in state.tables.members.iter() {
            let now = |oid| if before { self.now(Catalog::Role, oid).unwrap_or(oid) } else { oid };
            let entry = found.entry((now(role), now(member))).or_default();
            entry.admin |= admin;
            // Until 15 it stands with the member, and every member may become the role.
            let inherits = inherit.unwrap_or(true);
            entry.inherit |= inherits;
            entry.set |= set.unwrap_or(true);
            entry.grantors.push(now(grantor));
        }
        for membership in found.values_mut() {
            membership.grantors.sort_unstable();
        }
        found
    }
}

/// What a member has of a role.
#[derive(Debug, Default)]
struct Membership {
    admin: bool,
    inherit: bool,
    set: bool,
    grantors: Vec<u32>,
}

// Who granted it makes no difference to what it gives.
impl PartialEq for Membership {
    fn eq(&self, other: &Self) -> bool {
        (self.admin, self.inherit, self.set) == (other.admin, other.inherit, other.set)
    }
}

impl Membership {
    fn told(&self) -> String {
        let mut words = Vec::new();
        if self.admin {
            words.push("with admin option");
        }
        if !self.inherit {
            words.push("without inherit");
        }
        if !self.set {
            words.push("without set");
        }
        if words.is_empty() { String::new() } else { format!(" {}", words.join(", ")) }
    }

    fn grants(&self, role: &str, member: &str, version: u32) -> Vec<String> {
        let options = if version >= 16 {
            let on = |on: bool| if on { "TRUE" } else { "FALSE" };
            format!(" WITH ADMIN {}, INHERIT {}, SET {}", on(self.admin), on(self.inherit), on(self.set))
        } else if self.admin {
            " WITH ADMIN OPTION".to_owned()
        } else {
            String::new()
        };
        vec![format!("GRANT {role} TO {member}{options}")]
    }

    /// Who granted it, where that must be named to take it away: up to 15 anyone's grant is everyone's.
    fn by(&self, version: u32, diff: &Diff) -> String {
        match self.grantors.first() {
            Some(grantor) if version >= 16 => format!(" GRANTED BY {}", diff.role_sql_now(*grantor)),
            _ => String::new(),
        }
    }

    fn back(&self, is: &Self, role: &str, member: &str, version: u32) -> Vec<String> {
        if version < 16 && is.admin && !self.admin {
            return vec![format!("REVOKE ADMIN OPTION FOR {role} FROM {member}")];
        }
        self.grants(role, member, version)
    }
}

/// What tells a membership without options apart from one with some.
fn or_plain(told: &str) -> &str {
    if told.is_empty() { "plain" } else { told.trim_start() }
}

fn settings(row: Option<&RoleSettings>) -> BTreeMap<&str, &str> {
    row.map(|row| row.settings.settings().collect()).unwrap_or_default()
}

/// Settings that are lists of names: their value is not one string but several names (PostgreSQL manual, SET).
const LISTS: [&str; 6] = [
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "shared_preload_libraries",
    "local_preload_libraries",
    "unix_socket_directories",
];

/// A value as SET takes it.
pub(super) fn setting_sql(name: &str, value: &str) -> String {
    if !LISTS.contains(&name.to_lowercase().as_str()) {
        return quote_literal(value);
    }
    let mut parts = Vec::new();
    let (mut part, mut quoted) = (String::new(), false);
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                part.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => parts.push(std::mem::take(&mut part)),
            ' ' if !quoted => {}
            other => part.push(other),
        }
    }
    parts.push(part);
    parts.iter().map(|part| quote_literal(part)).collect::<Vec<_>>().join(", ")
}

fn create_role(role: &Role) -> String {
    let words: Vec<_> = attributes(role).iter().map(|(word, on)| attribute(word, *on)).collect();
    let valid = role.valid_until.as_deref().map(|until| format!(" VALID UNTIL {}", quote_literal(until)));
    format!(
        "CREATE ROLE {} {} CONNECTION LIMIT {}{}",
        written_identifier(&role.name),
        words.join(" "),
        role.connection_limit,
        valid.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_several_values() {
        assert_eq!(setting_sql("search_path", r#""$user", public"#), "'$user', 'public'");
        assert_eq!(setting_sql("search_path", r#""a ""b""#), r#"'a "b'"#);
        assert_eq!(setting_sql("work_mem", "64MB"), "'64MB'");
        assert_eq!(setting_sql("search_path", ""), "''");
    }
}
