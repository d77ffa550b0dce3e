//! Which statement broke a worker, as far as replays have shown, and which replays would tell more.

use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, LockWait, Rehearsal, RunObservation, WorkerObservation};

use super::search::{Proof, Search, search, suspects, undone};

/// What broke a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The run that broke it first.
    pub run: RunNumber,
    /// The statement of that run and what proves it; none where no statement can be named.
    pub statement: Option<(u32, Proof)>,
}

/// The replays that would tell more of who broke these workers in these runs. None: all is known that can be.
pub(super) fn questions(rehearsal: &Rehearsal, broken: &[(WorkerName, RunNumber)]) -> Vec<Experiment> {
    let mut questions: Vec<Experiment> = Vec::new();
    for (worker, run) in broken {
        let Search::Ask(edits) = searched(rehearsal, worker, *run) else { continue };
        for edit in edits {
            let experiment = Experiment::of(*run, edit);
            if !questions.contains(&experiment) {
                questions.push(experiment);
            }
        }
    }
    questions
}

/// What broke a worker in a run.
pub(super) fn cause(rehearsal: &Rehearsal, worker: &WorkerName, run: RunNumber) -> Cause {
    let statement = match searched(rehearsal, worker, run) {
        Search::Found { statement, proof } => Some((statement, proof)),
        Search::Ask(_) | Search::NotFound => None,
    };
    Cause { run, statement }
}

fn searched(rehearsal: &Rehearsal, worker: &WorkerName, run: RunNumber) -> Search {
    let Some(seen) = rehearsal.runs.iter().find(|seen| seen.run == run) else {
        return Search::NotFound;
    };
    let works = |edit: &Edit| {
        let replays = rehearsal.replays.iter();
        let mut same =
            replays.filter(|replay| replay.experiment.run == run && replay.experiment.edit == *edit);
        let replay = same.next()?;
        replay.workers.iter().find(|one| one.name == *worker).map(super::WorkerObservation::works)
    };
    if may_be_of_another(seen, worker) {
        match works(&Edit::Whole) {
            None => return Search::Ask(vec![Edit::Whole]),
            Some(true) => return Search::NotFound,
            Some(false) => {}
        }
    }
    let statements = &seen.result.statements;
    search(&suspects(statements), &undone(statements), works)
}

/// Whether a run was the end of the server, or a worker lost its connection: something else than the script may have
/// brought that about, and only what happens again is the script's doing.
fn may_be_of_another(run: &RunObservation, worker: &WorkerName) -> bool {
    let mut of_worker = run.workers.iter().filter(|one| one.name == *worker);
    run.server_gone.is_some() || of_worker.any(WorkerObservation::lost_connection)
}

/// Milliseconds for which a worker may have waited for statements of a run's script between these times: what was seen,
/// and the time to the looks before and after, in which it was not.
pub(super) fn held_up_ms(run: &RunObservation, worker: &WorkerName, from_ms: f64, until_ms: f64) -> f64 {
    let mut waits: Vec<(f64, f64)> = run
        .waits
        .iter()
        .filter(|wait| wait.application == worker.as_str())
        .filter(|wait| blocking_statement(run, wait, &mut Vec::new()).is_some())
        .map(|wait| {
            (wait.may_since_ms.max(from_ms), wait.may_until_ms.map_or(until_ms, |end| end.min(until_ms)))
        })
        .collect();
    waits.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    // They may overlap.
    let mut counted = from_ms;
    let mut all = 0.0;
    for (since, until) in waits {
        all += (until - since.max(counted)).max(0.0);
        counted = counted.max(until);
    }
    all
}

/// What a worker waited for while a run's script was at work, if it waited for one of its statements: the longest
/// wait tells.
pub(super) fn held_up(run: &RunObservation, worker: &WorkerName) -> Cause {
    let own = run.waits.iter().filter(|wait| wait.application == worker.as_str());
    let longest = own
        .filter_map(|wait| {
            Some((wait.until_ms - wait.from_ms, blocking_statement(run, wait, &mut Vec::new())?))
        })
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    Cause { run: run.run, statement: longest.map(|(_, statement)| (statement, Proof::WaitedForIt)) }
}

/// The statement of the script that a session waits for, itself or behind others that wait for it.
fn blocking_statement(run: &RunObservation, wait: &LockWait, passed: &mut Vec<i32>) -> Option<u32> {
    passed.push(wait.backend);
    let of_script = wait.blockers.iter().find_map(|blocker| {
        let sent = run.result.statements.iter().filter(|one| one.backend == *blocker);
        sent.take_while(|one| one.began_ms <= wait.until_ms).last().map(|one| one.index)
    });
    if of_script.is_some() {
        return of_script;
    }
    run.waits
        .iter()
        .filter(|other| wait.blockers.contains(&other.backend) && !passed.contains(&other.backend))
        .filter(|other| other.from_ms <= wait.until_ms && wait.from_ms <= other.until_ms)
        .collect::<Vec<_>>()
        .into_iter()
        .find_map(|other| blocking_statement(run, other, passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_the_script_meanwhile_is_held_up() {
        let json = serde_json::json!({
            "run": 1, "script": "s.sql", "role": "postgres", "may_fail": false,
            "result": {
                "ending": { "exited": 0 }, "duration_ms": 900.0, "output_tail": "", "output_truncated": false,
                "errors": [],
                "statements": [{
                    "index": 1, "session": 1, "backend": 7, "role": "postgres", "line": 1, "file": null,
                    "sql": "LOCK TABLE orders", "sent": null, "began_ms": 100.0, "duration_ms": 1.0, "tag": "LOCK TABLE",
                    "rows": null, "sqlstate": null, "message": null, "in_transaction": true,
                }],
            },
            "waits": [
                { "backend": 8, "application": "w", "blockers": [7], "from_ms": 200.0, "until_ms": 400.0,
                  "may_since_ms": 195.0, "may_until_ms": 405.0 },
                { "backend": 8, "application": "w", "blockers": [7, 6], "from_ms": 405.0, "until_ms": 800.0,
                  "may_since_ms": 400.0, "may_until_ms": null },
                { "backend": 9, "application": "other", "blockers": [99], "from_ms": 200.0, "until_ms": 800.0,
                  "may_since_ms": 195.0, "may_until_ms": null },
            ],
            "workers": [], "server_gone": null,
        });
        let run: RunObservation = serde_json::from_value(json).unwrap();
        let held_up = |who: &str, from: f64, until: f64, wanted: f64| {
            let seen = held_up_ms(&run, &WorkerName::new(who), from, until);
            assert!((seen - wanted).abs() < 1e-9, "{who} {from} {until}: {seen}");
        };
        held_up("w", 0.0, 100.0, 0.0);
        held_up("w", 0.0, 300.0, 105.0);
        // Nobody looked after the last.
        held_up("w", 150.0, 850.0, 655.0);
        // It waits for somebody else.
        held_up("other", 150.0, 850.0, 0.0);
    }
}
