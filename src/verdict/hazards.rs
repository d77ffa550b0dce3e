//! What the runs did not hit and might have: tried in copies or read from the state, never guessed.
//!
//! Pure: each kind says what to try, and what the trials have shown.

mod crash_points;
mod repeatable;

pub use crash_points::of_crash_points;

use crate::identifiers::RunNumber;
use crate::observations::Rehearsal;

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
    /// A statement that succeeds once fails the next time, since what it makes is there.
    NotRepeatable,
}

/// What is known of hazards.
pub fn hazards(rehearsal: &Rehearsal) -> Vec<Hazard> {
    [crash_points::found(rehearsal), repeatable::found(rehearsal)].concat()
}
