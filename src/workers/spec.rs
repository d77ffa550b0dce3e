//! What a worker does, as the rehearsal file says it.

use std::path::PathBuf;
use std::time::Duration;

use crate::identifiers::{RoleName, RunNumber, Secret, WorkerName};
use crate::observations::WorkerFacts;
use crate::programs::Place;

/// One worker.
#[derive(Debug, Clone)]
pub struct WorkerSpec {
    /// Its name.
    pub name: WorkerName,
    /// The role it logs in as.
    pub role: RoleName,
    /// How it holds sessions.
    pub session: SessionKind,
    /// Sessions of a pool.
    pub connections: u32,
    /// The first run that it is judged after.
    pub from_run: RunNumber,
    /// Whether it opens its session again when that was cut off.
    pub reconnect: bool,
    /// Statements that begin every new session.
    pub on_connect: Vec<String>,
    /// The password that it uses; none: the role's.
    pub password: Option<Secret>,
    /// Pause between the starts of two iterations while a script runs.
    pub every: Duration,
    /// Whether it iterates while a script runs.
    pub while_running: bool,
    /// When an iteration has failed.
    pub timeout: Duration,
    /// Longest stall that passes.
    pub max_outage: Duration,
    /// Whether the steps of one iteration are one transaction.
    pub transaction: bool,
    /// Whether that transaction is rolled back.
    pub rollback: bool,
    /// What one iteration does.
    pub work: StepWork,
}

/// How a worker holds sessions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// One connection for life.
    #[default]
    Keep,
    /// A new connection for every iteration.
    Fresh,
    /// Connections behind a session pooler, which says DISCARD ALL after every iteration.
    Pool,
}

/// What one iteration does.
#[derive(Debug, Clone)]
pub enum StepWork {
    /// Steps on a session.
    Steps(Vec<Step>),
    /// One start of a program.
    Command(CommandWork),
}

/// A program that is one iteration.
#[derive(Debug, Clone)]
pub struct CommandWork {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory it runs in.
    pub directory: PathBuf,
    /// The image it runs in, with Docker.
    pub image: Option<String>,
}

/// One step of an iteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A query string.
    Sql {
        /// Its text.
        sql: String,
        /// Rows affected or returned; none: any.
        rows: Option<RowsExpected>,
        /// The first column of the first row as psql prints it; none: any.
        value: Option<String>,
    },
    /// A notification must arrive.
    Notify {
        /// On this channel.
        channel: String,
    },
    /// The client does nothing.
    Pause(Duration),
}

/// How many rows a step shall affect or return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsExpected {
    /// As many.
    Exactly(u64),
    /// As many or more.
    AtLeast(u64),
}

impl RowsExpected {
    /// Whether a number of rows will do.
    pub fn accepts(self, rows: u64) -> bool {
        match self {
            Self::Exactly(wanted) => rows == wanted,
            Self::AtLeast(least) => rows >= least,
        }
    }
}

impl std::fmt::Display for RowsExpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(rows) => write!(f, "{rows}"),
            Self::AtLeast(rows) => write!(f, "at least {rows}"),
        }
    }
}

impl WorkerSpec {
    /// Where its programs run, if it has any.
    pub fn place(&self) -> Option<Place> {
        match &self.work {
            StepWork::Steps(_) => None,
            StepWork::Command(command) => {
                Some(Place { directory: command.directory.clone(), image: command.image.clone() })
            }
        }
    }

    /// Whether it holds sessions from one iteration to the next. A program opens its own.
    pub fn keeps_sessions(&self) -> bool {
        matches!(self.work, StepWork::Steps(_)) && self.session != SessionKind::Fresh
    }

    /// What judging needs to know of it.
    pub fn facts(&self) -> WorkerFacts {
        WorkerFacts {
            name: self.name.clone(),
            role: self.role.clone(),
            steps: match &self.work {
                StepWork::Steps(steps) => steps.iter().map(Step::in_words).collect(),
                StepWork::Command(command) => vec![command.argv.join(" ")],
            },
            max_outage_ms: self.max_outage.as_secs_f64() * 1e3,
        }
    }
}

impl Step {
    fn in_words(&self) -> String {
        match self {
            Self::Sql { sql, .. } => sql.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Notify { channel } => format!("wait for a notification on {channel}"),
            Self::Pause(time) => format!("pause {}", humantime::format_duration(*time)),
        }
    }
}
