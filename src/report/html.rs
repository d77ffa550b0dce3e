//! One HTML page that needs nothing else: no script, no network, readable on a phone, in the dark and on paper.

mod timeline;

use askama::Template;

use super::document::{Document, ResultStatus, RunEntry, SessionEntry, WorkerEntry};
use super::findings::{culprits, failing, first_failure, worker};
use super::reproduction::Reproduction;
use super::scripts::{Conclusion, Report, ScriptEntry};
use super::words::{again, closing, counted, ended, milliseconds};
use crate::verdict::{Reason, ReasonKind, Status};

use timeline::{Lane, lanes, span};

/// Changes of a run that are shown.
const CHANGES: usize = 200;
/// Statements of a run that are shown.
const STATEMENTS: usize = 500;

#[derive(Template)]
#[template(path = "page.html", config = "src/report/html/askama.toml")]
struct Page<'a> {
    style: &'static str,
    version: &'a str,
    headline: String,
    verdict: &'static str,
    class: &'static str,
    scripts: Vec<Script>,
}

struct Script {
    title: String,
    verdict: &'static str,
    class: &'static str,
    closing: String,
    facts: Option<String>,
    trouble: Vec<Line>,
    rows: Vec<Row>,
    culprits: Vec<Culprit>,
    hazards: Vec<String>,
    runs: Vec<Run>,
}

struct Line {
    class: &'static str,
    text: String,
}

struct Row {
    name: String,
    role: Option<String>,
    cells: Vec<Cell>,
}

struct Cell {
    class: &'static str,
    text: &'static str,
}

#[derive(Default)]
struct Culprit {
    title: String,
    failure: Option<String>,
    step: Option<String>,
    place: Option<String>,
    first: u32,
    numbered: bool,
    lines: Vec<String>,
    explanation: Option<String>,
    tried: &'static str,
    repair: Option<String>,
    advice: Option<String>,
}

struct Run {
    number: String,
    script: String,
    role: String,
    ended: String,
    failed: bool,
    errors: Vec<String>,
    caption: String,
    lanes: Vec<Lane>,
    from: String,
    until: String,
    statements_title: String,
    statements: Vec<Statement>,
    changes_title: String,
    changes: Vec<Change>,
    more_changes: usize,
}

struct Statement {
    index: u32,
    line: String,
    sql: String,
    locks: Vec<String>,
    took: String,
    answer: String,
    failed: bool,
}

struct Change {
    kind: String,
    object: String,
    role: String,
    detail: String,
    statement: String,
}

/// Renders a report as a page.
///
/// # Errors
/// Never in practice: it is written into memory.
pub fn render(report: &Report) -> Result<String, askama::Error> {
    let (verdict, class) = match report.reproduction() {
        Some(seen) if seen.happened_again => ("REPRODUCED", "good"),
        Some(_) => ("NOT REPRODUCED", "bad"),
        None => called(report.verdict),
    };
    Page {
        style: include_str!("html/style.css"),
        version: &report.thirdrun,
        headline: headline(report),
        verdict,
        class,
        scripts: report.scripts.iter().map(script).collect(),
    }
    .render()
}

fn headline(report: &Report) -> String {
    match report.scripts.as_slice() {
        [] => "no script to check".to_owned(),
        [one] => one.title(),
        all => {
            let passed = report.count(Conclusion::Pass);
            format!("{passed} of {} scripts pass", all.len())
        }
    }
}

fn called(verdict: Conclusion) -> (&'static str, &'static str) {
    match verdict {
        Conclusion::Pass => ("PASS", "good"),
        Conclusion::Fail => ("FAIL", "bad"),
        Conclusion::Inconclusive => ("INCONCLUSIVE", "uneasy"),
        Conclusion::Error => ("NOT REHEARSED", "uneasy"),
    }
}

fn script(entry: &ScriptEntry) -> Script {
    let (verdict, class) = called(entry.verdict);
    let mut view = Script {
        title: entry.title(),
        verdict,
        class,
        closing: String::new(),
        facts: None,
        trouble: Vec::new(),
        rows: Vec::new(),
        culprits: Vec::new(),
        hazards: Vec::new(),
        runs: Vec::new(),
    };
    if let Some(trouble) = &entry.error {
        view.closing.clone_from(&trouble.message);
        view.trouble.extend(
            trouble.causes.iter().map(|cause| Line { class: "bad", text: format!("because: {cause}") }),
        );
        view.trouble
            .extend(trouble.hints.iter().map(|hint| Line { class: "faint", text: format!("help: {hint}") }));
    }
    if let Some(document) = &entry.report {
        view.closing = closing(document);
        view.facts = Some(facts(document));
        if let Some(reproduction) = &document.reproduction {
            view.trouble.extend(reproduced(reproduction));
        }
        view.rows = rows(document);
        view.culprits = culprits(document).into_iter().map(|reason| culprit(document, reason)).collect();
        view.hazards = document
            .hazards
            .iter()
            .map(|hazard| {
                let line = hazard.line.map(|line| format!(", line {line}")).unwrap_or_default();
                format!("Run {}{line}: {}", hazard.run, hazard.message)
            })
            .collect();
        view.runs = document.runs.iter().map(run).collect();
    }
    view
}

/// Whether a recorded incident happened again, and how it differed.
fn reproduced(reproduction: &Reproduction) -> impl Iterator<Item = Line> {
    let (word, class) =
        if reproduction.happened_again { ("Reproduced", "good") } else { ("Not reproduced", "bad") };
    let first = Line { class, text: format!("{word}: {}", again(reproduction)) };
    let differences = reproduction.differences.iter();
    let differences = differences.map(|one| Line { class: "bad", text: one.message.clone() });
    std::iter::once(first).chain(differences)
}

fn facts(document: &Document) -> String {
    let (sandbox, clone) = (&document.sandbox, &document.clone);
    let server = match &sandbox.image {
        Some(image) => format!("{} {image}", sandbox.backend),
        None => sandbox.backend.clone(),
    };
    let mut facts = format!(
        "PostgreSQL {} ({server}); {}; clone of {} tables and {} roles, {} synthetic rows",
        sandbox.postgres, sandbox.isolation, clone.tables, clone.roles, clone.rows
    );
    if let Some(derived) = &document.derived {
        let (steps, out) = (derived.steps, derived.left_out.len());
        facts.push_str(&format!("; workers of what the login roles can do, {steps} steps, {out} left out"));
    }
    facts
}

fn rows(document: &Document) -> Vec<Row> {
    let none = Cell { class: "faint", text: "" };
    let mut cells = vec![none];
    cells.extend(document.runs.iter().map(|run| match run.result.status {
        ResultStatus::Succeeded => Cell { class: "good", text: "ok" },
        ResultStatus::Failed => {
            Cell { class: if run.result.may_fail { "uneasy" } else { "bad" }, text: "failed" }
        }
        ResultStatus::TimedOut => {
            Cell { class: if run.result.may_fail { "uneasy" } else { "bad" }, text: "timed out" }
        }
    }));
    let mut rows = vec![Row { name: "the script".to_owned(), role: None, cells }];
    let mut named: Vec<&WorkerEntry> = Vec::new();
    for worker in document.baseline.workers.iter().chain(document.runs.iter().flat_map(|run| &run.workers)) {
        if !named.iter().any(|known| known.name == worker.name) {
            named.push(worker);
        }
    }
    for worker in named {
        let of = |workers: &[WorkerEntry]| {
            let entry = workers.iter().find(|entry| entry.name == worker.name);
            entry.map_or(Cell { class: "faint", text: "–" }, |entry| cell(entry.status))
        };
        let mut cells = vec![of(&document.baseline.workers)];
        cells.extend(document.runs.iter().map(|run| of(&run.workers)));
        rows.push(Row { name: worker.name.to_string(), role: Some(worker.role.to_string()), cells });
    }
    rows
}

fn cell(status: Status) -> Cell {
    match status {
        Status::Ok => Cell { class: "good", text: "ok" },
        Status::Disrupted => Cell { class: "uneasy", text: "disrupted" },
        Status::Latent => Cell { class: "bad", text: "LATENT" },
        Status::Broken => Cell { class: "bad", text: "BROKEN" },
    }
}

fn culprit(document: &Document, reason: &Reason) -> Culprit {
    let mut view = Culprit { title: title(reason), ..Culprit::default() };
    let run = document.runs.iter().find(|run| Some(run.run) == reason.run);
    if let (ReasonKind::ScriptFailed, Some(run)) = (reason.kind, run) {
        let statement = failing(run);
        let message = statement.and_then(|statement| {
            Some(format!("{} {}", statement.sqlstate.as_ref()?, statement.message.as_deref()?))
        });
        view.failure = message.or_else(|| run.result.errors.first().cloned());
        if let Some(statement) = statement {
            let file = statement.file.as_ref().unwrap_or(&run.script);
            view.at(file, statement.line, &statement.sql);
        }
    }
    let Some(worker) = worker(document, reason) else { return view };
    view.failure = first_failure(worker);
    view.step = failed_session(worker).and_then(|session| {
        let text = session.step_text.as_ref()?;
        Some(format!("step {}: {text}", session.step?))
    });
    if let Some(cause) = &worker.cause {
        let of_cause = document.runs.iter().find(|run| run.run == cause.run);
        if let Some(sql) = &cause.sql {
            let statements = of_cause.into_iter().flat_map(|run| &run.result.statements);
            let mut files = statements.filter(|one| Some(one.index) == cause.statement);
            let file = files.find_map(|one| one.file.clone());
            let script = of_cause.map_or("the script", |run| run.script.as_str());
            view.at(file.as_deref().unwrap_or(script), cause.line, sql);
        }
        view.explanation = Some(cause.explanation.clone());
    }
    if let Some(repair) = &worker.repair {
        view.tried = if repair.verified {
            "Repair, tried in a copy, after which it works:"
        } else {
            "Repair, not tried:"
        };
        view.repair = Some(repair.sql.clone());
    }
    view.advice.clone_from(&worker.advice);
    view
}

impl Culprit {
    fn at(&mut self, file: &str, line: Option<u32>, sql: &str) {
        let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
        self.place = Some(format!("{file}{at}"));
        (self.first, self.numbered) = (line.unwrap_or(1), line.is_some());
        self.lines = sql.lines().map(str::to_owned).collect();
    }
}

fn failed_session(worker: &WorkerEntry) -> Option<&SessionEntry> {
    worker.existing_session.iter().chain([&worker.new_session]).find(|session| !session.ok)
}

fn run(run: &RunEntry) -> Run {
    let result = &run.result;
    let (from, until) = span(run);
    let statements = result.statements.iter().take(STATEMENTS).map(|one| Statement {
        index: one.index,
        line: one.line.map(|line| line.to_string()).unwrap_or_default(),
        sql: one.sql.clone(),
        locks: one.locks.iter().map(|lock| format!("{} on {}", lock.mode.name(), lock.object)).collect(),
        took: one.duration_ms.map(|time| format!("{time} ms")).unwrap_or_else(|| "–".to_owned()),
        answer: match (&one.sqlstate, &one.message, one.rows) {
            (Some(code), message, _) => format!("{code} {}", message.as_deref().unwrap_or_default()),
            (None, _, Some(rows)) => format!("{rows} rows"),
            (None, _, None) => String::new(),
        },
        failed: one.sqlstate.is_some(),
    });
    let changes = run.changes.iter().take(CHANGES).map(|change| Change {
        kind: words(change.kind),
        object: change.object.clone(),
        role: change.role.as_ref().map(ToString::to_string).unwrap_or_default(),
        detail: change.detail.clone(),
        statement: change.statement.map(|statement| statement.to_string()).unwrap_or_default(),
    });
    Run {
        number: run.run.to_string(),
        script: run.script.clone(),
        role: run.role.to_string(),
        ended: ended(result),
        failed: result.status != ResultStatus::Succeeded,
        errors: result.errors.iter().take(10).cloned().collect(),
        caption: "what the script sent, and what every automation did meanwhile".to_owned(),
        lanes: lanes(run, from, until),
        from: milliseconds(from),
        until: milliseconds(until),
        statements_title: counted(result.statements.len(), "statement"),
        statements: statements.collect(),
        changes_title: counted(run.changes.len(), "change"),
        changes: changes.collect(),
        more_changes: run.changes.len().saturating_sub(CHANGES),
    }
}

/// The kind of a change as the JSON report calls it, in words.
fn words(kind: crate::observations::ChangeKind) -> String {
    let name = serde_json::to_value(kind).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ")
}

fn title(reason: &Reason) -> String {
    let name = reason.worker.as_ref().map(ToString::to_string).unwrap_or_default();
    let since = reason.run.map(|run| format!(" since run {run}")).unwrap_or_default();
    match reason.kind {
        ReasonKind::WorkerBroken => format!("{name} is broken{since}"),
        ReasonKind::WorkerLatent => {
            format!("{name} is latent{since}: the session it has still works, a new one does not")
        }
        ReasonKind::WorkerFailsAtBaseline => format!("{name} fails even before the first run"),
        ReasonKind::WorkerDisrupted | ReasonKind::ScriptFailed => reason.message.clone(),
    }
}
