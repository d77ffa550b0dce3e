//! Placeholder while the real one is being written.
use std::collections::BTreeMap;
/// Synthetic rows.
#[derive(Debug, Clone)]
pub struct RowsPlan {
    /// rows
    pub rows: u64,
    /// seed
    pub seed: u64,
    /// tables
    pub tables: BTreeMap<String, u64>,
}
/// x
pub struct TableWithoutRows {
    /// t
    pub table: String,
    /// r
    pub reason: String,
}
/// x
pub struct RowsFilled {
    /// t
    pub tables: u64,
    /// r
    pub rows: u64,
    /// w
    pub without_rows: Vec<TableWithoutRows>,
}
/// x
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// q
    #[error("catalog")]
    Catalog(#[source] tokio_postgres::Error),
}
/// x
pub async fn fill(client: &tokio_postgres::Client, _plan: &RowsPlan) -> Result<RowsFilled, RowsError> {
    let row = client.query_one("SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid=c.relnamespace WHERE relkind IN ('r','p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'", &[]).await.map_err(RowsError::Catalog)?;
    let n: i64 = row.get(0);
    Ok(RowsFilled { tables: n.unsigned_abs(), rows: 0, without_rows: vec![] })
}
