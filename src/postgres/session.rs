//! One session on a server, from login to the end of its backend process.
//!
//! Differs from the driver's own client in three points that a rehearsal needs: a session that was cut
//! off tells the SQLSTATE the server ended it with; closing waits until the backend is gone, since
//! connection limits count it until then; a cancel request is known to have been delivered.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{AsyncMessage, NoTls, SimpleQueryMessage, SimpleQueryStream};

use super::wire::Wire;
use super::{Endpoint, Login};
use crate::identifiers::SqlState;

/// SQLSTATE `connection_failure`: the session was cut off and the server did not say why.
const CUT_OFF: &str = "08006";
/// SQLSTATE `sqlclient_unable_to_establish_sqlconnection`: nobody answered.
const UNREACHABLE: &str = "08001";
/// How long a backend gets to end after its client said goodbye.
const GOODBYE: Duration = Duration::from_secs(10);

/// What a query string gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows affected or returned by its last statement.
    pub rows: u64,
    /// The first column of its first row as text; inner none for NULL, outer none without a row.
    pub value: Option<Option<String>>,
}

/// A query string that was sent and not answered yet.
pub struct Sent(Pin<Box<SimpleQueryStream>>);

/// A notification that arrived.
#[derive(Debug, Clone)]
pub struct Notified {
    /// Its channel.
    pub channel: String,
}

/// Why a login or a query failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct QueryFailure {
    /// The server's code, or 08006 / 08001 where the connection failed without a word.
    pub sqlstate: SqlState,
    /// The primary message.
    pub message: String,
    /// The server's `DETAIL`.
    pub detail: Option<String>,
    /// The server's `HINT`.
    pub hint: Option<String>,
    /// Position of the error in the query string, in characters from 1.
    pub position: Option<u32>,
    /// Whether the session is gone.
    pub cut_off: bool,
}

impl QueryFailure {
    /// What the driver's own calls fail with.
    pub fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::from_db(db, false),
            None => Self::connection(CUT_OFF, chain(error)),
        }
    }

    fn from_db(error: &DbError, cut_off: bool) -> Self {
        let fatal = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        Self {
            sqlstate: SqlState::new(error.code().code()),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position: match error.position() {
                Some(tokio_postgres::error::ErrorPosition::Original(at)) => Some(*at),
                _ => None,
            },
            cut_off: cut_off || fatal,
        }
    }

    /// What the answer of a server that says nothing comes to.
    pub fn silent() -> Self {
        Self::connection(CUT_OFF, "the server does not answer".to_owned())
    }

    fn connection(code: &str, message: String) -> Self {
        Self {
            sqlstate: SqlState::new(code),
            message,
            detail: None,
            hint: None,
            position: None,
            cut_off: true,
        }
    }
}

/// Text of an error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A session on a server.
pub struct Session {
    client: tokio_postgres::Client,
    endpoint: Endpoint,
    driver: JoinHandle<()>,
    ended_with: Arc<Mutex<Option<QueryFailure>>>,
    notifications: mpsc::UnboundedReceiver<Notified>,
    twin: Wire,
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// What the server refused it with, or 08001 where nobody answered.
    pub async fn open(endpoint: &Endpoint, login: &Login) -> Result<Self, QueryFailure> {
        let unreachable = |error: std::io::Error| {
            QueryFailure::connection(UNREACHABLE, format!("could not connect to the server: {error}"))
        };
        let (wire, twin) = Wire::open(endpoint).await.and_then(Wire::split_off).map_err(unreachable)?;
        let mut config = tokio_postgres::Config::new();
        config
            .user(login.role.as_str())
            .password(login.password.reveal())
            .dbname(login.database.as_str())
            .application_name(&login.application);
        if let Some(options) = login.options {
            config.options(options);
        }
        let (client, mut connection) =
            config.connect_raw(wire, NoTls).await.map_err(|error| match error.as_db_error() {
                Some(db) => QueryFailure::from_db(db, true),
                None => QueryFailure::connection(UNREACHABLE, chain(&error)),
            })?;
        let ended_with = Arc::new(Mutex::new(None));
        let (sender, notifications) = mpsc::unbounded_channel();
        let driver = tokio::spawn({
            let ended_with = Arc::clone(&ended_with);
            async move {
                let mut messages = pin!(futures_util::stream::poll_fn(|cx| connection.poll_message(cx)));
                while let Some(message) = messages.next().await {
                    match message {
                        Ok(AsyncMessage::Notification(notification)) => {
                            // The receiver is gone only when the session is being closed.
                            let _ = sender.send(Notified { channel: notification.channel().to_owned() });
                        }
                        Ok(_) => {}
                        Err(error) => {
                            let failure = match error.as_db_error() {
                                Some(db) => QueryFailure::from_db(db, true),
                                None => QueryFailure::connection(CUT_OFF, chain(&error)),
                            };
                            *ended_with.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                            break;
                        }
                    }
                }
            }
        });
        Ok(Self { client, endpoint: endpoint.clone(), driver, ended_with, notifications, twin })
    }

    /// The driver's client, for what queries by text cannot do.
    pub fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// Why the session is gone, if it is.
    pub fn cut_off(&self) -> Option<QueryFailure> {
        if !self.client.is_closed() {
            return None;
        }
        let known = self.ended_with.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(known.unwrap_or_else(|| {
            QueryFailure::connection(CUT_OFF, "the server closed the connection".to_owned())
        }))
    }

    /// Runs a query string by the simple protocol, as psql does. Of its rows only the first is kept.
    ///
    /// # Errors
    /// The error that the server raised, or the one it ended the session with.
    pub async fn run(&self, sql: &str) -> Result<Answer, QueryFailure> {
        let sent = self.send(sql).await?;
        self.answer(sent).await
    }

    /// Sends a query string without waiting for its answer. Query strings are carried out in the order in
    /// which they were sent, each whatever became of those before it.
    ///
    /// # Errors
    /// The error that the server ended the session with.
    pub async fn send(&self, sql: &str) -> Result<Sent, QueryFailure> {
        match self.client.simple_query_raw(sql).await {
            Ok(messages) => Ok(Sent(Box::pin(messages))),
            Err(error) => Err(self.failure(&error).await),
        }
    }

    /// Waits for the answer to what was sent, and keeps all rows of all its statements as text.
    ///
    /// # Errors
    /// The error that the server raised, or the one it ended the session with.
    pub async fn texts(&self, mut sent: Sent) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        let mut rows = Vec::new();
        while let Some(message) = sent.0.next().await {
            match message {
                Ok(SimpleQueryMessage::Row(row)) => {
                    rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                }
                Ok(_) => {}
                Err(error) => return Err(self.failure(&error).await),
            }
        }
        Ok(rows)
    }

    /// Waits for the answer to what was sent.
    ///
    /// # Errors
    /// The error that the server raised, or the one it ended the session with.
    pub async fn answer(&self, mut sent: Sent) -> Result<Answer, QueryFailure> {
        let mut answer = Answer::default();
        while let Some(message) = sent.0.next().await {
            match message {
                Ok(SimpleQueryMessage::Row(row)) => {
                    if answer.value.is_none() {
                        let first = if row.is_empty() { None } else { row.get(0) };
                        answer.value = Some(first.map(str::to_owned));
                    }
                }
                Ok(SimpleQueryMessage::CommandComplete(rows)) => answer.rows = rows,
                Ok(_) => {}
                Err(error) => return Err(self.failure(&error).await),
            }
        }
        Ok(answer)
    }

    async fn failure(&self, error: &tokio_postgres::Error) -> QueryFailure {
        if let Some(db) = error.as_db_error() {
            return QueryFailure::from_db(db, false);
        }
        // The driver learns why a moment after its client was refused: wait for its task to say so.
        let begun = tokio::time::Instant::now();
        while !self.driver.is_finished() && begun.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.cut_off().unwrap_or_else(|| QueryFailure::connection(CUT_OFF, chain(error)))
    }

    /// Asks the server to cancel what the session is running. On return the request has reached the
    /// session's backend: the postmaster closes the connection of the request only after signalling it.
    pub async fn cancel(&self) {
        let token = self.client.cancel_token();
        let delivered = async {
            let (wire, twin) = Wire::open(&self.endpoint).await?.split_off()?;
            token.cancel_query_raw(wire, NoTls).await.map_err(std::io::Error::other)?;
            twin.drain().await;
            Ok::<_, std::io::Error>(())
        };
        // A server that cannot be reached has nothing left to cancel; the caller's deadline decides.
        let _ = tokio::time::timeout(GOODBYE, delivered).await;
    }

    /// Forgets every notification that has arrived so far.
    pub fn forget_notifications(&mut self) {
        while self.notifications.try_recv().is_ok() {}
    }

    /// The next notification; none when the session is gone.
    pub async fn next_notification(&mut self) -> Option<Notified> {
        self.notifications.recv().await
    }

    /// Says goodbye and waits until the backend process has ended, so that the server no longer counts
    /// the session.
    pub async fn close(self) {
        let Self { client, driver, twin, .. } = self;
        drop(client);
        let gone = async {
            // Its only error is a panic or an abort of the driver; the drain sees either.
            let _ = driver.await;
            twin.drain().await;
        };
        let _ = tokio::time::timeout(GOODBYE, gone).await;
    }

    /// Drops the connection without a goodbye, as a client that dies does.
    pub fn abandon(self) {
        self.driver.abort();
    }
}
