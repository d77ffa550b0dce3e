//! What a worker went through while a script ran.

use hdrhistogram::Histogram;

use crate::observations::{Iteration, WhileRunning};

/// Statistics of the iterations while a script ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Meanwhile {
    /// How many there were.
    pub iterations: u64,
    /// How many failed.
    pub failures: u64,
    /// Longest time without a successful iteration beyond what one ordinarily takes.
    pub longest_gap_ms: f64,
    /// Median duration of the successful ones.
    pub p50_ms: f64,
    /// 99th percentile of them.
    pub p99_ms: f64,
}

/// How many times as long as ordinarily an iteration may take that has failed for nothing but its timeout, if at all,
/// and that no statement of the script held up: the machine has other things to do then, for instance the copy in which
/// the run is traced. On two cores with four other rehearsals beside it, iterations were seen to take four times as long
/// from one second to the next.
const LABOURED: f64 = 10.0;

impl Meanwhile {
    /// Statistics of the iterations. An outage begins with the first attempt that does not succeed at once and ends with
    /// the next success: the pauses of a worker that rests between iterations are none.
    ///
    /// `held_up` tells for how long statements of the script may have held the worker up between two times; all in
    /// milliseconds. With `without_leading_failures` those until the first success are not counted, which are an earlier
    /// run's doing.
    pub(super) fn summarise(
        seen: &WhileRunning,
        held_up: impl Fn(f64, f64) -> f64,
        without_leading_failures: bool,
    ) -> Self {
        let mut longest: f64 = 0.0;
        let mut trying_since: Option<f64> = None;
        // Whether something else than time was short since then.
        let mut refused = false;
        let mut failures = 0;
        // Durations in microseconds, to three significant digits; it grows as it must.
        let mut durations: Option<Histogram<u64>> = Histogram::new(3).ok();
        let leading = |iteration: &&Iteration| without_leading_failures && iteration.failure.is_some();
        for iteration in seen.iterations.iter().skip_while(leading) {
            let since = trying_since.unwrap_or(iteration.began_ms);
            refused |= iteration.failure.as_ref().is_some_and(|failure| !failure.is_of_time());
            let took = iteration.ended_ms - since;
            let beyond = took - seen.ordinary_ms.unwrap_or_default();
            let gap = if refused { beyond } else { beyond.min(held_up(since, iteration.ended_ms)) };
            longest = longest.max(gap);
            if let Some(ordinary_ms) = seen.ordinary_ms {
                longest = longest.max(took - ordinary_ms * LABOURED);
            }
            if iteration.failure.is_some() {
                failures += 1;
                trying_since = Some(since);
            } else {
                trying_since = None;
                refused = false;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded by max()
                let micros = ((iteration.ended_ms - iteration.began_ms) * 1e3).max(1.0) as u64;
                if let Some(durations) = &mut durations {
                    // It resizes itself, and every duration fits into 64 bits.
                    let _ = durations.record(micros);
                }
            }
        }
        #[allow(clippy::cast_precision_loss)] // microseconds of one script
        let quantile = |q: f64| {
            durations
                .as_ref()
                .filter(|all| !all.is_empty())
                .map_or(0.0, |all| all.value_at_quantile(q) as f64 / 1e3)
        };
        Self {
            iterations: u64::try_from(seen.iterations.len()).unwrap_or(u64::MAX),
            failures,
            longest_gap_ms: longest.max(0.0),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::{Failure, FailureKind};

    /// Iterations, each from when to when and whether it was completed.
    fn seen(iterations: &[(f64, f64, bool)]) -> WhileRunning {
        let failure = Failure {
            kind: FailureKind::Statement,
            sqlstate: None,
            message: "no".to_owned(),
            detail: None,
            step: Some(1),
        };
        let iterations = iterations.iter().map(|(began_ms, ended_ms, ok)| Iteration {
            began_ms: *began_ms,
            ended_ms: *ended_ms,
            failure: (!ok).then(|| failure.clone()),
        });
        WhileRunning { iterations: iterations.collect(), ordinary_ms: Some(10.0) }
    }

    fn of(iterations: &[(f64, f64, bool)]) -> Meanwhile {
        Meanwhile::summarise(&seen(iterations), |_, _| 0.0, false)
    }

    fn gap(meanwhile: &Meanwhile, wanted: f64) {
        assert!((meanwhile.longest_gap_ms - wanted).abs() < 1e-9, "{meanwhile:?}");
    }

    #[test]
    fn an_outage_lasts_from_the_first_failing_attempt_to_the_next_success() {
        let meanwhile = of(&[
            (0.0, 10.0, true),
            (500.0, 600.0, false),
            (700.0, 800.0, false),
            (900.0, 910.0, true),
            (5000.0, 5010.0, true),
        ]);
        assert_eq!(meanwhile.failures, 2);
        gap(&meanwhile, 400.0);
    }

    #[test]
    fn durations_are_those_of_completed_iterations() {
        let meanwhile = of(&[(0.0, 10.0, true), (20.0, 50.0, true), (60.0, 999.0, false)]);
        assert!((meanwhile.p50_ms - 10.0).abs() < 0.1, "{meanwhile:?}");
        assert!((meanwhile.p99_ms - 30.0).abs() < 0.1, "{meanwhile:?}");
    }

    #[test]
    fn a_slow_iteration_is_a_stall_beyond_what_one_ordinarily_takes() {
        let slow = [(0.0, 10.0, true), (100.0, 600.0, true)];
        let held_up = |for_ms: f64| {
            move |from: f64, until: f64| if from < 200.0 && until > 200.0 { for_ms } else { 0.0 }
        };
        gap(&Meanwhile::summarise(&seen(&slow), held_up(499.0), false), 490.0);
        gap(&Meanwhile::summarise(&seen(&slow), held_up(450.0), false), 450.0);
        // The machine is busy, for all that is known.
        gap(&Meanwhile::summarise(&seen(&slow), held_up(20.0), false), 400.0);
        gap(&of(&slow), 400.0);
        gap(&of(&[(0.0, 99.0, true)]), 0.0);
        // A failure is its own explanation.
        gap(&of(&[(0.0, 29.0, false)]), 19.0);
    }

    #[test]
    fn a_timeout_is_a_stall_as_a_slow_iteration_is() {
        let mut seen =
            seen(&[(0.0, 60.0, false), (60.0, 90.0, true), (100.0, 110.0, false), (120.0, 130.0, true)]);
        for iteration in &mut seen.iterations {
            if let Some(failure) = &mut iteration.failure {
                failure.kind = FailureKind::TimedOut;
            }
        }
        let gap_of = |seen: &WhileRunning, waited: f64| {
            let held_up = |from: f64, _| if from < 50.0 { waited } else { 0.0 };
            Meanwhile::summarise(seen, held_up, false)
        };
        assert_eq!(gap_of(&seen, 0.0).failures, 2);
        gap(&gap_of(&seen, 0.0), 0.0);
        gap(&gap_of(&seen, 50.0), 50.0);
        // It goes on for too long for a busy machine.
        seen.iterations[1].ended_ms = 160.0;
        gap(&gap_of(&seen, 0.0), 60.0);
        // It had no time for it before the first run either.
        let short_of_time = WhileRunning { ordinary_ms: None, ..seen.clone() };
        gap(&gap_of(&short_of_time, 0.0), 0.0);
        gap(&gap_of(&short_of_time, 50.0), 50.0);
        // What it was refused afterwards has nothing to do with it.
        if let Some(failure) = &mut seen.iterations[2].failure {
            failure.kind = FailureKind::Statement;
        }
        seen.iterations[1].ended_ms = 90.0;
        gap(&gap_of(&seen, 0.0), 20.0);
    }
}
