//! What two people leave who run the script at the same time: tried in a copy, each a statement behind the other.
//!
//! That one of them gets an error is no harm by itself, since the other does the work: told is what they leave that two
//! runs one after the other do not.

use super::{Hazard, HazardKind};
use crate::observations::{
    AtOnce, Change, Complaint, Edit, Ending, Experiment, Rehearsal, RunObservation, Statement,
};
use crate::verdict::explain::list;

/// SQLSTATE `deadlock_detected` (PostgreSQL manual, appendix A).
const DEADLOCK: &str = "40P01";

/// The replay in which two make the first run at the same time.
pub fn of_at_once(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let wanted = wanted(run);
    let asked = rehearsal.replays.iter().any(|replay| replay.experiment == wanted);
    if asked || run.result.statements.is_empty() { Vec::new() } else { vec![wanted] }
}

fn wanted(run: &RunObservation) -> Experiment {
    Experiment { at_once: true, ..Experiment::of(run.run, Edit::Whole) }
}

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    hazard(rehearsal).into_iter().collect()
}

fn hazard(rehearsal: &Rehearsal) -> Option<Hazard> {
    let run = rehearsal.runs.first()?;
    let wanted = wanted(run);
    let replay = rehearsal.replays.iter().find(|replay| replay.experiment == wanted)?;
    let seen = replay.at_once.as_ref()?;
    let harm = broken(run, &replay.workers)
        .or_else(|| stuck(seen))
        .or_else(|| deadlocked(seen))
        .or_else(|| another_state(rehearsal, seen))?;
    let complaint = seen.failed.iter().find(|one| is_new(rehearsal, one));
    let statement = complaint.and_then(|complaint| sent(run, complaint));
    let said = complaint.map_or_else(String::new, |complaint| {
        let place =
            statement.map_or_else(String::new, |one| format!(" at statement {}{}", one.index, line(one)));
        format!("; one of them fails{place}: {}", complaint.message)
    });
    let one_session = run.result.statements.iter().all(|statement| statement.session == 1);
    let better = if one_session {
        ". SELECT pg_advisory_lock(1) at the script's beginning lets the second wait for the first"
    } else {
        ""
    };
    Some(Hazard {
        kind: HazardKind::AtOnce,
        run: run.run,
        statement: statement.map(|statement| statement.index),
        line: statement.and_then(|statement| statement.line),
        message: format!("two who run the script at the same time {harm}{said}{better}"),
    })
}

fn line(statement: &Statement) -> String {
    statement.line.map(|line| format!(" (line {line})")).unwrap_or_default()
}

/// Workers that work after the run, but not after two at the same time.
fn broken(run: &RunObservation, workers: &[crate::observations::WorkerObservation]) -> Option<String> {
    let spared = |name| run.workers.iter().any(|one| one.name == name && one.works());
    let broken: Vec<_> =
        workers.iter().filter(|worker| !worker.works() && spared(worker.name.clone())).collect();
    let one = broken.first()?;
    let mut probes = one.existing_session.iter().chain([&one.new_session]);
    let failure = probes.find_map(|probe| probe.failure.as_ref())?;
    let names: Vec<&str> = broken.iter().map(|worker| worker.name.as_str()).collect();
    Some(format!("leave {} broken ({})", list(&names), failure.message))
}

fn stuck(seen: &AtOnce) -> Option<String> {
    seen.endings.contains(&Ending::TimedOut).then(|| "do not come to an end".to_owned())
}

fn deadlocked(seen: &AtOnce) -> Option<String> {
    let deadlock = seen.failed.iter().any(|one| one.sqlstate.as_str() == DEADLOCK);
    deadlock.then(|| "wait for each other until the server ends one of them".to_owned())
}

/// Where the first two runs are those of one script, what both leave is known.
fn another_state(rehearsal: &Rehearsal, seen: &AtOnce) -> Option<String> {
    let [first, second, ..] = rehearsal.runs.as_slice() else { return None };
    if first.script != second.script {
        return None;
    }
    let (one, other) = (lasting(rehearsal.course.of_two.as_deref()?), lasting(&seen.changes));
    let told = |change: &&Change| match change.detail.as_str() {
        "" => change.object.clone(),
        detail => format!("{} ({detail})", change.object),
    };
    if let Some(more) = other.iter().find(|change| !holds(&one, change)) {
        return Some(format!("change {} otherwise than two one after the other", told(more)));
    }
    let less = one.iter().find(|change| !holds(&other, change))?;
    Some(format!("do not change {}, as two one after the other do", told(less)))
}

fn holds(changes: &[&Change], wanted: &Change) -> bool {
    let key =
        |change: &Change| (change.kind, change.object.clone(), change.role.clone(), change.detail.clone());
    changes.iter().any(|change| key(change) == key(wanted))
}

/// What stays of the changes, apart from what is only made anew.
fn lasting(changes: &[Change]) -> Vec<&Change> {
    changes
        .iter()
        .filter(|change| {
            !change.kind.is_left() && crate::verdict::changes_state(std::slice::from_ref(*change))
        })
        .collect()
}

/// Whether a failure is not one that a run alone has had, too.
fn is_new(rehearsal: &Rehearsal, complaint: &Complaint) -> bool {
    let mut known = rehearsal.runs.iter().flat_map(|run| &run.result.statements);
    !known.any(|one| one.sqlstate.as_ref() == Some(&complaint.sqlstate) && text(one) == complaint.sql)
}

/// The statement of a run that was sent with the same text.
fn sent<'a>(run: &'a RunObservation, complaint: &Complaint) -> Option<&'a Statement> {
    run.result.statements.iter().find(|statement| text(statement) == complaint.sql)
}

fn text(statement: &Statement) -> &str {
    statement.sent.as_deref().unwrap_or(&statement.sql)
}
