//! Fills the tables of a freshly restored database with synthetic rows that keep its constraints.
//!
//! What the tables demand is read from the catalogs, never from the dump. Rows are loaded with
//! `session_replication_role = replica`, so that no trigger of the user's does anything meanwhile; that
//! foreign keys hold is then this module's own business, and it only ever writes keys that exist.

mod arithmetic;
pub(crate) mod by_hand;
mod catalog;
mod constants;
mod eval;
mod expr;
mod folded;
mod generate;
mod kinds;
mod load;
mod look;
mod model;
mod odd;
mod order;
mod partitions;
mod pattern;
mod scale;
mod spare;
mod texts;
mod triggers;
mod values;
mod wish;
mod wishes;
mod words;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::identifiers::nearest;

pub use spare::{SpareRow, spare};

/// Which tables get how many rows.
#[derive(Debug, Clone)]
pub struct RowsPlan {
    /// Rows of every table; 0: none.
    pub rows: u64,
    /// What the values are drawn with: the same dump and seed give the same rows.
    pub seed: u64,
    /// Rows of single tables, as `schema.table`, or `table` for one in `public`.
    pub tables: BTreeMap<String, u64>,
}

/// A table that stayed empty although rows were wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableWithoutRows {
    /// `schema.table`.
    pub table: String,
    /// Why.
    pub reason: String,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct RowsFilled {
    /// Tables of the user's schemas, partitions among them.
    pub tables: u64,
    /// Rows inserted.
    pub rows: u64,
    /// Tables that stayed empty although rows were wanted.
    pub without_rows: Vec<TableWithoutRows>,
}

/// Why no rows were made at all. One difficult table is no reason.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A table that the plan names does not exist, or is no table that rows are put into.
    #[error("there is no table {name}{}", hint.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    NoSuchTable {
        /// The name.
        name: String,
        /// A name that comes near.
        hint: Option<String>,
    },
    /// The catalogs could not be read.
    #[error("the catalogs could not be read")]
    Catalog(#[source] tokio_postgres::Error),
    /// The catalogs answered with what was not expected.
    #[error("the catalogs gave an unexpected answer")]
    Answer(#[source] serde_json::Error),
    /// The session failed.
    #[error("the session that inserts rows failed")]
    Session(#[source] tokio_postgres::Error),
}

/// Everything happens in one transaction with settings of its own. Names in deparsed expressions come
/// out the same whatever the search path of the database is.
const BEGIN: &str = "BEGIN READ WRITE; SET LOCAL search_path = ''; SET LOCAL session_replication_role = replica; \
     SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL bytea_output = 'hex'; SET LOCAL standard_conforming_strings = on; \
     SET LOCAL jit = off; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
     SET LOCAL synchronous_commit = off";

/// Once the catalogs are read: functions in checks may rely on the path that the database has.
const OPEN: &str = "SET LOCAL search_path TO DEFAULT; SAVEPOINT thirdrun_rows";

/// Tables whose COPY is prepared at once.
const AHEAD: usize = 64;

/// Fills the tables. `client` is a superuser's session on the database.
///
/// # Errors
/// When the plan names a table that does not exist, or the session fails.
pub async fn fill(client: &Client, plan: &RowsPlan) -> Result<RowsFilled, RowsError> {
    if plan.rows == 0 && plan.tables.is_empty() {
        let tables = catalog::count(client).await?;
        return Ok(RowsFilled { tables, rows: 0, without_rows: Vec::new() });
    }
    let done = fill_within(client, plan).await;
    if done.is_err() {
        // Where this fails too, the first error tells more.
        let _ = client.batch_execute("ROLLBACK").await;
    }
    done
}

/// Begins the transaction, and ends it where all went well.
async fn fill_within(client: &Client, plan: &RowsPlan) -> Result<RowsFilled, RowsError> {
    let mut catalog = catalog::read(client, BEGIN).await?;
    let wake = if catalog.restless { triggers::rest(client).await? } else { String::new() };
    let mut filled = RowsFilled { tables: catalog.count, rows: 0, without_rows: Vec::new() };
    folded::simplify(client, &mut catalog).await?;
    let model = model::build(catalog);
    let counts = wanted(plan, &model)?;
    let chosen: Vec<usize> =
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| at).collect();
    let mut loader = load::Loader {
        client,
        generator: generate::Generator::new(&model),
        seed: plan.seed,
        wanted: counts,
        inserted: 0,
        without: Vec::new(),
        defeated: BTreeMap::new(),
        statements: BTreeMap::new(),
    };
    let groups = order::groups(&model, &chosen);
    let mut before = OPEN;
    for some in groups.chunks(AHEAD) {
        loader.prepare_ahead(before, some).await?;
        if before == OPEN {
            for (at, table) in model.iter().enumerate() {
                if table.occupied {
                    loader.read_existing(at).await?;
                }
            }
        }
        before = load::KEEP;
        for group in some {
            loader.group(group).await?;
        }
    }
    let mut end: Vec<String> = loader.sequences();
    end.extend([wake, "COMMIT".to_owned()]);
    client.batch_execute(&end.join("; ")).await.map_err(RowsError::Session)?;
    filled.rows = loader.inserted;
    filled.without_rows = loader.without;
    filled.without_rows.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(filled)
}

/// Rows for every table, in the order of the model.
fn wanted(plan: &RowsPlan, model: &[model::Table]) -> Result<Vec<u64>, RowsError> {
    let mut counts = vec![plan.rows; model.len()];
    for (name, count) in &plan.tables {
        let label = |table: &model::Table| {
            table.label == *name || table.label.strip_prefix("public.") == Some(name.as_str())
        };
        let Some(place) = model.iter().position(label).and_then(|at| counts.get_mut(at)) else {
            let labels: Vec<&str> = model
                .iter()
                .flat_map(|table| [Some(table.label.as_str()), table.label.strip_prefix("public.")])
                .flatten()
                .collect();
            return Err(RowsError::NoSuchTable {
                name: name.clone(),
                hint: nearest(name, labels).map(str::to_owned),
            });
        };
        *place = *count;
    }
    Ok(counts)
}
