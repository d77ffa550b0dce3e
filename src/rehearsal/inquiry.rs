//! Finds out why: asks the verdict which replays would tell more, and makes them.

use futures_util::future::join_all;

use super::replay::{Known, Replayer};
use crate::failure::Failure;
use crate::observations::{Experiment, Rehearsal};
use crate::plan::Plan;
use crate::progress::{Phase, Progress};
use crate::sandbox::Scope;
use crate::tap::Recording;

/// Replays that a rehearsal may take: what has not been found by then is not found.
const MOST: usize = 200;

/// Replays in which the script did not end, after which no more are made: each takes long.
const ENDLESS: usize = 3;

/// Times that the same questions are asked of new copies when none gives an answer.
const ATTEMPTS: u32 = 3;

/// Adds replays to a rehearsal until there are no more questions. Recordings are parallel to its runs.
pub(super) async fn inquire(
    plan: &Plan,
    mut rehearsal: Rehearsal,
    recordings: &[Recording],
    scope: &Scope,
    progress: &Progress,
    questions: impl Fn(&Rehearsal) -> Vec<Experiment>,
) -> Result<Rehearsal, Failure> {
    let results: Vec<_> = rehearsal.runs.iter().map(|run| run.result.clone()).collect();
    let known = rehearsal
        .runs
        .iter()
        .zip(&results)
        .zip(recordings)
        .map(|((run, result), recording)| Known { run: run.run, result, recording })
        .collect();
    let replayer = Replayer::new(plan, &rehearsal.sandbox.backend, scope, known);
    let mut fruitless = 0;
    loop {
        let questions = questions(&rehearsal);
        if questions.is_empty() || rehearsal.replays.len() >= MOST {
            return Ok(rehearsal);
        }
        progress.phase(&Phase::Why { replays: rehearsal.replays.len() });
        let answers = join_all(questions.into_iter().map(|question| replayer.replay(question))).await;
        let before = rehearsal.replays.len();
        // A copy that cannot be had, or in which the workers do not work, answers nothing: no reason to fail.
        for answer in answers {
            rehearsal.replays.extend(answer.ok().flatten());
        }
        fruitless = if rehearsal.replays.len() == before { fruitless + 1 } else { 0 };
        if fruitless == ATTEMPTS || replayer.endless() >= ENDLESS {
            return Ok(rehearsal);
        }
    }
}
