//! The trace: the runs once more, in a copy, where the state is read between any two statements.
//!
//! The rehearsal itself is not held up between statements, and what a transaction has changed nobody else can see
//! before it ends: so the copy tells which statement makes which change.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use super::ask::ANSWER;
use super::locks::{Locks, Taken};
use super::stage::{Set, Stage};
use crate::dump::split;
use crate::failure::Failure;
use crate::identifiers::RunNumber;
use crate::observations::Statement;
use crate::plan::Plan;
use crate::postgres::{Login, QueryFailure, Server};
use crate::programs::BoxFuture;
use crate::progress::Progress;
use crate::sandbox::{self, Scope};
use crate::state::{self, Ask, Change, Sessions, Snapshot, Watcher};
use crate::tap::{At, Boundary, Next, Orders};

/// The runs that were traced, in order.
pub(super) type Traced = Vec<TracedRun>;

/// What each statement of a run did.
pub(super) struct TracedRun {
    pub(super) run: RunNumber,
    /// The changes that they made, in order.
    pub(super) changes: Vec<Change>,
    /// The statements as the copy saw them, with what they locked and went through.
    pub(super) statements: Vec<Statement>,
}

/// Makes the runs whose numbers are received, and tells what their statements changed. What cannot be traced is left
/// out: it is no reason for a rehearsal to fail.
pub(super) async fn trace(
    plan: &Plan,
    backend: &str,
    scope: &Scope,
    mut wanted: mpsc::UnboundedReceiver<RunNumber>,
) -> Traced {
    let mut traced = Vec::new();
    let Ok(scope) = scope.child() else { return traced };
    // What was traced until then is worth keeping.
    let _ = runs(plan, backend, &scope, &mut wanted, &mut traced).await;
    scope.close().await;
    traced
}

async fn runs(
    plan: &Plan,
    backend: &str,
    scope: &Scope,
    wanted: &mut mpsc::UnboundedReceiver<RunNumber>,
    traced: &mut Traced,
) -> Result<(), Failure> {
    let plan = super::replay::on_backend(plan, backend);
    let progress = Progress::new(true, false);
    let Set { mut stage, .. } = Stage::set(&plan, scope, &progress).await?;
    let server = stage.sandbox.server().clone();
    let login = server.superuser_login(&plan.seed.database);
    let major = sandbox::major(&stage.sandbox.facts().postgres);
    let mut watcher = Watcher::new(stage.known_applications());
    let mut last = refreshed(&mut watcher, &server, &login).await;
    while let Some(number) = wanted.recv().await {
        let Some(spec) = plan.runs.iter().find(|spec| spec.number == number) else { break };
        let Ok(before) = last else { break };
        let reader = Arc::new(Reader {
            server: server.clone(),
            login: login.clone(),
            seen: Mutex::new(Seen {
                committed: watcher,
                inside: None,
                last: before,
                changes: Vec::new(),
                unread: Vec::new(),
            }),
            locks: Locks::new(server.clone(), &login, major).await,
            taken: Mutex::default(),
        });
        let boundary = Arc::clone(&reader) as Arc<dyn Boundary>;
        let orders = Orders { boundary: Some(boundary), hold: true, ..Orders::default() };
        let (run, _) = stage.run(spec, orders, &progress).await?;
        let mut seen = reader.seen.lock().await;
        let mut taken = reader.taken.lock().await;
        let mut statements = run.result.statements;
        for statement in &mut statements {
            let taken = taken.remove(&statement.index).unwrap_or_default();
            (statement.locks, statement.scans, statement.rewrites) =
                (taken.locks, taken.scans, taken.rewrites);
        }
        traced.push(TracedRun { run: number, changes: std::mem::take(&mut seen.changes), statements });
        watcher = seen.committed.clone();
        drop(seen);
        last = refreshed(&mut watcher, &server, &login).await;
    }
    stage.strike().await;
    Ok(())
}

/// Reads the state.
pub(super) async fn refreshed(
    watcher: &mut Watcher,
    server: &Server,
    login: &Login,
) -> Result<Arc<Snapshot>, QueryFailure> {
    let asked = async {
        let sessions = Sessions::open(&server.endpoint, login, watcher.wants_two_sessions()).await?;
        let state = watcher.refresh(&sessions, false).await;
        sessions.close().await;
        state
    };
    tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(QueryFailure::silent()))
}

/// What changed, and what roles can no longer do, or can do now.
pub(super) fn differences(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut all = state::changes(before, after);
    all.extend(state::access_changes(before, after));
    all
}

/// Reads the state whenever a statement has been answered.
struct Reader {
    server: Server,
    login: Login,
    seen: Mutex<Seen>,
    locks: Locks,
    /// By the statement.
    taken: Mutex<HashMap<u32, Taken>>,
}

struct Seen {
    /// What everybody can see.
    committed: Watcher,
    /// What only the script can see, in the middle of a transaction.
    inside: Option<Watcher>,
    last: Arc<Snapshot>,
    changes: Vec<Change>,
    /// Statements whose changes nothing could show yet, as in the midst of a pipeline: each with its connection.
    unread: Vec<(u32, u32)>,
}

impl Boundary for Reader {
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        Box::pin(async move {
            if at.status != b'T' {
                self.locks.released(&at).await;
            }
            let unread = self.seen.lock().await.unread.iter().any(|(_, other)| *other == at.connection);
            if changes_something(&at) || unread {
                // Where it cannot be read, the change is told when it can.
                let _ = self.read(&at).await;
            }
            Next::Go
        })
    }

    fn held<'a>(&'a self, at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(async move {
            // Where they cannot be read, none are told.
            if let Ok(taken) = self.locks.at(at).await {
                self.taken.lock().await.insert(at.index, taken);
            }
            Next::Go
        })
    }
}

impl Reader {
    async fn read(&self, at: &At) -> Result<(), QueryFailure> {
        let mut seen = self.seen.lock().await;
        let seen = &mut *seen;
        let now = match at.status {
            b'I' => {
                seen.inside = None;
                refreshed(&mut seen.committed, &self.server, &self.login).await?
            }
            b'T' if at.idle => {
                // What was rolled back to a savepoint must not be remembered.
                let undone = at.tag.as_deref() == Some("ROLLBACK");
                let mut inside = match seen.inside.take() {
                    Some(inside) if !undone => inside,
                    _ => seen.committed.clone(),
                };
                let now = inside.refresh(&Inside(at), true).await?;
                seen.inside = Some(inside);
                now
            }
            _ => {
                if !is_query(at) && changes_something(at) {
                    seen.unread.push((at.index, at.connection));
                }
                return Ok(());
            }
        };
        // Of several the last is as good as any: a query only calls what it calls.
        let unread = seen.unread.iter().rfind(|(_, other)| *other == at.connection);
        let unread = unread.map(|(index, _)| *index).filter(|_| is_query(at) || !changes_something(at));
        seen.unread.retain(|(_, other)| *other != at.connection);
        for mut change in differences(&seen.last, &now).into_iter().filter(|change| !change.kind.is_left()) {
            change.statement = Some(unread.unwrap_or(at.index));
            seen.changes.push(change);
        }
        seen.last = now;
        Ok(())
    }
}

/// The script's own connection.
pub(super) struct Inside<'a>(pub(super) &'a At);

impl Ask for Inside<'_> {
    async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, QueryFailure> {
        // The tap asks by the extended protocol, which takes one statement at a time.
        let mut rows = Vec::new();
        for statement in split(sql).unwrap_or_default() {
            rows.extend(self.0.ask(statement.text).await?);
        }
        Ok(rows)
    }
}

/// Whether a statement is one that mostly only reads.
fn is_query(at: &At) -> bool {
    at.tag.as_deref().is_some_and(|tag| tag.starts_with("SELECT"))
}

/// Whether a statement can have changed the state. Rows are none of it. Of one that fails in a transaction block nothing
/// is left, but of others that fail there may be: see [`crate::verdict::undone`].
fn changes_something(at: &At) -> bool {
    /// Statements that change rows, or the session, or nothing. In the midst of a transaction nothing may be asked
    /// before the first of the others: `SET TRANSACTION` wants to come first (PostgreSQL manual, SET TRANSACTION).
    const NOTHING: [&str; 16] = [
        "BEGIN",
        "START",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "RESET",
        "SHOW",
        "INSERT",
        "UPDATE",
        "DELETE",
        "COPY",
        "FETCH",
        "DECLARE",
        "LISTEN",
        "NOTIFY",
        "EXPLAIN",
    ];
    let Some(tag) = &at.tag else { return at.status == b'I' };
    tag.split(' ').next().is_some_and(|word| !NOTHING.contains(&word))
}
