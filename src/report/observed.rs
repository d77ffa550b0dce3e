//! The report's document, of what was observed and how it was judged.

use super::document::{
    Baseline, CauseEntry, Document, FailureEntry, REPORT_VERSION, RepairEntry, ResultEntry, ResultStatus,
    RunEntry, SessionEntry, Settled, SpanEntry, StatementEntry, WaitEntry, WhileEntry, WorkerEntry,
};
use crate::identifiers::RoleName;
use crate::observations::{
    CloneFacts, Ending, Failure, LockWait, Probe, Rehearsal, RunObservation, SandboxFacts, Statement,
    WhileRunning, WorkerObservation,
};
use crate::verdict;
use crate::verdict::{Cause, Judged, Meanwhile, Verdict};

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
        derived: rehearsal.derived.clone(),
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
        reproduction: None,
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
