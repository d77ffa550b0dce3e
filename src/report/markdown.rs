//! Markdown for a comment on a pull request, and for a job's summary: short where everything works, the culprit with
//! its line where not.

mod escape;

use std::fmt::Write as _;

use super::document::{Document, ResultStatus, RunEntry, WorkerEntry};
use super::findings::{culprits, failing, first_failure, worker};
use super::scripts::{Conclusion, Report, ScriptEntry, Trouble};
use super::words::{again, closing, counted};
use crate::verdict::{Reason, ReasonKind, Status};

use escape::{code, fenced, text};

/// A comment on GitHub has at most 65,536 characters; what is beyond this is told elsewhere.
const LONGEST: usize = 60_000;
/// Scripts that pass are named as long as they are not more than this.
const NAMED: usize = 20;
/// Before what went as it must.
const GOOD: &str = "✅";
/// Before what did not.
const BAD: &str = "❌";
/// Lines of a statement that are shown.
const LINES: usize = 20;

/// Renders a report as GitHub-flavoured Markdown.
pub fn render(report: &Report) -> String {
    let (mark, headline) = match report.reproduction() {
        Some(seen) if seen.happened_again => (GOOD, "reproduced".to_owned()),
        Some(_) => (BAD, "not reproduced".to_owned()),
        None => (mark(report.verdict), headline(report)),
    };
    let mut out = format!("### {mark} thirdrun: {headline}\n");
    let mut left_out = 0;
    for entry in report.scripts.iter().filter(|entry| entry.verdict != Conclusion::Pass) {
        let section = section(entry);
        if out.len() + section.len() > LONGEST {
            left_out += 1;
        } else {
            out.push_str(&section);
        }
    }
    // Writing to a String cannot fail.
    if left_out > 0 {
        let _ = writeln!(out, "\n…and {left_out} more scripts, for which there is no room here.");
    }
    let passed: Vec<_> = report.scripts.iter().filter(|entry| entry.verdict == Conclusion::Pass).collect();
    let mut list = String::new();
    for entry in passed.iter().take(NAMED) {
        let _ = writeln!(list, "- {}", passing(entry));
    }
    if passed.len() > NAMED {
        let _ = writeln!(list, "- and {} more", passed.len() - NAMED);
    }
    match (passed.as_slice(), report.verdict) {
        ([], _) => {}
        ([one], Conclusion::Pass) => {
            let _ = writeln!(out, "\n{}", passing(one));
        }
        (_, Conclusion::Pass) => {
            let _ = writeln!(out, "\n{list}");
        }
        (all, _) => {
            let summary = format!("{} passed", counted(all.len(), "script"));
            let _ = writeln!(out, "\n<details><summary>{summary}</summary>\n\n{list}\n</details>");
        }
    }
    for entry in passed {
        out.push_str(&entry.report.as_ref().map(reproduced).unwrap_or_default());
        let hazards = entry.report.as_ref().map(hazards).unwrap_or_default();
        if !hazards.is_empty() && out.len() + hazards.len() < LONGEST {
            let _ = write!(
                out,
                "\n{}{hazards}",
                if report.scripts.len() > 1 { titled(entry) } else { String::new() }
            );
        }
    }
    out
}

fn mark(verdict: Conclusion) -> &'static str {
    match verdict {
        Conclusion::Pass => GOOD,
        Conclusion::Fail => BAD,
        Conclusion::Inconclusive | Conclusion::Error => "⚠️",
    }
}

fn headline(report: &Report) -> String {
    let all = report.scripts.len();
    let bad = all - report.count(Conclusion::Pass);
    match (report.verdict, all) {
        (_, 0) => "no script to check".to_owned(),
        (Conclusion::Pass, 1) => "pass".to_owned(),
        (Conclusion::Pass, _) => format!("all {all} scripts pass"),
        (Conclusion::Error, 1) => "not rehearsed".to_owned(),
        (_, 1) => {
            let document = report.scripts.first().and_then(|entry| entry.report.as_ref());
            text(&document.map(closing).unwrap_or_default())
        }
        _ => format!("{bad} of {all} scripts did not pass"),
    }
}

fn titled(entry: &ScriptEntry) -> String {
    let version = entry.postgres.map(|major| format!(" on PostgreSQL {major}")).unwrap_or_default();
    format!("**{}**{version}\n\n", code(&entry.script))
}

/// A script that passes, in a line.
fn passing(entry: &ScriptEntry) -> String {
    let mut line = code(&entry.script);
    if let Some(major) = entry.postgres {
        let _ = write!(line, " on PostgreSQL {major}");
    }
    if let Some(document) = &entry.report {
        let _ = write!(line, ": {}", closing(document));
        if !document.hazards.is_empty() {
            let _ = write!(line, "; {}", counted(document.hazards.len(), "hazard"));
        }
    }
    line
}

fn section(entry: &ScriptEntry) -> String {
    let version = entry.postgres.map(|major| format!(" on PostgreSQL {major}")).unwrap_or_default();
    let mut out = format!("\n#### {}{version}\n", code(&entry.script));
    if let Some(trouble) = &entry.error {
        not_rehearsed(&mut out, trouble);
    }
    if let Some(document) = &entry.report {
        table(&mut out, document);
        for reason in culprits(document) {
            culprit(&mut out, document, reason);
        }
        out.push_str(&reproduced(document));
        out.push_str(&hazards(document));
        let sandbox = &document.sandbox;
        let _ = writeln!(
            out,
            "\n<sub>PostgreSQL {} ({}), clone of {} and {}</sub>",
            text(&sandbox.postgres),
            text(sandbox.image.as_ref().unwrap_or(&sandbox.backend)),
            counted(document.clone.tables, "table"),
            counted(document.clone.roles, "role"),
        );
    }
    out
}

/// Whether a recorded incident happened again.
fn reproduced(document: &Document) -> String {
    let Some(reproduction) = document.reproduction.as_ref().filter(|_| !document.runs.is_empty()) else {
        return String::new();
    };
    let word = if reproduction.happened_again { "Reproduced" } else { "Not reproduced" };
    let mut out = format!("\n**{word}**: {}\n", text(&again(reproduction)));
    for difference in &reproduction.differences {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- {}", text(&difference.message));
    }
    out
}

fn not_rehearsed(out: &mut String, trouble: &Trouble) {
    let _ = writeln!(out, "\nIt was not rehearsed: {}", text(&trouble.message));
    for cause in &trouble.causes {
        let _ = writeln!(out, "- because: {}", text(cause));
    }
    for hint in &trouble.hints {
        let _ = writeln!(out, "- help: {}", text(hint));
    }
}

fn table(out: &mut String, document: &Document) {
    if document.runs.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n| | before |{}",
        document.runs.iter().map(|run| format!(" run {} |", run.run)).collect::<String>()
    );
    let _ = writeln!(out, "|---|---|{}", "---|".repeat(document.runs.len()));
    let script = |run: &RunEntry| match run.result.status {
        ResultStatus::Succeeded => "ok",
        ResultStatus::Failed if run.result.may_fail => "failed",
        ResultStatus::Failed => "**failed**",
        ResultStatus::TimedOut => "**timed out**",
    };
    let cells: String = document.runs.iter().map(|run| format!(" {} |", script(run))).collect();
    let _ = writeln!(out, "| *the script* | |{cells}");
    let mut named: Vec<&WorkerEntry> = Vec::new();
    for worker in document.baseline.workers.iter().chain(document.runs.iter().flat_map(|run| &run.workers)) {
        if !named.iter().any(|known| known.name == worker.name) {
            named.push(worker);
        }
    }
    for worker in named {
        let before = document.baseline.workers.iter().find(|entry| entry.name == worker.name);
        let cells: String = document
            .runs
            .iter()
            .map(|run| run.workers.iter().find(|entry| entry.name == worker.name))
            .map(|entry| format!(" {} |", entry.map_or("", |entry| called(entry.status))))
            .collect();
        let _ = writeln!(
            out,
            "| {} ({}) | {} |{cells}",
            text(worker.name.as_str()),
            text(worker.role.as_str()),
            before.map_or("", |entry| called(entry.status)),
        );
    }
}

fn called(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Disrupted => "disrupted",
        Status::Latent => "**LATENT**",
        Status::Broken => "**BROKEN**",
    }
}

/// One reason why a check did not pass.
fn culprit(out: &mut String, document: &Document, reason: &Reason) {
    let worker = worker(document, reason);
    let run = document.runs.iter().find(|run| Some(run.run) == reason.run);
    let since = reason.run.map(|run| format!(" since run {run}")).unwrap_or_default();
    let failure = worker.and_then(first_failure).map(|failure| format!(": {}", code(&failure)));
    let failure = failure.unwrap_or_default();
    let who = reason.worker.as_ref().map(|name| format!("**{}**", text(name.as_str()))).unwrap_or_default();
    let what = match reason.kind {
        ReasonKind::WorkerBroken => format!("{who} is broken{since}{failure}"),
        ReasonKind::WorkerLatent => {
            format!("{who} is latent{since}: the session it has still works, a new one does not{failure}")
        }
        ReasonKind::WorkerFailsAtBaseline => format!("{who} fails even before the first run{failure}"),
        ReasonKind::WorkerDisrupted => text(&reason.message),
        ReasonKind::ScriptFailed => format!("**{}**", text(&reason.message)),
    };
    let _ = writeln!(out, "\n{what}");
    if let (ReasonKind::ScriptFailed, Some(run)) = (reason.kind, run) {
        if let Some(statement) = failing(run) {
            let file = statement.file.as_ref().unwrap_or(&run.script);
            because(out, file, statement.line, &statement.sql);
            let error = [
                statement.sqlstate.as_ref().map(ToString::to_string).unwrap_or_default(),
                statement.message.clone().unwrap_or_default(),
            ];
            let _ = writeln!(out, "\n{}", code(error.join(" ").trim()));
        } else if let Some(error) = run.result.errors.first() {
            let _ = writeln!(out, "\n{}", code(error));
        }
    }
    let Some(worker) = worker else { return };
    if let Some(cause) = &worker.cause {
        if let Some(sql) = &cause.sql {
            let of_cause = document.runs.iter().find(|run| run.run == cause.run);
            let statements = of_cause.into_iter().flat_map(|run| &run.result.statements);
            let file =
                statements.filter(|one| Some(one.index) == cause.statement).find_map(|one| one.file.as_ref());
            let script = of_cause.map_or("the script", |run| run.script.as_str());
            because(out, file.map_or(script, String::as_str), cause.line, sql);
        }
        let _ = writeln!(out, "\n{}", text(&cause.explanation));
    }
    if let Some(repair) = &worker.repair {
        let how = if repair.verified {
            "Repair, tried in a copy, after which it works:"
        } else {
            "Repair, not tried:"
        };
        let _ = writeln!(out, "\n{how}\n\n{}", fenced(&repair.sql, "sql"));
    }
    if let Some(advice) = &worker.advice {
        let _ = writeln!(out, "\nHow the script avoids it: {}", text(advice));
    }
}

fn because(out: &mut String, file: &str, line: Option<u32>, sql: &str) {
    let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
    let count = sql.lines().count();
    let mut shown = sql.lines().take(LINES).collect::<Vec<_>>().join("\n");
    if count > LINES {
        let _ = write!(shown, "\n-- and {} more lines", count - LINES);
    }
    let _ = writeln!(out, "\nbecause of {}{at}:\n\n{}", code(file), fenced(&shown, "sql"));
}

fn hazards(document: &Document) -> String {
    if document.hazards.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n<details><summary>{}</summary>\n\n",
        counted(document.hazards.len(), "hazard") + " that the runs did not hit"
    );
    for hazard in &document.hazards {
        let line = hazard.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let _ = writeln!(out, "- run {}{line}: {}", hazard.run, text(&hazard.message));
    }
    out.push_str("\n</details>\n");
    out
}
