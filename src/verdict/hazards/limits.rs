//! Limits that each run comes nearer to, and the run that hits them.
//!
//! Not tried: worked out from the numbers after the runs that were made, and the limit that the server has.

use super::{Hazard, HazardKind, place};
use crate::identifiers::RunNumber;
use crate::observations::{Change, ChangeKind, Measure, Rehearsal};
use crate::verdict::drift::{Recent, recent, step};

/// The last run that anybody waits for: one a day for a quarter of a year.
const HORIZON: i64 = 100;

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    if rehearsal.course.standing.is_none() {
        return Vec::new();
    }
    let all = recent(rehearsal);
    // Whoever has too few connections already is told so by what broke.
    let passed = all.iter().any(|one| {
        let now = one.room().and_then(|room| room.last().copied());
        one.series.measure == Measure::Sessions && now.is_some_and(|now| now < 0)
    });
    let mut hits: Vec<(i64, Recent<'_>)> = all
        .into_iter()
        .filter(|one| !(passed && one.series.measure == Measure::Sessions))
        .filter_map(|recent| Some((hit(&recent)?, recent)))
        .filter(|(run, _)| *run <= HORIZON)
        .collect();
    hits.sort_by_key(|(run, _)| *run);
    // A session counts against its role, its database and the server: the narrowest is told.
    let mut sessions = 0;
    hits.retain(|(_, recent)| {
        sessions += u32::from(recent.series.measure == Measure::Sessions);
        recent.series.measure != Measure::Sessions || sessions == 1
    });
    hits.into_iter().map(|(run, recent)| hazard(rehearsal, run, &recent)).collect()
}

/// The number of the run that is one too many; none where the limit does not come nearer, or is passed already.
fn hit(recent: &Recent<'_>) -> Option<i64> {
    recent.direction()?;
    let room = recent.room()?;
    let (before, now) = (room.get(room.len().checked_sub(2)?)?, room.last()?);
    let nearer = room.windows(2).all(|pair| pair.first() > pair.last());
    let step = before.checked_sub(*now)?;
    if !nearer || step <= 0 || *now < 0 {
        return None;
    }
    let more = match recent.series.measure {
        // What is halved each time comes to less than 1 in as many runs as it has binary digits.
        Measure::Number if is_share(&room) => shares(*before, *now)?,
        Measure::Number | Measure::Moment => now.checked_add(step - 1)? / step,
        Measure::Things | Measure::Length | Measure::Position | Measure::Sessions => now / step + 1,
    };
    i64::from(recent.last.0).checked_add(more)
}

/// Whether what is left gets less by a share of itself, and not by the same amount each time.
fn is_share(room: &[i64]) -> bool {
    let mut steps = room.windows(2).filter_map(|pair| Some(pair.first()? - pair.last()?));
    let first = steps.next();
    steps.any(|step| Some(step) != first)
}

/// Runs until nothing whole is left, when each leaves the same share.
fn shares(before: i64, now: i64) -> Option<i64> {
    let mut left = i128::from(now);
    let mut runs = 0;
    while left > 0 && runs <= HORIZON {
        left = left * i128::from(now) / i128::from(before);
        runs += 1;
    }
    (left == 0).then_some(runs)
}

fn hazard(rehearsal: &Rehearsal, run: i64, recent: &Recent<'_>) -> Hazard {
    let series = recent.series;
    let (limit, object) = (&series.limit_words, &series.object);
    let outlook = match series.measure {
        Measure::Sessions => format!(
            "{limit}, and {} needed: after run {run} not everybody finds a free connection (53300)",
            match series.needed {
                1 => "1 is".to_owned(),
                needed => format!("{needed} are"),
            }
        ),
        Measure::Moment => format!(
            "run {run} sets one that has passed, and from then on no new session of {object} gets in with its password"
        ),
        Measure::Number if series.noun.ends_with("_timeout") => format!(
            "run {run} comes to 0, which switches it off, and the runs before that let it end what takes longer than a few \
             milliseconds"
        ),
        Measure::Number => format!("run {run} comes to 0, and {limit}"),
        Measure::Things | Measure::Length | Measure::Position => {
            format!("{limit}: run {run} wants more than that and fails")
        }
    };
    let (at, statement, line) = place(rehearsal, |change| made(recent, change));
    Hazard {
        kind: HazardKind::LimitApproached,
        run: at,
        statement,
        line,
        message: format!("{}; if it goes on like that, {outlook}", step(recent, recent.last == RunNumber(2))),
    }
}

/// Whether a change is one that the series counts.
fn made(recent: &Recent<'_>, change: &Change) -> bool {
    let series = recent.series;
    let within = change.object.ends_with(&format!(" of {}", series.object));
    match series.measure {
        Measure::Sessions => change.kind == ChangeKind::SessionLeft || change.object == series.object,
        _ => {
            within
                || change.object == series.object
                || match series.noun.as_str() {
                    "replication slot" => change.kind == ChangeKind::ReplicationSlotLeft,
                    "prepared transaction" => change.kind == ChangeKind::PreparedTransactionLeft,
                    "lock" => change.kind == ChangeKind::LockLeft,
                    _ => false,
                }
        }
    }
}

#[cfg(test)]
mod tests;
