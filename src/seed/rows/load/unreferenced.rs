//! Foreign keys with a column that the server computes: what it references is seen once the row is there.

use tokio_postgres::SimpleQueryMessage;

use super::super::RowsError;
use super::super::generate::Refusal;
use super::super::model::Table;
use super::Loader;
use crate::identifiers::quote_identifier;

impl Loader<'_, '_> {
    /// Removes rows of which a column that the server computes references nothing; none where no such column is
    /// part of a foreign key. Returns the key and the rows that are left.
    pub(super) async fn remove_unreferenced(
        &mut self,
        at: usize,
        done: u64,
    ) -> Result<Option<(Refusal, u64)>, RowsError> {
        let Some(table) = self.table(at).filter(|_| done > 0) else {
            return Ok(None);
        };
        let mut removed = None;
        let mut left = done;
        for key in &table.foreign_keys {
            let column =
                |table: &Table, at: &usize| table.columns.get(*at).map(|c| quote_identifier(&c.name));
            let computed = |at: &usize| table.columns.get(*at).is_some_and(|column| column.generated);
            let target = key.target.and_then(|target| self.table(target));
            let (true, Some(target)) = (key.columns.iter().any(computed), target) else {
                continue;
            };
            let pairs: Vec<String> = key
                .columns
                .iter()
                .zip(&key.target_columns)
                .filter_map(|(own, theirs)| {
                    Some(format!("own.{} = it.{}", column(table, own)?, column(target, theirs)?))
                })
                .collect();
            let whole: Vec<String> = key
                .columns
                .iter()
                .filter_map(|own| Some(format!("own.{} IS NOT NULL", column(table, own)?)))
                .collect();
            let query = format!(
                "WITH gone AS (DELETE FROM {} AS own WHERE {} \
                 AND NOT EXISTS (SELECT FROM {} AS it WHERE {}) RETURNING 1) SELECT pg_catalog.count(*) FROM gone",
                table.sql,
                whole.join(" AND "),
                target.sql,
                pairs.join(" AND ")
            );
            let messages = self.client.simple_query(&query).await.map_err(RowsError::Session)?;
            let gone = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u64>().ok(),
                _ => None,
            });
            left = left.saturating_sub(gone.unwrap_or_default());
            removed = Some((Refusal::no_target(key), left));
        }
        Ok(removed)
    }
}
