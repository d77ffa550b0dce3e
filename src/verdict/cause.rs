//! Which statement broke a worker, as far as replays have shown, and which replays would tell more.

use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, RunObservation, WorkerObservation};

use super::search::{Proof, Search, search, suspects, undone};

/// What broke a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The run that broke it first.
    pub run: RunNumber,
    /// The statement of that run and what proves it; none where no statement can be named.
    pub statement: Option<(u32, Proof)>,
}

/// The replays that would tell more of who broke these workers in these runs. None: all is known that can be.
pub(super) fn questions(rehearsal: &Rehearsal, broken: &[(WorkerName, RunNumber)]) -> Vec<Experiment> {
    let mut questions: Vec<Experiment> = Vec::new();
    for (worker, run) in broken {
        let Search::Ask(edits) = searched(rehearsal, worker, *run) else { continue };
        for edit in edits {
            let experiment = Experiment::of(*run, edit);
            if !questions.contains(&experiment) {
                questions.push(experiment);
            }
        }
    }
    questions
}

/// What broke a worker in a run.
pub(super) fn cause(rehearsal: &Rehearsal, worker: &WorkerName, run: RunNumber) -> Cause {
    let statement = match searched(rehearsal, worker, run) {
        Search::Found { statement, proof } => Some((statement, proof)),
        Search::Ask(_) | Search::NotFound => None,
    };
    Cause { run, statement }
}

fn searched(rehearsal: &Rehearsal, worker: &WorkerName, run: RunNumber) -> Search {
    let Some(seen) = rehearsal.runs.iter().find(|seen| seen.run == run) else {
        return Search::NotFound;
    };
    let works = |edit: &Edit| {
        let replays = rehearsal.replays.iter();
        let mut same =
            replays.filter(|replay| replay.experiment.run == run && replay.experiment.edit == *edit);
        let replay = same.next()?;
        replay.workers.iter().find(|one| one.name == *worker).map(super::WorkerObservation::works)
    };
    if may_be_of_another(seen, worker) {
        match works(&Edit::Whole) {
            None => return Search::Ask(vec![Edit::Whole]),
            Some(true) => return Search::NotFound,
            Some(false) => {}
        }
    }
    let statements = &seen.result.statements;
    search(&suspects(statements), &undone(statements), works)
}

/// Whether a run was the end of the server, or a worker lost its connection: something else than the script may have
/// brought that about, and only what happens again is the script's doing.
fn may_be_of_another(run: &RunObservation, worker: &WorkerName) -> bool {
    let mut of_worker = run.workers.iter().filter(|one| one.name == *worker);
    run.server_gone.is_some() || of_worker.any(WorkerObservation::lost_connection)
}
