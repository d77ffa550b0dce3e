//! What was recorded against what happened: every difference in a sentence.
//!
//! A worker *breaks* in the first run after which it is broken or latent, or in which it stalled longer than it may:
//! what fails a check. (A stall that nobody recorded counts where the server ended an
//! iteration with an error, or one waited for a lock.) One that is broken already may be named by later runs too; whether it recovers in between is only
//! compared with a report.

use crate::identifiers::{RunNumber, SqlState, WorkerName};
use crate::report::{
    Difference, DifferenceKind, Document, Reproduction, ResultStatus, RunEntry, SessionEntry, WorkerEntry,
};
use crate::verdict::{ReasonKind, Status};

use super::recorded::{Recorded, RecordedRun};

/// How what happened differs from what was recorded; empty: it happened again.
///
/// With a report more is compared: the status of every worker after every run (`disrupted` within what it allows is
/// `ok`, since that is a matter of moments), SQLSTATEs (those of a lost connection are one), how each script ended, and
/// the statements that are blamed, where both reports blame one.
pub fn compare(recorded: &Recorded, seen: &Document) -> Vec<Difference> {
    let mut differences = Vec::new();
    for wanted in &recorded.runs {
        let Some(run) = seen.runs.iter().find(|run| run.run == wanted.run) else {
            differences.extend(not_made(wanted, seen));
            continue;
        };
        differences.extend(script(wanted, run));
        differences.extend(breaks(wanted, run, seen));
        let report = recorded.report.as_ref();
        if let Some(then) = report.and_then(|report| report.runs.iter().find(|then| then.run == run.run)) {
            with_report(then, run, &mut differences);
        }
    }
    differences
}

/// What became of an incident, by the name that the user gave it.
pub fn reproduction(incident: &str, recorded: &Recorded, seen: &Document) -> Reproduction {
    let differences = compare(recorded, seen);
    Reproduction {
        incident: incident.to_owned(),
        recorded_on: recorded
            .report
            .as_ref()
            .map(|report| format!("PostgreSQL {}, {}", report.sandbox.postgres, report.sandbox.backend)),
        happened_again: differences.is_empty(),
        differences,
    }
}

fn difference(
    kind: DifferenceKind,
    run: RunNumber,
    worker: Option<&WorkerName>,
    message: String,
) -> Difference {
    Difference { kind, run, worker: worker.cloned(), message }
}

fn not_made(wanted: &RecordedRun, seen: &Document) -> Option<Difference> {
    if wanted.fails != Some(true) && wanted.breaks.is_empty() {
        return None;
    }
    let last =
        seen.runs.last().map_or_else(|| "before the first".to_owned(), |run| format!("in run {}", run.run));
    let message = format!("run {} was not made, since the server was gone {last}", wanted.run);
    Some(difference(DifferenceKind::NotMade, wanted.run, None, message))
}

/// Whether the script failed as it was to.
fn script(wanted: &RecordedRun, run: &RunEntry) -> Option<Difference> {
    let failed = run.result.status != ResultStatus::Succeeded;
    let number = run.run;
    match (wanted.fails?, failed) {
        (true, false) => {
            let message = format!("run {number} was to fail and did not");
            Some(difference(DifferenceKind::DidNotFail, number, None, message))
        }
        (false, true) => {
            let why = match (run.result.errors.first(), run.result.status) {
                (Some(error), _) => format!(": {error}"),
                (None, ResultStatus::TimedOut) => ": it was killed at its timeout".to_owned(),
                (None, _) => String::new(),
            };
            let message = format!("run {number} failed and was not to{why}");
            Some(difference(DifferenceKind::Failed, number, None, message))
        }
        (true, true) | (false, false) => None,
    }
}

/// Whether exactly those broke who were to.
fn breaks(wanted: &RecordedRun, run: &RunEntry, seen: &Document) -> Vec<Difference> {
    let number = run.run;
    let bad = harmed(run, seen);
    let mut differences = Vec::new();
    for name in &wanted.breaks {
        if bad.iter().any(|worker| worker.name == *name) {
            continue;
        }
        let how = match run.workers.iter().find(|worker| worker.name == *name).map(|worker| worker.status) {
            Some(Status::Disrupted) => "it was only disrupted, within what it allows",
            Some(_) => "it works",
            None => "it was not at work yet",
        };
        let message = format!("{name} was to break in run {number} and did not: {how}");
        differences.push(difference(DifferenceKind::DidNotBreak, number, Some(name), message));
    }
    for worker in broken_by(run, seen) {
        if wanted.breaks.contains(&worker.name) {
            continue;
        }
        let name = &worker.name;
        let message = match worker.status {
            Status::Disrupted => {
                format!("{name} stalled longer than it allows in run {number}, and was not to")
            }
            _ => format!("{name} broke in run {number} and was not to: {}", why(worker)),
        };
        differences.push(difference(DifferenceKind::Broke, number, Some(name), message));
    }
    differences
}

/// The workers that a run broke, and that were not to. A stall counts where something tells that it is the script's doing:
/// a slow machine makes everybody stall, now and then.
fn broken_by<'a>(run: &'a RunEntry, seen: &Document) -> Vec<&'a WorkerEntry> {
    let by_script = |worker: &WorkerEntry| {
        worker.status != Status::Disrupted
            || server_failed(worker)
            || run.waits.iter().any(|wait| wait.who == worker.name.as_str())
    };
    newly_harmed(run, seen).into_iter().filter(|worker| by_script(worker)).collect()
}

/// Whether the server has ended an iteration with an error while the script ran. One that only ran out of time is a matter
/// of the machine, too.
fn server_failed(worker: &WorkerEntry) -> bool {
    let failure = worker.while_running.as_ref().and_then(|seen| seen.first_failure.as_ref());
    failure.is_some_and(|failure| failure.sqlstate.is_some())
}

/// The workers of which a check records that a run broke them: of stalls also those that may be the machine's doing, if
/// nothing else went wrong.
pub(super) fn recorded_of<'a>(run: &'a RunEntry, seen: &Document) -> Vec<&'a WorkerEntry> {
    let only_stalls = seen.reasons.iter().all(|reason| reason.kind == ReasonKind::WorkerDisrupted);
    if only_stalls { newly_harmed(run, seen) } else { broken_by(run, seen) }
}

/// The workers for which a check fails after a run, and did not before.
fn newly_harmed<'a>(run: &'a RunEntry, seen: &Document) -> Vec<&'a WorkerEntry> {
    let before = seen.runs.iter().rfind(|other| other.run < run.run);
    let still = before.map(|before| harmed(before, seen)).unwrap_or_default();
    let already = |worker: &WorkerEntry| {
        worker.status != Status::Disrupted
            && still.iter().any(|other| other.name == worker.name && other.status != Status::Disrupted)
    };
    harmed(run, seen).into_iter().filter(|worker| !already(worker)).collect()
}

/// The workers for which a check fails after a run.
fn harmed<'a>(run: &'a RunEntry, seen: &Document) -> Vec<&'a WorkerEntry> {
    let stalled = |worker: &WorkerEntry| {
        seen.reasons.iter().any(|reason| {
            reason.kind == ReasonKind::WorkerDisrupted
                && reason.run == Some(run.run)
                && reason.worker.as_ref() == Some(&worker.name)
        })
    };
    let harmed = |worker: &&WorkerEntry| match worker.status {
        Status::Broken | Status::Latent => true,
        Status::Disrupted => stalled(worker),
        Status::Ok => false,
    };
    run.workers.iter().filter(harmed).collect()
}

/// The session on which a worker fails: the one that it had, else a new one.
pub(super) fn failing(worker: &WorkerEntry) -> Option<&SessionEntry> {
    worker.existing_session.iter().chain([&worker.new_session]).find(|session| !session.ok)
}

fn why(worker: &WorkerEntry) -> String {
    let session = failing(worker);
    let message = session.and_then(|session| session.message.clone()).unwrap_or_default();
    match session.and_then(|session| session.sqlstate.as_ref()) {
        Some(code) => format!("{code} {message}"),
        None => message,
    }
}

/// What only a report tells.
fn with_report(then: &RunEntry, now: &RunEntry, differences: &mut Vec<Difference>) {
    let run = now.run;
    if then.result.status != now.result.status
        && then.result.status != ResultStatus::Succeeded
        && now.result.status != ResultStatus::Succeeded
    {
        let (was, is) = (ended(then.result.status), ended(now.result.status));
        let message = format!("run {run} {was} when it was recorded, and {is} now");
        differences.push(difference(DifferenceKind::Failed, run, None, message));
    }
    for worker in &then.workers {
        let name = &worker.name;
        let Some(again) = now.workers.iter().find(|other| other.name == *name) else {
            let message = format!("{name} was at work in run {run} when it was recorded, and is not now");
            differences.push(difference(DifferenceKind::Status, run, Some(name), message));
            continue;
        };
        if settled(worker.status) != settled(again.status) {
            // That somebody breaks who was not to, or the other way round, is said already.
            let said = differences.iter().any(|known| {
                known.run == run
                    && known.worker.as_ref() == Some(name)
                    && matches!(known.kind, DifferenceKind::Broke | DifferenceKind::DidNotBreak)
            });
            if !said {
                let (was, is) = (called(worker.status), called(again.status));
                let message =
                    format!("{name} was {was} after run {run} when it was recorded, and is {is} now");
                differences.push(difference(DifferenceKind::Status, run, Some(name), message));
            }
            continue;
        }
        let codes = |entry| failing(entry).map(|session| session.sqlstate.clone());
        if let (Some(was), Some(is)) = (codes(worker), codes(again))
            && !alike(was.as_ref(), is.as_ref())
        {
            let told =
                |code: Option<SqlState>| code.map_or("no SQLSTATE".to_owned(), |code| code.to_string());
            let (was, is) = (told(was), told(is));
            let message =
                format!("{name} failed after run {run} with {was} when it was recorded, and with {is} now");
            differences.push(difference(DifferenceKind::Sqlstate, run, Some(name), message));
        }
        differences.extend(culprit(worker, again, run));
    }
}

/// Whether two reports blame the same statement, where both blame one.
fn culprit(then: &WorkerEntry, now: &WorkerEntry, run: RunNumber) -> Option<Difference> {
    let (then, now, name) = (then.cause.as_ref()?, now.cause.as_ref()?, &now.name);
    let (was, is) = (squashed(then.sql.as_ref()?), squashed(now.sql.as_ref()?));
    if was == is && then.run == now.run {
        return None;
    }
    let message = format!(
        "of {name} after run {run} another statement is blamed: {is} of run {} now, {was} of run {} when it was recorded",
        now.run, then.run
    );
    Some(difference(DifferenceKind::Culprit, run, Some(name), message))
}

fn squashed(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether two codes say the same. How a lost connection reaches a client is a matter of moments.
fn alike(was: Option<&SqlState>, is: Option<&SqlState>) -> bool {
    was == is || was.is_some_and(SqlState::is_of_connection) && is.is_some_and(SqlState::is_of_connection)
}

/// Whether a worker was disrupted or not depends on when it met the script.
fn settled(status: Status) -> Status {
    if status == Status::Disrupted { Status::Ok } else { status }
}

fn called(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Disrupted => "disrupted",
        Status::Latent => "latent",
        Status::Broken => "broken",
    }
}

fn ended(status: ResultStatus) -> &'static str {
    match status {
        ResultStatus::Succeeded => "ended well",
        ResultStatus::Failed => "failed",
        ResultStatus::TimedOut => "was killed at its timeout",
    }
}

#[cfg(test)]
mod tests;
