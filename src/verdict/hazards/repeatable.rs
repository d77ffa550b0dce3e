//! Statements that succeed once and fail the next time.

use super::{Hazard, HazardKind};
use crate::observations::{Rehearsal, RunObservation, Statement};

/// SQLSTATEs of what is there already: schemas, relations, functions, columns, and any other object (PostgreSQL
/// manual, appendix A, class 42).
const THERE_ALREADY: [&str; 5] = ["42P06", "42P07", "42723", "42701", "42710"];

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    rehearsal.runs.iter().flat_map(|run| not_repeatable(rehearsal, run)).collect()
}

/// Statements that fail since what they make is there from the run before.
fn not_repeatable(rehearsal: &Rehearsal, run: &RunObservation) -> Vec<Hazard> {
    let before = rehearsal.runs.iter().filter(|before| before.run < run.run);
    let succeeded = |statement: &Statement| {
        before
            .clone()
            .flat_map(|before| &before.result.statements)
            .any(|other| other.sql == statement.sql && other.sqlstate.is_none())
    };
    let is_there = |statement: &&Statement| {
        statement.sqlstate.as_ref().is_some_and(|code| THERE_ALREADY.contains(&code.as_str()))
    };
    let first = |statement: &&Statement| {
        // Of every run that fails alike, the first is told.
        !before
            .clone()
            .flat_map(|before| &before.result.statements)
            .any(|other| other.sql == statement.sql && is_there(&other))
    };
    run.result
        .statements
        .iter()
        .filter(is_there)
        .filter(|statement| succeeded(statement))
        .filter(first)
        .map(|statement| Hazard {
            kind: HazardKind::NotRepeatable,
            run: run.run,
            statement: Some(statement.index),
            line: statement.line,
            message: format!(
                "the statement succeeded before and fails in run {}: {}; IF NOT EXISTS, OR REPLACE or a DROP … IF EXISTS \
                 before it lets it run again",
                run.run,
                statement.message.as_deref().unwrap_or_default()
            ),
        })
        .collect()
}
