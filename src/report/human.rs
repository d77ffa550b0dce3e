//! The report for a person at a terminal: a table of workers by runs, then a paragraph for each worker
//! that was not well.

mod paragraphs;
mod table;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::document::{Document, ResultStatus, RunEntry};
use super::reproduction::Reproduction;
use super::scripts::{Conclusion, Report, ScriptEntry};
use super::visible::{self, visible, without_commands};
use super::words::{self, closing, counted, ended};
use crate::dump::{TokenKind, tokens};
use crate::verdict::{Hazard, Outcome};

/// What works.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is not well but passes.
pub(super) const UNEASY: Style = AnsiColor::Yellow.on_default();
/// What fails the check.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is only there to be looked up.
pub(super) const FAINT: Style = Style::new().dimmed();
/// What the eye shall find first.
pub(super) const STRONG: Style = Style::new().bold();

/// Renders a report, with ANSI styles, for a terminal of `width` columns. Of several scripts, those that pass are a
/// line each.
pub fn render(report: &Report, width: usize) -> String {
    without_commands(&rendered(&visible::report(report), width))
}

fn rendered(report: &Report, width: usize) -> String {
    if let [ScriptEntry { report: Some(document), .. }] = report.scripts.as_slice() {
        return rehearsal(document, width);
    }
    let mut text = String::new();
    for entry in &report.scripts {
        let Some(document) = entry.report.as_ref() else { continue };
        if entry.verdict == Conclusion::Pass && document.hazards.is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}\n", painted(STRONG.underline(), &entry.title()));
        if entry.verdict == Conclusion::Pass {
            let _ = writeln!(text, "{}", closing_line(document));
            hazards(&mut text, document, width);
        } else {
            text.push_str(&rehearsal(document, width));
        }
        text.push('\n');
    }
    for entry in &report.scripts {
        script(&mut text, entry);
    }
    let _ = writeln!(text, "{}", summary(report));
    text
}

/// One script of several, in a line.
pub fn line(entry: &ScriptEntry) -> String {
    let (word, style) = match entry.verdict {
        Conclusion::Pass => ("PASS", GOOD.bold()),
        Conclusion::Fail => ("FAIL", BAD),
        Conclusion::Inconclusive => ("INCONCLUSIVE", UNEASY.bold()),
        Conclusion::Error => ("NOT REHEARSED", UNEASY.bold()),
    };
    let what = entry.report.as_ref().map(closing).unwrap_or_default();
    let what = visible(&entry.error.as_ref().map_or(what, |trouble| trouble.message.clone()));
    format!("{} {}: {what}", painted(style, word), painted(STRONG, &visible(&entry.title())))
}

/// One script of several, and why it was not rehearsed.
fn script(text: &mut String, entry: &ScriptEntry) {
    let _ = writeln!(text, "{}", line(entry));
    if let Some(trouble) = &entry.error {
        for cause in &trouble.causes {
            let _ = writeln!(text, "  because: {cause}");
        }
        for hint in &trouble.hints {
            let _ = writeln!(text, "  help: {hint}");
        }
    }
}

/// How many scripts came to what.
fn summary(report: &Report) -> String {
    if report.scripts.is_empty() {
        return painted(FAINT, "no script to check");
    }
    let counts = [
        (Conclusion::Pass, "passed"),
        (Conclusion::Fail, "failed"),
        (Conclusion::Inconclusive, "inconclusive"),
        (Conclusion::Error, "not rehearsed"),
    ];
    let counts = counts.map(|(conclusion, word)| (report.count(conclusion), word));
    let told: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{}: {}", counted(report.scripts.len(), "script"), told.join(", "))
}

/// Renders one rehearsal.
fn rehearsal(document: &Document, width: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", clone_line(document));
    text.push('\n');
    for run in &document.runs {
        script_line(&mut text, run);
    }
    if !document.runs.is_empty() {
        text.push('\n');
    }
    table::render(&mut text, document, width);
    paragraphs::render(&mut text, document, width);
    hazards(&mut text, document, width);
    text.push('\n');
    settled(&mut text, document, width);
    let _ = writeln!(text, "{}", closing_line(document));
    if let Some(reproduction) = &document.reproduction {
        again(&mut text, document, reproduction, width);
    }
    text
}

/// Whether a recorded incident happened again, and how it differed.
fn again(text: &mut String, document: &Document, reproduction: &Reproduction, width: usize) {
    if document.verdict == Outcome::Inconclusive {
        return;
    }
    let (word, style) =
        if reproduction.happened_again { ("REPRODUCED", GOOD.bold()) } else { ("NOT REPRODUCED", BAD) };
    let _ = writeln!(text, "{} {}", painted(style, word), words::again(reproduction));
    for difference in &reproduction.differences {
        let options = textwrap::Options::new(width).initial_indent("  ").subsequent_indent("    ");
        for line in textwrap::wrap(&difference.message, options) {
            let _ = writeln!(text, "{line}");
        }
    }
}

/// Whether a script that was run again and again still changes something, and how.
fn settled(text: &mut String, document: &Document, width: usize) {
    let [first, .., last] = document.runs.as_slice() else { return };
    if document.runs.iter().any(|run| run.script != first.script) && document.drift.is_none() {
        return;
    }
    let nothing = |after| format!("the runs after run {after} changed nothing more");
    let what = match (&document.settled, &document.drift) {
        // Rows are what many scripts are for, and whether they stay is not known.
        (Some(settled), None) if writes_rows(last) => format!("{} but rows", nothing(settled.after_run)),
        (Some(settled), None) => nothing(settled.after_run),
        (Some(settled), Some(drift)) => {
            format!("{} in the catalogs, but {}", nothing(settled.after_run), drift.message)
        }
        (None, None) => format!("run {} still changed something: the script has not settled", last.run),
        (None, Some(drift)) => format!("the script has not settled: {}", drift.message),
    };
    for line in textwrap::wrap(&what, width) {
        let _ = writeln!(text, "{}", painted(FAINT, &line));
    }
}

/// Whether a statement of a run wrote rows.
fn writes_rows(run: &RunEntry) -> bool {
    let writes = |sql: &str| {
        let all = tokens(sql);
        let first = all.iter().find(|token| token.kind != TokenKind::Comment);
        first.is_some_and(|token| {
            ["insert", "update", "delete", "merge"].iter().any(|verb| token.is(sql, verb))
        })
    };
    run.result.statements.iter().any(|one| one.rows > Some(0) && writes(&one.sql))
}

/// What nearly went wrong; of many that are alike the first few.
fn hazards(text: &mut String, document: &Document, width: usize) {
    const ALIKE: usize = 3;
    let alike = |one: &Hazard, other: &Hazard| (one.kind, one.run) == (other.kind, other.run);
    for (at, hazard) in document.hazards.iter().enumerate() {
        let before = document.hazards.iter().take(at).filter(|other| alike(hazard, other)).count();
        if before >= ALIKE {
            continue;
        }
        let line = hazard.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let label = painted(UNEASY, &format!("hazard in run {}{line}", hazard.run));
        let _ = writeln!(text, "\n{label}");
        for line in textwrap::wrap(&hazard.message, width.saturating_sub(2)) {
            let _ = writeln!(text, "  {line}");
        }
        let all = document.hazards.iter().filter(|other| alike(hazard, other)).count();
        if before + 1 == ALIKE && all > ALIKE {
            let more = format!("and {} more of this kind, which the JSON report names", all - ALIKE);
            let _ = writeln!(text, "  {}", painted(FAINT, &more));
        }
    }
}

/// Entries of a list that are shown of what the clone lacks.
const LISTED: usize = 10;

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn clone_line(document: &Document) -> String {
    let (clone, sandbox) = (&document.clone, &document.sandbox);
    let server = format!(
        "PostgreSQL {} ({}), ready in {:.0} ms; {}",
        sandbox.postgres,
        match &sandbox.image {
            Some(image) => format!("{} {image}", sandbox.backend),
            None => sandbox.backend.clone(),
        },
        sandbox.ready_ms,
        sandbox.isolation,
    );
    let held = format!(
        "clone of {} and {}, {}{}",
        counted(clone.tables, "table"),
        counted(clone.roles, "role"),
        counted(clone.rows, "synthetic row"),
        if sandbox.seed_cached { "; kept from an earlier check" } else { "" },
    );
    let mut line = format!("{}\n{}", painted(FAINT, &server), painted(FAINT, &held));
    let mut left_out = Vec::new();
    if let Some(derived) = &document.derived {
        let what = format!(
            "{} of what the login roles can do, with {} (`thirdrun workers` writes them down)",
            counted(document.baseline.workers.len(), "worker"),
            counted(derived.steps, "step"),
        );
        let _ = write!(line, "\n{}", painted(FAINT, &what));
        let told = derived.left_out.iter();
        left_out.extend(told.map(|out| {
            format!("{}: {}: left out: {}", painted(UNEASY, out.role.as_str()), out.what, out.error)
        }));
    }
    let skipped = clone
        .skipped
        .iter()
        .map(|skipped| format!("{}: left out: {}", painted(UNEASY, &skipped.object), skipped.error));
    let empty = clone.tables_without_rows.iter();
    let empty = empty.map(|table| format!("{} {table}", painted(UNEASY, "no rows in")));
    for list in [skipped.collect::<Vec<_>>(), empty.collect(), left_out] {
        for entry in list.iter().take(LISTED) {
            let _ = write!(line, "\n{entry}");
        }
        if let Some(more) = list.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = write!(line, "\n… and {more} more, which the JSON report names");
        }
    }
    line
}

fn script_line(text: &mut String, run: &RunEntry) {
    let result = &run.result;
    let style = if result.status == ResultStatus::Succeeded { GOOD } else { BAD };
    let how = ended(result);
    let style = if result.may_fail && style == BAD { UNEASY } else { style };
    let label = painted(STRONG, &format!("run {}", run.run));
    let _ = writeln!(text, "{label}  {} as {} {}", run.script, run.role, painted(style, &how));
    const SHOWN: usize = 3;
    for error in result.errors.iter().take(SHOWN) {
        let _ = writeln!(text, "       {error}");
    }
    if result.errors.len() > SHOWN {
        let _ = writeln!(text, "       and {} more", result.errors.len() - SHOWN);
    }
    if result.status != ResultStatus::Succeeded && result.errors.is_empty() {
        // psql's errors say it all; of anything else the last lines are what there is.
        let lines: Vec<_> = result.output_tail.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(SHOWN)) {
            let _ = writeln!(text, "       {line}");
        }
    }
    if let Some(log) = &run.server_gone {
        let _ = writeln!(
            text,
            "       {}",
            painted(BAD, "the database server itself ended in this run; its log:")
        );
        let lines: Vec<_> = log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(5)) {
            let _ = writeln!(text, "       {line}");
        }
    }
}

fn closing_line(document: &Document) -> String {
    let verdict = match document.verdict {
        Outcome::Pass => painted(GOOD.bold(), "PASS"),
        Outcome::Fail => painted(BAD, "FAIL"),
        Outcome::Inconclusive => painted(UNEASY.bold(), "INCONCLUSIVE"),
    };
    format!("{verdict} {}", closing(document))
}
