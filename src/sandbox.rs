//! Throw-away servers: one interface, however they are had.
//!
//! Responsible for having a server that nothing else can reach, for running programs beside it, and for
//! leaving nothing behind. Knows nothing of dumps, workers or verdicts.

mod configuration;
pub mod docker;
mod door;
mod error;
mod kept;
pub mod leftovers;
pub mod local;
mod ready;
pub mod scope;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::SandboxError;
pub use scope::Scope;

use configuration::{conf_text, fixed_settings, hba_text};
use kept::Begun;

use crate::dump::Archive;
use crate::identifiers::{DatabaseName, RoleName};
use crate::observations::SandboxFacts;
use crate::postgres::{Server, Session};
use crate::programs::{Launcher, Place};
use crate::tap::Tap;

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
    /// Packages that are installed into a copy of the image, with Docker.
    pub packages: Vec<String>,
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

impl Default for SandboxPlan {
    /// The newest version that can be had, wherever, as it comes.
    fn default() -> Self {
        Self {
            backend: BackendChoice::Auto,
            major: None,
            image: None,
            packages: Vec::new(),
            postgres_bin: None,
            settings: BTreeMap::new(),
            hba: Vec::new(),
            bootstrap: RoleName::new("postgres"),
            reach: None,
        }
    }
}

/// How long a server may take to answer its first query.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// How long a server that is up may take to let a session in.
const ANSWER: Duration = Duration::from_secs(10);

/// What a server writes when a signal has ended one of its processes.
const CRASH: &str = "was terminated by signal";

/// SQLSTATEs with which a session is refused while a server recovers: `cannot_connect_now`, and those of a
/// connection that fails without a word.
const RECOVERING: [&str; 3] = ["57P03", "08001", "08006"];

/// A running server that only thirdrun can reach.
pub struct Sandbox {
    facts: SandboxFacts,
    server: Server,
    backend: Backend,
    /// What was noted with the clone that it started with.
    note: Option<String>,
    /// The session that saw the server become ready.
    first: tokio::sync::Mutex<Option<Session>>,
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

    async fn reached(&self) -> Result<(), SandboxError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Docker(server) => server.reached().await,
        }
    }

    async fn log_tail(&self) -> String {
        match self {
            Self::Local(server) => server.log_tail(),
            Self::Docker(server) => server.log_tail().await,
        }
    }

    /// The last line of the server's log that says this.
    async fn logged(&self, what: &str) -> Option<String> {
        let log = self.log_tail().await;
        let line = log.lines().rev().find(|line| line.contains(what))?;
        let said = ["LOG:", "PANIC:", "ERROR:", "FATAL:"].iter().find_map(|word| line.split_once(word));
        Some(said.map_or(line, |(_, said)| said).trim().to_owned())
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
    /// programs will run, which are made ready meanwhile. With the fingerprint of a `clone` it starts with that
    /// one where it was kept, and says so by its [`Sandbox::note`]; else the clone can be kept once it is made.
    ///
    /// # Errors
    /// When there is no such server here or it does not become ready.
    pub async fn start(
        plan: &SandboxPlan,
        clone: Option<&str>,
        scope: &Scope,
        places: &[Place],
    ) -> Result<Self, SandboxError> {
        let begun = Instant::now();
        let Begun { server: backend, login: (superuser, password), note } =
            start_backend(plan, clone, scope).await?;
        prepare(&backend, places);
        let mut server = Server { endpoint: backend.endpoint(), superuser, password, options: None };
        let session = ready::answering(&server, &backend).await?;
        let version = match ready::set_up(&mut server, &backend, plan, &session).await {
            Ok(version) => version,
            Err(error) => return Err(ready::why(error, &backend).await),
        };
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
            seed_cached: note.is_some(),
        };
        let first = tokio::sync::Mutex::new(Some(session));
        Ok(Self { facts, server, backend, note, first })
    }

    /// What was noted with the clone that it started with; none where there is no clone yet.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Keeps the clone that was made in it, with a note, where [`Sandbox::start`] was told of one. The server is
    /// stopped for that and started again: whoever has a session must have closed it.
    ///
    /// # Errors
    /// When the server does not come back. That nothing can be kept is no error.
    pub async fn keep(
        &mut self,
        plan: &SandboxPlan,
        note: String,
        scope: &Scope,
    ) -> Result<(), SandboxError> {
        let restarted = match &mut self.backend {
            Backend::Local(server) => server.keep(plan, self.server.password.clone(), note, scope).await?,
            Backend::Docker(server) if server.keeps() => {
                let login = self.server.superuser_login(&DatabaseName::new("postgres"));
                let session = Session::open(&self.server.endpoint, &login).await;
                server.keep(session.map_err(SandboxError::Setup)?, note, scope).await?
            }
            Backend::Docker(_) => false,
        };
        if restarted {
            *self.first.get_mut() = Some(ready::answering(&self.server, &self.backend).await?);
        }
        Ok(())
    }

    /// Waits until the clone is kept, if it is to be. No script may run before.
    pub async fn kept(&self) {
        match &self.backend {
            Backend::Local(server) => server.kept().await,
            Backend::Docker(server) => server.kept().await,
        }
    }

    /// What the server's own `pg_restore` makes of an archive, or that of a newer version on this machine where
    /// the server's is too old for it.
    ///
    /// # Errors
    /// When none understands the archive.
    pub async fn pg_restore(
        &self,
        archive: &Archive,
        arguments: &[&str],
        scope: &Scope,
    ) -> Result<Vec<u8>, SandboxError> {
        let own = match &self.backend {
            Backend::Local(server) => server.pg_restore(archive, arguments, scope).await,
            Backend::Docker(server) => server.pg_restore(archive, arguments).await,
        };
        match own {
            Err(error) => match local::newest_pg_restore(archive, arguments, scope).await {
                Some(Ok(output)) => Ok(output),
                // What the server's own said is more to the point.
                Some(Err(_)) | None => Err(error),
            },
            own => own,
        }
    }

    /// Puts a tap where scripts look for the server. Without one, as where an engine in a virtual machine cannot
    /// share a socket, they find the server itself.
    ///
    /// # Errors
    /// When there is no place for it.
    pub async fn tap(&self) -> Result<Option<Tap>, SandboxError> {
        let tap = Tap::new(self.server.endpoint.clone())
            .map_err(SandboxError::io("cannot start a thread for the tap"))?;
        let served = match &self.backend {
            Backend::Local(server) => server.serve(&tap).map(|()| true),
            Backend::Docker(server) => server.serve(&tap).await,
        };
        let served = served.map_err(SandboxError::io("cannot listen in the sandbox's place"))?;
        Ok(served.then_some(tap))
    }

    /// How it was had.
    pub fn facts(&self) -> &SandboxFacts {
        &self.facts
    }

    /// How to reach its server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The session of its bootstrap superuser that saw it become ready, for whoever asks first.
    pub async fn first_session(&self) -> Option<Session> {
        self.first.lock().await.take()
    }

    /// A new session of its superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn superuser_session(&self) -> Result<Session, SandboxError> {
        let login = self.server.superuser_login(&DatabaseName::new("postgres"));
        Session::open(&self.server.endpoint, &login).await.map_err(SandboxError::Setup)
    }

    /// Runs programs beside it.
    pub fn launcher(&self) -> Arc<dyn Launcher> {
        self.backend.launcher()
    }

    /// Waits until a server that has crashed has recovered, or is gone for good. Until then every session
    /// would be refused, for a time that says nothing of the script. Only a new session is proof: one that
    /// was open may answer once more before it hears of its server's end.
    ///
    /// Says whether that is over. It is not where a server refuses every session for a minute and does not end, such as
    /// one that can have no more processes: to wait once more would be in vain.
    pub async fn settle(&self) -> bool {
        let login = self.server.superuser_login(&DatabaseName::new("postgres"));
        let begun = Instant::now();
        while begun.elapsed() < READY_DEADLINE && self.backend.alive().await {
            match tokio::time::timeout(ANSWER, Session::open(&self.server.endpoint, &login)).await {
                Ok(Ok(session)) => {
                    session.close().await;
                    return true;
                }
                Ok(Err(failure)) if RECOVERING.contains(&failure.sqlstate.as_str()) => {}
                // One that was stopped, not ended, takes the connection and says nothing: the workers tell.
                Ok(Err(_)) | Err(_) => return true,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed() < READY_DEADLINE
    }

    /// Waits, after a connection broke, until it is known why, and until a server that has lost a process has recovered
    /// or is gone.
    pub async fn has_broken_off(&self) {
        ready::has_ended(&self.backend).await;
        self.settle().await;
    }

    /// Fails when the server is lost by nothing that a script could do: its engine does not answer, or has no such
    /// container any more.
    ///
    /// # Errors
    /// When it is.
    pub async fn reached(&self) -> Result<(), SandboxError> {
        self.backend.reached().await
    }

    /// The end of the server's log, if the server is gone.
    pub async fn log_if_gone(&self) -> Option<String> {
        if self.backend.alive().await { None } else { Some(self.backend.log_tail().await) }
    }

    /// What the server's log says of the last of its processes that a signal ended, if one did.
    pub async fn crash(&self) -> Option<String> {
        self.backend.logged(CRASH).await
    }

    /// What the server's log says of a disk on which there was no room, if it does.
    pub async fn disk_full(&self) -> Option<String> {
        self.backend.logged("No space left on device").await
    }
}

/// Makes the places of programs ready in the background. One that cannot be had is tried again when it is needed,
/// which then says why.
fn prepare(backend: &Backend, places: &[Place]) {
    let (launcher, places) = (backend.launcher(), places.to_owned());
    drop(tokio::spawn(async move { launcher.prepare(&places).await }));
}

/// Starts a server where the plan wants it, after what dead sandboxes have left is removed.
async fn start_backend(
    plan: &SandboxPlan,
    clone: Option<&str>,
    scope: &Scope,
) -> Result<Begun<Backend>, SandboxError> {
    let connected = match plan.backend {
        BackendChoice::Local => None,
        BackendChoice::Docker => Some(docker::engine::connect().await?),
        BackendChoice::Auto => docker::engine::connect().await.ok(),
    };
    leftovers::remove_dead(connected.as_ref().map(|(docker, _)| docker)).await;
    let mut unusable = None;
    if let Some(connected) = connected {
        match docker::choose_image(&connected.0, plan, scope).await {
            Ok(image) => {
                scope.uses_engine(&connected.0, connected.1.own_container());
                match docker::DockerServer::start(&connected, image, plan, clone, scope).await {
                    Ok(begun) => return Ok(begun.map(Backend::Docker)),
                    Err(error @ (SandboxError::Elsewhere { .. } | SandboxError::Inside(_)))
                        if plan.backend == BackendChoice::Auto =>
                    {
                        unusable = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(error) if plan.backend == BackendChoice::Docker => return Err(error),
            // No image can be had: the next best thing is a local server.
            Err(error) => unusable = Some(error),
        }
    }
    match (local::LocalServer::start(plan, clone, scope).await, unusable) {
        (Ok(begun), _) => Ok(begun.map(Backend::Local)),
        (Err(local @ SandboxError::NoPostgres { .. }), Some(docker)) => Err(SandboxError::Neither {
            wanted: plan.major.map_or_else(|| "server".to_owned(), |major| major.to_string()),
            docker: Box::new(docker),
            local: Box::new(local),
        }),
        (Err(error), _) => Err(error),
    }
}

/// The major version of a version such as `17.6` or `18beta1`; 0 where there is none.
pub fn major(version: &str) -> u32 {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
