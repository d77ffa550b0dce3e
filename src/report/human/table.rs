//! The table: a row for each worker, a column for each run.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use super::super::document::{Document, ResultStatus, RunEntry, WorkerEntry};
use super::{BAD, FAINT, GOOD, STRONG, UNEASY, painted};
use crate::verdict::Status;

/// Columns of one cell, with the space that follows it.
const CELL: usize = 11;

/// How a status is called and painted.
pub(super) fn called(status: Status) -> (&'static str, Style) {
    match status {
        Status::Ok => ("ok", GOOD),
        Status::Disrupted => ("disrupted", UNEASY),
        Status::Latent => ("LATENT", BAD),
        Status::Broken => ("BROKEN", BAD),
    }
}

pub(super) fn render(text: &mut String, document: &Document, width: usize) {
    let mut workers: Vec<&WorkerEntry> = Vec::new();
    let entries = document.baseline.workers.iter().chain(document.runs.iter().flat_map(|run| &run.workers));
    for worker in entries {
        if !workers.iter().any(|known| known.name == worker.name) {
            workers.push(worker);
        }
    }
    let names: Vec<String> =
        workers.iter().map(|worker| format!("{} ({})", worker.name, worker.role)).collect();
    let label = names.iter().map(|name| name.width()).max().unwrap_or_default().max("script".len()) + 2;
    // Runs that do not fit beside each other go below, with the labels again.
    let fitting = width.saturating_sub(label + CELL) / CELL;
    let blocks: Vec<&[RunEntry]> =
        if document.runs.is_empty() { vec![&[]] } else { document.runs.chunks(fitting.max(1)).collect() };
    for (runs, first) in blocks.iter().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
        if !first {
            text.push('\n');
        }
        block(text, document, runs, &workers, &names, label);
    }
}

fn block(
    text: &mut String,
    document: &Document,
    runs: &[RunEntry],
    workers: &[&WorkerEntry],
    names: &[String],
    label: usize,
) {
    let mut line = pad("", label);
    line.push_str(&pad(&painted(FAINT, "before"), CELL));
    for run in runs {
        line.push_str(&pad(&painted(STRONG, &format!("run {}", run.run)), CELL));
    }
    push(text, &line);
    if !runs.is_empty() {
        let mut line = pad(&painted(FAINT, "script"), label);
        line.push_str(&pad("", CELL));
        for run in runs {
            let (word, style) = match run.result.status {
                ResultStatus::Succeeded => ("ok", GOOD),
                ResultStatus::Failed => ("failed", if run.result.may_fail { UNEASY } else { BAD }),
                ResultStatus::TimedOut => ("timed out", if run.result.may_fail { UNEASY } else { BAD }),
            };
            line.push_str(&pad(&painted(style, word), CELL));
        }
        push(text, &line);
    }
    for (worker, name) in workers.iter().zip(names) {
        let mut line = pad(name, label);
        let before = document.baseline.workers.iter().find(|entry| entry.name == worker.name);
        line.push_str(&cell(before.map(|entry| match entry.status {
            Status::Ok => called(Status::Ok),
            Status::Disrupted | Status::Latent | Status::Broken => ("FAILS", BAD),
        })));
        for run in runs {
            let entry = run.workers.iter().find(|entry| entry.name == worker.name);
            line.push_str(&cell(entry.map(|entry| called(entry.status))));
        }
        push(text, &line);
    }
}

fn cell(status: Option<(&str, Style)>) -> String {
    match status {
        Some((word, style)) => pad(&painted(style, word), CELL),
        None => pad(&painted(FAINT, "-"), CELL),
    }
}

fn push(text: &mut String, line: &str) {
    let _ = writeln!(text, "{}", line.trim_end());
}

/// Pads to a number of columns; styles take none.
fn pad(text: &str, columns: usize) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    format!("{text}{}", " ".repeat(columns.saturating_sub(plain.width())))
}
