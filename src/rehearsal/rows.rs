//! Reads the rows of the clone around one statement of a run, in a copy whose workers rest meanwhile.

use tokio::sync::Mutex;

use super::ask::ask;
use super::trace::Inside;
use crate::observations::RowsChanged;
use crate::postgres::{Login, QueryFailure, Server};
use crate::programs::BoxFuture;
use crate::state::Contents;
use crate::tap::{At, Boundary, Next};

/// What a transaction begins with before it looks at anything.
const BEGINS: [&str; 3] = ["BEGIN", "START TRANSACTION", "SET"];

/// Reads what tables hold before and after a statement.
pub(super) struct Around {
    server: Server,
    login: Login,
    statement: u32,
    /// The one that was sent before it, if there was one.
    previous: Option<u32>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    before: Option<Contents>,
    changed: Vec<RowsChanged>,
}

impl Around {
    /// Begins before the run.
    pub(super) async fn begin(server: &Server, login: &Login, statement: u32, previous: Option<u32>) -> Self {
        let around = Self {
            server: server.clone(),
            login: login.clone(),
            statement,
            previous,
            seen: Mutex::default(),
        };
        if previous.is_none() {
            // Where it cannot be read, nothing is told.
            around.seen.lock().await.before = around.outside(None).await.ok();
        }
        around
    }

    /// What the statement did.
    pub(super) async fn changed(&self) -> Vec<RowsChanged> {
        std::mem::take(&mut self.seen.lock().await.changed)
    }

    async fn outside(&self, before: Option<&Contents>) -> Result<Contents, QueryFailure> {
        ask(&self.server, &self.login, async |session| Contents::read(session, before).await).await
    }

    async fn read(&self, at: &At, before: Option<&Contents>) -> Option<Contents> {
        match at.status {
            b'I' => self.outside(before).await.ok(),
            // What its transaction has changed only the script itself can see.
            b'T' if at.idle => Contents::read(&Inside(at), before).await.ok(),
            // One that has only begun has changed nothing, and must not be asked.
            b'T' if at.tag.as_deref().is_some_and(|tag| BEGINS.contains(&tag)) => {
                self.outside(before).await.ok()
            }
            _ => None,
        }
    }
}

impl Boundary for Around {
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        Box::pin(async move {
            let mut seen = self.seen.lock().await;
            if Some(at.index) == self.previous {
                seen.before = self.read(&at, None).await;
            }
            if at.index == self.statement
                && let Some(before) = seen.before.take()
                && let Some(after) = self.read(&at, Some(&before)).await
            {
                seen.changed = before.changed(&after);
            }
            Next::Go
        })
    }
}
