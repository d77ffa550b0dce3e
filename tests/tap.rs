//! The tap between real clients and a real server. A client that is not here is counted as ignored, as is everything
//! where there is no server.

// Clippy's exceptions for tests do not reach a harness of its own.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code
)]

#[path = "tap/drivers.rs"]
mod drivers;
#[path = "tap/ends.rs"]
mod ends;
#[path = "tap/holds.rs"]
mod holds;
#[path = "tap/orders.rs"]
mod orders;
#[path = "tap/programs.rs"]
mod programs;
#[path = "tap/stage.rs"]
mod stage;

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use tokio::runtime::Runtime;

use stage::{Stage, Trying};

/// No test takes this long unless something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Arc::new(Runtime::new().unwrap());
    let scope = Scope::create().unwrap();
    let listing = arguments.list;
    let sandbox = runtime.block_on(async {
        let settings = [("max_prepared_transactions", "4"), ("wal_level", "logical")];
        let plan = SandboxPlan {
            backend: BackendChoice::Local,
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..SandboxPlan::default()
        };
        if listing { None } else { Sandbox::start(&plan, None, &scope, &[]).await.ok() }
    });
    if sandbox.is_none() && !listing {
        eprintln!("skipped: every test of the tap, since no server can be started here");
    }
    let server = sandbox.as_ref().map(|sandbox| sandbox.server().clone());
    let mut trials = Vec::new();
    let all = programs::all().into_iter().chain(drivers::all()).chain(orders::all()).chain(ends::all());
    let all = all.map(|trying| (trying, false));
    // Whatever is held open between two statements, clients see and do the same.
    let held = programs::all().into_iter().chain(drivers::all()).chain(ends::all());
    // This one looks for its own last query.
    let held = held.filter(|trying| trying.name != "a_client_that_is_killed").map(|trying| (trying, true));
    let all = all.chain(held).chain(holds::all().into_iter().map(|trying| (trying, false)));
    for (number, (Trying { name, needs, run }, held)) in all.enumerate() {
        let name = if held { format!("held_{name}") } else { name.to_owned() };
        let missing = needs.filter(|_| !listing).and_then(|needs| needs());
        if let Some(missing) = &missing {
            eprintln!("skipped: {name}: {missing}");
        }
        let ignored = server.is_none() || missing.is_some();
        let (server, runtime) = (server.clone(), Arc::clone(&runtime));
        let trial = Trial::test(name, move || {
            runtime.block_on(async {
                let mut stage = Stage::set(server.unwrap(), &format!("tap{number}")).await;
                stage.held = held;
                let trying = tokio::spawn(run(stage));
                match tokio::time::timeout(DEADLINE, trying).await {
                    Ok(outcome) => outcome.map_err(|error| match error.try_into_panic() {
                        Ok(panic) => stage::said(panic.as_ref()).into(),
                        Err(error) => error.to_string().into(),
                    }),
                    Err(_) => Err("it hangs".into()),
                }
            })
        });
        trials.push(trial.with_ignored_flag(ignored));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(sandbox);
    runtime.block_on(scope.close());
    conclusion.exit_code()
}
