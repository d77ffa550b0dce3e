//! Fills the tables of schemas that nobody here wrote: those of Debian's packages that `tests/schemas/fetch`
//! has brought. A schema that was not fetched is counted as ignored.
//!
//! A schema goes the way of a user's: psql makes it, pg_dump dumps it, and what it dumps is restored and filled. What
//! is restored is compared with what psql makes of the same dump, line by line after sorting. So is what is made of
//! the file as its author wrote it, where psql finds no fault with it.

// Clippy's exceptions for tests do not reach a harness of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, clippy::indexing_slicing)]

#[path = "schemas/duties.rs"]
mod duties;
#[path = "rows/valid.rs"]
mod valid;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use thirdrun::dump::{PlainDump, Sources};
use thirdrun::identifiers::{DatabaseName, RoleName};
use thirdrun::postgres::Session;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::seed::rows::{RowsPlan, fill};
use thirdrun::seed::{DataInDump, Dumps, SeedPlan, seed};

/// Rows a table, in a database of its own each.
const ROWS: [u64; 2] = [10, 100];

/// Tables of which somebody has seen that their constraints allow no more rows than this.
const FEWER: &[(&str, &str, u64)] = &[
    // A unique key of four truth values.
    ("vmm", "public.service_set", 16),
];

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for name in names() {
        let file = directory().join(format!("{name}.sql"));
        let missing = !file.exists();
        if missing {
            eprintln!("skipped: the schema {name} was not fetched (tests/schemas/fetch)");
        }
        let trial = Trial::test(name.clone(), move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(fills(&name, &file))
        });
        trials.push(trial.with_ignored_flag(missing));
    }
    for (name, ..) in duties::SCHEMAS {
        let file = directory().join(format!("{name}.sql"));
        let missing = !file.exists();
        let trial = Trial::test(format!("every_privilege_of_{name}"), move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(duties::every_privilege(name, &file))
        });
        trials.push(trial.with_ignored_flag(missing));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The names of the schemas that `fetch` knows.
fn names() -> Vec<String> {
    let list = include_str!("schemas/fetch").split("schemas='").nth(1).unwrap().split('\'').next().unwrap();
    list.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemas")
}

async fn fills(name: &str, file: &Path) -> Result<(), Failed> {
    let scope = Scope::create()?;
    let result = within(name, file, &scope).await;
    scope.close().await;
    result
}

async fn within(name: &str, file: &Path, scope: &Scope) -> Result<(), Failed> {
    let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
    let sandbox = Sandbox::start(&plan, None, scope, &[]).await?;
    let root = login(&sandbox, "postgres").await;
    root.run("CREATE DATABASE reference").await.map_err(|error| error.to_string())?;
    let path = file.display().to_string();
    program(&sandbox, "psql", "reference", &["-X", "-q", "-f", &path])?;
    let dump = program(&sandbox, "pg_dump", "reference", &["--schema-only"])?;
    let dump_file = scope.directory().join("dump.sql");
    std::fs::write(&dump_file, &dump)?;
    root.run("CREATE DATABASE by_psql").await.map_err(|error| error.to_string())?;
    program(&sandbox, "psql", "by_psql", &["-X", "-q", "-f", &dump_file.display().to_string()])?;
    cloned(&sandbox, "cloned", &dump_file, dump).await?;
    let schema_of = |database: &str| {
        let text = program(&sandbox, "pg_dump", database, &["--schema-only"])?;
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.starts_with('\\')).map(without_moments).collect();
        lines.sort();
        Ok::<_, Failed>(lines)
    };
    let mut wrong = differences("the clone of the dump", &schema_of("by_psql")?, &schema_of("cloned")?);
    // What stops psql stops a clone, too.
    root.run("CREATE DATABASE faultless").await.map_err(|error| error.to_string())?;
    if program(&sandbox, "psql", "faultless", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &path]).is_ok() {
        let text = std::fs::read_to_string(file)?;
        cloned(&sandbox, "as_written", file, text).await?;
        let made = schema_of("as_written")?;
        wrong.extend(differences("the clone of the file", &schema_of("reference")?, &made));
    } else {
        eprintln!("{name}: psql finds fault with the file, so that it is not cloned as it is");
    }

    for rows in ROWS {
        let database = format!("with_{rows}");
        root.run(&format!("CREATE DATABASE {database} TEMPLATE cloned"))
            .await
            .map_err(|error| error.to_string())?;
        let session = login(&sandbox, &database).await;
        let plan = RowsPlan { rows, seed: 1, tables: BTreeMap::new() };
        let outcome = fill(session.client(), &plan).await?;
        for table in outcome.without_rows {
            wrong.push(format!("{rows}: {}: {}", table.table, table.reason));
        }
        let counts = counts(&session).await;
        if counts.is_empty() {
            return Err("psql made no table of the schema".into());
        }
        eprintln!("{name}: {} tables, {rows} rows each", counts.len());
        for (table, count) in counts {
            let most = FEWER.iter().find(|(of, label, _)| *of == name && *label == table);
            let wanted = most.map_or(rows, |(_, _, most)| rows.min(*most));
            if count != wanted {
                wrong.push(format!("{rows}: {table} has {count} rows"));
            }
        }
        wrong.extend(valid::violations(&session).await);
        session.close().await;
    }
    root.close().await;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Defaults such as `'now'::timestamp` hold the moment in which the table was made.
fn without_moments(line: &str) -> String {
    let moment = regex_lite::Regex::new(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+(\+00)?'").unwrap();
    moment.replace_all(line, "'a moment'").into_owned()
}

/// The lines that only one of two dumps has.
fn differences(what: &str, psql: &[String], clone: &[String]) -> Vec<String> {
    let only = |of: &[String], not: &[String], sign: char| -> Vec<String> {
        of.iter().filter(|line| !not.contains(line)).map(|line| format!("{what}: {sign} {line}")).collect()
    };
    let mut found = only(psql, clone, '-');
    found.extend(only(clone, psql, '+'));
    if found.is_empty() && psql != clone {
        found.push(format!("{what} has some lines more or less often than what psql makes of it"));
    }
    found
}

/// Makes the clone of a dump, as a check does.
async fn cloned(sandbox: &Sandbox, database: &str, path: &Path, text: String) -> Result<(), Failed> {
    let plan = SeedPlan {
        schema: Vec::new(),
        roles: Vec::new(),
        database: DatabaseName::new(database),
        // psql logs in as this role, too, so that owners are the same.
        bootstrap: RoleName::new(thirdrun::postgres::SUPERUSER),
        rows: RowsPlan { rows: 0, seed: 1, tables: BTreeMap::new() },
        load: Vec::new(),
        in_dump: DataInDump::Refuse,
        skip_missing_extensions: false,
        passwords: BTreeMap::new(),
    };
    let schema = vec![PlainDump { path: path.to_owned(), text, is_file: true, sources: Sources::default() }];
    let dumps = Dumps { schema, roles: Vec::new(), load: Vec::new() };
    let facts = seed(&plan, &dumps, sandbox.server(), None).await?;
    let rolled_back = |skipped: &&thirdrun::observations::Skipped| skipped.error.contains("rolls it back");
    if facts.skipped.iter().all(|skipped| rolled_back(&skipped)) {
        Ok(())
    } else {
        Err(format!("{:?}", facts.skipped).into())
    }
}

async fn login(sandbox: &Sandbox, database: &str) -> Session {
    let login = sandbox.server().superuser_login(&DatabaseName::new(database));
    Session::open(&sandbox.server().endpoint, &login).await.unwrap()
}

/// Runs one of PostgreSQL's programs; statements of the file that fail are told and passed over.
fn program(sandbox: &Sandbox, program: &str, database: &str, arguments: &[&str]) -> Result<String, Failed> {
    let server = sandbox.server();
    let (host, port) = server.endpoint.host_and_port();
    let output = Command::new(program)
        .args(["-h", &host, "-p", &port.to_string(), "-U", server.superuser.as_str(), "-d", database])
        .args(arguments)
        .env("PGPASSWORD", server.password.reveal())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{program}: {said}").into());
    }
    for line in said.lines().filter(|line| line.contains("ERROR")) {
        eprintln!("{database}: {line}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of every table, as `schema.table`.
async fn counts(session: &Session) -> Vec<(String, u64)> {
    let tables = session
        .client()
        .query(
            "SELECT n.nspname || '.' || c.relname, pg_catalog.format('SELECT count(*) FROM ONLY %I.%I', n.nspname, c.relname) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let mut counts = Vec::new();
    for row in tables {
        let count = session.run(row.get(1)).await.unwrap().value.flatten().unwrap();
        counts.push((row.get(0), count.parse().unwrap()));
    }
    counts
}
