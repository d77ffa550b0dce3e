//! Replays: the rehearsal once more, in a fresh copy, with part of a run left out.

use std::collections::HashMap;
use std::sync::Arc;

use super::rows::Around;
use super::stage::{Set, Stage};
use crate::failure::Failure;
use crate::identifiers::RunNumber;
use crate::observations::{Edit, Experiment, Replay, Statement, Trial, WorkerObservation};
use crate::plan::Plan;
use crate::programs::BoxFuture;
use crate::progress::Progress;
use crate::sandbox::{BackendChoice, Scope};
use crate::tap::{At, Boundary, Coming, Decision, Next, Orders, Recording};
use crate::verdict;

/// What a run was, for those who make it again.
pub(super) struct Known<'a> {
    pub(super) run: RunNumber,
    pub(super) statements: &'a [Statement],
    pub(super) recording: &'a Recording,
}

/// Makes replays of one rehearsal.
pub(super) struct Replayer<'a> {
    plan: Plan,
    scope: &'a Scope,
    known: Vec<Known<'a>>,
}

impl<'a> Replayer<'a> {
    /// `backend` is the one that the rehearsal had.
    pub(super) fn new(plan: &Plan, backend: &str, scope: &'a Scope, known: Vec<Known<'a>>) -> Self {
        Self { plan: on_backend(plan, backend), scope, known }
    }

    /// Makes one replay, in a sandbox of its own. None: its workers did not work even before the first run.
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
            let mut orders = known.map_or_else(Orders::default, |known| orders(&experiment.edit, known));
            let around = match (known, experiment.rows_around) {
                (Some(known), Some(statement)) => Some(Arc::new(around(&stage, known, statement).await)),
                _ => None,
            };
            if let Some(around) = &around {
                orders.boundary = Some(Arc::clone(around) as Arc<dyn Boundary>);
            }
            let (run, _) = stage.run(spec, orders, &progress).await?;
            workers = run.workers;
            if let Some(around) = around {
                rows = around.changed().await;
            }
        }
        let mut rerun = None;
        if let Some(spec) =
            self.plan.runs.iter().find(|spec| experiment.rerun && spec.number == experiment.run)
        {
            rerun = Some(stage.run(spec, Orders::default(), &progress).await?.0.workers);
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

/// Has rows read around a statement of the run that comes.
async fn around(stage: &Stage<'_>, known: &Known<'_>, statement: u32) -> Around {
    let before = known.statements.iter().map(|one| one.index).filter(|index| *index < statement);
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
/// before; one that was never sent before by its place.
fn orders(edit: &Edit, known: &Known) -> Orders {
    match edit {
        Edit::Whole => return Orders::default(),
        Edit::CutAfter(last) => return Orders { boundary: Some(Arc::new(Cut(*last))), ..Orders::default() },
        Edit::UpTo(_) | Edit::Without(_) => {}
    }
    let suspects = verdict::suspects(known.statements);
    let mut numbers: HashMap<(String, u32), u32> = HashMap::new();
    let mut left_out: HashMap<u32, Option<bytes::Bytes>> = HashMap::new();
    for (seen, statement) in known.recording.statements.iter().zip(known.statements) {
        numbers.insert((seen.text.clone(), seen.occurrence), seen.index);
        let carried_out = match edit {
            Edit::Whole | Edit::CutAfter(_) => true,
            // What had no effect would only do harm in a run that ends early.
            Edit::UpTo(last) => {
                verdict::steers(statement, known.statements)
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
    let decide = move |coming: &Coming<'_>| {
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
