//! Triggers rest while rows are made, as they do while `pg_restore` loads data: there they do not exist yet.
//!
//! `session_replication_role` leaves those alone that are `ENABLE ALWAYS` or `ENABLE REPLICA` (PostgreSQL
//! manual, ALTER TABLE). One that raises an error before COPY reads its data would also end the session,
//! since the driver then sends a second Sync that the server answers.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::RowsError;

/// Puts them to rest, and returns the statements that wake them again.
pub(super) async fn rest(client: &Client) -> Result<String, RowsError> {
    let messages = client.simple_query(include_str!("triggers.sql")).await.map_err(RowsError::Catalog)?;
    let (mut rest, mut wake) = (Vec::new(), Vec::new());
    for message in &messages {
        if let SimpleQueryMessage::Row(row) = message {
            rest.extend(row.get(0));
            wake.extend(row.get(1));
        }
    }
    if !rest.is_empty() {
        client.batch_execute(&rest.join("; ")).await.map_err(RowsError::Session)?;
    }
    Ok(wake.join("; "))
}
