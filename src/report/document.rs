//! The report's document: the contract's section 4, field by field.

use serde::{Deserialize, Serialize};

use crate::identifiers::{RoleName, RunNumber, SqlState, WorkerName};
use crate::observations::{
    Change, CloneFacts, Ending, Failure, Lock, LockWait, Probe, Rehearsal, RunObservation, SandboxFacts,
    Statement, WhileRunning, WorkerObservation,
};
use crate::verdict;
use crate::verdict::{Cause, Drift, Hazard, Judged, Meanwhile, Outcome, Proof, Reason, Status, Verdict};

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
    /// Its `application_name`, which for a worker is the worker's.
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

/// Makes the document of a judged rehearsal.
///
/// `script` is what the user named: the script, or the rehearsal file of an incident.
pub fn document(script: &str, rehearsal: &Rehearsal, judged: &Verdict) -> Document {
    let worker = |(seen, judged): (&WorkerObservation, &Judged)| worker_entry(rehearsal, seen, judged);
    Document {
        report_version: REPORT_VERSION,
        thirdrun: env!("CARGO_PKG_VERSION").to_owned(),
        script: script.to_owned(),
        verdict: judged.outcome,
        reasons: judged.reasons.clone(),
        sandbox: SandboxFacts { ready_ms: rounded(rehearsal.sandbox.ready_ms), ..rehearsal.sandbox.clone() },
        clone: CloneFacts {
            restore_ms: rounded(rehearsal.clone.restore_ms),
            rows_ms: rounded(rehearsal.clone.rows_ms),
            ..rehearsal.clone.clone()
        },
        baseline: Baseline { workers: rehearsal.baseline.iter().zip(&judged.baseline).map(worker).collect() },
        runs: rehearsal
            .runs
            .iter()
            .zip(&judged.runs)
            .map(|(run, judged)| RunEntry {
                run: run.run,
                script: run.script.clone(),
                role: run.role.clone(),
                result: result_entry(run),
                changes: run.changes.clone(),
                workers: run.workers.iter().zip(judged).map(worker).collect(),
                waits: run.waits.iter().map(wait_entry).collect(),
                server_gone: run.server_gone.clone(),
            })
            .collect(),
        settled: verdict::settled(rehearsal).map(|after_run| Settled { after_run }),
        drift: verdict::drift(rehearsal),
        hazards: verdict::hazards(rehearsal),
    }
}

fn result_entry(run: &RunObservation) -> ResultEntry {
    let result = &run.result;
    ResultEntry {
        status: match result.ending {
            Ending::TimedOut => ResultStatus::TimedOut,
            _ if result.failed() => ResultStatus::Failed,
            _ => ResultStatus::Succeeded,
        },
        exit_code: match result.ending {
            Ending::Exited(code) => Some(code),
            Ending::Signalled(_) | Ending::TimedOut => None,
        },
        signal: match result.ending {
            Ending::Signalled(signal) => Some(signal),
            Ending::Exited(_) | Ending::TimedOut => None,
        },
        may_fail: run.may_fail,
        duration_ms: rounded(result.duration_ms),
        output_tail: result.output_tail.clone(),
        output_truncated: result.output_truncated,
        errors: result.errors.clone(),
        statements: result.statements.iter().map(statement_entry).collect(),
    }
}

fn statement_entry(statement: &Statement) -> StatementEntry {
    StatementEntry {
        index: statement.index,
        line: statement.line,
        file: statement.file.clone(),
        sql: statement.sql.clone(),
        sent: statement.sent.clone(),
        session: statement.session,
        role: statement.role.clone(),
        began_ms: Some(rounded(statement.began_ms)),
        duration_ms: statement.duration_ms.map(rounded),
        rows: statement.rows,
        sqlstate: statement.sqlstate.clone(),
        message: statement.message.clone(),
        locks: statement.locks.clone(),
        scans: statement.scans.clone(),
        rewrites: statement.rewrites.clone(),
    }
}

fn wait_entry(wait: &LockWait) -> WaitEntry {
    WaitEntry {
        who: wait.application.clone(),
        waits_for: wait.blocker_names.clone(),
        from_ms: rounded(wait.from_ms),
        until_ms: rounded(wait.until_ms),
    }
}

fn worker_entry(rehearsal: &Rehearsal, seen: &WorkerObservation, judged: &Judged) -> WorkerEntry {
    let facts = rehearsal.workers.iter().find(|facts| facts.name == seen.name);
    let step_text = |step: Option<u32>| {
        let at = usize::try_from(step?.checked_sub(1)?).ok()?;
        facts?.steps.get(at).cloned()
    };
    let session = |probe: &Probe| {
        let failure = probe.failure.as_ref();
        SessionEntry {
            ok: probe.ok(),
            sqlstate: failure.and_then(|failure| failure.sqlstate.clone()),
            message: failure.map(|failure| failure.message.clone()),
            detail: failure.and_then(|failure| failure.detail.clone()),
            step: failure.and_then(|failure| failure.step),
            step_text: step_text(failure.and_then(|failure| failure.step)),
            reopened: probe.reopened,
        }
    };
    let first_failure = seen
        .while_running
        .as_ref()
        .and_then(|seen| seen.iterations.iter().find_map(|iteration| iteration.failure.as_ref()));
    WorkerEntry {
        name: seen.name.clone(),
        role: facts.map_or_else(|| RoleName::new(""), |facts| facts.role.clone()),
        status: judged.status,
        while_running: judged.meanwhile.as_ref().map(|meanwhile| WhileEntry {
            timeline: seen.while_running.as_ref().map(timeline).unwrap_or_default(),
            ..while_entry(meanwhile, first_failure, facts.map_or(0.0, |facts| facts.max_outage_ms))
        }),
        existing_session: seen.existing_session.as_ref().map(session),
        new_session: session(&seen.new_session),
        cause: judged.cause.as_ref().map(|cause| cause_entry(rehearsal, cause, &judged.explanation)),
        repair: judged.repair.as_ref().map(|repair| RepairEntry {
            sql: repair.sql.iter().map(|sql| ended(sql)).collect::<Vec<_>>().join("\n"),
            verified: true,
        }),
        advice: judged.advice.clone(),
    }
}

fn cause_entry(rehearsal: &Rehearsal, cause: &Cause, explanation: &str) -> CauseEntry {
    let run = rehearsal.runs.iter().find(|seen| seen.run == cause.run);
    let index = cause.statement.map(|(statement, _)| statement);
    let statement = run
        .into_iter()
        .flat_map(|run| &run.result.statements)
        .find(|statement| Some(statement.index) == index);
    CauseEntry {
        run: cause.run,
        statement: index,
        line: statement.and_then(|statement| statement.line),
        sql: statement.map(|statement| statement.sql.clone()),
        proof: cause.statement.map(|(_, proof)| proof),
        explanation: explanation.to_owned(),
    }
}

/// A statement as one types it.
fn ended(sql: &str) -> String {
    if sql.trim_end().ends_with(';') { sql.to_owned() } else { format!("{sql};") }
}

fn while_entry(meanwhile: &Meanwhile, first: Option<&Failure>, max_outage_ms: f64) -> WhileEntry {
    WhileEntry {
        iterations: meanwhile.iterations,
        failures: meanwhile.failures,
        longest_gap_ms: rounded(meanwhile.longest_gap_ms),
        max_outage_ms: rounded(max_outage_ms),
        p50_ms: rounded(meanwhile.p50_ms),
        p99_ms: rounded(meanwhile.p99_ms),
        first_failure: first.map(|failure| FailureEntry {
            sqlstate: failure.sqlstate.clone(),
            message: failure.message.clone(),
            detail: failure.detail.clone(),
            step: failure.step,
        }),
        timeline: Vec::new(),
    }
}

/// Iterations that a report tells one by one.
const TOLD: usize = 500;

/// The iterations of a worker. Of very many, as many completed ones are taken together as it needs.
fn timeline(seen: &WhileRunning) -> Vec<SpanEntry> {
    let together = u32::try_from(seen.iterations.len().div_ceil(TOLD)).unwrap_or(u32::MAX);
    let mut spans: Vec<SpanEntry> = Vec::new();
    for one in &seen.iterations {
        let failed = one.failure.is_some();
        match spans.last_mut() {
            Some(last) if !failed && !last.failed && last.iterations < together => {
                last.ended_ms = rounded(one.ended_ms);
                last.iterations += 1;
            }
            _ => spans.push(SpanEntry {
                began_ms: rounded(one.began_ms),
                ended_ms: rounded(one.ended_ms),
                iterations: 1,
                failed,
            }),
        }
    }
    spans
}

/// Microseconds are more than anyone reads.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 10.0).round() / 10.0
}
