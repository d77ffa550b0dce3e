//! What the runs did not hit and might have: tried in copies or read from the state, never guessed.
//!
//! Pure: each kind says what to try, and what the trials have shown.

mod at_once;
mod crash_points;
mod held_locks;
mod latent;
mod limits;
mod repeatable;
#[cfg(test)]
mod sample;

pub use at_once::of_at_once;
pub use crash_points::of_crash_points;
pub use held_locks::of_held_locks;
pub use latent::of_latent;

use crate::identifiers::RunNumber;
use crate::observations::{Change, Rehearsal};

/// Something that nearly went wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hazard {
    /// In which way.
    pub kind: HazardKind,
    /// The run that it is about.
    pub run: RunNumber,
    /// The statement.
    pub statement: Option<u32>,
    /// Its line in the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In a sentence.
    pub message: String,
}

/// The kinds of hazards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HazardKind {
    /// A script that is cut off there leaves a worker broken.
    CrashPoint,
    /// Workers wait for what a statement locks, as long as it takes.
    HeldLocks,
    /// Two who run the script at the same time leave something else than two who run it one after the other.
    AtOnce,
    /// A statement that succeeds once fails the next time, since what it makes is there.
    NotRepeatable,
    /// Each run comes nearer to a limit, which a later one hits.
    LimitApproached,
    /// What the state after the runs shows breaks a worker or the next person later.
    Latent,
}

/// What is known of hazards.
pub fn hazards(rehearsal: &Rehearsal) -> Vec<Hazard> {
    [
        crash_points::found(rehearsal),
        held_locks::found(rehearsal),
        at_once::found(rehearsal),
        repeatable::found(rehearsal),
        limits::found(rehearsal),
        latent::found(rehearsal),
    ]
    .concat()
}

/// Where the script last made such a change: the run, the statement and its line. The last run, where none is known.
fn place(rehearsal: &Rehearsal, such: impl Fn(&Change) -> bool) -> (RunNumber, Option<u32>, Option<u32>) {
    let last = rehearsal.runs.last().map_or(RunNumber(1), |run| run.run);
    let made = rehearsal.runs.iter().rev().find_map(|run| {
        let changes = run.changes.iter().filter(|change| such(change));
        let change = changes.max_by_key(|change| change.statement)?;
        let statement = run.result.statements.iter().find(|one| Some(one.index) == change.statement);
        Some((run.run, change.statement, statement.and_then(|statement| statement.line)))
    });
    made.unwrap_or((last, None, None))
}
