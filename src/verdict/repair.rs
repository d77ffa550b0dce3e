//! What would mend a worker: candidates from what the run changed, tried in copies until one works.
//!
//! Pure: it says what to try next and what the trials have shown.

mod candidates;

use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, Replay, RunObservation, Trial, WorkerObservation};

use super::AT_ONCE;
use super::cause::Cause;
pub(super) use candidates::names;
use candidates::{candidates, next_step};

/// What mends a worker, in order; it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Its statements.
    pub sql: Vec<String>,
}

/// Where the search for a repair stands.
pub(super) enum Mending {
    /// These replays would tell more.
    Ask(Vec<Experiment>),
    Found(Repair),
    NotFound,
}

/// Looks for what mends a worker that a run broke, in the state after that run.
pub(super) fn mending(rehearsal: &Rehearsal, worker: &WorkerName, cause: &Cause) -> Mending {
    let Some(run) = rehearsal.runs.iter().find(|run| run.run == cause.run) else {
        return Mending::NotFound;
    };
    let mut untried = Vec::new();
    for candidate in candidates(rehearsal, run, worker, cause) {
        let further = trial(rehearsal, run, &candidate)
            .and_then(|(_, trial)| trial.workers.iter().find(|one| one.name == *worker))
            .and_then(|seen| next_step(run, seen));
        let further = further.map(|step| candidate.iter().cloned().chain([step]).collect::<Vec<_>>());
        for candidate in std::iter::once(candidate).chain(further) {
            match tried(rehearsal, run, worker, &candidate) {
                Some(true) if untried.is_empty() => return Mending::Found(Repair { sql: candidate }),
                Some(_) => {}
                None => untried.push(candidate),
            }
        }
    }
    if untried.is_empty() {
        return Mending::NotFound;
    }
    let experiment = |sql| Experiment { repairs: vec![sql], ..Experiment::of(cause.run, Edit::Whole) };
    Mending::Ask(untried.into_iter().take(AT_ONCE).map(experiment).collect())
}

/// Whether a candidate mends a worker and harms nobody; none: it was not tried.
fn tried(
    rehearsal: &Rehearsal,
    run: &RunObservation,
    worker: &WorkerName,
    candidate: &[String],
) -> Option<bool> {
    let works = |workers: &[WorkerObservation], name: &WorkerName| {
        workers.iter().find(|one| one.name == *name).is_some_and(WorkerObservation::works)
    };
    let (replay, trial) = trial(rehearsal, run, candidate)?;
    // Where the copy was not broken in the first place, nothing was mended.
    let mends = !works(&replay.workers, worker) && works(&trial.workers, worker) && trial.error.is_none();
    let harms = run.workers.iter().any(|one| one.works() && !works(&trial.workers, &one.name));
    Some(mends && !harms)
}

/// What a candidate did, and the replay after which it was tried.
fn trial<'a>(
    rehearsal: &'a Rehearsal,
    run: &RunObservation,
    candidate: &[String],
) -> Option<(&'a Replay, &'a Trial)> {
    rehearsal
        .replays
        .iter()
        .filter(|replay| replay.experiment.run == run.run)
        .find_map(|replay| Some((replay, replay.trials.first().filter(|trial| trial.sql == candidate)?)))
}

/// The replays that would tell more of what mends these workers.
pub(super) fn questions(
    rehearsal: &Rehearsal,
    broken: &[(WorkerName, RunNumber)],
    cause: impl Fn(&WorkerName, RunNumber) -> Cause,
) -> Vec<Experiment> {
    let mut questions: Vec<Experiment> = Vec::new();
    for (worker, run) in broken {
        if let Mending::Ask(experiments) = mending(rehearsal, worker, &cause(worker, *run)) {
            for experiment in experiments {
                if !questions.contains(&experiment) {
                    questions.push(experiment);
                }
            }
        }
    }
    questions
}
