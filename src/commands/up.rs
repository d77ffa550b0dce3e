//! `thirdrun up`: a sandbox with its workers at work, for whoever wants to try something by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use anstream::stream::IsTerminal as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{mpsc, watch};

use super::contain::contain;
use super::interrupt::{listen, next};
use crate::cli::UpArgs;
use crate::failure::{Exit, Failure};
use crate::identifiers::WorkerName;
use crate::observations::WorkerObservation;
use crate::plan::{self, Overrides, Plan};
use crate::progress::Progress;
use crate::rehearsal::{Raised, raise};
use crate::report::{counted, standing};
use crate::sandbox::{Sandbox, Scope};

/// Runs `thirdrun up`, which ends with a signal.
///
/// # Errors
/// Whatever keeps it from a sandbox with a clone.
pub async fn run(args: UpArgs) -> Result<Exit, Failure> {
    let directory = std::env::current_dir().map_err(|error| Failure::new(Exit::Environment, &error))?;
    let overrides = Overrides {
        config: args.config.clone(),
        schema: args.schema.clone(),
        roles: args.roles.clone(),
        seed: args.seed,
        backend: args.clone.backend,
        postgres: args.clone.postgres,
        postgres_bin: args.clone.postgres_bin.clone(),
        no_cache: args.clone.no_cache,
        scriptless: true,
        keep_workers: true,
        ..Overrides::default()
    };
    let plan = plan::build(&overrides, &directory)?;
    let scope = Scope::create()?;
    let terminal = std::io::stderr().is_terminal();
    let progress = Arc::new(Progress::new(false, terminal));
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let work = raise(&plan, &scope, &progress);
    let stays = async |raised: Raised| {
        progress.clear();
        at_work(raised, terminal).await
    };
    contain(scope.clone(), &progress, work, stays).await?
}

/// Says how to connect, and shows the workers until a signal comes.
async fn at_work(raised: Raised, terminal: bool) -> Result<Exit, Failure> {
    // Before it is said that a signal is waited for.
    let mut signals = listen();
    let Raised { plan, sandbox, mut crew, .. } = raised;
    anstream::println!("{}", connection(&plan, &sandbox));
    let (tell, mut told) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let mut table = Table::new(&plan, terminal);
    let ended = {
        let mut watched = std::pin::pin!(crew.watch(tell, stopped));
        loop {
            tokio::select! {
                () = next(&mut signals) => break Ok(()),
                Some(seen) = told.recv() => table.tell(&seen),
                ended = &mut watched => break ended,
            }
        }
    };
    // Iterations under way are given up with the sandbox.
    let _ = stop.send(true);
    table.clear();
    ended.map_err(|error| Failure::defect(&error.to_string()))?;
    Ok(Exit::Pass)
}

fn connection(plan: &Plan, sandbox: &Sandbox) -> String {
    let (host, port) = sandbox.server().endpoint.host_and_port();
    let facts = sandbox.facts();
    format!(
        "PostgreSQL {} ({}) with {} at work, until Ctrl-C; connect with\n  PGPASSFILE={} psql -h {host} -p {port} -U postgres \
         -d {}\nor as any other role: -U ROLE",
        facts.postgres,
        facts.backend,
        counted(plan.workers.len(), "worker"),
        sandbox.launcher().passfile().display(),
        plan.seed.database,
    )
}

/// The workers: a live line for each on a terminal, else a line for each change.
struct Table {
    bars: Option<(MultiProgress, BTreeMap<WorkerName, ProgressBar>)>,
    /// What was last said of each, and how often it was seen.
    last: BTreeMap<WorkerName, (String, u64)>,
    width: usize,
    steps: BTreeMap<WorkerName, Vec<String>>,
}

impl Table {
    fn new(plan: &Plan, terminal: bool) -> Self {
        let names = || plan.workers.iter().map(|worker| worker.name.clone());
        let bars = terminal.then(|| {
            let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            // The template is a constant that the tests of the crate parse.
            let style =
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bars = names().map(|name| {
                let bar = lines.add(ProgressBar::new_spinner().with_style(style.clone()));
                bar.set_message(format!("{name}: not seen yet"));
                (name, bar)
            });
            let bars = bars.collect();
            (lines, bars)
        });
        let steps = plan.workers.iter().map(|worker| (worker.name.clone(), worker.facts().steps)).collect();
        let width = names().map(|name| name.as_str().chars().count()).max().unwrap_or_default();
        Self { bars, last: BTreeMap::new(), width, steps }
    }

    fn tell(&mut self, seen: &WorkerObservation) {
        let steps = self.steps.get(&seen.name).map_or(&[][..], Vec::as_slice);
        let how = standing(seen, steps);
        let (last, count) = self.last.entry(seen.name.clone()).or_default();
        let changed = *last != how;
        *count += 1;
        let line = format!("{:width$}  {how}", seen.name.as_str(), width = self.width);
        match &self.bars {
            Some((_, bars)) => {
                if let Some(bar) = bars.get(&seen.name) {
                    bar.set_message(format!("{line}  ({count} checks)"));
                }
            }
            None if changed => anstream::eprintln!("{line}"),
            None => {}
        }
        *last = how;
    }

    fn clear(&self) {
        if let Some((lines, _)) = &self.bars {
            // Without a terminal, which there was, nobody reads it.
            let _ = lines.clear();
        }
    }
}
