//! What an incident records: of every run whether the script failed, and whom it broke; of a saved one the whole report.

use super::compare::recorded_of;
use crate::identifiers::{RunNumber, WorkerName};
use crate::plan::Plan;
use crate::report::{Document, ResultStatus, RunEntry};

/// What is to happen again.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Every run, in order.
    pub runs: Vec<RecordedRun>,
    /// The report of the check that was saved, if it was one.
    pub report: Option<Document>,
}

/// One run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRun {
    /// Its number.
    pub run: RunNumber,
    /// Whether the script failed; none: nobody says, and it may.
    pub fails: Option<bool>,
    /// The workers that it broke.
    pub breaks: Vec<WorkerName>,
}

impl Recorded {
    /// What the `[[run]]` entries of a rehearsal file record; none where they record nothing.
    pub fn of_plan(plan: &Plan) -> Option<Self> {
        let run = |spec: &crate::runs::RunSpec| RecordedRun {
            run: spec.number,
            fails: spec.fails,
            breaks: spec.breaks.clone(),
        };
        let runs: Vec<_> = plan.runs.iter().map(run).collect();
        let any = runs.iter().any(|run| run.fails == Some(true) || !run.breaks.is_empty());
        any.then_some(Self { runs, report: None })
    }

    /// What the report of a check records.
    pub fn of_report(report: Document) -> Self {
        let run = |run: &RunEntry| RecordedRun {
            run: run.run,
            fails: Some(run.result.status != ResultStatus::Succeeded),
            breaks: recorded_of(run, &report).iter().map(|worker| worker.name.clone()).collect(),
        };
        let runs = report.runs.iter().map(run).collect();
        Self { runs, report: Some(report) }
    }
}
