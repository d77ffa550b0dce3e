//! A run that two make at the same time, as close to each other as two can be: each holds the transaction of its last
//! statement open until the other one has done one, too, or waits for a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::stage::Stage;
use super::trace::differences;
use crate::failure::Failure;
use crate::observations::{AtOnce, Complaint, WorkerObservation};
use crate::postgres::Session;
use crate::programs::BoxFuture;
use crate::runs::{self, RunSpec};
use crate::state::{Ask as _, Watcher};
use crate::tap::{At, Boundary, Next, Orders};

/// How long one waits for the other, which does the same and cannot be far: it may not get as far, when a statement of its
/// has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the server is asked whether the other one waits.
const POLL: Duration = Duration::from_millis(2);

/// Whoever waits for a lock: in a copy the workers rest, so that it is one of the two.
const WAITING: &str = "SELECT pid FROM pg_catalog.pg_stat_activity \
                       WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'";

/// Lets two scripts go on in turn.
struct Turns {
    /// Asks who waits.
    session: Mutex<Session>,
    /// Scripts that have not ended.
    running: AtomicUsize,
    /// Changes whenever somebody arrives at a boundary; the number of those who did.
    arrived: watch::Sender<u64>,
}

impl Turns {
    /// Waits until another one arrives, or waits for a lock, or has ended.
    async fn turn(&self, at: &At) {
        let begun = Instant::now();
        let mut others = self.arrived.subscribe();
        self.arrived.send_modify(|count| *count += 1);
        others.mark_unchanged();
        while self.running.load(Ordering::Acquire) > 1 && begun.elapsed() < PATIENCE {
            tokio::select! {
                biased;
                // An error means that nobody can arrive any more.
                _ = others.changed() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let waiting = self.session.lock().await.ask(WAITING).await.unwrap_or_default();
            let other = |row: &Vec<Option<String>>| {
                row.first().and_then(Option::as_ref).is_some_and(|pid| *pid != at.backend.to_string())
            };
            if waiting.iter().any(other) {
                return;
            }
        }
    }
}

impl Boundary for Turns {
    fn reached(&self, _at: At) -> BoxFuture<'_, Next> {
        Box::pin(std::future::ready(Next::Go))
    }

    fn held<'a>(&'a self, at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(async move {
            self.turn(at).await;
            Next::Go
        })
    }
}

impl Stage<'_> {
    /// Makes a run twice at the same time; what came of it, and of every worker.
    pub(super) async fn at_once(
        &mut self,
        spec: &RunSpec,
    ) -> Result<(AtOnce, Vec<WorkerObservation>), Failure> {
        let session = self.watch().await?;
        self.crew.start_for(spec.number).await;
        let mut watcher = Watcher::new(self.known_applications());
        let before = self.state(&mut watcher).await;
        let turns = Arc::new(Turns {
            session: Mutex::new(session),
            running: AtomicUsize::new(2),
            arrived: watch::Sender::new(0),
        });
        let boundary = Arc::clone(&turns) as Arc<dyn Boundary>;
        if let Some(tap) = &self.tap {
            tap.begin(Orders { boundary: Some(boundary), hold: true, ..Orders::default() }, Instant::now());
        }
        let launcher = self.sandbox.launcher();
        let one = async || {
            let result = runs::run(spec, &self.plan.seed.database, launcher.as_ref()).await;
            turns.running.fetch_sub(1, Ordering::AcqRel);
            result
        };
        let (first, second) = tokio::join!(one(), one());
        let failed = match &self.tap {
            Some(tap) => {
                tap.boundaries_done().await;
                let seen = tap.end().statements.into_iter();
                seen.filter_map(|seen| {
                    Some(Complaint { sql: seen.text, sqlstate: seen.sqlstate?, message: seen.message? })
                })
                .collect()
            }
            None => Vec::new(),
        };
        let endings = vec![first?.ending, second?.ending];
        self.sandbox.settle().await;
        let workers = self.check().await;
        let after = self.state(&mut watcher).await;
        let changes = match (before, after) {
            (Some(before), Some(after)) => differences(&before, &after),
            _ => Vec::new(),
        };
        Ok((AtOnce { endings, failed, changes }, workers))
    }
}
