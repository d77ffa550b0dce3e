//! The server, its databases and schemas, and objects that are in no schema.

use super::super::acl::Kind;
use super::super::catalogs::{
    Catalog, Database, EventTrigger, Extension, ForeignServer, ForeignWrapper, Language, LargeObject,
    Publication, Schema, Subscription, Tablespace,
};
use super::super::tables::{Difference, Table, differences};
use super::common::Object;
use super::roles::setting_sql;
use super::{ALTERED, Diff, Pair, Place, from_to};
use crate::identifiers::written_identifier;
use crate::observations::ChangeKind;

/// A row as an object that is in no schema.
pub(super) trait Plain {
    fn object(&self) -> Object<'_>;

    /// The statement that makes it anew.
    fn again(&self, _diff: &Diff) -> Option<String> {
        None
    }
}

macro_rules! plain {
    ($row:ident, $word:literal $(, $kind:expr)? $(; $again:expr)?) => {
        impl Plain for $row {
            #[allow(unused_mut, unused_assignments)]
            fn object(&self) -> Object<'_> {
                let mut acl = None;
                $(acl = Some(($kind, &self.acl));)?
                Object { word: $word, name: &self.name, schema: None, owner: Some(self.owner), arguments: String::new(), acl }
            }

            $(fn again(&self, diff: &Diff) -> Option<String> {
                let again: fn(&$row, &Diff) -> Option<String> = $again;
                again(self, diff)
            })?
        }
    };
}

plain!(Database, "database", Kind::Database);
plain!(Schema, "schema", Kind::Schema; |row, _| Some(format!("CREATE SCHEMA {}", written_identifier(&row.name))));
plain!(Extension, "extension"; |row, diff| {
    Some(format!("CREATE EXTENSION {} SCHEMA {}", written_identifier(&row.name), diff.before.schema(row.schema)))
});
plain!(EventTrigger, "event trigger"; |row, diff| {
    let function = diff.before.tables.functions.oid(row.function)?;
    let tags: Vec<_> = row.tags.0.iter().map(|tag| crate::identifiers::quote_literal(tag)).collect();
    let when = if tags.is_empty() { String::new() } else { format!(" WHEN TAG IN ({})", tags.join(", ")) };
    let name = written_identifier(&row.name);
    let state = match row.enabled {
        'O' => String::new(),
        state => format!("; ALTER EVENT TRIGGER {name} {}", enabling(state)),
    };
    Some(format!(
        "CREATE EVENT TRIGGER {name} ON {}{when} EXECUTE FUNCTION {}(){state}",
        row.event, diff.before.qualified(function.schema, &function.name)
    ))
});
plain!(Publication, "publication"; |row, diff| super::publications::again(diff.before, row));
plain!(Subscription, "subscription");
plain!(ForeignWrapper, "foreign data wrapper", Kind::Wrapper);
plain!(ForeignServer, "server", Kind::Server);
plain!(Tablespace, "tablespace", Kind::Tablespace);
plain!(Language, "language", Kind::Language);
plain!(LargeObject, "large object", Kind::LargeObject);

/// `evtenabled` as ALTER EVENT TRIGGER has it.
fn enabling(state: char) -> &'static str {
    match state {
        'D' => "DISABLE",
        'R' => "ENABLE REPLICA",
        'A' => "ENABLE ALWAYS",
        _ => "ENABLE",
    }
}

impl<'a> Diff<'a> {
    pub(super) fn server(&mut self) {
        let (before, after) = (&self.before.tables, &self.after.tables);
        for (was, is) in self.plain(Catalog::Database, &before.databases, &after.databases) {
            self.database(was, is);
        }
        self.plain(Catalog::Schema, &before.schemas, &after.schemas);
        for (was, is) in self.plain(Catalog::Extension, &before.extensions, &after.extensions) {
            self.extension(was, is);
        }
        self.plain(Catalog::Tablespace, &before.tablespaces, &after.tablespaces);
        self.plain(Catalog::Language, &before.languages, &after.languages);
        for difference in differences(&before.large_objects, &after.large_objects) {
            // Which there are is a matter of rows, and workers make some, too.
            if let Difference::Changed(_, was, is) = difference {
                self.common(&was.object(), &is.object());
            }
        }
        self.plain(Catalog::ForeignWrapper, &before.foreign_wrappers, &after.foreign_wrappers);
        for (was, is) in self.plain(Catalog::ForeignServer, &before.foreign_servers, &after.foreign_servers) {
            if was.options != is.options {
                let label = is.object().label(self.after);
                self.tell(Place::Changed(ALTERED), ChangeKind::OptionsChanged, label, "other options");
            }
        }
        self.user_mappings();
        for (was, is) in self.plain(Catalog::EventTrigger, &before.event_triggers, &after.event_triggers) {
            self.event_trigger(was, is);
        }
        for (was, is) in self.plain(Catalog::Publication, &before.publications, &after.publications) {
            self.publication(was, is);
        }
        self.publication_parts();
        for (was, is) in self.plain(Catalog::Subscription, &before.subscriptions, &after.subscriptions) {
            self.subscription(was, is);
        }
        self.parameters();
        self.default_privileges();
        self.settings();
    }

    /// Tells what every kind of object has in common; gives back those that are on both sides.
    fn plain<R: PartialEq + Plain>(
        &mut self,
        catalog: Catalog,
        old: &'a Table<R>,
        new: &'a Table<R>,
    ) -> Vec<(&'a R, &'a R)> {
        let mut both = Vec::new();
        for pair in self.pairs(catalog, old, new, |_, _, row, _| Some(row.object().name.to_owned())) {
            match pair {
                Pair::Created((oid, ..), is) => self.created(oid, &is.object()),
                Pair::Dropped((oid, ..), was) => {
                    let again = was.again(self);
                    self.dropped(oid, &was.object(), again);
                }
                Pair::Recreated((oid, ..), was, _, is) => {
                    // The tables of a schema that was made anew are told by themselves.
                    self.recreated(oid, &was.object(), &is.object(), None);
                    self.common(&was.object(), &is.object());
                    both.push((was, is));
                }
                Pair::Changed(_, was, is) => {
                    self.common(&was.object(), &is.object());
                    both.push((was, is));
                }
            }
        }
        both
    }

    fn database(&mut self, was: &Database, is: &Database) {
        let (label, name) = (is.object().label(self.after), written_identifier(&is.name));
        let place = Place::Changed(ALTERED);
        let kind = ChangeKind::DatabaseChanged;
        if was.allows_connections != is.allows_connections {
            let undo = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", was.allows_connections);
            let detail =
                if is.allows_connections { "allows connections" } else { "no longer allows connections" };
            self.tell(place, kind, label.clone(), detail).undone_by([undo]);
        }
        if was.connection_limit != is.connection_limit {
            let undo = format!("ALTER DATABASE {name} CONNECTION LIMIT {}", was.connection_limit);
            let detail = format!("CONNECTION LIMIT {}", from_to(was.connection_limit, is.connection_limit));
            self.tell(place, kind, label.clone(), detail).undone_by([undo]);
        }
        if was.template != is.template {
            let undo = format!("ALTER DATABASE {name} IS_TEMPLATE {}", was.template);
            let detail = if is.template { "a template" } else { "no longer a template" };
            self.tell(place, kind, label.clone(), detail).undone_by([undo]);
        }
        if was.tablespace != is.tablespace {
            self.tell(place, kind, label, "another tablespace");
        }
    }

    fn extension(&mut self, was: &Extension, is: &Extension) {
        let (label, name) = (is.object().label(self.after), written_identifier(&is.name));
        let place = Place::Changed(ALTERED);
        if was.version != is.version {
            let detail = format!("version {}", from_to(&was.version, &is.version));
            self.tell(place, ChangeKind::ExtensionChanged, label.clone(), detail);
        }
        if was.schema != is.schema {
            let (old, new) = (self.before.schema(was.schema), self.after.schema(is.schema));
            let undo = format!("ALTER EXTENSION {name} SET SCHEMA {old}");
            self.tell(place, ChangeKind::ObjectMoved, label, from_to(&old, new)).undone_by([undo]);
        }
    }

    fn event_trigger(&mut self, was: &EventTrigger, is: &EventTrigger) {
        let (label, name) = (is.object().label(self.after), written_identifier(&is.name));
        let place = Place::Changed(ALTERED);
        if was.enabled != is.enabled {
            let kind = if is.enabled == 'D' {
                ChangeKind::EventTriggerDisabled
            } else {
                ChangeKind::EventTriggerEnabled
            };
            let undo = format!("ALTER EVENT TRIGGER {name} {}", enabling(was.enabled));
            self.tell(place, kind, label.clone(), from_to(enabling(was.enabled), enabling(is.enabled)))
                .undone_by([undo]);
        }
        if was.tags != is.tags
            || was.event != is.event
            || self.now(Catalog::Function, was.function) != Some(is.function)
        {
            let again = was.again(self);
            let undo = again.map(|again| vec![format!("DROP EVENT TRIGGER IF EXISTS {name}"), again]);
            let detail = format!("on {}", from_to(&was.event, &is.event));
            self.tell(place, ChangeKind::EventTriggerChanged, label, detail).undo = undo;
        }
    }

    fn subscription(&mut self, was: &Subscription, is: &Subscription) {
        let (label, name) = (is.object().label(self.after), written_identifier(&is.name));
        if was.enabled != is.enabled {
            let undo =
                format!("ALTER SUBSCRIPTION {name} {}", if was.enabled { "ENABLE" } else { "DISABLE" });
            let detail = if is.enabled { "enabled" } else { "disabled" };
            self.tell(Place::Changed(ALTERED), ChangeKind::SubscriptionChanged, label.clone(), detail)
                .undone_by([undo]);
        }
        if was.publications != is.publications || was.slot != is.slot {
            let told = |row: &Subscription| row.publications.0.join(", ");
            let detail = from_to(told(was), told(is));
            self.tell(Place::Changed(ALTERED), ChangeKind::SubscriptionChanged, label, detail);
        }
    }

    fn user_mappings(&mut self) {
        let (before, after) = (self.before, self.after);
        for difference in differences(&before.tables.user_mappings, &after.tables.user_mappings) {
            let (row, detail, made) = match difference {
                Difference::Added(_, row) => (row, "made", true),
                Difference::Removed(_, row) => (row, "dropped", false),
                Difference::Changed(_, _, row) => (row, "other options", false),
            };
            let Some(server) = self.now(Catalog::ForeignServer, row.server) else { continue };
            let server = after
                .tables
                .foreign_servers
                .oid(server)
                .map(|row| written_identifier(&row.name))
                .unwrap_or_default();
            let role = self.role_sql_now(row.role);
            let undo = made.then(|| vec![format!("DROP USER MAPPING IF EXISTS FOR {role} SERVER {server}")]);
            let who = self.role_now(row.role);
            let label = format!("user mapping of {role} on server {server}");
            self.tell(Place::Changed(ALTERED), ChangeKind::UserMappingChanged, label, detail).of(who).undo =
                undo;
        }
    }

    fn settings(&mut self) {
        let (was, is) = (&self.before.settings, &self.after.settings);
        let reload = || "SELECT pg_catalog.pg_reload_conf()".to_owned();
        let names: std::collections::BTreeSet<_> = was
            .files
            .keys()
            .chain(is.files.keys())
            .chain(was.in_force.keys())
            .chain(is.in_force.keys())
            .collect();
        for name in names {
            let (old, new) = (was.files.get(name), is.files.get(name));
            let (old_force, new_force) = (was.in_force.get(name), is.in_force.get(name));
            if old == new && old_force == new_force {
                continue;
            }
            let told = |value: Option<&str>| value.unwrap_or("not set").to_owned();
            let detail = if old == new {
                from_to(told(old_force.map(String::as_str)), told(new_force.map(String::as_str)))
            } else {
                let text = from_to(
                    told(old.map(|setting| setting.value.as_str())),
                    told(new.map(|setting| setting.value.as_str())),
                );
                if old_force == new_force { format!("{text} (not in force yet)") } else { text }
            };
            let undo = match (old, new) {
                (Some(old), _) if old.altered => Some(vec![
                    format!("ALTER SYSTEM SET {name} = {}", setting_sql(name, &old.value)),
                    reload(),
                ]),
                (_, Some(new)) if new.altered => Some(vec![format!("ALTER SYSTEM RESET {name}"), reload()]),
                _ => None,
            };
            self.tell(
                Place::Changed(ALTERED),
                ChangeKind::SettingChanged,
                format!("setting {name}"),
                detail,
            )
            .undo = undo;
        }
    }
}
