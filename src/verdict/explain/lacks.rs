//! What a worker's role lacks of what its failure names: a right that it lost, had on another thing of that name, or
//! never had.

use super::words;
use crate::identifiers::{RoleName, RunNumber};
use crate::observations::{Change, ChangeKind, Rehearsal, RunObservation};
use crate::verdict::repair::names;

/// That in a sentence; none where it lacks nothing that is known.
pub(super) fn lacks(
    run: &RunObservation,
    role: &RoleName,
    said: &str,
    steps: &str,
    denied: &[&str],
    statement: u32,
) -> Option<String> {
    loss(run, role, said, denied, statement)
        .or_else(|| acting(run, denied, statement))
        .or_else(|| another(run, role, said).filter(|_| !denied.is_empty()))
        .or_else(|| ambiguous(steps, denied))
}

/// What the worker's role can no longer do with what its failure names, and by which path it could.
fn loss(
    run: &RunObservation,
    role: &RoleName,
    said: &str,
    denied: &[&str],
    statement: u32,
) -> Option<String> {
    let own = |change: &&Change| change.kind == ChangeKind::AccessLost && change.role.as_ref() == Some(role);
    let named = |change: &&Change| {
        names(said, &change.object)
            && (denied.is_empty() || denied.iter().any(|object| same_object(object, &change.object)))
    };
    // By which path it had it at that moment: an earlier statement may have taken another one.
    let then = |change: &&Change| change.statement == Some(statement);
    let mut lost: Vec<&Change> = run.traced.iter().filter(then).filter(own).filter(named).collect();
    let earlier = taken_before(run, statement, &lost);
    if lost.is_empty() {
        lost = run.changes.iter().filter(own).filter(named).collect();
    }
    if lost.is_empty() && !denied.is_empty() {
        // Of temporary tables, a message names a schema that is nobody's doing: what alone was taken is told.
        let by_it = |change: &&Change| change.statement == Some(statement);
        let all: Vec<&Change> = run.changes.iter().filter(own).filter(by_it).collect();
        if all.iter().all(|change| Some(&change.object) == all.first().map(|first| &first.object)) {
            lost = all;
        }
    }
    let first = lost.first()?;
    let of = |object: &str| {
        let (mut privileges, mut paths): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for change in lost.iter().filter(|change| change.object == object) {
            let (privilege, path) = change.detail.split_once(" (it had it ").unwrap_or((&change.detail, ""));
            privileges.push(privilege);
            let path = path.trim_end_matches(')');
            if !path.is_empty() && !paths.contains(&path) {
                paths.push(path);
            }
        }
        (privileges, paths)
    };
    let (privileges, paths) = of(&first.object);
    // A message gives a function's name without its arguments.
    let mut objects: Vec<&str> = Vec::new();
    for change in &lost {
        if !objects.contains(&change.object.as_str())
            && of(&change.object) == (privileges.clone(), paths.clone())
        {
            objects.push(&change.object);
        }
    }
    if first.detail.starts_with("rows that no policy") {
        let objects = words::several(&objects);
        return Some(format!(
            "Row security now applies to {role}, the worker's role, on {objects}: it sees and writes only what a policy lets it."
        ));
    }
    let had =
        if paths.is_empty() { String::new() } else { format!(", which it had {}", words::list(&paths)) };
    Some(format!(
        "{role}, the worker's role, no longer has {} on {}{had}.{}",
        words::list(&privileges),
        words::several(&objects),
        earlier.unwrap_or_default()
    ))
}

/// What an earlier statement of the run had taken, where a role lost something only with both.
fn taken_before(run: &RunObservation, statement: u32, lost: &[&Change]) -> Option<String> {
    let other_path = |one: &&Change| {
        let whole = run.changes.iter().find(|change| {
            (change.kind, &change.object, &change.role) == (one.kind, &one.object, &one.role)
                && privilege(change) == privilege(one)
        });
        whole.is_some_and(|change| change.detail != one.detail)
    };
    let lost: Vec<&&Change> = lost.iter().filter(|one| other_path(one)).collect();
    let taken =
        run.traced.iter().filter(|change| change.kind == ChangeKind::PrivilegeLost).find(|change| {
            change.statement < Some(statement)
                && lost.iter().any(|one| one.object == change.object && privilege(one) == privilege(change))
        })?;
    let number = taken.statement?;
    let line = run.result.statements.iter().find(|one| one.index == number).and_then(|one| one.line);
    let line = line.map(|line| format!(", line {line},")).unwrap_or_default();
    let from = taken.role.as_ref().map_or("PUBLIC", RoleName::as_str);
    Some(format!(" Statement {number}{line} had taken {} on it from {from} before.", privilege(taken)))
}

/// The word of a privilege that was lost.
fn privilege(change: &Change) -> &str {
    change.detail.split(" (it had it ").next().unwrap_or(&change.detail)
}

/// Whether GRANT's name of an object and the one in a change are of the same thing.
fn same_object(granted: &str, changed: &str) -> bool {
    let name = |text: &str| text.rsplit(' ').next().unwrap_or(text).trim_matches('"').to_owned();
    granted.starts_with("ROUTINE") || name(granted) == name(changed)
}

/// Whether something acts with the rights of an owner whom the statement gave it: a function that is SECURITY DEFINER, or a
/// view. Then it is the owner who was denied, whatever the worker's role may do.
fn acting(run: &RunObservation, denied: &[&str], statement: u32) -> Option<String> {
    let (kind, name) = denied.first()?.split_once(' ')?;
    let acts = |change: &&Change| {
        change.kind == ChangeKind::OwnerChanged
            && change.statement == Some(statement)
            && ["function ", "procedure ", "view "].iter().any(|kind| change.object.starts_with(kind))
    };
    let mut all = run.changes.iter().filter(acts);
    let (change, None) = (all.next()?, all.next()) else { return None };
    let (old, new) = change.detail.split_once(" → ")?;
    Some(format!(
        "What {} does, it does with the rights of its owner: that was {old}, and is {new} now, to whom {} {name} is denied.",
        change.object,
        kind.to_lowercase()
    ))
}

/// Whether what bears the name that the failure gives is another one than before.
fn another(run: &RunObservation, role: &RoleName, said: &str) -> Option<String> {
    let made = |change: &&Change| change.kind == ChangeKind::ObjectCreated && names(said, &change.object);
    let Some(made) = run.changes.iter().find(made) else { return renamed(run, role, said) };
    let (object, detail) = (&made.object, &made.detail);
    let owner = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let old = |change: &Change| {
        matches!(change.kind, ChangeKind::ObjectRenamed | ChangeKind::ObjectMoved | ChangeKind::ObjectDropped)
            && change.object == *object
    };
    if !run.changes.iter().chain(&run.traced).any(old) {
        return Some(format!(
            "The {object} is new{owner}: {role}, the worker's role, was granted nothing on it."
        ));
    }
    Some(format!(
        "The {object} that is there now is another one{owner}: {role}, the worker's role, was not granted on it \
         what it had on the old one."
    ))
}

/// Whether something that an earlier run made has taken the name that the failure gives.
fn renamed(run: &RunObservation, role: &RoleName, said: &str) -> Option<String> {
    let renames = || run.changes.iter().filter(|change| change.kind == ChangeKind::ObjectRenamed);
    let names_of = |change: &Change| {
        let (old, new) = change.detail.split_once(" → ")?;
        Some((old.to_owned(), new.to_owned()))
    };
    let (was, is) = renames().filter_map(names_of).find(|(_, new)| names(said, new))?;
    renames().filter_map(names_of).find(|(old, _)| *old == is)?;
    Some(format!(
        "The {is} that is there now is another one, which was {was} before: {role}, the worker's role, was not granted on it \
         what it had on the old one."
    ))
}

/// Whether the worker's statements leave it open which of several things of one name they mean.
fn ambiguous(steps: &str, denied: &[&str]) -> Option<String> {
    let objects: Vec<&str> = denied.iter().filter_map(|object| object.strip_prefix("TABLE ")).collect();
    let (first, _) = objects.split_first().filter(|(_, others)| !others.is_empty())?;
    if objects.iter().any(|object| steps.contains(object)) {
        return None;
    }
    let name = first.rsplit('.').next().unwrap_or(first);
    Some(format!(
        "There are {}: the worker names {name} without a schema, which means the first of them in its search_path that is \
         in a schema its role may use.",
        words::list(&objects)
    ))
}

/// What a worker was denied, and no run up to this one took from it.
pub(super) fn never_had(
    rehearsal: &Rehearsal,
    run: RunNumber,
    role: &RoleName,
    denied: &[&str],
) -> Option<String> {
    let (first, others) = denied.split_first()?;
    let (kind, name) = first.split_once(' ')?;
    if name.starts_with("pg_temp") {
        return None;
    }
    let mut before = rehearsal.runs.iter().filter(|one| one.run <= run).flat_map(|one| &one.changes);
    let taken = before.any(|change| {
        let lost = change.kind == ChangeKind::AccessLost && same_object(first, &change.object);
        (lost || matches!(change.kind, ChangeKind::RoleRecreated | ChangeKind::RoleDropped))
            && change.role.as_ref() == Some(role)
    });
    (others.is_empty() && !taken).then(|| {
        format!(
            "{role}, the worker's role, has lost nothing on {} {name}: it never had that right, and only now comes to it.",
            kind.to_lowercase()
        )
    })
}
