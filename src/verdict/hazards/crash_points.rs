//! What a script leaves that is cut off in the middle: every point of the first run is tried in a copy.

use super::{Hazard, HazardKind};
use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, RunObservation, WorkerObservation};
use crate::verdict::AT_ONCE;
use crate::verdict::search::suspects;

/// Points at which a script is cut off, of one rehearsal.
const POINTS: usize = 30;

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    crash_points(run).into_iter().filter_map(|last| crash_point(rehearsal, run, last)).collect()
}

/// The replays that show what becomes of workers when the first run is cut off.
pub fn of_crash_points(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let asked = |experiment: &Experiment| rehearsal.replays.iter().any(|one| one.experiment == *experiment);
    crash_points(run)
        .into_iter()
        .map(|last| experiment(run.run, last))
        .filter(|experiment| !asked(experiment))
        .take(AT_ONCE)
        .collect()
}

fn experiment(run: RunNumber, last: u32) -> Experiment {
    Experiment { rerun: true, ..Experiment::of(run, Edit::CutAfter(last)) }
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

fn crash_point(rehearsal: &Rehearsal, run: &RunObservation, last: u32) -> Option<Hazard> {
    let wanted = experiment(run.run, last);
    let replay = rehearsal.replays.iter().find(|replay| replay.experiment == wanted)?;
    // Whom the whole run breaks is told of already.
    let spared =
        |worker: &&WorkerObservation| run.workers.iter().any(|one| one.name == worker.name && one.works());
    let broken: Vec<&WorkerObservation> =
        replay.workers.iter().filter(|worker| !worker.works()).filter(spared).collect();
    let first = broken.first()?;
    let names: Vec<&str> = broken.iter().map(|worker| worker.name.as_str()).collect();
    let said = first
        .existing_session
        .iter()
        .chain([&first.new_session])
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
    let statement = run.result.statements.iter().find(|one| one.index == last);
    let line = statement.and_then(|statement| statement.line);
    let place = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    Some(Hazard {
        kind: HazardKind::CrashPoint,
        run: run.run,
        statement: Some(last),
        line,
        message: format!(
            "cut off after statement {last}{place}, the script leaves {} broken ({said}); {outlook}",
            names.join(", ")
        ),
    })
}
