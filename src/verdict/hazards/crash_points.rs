//! What a script leaves that is cut off in the middle: every point of the first run is tried in a copy.

use super::{Hazard, HazardKind};
use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, RunObservation, WorkerObservation};
use crate::verdict::AT_ONCE;
use crate::verdict::explain::list;
use crate::verdict::search::suspects;

/// Points at which workers are tried, of one rehearsal.
const POINTS: usize = 200;

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    groups(rehearsal, run).iter().filter_map(|group| crash_point(rehearsal, run, group)).collect()
}

/// The replays that show what becomes of workers when the first run is cut off: one that is stopped at every point,
/// then one that is really cut off at the first of those that leave the same workers broken.
pub fn of_crash_points(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let stops = crash_points(run);
    if stops.is_empty() {
        return Vec::new();
    }
    let asked = |experiment: &Experiment| rehearsal.replays.iter().any(|one| one.experiment == *experiment);
    let stopped = stopped(run.run, stops);
    if !asked(&stopped) {
        return vec![stopped];
    }
    groups(rehearsal, run)
        .iter()
        .filter_map(|group| Some(cut(run.run, *group.first()?)))
        .filter(|experiment| !asked(experiment))
        .take(AT_ONCE)
        .collect()
}

fn stopped(run: RunNumber, stops: Vec<u32>) -> Experiment {
    Experiment { stops, ..Experiment::of(run, Edit::Whole) }
}

fn cut(run: RunNumber, last: u32) -> Experiment {
    Experiment { rerun: true, ..Experiment::of(run, Edit::CutAfter(last)) }
}

/// Points that leave the same workers broken, one after the other, each group in order. Whom the whole run breaks is
/// told of already.
fn groups(rehearsal: &Rehearsal, run: &RunObservation) -> Vec<Vec<u32>> {
    let wanted = stopped(run.run, crash_points(run));
    let Some(replay) = rehearsal.replays.iter().find(|replay| replay.experiment == wanted) else {
        return Vec::new();
    };
    let mut groups: Vec<(Vec<&WorkerName>, Vec<u32>)> = Vec::new();
    for stop in &replay.stopped {
        let broken = broken(run, &stop.workers);
        let names: Vec<&WorkerName> = broken.iter().map(|worker| &worker.name).collect();
        match groups.last_mut().filter(|(known, _)| *known == names) {
            Some((_, points)) => points.push(stop.after),
            None => groups.push((names, vec![stop.after])),
        }
    }
    groups.into_iter().filter(|(names, _)| !names.is_empty()).map(|(_, points)| points).collect()
}

fn broken<'a>(run: &RunObservation, workers: &'a [WorkerObservation]) -> Vec<&'a WorkerObservation> {
    let spared =
        |worker: &&WorkerObservation| run.workers.iter().any(|one| one.name == worker.name && one.works());
    workers.iter().filter(|worker| !worker.works()).filter(spared).collect()
}

/// The statements after which a run that is cut off has done something for good, but not everything. In the middle of
/// a transaction it has done what it had done before that.
fn crash_points(run: &RunObservation) -> Vec<u32> {
    let statements = &run.result.statements;
    let suspects = suspects(statements);
    let Some(last) = suspects.last() else { return Vec::new() };
    let mut done = false;
    let mut points = Vec::new();
    for statement in statements {
        done |= suspects.contains(&statement.index);
        let more = statement.index < *last;
        if done && more && !statement.in_transaction && statement.sqlstate.is_none() {
            points.push(statement.index);
            done = false;
        }
    }
    points.truncate(POINTS);
    points
}

/// Whether all of a script can be one transaction: what is forbidden in one says so by its words (PostgreSQL manual, at
/// each of these commands).
fn fits_in_one(run: &RunObservation) -> bool {
    const APART: [&str; 6] =
        ["CONCURRENTLY", "VACUUM", "ALTER SYSTEM", "CREATE DATABASE", "DROP DATABASE", "TABLESPACE"];
    let own = |sql: &str| APART.iter().any(|words| sql.to_uppercase().contains(words));
    let one_session = run.result.statements.iter().all(|statement| statement.session == 1);
    one_session && !run.result.statements.iter().any(|statement| own(&statement.sql))
}

fn crash_point(rehearsal: &Rehearsal, run: &RunObservation, group: &[u32]) -> Option<Hazard> {
    let (first, last) = (*group.first()?, *group.last()?);
    let wanted = cut(run.run, first);
    let replay = rehearsal.replays.iter().find(|replay| replay.experiment == wanted)?;
    let broken = broken(run, &replay.workers);
    let names: Vec<&str> = broken.iter().map(|worker| worker.name.as_str()).collect();
    let one = broken.first()?;
    let said = one
        .existing_session
        .iter()
        .chain([&one.new_session])
        .find_map(|probe| probe.failure.as_ref())
        .map(|failure| failure.message.as_str())
        .unwrap_or_default();
    let mended = |name: &WorkerName| {
        let rerun = replay.rerun.iter().flatten();
        rerun.into_iter().any(|worker| worker.name == *name && worker.works())
    };
    let outlook = if broken.iter().all(|worker| mended(&worker.name)) {
        "a whole rerun mends it"
    } else {
        "a whole rerun does not mend it"
    };
    let line =
        |index: u32| run.result.statements.iter().find(|one| one.index == index).and_then(|one| one.line);
    let place = |index: u32| line(index).map(|line| format!(" (line {line})")).unwrap_or_default();
    let after = if first == last {
        format!("statement {first}{}", place(first))
    } else {
        format!("statement {first}{} or any up to {last}{}", place(first), place(last))
    };
    let names = list(&names);
    Some(Hazard {
        kind: HazardKind::CrashPoint,
        run: run.run,
        statement: Some(first),
        line: line(first),
        message: format!(
            "cut off after {after}, as when its client is lost, the script leaves {names} broken ({said}); {outlook}{}",
            if fits_in_one(run) {
                "; in one transaction (BEGIN, COMMIT) it would do all or nothing"
            } else {
                ""
            }
        ),
    })
}
