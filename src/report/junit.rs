//! JUnit XML: a suite for each script, a case for each worker and run.

use std::collections::BTreeSet;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use super::document::{Document, ResultStatus, RunEntry, WorkerEntry};
use super::findings::{failing, first_failure};
use super::reproduction::{Difference, Reproduction};
use super::scripts::{Report, ScriptEntry, Trouble};
use crate::identifiers::{RunNumber, WorkerName};
use crate::verdict::{Reason, ReasonKind, Status};

/// Renders a report as JUnit XML.
///
/// # Errors
/// Never in practice: it is written into memory.
pub fn render(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut xml = Xml::new("thirdrun");
    xml.add_test_suites(report.scripts.iter().map(suite));
    // The schema of Jenkins has no such number there, and no case is ever skipped.
    let text = xml.to_string()?.replacen(" skipped=\"0\"", "", 1);
    Ok(allowed(&text))
}

/// Without the two characters of Unicode that XML does not have (XML 1.0, 2.2) and the library lets through.
fn allowed(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn suite(entry: &ScriptEntry) -> TestSuite {
    let title = entry.title();
    let mut suite = TestSuite::new(title.as_str());
    let mut cases = Vec::new();
    if let Some(trouble) = &entry.error {
        cases.push(not_rehearsed(trouble));
    }
    if let Some(document) = &entry.report {
        cases.extend(document.baseline.workers.iter().map(|worker| before(document, worker)));
        match &document.reproduction {
            Some(reproduction) => cases.extend(recorded(document, reproduction)),
            None => {
                for run in &document.runs {
                    cases.push(script(document, run));
                    cases.extend(run.workers.iter().map(|worker| after(document, run, worker)));
                }
            }
        }
    }
    for case in &mut cases {
        case.set_classname(title.as_str());
    }
    suite.add_test_cases(cases);
    suite
}

/// Environment trouble is no failure of the script.
fn not_rehearsed(trouble: &Trouble) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let causes = trouble.causes.iter().map(|cause| format!("because: {cause}"));
    let hints = trouble.hints.iter().map(|hint| format!("help: {hint}"));
    let lines: Vec<_> = [trouble.message.clone()].into_iter().chain(causes).chain(hints).collect();
    status.set_type("no_rehearsal").set_message(trouble.message.as_str()).set_description(lines.join("\n"));
    TestCase::new("the rehearsal", status)
}

fn before(document: &Document, worker: &WorkerEntry) -> TestCase {
    let reason = document.reasons.iter().find(|reason| {
        reason.kind == ReasonKind::WorkerFailsAtBaseline && reason.worker.as_ref() == Some(&worker.name)
    });
    let status = match reason {
        None => TestCaseStatus::success(),
        Some(reason) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("worker_fails_at_baseline").set_message(reason.message.as_str());
            status.set_description(told(worker).join("\n"));
            status
        }
    };
    TestCase::new(format!("before run 1: {}", worker.name), status)
}

/// Of an incident that is replayed a case is well when it is as recorded, though an automation breaks in it.
fn recorded(document: &Document, reproduction: &Reproduction) -> Vec<TestCase> {
    let case = |name: String, run: RunNumber, worker: Option<&WorkerName>| {
        let of_case = |one: &&Difference| one.run == run && one.worker.as_ref() == worker;
        let messages: Vec<_> =
            reproduction.differences.iter().filter(of_case).map(|one| one.message.as_str()).collect();
        let status = match messages.first() {
            None => TestCaseStatus::success(),
            Some(first) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type("not_reproduced").set_message(*first).set_description(messages.join("\n"));
                status
            }
        };
        TestCase::new(name, status)
    };
    let mut cases = Vec::new();
    let mut told = BTreeSet::new();
    for run in &document.runs {
        told.insert((run.run, None));
        cases.push(timed(case(title(run), run.run, None), run));
        for worker in &run.workers {
            told.insert((run.run, Some(&worker.name)));
            cases.push(case(format!("run {}: {}", run.run, worker.name), run.run, Some(&worker.name)));
        }
    }
    // Runs that were not made, and workers that there were not.
    for one in &reproduction.differences {
        if told.insert((one.run, one.worker.as_ref())) {
            let who = one.worker.as_ref().map_or("the script", WorkerName::as_str);
            cases.push(case(format!("run {}: {who}", one.run), one.run, one.worker.as_ref()));
        }
    }
    cases
}

fn title(run: &RunEntry) -> String {
    format!("run {}: the script {}", run.run, run.script)
}

fn timed(mut case: TestCase, run: &RunEntry) -> TestCase {
    case.set_time(Duration::try_from_secs_f64(run.result.duration_ms / 1000.0).unwrap_or_default());
    case
}

fn script(document: &Document, run: &RunEntry) -> TestCase {
    let failed = reason(document, run.run, |reason| reason.kind == ReasonKind::ScriptFailed);
    let status = match failed {
        None => TestCaseStatus::success(),
        Some(reason) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("script_failed").set_message(reason.message.as_str());
            let mut lines = run.result.errors.clone();
            if let Some(statement) = failing(run) {
                let at = statement.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                lines.push(format!("statement {}{at}: {}", statement.index, statement.sql));
            }
            status.set_description(lines.join("\n"));
            status
        }
    };
    let mut case = timed(TestCase::new(title(run), status), run);
    if run.result.status != ResultStatus::Succeeded && !run.result.output_tail.is_empty() {
        case.set_system_out(run.result.output_tail.as_str());
    }
    case
}

fn after(document: &Document, run: &RunEntry, worker: &WorkerEntry) -> TestCase {
    let of_worker = |reason: &Reason| reason.worker.as_ref() == Some(&worker.name);
    let reason = reason(document, run.run, of_worker);
    // Of a worker that stays broken only the first run is a reason.
    let (kind, otherwise) = match worker.status {
        Status::Ok => ("ok", None),
        Status::Disrupted => ("disrupted", None),
        Status::Latent => ("latent", Some("works on the session it has, but a new one fails")),
        Status::Broken => ("broken", Some("is broken")),
    };
    let message = reason.map(|reason| reason.message.clone());
    let message = message.or_else(|| Some(format!("{} {} after run {}", worker.name, otherwise?, run.run)));
    let status = match message {
        None => TestCaseStatus::success(),
        Some(message) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(kind).set_message(message).set_description(told(worker).join("\n"));
            status
        }
    };
    TestCase::new(format!("run {}: {}", run.run, worker.name), status)
}

fn reason(document: &Document, run: RunNumber, such: impl Fn(&Reason) -> bool) -> Option<&Reason> {
    document.reasons.iter().find(|reason| reason.run == Some(run) && such(reason))
}

/// What there is to say about a worker that is not well, a line each.
fn told(worker: &WorkerEntry) -> Vec<String> {
    let mut lines: Vec<String> = first_failure(worker).into_iter().collect();
    if let Some(cause) = &worker.cause {
        if let Some(sql) = &cause.sql {
            let at = cause.line.map(|line| format!(", line {line}")).unwrap_or_default();
            lines.push(format!("because of run {}{at}: {sql}", cause.run));
        }
        lines.push(cause.explanation.clone());
    }
    if let Some(repair) = &worker.repair {
        lines.push(format!("repair: {}", repair.sql));
    }
    lines.extend(worker.advice.iter().map(|advice| format!("how the script avoids it: {advice}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_does_not_have_are_replaced() {
        let trouble = Trouble { exit_code: 4, message: String::new(), causes: Vec::new(), hints: Vec::new() };
        let report = Report::new(vec![ScriptEntry::failed("a\u{ffff}\u{1}".to_owned(), None, trouble)]);
        let xml = render(&report).unwrap();
        assert!(xml.contains("name=\"a\u{fffd}"), "{xml}");
        assert!(!xml.contains(['\u{ffff}', '\u{1}']), "{xml}");
    }
}
