//! `thirdrun check`: the main job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstream::stream::IsTerminal as _;

use super::changed;
use super::contain::contain;
use super::incident;
use super::interrupt::{listen, next};
use super::outputs::Outputs;
use super::several::{self, Item};
use crate::cli::{CheckArgs, RunningArgs};
use crate::failure::{Exit, Failure};
use crate::incident::{Recorded, reproduction};
use crate::plan::{self, Overrides, Plan};
use crate::progress::Progress;
use crate::rehearsal::{Rehearsed, rehearse};
use crate::report::{Report, ScriptEntry, document};
use crate::sandbox::Scope;
use crate::verdict::{Outcome, judge};

/// Runs `thirdrun check`.
///
/// # Errors
/// Whatever keeps it from a verdict.
pub async fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let running = &args.running;
    let outputs = Outputs::new(&running.format, &running.output, running.quiet)?;
    let directory = std::env::current_dir().map_err(|error| Failure::new(Exit::Environment, &error))?;
    if let Some(path) = &args.save_incident {
        incident::can_be_saved(path)?;
    }
    let mut items = items(&args, &directory, &outputs)?;
    if let Some(reference) = &args.changed_since {
        let all = items.len();
        items = changed::filtered(items, reference, &directory)?;
        if items.is_empty() && !running.quiet {
            anstream::eprintln!("thirdrun: none of {all} scripts was changed since {reference}");
        }
    }
    if items.len() != 1 {
        if running.keep && items.len() > 1 {
            return Err(Failure::said(
                Exit::Usage,
                "--keep leaves one sandbox up, and there are several scripts",
            )
            .hint("name one script"));
        }
        if args.save_incident.is_some() && items.len() > 1 {
            let several = "--save-incident saves one rehearsal, and there are several";
            return Err(
                Failure::said(Exit::Usage, several).hint("name one script, and one version of PostgreSQL")
            );
        }
        return several::check(items, args.jobs, running, &outputs).await;
    }
    let Some(Item { script, plan, .. }) = items.pop() else { return Ok(Exit::Pass) };
    let scope = Scope::create().map_err(Failure::from);
    let checked = match scope {
        Ok(scope) => {
            let purpose = match &args.save_incident {
                Some(path) => Purpose::Save(path),
                None => Purpose::Check,
            };
            in_sandbox(&script, &plan, scope, running, &outputs, purpose).await
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &checked
        && failure.exit == Exit::Environment
    {
        outputs.write_failed(&not_rehearsed(script, failure))?;
    }
    checked
}

/// The report of a script that could not be rehearsed.
fn not_rehearsed(script: String, failure: &Failure) -> Report {
    Report::new(vec![ScriptEntry::failed(script, None, failure.trouble())])
}

/// Each script with each version, planned before anything is run.
fn items(args: &CheckArgs, directory: &Path, outputs: &Outputs) -> Result<Vec<Item>, Failure> {
    let scripts: Vec<Option<PathBuf>> =
        if args.scripts.is_empty() { vec![None] } else { args.scripts.iter().cloned().map(Some).collect() };
    let versions: Vec<Option<u32>> =
        if args.postgres.is_empty() { vec![None] } else { args.postgres.iter().copied().map(Some).collect() };
    let overrides = Overrides {
        config: args.config.clone(),
        script: None,
        schema: args.schema.clone(),
        roles: args.roles.clone(),
        runs: args.runs,
        max_runs: args.max_runs,
        hazards: args.hazards.clone(),
        backend: args.running.backend,
        postgres: None,
        postgres_bin: args.running.postgres_bin.clone(),
        role: args.role.clone(),
        seed: args.seed,
        no_cache: args.running.no_cache,
        no_replay: args.running.no_replay,
        scriptless: false,
        keep_workers: true,
        no_config: false,
        statements: None,
        all_duties: false,
    };
    let plans = plan::build_each(&overrides, &scripts, &versions, directory).map_err(Failure::from);
    if let (Err(failure), [script]) = (&plans, scripts.as_slice())
        && failure.exit == Exit::Environment
    {
        let script = script.as_ref().map(|script| script.display().to_string());
        outputs.write_failed(&not_rehearsed(script.unwrap_or_default(), failure))?;
    }
    let several = versions.len() > 1;
    let item = |plan: Plan| Item {
        script: plan.title.clone(),
        postgres: plan.sandbox.major.filter(|_| several),
        plan,
    };
    Ok(plans?.into_iter().map(item).collect())
}

/// What a rehearsal is for.
pub(super) enum Purpose<'a> {
    /// To know whether every automation still works.
    Check,
    /// The same, and to have it as a bundle if it fails.
    Save(&'a Path),
    /// To know whether what is recorded happens again.
    Reproduce(&'a Recorded),
}

/// Rehearses a plan, reports, and removes everything, whatever happens.
pub(super) async fn in_sandbox(
    script: &str,
    plan: &Plan,
    scope: Scope,
    args: &RunningArgs,
    outputs: &Outputs,
    purpose: Purpose<'_>,
) -> Result<Exit, Failure> {
    let progress = Arc::new(Progress::new(args.quiet, std::io::stderr().is_terminal()));
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let work = async {
        let rehearsed = rehearse(plan, &scope, &progress).await?;
        let verdict = judge(&rehearsed.observations);
        let mut document = document(script, &rehearsed.observations, &verdict);
        progress.clear();
        let outcome = document.verdict;
        let exit = match purpose {
            Purpose::Reproduce(recorded) if outcome != Outcome::Inconclusive => {
                let seen = reproduction(script, recorded, &document);
                let seen = document.reproduction.insert(seen);
                if seen.happened_again { Exit::Pass } else { Exit::Fail }
            }
            Purpose::Check | Purpose::Save(_) | Purpose::Reproduce(_) => outcome.into(),
        };
        let report = Report::new(vec![ScriptEntry::of(document, None)]);
        outputs.write(&report)?;
        if let (Purpose::Save(path), [ScriptEntry { report: Some(document), .. }]) =
            (&purpose, report.scripts.as_slice())
        {
            let plan = rehearsed.plan.as_ref().unwrap_or(plan);
            incident::save(path, plan, document, &rehearsed.sandbox, &scope, args.quiet).await?;
        }
        Ok((exit, outcome, rehearsed))
    };
    let linger = async |(exit, outcome, rehearsed): (Exit, Outcome, Rehearsed)| {
        if args.keep && outcome == Outcome::Fail {
            keep(plan, &rehearsed).await;
        }
        exit
    };
    contain(scope.clone(), &progress, work, linger).await
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
