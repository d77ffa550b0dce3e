//! Workers of a plan in which nobody has written any: they are found out in a copy of the clone.

use std::sync::Arc;

use super::clone::{self, Ready};
use crate::failure::{Exit, Failure};
use crate::observations::Derived;
use crate::plan::Plan;
use crate::postgres::Session;
use crate::progress::{Phase, Progress};
use crate::sandbox::{Sandbox, Scope};
use crate::seed::{Logins, SeedError, rows};
use crate::workers::{Surroundings, WorkerSpec, duties};

/// Rows for each table from which an INSERT is made.
const SPARE: usize = 3;

/// Workers that were derived, and what was left out.
pub struct Workers {
    /// One for each role that can log in.
    pub workers: Vec<WorkerSpec>,
    /// How.
    pub derived: Derived,
}

/// Makes workers of what the login roles of a plan's clone can do. The sandbox for it is removed again.
///
/// # Errors
/// When there is no sandbox or no clone, or no role can log in.
pub async fn derive(plan: &Plan, scope: &Scope, progress: &Progress) -> Result<Workers, Failure> {
    let scope = scope.child()?;
    let derived = within(plan, &scope, progress).await;
    scope.close().await;
    derived
}

async fn within(plan: &Plan, scope: &Scope, progress: &Progress) -> Result<Workers, Failure> {
    let Ready { sandbox, logins, .. } = clone::ready(plan, scope, &[], progress).await?;
    progress.phase(&Phase::Derive);
    sandbox.launcher().provide(&logins.logins).await?;
    let derived = tried(plan, &sandbox, logins).await;
    let derived = match derived {
        Ok(derived) => derived,
        Err(failure) => return Err(clone::with_log(failure, &sandbox, scope).await),
    };
    sandbox.kept().await;
    if derived.workers.is_empty() {
        let mut failure = Failure::said(
            Exit::Usage,
            "there is no worker, and no role of the clone can log in to be one, so there is nothing that a script could break",
        )
        .hint("describe each automation in a [[worker]] entry of the rehearsal file, or name a roles dump with --roles");
        for out in &derived.left_out {
            failure = failure.hint(format!("{} cannot: {}: {}", out.role, out.what, out.error));
        }
        return Err(failure);
    }
    let steps = derived.workers.iter().map(|worker| worker.steps().len() as u64);
    let facts = Derived { steps: steps.sum(), left_out: derived.left_out };
    Ok(Workers { workers: derived.workers, derived: facts })
}

async fn tried(plan: &Plan, sandbox: &Sandbox, logins: Logins) -> Result<duties::Derived, Failure> {
    let server = sandbox.server();
    let failed = |failure| Failure::of_query(&failure);
    let login = server.superuser_login(&plan.seed.database);
    let root = Session::open(&server.endpoint, &login).await.map_err(failed)?;
    let spare = rows::spare(root.client(), plan.seed.rows.seed, SPARE).await.map_err(SeedError::Rows)?;
    let surroundings = Surroundings {
        endpoint: server.endpoint.clone(),
        database: plan.seed.database.clone(),
        logins: Arc::new(logins.logins),
        launcher: sandbox.launcher(),
        ways: Arc::default(),
    };
    let sources = duties::Sources { spare: &spare, ran: &plan.statements, all: plan.all_duties };
    let derived = duties::derive(&root, &surroundings, sources).await.map_err(failed);
    root.close().await;
    derived
}
