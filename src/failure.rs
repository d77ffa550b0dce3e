//! Every way in which thirdrun itself fails, and the exit code that goes with it: the only place that
//! knows the contract's exit codes.

use std::fmt::Write as _;

use crate::capture::CaptureError;
use crate::identifiers::SqlState;
use crate::incident::IncidentError;
use crate::plan::PlanError;
use crate::postgres::QueryFailure;
use crate::programs::LaunchError;
use crate::report::{Trouble, visible, without_commands};
use crate::sandbox::SandboxError;
use crate::sandbox::docker::MAJORS;
use crate::seed::rows::RowsError;
use crate::seed::{RestoreError, SeedError};
use crate::verdict::Outcome;

/// The exit codes of the contract, section 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every automation works.
    Pass = 0,
    /// An automation was broken, or a script failed where it should not.
    Fail = 1,
    /// The command line or the rehearsal file is wrong.
    Usage = 2,
    /// A worker does not work even before the first run.
    Inconclusive = 3,
    /// No Docker and no PostgreSQL, an image is missing, a dump cannot be restored.
    Environment = 4,
    /// A defect of thirdrun.
    Defect = 70,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Fail => Self::Fail,
            Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure of thirdrun, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, and below it each cause.
    chain: Vec<String>,
    /// What to type next.
    hints: Vec<String>,
    /// Whether a connection to the sandbox was lost.
    lost_connection: bool,
    /// The place, where the plan has it: without and with colours.
    snippet: Option<(String, String)>,
}

impl Failure {
    /// A failure with its causes.
    pub fn new(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if chain.last().is_none_or(|above| !above.ends_with(&text)) {
                chain.push(text);
            }
            source = cause.source();
        }
        Self { exit, chain, hints: Vec::new(), lost_connection: false, snippet: None }
    }

    /// A failure in a sentence.
    pub fn said(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, chain: vec![message.into()], hints: Vec::new(), lost_connection: false, snippet: None }
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The failure as the cause of another one.
    #[must_use]
    pub fn within(mut self, what: impl Into<String>) -> Self {
        self.chain.insert(0, what.into());
        self
    }

    /// A failure of something that was asked of the sandbox's server.
    pub fn of_query(failure: &QueryFailure) -> Self {
        let lost_connection = failure.sqlstate.is_of_connection();
        Self { lost_connection, ..Self::new(Exit::Environment, failure) }
    }

    /// Whether a connection to the sandbox was lost: its server may have crashed.
    pub fn lost_connection(&self) -> bool {
        self.lost_connection
    }

    /// The failure and its causes in one line.
    pub fn causes(&self) -> String {
        self.chain.join(": ")
    }

    /// The failure as a report has it.
    pub fn trouble(&self) -> Trouble {
        let mut chain = self.chain.iter().cloned();
        Trouble {
            exit_code: self.exit as u8,
            message: chain.next().unwrap_or_default(),
            causes: chain.collect(),
            hints: self.hints.clone(),
        }
    }

    /// The failure as standard error shows it.
    pub fn render(&self, colours: bool) -> String {
        without_commands(&self.rendered(colours))
    }

    fn rendered(&self, colours: bool) -> String {
        let mut text = String::new();
        match &self.snippet {
            Some((plain, coloured)) => {
                text.push_str(if colours { coloured } else { plain });
                text.push('\n');
            }
            None => {
                let red = anstyle::AnsiColor::BrightRed.on_default().bold();
                let mut chain = self.chain.iter();
                if let Some(first) = chain.next() {
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "{red}error{red:#}: {}", visible(first));
                }
                for cause in chain {
                    let _ = writeln!(text, "  because: {}", visible(cause));
                }
            }
        }
        for hint in &self.hints {
            let bold = anstyle::AnsiColor::BrightCyan.on_default().bold();
            let _ = writeln!(text, "{bold}help{bold:#}: {}", visible(hint));
        }
        text
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let snippet = error.snippet(false).zip(error.snippet(true));
        let exit = if error.is_of_dump() { Exit::Environment } else { Exit::Usage };
        let failure = Self::new(exit, &error);
        match (snippet, error.help()) {
            // The snippet has the help in it.
            (Some(snippet), _) => Self { snippet: Some(snippet), ..failure },
            (None, Some(help)) => failure.hint(help),
            (None, None) => failure,
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let failure = Self::new(Exit::Environment, &error);
        match &error {
            SandboxError::NoPostgres { .. } => failure.hints_for(&error),
            SandboxError::Neither { docker, local, .. } => failure.hints_for(docker).hints_for(local),
            SandboxError::Lost(_) => failure.hint(AGAIN),
            SandboxError::Docker(_) | SandboxError::Engine(_) => {
                failure.hint("`thirdrun doctor` says what can be used here; --backend local needs no Docker")
            }
            SandboxError::NoImage { .. } | SandboxError::Elsewhere { .. } | SandboxError::Inside(_) => {
                failure.hints_for(&error)
            }
            SandboxError::Packages { .. } => {
                failure.hint("name the packages under [clone] as the image's own package manager knows them")
            }
            SandboxError::Io { .. } => failure.hint_of_room(&error),
            SandboxError::Program { output: log, .. } | SandboxError::NotReady { log, .. }
                if log.contains("No space left on device") =>
            {
                failure.hint(NO_ROOM)
            }
            SandboxError::NotReady { .. } => failure.hint(NEVER_READY),
            SandboxError::Setup(cause) if cause.sqlstate.is_of_connection() => failure.hint(NEVER_READY),
            SandboxError::Program { .. } | SandboxError::Setup(_) => failure,
        }
    }
}

impl Failure {
    /// What to type next where a server is missing.
    fn hints_for(self, error: &SandboxError) -> Self {
        match error {
            SandboxError::NoPostgres { found, searched, wanted } => {
                let places: Vec<_> = searched.iter().map(|place| place.display().to_string()).collect();
                let failure = if found.is_empty() {
                    self.hint(format!("`postgres` was looked for in {}", places.join(", ")))
                } else {
                    self.instead(wanted.parse().ok(), found, "a server that is here")
                };
                failure.hint("`thirdrun doctor` says what can be used here and what to install")
            }
            SandboxError::NoImage { image, major, found, .. } => {
                let failure = self.hint(format!("get the image with `docker pull {image}`"));
                let failure = failure.instead(*major, found, "an image that is here");
                match major {
                    Some(major) if MAJORS.contains(major) => {
                        failure.hint(format!("without a registry, `images/build {major}` makes one"))
                    }
                    _ => failure,
                }
            }
            SandboxError::Elsewhere { .. } => {
                self.hint("use --backend local, or an engine on this machine (DOCKER_HOST)")
            }
            SandboxError::Inside(directory) => {
                let directory = directory.display();
                self.hint(format!(
                    "give it to the container by the same name: docker run -v {directory}:{directory} …"
                ))
                .hint("or use --backend local")
            }
            _ => self,
        }
    }
}

impl Failure {
    /// Names the nearest version that is here and into which a dump of the wanted one can be restored: no older one.
    fn instead(self, wanted: Option<u32>, found: &[u32], what: &str) -> Self {
        match found.iter().filter(|major| wanted.is_none_or(|wanted| **major >= wanted)).min() {
            Some(major) => self.hint(format!("--postgres {major} rehearses on {what}")),
            None => self,
        }
    }

    /// What to type next where a server has no room left.
    fn hint_of_room(self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let code = code_of(error);
            let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            if code.is_some_and(|code| code.as_str() == DISK_FULL)
                || io == Some(std::io::ErrorKind::StorageFull)
            {
                return self.hint(NO_ROOM);
            }
            cause = error.source();
        }
        self
    }
}

/// The server's code of an error, if it has one.
fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<SqlState> {
    if let Some(failure) = error.downcast_ref::<QueryFailure>() {
        return Some(failure.sqlstate.clone());
    }
    error.downcast_ref::<tokio_postgres::Error>().map(QueryFailure::of).map(|failure| failure.sqlstate)
}

/// Whether an error or one of its causes is that a connection was lost.
fn is_of_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(code_of).any(|code| code.is_of_connection())
}

/// What to type where a sandbox has no room left.
pub const NO_ROOM: &str = "a sandbox lies in memory (/dev/shm, in Docker 3 GB of it), or in TMPDIR where that is too \
                       small: make room there, or ask for fewer rows under [data]";

/// What to type where a sandbox was lost.
const AGAIN: &str =
    "say the same again once `docker version` answers; `thirdrun gc` removes what may have been left";

/// What to type where a server did not come up.
const NEVER_READY: &str =
    "say the same again; if it never becomes ready, `thirdrun doctor` says what can be used here";

/// SQLSTATE `disk_full`.
const DISK_FULL: &str = "53100";

/// SQLSTATEs of something that is not there: an object, table, function, schema.
const NOT_THERE: [&str; 4] = ["42704", "42P01", "42883", "3F000"];

impl From<SeedError> for Failure {
    fn from(error: SeedError) -> Self {
        let exit = match &error {
            // The rehearsal file names it.
            SeedError::Rows(RowsError::NoSuchTable { .. }) => Exit::Usage,
            _ => Exit::Environment,
        };
        let lost_connection = match &error {
            // It is shown as the error itself, and is none of its causes.
            SeedError::Restore(RestoreError::Statement { sqlstate, .. }) => sqlstate.is_of_connection(),
            error => is_of_connection(error),
        };
        let failure = Self { lost_connection, ..Self::new(exit, &error) };
        match &error {
            SeedError::Restore(RestoreError::Statement { detail, hint, statement, sqlstate, .. }) => {
                let mut failure = failure;
                if !statement.is_empty() {
                    failure.chain.push(format!("the statement is: {statement}"));
                }
                failure.chain.extend(detail.iter().cloned());
                let extension = statement.to_ascii_lowercase().starts_with("create extension");
                if extension && matches!(sqlstate.as_str(), "0A000" | "58P01") {
                    failure = failure
                        .hint(
                            "with Docker, packages = [\"…\"] under [clone] installs the extension's package; \
                             for a local server install it yourself",
                        )
                        .hint("or leave it out with extensions = \"skip-missing\" under [clone]");
                }
                let failure = match sqlstate.as_str() {
                    "42601" => failure.hint(
                        "a schema is what `pg_dump --schema-only` writes, of this server's version or an older one",
                    ),
                    "42501" => failure.hint("dump it without --use-set-session-authorization"),
                    DISK_FULL => failure.hint(NO_ROOM),
                    code if NOT_THERE.contains(&code) => failure.hint(
                        "dump the whole database, or name what makes it first: schema = [\"first.sql\", …] under [clone]",
                    ),
                    _ => failure,
                };
                match hint {
                    Some(hint) => failure.hint(format!("the server says: {hint}")),
                    None => failure,
                }
            }
            SeedError::Restore(RestoreError::Rows { .. }) => failure
                .hint("a rehearsal needs no row of the original: dump it with `pg_dump --schema-only`")
                .hint(
                    "or say dumped = \"skip\" under [data] to leave them out, dumped = \"load\" to load them",
                ),
            SeedError::Restore(RestoreError::NotOneRow { .. }) => {
                failure.hint("in a new database, without rows, the query must give one row, too")
            }
            SeedError::Restore(RestoreError::Command { .. } | RestoreError::Program { .. }) => failure.hint(
                "restore the file with psql into a database, and dump that with `pg_dump --schema-only`",
            ),
            SeedError::Restore(RestoreError::Truncated { .. }) => {
                failure.hint("copy or dump it again: not all of it is here")
            }
            SeedError::Own { .. } | SeedError::Rows(_) | SeedError::Catalog(_) => {
                failure.hint_of_room(&error)
            }
        }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        let usage = Self::new(Exit::Usage, &error);
        let environment = Self::new(Exit::Environment, &error);
        match &error {
            CaptureError::From(_) => {
                usage.hint("write it like postgres://user@host:5432/database, or \"host=… dbname=… user=…\"")
            }
            CaptureError::NotEmpty(_) => usage.hint("name a new directory: nothing is overwritten"),
            CaptureError::NoDirectory(_) => usage.hint("name a new directory"),
            CaptureError::NoParent { parent, .. } => {
                usage.hint(format!("make it first: mkdir -p {}", parent.display()))
            }
            CaptureError::NoClient(_) => environment
                .hint("install the package postgresql-client, or name their directory with --postgres-bin"),
            CaptureError::OldClient { server, .. } => environment.hint(format!(
                "install the package postgresql-client-{server} (Debian, also from apt.postgresql.org), or name the \
                 directory of such programs with --postgres-bin"
            )),
            CaptureError::Program { unreached: Some(from), .. } => environment.hint(format!(
                "thirdrun connects as psql does, so that this must work first: psql -d '{}' (a password may come from \
                 PGPASSWORD or ~/.pgpass)",
                from.replace('\'', "'\\''")
            )),
            CaptureError::Program { program: "pg_dump", .. } => environment.hint(
                "pg_dump waits two seconds for a table that is locked: where a migration is at work, capture after it",
            ),
            CaptureError::Deadline(_) => environment.hint("--timeout gives it more time"),
            CaptureError::Program { .. }
            | CaptureError::Start { .. }
            | CaptureError::Encoding { .. }
            | CaptureError::Answer(_)
            | CaptureError::TooOld(_)
            | CaptureError::Write { .. } => environment,
        }
    }
}

impl From<IncidentError> for Failure {
    fn from(error: IncidentError) -> Self {
        let usage = Self::new(Exit::Usage, &error);
        let environment = Self::new(Exit::Environment, &error);
        match &error {
            IncidentError::None { .. } | IncidentError::Report { .. } => {
                usage.hint("name a bundle that `thirdrun check --save-incident` wrote, or a directory")
            }
            IncidentError::Read { .. } => {
                usage.hint("copy it again: it is damaged, or not all of it is here")
            }
            IncidentError::Newer { .. } => usage.hint("install the later thirdrun"),
            IncidentError::Refused { .. } => {
                usage.hint("thirdrun writes no such bundle: ask whoever gave it to you")
            }
            IncidentError::Exists(_) => usage.hint("name a new file: nothing is overwritten"),
            IncidentError::Write { .. } => environment.hint_of_room(&error),
            IncidentError::Script { .. } => {
                environment.hint("leave the scripts in their place until the check has ended")
            }
            IncidentError::TooLarge => environment
                .hint("let the script, and the programs of workers, lie in directories of their own"),
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let failure = Self::new(Exit::Environment, &error).hint_of_room(&error);
        match error.source.downcast_ref::<SandboxError>() {
            Some(SandboxError::Engine(_) | SandboxError::Lost(_)) => failure.hint(AGAIN),
            Some(sandbox) => failure.hints_for(sandbox),
            None => failure,
        }
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::defect(&error.to_string())
    }
}

impl Failure {
    /// A defect of thirdrun.
    pub fn defect(what: &str) -> Self {
        Self::said(Exit::Defect, format!("this is a defect of thirdrun: {what}"))
            .hint("please report it, with the lines above")
    }
}
