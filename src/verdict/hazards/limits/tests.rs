use super::*;
use crate::observations::{Reading, Series};

fn hits(measure: Measure, values: &[i64], limits: &[i64], needed: i64) -> Option<i64> {
    let reading = |(value, limit): (&i64, &i64)| Reading { value: *value, limit: Some(*limit) };
    let series = Series {
        measure,
        noun: String::new(),
        object: String::new(),
        readings: Vec::new(),
        needed,
        limit_words: String::new(),
    };
    let readings: Vec<_> = values.iter().zip(limits).map(reading).collect();
    let last = RunNumber(u32::try_from(readings.len()).unwrap());
    hit(&Recent { series: &series, readings, first: RunNumber(1), last })
}

#[test]
fn the_run_is_the_first_that_wants_more_than_there_is() {
    // 2, 4 and 6 sessions of 97, of which 5 are needed: after run 46 there are 92, after run 47 they are too many.
    assert_eq!(hits(Measure::Sessions, &[2, 4, 6], &[97; 3], 5), Some(47));
    assert_eq!(hits(Measure::Things, &[1, 2, 3], &[10; 3], 0), Some(11));
    assert_eq!(hits(Measure::Position, &[1000, 2000], &[32_767; 2], 0), Some(33));
    // A limit that is lowered, while nothing is left.
    assert_eq!(hits(Measure::Sessions, &[0, 0, 0], &[10, 8, 6], 3), Some(5));
    // A limit that is hit already, one that goes away, and one that stays.
    assert_eq!(hits(Measure::Sessions, &[2, 4, 6], &[8; 3], 5), None);
    assert_eq!(hits(Measure::Things, &[3, 2, 1], &[10; 3], 0), None);
    assert_eq!(hits(Measure::Things, &[1, 2, 3], &[10, 11, 12], 0), None);
}

#[test]
fn what_is_lowered_comes_to_nothing() {
    assert_eq!(hits(Measure::Number, &[5000, 4000, 3000], &[0; 3], 0), Some(6));
    assert_eq!(hits(Measure::Number, &[8000, 4000, 2000], &[0; 3], 0), Some(14));
    // A date that comes a day nearer with each run.
    assert_eq!(hits(Measure::Moment, &[500, 400, 300], &[60; 3], 0), Some(6));
    assert_eq!(hits(Measure::Moment, &[300, 400, 500], &[60; 3], 0), None);
}
