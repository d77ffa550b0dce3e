//! PostgreSQL's own client programs: psql, pg_dump and pg_dumpall of one installation, and their runs.
//!
//! They connect, so that a capture logs in as its user's psql does: TLS, services, `~/.pgpass`, Kerberos and all.
//! A password goes to them in their environment, never on their command line, which everybody can read.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::CaptureError;
use crate::postgres::conninfo::Conninfo;
use crate::postgres::installed;

/// How long a login may take, where the user says nothing else (PostgreSQL manual, 34.1.2).
const CONNECT_TIMEOUT: &str = "15";

/// Its name.
const PSQL: &str = "psql";

/// The client programs of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// Their major version.
    pub(super) major: u32,
    bin: PathBuf,
    psql: PathBuf,
}

/// What a program that ended well has printed.
#[derive(Debug)]
pub(super) struct Printed {
    /// Its standard output.
    pub(super) text: String,
    /// The lines of its standard error.
    pub(super) warnings: Vec<String>,
}

/// Every installation with all three programs, the newest first.
pub(super) fn find(bin: Option<&Path>) -> Vec<Client> {
    let directories = bin.map_or_else(installed::directories, |bin| vec![bin.to_owned()]);
    let mut found: Vec<Client> = Vec::new();
    for directory in directories {
        let Ok(dump) = directory.join("pg_dump").canonicalize() else {
            continue;
        };
        // Debian's wrapper chooses one of the installations that are looked at themselves.
        if dump.file_name().is_none_or(|name| name != "pg_dump") {
            continue;
        }
        let Some(bin) = dump.parent().map(Path::to_owned) else {
            continue;
        };
        if found.iter().any(|one| one.bin == bin) || !bin.join("pg_dumpall").exists() {
            continue;
        }
        let psql = bin.join("psql");
        let psql = if psql.exists() { Some(psql) } else { installed::on_path("psql") };
        if let (Some(major), Some(psql)) = (installed::major(&bin, &dump), psql) {
            found.push(Client { major, bin, psql });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.major));
    found
}

/// The clients that dump a server of this version: its own, else the next newer ones. An older pg_dump refuses
/// (PostgreSQL manual, pg_dump, Notes), and a newer one writes what an older server may not understand.
pub(super) fn for_server(found: &[Client], major: u32) -> Result<&Client, CaptureError> {
    found.iter().rev().find(|client| client.major >= major).ok_or_else(|| CaptureError::OldClient {
        server: major,
        found: found.iter().map(|client| client.major).collect(),
    })
}

impl Client {
    /// Runs a script through psql on a session that can only read, and returns what it printed.
    pub(super) async fn psql(&self, from: &Conninfo, script: &str) -> Result<String, CaptureError> {
        let mut command = Command::new(&self.psql);
        command.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--file=-"]);
        command.arg("--set=ON_ERROR_STOP=1");
        Ok(run(PSQL, command, from, script).await?.text)
    }

    /// Runs pg_dump. Its transaction is read-only by itself (`setup_connection` in its `pg_dump.c`), and it
    /// lifts every timeout but the one for locks.
    pub(super) async fn pg_dump(
        &self,
        from: &Conninfo,
        lock_timeout: Duration,
        arguments: &[String],
    ) -> Result<Printed, CaptureError> {
        let mut command = Command::new(self.bin.join("pg_dump"));
        command.args(["--no-password", "--encoding=UTF8"]);
        command.arg(format!("--lock-wait-timeout={}", lock_timeout.as_millis())).args(arguments);
        run("pg_dump", command, from, "").await
    }

    /// Runs pg_dumpall for what belongs to no database. It has no transaction of its own, so that its session's
    /// default makes it read-only.
    pub(super) async fn pg_dumpall(&self, from: &Conninfo, database: &str) -> Result<Printed, CaptureError> {
        let mut command = Command::new(self.bin.join("pg_dumpall"));
        command.args(["--no-password", "--encoding=UTF8", "--globals-only", "--no-role-passwords"]);
        command.arg(format!("--database={database}"));
        run("pg_dumpall", command, from, "").await
    }
}

/// Ends the program when nobody waits for it any more. SIGTERM makes pg_dump cancel what the server is doing
/// for it, which SIGKILL would not.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

async fn run(
    program: &'static str,
    mut command: Command,
    from: &Conninfo,
    input: &str,
) -> Result<Printed, CaptureError> {
    let failed = |source| CaptureError::Start { program, source };
    command
        .arg(format!("--dbname={}", from.with_options("-c default_transaction_read_only=on")))
        .env("PGAPPNAME", "thirdrun capture")
        .env("PGCLIENTENCODING", "UTF8")
        .env("LC_MESSAGES", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if std::env::var_os("PGCONNECT_TIMEOUT").is_none() {
        command.env("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT);
    }
    if let Some(password) = &from.password {
        command.env("PGPASSWORD", password.reveal());
    }
    let mut child = Ended(command.spawn().map_err(failed)?);
    let streams = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) = streams else {
        return Err(failed(std::io::Error::other("it has no standard streams")));
    };
    let write = async {
        // A program that has ended reads nothing; its own message tells why.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let ((), out, said) = tokio::join!(write, whole(&mut stdout), whole(&mut stderr));
    let status = child.0.wait().await.map_err(failed)?;
    let said = String::from_utf8_lossy(&said.map_err(failed)?).trim().to_owned();
    if !status.success() {
        // psql says by its exit status that it had no connection, or lost it (manual, psql, Exit Status).
        let unreached = (program == PSQL && status.code() == Some(2)).then(|| from.shown());
        let said = said.strip_prefix(&format!("{program}: error: ")).unwrap_or(&said).to_owned();
        return Err(CaptureError::Program { program, unreached, said });
    }
    let text = String::from_utf8(out.map_err(failed)?).map_err(|_| CaptureError::Encoding { program })?;
    Ok(Printed { text, warnings: said.lines().map(str::to_owned).collect() })
}

async fn whole(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
