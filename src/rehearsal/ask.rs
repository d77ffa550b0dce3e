//! Questions to a sandbox's server on a session of thirdrun's own, which does not stay: a script may want to drop the
//! database.

use std::time::Duration;

use crate::postgres::{Login, QueryFailure, Server, Session};

/// How long a server may take for an answer: one that was stopped takes connections and says nothing, and somebody may
/// hold a lock.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Opens a session, asks on it, and closes it.
///
/// # Errors
/// What the server says, or that it says nothing.
pub(super) async fn ask<T>(
    server: &Server,
    login: &Login,
    question: impl AsyncFnOnce(&Session) -> Result<T, QueryFailure>,
) -> Result<T, QueryFailure> {
    let asked = async {
        let session = Session::open(&server.endpoint, login).await?;
        let answer = question(&session).await;
        session.close().await;
        answer
    };
    tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(QueryFailure::silent()))
}
