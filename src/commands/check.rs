//! `thirdrun check`: the main job.

use std::sync::Arc;

use anstream::stream::IsTerminal as _;

use super::contain::contain;
use super::interrupt::{listen, next};
use super::outputs::Outputs;
use crate::cli::{CheckArgs, RunningArgs};
use crate::failure::{Exit, Failure};
use crate::plan::{self, Overrides, Plan};
use crate::progress::Progress;
use crate::rehearsal::{Rehearsed, rehearse};
use crate::report::{Document, document};
use crate::sandbox::Scope;
use crate::verdict::judge;

/// Runs `thirdrun check`.
///
/// # Errors
/// Whatever keeps it from a verdict.
pub async fn run(args: CheckArgs) -> Result<Exit, Failure> {
    if args.scripts.len() > 1 {
        return Err(Failure::said(Exit::Usage, "this version rehearses one script at a time")
            .hint("run `thirdrun check` once for each script"));
    }
    let outputs = Outputs::new(&args.running)?;
    let directory = std::env::current_dir().map_err(|error| Failure::new(Exit::Environment, &error))?;
    let overrides = Overrides {
        config: args.config,
        script: args.scripts.into_iter().next(),
        schema: args.schema,
        roles: args.roles,
        runs: args.runs,
        max_runs: args.max_runs,
        hazards: args.hazards,
        backend: args.running.backend,
        postgres: args.postgres,
        postgres_bin: args.running.postgres_bin.clone(),
        role: args.role,
        seed: args.seed,
        no_cache: args.running.no_cache,
        no_replay: args.running.no_replay,
    };
    let plan = plan::build(&overrides, &directory)?;
    let scope = Scope::create()?;
    in_sandbox(&plan, scope, &args.running, &outputs).await
}

/// Rehearses a plan, reports, and removes everything, whatever happens.
pub(super) async fn in_sandbox(
    plan: &Plan,
    scope: Scope,
    args: &RunningArgs,
    outputs: &Outputs,
) -> Result<Exit, Failure> {
    let progress = Arc::new(Progress::new(args.quiet, std::io::stderr().is_terminal()));
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let work = async {
        let rehearsed = rehearse(plan, &scope, &progress).await?;
        let verdict = judge(&rehearsed.observations);
        let document = document(&rehearsed.observations, &verdict);
        progress.clear();
        Ok((reported(&document, outputs)?, rehearsed))
    };
    let linger = async |(exit, rehearsed): (Exit, Rehearsed)| {
        if args.keep && exit == Exit::Fail {
            keep(plan, &rehearsed).await;
        }
        exit
    };
    contain(scope.clone(), &progress, work, linger).await
}

fn reported(document: &Document, outputs: &Outputs) -> Result<Exit, Failure> {
    outputs.write(document)?;
    Ok(document.verdict.into())
}

/// Says how to connect and stays until it is told to end, which is no interruption then: the check has its result.
async fn keep(plan: &Plan, rehearsed: &Rehearsed) {
    // Before it is said that a signal is waited for.
    let mut signals = listen();
    let role = plan.runs.last().map_or("postgres", |run| run.role.as_str());
    let (host, port) = rehearsed.sandbox.server().endpoint.host_and_port();
    anstream::eprintln!(
        "\nthe sandbox stays up until Ctrl-C; connect with\n  PGPASSFILE={} psql -h {host} -p {port} -U {role} -d {}",
        rehearsed.sandbox.launcher().passfile().display(),
        plan.seed.database,
    );
    next(&mut signals).await;
}
