//! One rehearsal from its plan to its observations: THE pipeline, the only place that sees every stage.

mod clone;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::failure::{Exit, Failure};
use crate::identifiers::{RunNumber, WorkerName};
use crate::observations::{Rehearsal, RunObservation, WorkerObservation};
use crate::plan::Plan;
use crate::programs::Place;
use crate::progress::{Phase, Progress};
use crate::runs::{self, Arrivals, RunSpec};
use crate::sandbox::{Sandbox, Scope};
use crate::seed::Logins;
use crate::workers::{Crew, Surroundings, WorkerSpec};

use clone::Ready;

/// How long a script may take to log in.
const ARRIVAL: Duration = Duration::from_secs(1);
/// How long a server that has recovered may take to let a session in.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a script has the server to itself, but for the iterations under way when it started. Without it the
/// outcome of a script of a few quick statements would depend on which of them an iteration falls between: a row
/// that a worker inserts between `UPDATE … WHERE x IS NULL` and `SET NOT NULL` makes the script fail, now and
/// then.
const HEAD_START: Duration = Duration::from_millis(200);

/// A rehearsal that has ended, with its sandbox still up.
pub struct Rehearsed {
    /// What was seen.
    pub observations: Rehearsal,
    /// Where.
    pub sandbox: Sandbox,
}

/// Rehearses a plan. Everything that it starts belongs to `scope`, whose owner removes it.
///
/// # Errors
/// When there is no sandbox, no clone, or the plan names roles that the clone does not have.
pub async fn rehearse(plan: &Plan, scope: &Scope, progress: &Progress) -> Result<Rehearsed, Failure> {
    progress.phase(&Phase::Sandbox { name: scope.name() });
    let places: BTreeSet<Place> = plan
        .runs
        .iter()
        .map(RunSpec::place)
        .chain(plan.workers.iter().filter_map(WorkerSpec::place))
        .collect();
    let places: Vec<Place> = places.into_iter().collect();
    let Ready { sandbox, clone, logins } = clone::ready(plan, scope, &places, progress).await?;
    plan.check_roles(&logins.roles)?;
    let launcher = sandbox.launcher();
    launcher.prepare(&places).await?;
    launcher.provide(&logins.logins).await?;
    let mut crew = crew(plan, &sandbox, &logins);
    progress.phase(&Phase::Baseline);
    crew.start_for(RunNumber(1)).await;
    let baseline = crew.baseline().await;
    let mut arrivals = Arrivals::new(sandbox.server(), &names(plan))
        .await
        .map_err(|failure| Failure::new(Exit::Environment, &failure))?;
    let works = baseline.iter().all(|worker| {
        worker.new_session.ok() && worker.existing_session.as_ref().is_none_or(|probe| probe.ok())
    });
    sandbox.kept().await;
    let mut runs = Vec::new();
    if works {
        for spec in &plan.runs {
            let run = one_run(plan, spec, &sandbox, &mut crew, &mut arrivals, progress).await?;
            let gone = run.server_gone.is_some();
            runs.push(run);
            if gone {
                break;
            }
        }
    }
    crew.stop().await;
    arrivals.close().await;
    let observations = Rehearsal {
        sandbox: sandbox.facts().clone(),
        clone,
        workers: plan.workers.iter().map(|worker| worker.facts()).collect(),
        baseline,
        runs,
    };
    Ok(Rehearsed { observations, sandbox })
}

fn names(plan: &Plan) -> Vec<WorkerName> {
    plan.workers.iter().map(|worker| worker.name.clone()).collect()
}

fn crew(plan: &Plan, sandbox: &Sandbox, logins: &Logins) -> Crew {
    let surroundings = Surroundings {
        endpoint: sandbox.server().endpoint.clone(),
        database: plan.seed.database.clone(),
        logins: std::sync::Arc::new(logins.logins.clone()),
        launcher: sandbox.launcher(),
    };
    Crew::new(plan.workers.clone(), surroundings)
}

async fn one_run(
    plan: &Plan,
    spec: &RunSpec,
    sandbox: &Sandbox,
    crew: &mut Crew,
    arrivals: &mut Arrivals,
    progress: &Progress,
) -> Result<RunObservation, Failure> {
    let of = plan.runs.len();
    if spec.number > RunNumber(1) {
        crew.start_for(spec.number).await;
    }
    let shift = crew.begin_shift().await;
    let phase = Phase::Run { run: spec.number, of, script: spec.shown.clone() };
    progress.with_workers(&phase, plan.workers.len(), shift.tally());
    let launcher = sandbox.launcher();
    let before = arrivals.strangers().await.unwrap_or_default();
    shift.script_starts();
    let run = runs::run(spec, &plan.seed.database, launcher.as_ref());
    let release = async {
        // A script that does not log in, or whose session is not seen, is not waited for longer.
        let _ = tokio::time::timeout(ARRIVAL, arrivals.changed(&before)).await;
        tokio::time::sleep(HEAD_START).await;
        shift.release();
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = run => result?,
        () = release => return Err(Failure::defect("an endless task has ended")),
    };
    shift.script_ended();
    sandbox.settle().await;
    if arrivals.strangers().await.is_err() {
        // The server has crashed and recovered, or is gone, which the workers will tell.
        let again = tokio::time::timeout(AGAIN, Arrivals::new(sandbox.server(), &names(plan))).await;
        if let Ok(Ok(again)) = again {
            *arrivals = again;
        }
    }
    progress.phase(&Phase::After { run: spec.number, of });
    let workers: Vec<WorkerObservation> = crew.end_shift(shift).await?;
    Ok(RunObservation {
        run: spec.number,
        script: spec.shown.clone(),
        role: spec.role.clone(),
        may_fail: spec.may_fail,
        result,
        workers,
        server_gone: sandbox.log_if_gone().await,
    })
}
