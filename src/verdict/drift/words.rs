//! Drift in words.

use super::super::explain::list;
use super::{Drifting, How, Recent};
use crate::observations::{Change, ChangeKind, Measure};

/// What a series that is about all of the server calls it.
pub(super) const SERVER: &str = "the server";

/// What a run does to a series: `each run adds 1 table to schema public (3, 4 and 5 after runs 1 to 3)`. Where only
/// one run was made again, nobody knows whether each does it.
pub(in crate::verdict) fn step(recent: &Recent<'_>, once: bool) -> String {
    let Some((how, values)) = recent.direction() else { return String::new() };
    let series = recent.series;
    let (noun, object) = (&series.noun, &series.object);
    let who = if once { format!("run {} again", recent.last) } else { "each run".to_owned() };
    let steps = even(&values);
    let by = |unit: &str| steps.map(|step| format!(" by {}{unit}", step.unsigned_abs())).unwrap_or_default();
    let things = match steps.map(i64::unsigned_abs) {
        Some(1) => format!("1 {noun}"),
        Some(count) => format!("{count} {}", plural(noun)),
        None => format!("more {}", plural(noun)),
    };
    let seen = format!("({} after runs {} to {})", listed(&values), recent.first, recent.last);
    let grows = how == How::Grows;
    match series.measure {
        Measure::Sessions if values == recent.values() && grows => {
            let of = match object.split_once(' ') {
                _ if object == SERVER => String::new(),
                Some(("role", role)) => format!(" as {role}"),
                _ => format!(" in {object}"),
            };
            format!("{who} leaves {things} open{of} {seen}")
        }
        Measure::Sessions if grows => {
            format!("{who} raises the connection limit of {object}{} {seen}", by(""))
        }
        Measure::Sessions if values == recent.values() => {
            format!("{who} ends {things} that an earlier one left open {seen}")
        }
        Measure::Sessions => format!("{who} lowers the connection limit of {object}{} {seen}", by("")),
        Measure::Things if object == SERVER && grows => {
            format!("{who} leaves {things} behind {seen}")
        }
        Measure::Things if grows && noun == "column" => {
            format!("{who} adds {things} to {object}, where dropped ones count too {seen}")
        }
        Measure::Things if grows => format!("{who} adds {things} to {object} {seen}"),
        Measure::Things => {
            let things = things.replacen("more ", "", 1);
            format!("{who} takes {things} from {object} {seen}")
        }
        Measure::Length if grows => {
            format!("{who} makes {noun} of {object} longer{} {seen}", by(" characters"))
        }
        Measure::Length => format!("{who} makes {noun} of {object} shorter{} {seen}", by(" characters")),
        Measure::Position => format!("{who} moves {object} on{} {seen}", by("")),
        Measure::Number if grows => format!("{who} raises {noun} of {object}{} {seen}", by("")),
        Measure::Number => format!("{who} lowers {noun} of {object}{} {seen}", by("")),
        Measure::Moment => {
            let nearer = steps.map(|step| format!(" by {}", span(step.saturating_abs()))).unwrap_or_default();
            format!("{who} brings {noun} of {object} nearer{nearer}")
        }
    }
}

/// The step, where all are the same.
fn even(values: &[i64]) -> Option<i64> {
    let mut steps = values.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?));
    let first = steps.next()?;
    steps.all(|step| step == first).then_some(first)
}

/// Seconds in the greatest unit that fits.
pub(in crate::verdict) fn span(seconds: i64) -> String {
    for (unit, length) in [("day", 86_400), ("hour", 3_600), ("minute", 60)] {
        if seconds >= length && (seconds % length == 0 || seconds >= 2 * length) {
            let count = seconds / length;
            return if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") };
        }
    }
    format!("{seconds} s")
}

fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if noun.ends_with('x') => format!("{noun}es"),
        None => format!("{noun}s"),
    }
}

/// `3, 4 and 5`.
pub(super) fn listed(values: &[i64]) -> String {
    let values: Vec<String> = values.iter().map(i64::to_string).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    list(&values)
}

/// A kind of change as a report has it.
pub(super) fn kind(change: &Change) -> String {
    let kind = serde_json::to_value(change.kind).ok();
    kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().to_owned()
}

/// What was changed: `role app (another password (scram-sha-256))`.
pub(super) fn changed(change: &Change) -> String {
    const LONG: usize = 60;
    let detail: String = change.detail.split_whitespace().collect::<Vec<_>>().join(" ");
    let kind = kind(change).replace('_', " ");
    if change.kind == ChangeKind::PasswordChanged {
        // With the same password, what is stored of it differs each time.
        return format!("{}, whose password it sets", change.object);
    }
    if detail.is_empty() || detail.chars().count() > LONG {
        format!("{} ({kind})", change.object)
    } else {
        format!("{} ({kind}: {detail})", change.object)
    }
}

/// The first of several, and how many there are besides.
pub(super) fn some(all: &[String], named: usize) -> String {
    let first: Vec<&str> = all.iter().take(named).map(String::as_str).collect();
    match all.len().saturating_sub(named) {
        0 => list(&first),
        more => format!("{}, and {more} more", first.join(", ")),
    }
}

/// What drifts, in a sentence.
pub(super) fn sentence(what: &[Drifting], named: usize) -> String {
    let first: Vec<&str> = what.iter().take(named).map(|one| one.message.as_str()).collect();
    match what.len().saturating_sub(named) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}
