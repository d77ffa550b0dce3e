//! What may mend a worker, made of what the run changed and how the worker failed.

use crate::identifiers::{RoleName, WorkerName, quote_literal, written_identifier};
use crate::observations::{
    Change, ChangeKind, OWN_PASSWORD, Rehearsal, RunObservation, WorkerFacts, WorkerObservation, undo,
};
use crate::verdict::cause::Cause;
use crate::verdict::rows;
use crate::verdict::search::seen_after;

/// SQLSTATE `unique_violation`.
const DUPLICATE: &str = "23505";
/// SQLSTATE `too_many_connections`.
const TOO_MANY: &str = "53300";
/// Candidates that are tried at all.
const MOST: usize = 20;
/// Privileges that are tried one by one.
const SINGLES: usize = 8;
/// What a statement did to roles that is tried first.
const FIRST: usize = 2;
/// Lets a session write for whose role or database the default is that it may not.
const WRITABLE: &str = "SET default_transaction_read_only = off";
/// Ends sessions whose role is no longer there.
const ORPHANS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid NOT IN (SELECT oid FROM pg_roles);";
/// Statements that one repair may have: more is no repair but another script.
const STATEMENTS: usize = 20;

/// What may mend a worker, the smallest first.
pub(super) fn candidates(
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
    let guilty = cause.statement.map(|(statement, _)| seen_after(&run.result.statements, statement));
    let by_it = |change: &&Change| guilty.is_none() || change.statement == guilty;
    let lost =
        |change: &&Change| change.kind == ChangeKind::AccessLost && change.role.as_ref() == Some(&facts.role);
    let said = messages(seen);
    let named = |change: &&Change| names(&said, &change.object);
    let mut all: Vec<Vec<String>> = Vec::new();
    let too_many = seen.new_session.failure.as_ref().and_then(|failure| failure.sqlstate.as_ref());
    let too_many = too_many.is_some_and(|code| code.as_str() == TOO_MANY);
    // What was left open goes before what was there.
    all.extend(of_sessions(run, guilty));
    // Where a new session works, or would if there were room for it, a restart mends it.
    if seen.new_session.ok() || too_many {
        all.push(vec![fresh_sessions(&facts.role)]);
        let gone =
            |change: &Change| matches!(change.kind, ChangeKind::RoleRecreated | ChangeKind::RoleDropped);
        if run.changes.iter().any(gone) {
            all.push(vec![ORPHANS.to_owned()]);
        }
    }
    let password = |change: &&Change| {
        change.kind == ChangeKind::PasswordChanged && change.role.as_ref() == Some(&facts.role)
    };
    if run.changes.iter().filter(by_it).any(|change| password(&change)) {
        let role = written_identifier(facts.role.as_str());
        all.push(vec![format!("ALTER ROLE {role} PASSWORD {OWN_PASSWORD};")]);
    }
    all.extend(of_failure(run, seen));
    all.extend(of_columns(run, guilty));
    all.extend(dropped_role(run, facts, seen));
    all.extend(of_row_security(run, guilty, facts));
    // What a role is: then it has again all that it had by that.
    let standing = |change: &&Change| {
        matches!(change.kind, ChangeKind::RoleAttributeChanged | ChangeKind::MembershipLost)
            && guilty.is_some_and(|guilty| change.statement == Some(guilty))
    };
    all.extend(run.changes.iter().filter(standing).take(FIRST).map(|change| back(std::iter::once(change))));
    // What the worker was refused, then all that its role has lost.
    let steps = facts.steps.join(" ").to_uppercase();
    let mut refused: Vec<&Change> = run.changes.iter().filter(lost).filter(named).collect();
    refused.sort_by_key(|change| !uses(&steps, change));
    all.extend(refused.iter().take(SINGLES).map(|change| back(std::iter::once(*change))));
    let denied = run.denied.iter().filter(|one| one.worker == *worker).map(|one| one.object.as_str());
    let grants: Vec<Vec<String>> =
        denied.flat_map(|object| grants(object, &facts.steps, &facts.role)).collect();
    if !refused.is_empty() {
        all.extend(grants.iter().cloned());
    }
    all.push(back(run.changes.iter().filter(lost).filter(named)));
    all.push(back(run.changes.iter().filter(by_it).filter(lost)));
    // Each other change by itself: first those that the failure names or that are the role's own. What the run went on
    // to change is among what was traced only.
    let deed = |change: &&Change| change.kind != ChangeKind::AccessLost;
    let rest = || run.changes.iter().filter(by_it).filter(deed);
    let traced = || run.traced.iter().filter(by_it).filter(deed);
    let own = |change: &&Change| change.role.as_ref() == Some(&facts.role) || named(change);
    all.extend(traced().filter(own).map(|change| back(std::iter::once(change))));
    all.extend(rest().filter(own).map(|change| back(std::iter::once(change))));
    all.extend(rest().filter(|change| !own(change)).map(|change| back(std::iter::once(change))));
    all.extend(traced().filter(|change| !own(change)).map(|change| back(std::iter::once(change))));
    all.push(back(rest()));
    all.push(back(run.changes.iter().filter(deed)));
    all.extend(rest().filter_map(|change| for_one_role(change, &facts.role)));
    // A right that it never had on what it only now comes to.
    all.extend(grants);
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

/// Whether a worker's statements, in capitals, have the word of a lost privilege.
fn uses(steps: &str, change: &Change) -> bool {
    change.detail.split(' ').next().is_some_and(|privilege| steps.contains(privilege))
}

/// What mends what a failure says by itself.
fn of_failure(run: &RunObservation, seen: &WorkerObservation) -> Vec<Vec<String>> {
    let said = messages(seen);
    if !said.contains("has not been populated") {
        return Vec::new();
    }
    let views = run.changes.iter().chain(&run.traced).filter_map(|change| {
        change.object.strip_prefix("materialized view ").filter(|_| names(&said, &change.object))
    });
    views.map(|view| vec![format!("REFRESH MATERIALIZED VIEW {view}")]).collect()
}

/// What lets a role see and write all rows again where row security was switched on, and leaves it on for the others.
fn of_row_security(run: &RunObservation, guilty: Option<u32>, facts: &WorkerFacts) -> Vec<Vec<String>> {
    let enabled = run.changes.iter().filter(|change| {
        change.kind == ChangeKind::RowSecurityChanged
            && change.detail == "enabled"
            && (guilty.is_none() || change.statement == guilty)
    });
    let role = written_identifier(facts.role.as_str());
    let policy = written_identifier(&format!("{}_all_rows", facts.role.as_str()));
    let policies = enabled.filter_map(|change| {
        let table = change.object.strip_prefix("table ")?;
        Some(vec![format!("CREATE POLICY {policy} ON {table} TO {role} USING (true) WITH CHECK (true);")])
    });
    policies.collect()
}

/// What was set for a whole database, put back for one role in it.
fn for_one_role(change: &Change, role: &RoleName) -> Option<Vec<String>> {
    if change.kind != ChangeKind::SettingChanged {
        return None;
    }
    let [sql] = undo(change)? else { return None };
    let (database, setting) = sql.strip_prefix("ALTER DATABASE ")?.split_once(" SET ")?;
    let role = written_identifier(role.as_str());
    Some(vec![format!("ALTER ROLE {role} IN DATABASE {database} SET {setting}")])
}

/// Columns that were dropped, there again without what was in them: by themselves, and with the types and views that went
/// with them.
fn of_columns(run: &RunObservation, guilty: Option<u32>) -> Vec<Vec<String>> {
    let by_it = |change: &&Change| guilty.is_none() || change.statement == guilty;
    let of = |kind| move |change: &&Change| change.kind == kind;
    let all = run.changes.iter().chain(&run.traced).filter(by_it);
    let mut columns: Vec<String> = Vec::new();
    for sql in all.filter(of(ChangeKind::ColumnDropped)).filter_map(|change| column(run, change)) {
        if !columns.contains(&sql) {
            columns.push(sql);
        }
    }
    if columns.is_empty() {
        return Vec::new();
    }
    let dropped = run.changes.iter().filter(by_it).filter(of(ChangeKind::ObjectDropped));
    let (types, others): (Vec<&Change>, Vec<&Change>) =
        dropped.partition(|change| change.object.starts_with("type "));
    let whole = [back(types.into_iter()), columns.clone(), back(others.into_iter())].concat();
    vec![columns, whole]
}

/// The statement that makes a dropped column anew. Where rows are, one without a default cannot be NOT NULL.
fn column(run: &RunObservation, dropped: &Change) -> Option<String> {
    let (name, table) = dropped.object.strip_prefix("column ")?.split_once(" of table ")?;
    let detail = &dropped.detail;
    let filled = detail.contains(" DEFAULT ") || detail.contains(" GENERATED ");
    let detail = if filled { detail } else { detail.trim_end_matches(" NOT NULL") };
    // Another one may have its name now.
    let is_other =
        |change: &Change| change.kind == ChangeKind::ColumnAdded && change.object == dropped.object;
    let other =
        if run.changes.iter().any(is_other) { format!("DROP COLUMN {name}, ") } else { String::new() };
    Some(format!("ALTER TABLE {table} {other}ADD COLUMN {name} {detail};"))
}

/// A worker's role that was dropped, with what it had, and an end to the sessions of the one that is gone.
fn dropped_role(run: &RunObservation, facts: &WorkerFacts, seen: &WorkerObservation) -> Option<Vec<String>> {
    let own = |change: &&Change| change.role.as_ref() == Some(&facts.role);
    let dropped = |change: &Change| change.kind == ChangeKind::RoleDropped;
    run.changes.iter().filter(own).find(|change| dropped(change))?;
    let had = |change: &&Change| {
        matches!(
            change.kind,
            ChangeKind::PrivilegeLost | ChangeKind::MembershipLost | ChangeKind::RoleSettingChanged
        )
    };
    let role = written_identifier(facts.role.as_str());
    let mut again = vec![format!("CREATE ROLE {role} LOGIN PASSWORD {OWN_PASSWORD};")];
    again.extend(back(run.changes.iter().filter(own).filter(had)));
    if seen.existing_session.is_some() {
        again.push(ORPHANS.to_owned());
    }
    Some(again)
}

/// What is still to be done for a worker that a candidate let go on to its next mistake: a table that took another's
/// place begins to count anew, though it has the other's rows.
pub(super) fn next_step(run: &RunObservation, seen: &WorkerObservation) -> Option<String> {
    let probes = seen.existing_session.iter().chain([&seen.new_session]);
    let failure = probes
        .filter_map(|probe| probe.failure.as_ref())
        .find(|failure| failure.sqlstate.as_ref().is_some_and(|code| code.as_str() == DUPLICATE))?;
    run.changes.iter().chain(&run.traced).find_map(|change| {
        let (name, table) = change.object.strip_prefix("constraint ")?.split_once(" of table ")?;
        let column = change.detail.strip_prefix("PRIMARY KEY (")?.strip_suffix(')')?;
        let named = failure.message.contains(&format!("\"{}\"", name.trim_matches('"')));
        (named && !column.contains(',')).then(|| {
            format!(
                "SELECT setval(pg_get_serial_sequence({}, {}), (SELECT max({column}) FROM {table}))",
                quote_literal(table),
                quote_literal(column.trim_matches('"'))
            )
        })
    })
}

/// Ends sessions that were left open: by whose they are and what they call themselves, since the number of a process
/// means nothing elsewhere.
fn of_sessions(run: &RunObservation, guilty: Option<u32>) -> Vec<Vec<String>> {
    let left = run.changes.iter().filter(|change| {
        change.kind == ChangeKind::SessionLeft && (guilty.is_none() || change.statement == guilty)
    });
    let ends = left.filter_map(|change| {
        let (role, (application, _)) = (change.role.as_ref()?, change.detail.split_once(" on database ")?);
        Some(vec![format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {} AND application_name = {};",
            quote_literal(role.as_str()),
            quote_literal(application)
        )])
    });
    ends.collect()
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
    let mut statements: Vec<String> = Vec::new();
    for change in changes.rev() {
        let Some(sql) = undo(change) else { return Vec::new() };
        for one in sql {
            if !statements.contains(one) {
                statements.push(one.clone());
            }
        }
        // A session that may only read cannot change that it may only read.
        let read_only = change.detail.contains("transaction_read_only");
        if read_only && !statements.iter().any(|one| one == WRITABLE) {
            statements.insert(0, WRITABLE.to_owned());
        }
    }
    merged(statements)
}

/// Grants on the same thing to the same role are one statement.
fn merged(statements: Vec<String>) -> Vec<String> {
    let mut merged: Vec<(String, Option<(String, String)>)> = Vec::new();
    for statement in statements {
        let parts = statement.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON "));
        let parts = parts.map(|(privileges, on)| (privileges.to_owned(), on.to_owned()));
        let same = |(_, known): &&mut (String, Option<(String, String)>)| match (known, &parts) {
            (Some((_, known)), Some((_, on))) => known == on,
            _ => false,
        };
        match (merged.iter_mut().find(same), parts) {
            (Some((sql, known)), Some((privileges, on))) => {
                let all = known.take().map(|(all, _)| format!("{privileges}, {all}")).unwrap_or_default();
                *sql = format!("GRANT {all} ON {on}");
                *known = Some((all, on));
            }
            (_, parts) => merged.push((statement, parts)),
        }
    }
    merged.into_iter().map(|(sql, _)| sql).collect()
}

/// What a worker's failures say.
fn messages(seen: &WorkerObservation) -> String {
    let probes = seen.existing_session.iter().chain([&seen.new_session]);
    let failures = probes.filter_map(|probe| probe.failure.as_ref());
    let texts = failures.flat_map(|failure| [Some(failure.message.as_str()), failure.detail.as_deref()]);
    texts.flatten().collect::<Vec<_>>().join("\n")
}

/// Whether a message names an object: PostgreSQL says `orders` of what is `table sales.orders`.
pub(in crate::verdict) fn names(message: &str, object: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::{merged, names};

    #[test]
    fn grants_on_the_same_thing_to_the_same_role_are_one() {
        let statements = [
            "GRANT UPDATE ON public.orders TO svc;",
            "SELECT 1",
            "GRANT SELECT ON public.orders TO svc;",
            "GRANT app TO svc",
            "GRANT SELECT ON public.orders TO other;",
            "GRANT SELECT (a) ON public.orders TO svc;",
        ];
        assert_eq!(
            merged(statements.map(str::to_owned).to_vec()),
            [
                "GRANT SELECT (a), SELECT, UPDATE ON public.orders TO svc;",
                "SELECT 1",
                "GRANT app TO svc",
                "GRANT SELECT ON public.orders TO other;",
            ]
        );
    }

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
