//! What a guilty statement did to rows, where it changed nothing else.

use super::cause::Cause;
use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, RowsChanged};

/// What statements are called that change rows, or do what their text does not say (PostgreSQL manual, 53.7,
/// CommandComplete).
const CHANGE_ROWS: [&str; 9] =
    ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE", "DO", "CALL", "SELECT"];

/// The replays that tell what became of rows.
pub(super) fn questions(
    rehearsal: &Rehearsal,
    broken: &[(WorkerName, RunNumber)],
    cause: impl Fn(&WorkerName, RunNumber) -> Cause,
) -> Vec<Experiment> {
    let mut questions = Vec::new();
    for (worker, run) in broken {
        let Some(experiment) = experiment(rehearsal, &cause(worker, *run)) else { continue };
        let asked = rehearsal.replays.iter().any(|replay| replay.experiment == experiment);
        if !asked && !questions.contains(&experiment) {
            questions.push(experiment);
        }
    }
    questions
}

/// What a cause's statement did to rows, as far as it is known.
pub(super) fn changed<'a>(rehearsal: &'a Rehearsal, cause: &Cause) -> &'a [RowsChanged] {
    let Some(wanted) = experiment(rehearsal, cause) else { return &[] };
    let replay = rehearsal.replays.iter().find(|replay| replay.experiment == wanted);
    replay.map(|replay| replay.rows.as_slice()).unwrap_or_default()
}

fn experiment(rehearsal: &Rehearsal, cause: &Cause) -> Option<Experiment> {
    let run = rehearsal.runs.iter().find(|run| run.run == cause.run)?;
    let (index, _) = cause.statement?;
    let statement = run.result.statements.iter().find(|statement| statement.index == index)?;
    let word = statement.tag.as_deref()?.split(' ').next()?;
    let mut changes = run.changes.iter().chain(&run.traced);
    let only_rows = CHANGE_ROWS.contains(&word) && !changes.any(|change| change.statement == Some(index));
    only_rows.then(|| Experiment { rows_around: Some(index), ..Experiment::of(cause.run, Edit::Whole) })
}
