//! What must still happen while an incident is made smaller: the first thing that went wrong in it.

use std::fmt;

use super::compare::{failing, recorded_of};
use crate::identifiers::{SqlState, WorkerName};
use crate::report::{Document, ResultStatus, RunEntry, WorkerEntry};
use crate::verdict::{ReasonKind, Status};

/// What must still happen after the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A worker is broken or latent.
    Worker {
        /// Which.
        name: WorkerName,
        /// How.
        status: Status,
        /// With which SQLSTATE; none: without one.
        code: Option<SqlState>,
    },
    /// A worker stalls longer than it may.
    Stalled(WorkerName),
    /// The script fails.
    Script {
        /// How.
        status: ResultStatus,
        /// With which SQLSTATE first; none: without one.
        code: Option<SqlState>,
    },
}

impl Target {
    /// The first thing that went wrong, and after how many runs; none: nothing did.
    pub fn of(document: &Document) -> Option<(Self, usize)> {
        let broken = document.runs.iter().zip(1..).find_map(|(run, number)| {
            let worker = recorded_of(run, document).into_iter().next()?;
            Some((Self::worker(worker), number))
        });
        broken.or_else(|| {
            let failed = |run: &&RunEntry| run.result.status != ResultStatus::Succeeded;
            let (at, run) = document.runs.iter().enumerate().find(|(_, run)| failed(run))?;
            Some((Self::Script { status: run.result.status, code: first_error(run) }, at + 1))
        })
    }

    fn worker(worker: &WorkerEntry) -> Self {
        let name = worker.name.clone();
        match worker.status {
            Status::Disrupted => Self::Stalled(name),
            status => Self::Worker { name, status, code: code(worker) },
        }
    }

    /// Whether it is so after the last run.
    pub fn is_met(&self, document: &Document) -> bool {
        let Some(last) = document.runs.last() else { return false };
        let find = |name: &WorkerName| last.workers.iter().find(|worker| worker.name == *name);
        match self {
            Self::Worker { name, status, code: wanted } => {
                find(name).is_some_and(|worker| worker.status == *status && code(worker) == *wanted)
            }
            Self::Stalled(name) => document.reasons.iter().any(|reason| {
                reason.kind == ReasonKind::WorkerDisrupted
                    && reason.run == Some(last.run)
                    && reason.worker.as_ref() == Some(name)
            }),
            Self::Script { status, code } => last.result.status == *status && first_error(last) == *code,
        }
    }
}

fn code(worker: &WorkerEntry) -> Option<SqlState> {
    failing(worker).and_then(|session| session.sqlstate.clone())
}

fn first_error(run: &RunEntry) -> Option<SqlState> {
    run.result.statements.iter().find_map(|statement| statement.sqlstate.clone())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |code: &Option<SqlState>| {
            code.as_ref().map_or_else(String::new, |code| format!(" with SQLSTATE {code}"))
        };
        match self {
            Self::Worker { name, status: Status::Latent, code } => {
                write!(f, "{name} is latent{}", with(code))
            }
            Self::Worker { name, code, .. } => write!(f, "{name} is broken{}", with(code)),
            Self::Stalled(name) => write!(f, "{name} stalls longer than it allows"),
            Self::Script { status: ResultStatus::TimedOut, .. } => {
                f.write_str("the script runs past its timeout")
            }
            Self::Script { code, .. } => write!(f, "the script fails{}", with(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::sample::document;

    #[test]
    fn the_first_thing_that_goes_wrong_is_what_must_stay() {
        let seen = document(&[
            ("failed", &[("a", "ok", None), ("b", "ok", None)]),
            ("succeeded", &[("a", "ok", None), ("b", "latent", Some("42501"))]),
            ("succeeded", &[("a", "broken", None), ("b", "latent", Some("42501"))]),
        ]);
        let (target, runs) = Target::of(&seen).unwrap();
        assert_eq!((target.to_string().as_str(), runs), ("b is latent with SQLSTATE 42501", 2));
        assert!(target.is_met(&seen));
        // Another code, another status, another worker and no run at all are something else.
        for workers in [
            [("b", "latent", Some("28P01"))],
            [("b", "broken", Some("42501"))],
            [("a", "latent", Some("42501"))],
        ] {
            assert!(!target.is_met(&document(&[("succeeded", &workers)])));
        }
        assert!(!target.is_met(&document(&[])));
    }

    #[test]
    fn where_no_worker_breaks_it_is_the_script() {
        let seen = document(&[("succeeded", &[("a", "ok", None)]), ("timed_out", &[("a", "ok", None)])]);
        let (target, runs) = Target::of(&seen).unwrap();
        assert_eq!((target.to_string().as_str(), runs), ("the script runs past its timeout", 2));
        assert!(target.is_met(&seen) && !target.is_met(&document(&[("failed", &[])])));
        assert_eq!(Target::of(&document(&[("succeeded", &[("a", "ok", None)])])), None);
    }
}
