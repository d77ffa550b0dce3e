//! From a plan to a sandbox that has the clone: made of the dumps, or started from one that was kept.

use crate::dump::{Content, DumpFile, PlainDump};
use crate::failure::{Exit, Failure, NO_ROOM};
use crate::observations::{CloneFacts, WorkerObservation};
use crate::plan::Plan;
use crate::programs::Place;
use crate::progress::{Phase, Progress};
use crate::sandbox::{Sandbox, Scope};
use crate::seed::{DataInDump, Dumps, Logins, RestoreError, SeedError, provide_passwords, seed};

/// A sandbox with the clone in it.
pub(super) struct Ready {
    pub(super) sandbox: Sandbox,
    pub(super) clone: CloneFacts,
    pub(super) logins: Logins,
}

/// Starts a sandbox and has the clone in it. `places` are where programs will run.
pub(super) async fn ready(
    plan: &Plan,
    scope: &Scope,
    places: &[Place],
    progress: &Progress,
) -> Result<Ready, Failure> {
    let fingerprint = plan.cache.then(|| plan.seed.fingerprint());
    let mut sandbox = Sandbox::start(&plan.sandbox, fingerprint.as_deref(), scope, places).await?;
    let noted = sandbox.note().map(serde_json::from_str);
    let filled = filled(plan, &mut sandbox, noted, scope, progress).await;
    match filled {
        Ok((clone, logins)) => Ok(Ready { sandbox, clone, logins }),
        Err(failure) => Err(with_log(failure, &sandbox, scope).await),
    }
}

/// Has the clone in a sandbox, unless what was noted says that it is there, and passwords for its roles.
async fn filled(
    plan: &Plan,
    sandbox: &mut Sandbox,
    noted: Option<serde_json::Result<CloneFacts>>,
    scope: &Scope,
    progress: &Progress,
) -> Result<(CloneFacts, Logins), Failure> {
    let clone = match noted {
        Some(Ok(clone)) => clone,
        Some(Err(error)) => {
            return Err(Failure::defect(&format!("it does not understand its own note: {error}")));
        }
        None => {
            progress.phase(&Phase::Seed);
            let clone = made(plan, sandbox, scope).await?;
            let note = serde_json::to_string(&clone).map_err(|error| Failure::defect(&error.to_string()))?;
            sandbox.keep(&plan.sandbox, note, scope).await?;
            clone
        }
    };
    let root = match sandbox.first_session().await {
        Some(root) => root,
        None => sandbox.superuser_session().await?,
    };
    let logins = provide_passwords(&plan.seed, &root).await;
    root.close().await;
    Ok((clone, logins?))
}

/// Makes the clone of the dumps.
async fn made(plan: &Plan, sandbox: &Sandbox, scope: &Scope) -> Result<CloneFacts, Failure> {
    let dumps = dumps(plan, sandbox, scope).await?;
    let root = sandbox.first_session().await;
    Ok(seed(&plan.seed, &dumps, sandbox.server(), root).await?)
}

/// The dumps of a plan as SQL.
///
/// # Errors
/// When no `pg_restore` reads an archive.
pub async fn dumps(plan: &Plan, sandbox: &Sandbox, scope: &Scope) -> Result<Dumps, Failure> {
    let mut dumps = Dumps { schema: Vec::new(), roles: Vec::new(), load: Vec::new() };
    for (files, rows, plain) in [
        (&plan.seed.schema, plan.seed.in_dump, &mut dumps.schema),
        (&plan.seed.roles, plan.seed.in_dump, &mut dumps.roles),
        (&plan.seed.load, DataInDump::Load, &mut dumps.load),
    ] {
        for file in files {
            plain.push(as_sql(file, rows, sandbox, scope).await?);
        }
    }
    Ok(dumps)
}

/// A dump as SQL. An archive is `pg_restore`'s to read.
async fn as_sql(
    file: &DumpFile,
    rows: DataInDump,
    sandbox: &Sandbox,
    scope: &Scope,
) -> Result<PlainDump, Failure> {
    let archive = match &file.content {
        Content::Plain(text) => {
            return Ok(PlainDump {
                path: file.path.clone(),
                text: text.clone(),
                is_file: true,
                sources: file.sources.clone(),
            });
        }
        Content::Archive(archive) => archive,
    };
    let unreadable = |error| {
        Failure::from(error).within(format!("{} cannot be read", file.path.display())).hint(
            "an archive is read by the pg_restore of its pg_dump's version or a newer one: name that version with --postgres, \
             or dump in plain format",
        )
    };
    if rows == DataInDump::Refuse {
        let contents = sandbox.pg_restore(archive, &["--list"], scope).await.map_err(unreadable)?;
        if let Some(table) = first_with_rows(&String::from_utf8_lossy(&contents)) {
            let error = RestoreError::Rows { path: file.path.clone(), line: None, table };
            return Err(SeedError::from(error).into());
        }
    }
    // With what only `--create` gives: the database's own encoding, owner, settings and grants.
    let mut arguments = vec!["--create", "--file=-"];
    if rows == DataInDump::Skip {
        arguments.push("--schema-only");
    }
    let sql = sandbox.pg_restore(archive, &arguments, scope).await.map_err(unreadable)?;
    PlainDump::of_archive(&file.path, sql).map_err(|error| {
        let failure = Failure::new(Exit::Environment, &error);
        match error.help() {
            Some(help) => failure.hint(help),
            None => failure,
        }
    })
}

/// The first table whose rows an archive has, by its table of contents: `215; 0 16386 TABLE DATA public t owner`.
fn first_with_rows(contents: &str) -> Option<String> {
    contents.lines().find_map(|line| {
        let (_, entry) = line.split_once("; ")?;
        let mut words = entry.splitn(3, ' ').skip(2);
        let rest = words.next()?.strip_prefix("TABLE DATA ")?;
        let mut words = rest.split(' ');
        Some(format!("{}.{}", words.next()?, words.next()?))
    })
}

/// Fails if the server is gone, or was not there for a while: workers that did not work then say nothing of themselves.
pub(super) async fn lost(
    baseline: &[WorkerObservation],
    sandbox: &Sandbox,
    scope: &Scope,
) -> Result<(), Failure> {
    if !baseline.iter().any(WorkerObservation::lost_connection) {
        return Ok(());
    }
    sandbox.has_broken_off().await;
    sandbox.reached().await?;
    if sandbox.log_if_gone().await.is_none() && sandbox.crash().await.is_none() {
        return Ok(());
    }
    let lost = "the sandbox's server was lost before the first run, while the workers proved that they work";
    Err(with_log(Failure::said(Exit::Environment, lost), sandbox, scope).await)
}

/// A failure while the server is gone, or has lost a process, is explained by the server's log.
pub(super) async fn with_log(failure: Failure, sandbox: &Sandbox, scope: &Scope) -> Failure {
    if failure.lost_connection() {
        sandbox.has_broken_off().await;
    }
    if let Err(lost) = sandbox.reached().await {
        return lost.into();
    }
    if let Some(log) = sandbox.log_if_gone().await {
        let ended = format!("the server itself has ended; the end of its log:\n{log}");
        return failure.hint(ended).hint(if log.contains("No space left on device") {
            NO_ROOM
        } else {
            ENDED
        });
    }
    // A server whose disk is full cannot even write so into its log.
    if scope.is_full() {
        let full = format!("{}: No space left on device", scope.directory().display());
        return failure.hint(full).hint(NO_ROOM);
    }
    if let Some(line) = sandbox.disk_full().await {
        return failure.hint(format!("the server says: {line}")).hint(NO_ROOM);
    }
    match sandbox.crash().await {
        Some(line) => failure.hint(format!("the server says: {line}")).hint(
            "a process that signal 9 ends has used up the memory (in Docker 4 GB): ask for fewer rows under [data]",
        ),
        None => failure,
    }
}

/// What to type where a server has ended.
const ENDED: &str =
    "say the same again; if the server ends each time, its log or the kernel's (`dmesg`) says why";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_archive_are_found_in_its_contents() {
        let contents = ";\n; Archive created at 2026-01-01\n;     dbname: shop\n;\n\
                        215; 1259 16386 TABLE public TABLE DATA postgres\n";
        assert_eq!(first_with_rows(contents), None);
        let more = format!("{contents}3362; 0 16386 TABLE DATA public orders postgres\n");
        assert_eq!(first_with_rows(&more).as_deref(), Some("public.orders"));
    }
}
