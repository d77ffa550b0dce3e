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
    /// The service through which its sessions go to the server; none: they go there themselves.
    pub through: Option<WorkerName>,
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
    /// Whether that transaction is rolled back; else each step is one of its own, and that is.
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
    /// A program that keeps running, and one question whether it is healthy.
    Service(Box<ServiceWork>),
}

/// A program that keeps running.
#[derive(Debug, Clone)]
pub struct ServiceWork {
    /// The program.
    pub command: CommandWork,
    /// What succeeds while it is healthy.
    pub health: Health,
    /// The port at which it speaks PostgreSQL's protocol, as a pooler does.
    pub port: Option<u16>,
    /// Whether it is started anew after every run, which is what a new session is to others.
    pub restart: bool,
}

/// What succeeds while a service is healthy.
#[derive(Debug, Clone)]
pub enum Health {
    /// Steps on a new session of the service's role, which a service with a port answers itself.
    Steps(Vec<Step>),
    /// A program and its arguments.
    Command(Vec<String>),
}

/// A program that is one iteration, or a service.
#[derive(Debug, Clone)]
pub struct CommandWork {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory it runs in.
    pub directory: PathBuf,
    /// The image it runs in, with Docker.
    pub image: Option<String>,
    /// The user of that image it runs as; none: the caller's number.
    pub user: Option<String>,
}

/// One step of an iteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A query string.
    Sql {
        /// What it is called; none: by its text.
        name: Option<String>,
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
    /// The fewest that will do.
    pub fn least(self) -> u64 {
        match self {
            Self::Exactly(rows) | Self::AtLeast(rows) => rows,
        }
    }

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
        let (least, rows) = match self {
            Self::Exactly(rows) => ("", *rows),
            Self::AtLeast(rows) => ("at least ", *rows),
        };
        write!(f, "{least}{rows} {}", if rows == 1 { "row" } else { "rows" })
    }
}

impl WorkerSpec {
    /// The program that it runs or has running; none: it has sessions of its own.
    pub fn program(&self) -> Option<&CommandWork> {
        match &self.work {
            StepWork::Steps(_) => None,
            StepWork::Command(command) => Some(command),
            StepWork::Service(service) => Some(&service.command),
        }
    }

    /// The program that is started for an iteration, and its arguments; none: it takes steps on a session.
    pub fn asks(&self) -> Option<(&CommandWork, &[String])> {
        match &self.work {
            StepWork::Steps(_) => None,
            StepWork::Command(command) => Some((command, &command.argv)),
            StepWork::Service(service) => match &service.health {
                Health::Command(argv) => Some((&service.command, argv)),
                Health::Steps(_) => None,
            },
        }
    }

    /// The steps that it takes on a session, or by which it is seen whether it is healthy.
    pub fn steps(&self) -> &[Step] {
        match &self.work {
            StepWork::Steps(steps) => steps,
            StepWork::Service(service) => match &service.health {
                Health::Steps(steps) => steps,
                Health::Command(_) => &[],
            },
            StepWork::Command(_) => &[],
        }
    }

    /// The port at which others go through it.
    pub fn port(&self) -> Option<u16> {
        match &self.work {
            StepWork::Service(service) => service.port,
            StepWork::Steps(_) | StepWork::Command(_) => None,
        }
    }

    /// Where its programs run, if it has any.
    pub fn place(&self) -> Option<Place> {
        self.program()
            .map(|command| Place { directory: command.directory.clone(), image: command.image.clone() })
    }

    /// Whether it holds sessions from one iteration to the next. A program opens its own.
    pub fn keeps_sessions(&self) -> bool {
        self.program().is_none() && self.session != SessionKind::Fresh
    }

    /// What judging needs to know of it.
    pub fn facts(&self) -> WorkerFacts {
        WorkerFacts {
            name: self.name.clone(),
            role: self.role.clone(),
            steps: match self.asks() {
                Some((_, argv)) => vec![argv.join(" ")],
                None => self.steps().iter().map(Step::in_words).collect(),
            },
            max_outage_ms: self.max_outage.as_secs_f64() * 1e3,
        }
    }
}

impl Step {
    fn in_words(&self) -> String {
        match self {
            Self::Sql { name, sql, .. } => {
                let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
                name.as_ref().map_or_else(|| sql.clone(), |name| format!("{name}: {sql}"))
            }
            Self::Notify { channel } => format!("wait for a notification on {channel}"),
            Self::Pause(time) => format!("pause {}", humantime::format_duration(*time)),
        }
    }
}
