//! Whoever can put a question to a server.

use crate::postgres::{Endpoint, Login, QueryFailure, Session};

/// Sends a query string by the simple protocol and gives back the rows of all its statements, in order, every
/// value as text (PostgreSQL manual, 55.2.3).
pub trait Ask {
    /// Asks.
    ///
    /// # Errors
    /// The error that the server raised, or the one it ended the session with.
    fn ask(&self, sql: &str) -> impl Future<Output = Result<Vec<Vec<Option<String>>>, QueryFailure>> + Send;

    /// The same, beside what is being asked, where that can be.
    ///
    /// # Errors
    /// As [`Ask::ask`].
    fn ask_beside(
        &self,
        sql: &str,
    ) -> impl Future<Output = Result<Vec<Vec<Option<String>>>, QueryFailure>> + Send {
        self.ask(sql)
    }
}

impl Ask for Session {
    async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        let sent = self.send(sql).await?;
        self.texts(sent).await
    }
}

/// Two sessions of thirdrun's own: a server answers each in a process of its own.
pub struct Sessions {
    first: Session,
    /// None where no second one is wanted, or could be had.
    second: Option<Session>,
}

impl Sessions {
    /// Opens one session, or `two`.
    ///
    /// # Errors
    /// What the server says, or that it cannot be reached.
    pub async fn open(endpoint: &Endpoint, login: &Login, two: bool) -> Result<Self, QueryFailure> {
        let second = async { if two { Session::open(endpoint, login).await.ok() } else { None } };
        let (first, second) = tokio::join!(Session::open(endpoint, login), second);
        match first {
            Ok(first) => Ok(Self { first, second }),
            Err(failure) => {
                if let Some(second) = second {
                    second.close().await;
                }
                Err(failure)
            }
        }
    }

    /// Closes them, and waits until they are gone.
    pub async fn close(self) {
        let second = async {
            if let Some(second) = self.second {
                second.close().await;
            }
        };
        tokio::join!(self.first.close(), second);
    }
}

impl Ask for Sessions {
    async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        self.first.ask(sql).await
    }

    async fn ask_beside(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        self.second.as_ref().unwrap_or(&self.first).ask(sql).await
    }
}
