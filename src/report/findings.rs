//! What a report has to say about single lines of scripts: the common part of what is rendered for CI servers.

use super::document::{Document, RunEntry, StatementEntry, WorkerEntry};
use super::reproduction::Difference;
use super::scripts::{Report, ScriptEntry};
use crate::verdict::{Hazard, HazardKind, Reason, ReasonKind};

/// How bad a finding is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// It nearly went wrong.
    Hazard,
    /// An automation stalled longer than it may, or there was no rehearsal.
    Major,
    /// A script failed, or an automation dies at its next restart.
    Critical,
    /// An automation was broken.
    Broken,
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) rule: &'static Rule,
    pub(super) severity: Severity,
    /// The file, as the user named the script.
    pub(super) path: String,
    /// Its line, where the statement is written there.
    pub(super) line: Option<u32>,
    /// In a few words.
    pub(super) title: String,
    /// In sentences, a line each.
    pub(super) message: String,
    /// What makes it the same finding when the script has other lines: whom it concerns, and the statement.
    pub(super) about: Vec<String>,
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $title:literal $text:literal)*) => {
        $(const $name: Rule = Rule { id: $id, name: $title, text: $text };)*
        /// Every kind of finding there is.
        pub(super) const RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    BROKEN "worker_broken" "AutomationBroken" "After the run the automation fails on the session that it has."
    LATENT "worker_latent" "AutomationBreaksLater" "The session that the automation has still works, and a new one does not: it dies at its next restart, deploy or pool recycle."
    DISRUPTED "worker_disrupted" "AutomationDisrupted" "While the script ran the automation stalled for longer than it may."
    SCRIPT_FAILED "script_failed" "ScriptFailed" "The script ended in an error."
    BASELINE "worker_fails_at_baseline" "AutomationFailsBeforehand" "The automation does not work even before the first run, so that nothing can be blamed on the script."
    NO_REHEARSAL "no_rehearsal" "NoRehearsal" "There was no rehearsal: no server, or no clone."
    NOT_REPRODUCED "not_reproduced" "IncidentNotReproduced" "The incident did not happen again as it is recorded."
    CRASH_POINT "crash_point" "CrashPoint" "A script that is cut off there leaves an automation broken."
    HELD_LOCKS "held_locks" "HeldLocks" "Automations wait for what the statement locks, for as long as it takes."
    AT_ONCE "at_once" "RunTwiceAtOnce" "Two who run the script at the same time leave something else than two who run it one after the other."
    NOT_REPEATABLE "not_repeatable" "NotRepeatable" "A statement that succeeds once fails the next time."
    LIMIT_APPROACHED "limit_approached" "LimitApproached" "Each run comes nearer to a limit, which a later one hits."
    LATENT_HAZARD "latent" "LatentHazard" "What the runs left breaks an automation, or the next person's work, later."
}

/// The findings of all scripts, the worst first.
pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let mut found: Vec<_> = report.scripts.iter().flat_map(of_script).collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn of_script(entry: &ScriptEntry) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(trouble) = &entry.error {
        let lines = [&trouble.message].into_iter().chain(&trouble.causes).chain(&trouble.hints);
        found.push(Finding {
            rule: &NO_REHEARSAL,
            severity: Severity::Major,
            path: entry.script.clone(),
            line: None,
            title: format!("{} was not rehearsed", entry.title()),
            message: lines.cloned().collect::<Vec<_>>().join("\n"),
            about: Vec::new(),
        });
    }
    if let Some(document) = &entry.report {
        if let Some(reproduction) = &document.reproduction {
            // What went wrong was to go wrong.
            found.extend(reproduction.differences.iter().map(|difference| of_difference(entry, difference)));
            return found;
        }
        found.extend(document.reasons.iter().filter_map(|reason| of_reason(entry, document, reason)));
        found.extend(document.hazards.iter().map(|hazard| of_hazard(entry, document, hazard)));
    }
    found
}

/// A reason. A worker that stays broken is one finding: the run that broke it.
fn of_reason(entry: &ScriptEntry, document: &Document, reason: &Reason) -> Option<Finding> {
    if is_told(document, reason) {
        return None;
    }
    let run = document.runs.iter().find(|run| Some(run.run) == reason.run);
    let worker = worker(document, reason);
    let (rule, severity) = match reason.kind {
        ReasonKind::WorkerBroken => (&BROKEN, Severity::Broken),
        ReasonKind::WorkerLatent => (&LATENT, Severity::Critical),
        ReasonKind::WorkerDisrupted => (&DISRUPTED, Severity::Major),
        ReasonKind::ScriptFailed => (&SCRIPT_FAILED, Severity::Critical),
        ReasonKind::WorkerFailsAtBaseline => (&BASELINE, Severity::Major),
    };
    let cause = worker.and_then(|worker| worker.cause.as_ref());
    // The run of the cause may be an earlier one, of another script.
    let of_cause = cause.and_then(|cause| document.runs.iter().find(|run| run.run == cause.run)).or(run);
    let statement = match (cause, run) {
        (Some(cause), _) => of_cause.and_then(|run| statement(run, cause.statement)),
        (None, Some(run)) if reason.kind == ReasonKind::ScriptFailed => failing(run),
        (None, _) => None,
    };
    let mut lines = Vec::new();
    lines.extend(worker.and_then(first_failure));
    lines.extend(cause.map(|cause| cause.explanation.clone()));
    if let Some(repair) = worker.and_then(|worker| worker.repair.as_ref()).filter(|repair| repair.verified) {
        lines.push(format!("Repair, tried in a copy: {}", repair.sql.replace('\n', " ")));
    }
    if let Some(advice) = worker.and_then(|worker| worker.advice.as_ref()) {
        lines.push(format!("How the script avoids it: {advice}"));
    }
    if reason.kind == ReasonKind::ScriptFailed {
        lines.extend(run.into_iter().flat_map(|run| &run.result.errors).take(3).cloned());
    }
    if lines.is_empty() {
        lines.push(reason.message.clone());
    }
    let mut about: Vec<String> = reason.worker.iter().map(ToString::to_string).collect();
    about.extend(statement.map(|statement| statement.sql.clone()));
    Some(Finding {
        rule,
        severity,
        path: path(entry, of_cause, statement),
        line: statement.and_then(|statement| statement.line),
        title: titled(entry, &reason.message),
        message: lines.join("\n"),
        about,
    })
}

fn of_hazard(entry: &ScriptEntry, document: &Document, hazard: &Hazard) -> Finding {
    let rule = match hazard.kind {
        HazardKind::CrashPoint => &CRASH_POINT,
        HazardKind::HeldLocks => &HELD_LOCKS,
        HazardKind::AtOnce => &AT_ONCE,
        HazardKind::NotRepeatable => &NOT_REPEATABLE,
        HazardKind::LimitApproached => &LIMIT_APPROACHED,
        HazardKind::Latent => &LATENT_HAZARD,
    };
    let run = document.runs.iter().find(|run| run.run == hazard.run);
    let statement = run.and_then(|run| statement(run, hazard.statement));
    let line = hazard.line.or_else(|| statement.and_then(|statement| statement.line));
    let mut about: Vec<String> = statement.iter().map(|statement| statement.sql.clone()).collect();
    if about.is_empty() {
        about.push(hazard.message.clone());
    }
    Finding {
        rule,
        severity: Severity::Hazard,
        path: path(entry, run, statement),
        line,
        title: titled(entry, &format!("hazard in run {}", hazard.run)),
        message: hazard.message.clone(),
        about,
    }
}

fn of_difference(entry: &ScriptEntry, difference: &Difference) -> Finding {
    let run = difference.run;
    Finding {
        rule: &NOT_REPRODUCED,
        severity: Severity::Critical,
        path: entry.script.clone(),
        line: None,
        title: titled(entry, &format!("run {run} was not as recorded")),
        message: difference.message.clone(),
        about: difference.worker.iter().map(ToString::to_string).chain([run.to_string()]).collect(),
    }
}

/// With the version, where the same script is rehearsed on several.
fn titled(entry: &ScriptEntry, text: &str) -> String {
    match entry.postgres {
        Some(major) => format!("{text} (PostgreSQL {major})"),
        None => text.to_owned(),
    }
}

/// The file in which the statement is written.
fn path(entry: &ScriptEntry, run: Option<&RunEntry>, statement: Option<&StatementEntry>) -> String {
    let script = run.map_or(&entry.script, |run| &run.script);
    match statement.and_then(|statement| statement.file.as_ref()) {
        // As psql names it, which was started beside the script.
        Some(file) if !file.starts_with('/') => {
            let directory = script.rsplit_once('/').map(|(directory, _)| format!("{directory}/"));
            format!("{}{}", directory.unwrap_or_default(), file.trim_start_matches("./"))
        }
        Some(file) => file.clone(),
        None => script.clone(),
    }
}

/// The worker that a reason is about, as it was then.
pub(super) fn worker<'a>(document: &'a Document, reason: &Reason) -> Option<&'a WorkerEntry> {
    let name = reason.worker.as_ref()?;
    let run = document.runs.iter().find(|run| Some(run.run) == reason.run);
    let workers = run.map_or(&document.baseline.workers, |run| &run.workers);
    workers.iter().find(|worker| worker.name == *name)
}

/// What a worker says first that is not well, with its code.
pub(super) fn first_failure(worker: &WorkerEntry) -> Option<String> {
    let sessions = worker.existing_session.iter().chain([&worker.new_session]);
    let session = sessions.filter(|session| !session.ok).find_map(|session| {
        Some((session.sqlstate.as_ref().map(ToString::to_string), session.message.clone()?))
    });
    let meanwhile = || {
        let failure = worker.while_running.as_ref()?.first_failure.as_ref()?;
        Some((failure.sqlstate.as_ref().map(ToString::to_string), failure.message.clone()))
    };
    let (code, message) = session.or_else(meanwhile)?;
    Some(code.map_or_else(|| message.clone(), |code| format!("{code} {message}")))
}

fn statement(run: &RunEntry, index: Option<u32>) -> Option<&StatementEntry> {
    run.result.statements.iter().find(|statement| Some(statement.index) == index)
}

/// Why a check did not pass: each worker once, and each place in which a script failed.
pub(super) fn culprits(document: &Document) -> Vec<&Reason> {
    let mut found: Vec<&Reason> = Vec::new();
    for reason in &document.reasons {
        let known = reason.worker.is_some() && found.iter().any(|other| other.worker == reason.worker);
        if !known && !is_told(document, reason) {
            found.push(reason);
        }
    }
    found
}

/// Whether an earlier reason says the same: of a worker, in another run; of a script, that it failed in the same place.
pub(super) fn is_told(document: &Document, reason: &Reason) -> bool {
    let place = |reason: &Reason| {
        let run = document.runs.iter().find(|run| Some(run.run) == reason.run)?;
        let what = failing(run).map(|statement| &statement.sql).or(run.result.errors.first());
        Some((&run.script, what))
    };
    let mut earlier = document.reasons.iter().take_while(|other| *other != reason);
    earlier.any(|other| {
        (other.kind, &other.worker) == (reason.kind, &reason.worker)
            && (reason.kind != ReasonKind::ScriptFailed || place(other) == place(reason))
    })
}

/// The first statement of a run that failed.
pub(super) fn failing(run: &RunEntry) -> Option<&StatementEntry> {
    run.result.statements.iter().find(|statement| statement.sqlstate.is_some())
}
