//! What the runs did not hit and might have: tried in copies, never guessed.
//!
//! Pure: it says what to try, and what the trials have shown.

use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Edit, Experiment, Rehearsal, RunObservation, Statement, WorkerObservation};

use super::search::suspects;

/// Points at which a script is cut off, of one rehearsal.
const POINTS: usize = 30;
/// SQLSTATEs of what is there already: schemas, relations, functions, columns, and any other object (PostgreSQL
/// manual, appendix A, class 42).
const THERE_ALREADY: [&str; 5] = ["42P06", "42P07", "42723", "42701", "42710"];

/// Something that nearly went wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hazard {
    /// In which way.
    pub kind: HazardKind,
    /// The run that it is about.
    pub run: RunNumber,
    /// The statement.
    pub statement: Option<u32>,
    /// Its line in the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In a sentence.
    pub message: String,
}

/// The kinds of hazards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HazardKind {
    /// A script that is cut off there leaves a worker broken.
    CrashPoint,
    /// A statement that succeeds once fails the next time, since what it makes is there.
    NotRepeatable,
}

/// The replays that show what becomes of workers when the first run is cut off.
pub fn of_crash_points(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let asked = |experiment: &Experiment| rehearsal.replays.iter().any(|one| one.experiment == *experiment);
    crash_points(run)
        .into_iter()
        .map(|last| experiment(run.run, last))
        .filter(|experiment| !asked(experiment))
        .take(super::AT_ONCE)
        .collect()
}

fn experiment(run: RunNumber, last: u32) -> Experiment {
    Experiment { run, edit: Edit::CutAfter(last), rerun: true, repairs: Vec::new() }
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

/// What is known of hazards.
pub fn hazards(rehearsal: &Rehearsal) -> Vec<Hazard> {
    let mut hazards = Vec::new();
    if let Some(run) = rehearsal.runs.first() {
        for last in crash_points(run) {
            hazards.extend(crash_point(rehearsal, run, last));
        }
    }
    hazards.extend(rehearsal.runs.iter().flat_map(|run| not_repeatable(rehearsal, run)));
    hazards
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

/// Statements that fail since what they make is there from the run before.
fn not_repeatable(rehearsal: &Rehearsal, run: &RunObservation) -> Vec<Hazard> {
    let before = rehearsal.runs.iter().filter(|before| before.run < run.run);
    let succeeded = |statement: &Statement| {
        before
            .clone()
            .flat_map(|before| &before.result.statements)
            .any(|other| other.sql == statement.sql && other.sqlstate.is_none())
    };
    let is_there = |statement: &&Statement| {
        statement.sqlstate.as_ref().is_some_and(|code| THERE_ALREADY.contains(&code.as_str()))
    };
    let first = |statement: &&Statement| {
        // Of every run that fails alike, the first is told.
        !before
            .clone()
            .flat_map(|before| &before.result.statements)
            .any(|other| other.sql == statement.sql && is_there(&other))
    };
    run.result
        .statements
        .iter()
        .filter(is_there)
        .filter(|statement| succeeded(statement))
        .filter(first)
        .map(|statement| Hazard {
            kind: HazardKind::NotRepeatable,
            run: run.run,
            statement: Some(statement.index),
            line: statement.line,
            message: format!(
                "the statement succeeded before and fails in run {}: {}; IF NOT EXISTS, OR REPLACE or a DROP … IF EXISTS \
                 before it lets it run again",
                run.run,
                statement.message.as_deref().unwrap_or_default()
            ),
        })
        .collect()
}
