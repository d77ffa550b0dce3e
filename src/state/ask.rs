//! Whoever can put a question to a server.

use crate::postgres::{QueryFailure, Session};

/// Sends a query string by the simple protocol and gives back the rows of all its statements, in order, every
/// value as text (PostgreSQL manual, 55.2.3).
pub trait Ask {
    /// Asks.
    ///
    /// # Errors
    /// The error that the server raised, or the one it ended the session with.
    fn ask(&self, sql: &str) -> impl Future<Output = Result<Vec<Vec<Option<String>>>, QueryFailure>> + Send;
}

impl Ask for Session {
    async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        let sent = self.send(sql).await?;
        self.texts(sent).await
    }
}
