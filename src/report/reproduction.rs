//! Whether a recorded incident happened again, as the report has it.

use serde::{Deserialize, Serialize};

use crate::identifiers::{RunNumber, WorkerName};

/// What became of an incident that was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reproduction {
    /// The incident as the user named it.
    pub incident: String,
    /// The server that it was recorded on, where the incident tells it.
    #[serde(default)]
    pub recorded_on: Option<String>,
    /// Whether exactly what was recorded happened again.
    pub happened_again: bool,
    /// How it differed, run by run.
    pub differences: Vec<Difference>,
}

/// One way in which it differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which kind.
    pub kind: DifferenceKind,
    /// The run that it is about.
    pub run: RunNumber,
    /// The worker that it is about.
    pub worker: Option<WorkerName>,
    /// In a sentence.
    pub message: String,
}

/// Ways in which what happens differs from what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// A worker was to break and did not.
    DidNotBreak,
    /// A worker broke and was not to.
    Broke,
    /// The script was to fail and did not.
    DidNotFail,
    /// The script failed and was not to, or in another way.
    Failed,
    /// A worker has another status.
    Status,
    /// A worker fails with another SQLSTATE.
    Sqlstate,
    /// Another statement is blamed.
    Culprit,
    /// The run was not made.
    NotMade,
}
