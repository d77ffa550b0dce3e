//! What the login roles hold, read from the catalogs.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;

use crate::identifiers::{RoleName, quote_identifier, written_identifier};
use crate::postgres::{QueryFailure, Session};

const LOGINS: &str = include_str!("logins.sql");
const RELATIONS: &str = include_str!("relations.sql");
const COLUMNS: &str = include_str!("columns.sql");
const COLUMN_PRIVILEGES: &str = include_str!("column_privileges.sql");
const FUNCTIONS: &str = include_str!("functions.sql");
const OTHERS: &str = include_str!("others.sql");
const MEMBERS: &str = include_str!("members.sql");
const ROLES: &str = "SELECT name FROM pg_temp.logins ORDER BY name";

/// pgmq is installed as an extension, or by its script alone.
const QUEUEING: &str = "SELECT p.proname::pg_catalog.text AS name FROM pg_catalog.pg_proc AS p \
                        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'pgmq'";

/// Privileges of tables (PostgreSQL manual, 5.8). `MAINTAIN` came with 17.
const TABLE: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];

/// What the login roles hold.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) roles: Vec<RoleName>,
    pub(super) relations: Vec<Relation>,
    /// By the relation's name as SQL has it.
    pub(super) columns: BTreeMap<String, Vec<Column>>,
    pub(super) routines: Vec<Routine>,
    pub(super) others: Vec<Other>,
    /// The functions of pgmq that there are, by name.
    pub(super) queueing: BTreeSet<String>,
    /// Roles, and what each can become.
    pub(super) members: Vec<(String, String)>,
}

/// What a role may do with a relation.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) role: String,
    pub(super) object: Named,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    pub(super) privileges: Vec<String>,
    /// Those that it has for single columns only.
    pub(super) of_columns: Vec<(String, Vec<String>)>,
    /// Whether foreign keys reference it.
    pub(super) referenced: bool,
}

/// An object's name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// For people.
    pub(super) label: String,
    /// For SQL.
    pub(super) sql: String,
    /// As rows and columns are known by: with quotes in any case.
    pub(super) key: String,
}

/// A column of a relation.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether a row must have a value for it.
    pub(super) required: bool,
    /// Whether a statement may set it.
    pub(super) writable: bool,
}

/// A function or a procedure that a role may call.
#[derive(Debug, Clone)]
pub(super) struct Routine {
    pub(super) role: String,
    pub(super) object: Named,
    pub(super) procedure: bool,
    pub(super) volatile: bool,
    pub(super) variadic: bool,
    /// As `regprocedure` writes it.
    pub(super) signature: String,
    pub(super) types: Vec<String>,
}

/// What a role may do with something else.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) role: String,
    /// As the function that asks for it has it: `schema` of `has_schema_privilege`.
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) privileges: Vec<String>,
}

impl Named {
    fn of(row: &Row) -> Self {
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        Self {
            label: format!("{schema}.{name}"),
            sql: format!("{}.{}", written_identifier(&schema), written_identifier(&name)),
            key: format!("{}.{}", quote_identifier(&schema), quote_identifier(&name)),
        }
    }
}

/// Reads what the login roles hold, in a transaction that leaves nothing.
pub(super) async fn read(root: &Session) -> Result<Held, QueryFailure> {
    root.run(&format!("BEGIN; SET LOCAL search_path = ''; SET LOCAL jit = off; {LOGINS}")).await?;
    let held = read_within(root).await;
    root.run("ROLLBACK").await?;
    held
}

async fn read_within(root: &Session) -> Result<Held, QueryFailure> {
    let failed = |error: tokio_postgres::Error| QueryFailure::of(&error);
    let client = root.client();
    let version = client.query_one("SHOW server_version_num", &[]).await.map_err(failed)?;
    let version: u32 = version.get::<_, String>(0).parse().unwrap_or_default();
    let mut privileges = TABLE.to_vec();
    if version >= 170_000 {
        privileges.push("MAINTAIN");
    }
    let rows = async |sql: &str| client.query(sql, &[]).await.map_err(failed);
    let mut held = Held {
        roles: rows(ROLES).await?.iter().map(|row| RoleName::new(row.get::<_, String>("name"))).collect(),
        relations: client
            .query(RELATIONS, &[&privileges])
            .await
            .map_err(failed)?
            .iter()
            .map(relation)
            .collect(),
        routines: rows(FUNCTIONS).await?.iter().map(routine).collect(),
        queueing: rows(QUEUEING).await?.iter().map(|row| row.get("name")).collect(),
        others: rows(OTHERS).await?.iter().map(other).collect(),
        members: rows(MEMBERS).await?.iter().map(|row| (row.get("role"), row.get("name"))).collect(),
        columns: BTreeMap::new(),
    };
    for row in rows(COLUMNS).await? {
        let (schema, relation): (String, String) = (row.get("schema"), row.get("relation"));
        let relation = format!("{}.{}", quote_identifier(&schema), quote_identifier(&relation));
        let column =
            Column { name: row.get("name"), required: row.get("required"), writable: row.get("writable") };
        held.columns.entry(relation).or_default().push(column);
    }
    for row in rows(COLUMN_PRIVILEGES).await? {
        let (role, object): (String, _) = (row.get("role"), Named::of(&row));
        let own = |known: &&mut Relation| known.role == role && known.object.key == object.key;
        let of = (row.get("privilege"), row.get("columns"));
        match held.relations.iter_mut().find(own) {
            Some(known) => known.of_columns.push(of),
            None => held.relations.push(Relation {
                role,
                object,
                kind: row.get("kind"),
                privileges: Vec::new(),
                of_columns: vec![of],
                referenced: true,
            }),
        }
    }
    Ok(held)
}

fn relation(row: &Row) -> Relation {
    Relation {
        role: row.get("role"),
        object: Named::of(row),
        kind: row.get("kind"),
        privileges: row.get("privileges"),
        of_columns: Vec::new(),
        referenced: row.get("referenced"),
    }
}

fn routine(row: &Row) -> Routine {
    Routine {
        role: row.get("role"),
        object: Named::of(row),
        procedure: row.get("procedure"),
        volatile: row.get("volatile"),
        variadic: row.get("variadic"),
        signature: row.get("signature"),
        types: row.get("types"),
    }
}

fn other(row: &Row) -> Other {
    Other {
        role: row.get("role"),
        kind: row.get("kind"),
        name: row.get("name"),
        privileges: row.get("privileges"),
    }
}
