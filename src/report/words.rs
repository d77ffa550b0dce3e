//! Words that several renderings have in common.

use super::document::{Document, ResultEntry, ResultStatus};
use super::reproduction::Reproduction;
use crate::identifiers::RunNumber;
use crate::verdict::{Outcome, ReasonKind, Status};

/// `1 run`, `3 runs`.
pub(crate) fn counted<N: Copy + PartialEq + From<u8> + std::fmt::Display>(count: N, one: &str) -> String {
    if count == N::from(1) { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Times are said to the millisecond below a second, to a tenth of a second above.
pub(super) fn milliseconds(time: f64) -> String {
    if time < 1000.0 { format!("{time:.0} ms") } else { format!("{:.1} s", time / 1000.0) }
}

/// How a script ended.
pub(super) fn ended(result: &ResultEntry) -> String {
    let took = milliseconds(result.duration_ms);
    match (result.status, result.exit_code, result.signal) {
        (ResultStatus::Succeeded, ..) => format!("ended well in {took}"),
        (ResultStatus::TimedOut, ..) => format!("was killed at its timeout, after {took}"),
        (ResultStatus::Failed, _, Some(signal)) => format!("was killed by signal {signal}"),
        (ResultStatus::Failed, Some(0) | None, _) => {
            format!("ran to its end in {took}, with {}", counted(result.errors.len(), "error"))
        }
        (ResultStatus::Failed, Some(code), _) => format!("exited with status {code} after {took}"),
    }
}

/// Whether a recorded incident happened again, behind the word for it.
pub(super) fn again(reproduction: &Reproduction) -> String {
    let recorded = reproduction.recorded_on.as_ref().map(|server| format!(" (recorded on {server})"));
    let recorded = recorded.unwrap_or_default();
    let incident = &reproduction.incident;
    match reproduction.differences.len() {
        0 => format!("what {incident} records happened again, and nothing else{recorded}"),
        1 => format!("{incident}{recorded}: in one way it was not as recorded"),
        ways => format!("{incident}{recorded}: in {ways} ways it was not as recorded"),
    }
}

/// How many automations were at work after the last run, or at least before the first.
pub(super) fn automations(document: &Document) -> usize {
    let after = document.runs.iter().map(|run| run.workers.len()).max();
    document.baseline.workers.len().max(after.unwrap_or_default())
}

/// What a check came to, behind its verdict.
pub(super) fn closing(document: &Document) -> String {
    match document.verdict {
        Outcome::Pass => {
            let all = automations(document);
            let works = if all == 1 {
                "the automation works".to_owned()
            } else {
                format!("all {all} automations work")
            };
            let disrupted = document
                .runs
                .iter()
                .flat_map(|run| &run.workers)
                .any(|worker| worker.status == Status::Disrupted);
            let but = if disrupted { "; some were disrupted within what they allow" } else { "" };
            format!("after {}, {works}{but}", counted(document.runs.len(), "run"))
        }
        Outcome::Fail => {
            let mut causes = Vec::new();
            // Each worker is named once, with the run that harmed it first.
            let mut harmed: Vec<(RunNumber, &str, Vec<&str>)> = Vec::new();
            for reason in document.reasons.iter().filter(|reason| reason.kind != ReasonKind::ScriptFailed) {
                let (Some(run), Some(worker)) = (reason.run, &reason.worker) else { continue };
                let verb = if reason.kind == ReasonKind::WorkerDisrupted { "disrupted" } else { "broke" };
                if harmed.iter().any(|(_, _, names)| names.contains(&worker.as_str())) {
                    continue;
                }
                match harmed.iter_mut().find(|(other, did, _)| (*other, *did) == (run, verb)) {
                    Some((_, _, names)) => names.push(worker.as_str()),
                    None => harmed.push((run, verb, vec![worker.as_str()])),
                }
            }
            causes
                .extend(harmed.iter().map(|(run, verb, names)| format!("run {run} {verb} {}", list(names))));
            let failed: Vec<_> = document
                .reasons
                .iter()
                .filter(|reason| reason.kind == ReasonKind::ScriptFailed)
                .filter_map(|reason| reason.run)
                .map(|run| run.to_string())
                .collect();
            let failed: Vec<_> = failed.iter().map(String::as_str).collect();
            if !failed.is_empty() {
                let runs = if failed.len() == 1 { "run" } else { "runs" };
                causes.push(format!("the script failed in {runs} {}", list(&failed)));
            }
            causes.join("; ")
        }
        Outcome::Inconclusive => "nothing was run: mend the workers or the clone first, so that a failure can be blamed on the script".to_owned(),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
