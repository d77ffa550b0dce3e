//! Judges what was observed: a status for every worker after every run, and what becomes of the check.
//!
//! Pure: no clock, no input or output. The rules are the contract's, section 3.

mod advice;
mod cause;
mod drift;
mod explain;
mod hazards;
mod meanwhile;
mod repair;
mod rows;
mod search;
mod settling;
mod waiting;

use std::collections::BTreeMap;

use crate::identifiers::{RunNumber, WorkerName};
pub use cause::Cause;
pub use drift::{Drift, Drifting, How, drift, written};
pub use hazards::{Hazard, HazardKind, hazards, of_at_once, of_crash_points, of_held_locks, of_latent};
pub use meanwhile::Meanwhile;
pub use repair::Repair;
pub use search::{Proof, Search, is_steering, seen_after, steers, suspects, undone};
pub use settling::{changes_state, settled};

use crate::observations::{Experiment, Rehearsal, RunObservation, WorkerFacts, WorkerObservation};

/// Replays that are asked for at a time: they mostly wait, so that a few take hardly longer than one.
const AT_ONCE: usize = 3;

/// What becomes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every automation works.
    Pass,
    /// An automation was broken, or a script failed where it should not.
    Fail,
    /// A worker did not work even before the first run.
    Inconclusive,
}

/// How a worker is after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Both sessions work and nothing went wrong meanwhile.
    Ok,
    /// Both work, but iterations failed or stalled while the script ran.
    Disrupted,
    /// Its session works, a new one does not.
    Latent,
    /// It fails on the session it has.
    Broken,
}

/// Why a check did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// A worker is broken.
    WorkerBroken,
    /// A worker is latent.
    WorkerLatent,
    /// A worker stalled longer than it may.
    WorkerDisrupted,
    /// A script failed.
    ScriptFailed,
    /// A worker failed before the first run.
    WorkerFailsAtBaseline,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// Which kind.
    pub kind: ReasonKind,
    /// The worker that it is about.
    pub worker: Option<WorkerName>,
    /// The run that it is about.
    pub run: Option<RunNumber>,
    /// In a sentence.
    pub message: String,
}

/// A worker after a run, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its status.
    pub status: Status,
    /// What happened while the script ran.
    pub meanwhile: Option<Meanwhile>,
    /// What broke or disrupted it, while it is not well.
    pub cause: Option<Cause>,
    /// That in a few sentences.
    pub explanation: String,
    /// What mends it.
    pub repair: Option<Repair>,
    /// How the script avoids it.
    pub advice: Option<String>,
}

/// The judgement of a rehearsal. `runs` is parallel to the rehearsal's, and so are the workers of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What becomes of the check.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Every worker before the first run.
    pub baseline: Vec<Judged>,
    /// Every worker after every run.
    pub runs: Vec<Vec<Judged>>,
}

/// Judges a rehearsal.
pub fn judge(rehearsal: &Rehearsal) -> Verdict {
    let baseline = rehearsal
        .baseline
        .iter()
        .map(|worker| {
            let (status, meanwhile) = status(worker, None, None, false);
            Judged { status, meanwhile, cause: None, explanation: String::new(), repair: None, advice: None }
        })
        .collect();
    let mut reasons: Vec<Reason> = rehearsal
        .baseline
        .iter()
        .filter_map(|worker| {
            let probes = worker.existing_session.iter().chain([&worker.new_session]);
            let failure = probes.filter_map(|probe| probe.failure.as_ref()).next()?;
            Some(Reason {
                kind: ReasonKind::WorkerFailsAtBaseline,
                worker: Some(worker.name.clone()),
                run: None,
                message: format!("{} fails even before the first run: {}", worker.name, failure.message),
            })
        })
        .collect();
    if !reasons.is_empty() {
        return Verdict { outcome: Outcome::Inconclusive, reasons, baseline, runs: Vec::new() };
    }
    let mut since: BTreeMap<&WorkerName, (Status, RunNumber)> = BTreeMap::new();
    let mut runs = Vec::new();
    for run in &rehearsal.runs {
        if run.result.failed() && !run.may_fail {
            reasons.push(Reason {
                kind: ReasonKind::ScriptFailed,
                worker: None,
                run: Some(run.run),
                message: format!("{} failed in run {}", run.script, run.run),
            });
        }
        let mut judged = Vec::new();
        for worker in &run.workers {
            let facts = rehearsal.workers.iter().find(|facts| facts.name == worker.name);
            let before = since.get(&worker.name).copied();
            let (status, meanwhile) = status(worker, facts, Some(run), before.is_some());
            if matches!(status, Status::Broken | Status::Latent) {
                let first = before.map_or(run.run, |(_, first)| first);
                since.insert(&worker.name, (status, first));
            } else {
                since.remove(&worker.name);
            }
            if before.is_none_or(|(known, _)| known != status) {
                reasons.extend(reason(worker, status, run.run, meanwhile.as_ref(), facts));
            }
            let cause = match status {
                Status::Ok => None,
                Status::Disrupted => Some(waiting::held_up(run, &worker.name)),
                Status::Latent | Status::Broken => {
                    since.get(&worker.name).map(|(_, run)| cause::cause(rehearsal, &worker.name, *run))
                }
            };
            let explanation = cause.as_ref().map(|cause| explain::explain(rehearsal, worker, status, cause));
            let advice = cause.as_ref().and_then(|cause| advice::advice(rehearsal, worker, status, cause));
            let repair = match (&cause, status) {
                (Some(cause), Status::Latent | Status::Broken) => {
                    match repair::mending(rehearsal, &worker.name, cause) {
                        repair::Mending::Found(repair) => Some(repair),
                        repair::Mending::Ask(_) | repair::Mending::NotFound => None,
                    }
                }
                _ => None,
            };
            judged.push(Judged {
                status,
                meanwhile,
                cause,
                explanation: explanation.unwrap_or_default(),
                repair,
                advice,
            });
        }
        runs.push(judged);
    }
    let outcome = if reasons.is_empty() { Outcome::Pass } else { Outcome::Fail };
    Verdict { outcome, reasons, baseline, runs }
}

/// The replays that would tell more of which statements broke workers. None: all is known that can be.
pub fn of_causes(rehearsal: &Rehearsal) -> Vec<Experiment> {
    cause::questions(rehearsal, &broken(rehearsal))
}

/// The replays that would tell more of what mends broken workers. None: all is known that can be. The changes of the
/// runs must be known by then.
pub fn of_repairs(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let broken = broken(rehearsal);
    let cause = |worker: &WorkerName, run: RunNumber| cause::cause(rehearsal, worker, run);
    let mut questions = rows::questions(rehearsal, &broken, cause);
    questions.extend(repair::questions(rehearsal, &broken, cause));
    questions
}

/// Who was broken by which run.
fn broken(rehearsal: &Rehearsal) -> Vec<(WorkerName, RunNumber)> {
    let mut broken: Vec<(WorkerName, RunNumber)> = Vec::new();
    for (run, judged) in rehearsal.runs.iter().zip(judge(rehearsal).runs) {
        for (worker, judged) in run.workers.iter().zip(judged) {
            let bad = matches!(judged.status, Status::Broken | Status::Latent);
            let new = judged.cause.filter(|cause| bad && cause.run == run.run);
            broken.extend(new.map(|cause| (worker.name.clone(), cause.run)));
        }
    }
    broken
}

/// How a worker is when nobody has looked at what went on meanwhile.
pub fn standing_of(worker: &WorkerObservation) -> Status {
    status(worker, None, None, false).0
}

/// `was_broken`: the run before left it broken or latent, so that failures until its first success are that
/// run's doing, not this one's.
fn status(
    worker: &WorkerObservation,
    facts: Option<&WorkerFacts>,
    run: Option<&RunObservation>,
    was_broken: bool,
) -> (Status, Option<Meanwhile>) {
    let held_up = |from_ms: f64, until_ms: f64| {
        run.map_or(0.0, |run| waiting::held_up_ms(run, &worker.name, from_ms, until_ms))
    };
    let summary = |without_leading_failures: bool| {
        let seen = worker.while_running.as_ref();
        seen.map(|seen| Meanwhile::summarise(seen, held_up, without_leading_failures))
    };
    let (meanwhile, own) = (summary(false), summary(was_broken));
    let allowed = facts.map_or(f64::INFINITY, |facts| facts.max_outage_ms);
    let new_works = worker.new_session.ok();
    let status = match &worker.existing_session {
        Some(existing) if !existing.ok() => Status::Broken,
        None if !new_works => Status::Broken,
        Some(_) if !new_works => Status::Latent,
        _ => match &own {
            Some(seen) if seen.failures > 0 || seen.longest_gap_ms > allowed => Status::Disrupted,
            _ => Status::Ok,
        },
    };
    (status, meanwhile)
}

fn reason(
    worker: &WorkerObservation,
    status: Status,
    run: RunNumber,
    meanwhile: Option<&Meanwhile>,
    facts: Option<&WorkerFacts>,
) -> Option<Reason> {
    let name = &worker.name;
    let new = worker.new_session.failure.as_ref();
    let existing = worker.existing_session.as_ref().and_then(|probe| probe.failure.as_ref());
    let said = |failure: Option<&crate::observations::Failure>| {
        failure.map(|failure| failure.message.clone()).unwrap_or_default()
    };
    let (kind, message) = match status {
        Status::Ok => return None,
        Status::Disrupted => {
            let gap = meanwhile.map_or(0.0, |seen| seen.longest_gap_ms);
            let allowed = facts.map_or(f64::INFINITY, |facts| facts.max_outage_ms);
            if gap <= allowed {
                return None;
            }
            let message = format!(
                "{name} stood still for {gap:.0} ms while run {run} ran; {allowed:.0} ms are allowed"
            );
            (ReasonKind::WorkerDisrupted, message)
        }
        Status::Latent => (
            ReasonKind::WorkerLatent,
            format!("{name} works on the session it has, but a new one fails after run {run}: {}", said(new)),
        ),
        Status::Broken => (
            ReasonKind::WorkerBroken,
            format!("{name} is broken after run {run}: {}", said(existing.or(new))),
        ),
    };
    Some(Reason { kind, worker: Some(name.clone()), run: Some(run), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::{Failure, FailureKind, Iteration, Probe, WhileRunning};

    fn failure() -> Failure {
        Failure {
            kind: FailureKind::Statement,
            sqlstate: None,
            message: "no".to_owned(),
            detail: None,
            step: Some(1),
        }
    }

    fn probe(ok: bool) -> Probe {
        Probe { failure: (!ok).then(failure), duration_ms: 1.0, reopened: false }
    }

    fn worker(existing: Option<bool>, new: bool, meanwhile: &[(f64, f64, bool)]) -> WorkerObservation {
        WorkerObservation {
            name: WorkerName::new("w"),
            while_running: Some(WhileRunning {
                iterations: meanwhile
                    .iter()
                    .map(|(began_ms, ended_ms, ok)| Iteration {
                        began_ms: *began_ms,
                        ended_ms: *ended_ms,
                        failure: (!ok).then(failure),
                    })
                    .collect(),
                ordinary_ms: Some(10.0),
            }),
            existing_session: existing.map(probe),
            new_session: probe(new),
        }
    }

    fn facts() -> WorkerFacts {
        WorkerFacts {
            name: WorkerName::new("w"),
            role: crate::identifiers::RoleName::new("r"),
            steps: vec![],
            max_outage_ms: 1000.0,
        }
    }

    #[test]
    fn statuses_follow_the_contract() {
        let fine = [(0.0, 10.0, true)];
        let hiccup = [(0.0, 10.0, false), (20.0, 30.0, true)];
        for (existing, new, meanwhile, wanted) in [
            (Some(true), true, &fine[..], Status::Ok),
            (Some(true), true, &hiccup[..], Status::Disrupted),
            (Some(true), false, &fine[..], Status::Latent),
            (Some(false), true, &fine[..], Status::Broken),
            (Some(false), false, &fine[..], Status::Broken),
            (None, true, &fine[..], Status::Ok),
            (None, false, &fine[..], Status::Broken),
        ] {
            assert_eq!(status(&worker(existing, new, meanwhile), Some(&facts()), None, false).0, wanted);
        }
    }

    #[test]
    fn failures_that_an_earlier_run_caused_do_not_disrupt_this_one() {
        let mended = worker(Some(true), true, &[(0.0, 10.0, false), (20.0, 30.0, true)]);
        assert_eq!(status(&mended, Some(&facts()), None, true).0, Status::Ok);
        let again = worker(
            Some(true),
            true,
            &[(0.0, 10.0, false), (20.0, 30.0, true), (40.0, 50.0, false), (60.0, 70.0, true)],
        );
        assert_eq!(status(&again, Some(&facts()), None, true).0, Status::Disrupted);
    }
}
