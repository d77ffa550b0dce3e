//! How a script avoids what it did to a worker, where that is one of the patterns that people know.
//!
//! Each rule looks at what was seen, not at a script as a whole: the guilty statement, what it changed, how the worker
//! failed.

use super::Status;
use super::cause::Cause;
use super::rows;
use super::search::Proof;
use crate::observations::{
    Change, ChangeKind, FailureKind, Rehearsal, RowsChanged, RunObservation, Statement, WorkerObservation,
};

/// SQLSTATE `not_null_violation`.
const NULL: &str = "23502";

/// SQLSTATE `insufficient_privilege`: what lacks is a grant, not another script.
const DENIED: &str = "42501";

/// What a rule looks at.
struct Case<'a> {
    status: Status,
    run: &'a RunObservation,
    seen: &'a WorkerObservation,
    statement: &'a Statement,
    proof: Proof,
    /// Its words, in capitals, without what stands between quotation marks.
    words: Vec<String>,
    changes: Vec<&'a Change>,
    rows: &'a [RowsChanged],
    /// The same statement did no harm in an earlier run.
    harmless_before: bool,
}

/// The advice of the first rule that fits.
pub(super) fn advice(
    rehearsal: &Rehearsal,
    seen: &WorkerObservation,
    status: Status,
    cause: &Cause,
) -> Option<String> {
    let run = rehearsal.runs.iter().find(|run| run.run == cause.run)?;
    let seen = run.workers.iter().find(|one| one.name == seen.name).unwrap_or(seen);
    let Some((index, proof)) = cause.statement else { return half_done(run, seen, status) };
    let statement = run.result.statements.iter().find(|statement| statement.index == index)?;
    let changes = run.changes.iter().chain(&run.traced);
    let mut before = rehearsal.runs.iter().filter(|before| before.run < run.run);
    let case = Case {
        status,
        run,
        seen,
        statement,
        proof,
        words: words(&statement.sql),
        changes: changes.filter(|change| change.statement == Some(index)).collect(),
        rows: rows::changed(rehearsal, cause),
        harmless_before: before.any(|before| {
            before
                .result
                .statements
                .iter()
                .any(|other| other.sql == statement.sql && other.sqlstate.is_none())
        }),
    };
    const RULES: [fn(&Case) -> Option<&'static str>; 10] =
        [locks, made_anew, swapped, cascades, replaced, triggers, columns, row_security, left, repeats];
    RULES.iter().find_map(|rule| rule(&case)).map(str::to_owned)
}

impl Case<'_> {
    fn says(&self, wanted: &[&str]) -> bool {
        says(&self.words, wanted)
    }

    fn changed(&self, wanted: &[ChangeKind]) -> bool {
        self.changes.iter().any(|change| wanted.contains(&change.kind))
    }

    fn failed_with(&self, sqlstate: &str) -> bool {
        let probes = self.seen.existing_session.iter().chain([&self.seen.new_session]);
        let mut codes = probes.filter_map(|probe| probe.failure.as_ref()?.sqlstate.as_ref());
        codes.any(|code| code.as_str() == sqlstate)
    }
}

/// Whether these words stand there one after the other.
fn says(words: &[String], wanted: &[&str]) -> bool {
    words.windows(wanted.len()).any(|words| words.iter().eq(wanted.iter()))
}

/// The words of a statement as the lexer sees them, but that what is quoted is one word of no meaning.
pub(super) fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    for (at, part) in sql.split(['\'', '"']).enumerate() {
        quoted = at % 2 == 1;
        if quoted {
            words.push("?".to_owned());
            continue;
        }
        let parts = part.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        words.extend(parts.map(str::to_uppercase));
    }
    // An odd number of quotation marks: this is no text to draw conclusions from.
    if quoted { Vec::new() } else { words }
}

/// What was seen half-done by others, who waited for nothing.
fn half_done(run: &RunObservation, seen: &WorkerObservation, status: Status) -> Option<String> {
    let failed = seen.while_running.as_ref()?.iterations.iter().any(|iteration| {
        iteration.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Statement)
    });
    let open = run.result.statements.iter().any(|statement| statement.in_transaction);
    (status == Status::Disrupted && failed && !open && run.result.statements.len() > 1).then(|| {
        "BEGIN before the first and COMMIT after the last of its statements: then nobody meets what is half-done."
            .to_owned()
    })
}

/// Locks that others stand behind (PostgreSQL manual, 13.3 Explicit Locking).
fn locks(case: &Case) -> Option<&'static str> {
    if case.proof != Proof::WaitedForIt {
        return None;
    }
    let parallel = in_parallel(&case.words);
    if parallel.is_some() {
        return parallel;
    }
    let waited = case
        .run
        .waits
        .iter()
        .any(|wait| wait.backend == case.statement.backend && !wait.blocker_names.is_empty());
    if waited {
        return Some(
            "SET lock_timeout = '1s' before it: then it gives up and can be tried again, instead of making everybody wait \
             behind it.",
        );
    }
    let shorter = shorter(&case.words);
    if shorter.is_some() {
        return shorter;
    }
    let own = |other: &&Statement| other.session == case.statement.session;
    let after =
        case.run.result.statements.iter().filter(own).filter(|other| other.index > case.statement.index);
    (case.statement.in_transaction && after.count() > 1).then_some(
        "COMMIT right after it: what it locks stays locked until its transaction ends, whatever else that does.",
    )
}

/// How a statement is written that goes through a table, so that others need not stand behind it.
pub(super) fn less_locking(sql: &str) -> Option<&'static str> {
    let words = words(sql);
    in_parallel(&words).or_else(|| shorter(&words))
}

/// What has a form that lets others go on meanwhile.
fn in_parallel(words: &[String]) -> Option<&'static str> {
    if says(words, &["CONCURRENTLY"]) {
        return None;
    }
    if [&["CREATE", "INDEX"][..], &["CREATE", "UNIQUE", "INDEX"], &["REINDEX"]]
        .iter()
        .any(|form| says(words, form))
    {
        return Some("CONCURRENTLY, outside of a transaction: then writers go on while the index is built.");
    }
    says(words, &["REFRESH", "MATERIALIZED", "VIEW"])
        .then_some("REFRESH MATERIALIZED VIEW CONCURRENTLY lets readers go on; it needs a unique index.")
}

/// What can be done in shorter parts.
fn shorter(words: &[String]) -> Option<&'static str> {
    if says(words, &["ADD", "CONSTRAINT"]) && !says(words, &["NOT", "VALID"]) {
        return Some(
            "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a statement of its own, which lets writers go on.",
        );
    }
    if says(words, &["SET", "NOT", "NULL"]) {
        return Some(
            "ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID and VALIDATE CONSTRAINT, each in a transaction of its own, \
             before it: then it need not look at the rows.",
        );
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let alters = says(words, &["ALTER", "TABLE"]);
    if alters && has("ATTACH") {
        return Some(
            "A CHECK of the same bounds on the partition, NOT VALID and then validated, before it: then it need not look at \
             the rows.",
        );
    }
    if alters && has("ADD") && has("DEFAULT") {
        return Some(
            "ADD COLUMN without the default, SET DEFAULT after it, and the rows that are there in batches: then no statement \
             goes through the whole table.",
        );
    }
    if alters && has("TYPE") {
        return Some(
            "A new column beside the old one, filled in batches, that takes its name in the end: then no statement goes \
             through the whole table.",
        );
    }
    matches!(words.first().map(String::as_str), Some("UPDATE" | "DELETE" | "MERGE")).then_some(
        "In batches, each in a transaction of its own: a row stays locked until its transaction ends.",
    )
}

fn made_anew(case: &Case) -> Option<&'static str> {
    let anew: Vec<&&Change> =
        case.changes.iter().filter(|change| change.kind == ChangeKind::ObjectRecreated).collect();
    if case.changed(&[ChangeKind::RoleRecreated]) {
        return Some("ALTER ROLE instead of DROP and CREATE: it stays the same role, for open sessions too.");
    }
    let kind = anew.first()?.object.split(' ').next().unwrap_or_default();
    Some(match kind {
        "function" | "procedure" | "view" => {
            "CREATE OR REPLACE instead of DROP and CREATE: it keeps the owner and what was granted."
        }
        _ => {
            "Change it in place (ALTER, TRUNCATE), or grant again in the same transaction what was granted on the old one."
        }
    })
}

/// Another object takes a name, and has none of its grants.
fn swapped(case: &Case) -> Option<&'static str> {
    let renamed = case.changes.iter().find(|change| change.kind == ChangeKind::ObjectRenamed)?;
    let takes = |change: &Change| match change.kind {
        ChangeKind::ObjectCreated => change.object == renamed.object,
        ChangeKind::ObjectRenamed => {
            change.detail.split_once(" → ").is_some_and(|(_, new)| new == renamed.object)
        }
        _ => false,
    };
    case.run.changes.iter().any(takes).then_some(
        "Grant on the new one what the old one had (\\dp shows it), and give it the same owner, before the renaming and in \
         the same transaction.",
    )
}

fn cascades(case: &Case) -> Option<&'static str> {
    if !case.says(&["CASCADE"]) {
        return None;
    }
    match case.words.first().map(String::as_str) {
        Some("TRUNCATE") if case.rows.len() > 1 => Some(
            "Without CASCADE it refuses, and names the table that it would have emptied too. The rows come back from a \
             backup only.",
        ),
        Some("REVOKE") => Some(
            "Without CASCADE it refuses where others have it from the one it is taken from: look who, first.",
        ),
        Some("DROP") => Some("Without CASCADE it refuses, and names what depends on what it drops."),
        _ => None,
    }
}

/// CREATE OR REPLACE keeps owner and grants, and nothing else (PostgreSQL manual, CREATE FUNCTION).
fn replaced(case: &Case) -> Option<&'static str> {
    let lost = case.changes.iter().any(|change| {
        change.kind == ChangeKind::DefinitionChanged && change.detail.contains("SECURITY DEFINER: true")
    });
    (lost && case.says(&["OR", "REPLACE"])).then_some(
        "Begin with what \\ef shows: OR REPLACE keeps the owner and the grants, but SECURITY DEFINER and SET must be written \
         again.",
    )
}

/// A trigger's function acts with the rights of whoever sets it off (PostgreSQL manual, 39.1 Overview of Trigger Behavior,
/// and CREATE FUNCTION).
fn triggers(case: &Case) -> Option<&'static str> {
    (case.failed_with(DENIED) && case.changed(&[ChangeKind::TriggerAdded])).then_some(
        "SECURITY DEFINER and a search_path of its own for the trigger's function: then it acts with the rights of its owner, \
         not of whoever changes a row.",
    )
}

fn columns(case: &Case) -> Option<&'static str> {
    if case.failed_with(NULL)
        && case.changed(&[ChangeKind::ColumnNullabilityChanged, ChangeKind::ColumnAdded])
    {
        return Some(
            "In this order: a default for the column (or a worker that sends a value), then the old rows, then NOT NULL.",
        );
    }
    if case.changed(&[ChangeKind::ColumnTypeChanged]) && case.seen.new_session.ok() {
        return Some(
            "Have the workers open new sessions right after the script: prepared statements keep their types.",
        );
    }
    case.changed(&[ChangeKind::ColumnDropped, ChangeKind::ColumnRenamed])
        .then_some("In this order: first the workers that do without the old name, then the script.")
}

fn row_security(case: &Case) -> Option<&'static str> {
    case.changed(&[ChangeKind::RowSecurityChanged]).then_some(
        "In this order, in one transaction: CREATE POLICY for each role that reads or writes the table, then row security.",
    )
}

fn left(case: &Case) -> Option<&'static str> {
    case.changed(&[ChangeKind::SessionLeft])
        .then_some("Have the script end what it starts in the background before it exits, and wait for it.")
}

/// What depends on what the run before has left.
fn repeats(case: &Case) -> Option<&'static str> {
    if !case.harmless_before || case.status == Status::Disrupted || case.failed_with(DENIED) {
        return None;
    }
    if case.says(&["NOT"]) && case.words.first().is_some_and(|word| word == "UPDATE") {
        return Some("Write the value that is wanted instead of the opposite of the one that is there.");
    }
    Some(
        "Write what shall be there in the end instead of one step from what is there: then a second run changes nothing.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_outside_of_quotation_marks() {
        assert_eq!(words("drop TABLE a.\"CASCADE\" cascade"), ["DROP", "TABLE", "A", "?", "CASCADE"]);
        assert_eq!(words("SELECT 'it''s CASCADE'"), ["SELECT", "?", "?"]);
        assert_eq!(words("SELECT $$it's$$"), Vec::<String>::new());
    }
}
