//! Says in a few sentences what broke a worker: what the statement did, how the worker depended on it, what proves
//! it, and why it shows only now.

mod lacks;
mod rows;
mod words;

pub(super) use words::list;

use crate::identifiers::{RoleName, RunNumber};
use crate::observations::{
    Change, ChangeKind, Ending, Failure, FailureKind, Rehearsal, RowsChanged, RunObservation, Statement,
    WorkerFacts, WorkerObservation,
};

use super::Status;
use super::advice;
use super::cause::Cause;
use super::repair::names;
use super::rows::changed;
use super::search::{Proof, seen_after, undone};
use super::waiting;

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
                sentences.push(waiting::told(run, &seen.name, statement));
            } else {
                let rows = changed(rehearsal, cause);
                sentences.push(effect(rehearsal, run, statement, facts, seen, rows));
            }
            sentences.extend(proved(proof));
            if proof != Proof::WaitedForIt || !waited_before(rehearsal, run.run, seen) {
                sentences.extend(why_now(rehearsal, run.run, statement));
            }
        }
        _ => sentences.push(not_found(run, status)),
    }
    sentences.extend(sessions(run, number, seen, status));
    sentences.join(" ")
}

/// What the statement changed, as far as the worker can have noticed.
fn effect(
    rehearsal: &Rehearsal,
    run: &RunObservation,
    statement: &Statement,
    facts: Option<&WorkerFacts>,
    seen: &WorkerObservation,
    rows: &[RowsChanged],
) -> String {
    let after = seen_after(&run.result.statements, statement.index);
    let by_it = |change: &&Change| change.statement == Some(after);
    let anew: Vec<&Change> = run.changes.iter().filter(by_it).filter(is_anew).collect();
    let part_of_it = |change: &&Change| {
        anew.iter()
            .any(|anew| anew.object == change.object || (anew.role.is_some() && anew.role == change.role))
    };
    let mut all: Vec<&Change> = anew.clone();
    all.extend(run.traced.iter().filter(by_it).filter(is_deed).filter(|change| !part_of_it(change)));
    if all.is_empty() {
        // What a trace did not see, as what was done in the background.
        all = run.changes.iter().filter(by_it).filter(is_deed).collect();
    }
    let said = failure(seen).map(|failure| failure.message.as_str()).unwrap_or_default();
    let steps = facts.map(|facts| facts.steps.join("\n")).unwrap_or_default();
    let role = facts.map(|facts| &facts.role);
    let denied: Vec<&str> =
        run.denied.iter().filter(|one| one.worker == seen.name).map(|one| one.object.as_str()).collect();
    let weight = |change: &Change| {
        let own = change.role.is_some() && change.role.as_ref() == role;
        let gain = matches!(change.kind, ChangeKind::PrivilegeGained | ChangeKind::ObjectCreated);
        let weight = 4 * u8::from(names(said, &change.object))
            + 2 * u8::from(names(&steps, &change.object))
            + 2 * u8::from(own);
        // What somebody gets mostly explains nothing while something else does.
        if gain { weight / 2 } else { weight }
    };
    let best = all.iter().map(|change| weight(change)).max().unwrap_or_default();
    let relevant: Vec<&Change> = all.into_iter().filter(|change| weight(change) * 2 >= best).collect();
    let mut told = words::told(&relevant);
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    let mut sentences: Vec<String> = told.iter().map(|one| words::sentence(one)).collect();
    if let Some(undone) = was_undone(run, statement) {
        sentences.insert(0, undone.to_owned());
    } else if sentences.is_empty() {
        let told = rows::told(rows, statement, &steps);
        let told = told.or_else(|| ended(seen));
        sentences.push(told.unwrap_or_else(|| without_changes(run, statement)));
    }
    if relevant.iter().any(|change| held_rows(change)) {
        sentences.push("What was in it comes back from a backup only.".to_owned());
    }
    if more > 0 {
        let what = if more == 1 { "one more change".to_owned() } else { format!("{more} more changes") };
        sentences.push(format!("It makes {what} of that kind."));
    }
    if let Some(role) = role {
        let lost = lacks::lacks(run, role, said, &steps, &denied, statement.index);
        let anew = !seen.new_session.ok();
        sentences
            .extend(lost.or_else(|| lacks::never_had(rehearsal, run.run, role, &denied).filter(|_| anew)));
        if !denied.is_empty() {
            sentences.extend(defaults(rehearsal, run, statement, role));
        }
    }
    sentences.extend(held(run, &relevant));
    sentences.extend(unseen(&relevant, seen));
    sentences.join(" ")
}

/// Default privileges that a run set for the worker's role do not reach what another role makes (PostgreSQL manual, ALTER
/// DEFAULT PRIVILEGES).
fn defaults(
    rehearsal: &Rehearsal,
    run: &RunObservation,
    statement: &Statement,
    role: &RoleName,
) -> Option<String> {
    let makes = |change: &Change| {
        matches!(change.kind, ChangeKind::ObjectCreated | ChangeKind::ObjectRecreated)
            && change.statement == Some(statement.index)
    };
    if !run.changes.iter().chain(&run.traced).any(makes) {
        return None;
    }
    let until_now = rehearsal.runs.iter().filter(|one| one.run <= run.run);
    let mut changes = until_now.flat_map(|one| one.changes.iter().map(move |change| (one.run, change)));
    changes.find_map(|(number, change)| {
        let set = change.kind == ChangeKind::DefaultPrivilegesChanged && !change.detail.starts_with("no longer");
        let maker = change.object.strip_prefix("default privileges of ")?.split(" on ").next()?;
        let other = maker.trim_matches('"') != statement.role.as_str();
        (set && other && change.role.as_ref() == Some(role)).then(|| {
            format!(
                "The default privileges that run {number} set for {role} hold for what {maker} makes, and for nobody else's \
                 (ALTER DEFAULT PRIVILEGES FOR ROLE says for whose)."
            )
        })
    })
}

/// Row security hides rows without an error (PostgreSQL manual, 5.8 Row Security Policies).
fn unseen(changes: &[&Change], seen: &WorkerObservation) -> Option<String> {
    let hides = |change: &&Change| {
        matches!(
            change.kind,
            ChangeKind::RowSecurityChanged
                | ChangeKind::PolicyAdded
                | ChangeKind::PolicyDropped
                | ChangeKind::PolicyChanged
        )
    };
    let silent = failure(seen).is_some_and(|failure| failure.kind == FailureKind::Unexpected);
    (silent && changes.iter().any(hides))
        .then(|| "Rows that no policy lets a role see are not there for it; that is no error.".to_owned())
}

/// What was made anew, and is another one than before.
fn is_anew(change: &&Change) -> bool {
    matches!(change.kind, ChangeKind::ObjectRecreated | ChangeKind::RoleRecreated)
}

/// Whether a change is what a statement did, and not what follows from it for somebody.
fn is_deed(change: &&Change) -> bool {
    !matches!(
        change.kind,
        // A session that is left is told itself.
        ChangeKind::AccessLost
            | ChangeKind::AccessGained
            | ChangeKind::TransactionLeftOpen
            | ChangeKind::LockLeft
    )
}

/// The worker's session was ended by somebody (SQLSTATE `admin_shutdown`).
fn ended(seen: &WorkerObservation) -> Option<String> {
    let code = failure(seen)?.sqlstate.as_ref()?;
    (code.as_str() == "57P01").then(|| "It ended the session that the worker had.".to_owned())
}

/// Whether what was dropped had rows, or values of rows.
fn held_rows(change: &Change) -> bool {
    match change.kind {
        ChangeKind::ColumnDropped => !change.detail.contains(" GENERATED ALWAYS AS ("),
        ChangeKind::ObjectDropped => change.object.starts_with("table "),
        _ => false,
    }
}

/// What a session that was left open keeps others from.
fn held(run: &RunObservation, told: &[&Change]) -> Option<String> {
    let left = told.iter().find(|change| change.kind == ChangeKind::SessionLeft)?;
    let own = |change: &&Change| {
        change.kind == ChangeKind::LockLeft
            && change.detail.ends_with(&left.object)
            && !change.detail.starts_with("AccessShareLock")
    };
    let locks: Vec<String> = run
        .changes
        .iter()
        .filter(own)
        .map(|change| {
            let mode = change.detail.split(',').next().unwrap_or_default();
            format!("{mode} on {}", change.object)
        })
        .collect();
    let locks: Vec<&str> = locks.iter().map(String::as_str).collect();
    (!locks.is_empty()).then(|| format!("That session holds {}.", words::several(&locks)))
}

/// Of a statement that failed, or was rolled back, nothing should be left (see [`super::undone`] for what is).
fn was_undone(run: &RunObservation, statement: &Statement) -> Option<&'static str> {
    if !undone(&run.result.statements).contains(&statement.index) {
        return None;
    }
    Some(if statement.sqlstate.is_some() {
        "It failed, and what it had done by then stays."
    } else {
        "It was rolled back, which does not take back what it did to sequences or outside of the database."
    })
}

/// Whether a COPY hands rows out: to a program of the server's, a file, or the client.
fn copies_out(sql: &str) -> bool {
    let words = advice::words(sql);
    words.iter().any(|word| word == "TO") && !words.iter().any(|word| word == "STDIN")
}

/// A statement that changed nothing but rows, or what sessions hold.
fn without_changes(run: &RunObservation, statement: &Statement) -> String {
    let tag = statement.tag.as_deref().unwrap_or_default();
    let word = tag.split(' ').next().unwrap_or_default();
    match (word, statement.rows) {
        ("COPY", _) if copies_out(&statement.sql) => {
            "It changed nothing in the database; what it started outside did.".to_owned()
        }
        ("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY", Some(rows)) => {
            let rows = words::counted(rows, "row");
            format!("It changed no privilege and no definition, but {rows} that the worker depends on.")
        }
        ("TRUNCATE", _) => "It emptied tables that the worker depends on.".to_owned(),
        ("", _) if statement.sqlstate.is_none() => {
            let left = run.changes.iter().filter(|change| change.kind == ChangeKind::SessionLeft).count();
            let sessions = words::counted(u64::try_from(left).unwrap_or_default(), "session");
            format!(
                "It was still at work when the script had ended, and its session stays: the run left {sessions} open."
            )
        }
        _ => "It changed no privilege and no definition that thirdrun reads.".to_owned(),
    }
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

/// Whether the run before held it up as well.
fn waited_before(rehearsal: &Rehearsal, run: RunNumber, seen: &WorkerObservation) -> bool {
    let before = rehearsal.runs.iter().rfind(|before| before.run < run);
    before.is_some_and(|before| before.waits.iter().any(|wait| wait.application == seen.name.as_str()))
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
            let by_it = |change: &Change| change.statement == Some(other.index);
            let nothing = if before.changes.iter().any(by_it) { "" } else { " and changed nothing" };
            format!("In run {number} the same statement failed ({said}){nothing}.")
        }
        Some(other) if other.role != statement.role => {
            let made =
                rehearsal.runs.iter().filter(|one| one.run == run).flat_map(|one| &one.changes).any(
                    |change| matches!(change.kind, ChangeKind::ObjectCreated | ChangeKind::ObjectRecreated),
                );
            let (then, now) = (&other.role, &statement.role);
            let defaults = if made {
                format!(
                    " What {now} makes gets the default privileges that were set for {now}, not those for {then}."
                )
            } else {
                String::new()
            };
            format!("In run {number} the same statement was sent by {then}, now by {now}.{defaults}")
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
                return Some(
                    "The worker still completed an iteration on the session it had; on a new one it did not."
                        .to_owned(),
                );
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
