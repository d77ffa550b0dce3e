//! A sandbox whose workers are at work and in which no script runs, for `thirdrun up`.

use super::stage::{Set, Stage};
use super::{Workers, derive};
use crate::failure::Failure;
use crate::identifiers::RunNumber;
use crate::observations::CloneFacts;
use crate::plan::Plan;
use crate::progress::{Phase, Progress};
use crate::sandbox::{Sandbox, Scope};
use crate::workers::Crew;

/// It.
pub struct Raised {
    /// The plan, with the workers that there are.
    pub plan: Plan,
    /// What the clone holds.
    pub clone: CloneFacts,
    /// The server.
    pub sandbox: Sandbox,
    /// Every worker, those of later runs too, with its sessions.
    pub crew: Crew,
}

/// Has a sandbox with the clone, and workers that have sessions. Whether they work is not looked at yet.
///
/// # Errors
/// When there is no sandbox, no clone, or the plan names roles that the clone does not have.
pub async fn raise(plan: &Plan, scope: &Scope, progress: &Progress) -> Result<Raised, Failure> {
    progress.phase(&Phase::Sandbox { name: scope.name() });
    let plan = if plan.workers.is_empty() {
        let Workers { workers, .. } = derive(plan, scope, progress).await?;
        plan.with_workers(workers)?
    } else {
        plan.clone()
    };
    let Set { stage, clone, .. } = Stage::set(&plan, scope, progress).await?;
    let (sandbox, mut crew) = stage.dissolve().await;
    crew.start_for(RunNumber(u32::MAX)).await;
    Ok(Raised { plan, clone, sandbox, crew })
}
