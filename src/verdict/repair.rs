//! What would mend a worker: candidates from what the run changed, tried in copies until one works.
//!
//! Pure: it says what to try next and what the trials have shown.

use crate::identifiers::{RoleName, RunNumber, WorkerName, quote_literal, written_identifier};
use crate::observations::{
    Change, ChangeKind, Edit, Experiment, Rehearsal, RunObservation, WorkerObservation, undo,
};

use super::AT_ONCE;
use super::cause::Cause;
use super::rows;

/// SQLSTATE `too_many_connections`.
const TOO_MANY: &str = "53300";
/// Candidates that are tried at all.
const MOST: usize = 16;
/// Privileges that are tried one by one.
const SINGLES: usize = 4;
/// Ends sessions whose role is no longer there.
const ORPHANS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid NOT IN (SELECT oid FROM pg_roles);";
/// Statements that one repair may have: more is no repair but another script.
const STATEMENTS: usize = 20;

/// What mends a worker, in order; it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Its statements.
    pub sql: Vec<String>,
}

/// Where the search for a repair stands.
pub(super) enum Mending {
    /// These replays would tell more.
    Ask(Vec<Experiment>),
    Found(Repair),
    NotFound,
}

/// Looks for what mends a worker that a run broke, in the state after that run.
pub(super) fn mending(rehearsal: &Rehearsal, worker: &WorkerName, cause: &Cause) -> Mending {
    let Some(run) = rehearsal.runs.iter().find(|run| run.run == cause.run) else {
        return Mending::NotFound;
    };
    let mut untried = Vec::new();
    for candidate in candidates(rehearsal, run, worker, cause) {
        match tried(rehearsal, run, worker, &candidate) {
            Some(true) if untried.is_empty() => return Mending::Found(Repair { sql: candidate }),
            Some(_) => {}
            None => untried.push(candidate),
        }
    }
    if untried.is_empty() {
        return Mending::NotFound;
    }
    let experiment = |sql| Experiment { repairs: vec![sql], ..Experiment::of(cause.run, Edit::Whole) };
    Mending::Ask(untried.into_iter().take(AT_ONCE).map(experiment).collect())
}

/// Whether a candidate mends a worker and harms nobody; none: it was not tried.
fn tried(
    rehearsal: &Rehearsal,
    run: &RunObservation,
    worker: &WorkerName,
    candidate: &[String],
) -> Option<bool> {
    let works = |workers: &[WorkerObservation], name: &WorkerName| {
        workers.iter().find(|one| one.name == *name).is_some_and(WorkerObservation::works)
    };
    let (replay, trial) =
        rehearsal.replays.iter().filter(|replay| replay.experiment.run == run.run).find_map(|replay| {
            Some((replay, replay.trials.first().filter(|trial| trial.sql == candidate)?))
        })?;
    // Where the copy was not broken in the first place, nothing was mended.
    let mends = !works(&replay.workers, worker) && works(&trial.workers, worker) && trial.error.is_none();
    let harms = run.workers.iter().any(|one| one.works() && !works(&trial.workers, &one.name));
    Some(mends && !harms)
}

/// What may mend a worker, the smallest first.
fn candidates(
    rehearsal: &Rehearsal,
    run: &RunObservation,
    worker: &WorkerName,
    cause: &Cause,
) -> Vec<Vec<String>> {
    let Some(facts) = rehearsal.workers.iter().find(|facts| facts.name == *worker) else {
        return Vec::new();
    };
    let Some(seen) = run.workers.iter().find(|seen| seen.name == *worker) else {
        return Vec::new();
    };
    let guilty = cause.statement.map(|(statement, _)| statement);
    let by_it = |change: &&Change| guilty.is_none() || change.statement == guilty;
    let lost =
        |change: &&Change| change.kind == ChangeKind::AccessLost && change.role.as_ref() == Some(&facts.role);
    let said = messages(seen);
    let named = |change: &&Change| names(&said, &change.object);
    let mut all: Vec<Vec<String>> = Vec::new();
    let too_many = seen.new_session.failure.as_ref().and_then(|failure| failure.sqlstate.as_ref());
    let too_many = too_many.is_some_and(|code| code.as_str() == TOO_MANY);
    // Where a new session works, or would if there were room for it, a restart mends it.
    if seen.new_session.ok() || too_many {
        all.push(vec![fresh_sessions(&facts.role)]);
        let gone =
            |change: &Change| matches!(change.kind, ChangeKind::RoleRecreated | ChangeKind::RoleDropped);
        if run.changes.iter().any(gone) {
            all.push(vec![ORPHANS.to_owned()]);
        }
    }
    // What the worker was refused, then all that its role has lost.
    all.extend(
        run.changes
            .iter()
            .filter(lost)
            .filter(named)
            .take(SINGLES)
            .map(|change| back(std::iter::once(change))),
    );
    all.push(back(run.changes.iter().filter(lost).filter(named)));
    all.push(back(run.changes.iter().filter(by_it).filter(lost)));
    // Each other change by itself: first those that the failure names or that are the role's own.
    let rest = || run.changes.iter().filter(by_it).filter(|change| change.kind != ChangeKind::AccessLost);
    let own = |change: &&Change| change.role.as_ref() == Some(&facts.role) || named(change);
    all.extend(rest().filter(own).map(|change| back(std::iter::once(change))));
    all.extend(rest().filter(|change| !own(change)).map(|change| back(std::iter::once(change))));
    all.push(back(rest()));
    let every = || run.changes.iter().filter(|change| change.kind != ChangeKind::AccessLost);
    all.push(back(every()));
    // A right that it never had on what it only now comes to.
    let denied: Vec<&str> =
        run.denied.iter().filter(|one| one.worker == *worker).map(|one| one.object.as_str()).collect();
    for object in denied {
        all.extend(grants(object, &facts.steps, &facts.role));
    }
    let rows = rows::changed(rehearsal, cause);
    all.push(rows.iter().flat_map(|one| one.undo.iter().cloned()).collect());
    let mut candidates: Vec<Vec<String>> = Vec::new();
    for candidate in all {
        let fits = !candidate.is_empty() && candidate.len() <= STATEMENTS;
        if fits && !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates.truncate(MOST);
    candidates
}

/// Grants of what a worker's statements may need on an object, the smallest first.
fn grants(object: &str, steps: &[String], role: &RoleName) -> Vec<Vec<String>> {
    let role = written_identifier(role.as_str());
    let wanted: Vec<String> = match object.split(' ').next() {
        Some("TABLE") => {
            let steps = steps.join(" ").to_uppercase();
            let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE"];
            let used: Vec<&str> = verbs.into_iter().filter(|verb| steps.contains(verb)).collect();
            let mut wanted: Vec<String> = used.iter().map(|verb| (*verb).to_owned()).collect();
            // To return or to find rows is to read them; a function does what its caller's text does not say.
            for verb in verbs.iter().skip(1) {
                wanted.push(format!("SELECT, {verb}"));
            }
            wanted.push(verbs.join(", "));
            wanted
        }
        Some("SEQUENCE") => vec!["USAGE".to_owned(), "USAGE, SELECT".to_owned()],
        Some("ROUTINE") => vec!["EXECUTE".to_owned()],
        Some("SCHEMA") => vec!["USAGE".to_owned()],
        Some("DATABASE") => vec!["CONNECT".to_owned()],
        _ => Vec::new(),
    };
    wanted.into_iter().map(|wanted| vec![format!("GRANT {wanted} ON {object} TO {role}")]).collect()
}

/// The statements that take changes back, from the last to the first; none if one cannot be taken back.
fn back<'a>(changes: impl DoubleEndedIterator<Item = &'a Change>) -> Vec<String> {
    let mut statements = Vec::new();
    for change in changes.rev() {
        match undo(change) {
            Some(sql) => {
                for one in sql {
                    if !statements.contains(one) {
                        statements.push(one.clone());
                    }
                }
            }
            None => return Vec::new(),
        }
    }
    statements
}

/// What a worker's failures say.
fn messages(seen: &WorkerObservation) -> String {
    let probes = seen.existing_session.iter().chain([&seen.new_session]);
    let failures = probes.filter_map(|probe| probe.failure.as_ref());
    let texts = failures.flat_map(|failure| [Some(failure.message.as_str()), failure.detail.as_deref()]);
    texts.flatten().collect::<Vec<_>>().join("\n")
}

/// Whether a message names an object: PostgreSQL says `orders` of what is `table sales.orders`.
pub(super) fn names(message: &str, object: &str) -> bool {
    let name = object.split(" of ").next().unwrap_or(object);
    let name = name.split('(').next().unwrap_or(name);
    let name = name.rsplit(' ').next().unwrap_or(name);
    let name = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    !name.is_empty() && message.split(|c: char| !is_part(c)).any(|word| word == name)
}

/// Ends a role's sessions, so that whoever reconnects has new ones.
fn fresh_sessions(role: &RoleName) -> String {
    format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {};",
        quote_literal(role.as_str())
    )
}

/// The replays that would tell more of what mends these workers.
pub(super) fn questions(
    rehearsal: &Rehearsal,
    broken: &[(WorkerName, RunNumber)],
    cause: impl Fn(&WorkerName, RunNumber) -> Cause,
) -> Vec<Experiment> {
    let mut questions: Vec<Experiment> = Vec::new();
    for (worker, run) in broken {
        if let Mending::Ask(experiments) = mending(rehearsal, worker, &cause(worker, *run)) {
            for experiment in experiments {
                if !questions.contains(&experiment) {
                    questions.push(experiment);
                }
            }
        }
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_message_names_an_object_by_its_last_name() {
        assert!(names("permission denied for table orders", "table sales.orders"));
        assert!(names("permission denied for function digest", "function public.digest(text, text)"));
        assert!(names(
            "null value in column \"region\" of relation \"orders\"",
            "column region of table public.orders"
        ));
        assert!(!names("permission denied for table orders_old", "table sales.orders"));
    }
}
