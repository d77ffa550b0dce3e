//! Who was granted what, and who no longer.

use std::collections::BTreeMap;

use super::super::acl::{Acl, Grant, Kind, Privileges};
use super::super::catalogs::Catalog;
use super::{Diff, PRIVILEGES, Place, from_to};
use crate::observations::ChangeKind;

/// What privileges are on: in words, and behind `ON`, where `{}` is the list of privileges.
pub(super) struct On {
    pub(super) kind: Kind,
    pub(super) label: String,
    /// `TABLE x`, and for columns the name of it.
    pub(super) sql: String,
    pub(super) column: Option<String>,
}

/// Stands for whoever owns the object, whose privileges move with the ownership.
const OWNER: u32 = u32::MAX;

/// The privileges of one grantee, and those that it may grant on.
type Had = BTreeMap<u32, (Privileges, Privileges)>;

impl Diff<'_> {
    /// Tells what two lists of privileges differ in. Who granted them is not told.
    pub(super) fn privileges(&mut self, on: &On, old: (&Option<Acl>, u32), new: (&Option<Acl>, u32)) {
        if old.0 == new.0 && (old.0.is_none() || old.1 == new.1) {
            return;
        }
        let version = self.after.version;
        let list = |(acl, owner): (&Option<Acl>, u32)| {
            acl.clone().unwrap_or_else(|| Acl::default_of(on.kind, owner, version))
        };
        let (old_list, new_list) = (list(old), list(new));
        let all = on.kind.all(version);
        let had = self.had(&old_list, old.1, all, true);
        let has = self.had(&new_list, new.1, all, false);
        let owner_now = self.now(Catalog::Role, old.1).unwrap_or(old.1);
        let none = (Privileges::NONE, Privileges::NONE);
        let grantees: std::collections::BTreeSet<u32> = had.keys().chain(has.keys()).copied().collect();
        for grantee in grantees {
            let (was, was_grantable) = had.get(&grantee).copied().unwrap_or(none);
            let (mut is, is_grantable) = has.get(&grantee).copied().unwrap_or(none);
            let mut was_seen = was;
            if grantee == new.1 {
                is = is.and(has.get(&OWNER).copied().unwrap_or(none).0);
            }
            if grantee == owner_now {
                was_seen = was.and(had.get(&OWNER).copied().unwrap_or(none).0);
            }
            let who = if grantee == OWNER { new.1 } else { grantee };
            for (one, word) in was.without(is).each() {
                let option = if was_grantable.has(one) { " WITH GRANT OPTION" } else { "" };
                let undo = format!("GRANT {}{option}", self.clause(on, word, "TO", who));
                self.privilege(ChangeKind::PrivilegeLost, on, who, word.to_owned(), vec![undo]);
            }
            for (one, word) in is.without(was_seen).each() {
                let undo = self.revoke(on, &new_list, new.1, who, one, word, "");
                self.privilege(ChangeKind::PrivilegeGained, on, who, word.to_owned(), undo);
            }
            let kept = was.both(is);
            if grantee == OWNER {
                continue;
            }
            for (_, word) in was_grantable.without(is_grantable).both(kept).each() {
                let undo = format!("GRANT {} WITH GRANT OPTION", self.clause(on, word, "TO", who));
                self.privilege(
                    ChangeKind::PrivilegeLost,
                    on,
                    who,
                    format!("grant option for {word}"),
                    vec![undo],
                );
            }
            for (one, word) in is_grantable.without(was_grantable).both(kept).each() {
                let undo = self.revoke(on, &new_list, new.1, who, one, word, "GRANT OPTION FOR ");
                self.privilege(
                    ChangeKind::PrivilegeGained,
                    on,
                    who,
                    format!("grant option for {word}"),
                    undo,
                );
            }
        }
    }

    fn privilege(&mut self, kind: ChangeKind, on: &On, who: u32, detail: String, undo: Vec<String>) {
        let role = self.role_now(who);
        self.tell(Place::Changed(PRIVILEGES), kind, on.label.clone(), detail).of(role).undone_by(undo);
    }

    /// Who has what, roles of before by their OIDs of after.
    fn had(&self, acl: &Acl, owner: u32, all: Privileges, before: bool) -> Had {
        let mut had = Had::new();
        for Grant { grantee, privileges, grantable, .. } in &acl.0 {
            let who = if *grantee == owner {
                OWNER
            } else if before {
                self.now(Catalog::Role, *grantee).unwrap_or(*grantee)
            } else {
                *grantee
            };
            let (has, may_grant) = had.entry(who).or_insert((Privileges::NONE, Privileges::NONE));
            *has = has.and(privileges.both(all));
            *may_grant = may_grant.and(grantable.both(all));
        }
        had
    }

    fn clause(&self, on: &On, word: &str, preposition: &str, who: u32) -> String {
        let column = on.column.as_ref().map(|column| format!(" ({column})")).unwrap_or_default();
        format!("{word}{column} ON {} {preposition} {}", on.sql, self.role_sql_now(who))
    }

    /// A privilege is taken away by whoever granted it (PostgreSQL manual, REVOKE).
    #[allow(clippy::too_many_arguments)]
    fn revoke(
        &self,
        on: &On,
        acl: &Acl,
        owner: u32,
        who: u32,
        one: Privileges,
        word: &str,
        option: &str,
    ) -> Vec<String> {
        let mut statements = Vec::new();
        let statement = format!("REVOKE {option}{}", self.clause(on, word, "FROM", who));
        for grant in acl.0.iter().filter(|grant| grant.grantee == who && grant.privileges.has(one)) {
            if grant.grantor == owner {
                statements.push(statement.clone());
            } else {
                statements.push(format!("SET ROLE {}", self.after.role_sql(grant.grantor)));
                statements.push(statement.clone());
                statements.push("RESET ROLE".to_owned());
            }
        }
        if statements.is_empty() {
            statements.push(statement);
        }
        statements
    }

    /// Tells that an object has another owner.
    pub(super) fn owner(&mut self, word: &str, label: &str, sql: &str, old: u32, new: u32) {
        if self.now(Catalog::Role, old) == Some(new) || old == new {
            return;
        }
        let detail = from_to(self.role_now(old), self.after.role(new));
        let undo = format!("ALTER {word} {sql} OWNER TO {}", self.role_sql_now(old));
        let role = self.role_now(old);
        self.tell(Place::Changed(super::OWNER), ChangeKind::OwnerChanged, label, detail)
            .of(role)
            .undone_by([undo]);
    }
}
