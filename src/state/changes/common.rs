//! What changes in every kind of object in the same way: whether it is there, its name, schema, owner, privileges.

use super::super::acl::{Acl, Kind};
use super::super::snapshot::Snapshot;
use super::privileges::On;
use super::{Diff, MOVED, Place, RENAMED, from_to};
use crate::identifiers::written_identifier;
use crate::observations::ChangeKind;

/// An object as one of the two states has it.
pub(super) struct Object<'a> {
    /// The word in psql's language: `materialized view`.
    pub(super) word: &'static str,
    pub(super) name: &'a str,
    pub(super) schema: Option<u32>,
    pub(super) owner: Option<u32>,
    /// Its name in SQL, and the arguments of a function behind that.
    pub(super) arguments: String,
    pub(super) acl: Option<(Kind, &'a Option<Acl>)>,
}

/// OIDs of catalogs, which never change.
pub(super) const PG_CLASS: u32 = 1259;
pub(super) const PG_PROC: u32 = 1255;
pub(super) const PG_TYPE: u32 = 1247;

impl Object<'_> {
    /// Its name in SQL as a state has it.
    pub(super) fn sql(&self, state: &Snapshot) -> String {
        match self.schema {
            Some(schema) => format!("{}{}", state.qualified(schema, self.name), self.arguments),
            // Its name is a number.
            None if self.word == "large object" => self.name.to_owned(),
            None => written_identifier(self.name),
        }
    }

    pub(super) fn label(&self, state: &Snapshot) -> String {
        format!("{} {}", self.word, self.sql(state))
    }

    /// The word in SQL.
    pub(super) fn sql_word(&self) -> String {
        self.word.to_uppercase()
    }

    /// What stands behind `ON` in GRANT (PostgreSQL manual, GRANT).
    fn on(&self, state: &Snapshot) -> String {
        let sql = self.sql(state);
        match self.word {
            "table" | "view" | "materialized view" | "foreign table" => sql,
            "server" => format!("FOREIGN SERVER {sql}"),
            "aggregate" => format!("FUNCTION {sql}"),
            word => format!("{} {sql}", word.to_uppercase()),
        }
    }

    /// The statements that make a new one like it belong to the same owner and to the same roles.
    fn belongings(&self, state: &Snapshot) -> Vec<String> {
        let mut statements = Vec::new();
        // An extension has an owner, but no statement that gives it another one.
        if let Some(owner) = self.owner.filter(|_| self.word != "extension") {
            statements.push(format!(
                "ALTER {} {} OWNER TO {}",
                self.sql_word(),
                self.sql(state),
                state.role_sql(owner)
            ));
        }
        if let Some((kind, Some(acl))) = self.acl {
            let on = self.on(state);
            if !kind.public().is_empty() {
                statements.push(format!("REVOKE ALL ON {on} FROM PUBLIC"));
            }
            for grant in acl.0.iter().filter(|grant| Some(grant.grantee) != self.owner) {
                let to = state.role_sql(grant.grantee);
                for (privileges, option) in
                    [(grant.privileges.without(grant.grantable), ""), (grant.grantable, " WITH GRANT OPTION")]
                {
                    if !privileges.is_empty() {
                        statements.push(format!("GRANT {privileges} ON {on} TO {to}{option}"));
                    }
                }
            }
        }
        statements
    }
}

impl Diff<'_> {
    /// Whether an object belongs to an extension, with which it comes and goes. The catalog that it is in is told by
    /// its OID (PostgreSQL manual, 52.18).
    pub(super) fn is_member(state: &Snapshot, class: u32, oid: u32) -> bool {
        let first = (class, oid, 0);
        state.tables.belongings.between(first, (class, oid, u32::MAX)).any(|(_, row)| row.kind == 'e')
    }

    /// The column that a sequence belongs to.
    pub(super) fn owning_column(state: &Snapshot, sequence: u32) -> Option<(u32, u32)> {
        let (first, last) = ((PG_CLASS, sequence, 0), (PG_CLASS, sequence, u32::MAX));
        let mut found = state.tables.belongings.between(first, last).filter(|(_, row)| row.kind != 'e');
        found.next().and_then(|((_, _, table), row)| Some((table, u32::try_from(row.column).ok()?)))
    }

    /// Tells that an object was made.
    pub(super) fn created(&mut self, oid: u32, object: &Object) {
        let sql = object.sql(self.after);
        let undo = format!("DROP {} IF EXISTS {sql}", object.sql_word());
        let owner = object.owner.map(|owner| self.after.role(owner));
        let detail = owner.as_ref().map_or_else(String::new, |owner| format!("owner {owner}"));
        self.tell(Place::Made(oid), ChangeKind::ObjectCreated, object.label(self.after), detail)
            .undone_by([undo]);
    }

    /// Tells that an object is gone, which the statement `again` makes anew.
    pub(super) fn dropped(&mut self, oid: u32, object: &Object, again: Option<String>) {
        let belongings = object.belongings(self.before);
        let undo = again.map(|again| std::iter::once(again).chain(belongings).collect());
        let place = Place::Gone(std::cmp::Reverse(oid));
        self.tell(place, ChangeKind::ObjectDropped, object.label(self.before), "").undo = undo;
    }

    /// Tells that an object was dropped and another one of its name is there.
    pub(super) fn recreated(&mut self, oid: u32, old: &Object, new: &Object, again: Option<String>) {
        let sql = new.sql(self.after);
        let belongings = old.belongings(self.before);
        let undo = again.map(|again| {
            [format!("DROP {} IF EXISTS {sql}", new.sql_word()), again]
                .into_iter()
                .chain(belongings)
                .collect()
        });
        let place = Place::Gone(std::cmp::Reverse(oid));
        let detail = "dropped and made anew";
        self.tell(place, ChangeKind::ObjectRecreated, new.label(self.after), detail).undo = undo;
    }

    /// Tells what became of its name, its schema, its owner and its privileges.
    pub(super) fn common(&mut self, old: &Object, new: &Object) {
        let word = new.sql_word();
        let (label, sql) = (new.label(self.after), new.sql(self.after));
        if let (Some(was), Some(is)) = (old.schema, new.schema)
            && self.now(super::Catalog::Schema, was) != Some(is)
        {
            let there = format!("{}{}", self.after.qualified(is, old.name), old.arguments);
            let undo = format!("ALTER {word} {there} SET SCHEMA {}", self.before.schema(was));
            let detail = from_to(self.before.schema(was), self.after.schema(is));
            self.tell(Place::Changed(MOVED), ChangeKind::ObjectMoved, label.clone(), detail)
                .undone_by([undo]);
        }
        if old.name != new.name {
            let undo = format!("ALTER {word} {sql} RENAME TO {}", written_identifier(old.name));
            let place = if new.word == "schema" {
                Place::Changed(super::RENAMED_SCHEMA)
            } else {
                Place::Changed(RENAMED)
            };
            let detail = from_to(old.label(self.before), &label);
            self.tell(place, ChangeKind::ObjectRenamed, old.label(self.before), detail).undone_by([undo]);
        }
        if let (Some(was), Some(is)) = (old.owner, new.owner) {
            self.owner(&word, &label, &sql, was, is);
        }
        if let (Some((_, was)), Some((kind, is))) = (old.acl, new.acl) {
            let on = On { kind, label, sql: new.on(self.after), column: None };
            self.privileges(
                &on,
                (was, old.owner.unwrap_or(u32::MAX - 1)),
                (is, new.owner.unwrap_or(u32::MAX - 1)),
            );
        }
    }
}
