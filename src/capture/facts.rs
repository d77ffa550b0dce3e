//! What is read from the catalogs and the statistics of the live database, in one transaction that can only read.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::client::Client;
use super::sections::Object;
use crate::postgres::conninfo::Conninfo;

const BEGIN: &str = include_str!("begin.sql");
const LIMITS: &str = include_str!("limits.sql");
const SERVER: &str = include_str!("server.sql");
const TABLES: &str = include_str!("tables.sql");
const UNSEEN: &str = include_str!("unseen.sql");
const EXAMPLE: &str = include_str!("example.sql");
const STATISTICS: &str = include_str!("statistics.sql");

/// The first version that restores the planner's statistics (PostgreSQL manual, 9.28.11).
const RESTORES_STATISTICS: u32 = 18;

/// Everything but the statements and what pg_dump writes.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) server: ServerFacts,
    pub(super) tables: Vec<TableSize>,
    pub(super) unseen: Unseen,
    pub(super) example: Option<Example>,
    /// Statements that restore the planner's statistics, without a value of a row; none where the version has no
    /// such statements.
    pub(super) statistics: Option<Vec<String>>,
}

/// The server, the database, and who asked.
#[derive(Debug, Deserialize)]
pub(super) struct ServerFacts {
    version_num: u32,
    pub(super) version: String,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) captured_at: String,
    pub(super) reads_all_stats: bool,
    pub(super) roles: usize,
    pub(super) extensions: Vec<String>,
    pub(super) settings: BTreeMap<String, String>,
}

impl Facts {
    /// The tables that the clone has.
    pub(super) fn kept(&self) -> impl Iterator<Item = &TableSize> {
        let gone: BTreeSet<(&str, &str)> = self.unseen.relations.iter().map(Object::place).collect();
        self.tables.iter().filter(move |table| {
            !table.materialized_view && !gone.contains(&(table.schema.as_str(), table.name.as_str()))
        })
    }
}

impl ServerFacts {
    pub(super) fn major(&self) -> u32 {
        self.version_num / 10_000
    }
}

/// The size of a table, as the statistics have it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TableSize {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) materialized_view: bool,
    /// Rows; none where the statistics do not know.
    pub(super) rows: Option<u64>,
    /// Bytes of the table itself, when it was last vacuumed or analyzed.
    pub(super) table_bytes: u64,
    /// With its indexes and its TOAST table.
    pub(super) total_bytes: u64,
}

/// What pg_dump cannot dump for the role.
#[derive(Debug, Deserialize)]
pub(super) struct Unseen {
    /// Tables that it may not read.
    pub(super) tables: Vec<Object>,
    /// These, and every view, partition and sequence that depends on them.
    pub(super) relations: Vec<Object>,
    /// Everything else that depends on them.
    pub(super) objects: Vec<Object>,
}

/// What the example of a worker is made of.
#[derive(Debug, Deserialize)]
pub(super) struct Example {
    pub(super) role: String,
    /// A table that it reads, quoted.
    pub(super) table: String,
}

/// Reads the facts.
pub(super) async fn read(client: &Client, from: &Conninfo) -> Result<Facts, CaptureError> {
    let script = [BEGIN, SERVER, LIMITS, TABLES, UNSEEN, EXAMPLE, "COMMIT;\n"].concat();
    let answer = client.psql(from, &script).await?;
    let mut documents = documents(&answer);
    let server: ServerFacts = next(&mut documents)?;
    let (tables, unseen, example) = (next(&mut documents)?, next(&mut documents)?, next(&mut documents)?);
    let statistics = match server.major() {
        RESTORES_STATISTICS.. => Some(one(&client.psql(from, &within(STATISTICS)).await?)?),
        _ => None,
    };
    Ok(Facts { server, tables, unseen, example, statistics })
}

/// A script in a transaction that can only read, within limits.
pub(super) fn within(sql: &str) -> String {
    [BEGIN, LIMITS, sql, "COMMIT;\n"].concat()
}

/// The one document that a script answered with.
pub(super) fn one<T: DeserializeOwned>(answer: &str) -> Result<T, CaptureError> {
    next(&mut documents(answer))
}

/// The two documents that a script answered with.
pub(super) fn two<A: DeserializeOwned, B: DeserializeOwned>(answer: &str) -> Result<(A, B), CaptureError> {
    let mut documents = documents(answer);
    Ok((next(&mut documents)?, next(&mut documents)?))
}

/// JSON documents, one after the other.
fn documents(answer: &str) -> impl Iterator<Item = serde_json::Result<serde_json::Value>> {
    serde_json::Deserializer::from_str(answer).into_iter()
}

fn next<T: DeserializeOwned>(
    documents: &mut impl Iterator<Item = serde_json::Result<serde_json::Value>>,
) -> Result<T, CaptureError> {
    let missing = || serde::de::Error::custom("an answer is missing");
    documents
        .next()
        .unwrap_or_else(|| Err(missing()))
        .and_then(serde_json::from_value)
        .map_err(CaptureError::Answer)
}
