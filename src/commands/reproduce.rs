//! `thirdrun reproduce`: a recorded outage, replayed.

use std::path::{Path, PathBuf};

use super::check::{Purpose, in_sandbox};
use super::incident;
use super::minimize::{Minimize, minimize};
use super::outputs::Outputs;
use crate::cli::ReproduceArgs;
use crate::failure::{Exit, Failure};
use crate::incident::{Bundle, Recorded};
use crate::plan::{self, Overrides, Plan};
use crate::sandbox::Scope;

/// Runs `thirdrun reproduce`.
///
/// # Errors
/// Whatever keeps it from a verdict.
pub async fn run(args: ReproduceArgs) -> Result<Exit, Failure> {
    let running = &args.running;
    let outputs = Outputs::new(&running.format, &running.output, running.quiet)?;
    let directory = std::env::current_dir().map_err(|error| Failure::new(Exit::Environment, &error))?;
    let full = rehearsal_file(&directory, &args.incident)?;
    let overrides = Overrides {
        backend: running.backend,
        postgres: args.postgres,
        postgres_bin: running.postgres_bin.as_ref().map(|bin| directory.join(bin)),
        no_cache: running.no_cache,
        no_replay: running.no_replay,
        ..Overrides::default()
    };
    let shown = args.incident.display().to_string();
    let scope = Scope::create()?;
    let place = scope.directory().join("incident");
    let (plan, recorded) = if Bundle::is_one(&directory.join(&full)) {
        // It goes away with the sandbox.
        let from = directory.join(&full);
        incident::open(&from, &args.incident, &place, overrides.clone(), running.quiet)?
    } else {
        let plan = plan::build(&Overrides { config: Some(full), ..overrides.clone() }, &directory)?;
        let recorded = Recorded::of_plan(&plan).ok_or_else(|| nothing_recorded(&shown))?;
        (plan, recorded)
    };
    if args.minimize {
        let (out, most) = (args.out.as_deref(), args.max_rehearsals);
        let wanted =
            Minimize { incident: &shown, plan: &plan, recorded: &recorded, overrides, out, most, running };
        return minimize(wanted, scope, &outputs).await;
    }
    let purpose = Purpose::Reproduce(&recorded);
    let reproduced = in_sandbox(&shown, &plan, scope, running, &outputs, purpose).await;
    reproduced.map_err(|failure| elsewhere(failure, &plan))
}

/// The bundle, or the rehearsal file of an incident that is a directory, as the user would name it.
fn rehearsal_file(directory: &Path, incident: &Path) -> Result<PathBuf, Failure> {
    let full = directory.join(incident);
    if !full.exists() {
        return Err(Failure::said(Exit::Usage, format!("there is no incident {}", incident.display())).hint(
            "name a directory with a rehearsal file, or a bundle that `thirdrun check --save-incident` wrote",
        ));
    }
    if !full.is_dir() {
        return Ok(incident.to_owned());
    }
    let name = Bundle::rehearsal_in(&full).unwrap_or_else(|| plan::FILE_NAME.into());
    let config = incident.join(name);
    if directory.join(&config).is_file() {
        return Ok(config);
    }
    let message = format!("{} has no {}, so it is no incident", incident.display(), plan::FILE_NAME);
    Err(Failure::said(Exit::Usage, message).hint(
        "write one with a [[run]] entry for each run of the outage; `thirdrun demo --write DIR` writes an example",
    ))
}

/// What to type where a machine does not have what the incident was recorded on.
fn elsewhere(failure: Failure, plan: &Plan) -> Failure {
    match plan.sandbox.major {
        Some(major) if failure.exit == Exit::Environment => failure.hint(format!(
            "where there is no PostgreSQL {major}, --postgres MAJOR replays the incident on another version"
        )),
        _ => failure,
    }
}

fn nothing_recorded(incident: &str) -> Failure {
    Failure::said(Exit::Usage, format!("{incident} does not record what happened")).hint(
        "write a [[run]] entry for each run into the rehearsal file: script = \"…\" with fails = true where the script \
         itself failed, and breaks = [\"worker\", …] where it broke automations",
    )
}
