//! Hostile candidates: what a script from a pull request might try. Each ends in a bounded time with a verdict that says
//! what happened, and reaches nothing.
//!
//! The table is in `hostile/candidates.rs`, what none of them may reach in `hostile/reach.rs`.

mod candidates;
pub mod reach;

use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::support::{Backend, IMPORTER, Machine, READER, Rehearsal, same};
use crate::trial::trial;
use candidates::{CANDIDATES, Candidate};

/// Candidates that ended as they must, on each backend.
static ENDED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// A trial for each candidate on each backend.
pub fn trials(machine: &Machine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for candidate in CANDIDATES {
        for backend in
            Backend::ALL.into_iter().filter(|backend| candidate.only.is_none_or(|only| only == *backend))
        {
            let test = move || {
                rehearse(candidate, backend)?;
                ENDED[backend as usize].fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            let name = format!("{backend}::hostile::{}", candidate.name);
            trials.push(trial(name, machine.has(backend), test));
        }
    }
    trials
}

/// How many of how many ended as they must.
pub fn counts() -> String {
    let of = |backend: Backend| {
        let all = CANDIDATES.iter().filter(|one| one.only.is_none_or(|only| only == backend)).count();
        format!("{} of {all} in {backend}", ENDED[backend as usize].load(Ordering::Relaxed))
    };
    format!(
        "hostile candidates that ended in a bounded time with the right verdict: {}, {}",
        of(Backend::Local),
        of(Backend::Docker)
    )
}

fn rehearse(candidate: &Candidate, backend: Backend) -> Result<(), Failed> {
    let timeout = candidate.timeout;
    // A worker has little time, so that a server that says nothing is not waited for.
    let workers = format!("{IMPORTER}{READER}").replace("timeout = '10s'", "timeout = '3s'");
    let rehearsal =
        Rehearsal::new(&format!("{}[script]\ntimeout = '{timeout}s'\n{workers}", candidate.clone));
    let name = if candidate.script.starts_with("#!") { "s.sh" } else { "s.sql" };
    rehearsal.file(name, candidate.script);
    let runs = candidate.runs.to_string();
    let mut arguments = vec![name, "--runs", &runs, "--max-runs", &runs, "--format", "json"];
    arguments.extend(["--output", "report.json"]);
    arguments.extend(candidate.options);
    let outcome = rehearsal.check(backend, &arguments);
    let said = format!("{}\n{}", outcome.out, outcome.err);
    same(&format!("exit code\n{said}"), outcome.code, Some(candidate.exit))?;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(rehearsal.path("report.json"))?)?;
    let verdict = if candidate.exit == 0 { "pass" } else { "fail" };
    same("verdict", report["verdict"].as_str(), Some(verdict))?;
    for text in candidate.says {
        if !said.contains(text) {
            return Err(format!("{text:?} is not said:\n{said}").into());
        }
    }
    for (number, wanted) in candidate.ends.iter().enumerate() {
        let status = report["runs"][number]["result"]["status"].as_str();
        same(&format!("run {}\n{said}", number + 1), status, Some(wanted))?;
    }
    Ok(())
}
