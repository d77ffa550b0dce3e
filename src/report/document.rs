//! The report's document: the contract's section 4, field by field.

use serde::{Deserialize, Serialize};

use super::reproduction::Reproduction;
use crate::identifiers::{RoleName, RunNumber, SqlState, WorkerName};
use crate::observations::{Change, CloneFacts, Derived, Lock, SandboxFacts};
use crate::verdict::{Drift, Hazard, Outcome, Proof, Reason, Status};

/// Version of the document's form.
pub(super) const REPORT_VERSION: u32 = 1;

/// The whole report of one rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Version of this form.
    pub report_version: u32,
    /// The thirdrun that wrote it.
    pub thirdrun: String,
    /// The script as the user named it; of several runs' own scripts, the rehearsal file.
    #[serde(default)]
    pub script: String,
    /// What becomes of the check.
    pub verdict: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// How the sandbox was had.
    pub sandbox: SandboxFacts,
    /// What the clone holds.
    pub clone: CloneFacts,
    /// How the workers were derived; null: somebody wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<Derived>,
    /// Before the first run.
    pub baseline: Baseline,
    /// The runs, in order.
    pub runs: Vec<RunEntry>,
    /// When the state no longer changed; null: it changed to the last.
    pub settled: Option<Settled>,
    /// How runs of the same script go on changing something; null: they do not.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// What nearly went wrong.
    pub hazards: Vec<Hazard>,
    /// Of an incident that was replayed, whether it happened again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduction: Option<Reproduction>,
}

/// Before the first run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Every worker.
    pub workers: Vec<WorkerEntry>,
}

/// When the state no longer changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The run after which it stayed.
    pub after_run: RunNumber,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Its number.
    pub run: RunNumber,
    /// The script.
    pub script: String,
    /// Who ran it.
    pub role: RoleName,
    /// What the script did.
    pub result: ResultEntry,
    /// What it changed.
    pub changes: Vec<Change>,
    /// Every worker.
    pub workers: Vec<WorkerEntry>,
    /// Who waited for locks while the script ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitEntry>,
    /// The end of the server's log, where the server was gone after this run.
    pub server_gone: Option<String>,
}

/// A session that waited for a lock while a script ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitEntry {
    /// The worker whose session it is; else its `application_name`.
    pub who: String,
    /// What those call themselves whom it waited for.
    pub waits_for: Vec<String>,
    /// When it was first seen to wait, in milliseconds from the start of the script.
    pub from_ms: f64,
    /// When it was last seen to wait.
    pub until_ms: f64,
}

/// What a script did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultEntry {
    /// How it ended.
    pub status: ResultStatus,
    /// Its exit status; null when a signal or its timeout ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the check passes even if it fails.
    pub may_fail: bool,
    /// Milliseconds from its start to its exit.
    pub duration_ms: f64,
    /// The end of what it printed.
    pub output_tail: String,
    /// Whether it printed more.
    pub output_truncated: bool,
    /// Errors that psql reported.
    pub errors: Vec<String>,
    /// What it sent to the server.
    pub statements: Vec<StatementEntry>,
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementEntry {
    /// Its number in the run, from 1.
    pub index: u32,
    /// The line of the script on which it begins, where it is written there.
    pub line: Option<u32>,
    /// The file that the script includes in which that line is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its text as the script has it, else as it was sent.
    pub sql: String,
    /// Its text as it was sent, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// The session that sent it, from 1 in the run.
    pub session: u32,
    /// The role that this session logged in as.
    pub role: RoleName,
    /// When it was sent, in milliseconds from the start of the script.
    #[serde(default)]
    pub began_ms: Option<f64>,
    /// Milliseconds until it was answered; null: it never was.
    pub duration_ms: Option<f64>,
    /// Rows affected or returned.
    pub rows: Option<u64>,
    /// The server's code, if it failed.
    pub sqlstate: Option<SqlState>,
    /// What the server said then.
    pub message: Option<String>,
    /// The locks that it took on what is the user's: of each object the strongest.
    pub locks: Vec<Lock>,
    /// Tables that it read from one end to the other, of those that were there before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<String>,
    /// Tables that it wrote anew as a whole, of those that were there before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// As it should.
    Succeeded,
    /// In an error.
    Failed,
    /// Killed at its timeout.
    TimedOut,
}

/// One worker after a run, or at baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// Its name.
    pub name: WorkerName,
    /// The role it logs in as.
    pub role: RoleName,
    /// How it is.
    pub status: Status,
    /// While the script ran.
    pub while_running: Option<WhileEntry>,
    /// The session it had.
    pub existing_session: Option<SessionEntry>,
    /// A brand-new session.
    pub new_session: SessionEntry,
    /// What broke it.
    pub cause: Option<CauseEntry>,
    /// What would mend it.
    pub repair: Option<RepairEntry>,
    /// How the script avoids it, where that is a pattern that people know.
    #[serde(default)]
    pub advice: Option<String>,
}

/// What mends a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepairEntry {
    /// Its statements, one a line.
    pub sql: String,
    /// Whether it was tried in a copy, after which the worker worked on both sessions.
    pub verified: bool,
}

/// Iterations while a script ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhileEntry {
    /// How many.
    pub iterations: u64,
    /// How many failed.
    pub failures: u64,
    /// Longest stall, in milliseconds.
    pub longest_gap_ms: f64,
    /// The longest stall that passes, in milliseconds.
    pub max_outage_ms: f64,
    /// Median duration of the completed ones.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
    /// The first one that failed.
    pub first_failure: Option<FailureEntry>,
    /// When each was; of very many, completed ones that follow one another are one entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<SpanEntry>,
}

/// One iteration, or several that followed one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanEntry {
    /// When it began, in milliseconds from the start of the script; negative: before that.
    pub began_ms: f64,
    /// When it ended.
    pub ended_ms: f64,
    /// How many it stands for.
    pub iterations: u32,
    /// Whether it failed.
    pub failed: bool,
}

/// Why an iteration failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureEntry {
    /// The server's code.
    pub sqlstate: Option<SqlState>,
    /// What went wrong.
    pub message: String,
    /// The server's detail.
    pub detail: Option<String>,
    /// The step, from 1.
    pub step: Option<u32>,
}

/// A judged iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Whether it completed.
    pub ok: bool,
    /// The server's code.
    pub sqlstate: Option<SqlState>,
    /// What went wrong.
    pub message: Option<String>,
    /// The server's detail.
    pub detail: Option<String>,
    /// The step, from 1.
    pub step: Option<u32>,
    /// That step in a few words.
    pub step_text: Option<String>,
    /// Whether the session was found cut off and opened again.
    pub reopened: bool,
}

/// What broke a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseEntry {
    /// The run that broke it first.
    pub run: RunNumber,
    /// Its number in the run; null: none can be named.
    pub statement: Option<u32>,
    /// Its line in the script.
    pub line: Option<u32>,
    /// Its text as the script has it.
    pub sql: Option<String>,
    /// What proves it.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// In a sentence.
    pub explanation: String,
}
