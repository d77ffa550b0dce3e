//! Numbers of several states in a row: how many there are of each kind of thing, how long texts are, how far a
//! sequence is, what limits were set.
//!
//! Only what did not stay the same from the first run on is measured, so that a schema of 1,500 tables costs no more
//! than a small one.

mod numbers;
mod running;
mod things;

use std::sync::Arc;

use super::snapshot::Snapshot;
use super::tables::{Difference, Key, Table, differences};
use crate::observations::{Measure, Needs, Reading, Series};

pub(super) use numbers::moment;
pub(super) use running::{capacity, capacity_words};

/// The series of the states before the first run and after each. Sequences that `moved` says the workers move
/// themselves are not measured, for how far they move them hangs on how fast the machine is.
pub fn series(states: &[Arc<Snapshot>], needs: &Needs, moved: impl Fn(u32) -> bool) -> Vec<Series> {
    let states = States(states);
    let mut found = running::series(&states, needs);
    found.extend(things::series(&states));
    found.extend(numbers::series(&states, moved));
    found
}

/// States in a row.
struct States<'a>(&'a [Arc<Snapshot>]);

impl<'a> States<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a Snapshot> + use<'a> {
        self.0.iter().map(|state| &**state)
    }

    fn last(&self) -> Option<&'a Snapshot> {
        self.0.last().map(|state| &**state)
    }

    /// Calls for each row that came, went or changed after the first run, with the state that it is in.
    fn touched<R: PartialEq + 'a>(
        &self,
        table: impl Fn(&'a Snapshot) -> &'a Table<R>,
        mut call: impl FnMut(&'a Snapshot, Key, &'a R),
    ) {
        for pair in self.0.get(1..).unwrap_or_default().windows(2) {
            let [before, after] = pair else { continue };
            for difference in differences(table(before), table(after)) {
                match difference {
                    Difference::Added(key, row) => call(after, key, row),
                    Difference::Removed(key, row) => call(before, key, row),
                    Difference::Changed(key, was, is) => {
                        call(before, key, was);
                        call(after, key, is);
                    }
                }
            }
        }
    }

    /// A series of what `read` gives of each state; none where it stayed the same.
    fn one(
        &self,
        measure: Measure,
        noun: &str,
        object: String,
        read: impl Fn(&'a Snapshot) -> Option<Reading>,
    ) -> Option<Series> {
        moving(measure, noun, object, self.iter().map(read).collect())
    }
}

/// A series of these readings; none where they stayed the same from the first run on.
fn moving(measure: Measure, noun: &str, object: String, readings: Vec<Option<Reading>>) -> Option<Series> {
    let moved = readings.get(1..).unwrap_or_default().windows(2).any(|pair| pair.first() != pair.last());
    let (noun, limit_words) = (noun.to_owned(), String::new());
    moved.then_some(Series { measure, noun, object, readings, needed: 0, limit_words })
}

/// A number without a limit.
fn plain(value: i64) -> Reading {
    Reading { value, limit: None }
}

/// A count as a number.
fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
