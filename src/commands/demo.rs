//! `thirdrun demo`: the founding outage, or another one of the library, bundled.

mod list;
mod write;

use std::path::PathBuf;

use super::check::{Purpose, in_sandbox};
use super::outputs::Outputs;
use crate::cli::DemoArgs;
use crate::failure::{Exit, Failure};
use crate::identifiers::nearest;
use crate::library::{self, FOUNDING_NAME, Incident, SAFE_SCRIPT};
use crate::plan::{self, Overrides};
use crate::sandbox::Scope;

/// Runs `thirdrun demo`.
///
/// # Errors
/// Whatever keeps it from a verdict.
pub async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    if args.list {
        return list::print();
    }
    let incident = named(args.name.as_deref())?;
    if args.story {
        return tell(&incident);
    }
    if let Some(directory) = &args.write {
        return write::to(&incident, directory);
    }
    rehearse(&args, &incident).await
}

/// The incident of a name; without one, the founding outage.
fn named(name: Option<&str>) -> Result<Incident, Failure> {
    let name = name.unwrap_or(FOUNDING_NAME);
    let all = library::all();
    if let Some(incident) = all.iter().find(|incident| incident.name == name) {
        return Ok(*incident);
    }
    let failure = Failure::said(Exit::Usage, format!("the library has no outage '{name}'"));
    let failure = match nearest(name, all.iter().map(|incident| incident.name)) {
        Some(nearest) => failure.hint(format!("did you mean '{nearest}'?")),
        None => failure,
    };
    Err(failure.hint("`thirdrun demo --list` names them all"))
}

/// Prints the story.
fn tell(incident: &Incident) -> Result<Exit, Failure> {
    let told = incident.told().ok_or_else(|| Failure::defect("an outage of the library has no story"))?;
    super::outputs::print(told)?;
    Ok(Exit::Pass)
}

async fn rehearse(args: &DemoArgs, incident: &Incident) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.running.format, &args.running.output, args.running.quiet)?;
    let scope = Scope::create()?;
    let directory = scope.directory().join("demo");
    write::files(incident, &directory)?;
    let overrides = Overrides {
        config: Some(directory.join(plan::FILE_NAME)),
        script: args.safe.then(|| PathBuf::from(SAFE_SCRIPT)),
        backend: args.running.backend,
        postgres_bin: args.running.postgres_bin.clone(),
        no_cache: args.running.no_cache,
        no_replay: args.running.no_replay,
        ..Overrides::default()
    };
    let plan = plan::build(&overrides, &directory)?;
    let title = match (&args.name, args.safe) {
        (None, false) => "the demo".to_owned(),
        (_, false) => incident.name.to_owned(),
        (_, true) => format!("{}/{SAFE_SCRIPT}", incident.name),
    };
    let exit = in_sandbox(&title, &plan, scope, &args.running, &outputs, Purpose::Check).await?;
    if args.name.is_some() && !args.safe && !args.running.quiet {
        let name = incident.name;
        anstream::eprintln!(
            "\nthe story: thirdrun demo {name} --story\nthe script that avoids it: thirdrun demo {name} --safe"
        );
    }
    Ok(exit)
}
