//! Throw-away servers: one interface, however they are had.
//!
//! Responsible for having a server that nothing else can reach, for running programs beside it, and for
//! leaving nothing behind. Knows nothing of dumps, workers or verdicts.

pub mod docker;
pub mod leftovers;
pub mod local;
pub mod scope;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use scope::Scope;

use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::observations::SandboxFacts;
use crate::postgres::{NotReady, SUPERUSER, Server, Session, wait_until_ready};
use crate::programs::{Launcher, Place};

/// Which backend is wanted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// Docker where it can be used, else a local server.
    #[default]
    Auto,
    /// A container.
    Docker,
    /// A server process on this machine.
    Local,
}

/// What the sandbox shall be like.
#[derive(Debug, Clone)]
pub struct SandboxPlan {
    /// Where.
    pub backend: BackendChoice,
    /// PostgreSQL's major version; none: the newest that can be had.
    pub major: Option<u32>,
    /// The image, with Docker; none: by version.
    pub image: Option<String>,
    /// The directory of `postgres` and `initdb`, for a local server; none: searched for.
    pub postgres_bin: Option<PathBuf>,
    /// Lines of `postgresql.conf`.
    pub settings: BTreeMap<String, String>,
    /// Lines of `pg_hba.conf` that come before the sandbox's own rule.
    pub hba: Vec<String>,
    /// The role that owns the system catalogs.
    pub bootstrap: RoleName,
    /// How a server in a container is reached; none: the tightest way that its engine allows.
    pub reach: Option<docker::Reach>,
}

/// How long a server may take to answer its first query.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// SQLSTATEs with which a session is refused while a server recovers: `cannot_connect_now`, and those of a
/// connection that fails without a word.
const RECOVERING: [&str; 3] = ["57P03", "08001", "08006"];

/// Why no sandbox could be had. All of them are the environment's business (exit 4).
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No PostgreSQL of the wanted version is installed.
    #[error("no PostgreSQL {wanted} was found on this machine{found}")]
    NoPostgres {
        /// The version, or nothing.
        wanted: String,
        /// What was found instead.
        found: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A program that comes with PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server did not come up.
    #[error("the sandbox's server did not become ready; the end of its log:\n{log}")]
    NotReady {
        /// Why.
        #[source]
        source: NotReady,
        /// The end of its log.
        log: String,
    },
    /// Its superuser could not be set up.
    #[error("the sandbox's server refused its first statements")]
    Setup(#[source] crate::postgres::QueryFailure),
    /// A file operation failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something about Docker, in a sentence.
    #[error("the Docker backend cannot be used: {0}")]
    Docker(String),
    /// Docker's engine refused, or does not answer.
    #[error("the Docker backend cannot be used")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An image is neither here nor to be had.
    #[error("the image {image} is not here and cannot be pulled")]
    NoImage {
        /// The image.
        image: String,
        /// The version of PostgreSQL that it was wanted for.
        major: Option<u32>,
        /// Why it cannot be pulled.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SandboxError {
    /// Whether the operating system refused it to this user.
    pub fn is_denied(&self) -> bool {
        let mut error: Option<&dyn std::error::Error> = Some(self);
        while let Some(cause) = error {
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
                return true;
            }
            error = cause.source();
        }
        false
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A running server that only thirdrun can reach.
pub struct Sandbox {
    facts: SandboxFacts,
    server: Server,
    backend: Backend,
    /// A session that tells, as long as it answers, that the server has not crashed.
    pulse: tokio::sync::Mutex<Option<Session>>,
}

enum Backend {
    Local(local::LocalServer),
    Docker(docker::DockerServer),
}

impl Backend {
    async fn alive(&self) -> bool {
        match self {
            Self::Local(server) => server.alive(),
            Self::Docker(server) => server.alive().await,
        }
    }

    async fn log_tail(&self) -> String {
        match self {
            Self::Local(server) => server.log_tail(),
            Self::Docker(server) => server.log_tail().await,
        }
    }

    fn launcher(&self) -> Arc<dyn Launcher> {
        match self {
            Self::Local(server) => server.launcher(),
            Self::Docker(server) => server.launcher(),
        }
    }

    fn endpoint(&self) -> crate::postgres::Endpoint {
        match self {
            Self::Local(server) => server.endpoint(),
            Self::Docker(server) => server.endpoint(),
        }
    }
}

impl Sandbox {
    /// Starts a server and waits until it answers. `scope` owns everything that is started; `places` are where
    /// programs will run, which are made ready meanwhile.
    ///
    /// # Errors
    /// When there is no such server here or it does not become ready.
    pub async fn start(plan: &SandboxPlan, scope: &Scope, places: &[Place]) -> Result<Self, SandboxError> {
        let begun = Instant::now();
        let (backend, password) = start_backend(plan, scope).await?;
        let (launcher, places) = (backend.launcher(), places.to_owned());
        // A place that cannot be had is tried again when it is needed, which then says why.
        drop(tokio::spawn(async move { launcher.prepare(&places).await }));
        let mut server = Server { endpoint: backend.endpoint(), superuser: plan.bootstrap.clone(), password };
        let login = server.superuser_login(&DatabaseName::new("postgres"));
        let ready = wait_until_ready(&server.endpoint, &login, READY_DEADLINE, || backend.alive()).await;
        let session = match ready {
            Ok(session) => session,
            Err(source) => {
                return Err(SandboxError::NotReady { source, log: backend.log_tail().await });
            }
        };
        let version = server_version(&session).await?;
        let superuser = RoleName::new(SUPERUSER);
        let password = Secret::random();
        let sql = if plan.bootstrap == superuser {
            format!("ALTER ROLE {} PASSWORD '{}'", superuser.quoted(), password.reveal())
        } else {
            // The sandbox's own superuser is another role than the one that owns the catalogs, which
            // bears its original name.
            format!(
                "CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{}'; ALTER ROLE {} PASSWORD NULL",
                superuser.quoted(),
                password.reveal(),
                plan.bootstrap.quoted(),
            )
        };
        session.run(&sql).await.map_err(SandboxError::Setup)?;
        server.superuser = superuser;
        server.password = password;
        if let Backend::Docker(container) = &backend {
            container.lock(plan, &server, &session).await?;
        }
        session.close().await;
        let (name, image, isolation) = match &backend {
            Backend::Local(server) => ("local", None, server.isolation()),
            Backend::Docker(server) => ("docker", Some(server.image().to_owned()), server.isolation()),
        };
        let facts = SandboxFacts {
            backend: name.to_owned(),
            postgres: version,
            image,
            isolation,
            ready_ms: begun.elapsed().as_secs_f64() * 1e3,
            seed_cached: false,
        };
        Ok(Self { facts, server, backend, pulse: tokio::sync::Mutex::default() })
    }

    /// How it was had.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// How to reach its server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Runs programs beside it.
    pub fn launcher(&self) -> Arc<dyn Launcher> {
        self.backend.launcher()
    }

    /// Waits until a server that has crashed has recovered, or is gone for good. Until then every session
    /// would be refused, for a time that says nothing of the script.
    pub async fn settle(&self) {
        let mut pulse = self.pulse.lock().await;
        if let Some(session) = pulse.take()
            && let Ok(Ok(_)) = tokio::time::timeout(READY_DEADLINE, session.run("SELECT 1")).await
        {
            *pulse = Some(session);
            return;
        }
        let login = self.server.superuser_login(&DatabaseName::new("postgres"));
        let begun = Instant::now();
        while begun.elapsed() < READY_DEADLINE && self.backend.alive().await {
            let left = READY_DEADLINE.saturating_sub(begun.elapsed());
            // A server that was stopped, not ended, takes the connection and says nothing.
            match tokio::time::timeout(left, Session::open(&self.server.endpoint, &login)).await {
                Ok(Ok(session)) => {
                    *pulse = Some(session);
                    return;
                }
                Ok(Err(failure)) if RECOVERING.contains(&failure.sqlstate.as_str()) => {}
                Ok(Err(_)) | Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The end of the server's log, if the server is gone.
    pub async fn log_if_gone(&self) -> Option<String> {
        if self.backend.alive().await { None } else { Some(self.backend.log_tail().await) }
    }
}

/// Starts a server where the plan wants it, after what dead sandboxes have left is removed. Also says the
/// password of its bootstrap superuser.
async fn start_backend(plan: &SandboxPlan, scope: &Scope) -> Result<(Backend, Secret), SandboxError> {
    let connected = match plan.backend {
        BackendChoice::Local => None,
        BackendChoice::Docker => Some(docker::engine::connect().await?),
        BackendChoice::Auto => docker::engine::connect().await.ok(),
    };
    leftovers::remove_dead(connected.as_ref().map(|(docker, _)| docker)).await;
    if let Some(connected) = connected {
        match docker::choose_image(&connected.0, plan).await {
            Ok(image) => {
                scope.uses_engine(&connected.0);
                let (server, password) = docker::DockerServer::start(&connected, image, plan, scope).await?;
                return Ok((Backend::Docker(server), password));
            }
            Err(error) if plan.backend == BackendChoice::Docker => return Err(error),
            // No image can be had: the next best thing is a local server.
            Err(_) => {}
        }
    }
    let (server, password) = local::LocalServer::start(plan, scope).await?;
    Ok((Backend::Local(server), password))
}

async fn server_version(session: &Session) -> Result<String, SandboxError> {
    let answer = session.run("SHOW server_version").await.map_err(SandboxError::Setup)?;
    let version = answer.value.flatten().unwrap_or_default();
    // Debian adds its own version in parentheses.
    Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
}

/// What every sandbox's server is told on its command line, where neither the plan nor a script can change
/// it (PostgreSQL manual, 20.1.4): where it listens, and the language in which psql's errors are read.
pub(crate) fn fixed_settings(listen: &str, port: u16, socket: &str) -> Vec<String> {
    [
        ("listen_addresses", listen),
        ("port", &port.to_string()),
        ("unix_socket_directories", socket),
        ("lc_messages", "C"),
    ]
    .into_iter()
    .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
    .collect()
}

/// The end of a sandbox's `postgresql.conf`: the sandbox's own settings, then the plan's, of which the last
/// one wins. They stand in the file, so that a script's `ALTER SYSTEM` overrides them as it would in the
/// original (PostgreSQL manual, 20.1.2).
pub(crate) fn conf_text(settings: &BTreeMap<String, String>) -> String {
    // Nothing must outlive the machine. What is committed must outlive a crash of the server, so that
    // synchronous_commit stays on (PostgreSQL manual, 30.4). Up to version 13 passwords are stored as md5
    // unless it is told otherwise, with which nobody gets past the sandbox's own rule.
    let own = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("shared_buffers", "64MB"),
        ("password_encryption", "scram-sha-256"),
    ];
    let plan = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut text = "\n# thirdrun\n".to_owned();
    for (name, value) in own.into_iter().chain(plan) {
        let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
        text.push_str(&format!("{name} = '{value}'\n"));
    }
    text
}

/// `pg_hba.conf` of a sandbox: the user's lines, then scram-sha-256 for everyone.
///
/// Workers come through the unix socket, for which PostgreSQL reads only `local` lines (manual, 20.1),
/// so that every `host` line stands there a second time as a `local` one.
pub(crate) fn hba_text(lines: &[String]) -> String {
    let mut text = format!("local all {SUPERUSER} scram-sha-256\nhost all {SUPERUSER} all scram-sha-256\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if let Some(twin) = local_twin(line) {
            text.push_str(&twin);
            text.push('\n');
        }
    }
    text.push_str("local all all scram-sha-256\nhost all all all scram-sha-256\n");
    text.push_str("local replication all scram-sha-256\nhost replication all all scram-sha-256\n");
    text
}

fn local_twin(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let kind = fields.next()?;
    if !kind.starts_with("host") {
        return None;
    }
    let (database, user, address) = (fields.next()?, fields.next()?, fields.next()?);
    let mut rest: Vec<_> = fields.collect();
    // An address may be followed by a netmask of its own.
    if !address.contains('/') && rest.first().is_some_and(|mask| mask.parse::<std::net::IpAddr>().is_ok()) {
        rest.remove(0);
    }
    Some(format!("local {database} {user} {}", rest.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_and_the_plans_come_last() {
        let settings = BTreeMap::from([
            ("shared_buffers".to_owned(), "1GB".to_owned()),
            ("search_path".to_owned(), "a\\b, 'c'\nfsync = on".to_owned()),
        ]);
        assert_eq!(
            conf_text(&settings),
            "\n# thirdrun\nfsync = 'off'\nfull_page_writes = 'off'\nshared_buffers = '64MB'\n\
             password_encryption = 'scram-sha-256'\nsearch_path = 'a\\\\b, ''c''\\nfsync = on'\nshared_buffers = '1GB'\n"
        );
    }

    #[test]
    fn host_lines_hold_for_the_unix_socket_too() {
        assert_eq!(local_twin("host all svc all md5").as_deref(), Some("local all svc md5"));
        assert_eq!(
            local_twin("hostssl app svc 10.0.0.0 255.0.0.0 scram-sha-256").as_deref(),
            Some("local app svc scram-sha-256")
        );
        assert_eq!(local_twin("local all all trust"), None);
        assert_eq!(local_twin("# host all all all md5"), None);
    }
}
