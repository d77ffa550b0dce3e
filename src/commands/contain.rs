//! Work in a sandbox, and the removal of the sandbox whatever becomes of the work.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::interrupt::interrupted;
use crate::failure::Failure;
use crate::progress::{Phase, Progress};
use crate::sandbox::Scope;

/// Does work, and removes everything of its sandbox when it has ended, failed, panicked or was interrupted.
/// Work that succeeded may linger before that, and then says itself what ends it.
///
/// # Errors
/// What the work failed with; that it panicked, which is a defect; that it was interrupted.
pub async fn contain<T, R, L: Future<Output = R>>(
    scope: Scope,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>>,
    linger: impl FnOnce(T) -> L,
) -> Result<R, Failure> {
    let done = tokio::select! {
        result = AssertUnwindSafe(work).catch_unwind() => {
            result.unwrap_or_else(|_| Err(Failure::defect("it panicked")))
        }
        failure = interrupted("the sandbox has been removed") => Err(failure),
    };
    let result = match done {
        Ok(value) => Ok(linger(value).await),
        Err(failure) => Err(failure),
    };
    progress.phase(&Phase::Removal);
    scope.close().await;
    progress.clear();
    result
}
