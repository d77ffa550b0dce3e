//! Several scripts: independent rehearsals, some at the same time, each on its own clone; one report.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anstream::stream::IsTerminal as _;
use futures_util::{FutureExt as _, StreamExt as _};

use super::contain::contain;
use super::outputs::Outputs;
use crate::cli::RunningArgs;
use crate::failure::{Exit, Failure};
use crate::plan::Plan;
use crate::progress::{Board, Progress};
use crate::rehearsal::rehearse;
use crate::report::{Conclusion, Document, Report, ScriptEntry, document, human};
use crate::sandbox::Scope;
use crate::verdict::judge;

/// A script that is to be rehearsed.
pub(super) struct Item {
    /// The script as the user named it; of an incident, its rehearsal file.
    pub(super) script: String,
    /// The major version, where several were asked for.
    pub(super) postgres: Option<u32>,
    /// How.
    pub(super) plan: Plan,
}

/// Rehearses every script, and reports all of them together.
///
/// # Errors
/// That it was interrupted, or a report cannot be written. A script that cannot be rehearsed is in the report.
pub(super) async fn check(
    items: Vec<Item>,
    jobs: Option<u32>,
    args: &RunningArgs,
    outputs: &Outputs,
) -> Result<Exit, Failure> {
    let board = Board::new(args.quiet, std::io::stderr().is_terminal(), items.len());
    let scope = Scope::create()?;
    // Every rehearsal has workers, a server and replays: one for every two processors leaves room for these.
    let jobs = jobs.map_or_else(
        || std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2).max(1),
        |jobs| usize::try_from(jobs).unwrap_or(1),
    );
    let progress = board.whole();
    let work = async {
        let report = Report::new(rehearsed(items, jobs, &scope, &board).await);
        board.clear();
        outputs.write(&report)?;
        Ok(worst(&report))
    };
    contain(scope.clone(), &progress, work, async |exit| exit).await
}

/// The entries of all items, in their order.
async fn rehearsed(items: Vec<Item>, jobs: usize, scope: &Scope, board: &Board) -> Vec<ScriptEntry> {
    let entries = items.into_iter().enumerate().map(|(at, item)| async move {
        let Item { script, postgres, plan } = item;
        let work = AssertUnwindSafe(one(&script, postgres, &plan, scope, board)).catch_unwind();
        let document = work.await.unwrap_or_else(|_| Err(Failure::defect("it panicked")));
        let entry = match document {
            Ok(document) => ScriptEntry::of(document, postgres),
            Err(failure) => ScriptEntry::failed(script, postgres, failure.trouble()),
        };
        board.done(&human::line(&entry));
        (at, entry)
    });
    let mut entries: Vec<_> = futures_util::stream::iter(entries).buffer_unordered(jobs).collect().await;
    entries.sort_by_key(|(at, _)| *at);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

async fn one(
    script: &str,
    postgres: Option<u32>,
    plan: &Plan,
    scope: &Scope,
    board: &Board,
) -> Result<Document, Failure> {
    let title = postgres.map_or_else(|| script.to_owned(), |major| format!("{script}, PostgreSQL {major}"));
    let progress: Arc<Progress> = Arc::new(board.script(&title));
    let scope = scope.child()?;
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let rehearsed = rehearse(plan, &scope, &progress).await;
    let document = rehearsed.map(|rehearsed| {
        let verdict = judge(&rehearsed.observations);
        document(script, &rehearsed.observations, &verdict)
    });
    scope.close().await;
    progress.clear();
    document
}

/// The worst exit code of all scripts.
fn worst(report: &Report) -> Exit {
    let of = |entry: &ScriptEntry| match (entry.verdict, &entry.error) {
        (Conclusion::Pass, _) => Exit::Pass,
        (Conclusion::Fail, _) => Exit::Fail,
        (Conclusion::Inconclusive, _) => Exit::Inconclusive,
        (Conclusion::Error, Some(trouble)) if trouble.exit_code == Exit::Usage as u8 => Exit::Usage,
        (Conclusion::Error, Some(trouble)) if trouble.exit_code == Exit::Defect as u8 => Exit::Defect,
        (Conclusion::Error, _) => Exit::Environment,
    };
    report.scripts.iter().map(of).max_by_key(|exit| *exit as u8).unwrap_or(Exit::Pass)
}
