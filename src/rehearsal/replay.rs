//! Replays: the rehearsal once more, in a fresh copy, with part of a run left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::rows::Around;
use super::stage::{Set, Stage};
use crate::failure::Failure;
use crate::identifiers::RunNumber;
use crate::observations::{
    Edit, Ending, Experiment, Replay, RunObservation, ScriptResult, Trial, WorkerObservation,
};
use crate::plan::Plan;
use crate::programs::BoxFuture;
use crate::progress::Progress;
use crate::runs::RunSpec;
use crate::sandbox::{BackendChoice, Scope};
use crate::tap::{At, Boundary, Coming, Decision, Next, Orders, Recording};
use crate::verdict;

/// How many times as long as in the rehearsal a run may take: several copies may be at work at once.
const LONGER: f64 = 4.0;
/// What a run may take in any case: one that waits for a statement that was left out may give up in the end, on a slow
/// machine too.
const LEAST: Duration = Duration::from_secs(60);
/// How many times as many statements as in the rehearsal a run may send, and how many more: one that sends more than that
/// waits for what never comes. It is seen long before its time is over, and on each machine at the same statement.
const MORE: (u32, u32) = (5, 200);

/// What a run was, for those who make it again.
pub(super) struct Known<'a> {
    pub(super) run: RunNumber,
    pub(super) result: &'a ScriptResult,
    pub(super) recording: &'a Recording,
}

/// Makes replays of one rehearsal.
pub(super) struct Replayer<'a> {
    plan: Plan,
    scope: &'a Scope,
    known: Vec<Known<'a>>,
    /// Replays that had to be ended.
    endless: AtomicUsize,
}

impl<'a> Replayer<'a> {
    /// `backend` is the one that the rehearsal had.
    pub(super) fn new(plan: &Plan, backend: &str, scope: &'a Scope, known: Vec<Known<'a>>) -> Self {
        Self { plan: on_backend(plan, backend), scope, known, endless: AtomicUsize::new(0) }
    }

    /// How many replays had to be ended, since the script does not end without some of its statements.
    pub(super) fn endless(&self) -> usize {
        self.endless.load(Ordering::Relaxed)
    }

    /// Makes one replay, in a sandbox of its own. None: its workers did not work even before the first run, or the
    /// script did not end.
    pub(super) async fn replay(&self, experiment: Experiment) -> Result<Option<Replay>, Failure> {
        let scope = self.scope.child()?;
        let replay = self.in_sandbox(experiment, &scope).await;
        scope.close().await;
        replay
    }

    async fn in_sandbox(&self, experiment: Experiment, scope: &Scope) -> Result<Option<Replay>, Failure> {
        let progress = Progress::new(true, false);
        let Set { mut stage, baseline, .. } = Stage::set(&self.plan, scope, &progress).await?;
        if !baseline.iter().all(WorkerObservation::works) {
            return Ok(None);
        }
        let (mut workers, mut rows) = (Vec::new(), Vec::new());
        let (mut stopped, mut held, mut at_once) = (Vec::new(), Vec::new(), None);
        for spec in self.plan.runs.iter().take_while(|spec| spec.number <= experiment.run) {
            if spec.number == experiment.run && !experiment.stops.is_empty() {
                stopped = stage.stopped(spec, &experiment.stops).await?;
                break;
            }
            if spec.number == experiment.run && !experiment.held.is_empty() {
                held = stage.held(spec, &experiment.held).await?;
                break;
            }
            if spec.number == experiment.run && experiment.at_once {
                let (seen, after) = stage.at_once(spec).await?;
                (at_once, workers) = (Some(seen), after);
                break;
            }
            let known = self.known.iter().find(|known| known.run == spec.number);
            let known = known.filter(|_| spec.number == experiment.run);
            let too_many = Arc::new(Notify::new());
            let mut orders =
                known.map_or_else(Orders::default, |known| orders(&experiment.edit, known, &too_many));
            let around = match (known, experiment.rows_around) {
                (Some(known), Some(statement)) => Some(Arc::new(around(&stage, known, statement).await)),
                _ => None,
            };
            if let Some(around) = &around {
                orders.boundary = Some(Arc::clone(around) as Arc<dyn Boundary>);
            }
            let bounded = self.bounded(spec);
            let run = tokio::select! {
                run = stage.run(&bounded, orders, &progress) => Some(run?.0).filter(|run| !self.went_on_and_on(run)),
                () = too_many.notified() => None,
            };
            let Some(run) = run else {
                self.endless.fetch_add(1, Ordering::Relaxed);
                return Ok(None);
            };
            workers = run.workers;
            if let Some(around) = around {
                rows = around.changed().await;
            }
        }
        let mut rerun = None;
        if let Some(spec) =
            self.plan.runs.iter().find(|spec| experiment.rerun && spec.number == experiment.run)
        {
            rerun = Some(stage.run(&self.bounded(spec), Orders::default(), &progress).await?.0.workers);
        }
        let mut trials = Vec::new();
        for sql in &experiment.repairs {
            let error = stage.carry_out(sql).await.err().map(|failure| failure.message);
            trials.push(Trial { sql: sql.clone(), error, workers: stage.check().await });
        }
        stage.strike().await;
        Ok(Some(Replay { experiment, workers, rerun, rows, stopped, held, at_once, trials }))
    }
}

impl Replayer<'_> {
    /// A run that is given no more time than it can need: without some of its statements it may never end.
    fn bounded(&self, spec: &RunSpec) -> RunSpec {
        let took =
            self.known.iter().find(|known| known.run == spec.number).map(|known| known.result.duration_ms);
        let enough = took.map(|took| Duration::from_secs_f64(took.max(0.0) / 1e3).mul_f64(LONGER).max(LEAST));
        RunSpec { timeout: enough.map_or(spec.timeout, |enough| enough.min(spec.timeout)), ..spec.clone() }
    }

    /// Whether a run was ended that had ended by itself in the rehearsal: what became of its workers tells nothing.
    fn went_on_and_on(&self, run: &RunObservation) -> bool {
        let known = self.known.iter().find(|known| known.run == run.run);
        let ended = |result: &ScriptResult| result.ending != Ending::TimedOut;
        known.is_some_and(|known| ended(known.result)) && !ended(&run.result)
    }
}

/// Has rows read around a statement of the run that comes.
async fn around(stage: &Stage<'_>, known: &Known<'_>, statement: u32) -> Around {
    let before = known.result.statements.iter().map(|one| one.index).filter(|index| *index < statement);
    let server = stage.sandbox.server();
    Around::begin(server, &stage.superuser(), statement, before.max()).await
}

/// The plan of a copy, which is on the backend that the rehearsal itself got. Its workers rest while a script runs: of a
/// script that races with them no two runs need be alike, and what a statement does shall not depend on luck.
pub(super) fn on_backend(plan: &Plan, backend: &str) -> Plan {
    let mut plan = plan.clone();
    plan.workers.iter_mut().for_each(|worker| worker.while_running = false);
    plan.sandbox.backend = if backend == "docker" { BackendChoice::Docker } else { BackendChoice::Local };
    plan
}

/// Which statements of a run are carried out. A statement is known by its text and by how many there were of it
/// before; one that was never sent before by its place. `too_many` is told when there is no end of them.
fn orders(edit: &Edit, known: &Known, too_many: &Arc<Notify>) -> Orders {
    match edit {
        Edit::Whole => return Orders::default(),
        Edit::CutAfter(last) => return Orders { boundary: Some(Arc::new(Cut(*last))), ..Orders::default() },
        Edit::UpTo(_) | Edit::Without(_) => {}
    }
    let suspects = verdict::suspects(&known.result.statements);
    let mut numbers: HashMap<(String, u32), u32> = HashMap::new();
    let mut left_out: HashMap<u32, Option<bytes::Bytes>> = HashMap::new();
    for (seen, statement) in known.recording.statements.iter().zip(&known.result.statements) {
        numbers.insert((seen.text.clone(), seen.occurrence), seen.index);
        let carried_out = match edit {
            Edit::Whole | Edit::CutAfter(_) => true,
            // What had no effect would only do harm in a run that ends early.
            Edit::UpTo(last) => {
                verdict::steers(statement, &known.result.statements)
                    || (seen.index <= *last && suspects.contains(&seen.index))
            }
            Edit::Without(others) => !others.contains(&seen.index),
        };
        if !carried_out {
            left_out.insert(seen.index, seen.response.clone());
        }
    }
    let beyond = match edit {
        Edit::UpTo(last) => *last,
        Edit::Whole | Edit::Without(_) | Edit::CutAfter(_) => u32::MAX,
    };
    let (times, more) = MORE;
    let sent = u32::try_from(known.result.statements.len()).unwrap_or(u32::MAX);
    let most = sent.saturating_mul(times).saturating_add(more);
    let too_many = Arc::clone(too_many);
    let decide = move |coming: &Coming<'_>| {
        if coming.index > most {
            too_many.notify_one();
        }
        let number = numbers.get(&(coming.text.to_owned(), coming.occurrence)).copied();
        match left_out.get(&number.unwrap_or(coming.index)) {
            Some(response) => Decision::Skip(response.clone()),
            // A statement that was never sent before belongs to what comes after.
            None if number.is_none() && coming.index > beyond => Decision::Skip(None),
            None => Decision::Pass,
        }
    };
    Orders { decide: Some(Arc::new(decide)), ..Orders::default() }
}

/// Loses every connection after a statement.
struct Cut(u32);

impl Boundary for Cut {
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        let next = if at.index >= self.0 { Next::Cut } else { Next::Go };
        Box::pin(std::future::ready(next))
    }
}
