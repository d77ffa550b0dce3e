//! `thirdrun init`: writes a rehearsal file for the dumps that it finds, with a worker for each role that can log in.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstream::stream::IsTerminal as _;

use super::contain::contain;
use super::workers::told;
use crate::cli::InitArgs;
use crate::failure::{Exit, Failure};
use crate::plan::{self, Found, Overrides, Plan};
use crate::progress::Progress;
use crate::rehearsal::{Workers, derive};
use crate::sandbox::Scope;
use crate::workers::duties::render;

/// Runs `thirdrun init`.
///
/// # Errors
/// Whatever keeps it from a clone, or from writing the file. Nothing is written then.
pub async fn run(args: InitArgs) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Environment, &error);
    if args.schema {
        let schema = plan::json_schema().map_err(|error| Failure::defect(&error.to_string()))?;
        writeln!(anstream::stdout(), "{schema}").map_err(failed)?;
        return Ok(Exit::Pass);
    }
    let current = std::env::current_dir().map_err(failed)?;
    let directory = current.join(&args.directory);
    let file = directory.join(plan::FILE_NAME);
    if file.exists() {
        return Err(exists(&file));
    }
    let found = plan::dumps(&directory);
    let schema = chosen(&found, &args.directory)?;
    let roles: Vec<PathBuf> = found.roles.first().cloned().into_iter().collect();
    let overrides = Overrides {
        schema: vec![schema.clone()],
        roles: roles.clone(),
        backend: args.clone.backend,
        postgres: args.clone.postgres,
        postgres_bin: args.clone.postgres_bin.as_ref().map(|path| current.join(path)),
        no_cache: args.clone.no_cache,
        scriptless: true,
        no_config: true,
        ..Overrides::default()
    };
    let plan = plan::build(&overrides, &directory)?;
    let scope = Scope::create()?;
    let progress = Arc::new(Progress::new(args.quiet, std::io::stderr().is_terminal()));
    let shown = Arc::clone(&progress);
    scope.listen(move |what| shown.note(what));
    let workers =
        contain(scope.clone(), &progress, derive(&plan, &scope, &progress), async |found| found).await?;
    progress.clear();
    let text = written(&found, &schema, &plan, &workers);
    let mut new = File::create_new(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&file),
        _ => failed(error),
    })?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    if !args.quiet {
        let shown = args.directory.join(plan::FILE_NAME);
        anstream::println!(
            "wrote {shown} for {schema}: {}\nread it, say what your automations really do, and rehearse a script with\n  thirdrun \
             check --config {shown} SCRIPT",
            told(&workers),
            shown = shown.display(),
            schema = schema.display(),
        );
    }
    Ok(Exit::Pass)
}

fn exists(file: &Path) -> Failure {
    Failure::said(Exit::Usage, format!("{} exists already", file.display()))
        .hint("move it away first, or add to it what `thirdrun workers` proposes: nothing is overwritten")
}

/// The schema dump: the only one, or the one that is called so.
fn chosen(found: &Found, directory: &Path) -> Result<PathBuf, Failure> {
    let called = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("schema"));
    match found.schemas.as_slice() {
        [] => Err(Failure::said(
            Exit::Usage,
            format!("there is no dump of a schema in {} or two directories below it", directory.display()),
        )
        .hint("write one with `pg_dump --schema-only DATABASE > schema.sql` and `pg_dumpall --roles-only > roles.sql`")
        .hint("or capture both, with what the roles really run: `thirdrun capture --from URL --out DIR`")),
        [only] => Ok(only.clone()),
        [first, second, ..] if called(first) && !called(second) => Ok(first.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::said(Exit::Usage, format!("there are several dumps: {}", names.join(", ")))
                .hint("call the one that is meant schema.sql, or name the directory that only it is in"))
        }
    }
}

fn written(found: &Found, schema: &Path, plan: &Plan, workers: &Workers) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, found, schema, plan, workers);
    text
}

fn write_all(
    text: &mut String,
    found: &Found,
    schema: &Path,
    plan: &Plan,
    workers: &Workers,
) -> std::fmt::Result {
    let string = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    writeln!(
        text,
        "# A rehearsal: `thirdrun check SCRIPT` builds this clone, runs SCRIPT in it again and again, and says after each run\n\
         # whether every worker below still works. Written by `thirdrun init`; `thirdrun init --schema` prints the JSON Schema of\n\
         # this file, for editors.\n\n[clone]\nschema = {}",
        string(schema)
    )?;
    match found.roles.as_slice() {
        [] => writeln!(
            text,
            "# roles = \"roles.sql\"   # pg_dumpall --roles-only: without it no role has a group, a setting or a limit"
        )?,
        [roles, ..] => writeln!(text, "roles  = {}", string(roles))?,
    }
    if let Some(major) = plan.sandbox.major {
        writeln!(text, "postgres = \"{major}\"")?;
    }
    writeln!(
        text,
        "# settings = {{ max_connections = 100 }}   # what postgresql.conf of the original says and a script may run into\n\n\
         [data]\nrows = 100                 # synthetic rows of each table\n\
         # load = [\"reference.sql\"]  # rows that the workers rely on\n\n\
         [script]\n# path = \"grant.sql\"       # or name it: thirdrun check SCRIPT\n\
         # role = \"deploy\"          # who runs it; without it postgres, a superuser\n\
         # runs = 3\n\n\
         # Who must still work afterwards. These come from what each role can do, or has run: put the statements that your\n\
         # automations really say in their place, and tell how they hold their sessions (session = \"keep\", \"fresh\" or \"pool\").\n"
    )?;
    text.push_str(&render(&workers.workers, &workers.derived.left_out));
    Ok(())
}
