//! `thirdrun workers`: proposes `[[worker]]` entries.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstream::stream::IsTerminal as _;

use super::contain::contain;
use crate::cli::WorkersArgs;
use crate::failure::{Exit, Failure};
use crate::plan::{self, Overrides};
use crate::progress::Progress;
use crate::rehearsal::{Workers, derive};
use crate::report::counted;
use crate::sandbox::Scope;
use crate::workers::duties::render;

/// Runs `thirdrun workers`.
///
/// # Errors
/// Whatever keeps it from a clone, or from writing the file. Nothing is written then.
pub async fn run(args: WorkersArgs) -> Result<Exit, Failure> {
    if let Some(output) = &args.output
        && output.exists()
    {
        return Err(exists(output));
    }
    let directory = std::env::current_dir().map_err(|error| Failure::new(Exit::Environment, &error))?;
    let mut overrides = Overrides {
        backend: args.clone.backend,
        postgres: args.clone.postgres,
        postgres_bin: args.clone.postgres_bin.clone(),
        no_cache: args.clone.no_cache,
        scriptless: true,
        statements: args.statements.clone(),
        all_duties: args.privileges,
        ..Overrides::default()
    };
    if let Some(from) = &args.from {
        from_directory(from, &mut overrides)?;
    }
    let plan = plan::build(&overrides, &directory)?;
    let scope = Scope::create()?;
    let progress = Arc::new(Progress::new(args.quiet, std::io::stderr().is_terminal()));
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let work = derive(&plan, &scope, &progress);
    let found = contain(scope.clone(), &progress, work, async |found: Workers| found).await?;
    progress.clear();
    write(&found, args.output.as_deref())?;
    if !args.quiet {
        anstream::eprintln!("{}", told(&found));
    }
    Ok(Exit::Pass)
}

/// What was found, in a line.
pub(super) fn told(found: &Workers) -> String {
    let (workers, out) = (found.workers.len(), found.derived.left_out.len());
    let left_out = match out {
        0 => "nothing was left out".to_owned(),
        1 => "1 thing that a role may do was left out".to_owned(),
        out => format!("{out} things that a role may do were left out"),
    };
    format!(
        "{} with {}, each of which has worked; {left_out}",
        counted(workers, "worker"),
        counted(found.derived.steps, "step")
    )
}

/// A directory of `thirdrun capture`, or one with dumps alone.
fn from_directory(from: &Path, overrides: &mut Overrides) -> Result<(), Failure> {
    let config = from.join(plan::FILE_NAME);
    if config.is_file() {
        overrides.config = Some(config);
        return Ok(());
    }
    let schema = from.join("schema.sql");
    if !schema.exists() {
        let message = format!("{} has neither {} nor schema.sql", from.display(), plan::FILE_NAME);
        return Err(Failure::said(Exit::Usage, message)
            .hint("name a directory that `thirdrun capture --from URL --out DIR` has written"));
    }
    overrides.schema = vec![schema];
    overrides.roles = Vec::from_iter(Some(from.join("roles.sql")).filter(|roles: &PathBuf| roles.exists()));
    Ok(())
}

fn exists(output: &Path) -> Failure {
    Failure::said(Exit::Usage, format!("{} exists already", output.display()))
        .hint("name a new file: nothing is overwritten")
}

fn write(found: &Workers, output: Option<&Path>) -> Result<(), Failure> {
    let text = render(&found.workers, &found.derived.left_out);
    let failed = |error| Failure::new(Exit::Environment, &error);
    let Some(output) = output else {
        return anstream::stdout().write_all(text.as_bytes()).map_err(failed);
    };
    let mut file = File::create_new(output).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(output),
        _ => failed(error),
    })?;
    file.write_all(text.as_bytes()).map_err(failed)
}
