//! What things are called: in psql's words, and in SQL.

use super::catalogs::{Function, Relation, Role};
use super::snapshot::Snapshot;
use crate::identifiers::{RoleName, written_identifier};

/// The word for a kind of relation (PostgreSQL manual, 52.11, `relkind`).
pub(super) fn relation_word(kind: char) -> &'static str {
    match kind {
        'v' => "view",
        'm' => "materialized view",
        'S' => "sequence",
        'f' => "foreign table",
        'i' | 'I' => "index",
        'c' => "type",
        _ => "table",
    }
}

/// The word for a kind of function (PostgreSQL manual, 52.39, `prokind`).
pub(super) fn function_word(kind: char) -> &'static str {
    match kind {
        'p' => "procedure",
        'a' => "aggregate",
        _ => "function",
    }
}

impl Snapshot {
    pub(super) fn role_row(&self, oid: u32) -> Option<&Role> {
        self.tables.roles.oid(oid)
    }

    /// The role with that OID; what has none is told by its number, and 0 is everybody.
    pub(super) fn role(&self, oid: u32) -> RoleName {
        match self.role_row(oid) {
            Some(role) => RoleName::new(&*role.name),
            None if oid == 0 => RoleName::new("PUBLIC"),
            None => RoleName::new(oid.to_string()),
        }
    }

    /// The role for SQL.
    pub(super) fn role_sql(&self, oid: u32) -> String {
        if oid == 0 { "PUBLIC".to_owned() } else { written_identifier(self.role(oid).as_str()) }
    }

    pub(super) fn schema(&self, oid: u32) -> String {
        self.tables
            .schemas
            .oid(oid)
            .map_or_else(|| oid.to_string(), |schema| written_identifier(&schema.name))
    }

    /// `schema.name`.
    pub(super) fn qualified(&self, schema: u32, name: &str) -> String {
        format!("{}.{}", self.schema(schema), written_identifier(name))
    }

    /// `schema.name` of a relation.
    pub(super) fn relation_sql(&self, oid: u32) -> String {
        let found = self.tables.relations.oid(oid);
        found.map_or_else(|| oid.to_string(), |relation| self.qualified(relation.schema, &relation.name))
    }

    /// `table schema.name` and the like.
    pub(super) fn relation_label(&self, oid: u32) -> String {
        let found = self.tables.relations.oid(oid);
        found.map_or_else(|| format!("relation {oid}"), |relation| self.label_of_relation(relation))
    }

    pub(super) fn label_of_relation(&self, relation: &Relation) -> String {
        format!("{} {}", relation_word(relation.kind), self.qualified(relation.schema, &relation.name))
    }

    pub(super) fn type_name(&self, oid: u32, modifier: i32) -> String {
        let found = self.type_names.get(&(oid, modifier)).or_else(|| self.type_names.get(&(oid, -1)));
        found.map_or_else(|| oid.to_string(), |name| name.to_string())
    }

    /// `schema.name(types)`.
    pub(super) fn function_signature(&self, function: &Function) -> String {
        let arguments: Vec<_> = function.arguments.0.iter().map(|oid| self.type_name(*oid, -1)).collect();
        format!("{}({})", self.qualified(function.schema, &function.name), arguments.join(", "))
    }

    pub(super) fn function_label(&self, oid: u32) -> String {
        self.tables.functions.oid(oid).map_or_else(
            || format!("function {oid}"),
            |function| format!("{} {}", function_word(function.kind), self.function_signature(function)),
        )
    }

    /// The name of a column.
    pub(super) fn column_name(&self, relation: u32, number: u32) -> String {
        let found = self.tables.columns.get((relation, number, 0));
        found.map_or_else(|| number.to_string(), |column| written_identifier(&column.name))
    }

    pub(super) fn database_name(&self, oid: u32) -> String {
        self.tables
            .databases
            .oid(oid)
            .map_or_else(|| oid.to_string(), |database| written_identifier(&database.name))
    }
}
