//! Says in a few sentences what broke a worker: what the statement did, how the worker depended on it, what proves
//! it, and why it shows only now.

use crate::identifiers::{RoleName, RunNumber};
use crate::observations::{
    Ending, Failure, FailureKind, Rehearsal, RunObservation, Statement, WorkerFacts, WorkerObservation,
};
use crate::state::{Change, ChangeKind};

use super::Status;
use super::cause::Cause;
use super::repair::names;
use super::search::Proof;

/// Changes that are told; of more it is said how many.
const TOLD: usize = 2;

/// The explanation of a cause.
pub(super) fn explain(
    rehearsal: &Rehearsal,
    seen: &WorkerObservation,
    status: Status,
    cause: &Cause,
) -> String {
    let Some(run) = rehearsal.runs.iter().find(|run| run.run == cause.run) else {
        return String::new();
    };
    // What broke it is told of the run that did, also where it is still broken later.
    let seen = run.workers.iter().find(|one| one.name == seen.name).unwrap_or(seen);
    let facts = rehearsal.workers.iter().find(|facts| facts.name == seen.name);
    let number = cause.statement.map(|(statement, _)| statement);
    let statement = run.result.statements.iter().find(|statement| Some(statement.index) == number);
    let mut sentences = Vec::new();
    match (statement, cause.statement) {
        (Some(statement), Some((_, proof))) => {
            if proof == Proof::WaitedForIt {
                sentences.push(waited(run, seen));
            } else {
                sentences.push(effect(run, statement, facts, seen));
            }
            sentences.extend(proved(proof));
            sentences.extend(why_now(rehearsal, run.run, statement));
        }
        _ => sentences.push(not_found(run, status)),
    }
    sentences.extend(sessions(run, number, seen, status));
    sentences.join(" ")
}

/// What the statement changed, as far as the worker can have noticed.
fn effect(
    run: &RunObservation,
    statement: &Statement,
    facts: Option<&WorkerFacts>,
    seen: &WorkerObservation,
) -> String {
    let by_it: Vec<&Change> =
        run.changes.iter().filter(|change| change.statement == Some(statement.index)).collect();
    let role = facts.map(|facts| &facts.role);
    let failure = failure(seen);
    let said = failure.map(|failure| failure.message.as_str()).unwrap_or_default();
    let steps = facts.map(|facts| facts.steps.join("\n")).unwrap_or_default();
    let weight = |change: &Change| {
        let own = change.role.as_ref().is_some_and(|one| Some(one) == role);
        let named = names(said, &change.object);
        let used = names(&steps, &change.object);
        let lost = change.kind == ChangeKind::AccessLost;
        // A gain of others explains nothing while something else does.
        let gained = matches!(change.kind, ChangeKind::AccessGained | ChangeKind::PrivilegeGained);
        8 * u8::from(own && lost && (named || used))
            + 4 * u8::from(named && !lost)
            + 2 * u8::from(own)
            + u8::from(used && !lost)
            - u8::from(gained).min(1) * u8::from(named || used || own)
    };
    let mut weighed: Vec<(u8, &Change)> = by_it.iter().map(|change| (weight(change), *change)).collect();
    weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let best = weighed.first().map(|(weight, _)| *weight).unwrap_or_default();
    let told: Vec<&Change> = if best > 0 {
        weighed.iter().filter(|(weight, _)| *weight * 2 > best).map(|(_, change)| *change).collect()
    } else {
        weighed.iter().map(|(_, change)| *change).collect()
    };
    if told.is_empty() {
        return without_changes(statement);
    }
    let more = told.len().saturating_sub(TOLD);
    let mut sentence = told.iter().take(TOLD).map(|change| in_words(change)).collect::<Vec<_>>().join("; ");
    if more > 0 {
        sentence.push_str(&format!("; and {more} more changes of that kind"));
    }
    format!("{}.", capitalised(&sentence))
}

/// A statement that changed nothing but rows, or what sessions hold.
fn without_changes(statement: &Statement) -> String {
    let tag = statement.tag.as_deref().unwrap_or_default();
    let word = tag.split(' ').next().unwrap_or_default();
    match (word, statement.rows) {
        ("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY", Some(rows)) => {
            let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
            format!("It changed no privilege and no definition, but {rows} that the worker depends on.")
        }
        ("TRUNCATE", _) => "It emptied tables that the worker depends on.".to_owned(),
        ("SELECT", _) if statement.duration_ms.is_none() => {
            "It was still running when the worker was judged, so that its session stays open.".to_owned()
        }
        _ => "It changed no privilege and no definition that thirdrun reads.".to_owned(),
    }
}

/// A change, told of what it is about.
fn in_words(change: &Change) -> String {
    let Change { kind, object, role, detail, .. } = change;
    let who = role.as_ref().map_or("PUBLIC", RoleName::as_str);
    match kind {
        ChangeKind::AccessLost => format!("{who} lost {} on {object}", before_path(detail)),
        ChangeKind::AccessGained => format!("{who} gained {} on {object}", before_path(detail)),
        ChangeKind::PrivilegeLost => format!("it takes {detail} on {object} from {who}"),
        ChangeKind::PrivilegeGained => format!("it gives {detail} on {object} to {who}"),
        ChangeKind::ObjectCreated => format!("it makes {object}"),
        ChangeKind::ObjectDropped => format!("it drops {object}"),
        ChangeKind::ObjectRecreated => format!("it makes {object} anew, which is another one than before"),
        ChangeKind::RoleRecreated => {
            format!("it makes {object} anew: a session of the old one has none of its rights")
        }
        kind => {
            let kind = serde_json::to_value(kind).ok();
            let words = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().replace('_', " ");
            let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            format!("{words}: {object}{detail}")
        }
    }
}

/// `INSERT (it had it as a member of g)` is told with a comma.
fn before_path(detail: &str) -> String {
    detail.to_owned()
}

fn proved(proof: Proof) -> Option<String> {
    match proof {
        Proof::WithoutIt => Some("Replayed without this statement, the worker works.".to_owned()),
        Proof::UpToIt => Some(
            "Replayed up to the statement before, the worker works; other statements of the run break it too."
                .to_owned(),
        ),
        Proof::WaitedForIt => None,
    }
}

fn waited(run: &RunObservation, seen: &WorkerObservation) -> String {
    let own = run.waits.iter().filter(|wait| wait.application == seen.name.as_str());
    let longest = own.map(|wait| wait.until_ms - wait.from_ms).fold(0.0, f64::max);
    format!(
        "{} waited {longest:.0} ms for a lock that this statement held, or was itself waiting for at the head of the queue.",
        seen.name
    )
}

/// Why the runs before did not break it.
fn why_now(rehearsal: &Rehearsal, run: RunNumber, statement: &Statement) -> Option<String> {
    let before = rehearsal.runs.iter().rfind(|before| before.run < run)?;
    let mut same = before.result.statements.iter().filter(|other| other.sql == statement.sql);
    let number = before.run;
    Some(match same.next() {
        None if before.script == rehearsal.runs.iter().find(|one| one.run == run)?.script => {
            format!("Run {number} did not come to this statement.")
        }
        None => format!("Run {number} did not have this statement."),
        Some(other) if other.sqlstate.is_some() => {
            let said = other.message.as_deref().unwrap_or_default();
            format!("In run {number} the same statement failed ({said}) and changed nothing.")
        }
        Some(_) if before.result.ending == Ending::TimedOut => {
            format!("Run {number} was cut off at its timeout.")
        }
        Some(_) => format!(
            "In run {number} the same statement did no harm: what it does depends on what earlier runs left."
        ),
    })
}

fn not_found(run: &RunObservation, status: Status) -> String {
    match status {
        Status::Disrupted => {
            "No statement can be named: the worker waited for no lock that the script held.".to_owned()
        }
        Status::Ok | Status::Latent | Status::Broken => {
            let script = &run.script;
            if run.result.statements.is_empty() {
                format!("Which statement did it was not found: none of {script} was seen.")
            } else {
                format!("Which statement of {script} did it was not found.")
            }
        }
    }
}

/// What tells the two sessions apart.
fn sessions(
    run: &RunObservation,
    statement: Option<u32>,
    seen: &WorkerObservation,
    status: Status,
) -> Option<String> {
    let changed = |wanted: &[ChangeKind]| {
        run.changes.iter().any(|change| change.statement == statement && wanted.contains(&change.kind))
    };
    match status {
        Status::Latent => {
            let checked = if changed(&[ChangeKind::RoleSettingChanged, ChangeKind::SettingChanged]) {
                "settings of a role or a database are read when a session begins"
            } else if changed(&[ChangeKind::PasswordChanged, ChangeKind::RoleAttributeChanged]) {
                "what a role needs to log in is checked only when it does"
            } else if matches!(failure(seen), Some(failure) if failure.kind == FailureKind::Connect) {
                "whether somebody may connect is asked only when a session begins"
            } else {
                "a session that is open keeps what it has"
            };
            Some(format!("The session that is open has not noticed: {checked}."))
        }
        Status::Broken if seen.new_session.ok() && seen.existing_session.is_some() => {
            Some("Only the session that was open before is broken; a new one works.".to_owned())
        }
        Status::Ok | Status::Disrupted | Status::Broken => None,
    }
}

fn failure(seen: &WorkerObservation) -> Option<&Failure> {
    seen.existing_session.iter().chain([&seen.new_session]).find_map(|probe| probe.failure.as_ref())
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    // Names stay as they are written.
    let word = sentence.split(' ').next().unwrap_or_default();
    if word == "it" { first + chars.as_str() } else { sentence.to_owned() }
}
