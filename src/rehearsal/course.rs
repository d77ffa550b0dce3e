//! Keeps the states of a rehearsal, and measures at its end how they went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ask::ask;
use super::trace;
use crate::identifiers::{RoleName, RunNumber, quote_literal};
use crate::observations::{Change, Contents, Course, Needs};
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
    contents: BTreeMap<String, Vec<(RunNumber, String)>>,
}

impl States {
    pub(super) fn new(first: Option<Arc<Snapshot>>) -> Self {
        let held = first.iter().cloned().collect();
        Self { held, last: first, returned: Vec::new(), contents: BTreeMap::new() }
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

    /// Takes what is in the tables that a run wrote to.
    pub(super) fn take_contents(&mut self, run: RunNumber, contents: Vec<(String, String)>) {
        for (table, hash) in contents {
            self.contents.entry(table).or_default().push((run, hash));
        }
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
        let contents = self.contents.into_iter();
        Course {
            returned: self.returned,
            of_two: self.held.get(2).map(|second| trace::differences(first, second)),
            contents: contents.map(|(table, hashes)| Contents { table, hashes }).collect(),
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
    let rows = ask(server, login, async |session| session.ask(state::POSITIONS).await).await;
    let number = |row: &[Option<String>]| {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        Some((text(0)?.parse().ok()?, text(1)?.parse().ok()?))
    };
    rows.ok().map(|rows| rows.iter().filter_map(|row| number(row)).collect())
}

/// How large a table may be whose rows are read, in bytes.
const SMALL: u32 = 1 << 20;

/// What is in small tables of these names: each with a count and a hash of its rows. What cannot be read at once is
/// left out.
pub(super) async fn contents(
    server: &Server,
    login: &Login,
    names: &BTreeSet<String>,
) -> Vec<(String, String)> {
    if names.is_empty() {
        return Vec::new();
    }
    let found = ask(server, login, async |session| read_contents(session, names).await).await;
    found.unwrap_or_default()
}

async fn read_contents(
    session: &Session,
    names: &BTreeSet<String>,
) -> Result<Vec<(String, String)>, QueryFailure> {
    session.run("SET lock_timeout = '200ms'").await?;
    let names: Vec<_> = names.iter().map(|name| format!("({})", quote_literal(name))).collect();
    let tables = session
        .ask(&format!(
            "SELECT DISTINCT pg_catalog.format('%I.%I', s.nspname, c.relname) FROM (VALUES {}) AS n (name) \
             JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(n.name) \
             JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND pg_catalog.pg_relation_size(c.oid) <= {SMALL}",
            names.join(", ")
        ))
        .await?;
    let mut found = Vec::new();
    for table in tables.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
        let hashed = session
            .ask(&format!(
                "SELECT pg_catalog.concat(pg_catalog.count(*), ' ', \
                 pg_catalog.sum(pg_catalog.hashtextextended(\"its row\"::pg_catalog.text, 0))) FROM {table} AS \"its row\""
            ))
            .await;
        // Somebody may have locked it.
        if let Ok(rows) = hashed {
            found.extend(rows.into_iter().flatten().flatten().map(|hash| (table.clone(), hash)));
        }
    }
    found.sort_unstable();
    Ok(found)
}
