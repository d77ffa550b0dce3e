//! Programs that run beside the sandbox: candidate scripts and the commands of workers.
//!
//! Runs and workers describe a [`Program`]; the backend that owns the sandbox is its [`Launcher`] and
//! knows where and how confined it runs. Responsible for what every backend does alike: the bounded
//! capture of output and the environment that the contract promises. Deliberately not here: process
//! groups, namespaces, containers.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;

use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::observations::Ending;
use crate::postgres::Endpoint;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One program to run to its end.
#[derive(Debug, Clone)]
pub struct Program {
    /// What to run.
    pub what: Executable,
    /// The directory it runs in: the script's own, or the rehearsal file's.
    pub directory: PathBuf,
    /// The role and database of its connection variables.
    pub role: RoleName,
    /// The database it connects to.
    pub database: DatabaseName,
    /// Named variables of the caller that it may see.
    pub env: Vec<(String, String)>,
    /// The image it runs in, with Docker; none: the sandbox's own.
    pub image: Option<String>,
    /// The user of the image that it runs as, with Docker; none: the caller's number.
    pub user: Option<String>,
    /// `PGAPPNAME`, by which libpq names its sessions (PostgreSQL manual, 34.15); none: unset.
    pub application: Option<String>,
    /// When its whole process group is ended, if it has not ended by itself.
    pub until: Until,
    /// Whether it finds the tap in place of the server, where there is one.
    pub tapped: bool,
}

/// When the process group of a program is ended.
#[derive(Debug, Clone)]
pub enum Until {
    /// After so long it is killed. What the program leaves in the background when it ends by itself stays.
    Timeout(Duration),
    /// When this says so, or nobody is left who could, it gets SIGTERM, and is killed if it does not end then. What it
    /// leaves in the background is killed as well: it is a service that is being stopped.
    Told(watch::Receiver<bool>),
}

/// How long a program that was told to end may take to.
pub const GRACE: Duration = Duration::from_secs(5);

impl Until {
    /// Waits until it is so.
    pub async fn come(&self) {
        match self {
            Self::Timeout(time) => tokio::time::sleep(*time).await,
            Self::Told(told) => {
                // An error means that nobody can tell any more.
                let _ = told.clone().wait_for(|told| *told).await;
            }
        }
    }

    /// Whether what is left of its process group is killed, too.
    pub fn takes_all(&self) -> bool {
        matches!(self, Self::Told(_))
    }
}

/// What a program's container is made of: programs of the same place share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The directory it runs in.
    pub directory: PathBuf,
    /// The image; none: the sandbox's own.
    pub image: Option<String>,
}

impl Program {
    /// Where it runs.
    pub fn place(&self) -> Place {
        Place { directory: self.directory.clone(), image: self.image.clone() }
    }
}

/// What a [`Program`] executes.
#[derive(Debug, Clone)]
pub enum Executable {
    /// psql, with these arguments.
    Psql(Vec<String>),
    /// A file or a name to be found on `PATH`, and its arguments. A relative path that has a slash is
    /// relative to the program's directory.
    File(String, Vec<String>),
}

impl Executable {
    /// The program, as the user named it.
    pub fn name(&self) -> &str {
        match self {
            Self::Psql(_) => "psql",
            Self::File(name, _) => name,
        }
    }
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Outcome {
    /// How its process ended; what it left in the background does not count.
    pub ending: Ending,
    /// From its start to its end.
    pub duration: Duration,
    /// From when it was asked for until its process began: the backend's time, which is long where a machine is busy.
    pub starting: Duration,
    /// What it printed, bounded.
    pub output: Captured,
}

/// A program that could not even be started.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be started")]
pub struct LaunchError {
    /// The program, as the user named it.
    pub what: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Runs programs beside one sandbox.
pub trait Launcher: Send + Sync {
    /// Makes ready what programs of these places will need, so that none of them waits for it.
    ///
    /// # Errors
    /// When a place cannot be had.
    fn prepare<'a>(&'a self, places: &'a [Place]) -> BoxFuture<'a, Result<(), LaunchError>> {
        let _ = places;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Lets programs log in: writes the `PGPASSFILE` that all of them get.
    fn provide<'a>(&'a self, logins: &'a [(RoleName, Secret)]) -> BoxFuture<'a, Result<(), LaunchError>>;

    /// Where that file is on this machine.
    fn passfile(&self) -> PathBuf;

    /// From now on programs that are tapped find the server at this host: an IP address or the directory of a unix
    /// socket.
    fn tap_at(&self, host: String);

    /// Where thirdrun finds a port that a program listens on at 127.0.0.1, inside the sandbox; none: there is no
    /// way into the sandbox's network.
    ///
    /// # Errors
    /// When the way could not be made.
    fn inside<'a>(&'a self, port: u16) -> BoxFuture<'a, Result<Option<Endpoint>, LaunchError>>;

    /// Makes ready what the next connection to such a port needs, where a way in takes time to be made: it is none of
    /// who listens there. What fails is met by the connection.
    fn make_way(&self, port: u16) -> BoxFuture<'_, ()> {
        let _ = port;
        Box::pin(std::future::ready(()))
    }

    /// Runs a program until its process ends, or its process group is ended when [`Program::until`] comes.
    ///
    /// # Errors
    /// When it could not be started; a program that starts and fails is an [`Outcome`].
    fn launch<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Outcome, LaunchError>>;
}

/// Where a program finds the sandbox, as its environment says it.
#[derive(Debug, Clone)]
pub struct Address {
    /// `PGHOST`: an IP address or the directory of a unix socket.
    pub host: String,
    /// `PGHOST` of programs that are tapped, once there is a tap.
    pub tap: OnceLock<String>,
    /// `PGPORT`.
    pub port: u16,
    /// `PGPASSFILE`.
    pub passfile: String,
    /// `HOME`, an empty directory.
    pub home: String,
    /// `PATH`, psql's directory first.
    pub path: String,
}

impl Address {
    /// The whole environment of a program (contract, section 1): nothing else of the caller's is seen.
    /// `PGPASSWORD` is not set, since libpq would prefer it to the file for every role.
    pub fn environment(&self, program: &Program, password: Option<&Secret>) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PATH".to_owned(), self.path.clone()),
            ("HOME".to_owned(), self.home.clone()),
            ("PGHOST".to_owned(), self.host_of(program).to_owned()),
            ("PGPORT".to_owned(), self.port.to_string()),
            ("PGUSER".to_owned(), program.role.to_string()),
            ("PGDATABASE".to_owned(), program.database.to_string()),
            ("PGPASSFILE".to_owned(), self.passfile.clone()),
            ("DATABASE_URL".to_owned(), self.url(program, password)),
        ];
        variables.extend(program.application.clone().map(|name| ("PGAPPNAME".to_owned(), name)));
        for (name, value) in &program.env {
            if name == "PATH" {
                // psql's directory stays first.
                if let Some((_, path)) = variables.first_mut() {
                    *path = format!("{}:{value}", self.path.split(':').next().unwrap_or_default());
                }
            } else {
                variables.retain(|(known, _)| known != name);
                variables.push((name.clone(), value.clone()));
            }
        }
        variables
    }

    fn host_of(&self, program: &Program) -> &str {
        self.tap.get().filter(|_| program.tapped).unwrap_or(&self.host)
    }

    /// A connection URI (PostgreSQL manual, 34.1.1.2). A socket directory goes into the query part,
    /// which more drivers understand than a percent-encoded host.
    fn url(&self, program: &Program, password: Option<&Secret>) -> String {
        let user = percent_encode(program.role.as_str());
        let secret =
            password.map(|secret| format!(":{}", percent_encode(secret.reveal()))).unwrap_or_default();
        let database = percent_encode(program.database.as_str());
        let host = self.host_of(program);
        if host.starts_with('/') {
            let host = percent_encode(host);
            format!("postgresql://{user}{secret}@/{database}?host={host}&port={}", self.port)
        } else {
            format!("postgresql://{user}{secret}@{host}:{}/{database}", self.port)
        }
    }
}

/// The text of a `PGPASSFILE` for these roles (PostgreSQL manual, 34.16): any host, port and database,
/// since all that its reader can reach is the sandbox.
pub fn passfile(logins: &[(RoleName, Secret)]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    logins
        .iter()
        .map(|(role, secret)| format!("*:*:*:{}:{}\n", escape(role.as_str()), escape(secret.reveal())))
        .collect()
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Bytes of output that are kept of one program.
const KEPT: usize = 64 * 1024;
/// Bytes of one line that are looked at for an error of psql.
const LINE: usize = 4 * 1024;
/// Errors of psql that are kept of one program.
const ERRORS: usize = 50;

/// The two output streams of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The output of a program, bounded in memory however much it prints: the end of both streams, and
/// the errors that psql reported.
#[derive(Debug, Default)]
pub struct Captured {
    tail: VecDeque<u8>,
    truncated: bool,
    line: Vec<u8>,
    line_is_long: bool,
    errors: Vec<String>,
}

impl Captured {
    /// Takes in what a stream brought.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.tail.extend(bytes);
        if self.tail.len() > KEPT {
            self.truncated = true;
            self.tail.drain(..self.tail.len() - KEPT);
        }
        if stream == Stream::Err {
            self.scan(bytes);
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            self.line_is_long |= piece.len() > room;
            self.line.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        self.line_is_long = false;
        if is_psql_error(&line) && self.errors.len() < ERRORS {
            self.errors.push(line);
        }
    }

    /// No more will come.
    pub fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// The end of what was printed, in the order it arrived.
    pub fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether more was printed than [`Captured::tail`] has.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// The lines in which psql reported an error.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }
}

/// Whether a line of psql's standard error reports an error of the server or of psql itself. psql
/// prefixes what concerns a script with `psql:FILE:LINE: ` (PostgreSQL's `src/common/logging.c`), the
/// server's own part begins with its severity, and psql's with `error: `.
fn is_psql_error(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("psql:") else {
        return false;
    };
    ["ERROR:  ", "FATAL:  ", "PANIC:  ", "error: "].iter().any(|severity| {
        rest.find(severity).is_some_and(|at| {
            let prefix = rest.get(..at).unwrap_or_default();
            // `FILE:LINE: ` for a script, ` ` alone before a connection's or an argument's error.
            prefix == " "
                || prefix.strip_suffix(": ").and_then(|place| place.rsplit_once(':')).is_some_and(
                    |(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()),
                )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_psql_are_told_from_other_lines() {
        for line in [
            "psql:grant.sql:3: ERROR:  syntax error at or near \"REVOKE\"",
            "psql:dir/a b.sql:12: ERROR:  42501: permission denied for table orders",
            "psql:grant.sql:9: error: invalid command \\foo",
            "psql:grant.sql:9: FATAL:  terminating connection due to administrator command",
            "psql: error: connection to server failed",
        ] {
            assert!(is_psql_error(line), "{line}");
        }
        for line in [
            "psql:grant.sql:3: NOTICE:  ERROR:  is only a word here",
            "psql:grant.sql:3: WARNING:  no privileges were granted",
            "ERROR:  printed by \\warn",
            "LINE 1: ERROR:  ",
        ] {
            assert!(!is_psql_error(line), "{line}");
        }
    }

    #[test]
    fn a_flood_is_bounded_and_its_end_is_kept() {
        let mut captured = Captured::default();
        for _ in 0..1_000 {
            captured.push(Stream::Out, &[b'x'; 1_000]);
            captured.push(Stream::Err, &[b'y'; 1_000]);
        }
        captured.push(Stream::Err, b"\npsql:a.sql:1: ERROR:  last");
        captured.finish();
        assert!(captured.truncated());
        assert_eq!(captured.tail().len(), KEPT);
        assert!(captured.tail().ends_with("ERROR:  last"));
        assert_eq!(captured.errors(), ["psql:a.sql:1: ERROR:  last"]);
    }

    #[test]
    fn an_error_that_arrives_in_pieces_is_seen_whole() {
        let mut captured = Captured::default();
        captured.push(Stream::Err, b"psql:a.sql:1: ERR");
        captured.push(Stream::Err, b"OR:  boom\nmore\n");
        captured.finish();
        assert_eq!(captured.errors(), ["psql:a.sql:1: ERROR:  boom"]);
    }

    #[test]
    fn the_password_file_escapes_what_it_must() {
        let logins = [(RoleName::new("a:b"), Secret::new("x\\y"))];
        assert_eq!(passfile(&logins), "*:*:*:a\\:b:x\\\\y\n");
    }
}
