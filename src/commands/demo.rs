//! `thirdrun demo`: the founding outage, bundled.

use std::path::Path;

use include_dir::{Dir, include_dir};

use super::check::in_sandbox;
use super::outputs::Outputs;
use crate::cli::DemoArgs;
use crate::failure::{Exit, Failure};
use crate::plan::{self, Overrides};
use crate::sandbox::Scope;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/founding-outage");

/// Runs `thirdrun demo`.
///
/// # Errors
/// Whatever keeps it from a verdict.
pub async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    if let Some(directory) = &args.write {
        return write(directory);
    }
    let outputs = Outputs::new(&args.running.format, &args.running.output, args.running.quiet)?;
    let scope = Scope::create()?;
    let directory = scope.directory().join("demo");
    extract(&directory)?;
    let overrides = Overrides {
        config: Some(directory.join(plan::FILE_NAME)),
        backend: args.running.backend,
        postgres_bin: args.running.postgres_bin.clone(),
        no_cache: args.running.no_cache,
        no_replay: args.running.no_replay,
        ..Overrides::default()
    };
    let plan = plan::build(&overrides, &directory)?;
    in_sandbox("the demo", &plan, scope, &args.running, &outputs).await
}

fn write(directory: &Path) -> Result<Exit, Failure> {
    if directory.exists() {
        return Err(Failure::said(Exit::Usage, format!("{} exists already", directory.display()))
            .hint("name a new directory: nothing is overwritten"));
    }
    extract(directory)?;
    anstream::println!(
        "wrote the demo to {}; rehearse it with\n  thirdrun check --config {}",
        directory.display(),
        directory.join(plan::FILE_NAME).display()
    );
    Ok(Exit::Pass)
}

fn extract(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .and_then(|()| FILES.extract(directory))
        .map_err(|error| Failure::new(Exit::Environment, &error))
}
