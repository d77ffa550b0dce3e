//! The catalogs that are read, and a row of each.
//!
//! The fields of a row stand in the order of the columns in its query, `sql/NAME.sql`, where the pages of the
//! manual are named.

use super::acl::Acl;
use super::fields::{Field, Oids, Texts};
use super::tables::{AnyTable, Row, Table};

macro_rules! catalogs {
    ($($Row:ident $name:ident [$($key:literal),*] { $($field:ident: $type:ty),* $(,)? })*) => {
        /// A catalog that is read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Catalog { $($Row),* }

        impl Catalog {
            pub(super) const ALL: &[Self] = &[$(Self::$Row),*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$Row => stringify!($name)),* }
            }

            /// The query, with what [`super::query`] replaces.
            pub(super) const fn sql(self) -> &'static str {
                match self { $(Self::$Row => include_str!(concat!("sql/", stringify!($name), ".sql"))),* }
            }

            /// What tells its rows apart.
            pub(super) const fn keys(self) -> &'static [&'static str] {
                match self { $(Self::$Row => &[$($key),*]),* }
            }

            pub(super) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|catalog| catalog.name() == name)
            }
        }

        $(
            #[derive(Debug, PartialEq)]
            pub(super) struct $Row { $(pub(super) $field: $type),* }

            impl Row for $Row {
                fn parse(values: &[Option<String>]) -> Option<Self> {
                    let mut values = values.iter().map(Option::as_deref);
                    Some(Self { $($field: <$type as Field>::read(values.next()?)?),* })
                }
            }
        )*

        /// The rows of all of them.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub(super) struct Tables { $(pub(super) $name: Table<$Row>),* }

        impl Tables {
            pub(super) fn has(&self, catalog: Catalog, oid: u32) -> bool {
                self.of(catalog).has(oid)
            }

            /// The catalogs of which anything was read or forgotten since.
            pub(super) fn touched(&self, since: &Self) -> Vec<Catalog> {
                let mut touched = Vec::new();
                $(if !self.$name.same(&since.$name) { touched.push(Catalog::$Row); })*
                touched
            }

            pub(super) fn of(&self, catalog: Catalog) -> &dyn AnyTable {
                match catalog { $(Catalog::$Row => &self.$name),* }
            }

            pub(super) fn of_mut(&mut self, catalog: Catalog) -> &mut dyn AnyTable {
                match catalog { $(Catalog::$Row => &mut self.$name),* }
            }
        }
    };
}

type Name = Box<str>;

catalogs! {
    Role roles ["t.oid"] {
        name: Name, superuser: bool, inherit: bool, create_role: bool, create_db: bool, login: bool, replication: bool,
        bypass_rls: bool, connection_limit: i32, valid_until: Option<Box<str>>, password: Option<Box<str>>,
    }
    RoleSettings role_settings ["t.setdatabase", "t.setrole"] { settings: Texts }
    Member members ["t.roleid", "t.member", "t.grantor"] { admin: bool, inherit: Option<bool>, set: Option<bool> }
    Database databases ["t.oid"] {
        name: Name, owner: u32, allows_connections: bool, connection_limit: i32, template: bool, tablespace: u32,
        acl: Option<Acl>,
    }
    Schema schemas ["t.oid"] { name: Name, owner: u32, acl: Option<Acl> }
    Relation relations ["t.oid"] {
        name: Name, schema: u32, kind: char, owner: u32, persistence: char, row_security: bool, forced: bool,
        partition: bool, bound: Option<i64>, replica_identity: char, options: Texts, tablespace: u32, access_method: u32,
        populated: bool, acl: Option<Acl>,
    }
    Column columns ["t.attrelid", "t.attnum"] {
        name: Name, type_oid: u32, modifier: i32, not_null: bool, has_default: bool, generated: char, identity: char,
        collation: u32, dropped: bool, ancestors: i32, acl: Option<Acl>,
    }
    ColumnDefault defaults ["t.oid"] { relation: u32, column: u32, expression: i64 }
    Belonging belongings ["t.classid", "t.objid", "t.refobjid"] { kind: char, column: i32 }
    Inheritance inheritance ["t.inhrelid", "t.inhseqno"] { parent: u32 }
    Constraint constraints ["t.oid"] {
        name: Name, schema: u32, kind: char, relation: u32, domain: u32, index: u32, parent: u32, foreign: u32,
        deferrable: bool, deferred: bool, validated: bool, enforced: bool, definition: i64,
    }
    Index indexes ["t.indexrelid"] {
        relation: u32, unique: bool, primary: bool, valid: bool, ready: bool, replica_identity: bool, clustered: bool,
        definition: i64,
    }
    Trigger triggers ["t.oid"] {
        name: Name, relation: u32, parent: u32, function: u32, enabled: char, internal: bool, constraint: u32,
        definition: i64,
    }
    Rule rules ["t.oid"] { name: Name, relation: u32, event: char, enabled: char, instead: bool, definition: i64 }
    Policy policies ["t.oid"] {
        name: Name, relation: u32, command: char, permissive: bool, roles: Oids, using: Option<i64>, check: Option<i64>,
    }
    Function functions ["t.oid"] {
        name: Name, schema: u32, owner: u32, kind: char, language: u32, security_definer: bool, leakproof: bool,
        strict: bool, volatility: char, parallel: char, returns: u32, returns_set: bool, arguments: Oids, settings: Texts,
        definition: Option<i64>, acl: Option<Acl>,
    }
    Type types ["t.oid"] {
        name: Name, schema: u32, owner: u32, kind: char, not_null: bool, base: u32, modifier: i32,
        default: Option<Box<str>>, collation: u32, acl: Option<Acl>,
    }
    EnumLabel enum_labels ["t.oid"] { of: u32, order: f64, label: Box<str> }
    Sequence sequences ["t.seqrelid"] {
        type_oid: u32, start: i64, increment: i64, min: i64, max: i64, cache: i64, cycle: bool,
        table: u32, column: u32,
    }
    DefaultPrivileges default_privileges ["t.oid"] { role: u32, schema: u32, kind: char, acl: Acl }
    Extension extensions ["t.oid"] { name: Name, owner: u32, schema: u32, version: Box<str> }
    EventTrigger event_triggers ["t.oid"] {
        name: Name, event: Box<str>, owner: u32, function: u32, enabled: char, tags: Texts,
    }
    Publication publications ["t.oid"] {
        name: Name, owner: u32, all_tables: bool, insert: bool, update: bool, delete: bool, truncate: bool, via_root: bool,
    }
    PublicationTable publication_tables ["t.oid"] { publication: u32, relation: u32, definition: Option<i64> }
    PublicationSchema publication_schemas ["t.oid"] { publication: u32, schema: u32 }
    Subscription subscriptions ["t.oid"] {
        name: Name, owner: u32, database: u32, enabled: bool, slot: Option<Box<str>>, publications: Texts,
    }
    ForeignWrapper foreign_wrappers ["t.oid"] {
        name: Name, owner: u32, handler: u32, validator: u32, options: Option<i64>, acl: Option<Acl>,
    }
    ForeignServer foreign_servers ["t.oid"] { name: Name, owner: u32, wrapper: u32, options: i64, acl: Option<Acl> }
    UserMapping user_mappings ["t.oid"] { role: u32, server: u32, options: Option<i64> }
    Tablespace tablespaces ["t.oid"] { name: Name, owner: u32, options: Texts, acl: Option<Acl> }
    Language languages ["t.oid"] { name: Name, owner: u32, trusted: bool, acl: Option<Acl> }
    Parameter parameters ["t.oid"] { name: Name, acl: Option<Acl> }
    LargeObject large_objects ["t.oid"] { name: Name, owner: u32, acl: Option<Acl> }
}

impl Catalog {
    /// Whether a server of that major version has it.
    pub(super) const fn exists(self, version: u32) -> bool {
        match self {
            Self::PublicationSchema | Self::Parameter => version >= 15,
            _ => true,
        }
    }

    /// Only rows whose key begins below that are counted and summed. A column is gone only with its table, so that
    /// the 30,000 columns of a big schema need not be.
    pub(super) const fn summed_below(self) -> u32 {
        match self {
            Self::Column => 16_384,
            _ => u32::MAX,
        }
    }
}
