//! What was seen when a rehearsal was replayed in a fresh copy with something left out.

use serde::{Deserialize, Serialize};

use super::{Change, Ending, Lock, RowsChanged, WorkerObservation};
use crate::identifiers::{RunNumber, SqlState, WorkerName};

/// A replay of a rehearsal up to one run, of which something is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// The last run that is made; those before it are made as they were.
    pub run: RunNumber,
    /// What of it is carried out.
    pub edit: Edit,
    /// Whether the last run is made once more, whole, when that has ended.
    #[serde(default)]
    pub rerun: bool,
    /// The statement of the last run around which the rows of the clone are read, while the workers rest.
    #[serde(default)]
    pub rows_around: Option<u32>,
    /// Statements of the last run after which it is stopped, between two transactions, until every worker has been tried.
    #[serde(default)]
    pub stops: Vec<u32>,
    /// Statements of the last run after which it is held with its transaction open, until every worker stands or passes.
    #[serde(default)]
    pub held: Vec<u32>,
    /// Whether the last run is made by two at the same time.
    #[serde(default)]
    pub at_once: bool,
    /// Statements that are tried one after another when it has ended, until every worker of `mends` works.
    pub repairs: Vec<Vec<String>>,
}

impl Experiment {
    /// A run of which only so much is carried out.
    pub fn of(run: RunNumber, edit: Edit) -> Self {
        Self {
            run,
            edit,
            rerun: false,
            rows_around: None,
            stops: Vec::new(),
            held: Vec::new(),
            at_once: false,
            repairs: Vec::new(),
        }
    }
}

/// What of a run's statements is carried out; the script is answered as before for the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Everything.
    Whole,
    /// Those up to this one.
    UpTo(u32),
    /// All but these.
    Without(Vec<u32>),
    /// Those up to this one, after which the connection is lost, as with a client that dies.
    CutAfter(u32),
}

/// What a replay showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// What was replayed.
    pub experiment: Experiment,
    /// Every worker after its last run.
    pub workers: Vec<WorkerObservation>,
    /// Every worker after that run was made once more.
    #[serde(default)]
    pub rerun: Option<Vec<WorkerObservation>>,
    /// What the statement that was asked for did to rows.
    #[serde(default)]
    pub rows: Vec<RowsChanged>,
    /// Every worker at each stop that was reached.
    #[serde(default)]
    pub stopped: Vec<Stopped>,
    /// Who stood at each point at which it was held.
    #[serde(default)]
    pub held: Vec<Held>,
    /// What came of two who made it at the same time.
    #[serde(default)]
    pub at_once: Option<AtOnce>,
    /// What became of them after each repair, in the order in which they were tried.
    pub trials: Vec<Trial>,
}

/// How every worker was while a run was stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// After this statement.
    pub after: u32,
    /// Every worker.
    pub workers: Vec<WorkerObservation>,
}

/// Who stood while a run was held with its transaction open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// After this statement.
    pub after: u32,
    /// The workers that stood, in the file's order.
    pub standers: Vec<Stander>,
}

/// A worker that waited for a lock of the script's, and would have as long as it was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stander {
    /// Its name.
    pub worker: WorkerName,
    /// The lock that it asked for; none where it waited for a row that the script had written.
    pub asked: Option<Lock>,
}

/// What came of a run that two made at the same time: each went on with its next statement when the other one had a
/// transaction open, or waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtOnce {
    /// How the two scripts ended.
    pub endings: Vec<Ending>,
    /// The statements of either that failed, in order.
    pub failed: Vec<Complaint>,
    /// What both have changed.
    pub changes: Vec<Change>,
}

/// A statement that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// As it was sent.
    pub sql: String,
    /// The server's code.
    pub sqlstate: SqlState,
    /// What the server said.
    pub message: String,
}

/// What stands in a repair where the password belongs that a role's workers log in with: passwords are never told. It
/// is put in when the repair is tried.
pub const OWN_PASSWORD: &str = "'the password that it logs in with'";

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its statements.
    pub sql: Vec<String>,
    /// What the server refused it with.
    pub error: Option<String>,
    /// Every worker after it.
    pub workers: Vec<WorkerObservation>,
}
