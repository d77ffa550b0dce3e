//! Keeps the states of a rehearsal, and measures at its end how they went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::trace;
use crate::identifiers::{RoleName, RunNumber};
use crate::observations::{Change, Course, Needs};
use crate::postgres::{Login, QueryFailure, Server, Session};
use crate::state::{self, Ask as _, Snapshot};
use crate::verdict;
use crate::workers::{SessionKind, WorkerSpec};

/// Where sequences were, by their OIDs; none where they could not be read.
pub(super) type Positions = Option<BTreeMap<u32, i64>>;

/// The states before the first run and after each.
pub(super) struct States {
    held: Vec<Arc<Snapshot>>,
    /// The last one; none when it could not be read, as when the database is gone.
    last: Option<Arc<Snapshot>>,
    returned: Vec<RunNumber>,
}

impl States {
    pub(super) fn new(first: Option<Arc<Snapshot>>) -> Self {
        Self { held: first.iter().cloned().collect(), last: first, returned: Vec::new() }
    }

    /// Takes the state after a run, and says what that changed.
    pub(super) fn take(&mut self, run: RunNumber, state: Option<Arc<Snapshot>>) -> Vec<Change> {
        let before = std::mem::replace(&mut self.last, state.clone());
        let (Some(before), Some(state)) = (before, state) else {
            // Where one is missing, the others are no row.
            self.held.clear();
            return Vec::new();
        };
        let changes = trace::differences(&before, &state);
        let earlier = self.held.len().checked_sub(2).and_then(|at| self.held.get(at));
        // Only after a change there is something to come back from.
        if verdict::changes_state(&changes)
            && earlier.is_some_and(|earlier| !verdict::changes_state(&trace::differences(earlier, &state)))
        {
            self.returned.push(run);
        }
        if !self.held.is_empty() {
            self.held.push(state);
        }
        changes
    }

    /// How they went, with what the last one shows where that is `wanted`. `resting` is where sequences were before the
    /// workers' first iteration.
    pub(super) fn course(self, workers: &[WorkerSpec], resting: &Positions, wanted: bool) -> Course {
        let needs = needs(workers);
        let (Some(first), Some(last)) = (self.held.first(), self.held.last()) else {
            return Course::default();
        };
        let moved: BTreeSet<u32> = resting.iter().flat_map(|resting| first.moved_from(resting)).collect();
        // Of a worker that arrives later nobody knows yet what it moves.
        let known = resting.is_some() && workers.iter().all(|worker| worker.from_run == RunNumber(1));
        Course {
            returned: self.returned,
            series: state::series(&self.held, &needs, |oid| !known || moved.contains(&oid)),
            standing: (wanted && self.held.len() > 1).then(|| state::standing(first, last, needs)),
        }
    }
}

/// What workers need of connections. A program is reckoned with one, since how many it opens is its own affair.
fn needs(workers: &[WorkerSpec]) -> Needs {
    let connections = |worker: &WorkerSpec| match worker.session {
        SessionKind::Pool => i64::from(worker.connections),
        SessionKind::Keep | SessionKind::Fresh => 1,
    };
    // Whoever keeps sessions opens a new one at a deploy, before the old one is gone.
    let more = |worker: &WorkerSpec| i64::from(worker.keeps_sessions());
    let mut roles: BTreeMap<&RoleName, (i64, i64)> = BTreeMap::new();
    for worker in workers {
        let (all, new) = roles.entry(&worker.role).or_default();
        *all += connections(worker);
        *new = (*new).max(more(worker));
    }
    Needs {
        all: workers.iter().map(connections).sum::<i64>()
            + workers.iter().map(more).max().unwrap_or_default(),
        roles: roles.into_iter().map(|(role, (all, new))| (role.clone(), all + new)).collect(),
    }
}

/// Where sequences are now.
pub(super) async fn positions(server: &Server, login: &Login) -> Positions {
    let read = async {
        let session = Session::open(&server.endpoint, login).await?;
        let rows = session.ask(state::POSITIONS).await;
        session.close().await;
        rows
    };
    let rows: Result<Vec<_>, QueryFailure> = read.await;
    let number = |row: &[Option<String>]| {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        Some((text(0)?.parse().ok()?, text(1)?.parse().ok()?))
    };
    rows.ok().map(|rows| rows.iter().filter_map(|row| number(row)).collect())
}
