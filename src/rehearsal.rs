//! One rehearsal from its plan to its observations: THE pipeline, the only place that sees every stage.

mod ask;
mod at_once;
mod clone;
mod course;
mod denied;
mod derive;
mod inquiry;
mod locks;
mod pauses;
mod raised;
mod replay;
mod rows;
mod stage;
mod trace;

pub use clone::dumps;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::identifiers::RunNumber;
use crate::observations::{Course, Experiment, Rehearsal, RunObservation, Statement, WorkerObservation};
use crate::plan::{Plan, When};
use crate::progress::{Phase, Progress};
use crate::sandbox::{Sandbox, Scope};
use crate::state::{Change, ChangeKind, Watcher};
use crate::tap::{Orders, Recording};
use crate::verdict;

use course::States;
pub use derive::{Workers, derive};
use inquiry::inquire;
pub use raised::{Raised, raise};
use stage::{Set, Stage};
use trace::Traced;

/// A rehearsal that has ended, with its sandbox still up.
pub struct Rehearsed {
    /// The plan with the workers that were derived for it; none: it had its own.
    pub plan: Option<Plan>,
    /// What was seen.
    pub observations: Rehearsal,
    /// Where.
    pub sandbox: Sandbox,
}

/// Rehearses a plan. Everything that it starts belongs to `scope`, whose owner removes it.
///
/// # Errors
/// When there is no sandbox, no clone, or the plan names roles that the clone does not have.
pub async fn rehearse(plan: &Plan, scope: &Scope, progress: &Progress) -> Result<Rehearsed, Failure> {
    progress.phase(&Phase::Sandbox { name: scope.name() });
    let (with_workers, derived) = if plan.workers.is_empty() {
        let Workers { workers, derived } = derive(plan, scope, progress).await?;
        (Some(plan.with_workers(workers)?), Some(derived))
    } else {
        (None, None)
    };
    let plan = with_workers.as_ref().unwrap_or(plan);
    let look = plan.runs.len() > 1;
    let Set { mut stage, clone, baseline, resting } = Stage::looked_at(plan, scope, progress, look).await?;
    let mut rehearsal = Rehearsal {
        sandbox: stage.sandbox.facts().clone(),
        clone,
        workers: plan.workers.iter().map(|worker| worker.facts()).collect(),
        derived,
        baseline,
        runs: Vec::new(),
        replays: Vec::new(),
        course: Course::default(),
        sizes: plan.sizes.clone(),
    };
    if !rehearsal.baseline.iter().all(WorkerObservation::works) {
        let sandbox = stage.strike().await;
        return Ok(Rehearsed { plan: with_workers, observations: rehearsal, sandbox });
    }
    let (begun, wanted) = mpsc::unbounded_channel();
    let backend = rehearsal.sandbox.backend.clone();
    let traced =
        async { if plan.replay { trace::trace(plan, &backend, scope, wanted).await } else { Traced::new() } };
    let rehearsed = async {
        let runs = made(plan, &mut stage, begun, progress).await?;
        let sandbox = stage.strike().await;
        rehearsal.runs = runs.seen;
        let latent = plan.hazards.latent.now(is_broken(&rehearsal));
        rehearsal.course =
            runs.states.map(|states| states.course(&plan.workers, &resting, latent)).unwrap_or_default();
        if plan.replay {
            // Meanwhile the trace goes on, which this does not need.
            let questions = verdict::of_causes;
            rehearsal = inquire(plan, rehearsal, &runs.recordings, scope, progress, questions).await?;
        }
        Ok::<_, Failure>((rehearsal, runs.recordings, sandbox))
    };
    let (rehearsed, traced) = tokio::join!(rehearsed, traced);
    let (mut rehearsal, recordings, sandbox) = rehearsed?;
    attribute(&mut rehearsal.runs, traced);
    if plan.replay {
        rehearsal = inquire(plan, rehearsal, &recordings, scope, progress, verdict::of_repairs).await?;
    }
    let kinds = wanted_kinds(plan, is_broken(&rehearsal));
    let hazards = |rehearsal: &Rehearsal| kinds.iter().flat_map(|kind| kind(rehearsal)).collect();
    rehearsal = inquire(plan, rehearsal, &recordings, scope, progress, hazards).await?;
    if plan.replay {
        rehearsal = inquire(plan, rehearsal, &recordings, scope, progress, verdict::of_latent).await?;
    }
    Ok(Rehearsed { plan: with_workers, observations: rehearsal, sandbox })
}

/// Asks for the replays that show one kind of hazard.
type Questions = fn(&Rehearsal) -> Vec<Experiment>;

/// The kinds of hazards that are tried in copies, at the same time.
fn wanted_kinds(plan: &Plan, broken: bool) -> Vec<Questions> {
    let kinds: [(When, Questions); 3] = [
        (plan.hazards.crash_points, verdict::of_crash_points),
        (plan.hazards.held_locks, verdict::of_held_locks),
        (plan.hazards.at_once, verdict::of_at_once),
    ];
    kinds.into_iter().filter(|(when, _)| when.now(broken)).map(|(_, questions)| questions).collect()
}

/// Whether a run broke a worker.
fn is_broken(rehearsal: &Rehearsal) -> bool {
    rehearsal.runs.iter().flat_map(|run| &run.workers).any(|worker| !worker.works())
}

/// The runs that were made, and what was recorded of each.
#[derive(Default)]
struct Runs {
    seen: Vec<RunObservation>,
    recordings: Vec<Recording>,
    states: Option<States>,
}

/// Makes the runs, and says of each when it begins. Those beyond the sure ones are made while the state still changes
/// and nothing is broken.
async fn made(
    plan: &Plan,
    stage: &mut Stage<'_>,
    begun: mpsc::UnboundedSender<RunNumber>,
    progress: &Progress,
) -> Result<Runs, Failure> {
    let mut runs = Runs::default();
    let mut watcher = Watcher::new(stage.known_applications());
    let mut states = States::new(stage.state(&mut watcher).await);
    for (at, spec) in plan.runs.iter().enumerate() {
        stage.accustom(spec).await;
        // Nobody listens where nothing is traced.
        let _ = begun.send(spec.number);
        let (mut run, recording) = stage.run(spec, Orders::default(), progress).await?;
        run.changes = states.take(spec.number, stage.state(&mut watcher).await);
        if plan.runs.len() > 2 {
            // Rows that come back show only in the third run.
            let written = verdict::written(&run.result.statements);
            states.take_contents(spec.number, stage.contents(&written).await);
        }
        run.denied = stage.denied(&run.workers).await;
        let works = run.workers.iter().all(WorkerObservation::works);
        let over = run.server_gone.is_some()
            || (at + 1 >= plan.sure
                && (!verdict::changes_state(&run.changes) || !works || run.result.failed()));
        runs.seen.push(run);
        runs.recordings.push(recording);
        if over {
            break;
        }
    }
    runs.states = Some(states);
    Ok(runs)
}

/// Tells of each statement what it locked and went through in the trace, and ties each change to the statement that made it
/// there, or that was the last to change the same thing.
fn attribute(runs: &mut [RunObservation], traced: Traced) {
    for trace::TracedRun { run: number, changes: traced, statements } in traced {
        let Some(run) = runs.iter_mut().find(|run| run.run == number) else { continue };
        for statement in &mut run.result.statements {
            let same = statements.iter().find(|one| one.index == statement.index && one.sql == statement.sql);
            if let Some(same) = same {
                statement.locks.clone_from(&same.locks);
                statement.scans.clone_from(&same.scans);
                statement.rewrites.clone_from(&same.rewrites);
            }
        }
        for change in &mut run.changes {
            let same = |other: &&Change| {
                (&other.kind, &other.object, &other.role, &other.detail)
                    == (&change.kind, &change.object, &change.role, &change.detail)
            };
            let alike = |other: &&Change| (&other.object, &other.role) == (&change.object, &change.role);
            let about = |other: &&Change| other.object == change.object;
            // What was made anew was dropped first.
            let gone = |other: &&Change| {
                alike(other)
                    && matches!(change.kind, ChangeKind::ObjectRecreated | ChangeKind::RoleRecreated)
                    && matches!(other.kind, ChangeKind::ObjectDropped | ChangeKind::RoleDropped)
            };
            let renamed = |other: &&Change| {
                other.kind == ChangeKind::ObjectRenamed && other.detail.ends_with(&change.object)
            };
            let made = traced.iter().rfind(same).or_else(|| traced.iter().find(gone));
            let made = made.or_else(|| traced.iter().rfind(renamed));
            let made = made.or_else(|| traced.iter().rfind(alike)).or_else(|| traced.iter().rfind(about));
            // A prepared transaction is known by its name, who is still there by the process.
            let prepared = || {
                let name = change.object.strip_prefix("prepared transaction ")?;
                let own = |one: &&Statement| {
                    one.tag.as_deref() == Some("PREPARE TRANSACTION") && one.sql.contains(name)
                };
                run.result.statements.iter().rfind(own).map(|one| one.index)
            };
            let left = || {
                let process: i32 = change.object.strip_prefix("session ")?.parse().ok()?;
                run.result.statements.iter().rfind(|one| one.backend == process).map(|one| one.index)
            };
            change.statement = made.and_then(|other| other.statement).or_else(prepared).or_else(left);
        }
        run.traced = traced;
    }
}
