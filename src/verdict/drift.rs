//! Whether runs of the same script go on changing the state, and how: it grows, it alternates, or something shrinks
//! toward a limit.
//!
//! Pure. The first of these runs does what the script is for; only what the others do is drift.

mod rows;
mod words;

use std::collections::BTreeSet;

use crate::identifiers::RunNumber;
use crate::observations::{Change, ChangeKind, Measure, Reading, Rehearsal, RunObservation, Series};

pub use rows::written;
pub(super) use words::{span, step};

/// How a script changes the state from run to run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drift {
    /// In which way.
    pub how: How,
    /// What drifts, the most telling first.
    pub what: Vec<Drifting>,
    /// All of it in a sentence.
    pub message: String,
}

/// The ways of drifting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Each run adds more of it.
    Grows,
    /// Each run undoes what the one before it did, or a few runs come round to where they began.
    Alternates,
    /// Each run leaves less of it.
    Shrinks,
    /// Each run changes it, without a direction that could be told.
    Changes,
}

/// One thing that drifts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drifting {
    /// In which way.
    pub how: How,
    /// What it is, in the singular: `session`, `constraint`, `statement_timeout`; a kind of change where it is no number.
    pub noun: String,
    /// Whose.
    pub object: String,
    /// The numbers after those runs of which they tell, the last one last; rows are those that each run added.
    pub values: Vec<i64>,
    /// The limit as of the last of them.
    pub limit: Option<i64>,
    /// In a sentence.
    pub message: String,
}

/// How many runs a direction must hold for, where there are as many.
const HELD: usize = 3;
/// Things that the sentence names.
const NAMED: usize = 2;

/// How the runs drift; none where there are not two runs of one script, or the last one left everything as it was.
pub fn drift(rehearsal: &Rehearsal) -> Option<Drift> {
    let runs = alike(rehearsal);
    let [_, .., last] = runs else { return None };
    let changed = super::changes_state(&last.changes);
    if changed && rehearsal.course.returned.contains(&last.run) {
        return Some(alternates(last));
    }
    let series = recent(rehearsal);
    let mut what: Vec<Drifting> = series
        .iter()
        .filter(|one| !series.iter().any(|other| other.is_narrower(one)))
        .filter_map(|recent| drifting(recent, runs))
        .collect();
    what.extend(rows::growing(runs));
    what.extend(rows::alternating(&rehearsal.course.contents, runs));
    if what.is_empty() && changed {
        what = changing(last);
    }
    // What comes nearer to a limit comes first.
    what.sort_by_key(|one| (one.how != How::Shrinks, one.limit.is_none(), one.how != How::Alternates));
    let how = what.first()?.how;
    Some(Drift { how, message: words::sentence(&what, NAMED), what })
}

/// The last runs, as far back as they are of the same script by the same role.
fn alike(rehearsal: &Rehearsal) -> &[RunObservation] {
    let runs = &rehearsal.runs;
    let Some(last) = runs.last() else { return &[] };
    let same = |run: &&RunObservation| (&run.script, &run.role) == (&last.script, &last.role);
    let count = runs.iter().rev().take_while(same).count();
    runs.get(runs.len() - count..).unwrap_or_default()
}

/// The last readings of a series, all of which are there: those after the runs that make its direction.
pub(super) struct Recent<'a> {
    pub(super) series: &'a Series,
    pub(super) readings: Vec<Reading>,
    /// The run of the first of them.
    pub(super) first: RunNumber,
    pub(super) last: RunNumber,
}

/// The series that go on in the reruns.
pub(super) fn recent(rehearsal: &Rehearsal) -> Vec<Recent<'_>> {
    let runs = alike(rehearsal);
    let taken = runs.len().min(HELD + 1);
    let runs = runs.get(runs.len() - taken..).unwrap_or_default();
    let [first, .., last] = runs else { return Vec::new() };
    let series = rehearsal.course.series.iter();
    series
        .filter(|series| series.readings.len() == rehearsal.runs.len() + 1)
        .filter_map(|series| {
            let readings = series.readings.get(series.readings.len() - taken..)?;
            let readings = readings.iter().copied().collect::<Option<Vec<Reading>>>()?;
            Some(Recent { series, readings, first: first.run, last: last.run })
        })
        .collect()
}

impl Recent<'_> {
    fn values(&self) -> Vec<i64> {
        self.readings.iter().map(|reading| reading.value).collect()
    }

    /// The limits; none where one of the runs knew none.
    fn limits(&self) -> Option<Vec<i64>> {
        self.readings.iter().map(|reading| reading.limit).collect()
    }

    /// What is left until the limit, after each run.
    pub(super) fn room(&self) -> Option<Vec<i64>> {
        let limits = self.limits()?.into_iter();
        let room = limits.zip(self.values()).map(|(limit, value)| match self.series.measure {
            Measure::Number | Measure::Moment => value.saturating_sub(limit),
            Measure::Things | Measure::Length | Measure::Position | Measure::Sessions => {
                limit.saturating_sub(value).saturating_sub(self.series.needed)
            }
        });
        Some(room.collect())
    }

    /// Whether it counts the same sessions as another, of which the whole server has no more.
    fn is_narrower(&self, other: &Recent<'_>) -> bool {
        let sessions = |one: &Recent<'_>| one.series.measure == Measure::Sessions;
        sessions(self)
            && sessions(other)
            && other.series.object == words::SERVER
            && self.series.object != words::SERVER
            && self.values() == other.values()
    }

    /// The numbers that move, and where to.
    pub(super) fn direction(&self) -> Option<(How, Vec<i64>)> {
        let values = self.values();
        let measure = self.series.measure;
        if falls(&values) {
            return Some((How::Shrinks, values)).filter(|_| measure != Measure::Position);
        }
        // A date that each run sets anew lies a little later each time.
        if rises(&values) {
            return Some((How::Grows, values)).filter(|_| measure != Measure::Moment);
        }
        let limits = self.limits().filter(|limits| falls(limits))?;
        (measure == Measure::Sessions).then_some((How::Shrinks, limits))
    }
}

fn rises(values: &[i64]) -> bool {
    values.windows(2).all(|pair| pair.first() < pair.last())
}

fn falls(values: &[i64]) -> bool {
    values.windows(2).all(|pair| pair.first() > pair.last())
}

fn drifting(recent: &Recent<'_>, runs: &[RunObservation]) -> Option<Drifting> {
    let (how, values) = recent.direction()?;
    let limit = recent.readings.last().and_then(|reading| reading.limit);
    let once = runs.len() == 2;
    Some(Drifting {
        how,
        noun: recent.series.noun.clone(),
        object: recent.series.object.clone(),
        values,
        limit: limit.filter(|_| recent.series.measure != Measure::Moment),
        message: step(recent, once),
    })
}

/// What a run changed, each thing once.
fn changing(run: &RunObservation) -> Vec<Drifting> {
    let mut told = BTreeSet::new();
    telling(run)
        .into_iter()
        .filter(|change| told.insert(&change.object))
        .map(|change| Drifting {
            how: How::Changes,
            noun: words::kind(change),
            object: change.object.clone(),
            values: Vec::new(),
            limit: None,
            message: format!("run {} still changed {}", run.run, words::changed(change)),
        })
        .collect()
}

fn alternates(last: &RunObservation) -> Drift {
    let mut what = changing(last);
    for one in &mut what {
        one.how = How::Alternates;
    }
    let changes = telling(last);
    let mut told = BTreeSet::new();
    let objects: Vec<String> = changes
        .iter()
        .filter(|change| told.insert(&change.object))
        .map(|change| words::changed(change))
        .collect();
    let message = format!(
        "each run undoes what the one before it did: run {} brought back {}",
        last.run,
        words::some(&objects, NAMED)
    );
    Drift { how: How::Alternates, what, message }
}

/// The changes that say what was done, without those that only follow from them.
fn telling(run: &RunObservation) -> Vec<&Change> {
    let counts =
        |change: &&Change| !matches!(change.kind, ChangeKind::ObjectRecreated | ChangeKind::RoleRecreated);
    let follows = |change: &&Change| matches!(change.kind, ChangeKind::AccessLost | ChangeKind::AccessGained);
    let all: Vec<&Change> = run.changes.iter().filter(counts).collect();
    let own: Vec<&Change> = all.iter().copied().filter(|change| !follows(change)).collect();
    if own.is_empty() { all } else { own }
}

#[cfg(test)]
mod tests;
