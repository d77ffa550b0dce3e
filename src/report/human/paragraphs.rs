//! A paragraph for each worker that was not well: what it says, where it fails, what mends it.

use std::fmt::Write as _;

use super::super::document::{Document, RunEntry, SessionEntry, WorkerEntry};
use super::super::words::milliseconds;
use super::table::called;
use super::{BAD, FAINT, GOOD, STRONG, UNEASY, painted};
use crate::identifiers::WorkerName;
use crate::verdict::Status;

pub(super) fn render(text: &mut String, document: &Document, width: usize) {
    for worker in document.baseline.workers.iter().filter(|worker| worker.status != Status::Ok) {
        let _ = writeln!(
            text,
            "\n{} fails even before the first run{}",
            painted(STRONG, worker.name.as_str()),
            if worker.new_session.ok { ", on the session that it keeps" } else { "" }
        );
        failures(text, worker, width);
    }
    let mut told: Vec<&WorkerName> = Vec::new();
    for run in &document.runs {
        for worker in &run.workers {
            let bad = matches!(worker.status, Status::Broken | Status::Latent);
            if bad && !told.contains(&&worker.name) {
                told.push(&worker.name);
                broken(text, document, run, worker, width);
            }
        }
    }
    disrupted(text, document, width);
}

fn broken(text: &mut String, document: &Document, run: &RunEntry, worker: &WorkerEntry, width: usize) {
    let (word, style) = called(worker.status);
    let _ = writeln!(
        text,
        "\n{} is {} since run {} ({})",
        painted(STRONG, worker.name.as_str()),
        painted(style, word),
        run.run,
        run.script
    );
    failures(text, worker, width);
    why(text, worker, width);
    let _ = writeln!(text, "  {}", outlook(worker));
    if let Some(seen) = &worker.while_running
        && seen.failures > 0
    {
        let _ = writeln!(
            text,
            "  while the script ran, {} of its {} iterations failed",
            seen.failures, seen.iterations
        );
    }
    let mut later: Vec<String> = Vec::new();
    let mut known = worker.status;
    for after in document.runs.iter().filter(|after| after.run > run.run) {
        let Some(entry) = after.workers.iter().find(|entry| entry.name == worker.name) else { continue };
        if entry.status != known {
            known = entry.status;
            later.push(format!("from run {} on it is {}", after.run, called(known).0));
        }
    }
    if !later.is_empty() {
        let _ = writeln!(text, "  {}", later.join(", "));
    }
}

/// The statement that did it, what it did, and what mends it.
fn why(text: &mut String, worker: &WorkerEntry, width: usize) {
    if let Some(cause) = &worker.cause {
        if let Some(sql) = &cause.sql {
            let number =
                cause.statement.map(|statement| format!("statement {statement}")).unwrap_or_default();
            let at = cause.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let _ = writeln!(text, "  because of {number}{at} of run {}:", cause.run);
            excerpt(text, sql, cause.line, width);
        }
        for line in textwrap::wrap(&cause.explanation, width.saturating_sub(2)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(repair) = &worker.repair {
        let how = if repair.verified {
            "repair, tried in a copy, after which it works:"
        } else {
            "repair, not tried:"
        };
        let _ = writeln!(text, "  {how}");
        for line in repair.sql.lines() {
            let _ = writeln!(text, "    {}", painted(GOOD, line));
        }
    }
    if let Some(advice) = &worker.advice {
        let _ = writeln!(text, "  how the script avoids it:");
        for line in textwrap::wrap(advice, width.saturating_sub(4)) {
            let _ = writeln!(text, "    {line}");
        }
    }
}

/// The first lines of a statement, with their numbers where they are known.
fn excerpt(text: &mut String, sql: &str, line: Option<u32>, width: usize) {
    const LINES: usize = 6;
    let count = sql.lines().count();
    for (at, content) in (0_u32..).zip(sql.lines().take(LINES)) {
        let number = line.map(|line| (line + at).to_string()).unwrap_or_default();
        let gutter = painted(FAINT, &format!("{number:>5} |"));
        let _ = writeln!(text, "  {gutter} {}", shortened(content, width.saturating_sub(12).max(40)));
    }
    if count > LINES {
        let _ = writeln!(text, "  {}", painted(FAINT, &format!("      | and {} more lines", count - LINES)));
    }
}

/// Whether a restart helps: the first question of whoever is on call.
fn outlook(worker: &WorkerEntry) -> &'static str {
    let reopened = worker.existing_session.as_ref().is_some_and(|session| session.reopened);
    match (&worker.existing_session, worker.new_session.ok) {
        (Some(existing), false) if existing.ok => {
            "the session it has still works, a new one does not: it dies at its next restart, deploy or pool recycle"
        }
        (Some(_), true) if reopened => {
            "its session was cut off and the one opened in its place failed; a later one works"
        }
        (Some(_), true) => "a new session works: restarting it would mend it",
        (Some(_), false) if reopened => {
            "its session was cut off, and new ones fail too: a restart does not mend it"
        }
        (Some(_), false) => "a new session fails too: a restart does not mend it",
        (None, _) => "it starts afresh every time: a restart does not mend it",
    }
}

fn failures(text: &mut String, worker: &WorkerEntry, width: usize) {
    let existing = worker.existing_session.as_ref().filter(|session| !session.ok);
    let new = Some(&worker.new_session).filter(|session| !session.ok);
    match (existing, new) {
        (Some(existing), Some(new)) if existing.message == new.message && existing.step == new.step => {
            failure(text, "", existing, width);
        }
        (Some(existing), Some(new)) => {
            failure(text, "on the session it has: ", existing, width);
            failure(text, "on a new session: ", new, width);
        }
        (Some(existing), None) => failure(text, "on the session it has: ", existing, width),
        (None, Some(new)) if worker.existing_session.is_some() => {
            failure(text, "on a new session: ", new, width)
        }
        (None, Some(new)) => failure(text, "", new, width),
        (None, None) => {}
    }
}

fn failure(text: &mut String, place: &str, session: &SessionEntry, width: usize) {
    let code = session.sqlstate.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
    let message = session.message.as_deref().unwrap_or_default();
    let _ = writeln!(text, "  {place}{}", painted(BAD, &format!("{code}{message}")));
    if let Some(detail) = &session.detail {
        let _ = writeln!(text, "    {detail}");
    }
    if let (Some(step), Some(words)) = (session.step, &session.step_text) {
        let shown = shortened(words, width.saturating_sub(14).max(40));
        let _ = writeln!(text, "    {} {shown}", painted(FAINT, &format!("at step {step}:")));
    }
}

fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        text.to_owned()
    } else {
        text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
    }
}

fn disrupted(text: &mut String, document: &Document, width: usize) {
    let mut first = true;
    // What a later run does in the same way is told in a line.
    let mut told: Vec<(&WorkerName, Option<&String>)> = Vec::new();
    for run in &document.runs {
        for worker in run.workers.iter().filter(|worker| worker.status == Status::Disrupted) {
            let Some(seen) = &worker.while_running else {
                continue;
            };
            if std::mem::take(&mut first) {
                text.push('\n');
            }
            let past = seen.longest_gap_ms > seen.max_outage_ms;
            let _ = writeln!(
                text,
                "{} was {} by run {}: {} of {} iterations failed, the longest stall was {} ({} pass{})",
                painted(STRONG, worker.name.as_str()),
                painted(if past { BAD } else { UNEASY }, "disrupted"),
                run.run,
                seen.failures,
                seen.iterations,
                milliseconds(seen.longest_gap_ms),
                milliseconds(seen.max_outage_ms),
                if past { ", so the check fails" } else { "" },
            );
            let sql = worker.cause.as_ref().and_then(|cause| cause.sql.as_ref());
            if told.contains(&(&worker.name, sql)) {
                let _ = writeln!(text, "  {}", painted(FAINT, "as above"));
                continue;
            }
            told.push((&worker.name, sql));
            if let Some(failure) = &seen.first_failure {
                let code = failure.sqlstate.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
                let _ = writeln!(text, "  {code}{}", failure.message);
            }
            why(text, worker, width);
        }
    }
}
