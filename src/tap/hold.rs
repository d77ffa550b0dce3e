//! A boundary between two statements, at which a client waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Next;
use super::ask::{Rows, lost};
use super::journal::Slot;
use crate::identifiers::SqlState;
use crate::postgres::QueryFailure;

/// A question that waits for the link to put it.
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) reply: oneshot::Sender<Result<Rows, QueryFailure>>,
}

/// Where a run stands.
#[derive(Debug)]
pub struct At {
    /// The statement that was answered, as [`super::Seen::index`].
    pub index: u32,
    /// As [`super::Seen::connection`].
    pub connection: u32,
    /// As [`super::Seen::backend`].
    pub backend: i32,
    /// Its command tag; none where it failed.
    pub tag: Option<String>,
    /// Its error's code.
    pub sqlstate: Option<SqlState>,
    /// The transaction status (53.7, ReadyForQuery): `I` idle, `T` in a transaction block, `E` in a failed one. In
    /// the midst of a query string or a pipeline it is the one before it.
    pub status: u8,
    /// The transaction is the tap's own: without it the statement, or the query string, would commit by itself.
    pub autocommit: bool,
    /// [`At::ask`] is possible: the server waits for a query, and a question would change nothing for the client.
    /// It would in a transaction block that has not looked at data yet: `SET TRANSACTION` must come before that.
    pub idle: bool,
    pub(super) questions: mpsc::UnboundedSender<Question>,
}

impl At {
    /// Runs a query on the candidate's own connection, as its role and inside its transaction, without the client
    /// noticing: prepared statements and portals of the client stay, and a failure is rolled back to a savepoint.
    /// All values come as text.
    ///
    /// # Errors
    /// What the server says, or that the connection is lost or not [`At::idle`].
    pub async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        if !self.idle {
            return Err(lost("the connection is in the midst of something else"));
        }
        let (reply, answer) = oneshot::channel();
        let question = Question { sql: sql.to_owned(), reply };
        if self.questions.send(question).is_err() {
            return Err(lost("the connection is lost"));
        }
        answer.await.unwrap_or_else(|_| Err(lost("the connection was lost")))
    }
}

/// Counts the boundaries under way, over all connections.
#[derive(Default)]
pub(super) struct Holds {
    count: AtomicUsize,
    changed: Notify,
}

/// One of them.
pub(super) struct Counted(Arc<Holds>);

impl Holds {
    pub(super) fn one(self: &Arc<Self>) -> Counted {
        self.count.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(self))
    }

    pub(super) async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

/// A boundary under way.
pub(super) struct Hold {
    pub(super) future: BoxFuture<'static, Next>,
    pub(super) questions: mpsc::UnboundedReceiver<Question>,
    /// Nothing is in flight, so that what the server sends now belongs to a question.
    pub(super) idle: bool,
    /// The statement it follows.
    pub(super) after: Slot,
    /// Keeps the count.
    pub(super) _counted: Counted,
}
