//! What was seen during a rehearsal: plain data, written by the stages that run things and read by
//! the ones that judge and render.
//!
//! Nothing here has a clock, a driver or a file: the same observations always give the same verdict
//! and the same bytes of report. Times are milliseconds; those of a run count from the start of its
//! script.

mod change;
mod course;
mod lock;
mod replay;
mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use change::{Change, ChangeKind, undo};
pub use course::{Contents, Course, Measure, Needs, Oddity, OddityKind, Reading, Series, Standing};
pub use lock::{Awaited, Lock, LockMode};
pub use replay::{AtOnce, Complaint, Edit, Experiment, Held, OWN_PASSWORD, Replay, Stander, Stopped, Trial};
pub use rows::RowsChanged;

use crate::identifiers::{RoleName, RunNumber, SqlState, WorkerName};

/// Everything that one rehearsal showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The sandbox it ran in.
    pub sandbox: SandboxFacts,
    /// The clone inside the sandbox.
    pub clone: CloneFacts,
    /// The workers as planned, in the file's order.
    pub workers: Vec<WorkerFacts>,
    /// How they were derived; none: somebody wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<Derived>,
    /// Each worker before the first run; workers that arrive with a later run have none.
    pub baseline: Vec<WorkerObservation>,
    /// The runs that were made, in order.
    pub runs: Vec<RunObservation>,
    /// Replays that were made to find out why, in order.
    #[serde(default)]
    pub replays: Vec<Replay>,
    /// How the state went from run to run.
    #[serde(default)]
    pub course: Course,
    /// How large the tables are in the database that the clone is one of, by name, where that was captured.
    #[serde(default)]
    pub sizes: BTreeMap<String, TableSize>,
}

/// How large a table is, as its server's statistics have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Its rows; none where nobody has counted them yet.
    pub rows: Option<u64>,
    /// Bytes of the table without its indexes.
    pub bytes: u64,
}

/// How the sandbox was had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxFacts {
    /// `docker` or `local`.
    pub backend: String,
    /// The server's version, such as `17.6`.
    pub postgres: String,
    /// The image, with Docker.
    pub image: Option<String>,
    /// What keeps the sandbox away from everything else, in a sentence.
    pub isolation: String,
    /// Milliseconds from the first request for it to its first answered query.
    pub ready_ms: f64,
    /// Whether it started from a seed that an earlier check had kept.
    pub seed_cached: bool,
}

/// What the clone holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CloneFacts {
    /// Tables of the user's schemas.
    pub tables: u64,
    /// Roles besides PostgreSQL's own and the sandbox's superuser.
    pub roles: u64,
    /// Synthetic rows inserted.
    pub rows: u64,
    /// Tables that stayed empty although rows were wanted, as `schema.table: reason`.
    pub tables_without_rows: Vec<String>,
    /// What of the dump was left out.
    pub skipped: Vec<Skipped>,
    /// Milliseconds that restoring the dumps took, when the clone was made.
    #[serde(default)]
    pub restore_ms: f64,
    /// Milliseconds that making synthetic rows took, when the clone was made.
    #[serde(default)]
    pub rows_ms: f64,
}

/// Something of the dump that the clone does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What it is.
    pub object: String,
    /// Why it was left out.
    pub error: String,
}

/// Workers that were made of what the clone's roles can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// Their steps, together.
    pub steps: u64,
    /// What none of them does.
    pub left_out: Vec<LeftOut>,
}

/// Something that a role can do and its worker does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The role.
    pub role: RoleName,
    /// What it is.
    pub what: String,
    /// Why it was left out.
    pub error: String,
}

/// What judging needs to know of a worker's plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerFacts {
    /// Its name.
    pub name: WorkerName,
    /// The role it logs in as.
    pub role: RoleName,
    /// Its steps in a few words each, in order; a command is one step.
    pub steps: Vec<String>,
    /// Longest stall that passes.
    pub max_outage_ms: f64,
}

/// What was seen of one worker around one run, or at baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerObservation {
    /// Its name.
    pub name: WorkerName,
    /// Iterations while the script ran; none at baseline and for workers that rest meanwhile.
    pub while_running: Option<WhileRunning>,
    /// The session it had; none for workers that never keep one.
    pub existing_session: Option<Probe>,
    /// A brand-new session.
    pub new_session: Probe,
}

impl WorkerObservation {
    /// Whether it works on the session that it has, if it keeps one, and on a new one.
    pub fn works(&self) -> bool {
        self.new_session.ok() && self.existing_session.as_ref().is_none_or(Probe::ok)
    }

    /// Whether a connection was lost or refused on which it was to work.
    pub fn lost_connection(&self) -> bool {
        let probes = self.existing_session.iter().chain([&self.new_session]);
        let mut codes = probes.filter_map(|probe| probe.failure.as_ref()?.sqlstate.as_ref());
        codes.any(SqlState::is_of_connection)
    }
}

/// The iterations of one worker around one script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WhileRunning {
    /// In order. Each begins when its program, or its way to a service, is there.
    pub iterations: Vec<Iteration>,
    /// Milliseconds that an iteration of this worker ordinarily takes with all the others at work, as it did before the
    /// first run; none where its timeout was too short for that.
    pub ordinary_ms: Option<f64>,
}

/// One iteration of a worker while a script ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// When it began; negative when that was before the script started.
    pub began_ms: f64,
    /// When it ended.
    pub ended_ms: f64,
    /// None when it completed.
    pub failure: Option<Failure>,
}

/// One judged iteration, after a run or at baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// None when it completed.
    pub failure: Option<Failure>,
    /// How long the last attempt took.
    pub duration_ms: f64,
    /// Whether the session was found cut off and had to be opened again.
    pub reopened: bool,
}

impl Probe {
    /// Whether the iteration completed.
    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }
}

/// Why an iteration failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which way.
    pub kind: FailureKind,
    /// The server's code; none where nothing was raised, and where the worker's own timeout ended it.
    pub sqlstate: Option<SqlState>,
    /// What the server said, or what was expected and came instead.
    pub message: String,
    /// The server's `DETAIL`.
    pub detail: Option<String>,
    /// The step that failed, from 1; none while connecting and in `on_connect`.
    pub step: Option<u32>,
}

impl Failure {
    /// Whether nothing was wrong but that it took too long.
    pub fn is_of_time(&self) -> bool {
        self.kind == FailureKind::TimedOut
    }
}

/// The ways in which an iteration fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No session could be opened.
    Connect,
    /// A statement of `on_connect` failed.
    OnConnect,
    /// A statement raised an error.
    Statement,
    /// Nothing was raised, but the result was another than the expected one.
    Unexpected,
    /// The worker's own timeout ended it.
    TimedOut,
    /// The session was cut off.
    CutOff,
    /// A command exited with another status than 0, or could not be started.
    Command,
}

/// One run of the script and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunObservation {
    /// Its number.
    pub run: RunNumber,
    /// The script as the user named it.
    pub script: String,
    /// Who ran it.
    pub role: RoleName,
    /// Whether the check passes even if this script fails.
    pub may_fail: bool,
    /// What the script did.
    pub result: ScriptResult,
    /// What it changed.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What each of its statements changed, in order, as a copy of the run showed: more than what is left of it.
    #[serde(default)]
    pub traced: Vec<Change>,
    /// Objects that workers were denied, as GRANT names them: those that an error message can mean.
    #[serde(default)]
    pub denied: Vec<Denied>,
    /// Who waited for locks meanwhile.
    #[serde(default)]
    pub waits: Vec<LockWait>,
    /// Every worker that is judged from this run on or earlier.
    pub workers: Vec<WorkerObservation>,
    /// The end of the server's log, where the server was gone after this run.
    pub server_gone: Option<String>,
}

/// How a script ended and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptResult {
    /// How its process ended.
    pub ending: Ending,
    /// From its start to the exit of its process.
    pub duration_ms: f64,
    /// The end of what it printed, both streams.
    pub output_tail: String,
    /// Whether more was printed than was kept.
    pub output_truncated: bool,
    /// Errors that psql reported, with file and line; empty for executables.
    pub errors: Vec<String>,
    /// What it sent to the server, in the order in which it did.
    #[serde(default)]
    pub statements: Vec<Statement>,
}

/// An object that a worker was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The worker.
    pub worker: WorkerName,
    /// The object, as `GRANT … ON` names it: `TABLE public.orders`.
    pub object: String,
}

/// A session that waited for a lock while a script ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LockWait {
    /// Its server process.
    pub backend: i32,
    /// The worker whose session it is; else its `application_name`.
    pub application: String,
    /// What it waited for, where that is something of the user's that is still there after the run.
    #[serde(default)]
    pub awaited: Option<Awaited>,
    /// The server processes that it waited for.
    pub blockers: Vec<i32>,
    /// What those call themselves.
    #[serde(default)]
    pub blocker_names: Vec<String>,
    /// When it was first seen to wait.
    pub from_ms: f64,
    /// When it was last seen to wait.
    pub until_ms: f64,
    /// The time of the look before the first of these, since which it may have waited.
    pub may_since_ms: f64,
    /// The time of the look after the last of these, until which it may have waited; none where nobody looked again.
    pub may_until_ms: Option<f64>,
}

/// A statement that a script sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Its number in the run, from 1.
    pub index: u32,
    /// The session that sent it, from 1 in the run.
    pub session: u32,
    /// The server process of that session.
    pub backend: i32,
    /// The role that this session logged in as.
    pub role: RoleName,
    /// The line of the script on which it begins, where it is written there.
    pub line: Option<u32>,
    /// The file that the script includes in which that line is.
    pub file: Option<String>,
    /// Its text as the script has it, else as it was sent; passwords are masked.
    pub sql: String,
    /// Its text as it was sent, where that is another one.
    pub sent: Option<String>,
    /// When it was sent.
    pub began_ms: f64,
    /// How long its answer took; none: there was none.
    pub duration_ms: Option<f64>,
    /// The server's word for what it did, such as `INSERT 0 1`.
    pub tag: Option<String>,
    /// Rows affected or returned.
    pub rows: Option<u64>,
    /// The server's code, if it failed.
    pub sqlstate: Option<SqlState>,
    /// What the server said then.
    pub message: Option<String>,
    /// Whether its transaction was still open when it had been answered.
    pub in_transaction: bool,
    /// The locks that it took on what is the user's, as a copy of the run showed.
    #[serde(default)]
    pub locks: Vec<Lock>,
    /// Tables that it read from one end to the other, of those that were there before the run.
    #[serde(default)]
    pub scans: Vec<String>,
    /// Tables that it wrote anew as a whole, of those that were there before the run.
    #[serde(default)]
    pub rewrites: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Killed at its timeout.
    TimedOut,
}
