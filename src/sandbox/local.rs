//! The local backend: a `postgres` process of this machine in a private directory.
//!
//! Where the kernel allows it the server gets a network namespace of its own, in which 127.0.0.1:5432
//! is the sandbox and nothing else exists; programs run in it too. Elsewhere the server has a unix
//! socket only, and programs keep the machine's network, which the report says.

mod binaries;
mod cluster;
mod confine;
mod programs;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub use binaries::{Installation, find_all};

use super::{SandboxError, SandboxPlan, Scope, fixed_settings, leftovers};
use crate::cache::InUse;
use crate::identifiers::Secret;
use crate::postgres::Endpoint;
use crate::programs::{Address, Launcher};
use confine::{Confinement, Layers};

/// The port in the name of the socket, and the one inside the namespace.
const PORT: u16 = 5432;
/// How long the server gets for an immediate shutdown.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Bytes of the server's log that are shown.
const LOG_TAIL: u64 = 4 * 1024;

/// A server process and its directory.
pub struct LocalServer {
    child: Mutex<Child>,
    socket: PathBuf,
    log: PathBuf,
    confined: bool,
    launcher: Arc<programs::LocalLauncher>,
    _lower: Option<InUse>,
}

/// A server that has just been started.
struct Started {
    child: Child,
    /// Whether it has a network of its own.
    confined: bool,
    /// The password of its superuser.
    password: Secret,
    /// What it has a layer over.
    lower: Option<InUse>,
}

impl LocalServer {
    /// Makes a cluster and starts the server, which may not answer yet. Also says the password that its
    /// bootstrap superuser has at first.
    pub(super) async fn start(plan: &SandboxPlan, scope: &Scope) -> Result<(Self, Secret), SandboxError> {
        let installation = binaries::choose(plan.postgres_bin.as_deref(), plan.major)?;
        let directory = scope.directory().to_owned();
        let socket = directory.join("socket");
        let home = directory.join("home");
        for made in [&socket, &home] {
            make_directory(made, scope)?;
        }
        let log = directory.join("server.log");
        let Started { child, confined, password, lower } =
            start_on_cluster(&installation, plan, scope).await?;
        let namespace = confined.then(|| {
            let path = format!("/proc/{}/ns/net", child.id());
            std::fs::read_link(path).map(|link| link.to_string_lossy().into_owned())
        });
        if let Some(Ok(namespace)) = namespace {
            std::fs::write(directory.join(leftovers::NAMESPACE), namespace)
                .map_err(SandboxError::io("cannot note the network namespace"))?;
        }
        let address = Address {
            host: if confined { "127.0.0.1".to_owned() } else { socket.to_string_lossy().into_owned() },
            port: PORT,
            passfile: directory.join("pgpass").to_string_lossy().into_owned(),
            home: home.to_string_lossy().into_owned(),
            path: format!(
                "{}:/usr/local/bin:/usr/bin:/bin",
                installation.psql.parent().unwrap_or(&installation.bin).display()
            ),
        };
        let launcher = Arc::new(programs::LocalLauncher::new(
            address,
            installation.psql.clone(),
            scope.user(),
            confined.then(|| child.id()),
        ));
        let server = Self { child: Mutex::new(child), socket, log, confined, launcher, _lower: lower };
        Ok((server, password))
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix { directory: self.socket.clone(), port: PORT }
    }

    pub(super) fn launcher(&self) -> Arc<dyn Launcher> {
        Arc::clone(&self.launcher) as Arc<dyn Launcher>
    }

    pub(super) fn isolation(&self) -> String {
        if self.confined {
            "own network namespace, no way out".to_owned()
        } else {
            "unix socket only; programs keep this machine's network".to_owned()
        }
    }

    /// Whether the server process still runs.
    pub(super) fn alive(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }

    /// The end of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // An immediate shutdown: nothing of it is wanted any more, but its children are ended and waited
        // for by their parent, so that not even a zombie stays (PostgreSQL manual, 18.5).
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let begun = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < SHUTDOWN {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Neither does anything to a process that has been waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Starts the server on a new cluster, with as much of its own as the kernel allows: first with a layer over a
/// cached cluster and a network, then on a copy with a network, then with neither.
async fn start_on_cluster(
    installation: &Installation,
    plan: &SandboxPlan,
    scope: &Scope,
) -> Result<Started, SandboxError> {
    let password = match cluster::cached(installation, plan, scope) {
        Some(cached) => {
            let layered = cached
                .layer(plan, scope)
                .and_then(|layers| start_postgres(installation, scope, true, Some(layers)));
            if let Ok(child) = layered {
                let password = cached.password();
                return Ok(Started { child, confined: true, password, lower: Some(cached.into_use()) });
            }
            match cached.copy(plan, scope) {
                Ok(()) => cached.password(),
                // An entry that cannot be used is as good as none.
                Err(_) => cluster::make(installation, plan, scope).await?,
            }
        }
        None => cluster::make(installation, plan, scope).await?,
    };
    if let Ok(child) = start_postgres(installation, scope, true, None) {
        return Ok(Started { child, confined: true, password, lower: None });
    }
    // Namespaces are refused here: the next best thing.
    let child = start_postgres(installation, scope, false, None)
        .map_err(SandboxError::io("cannot start postgres"))?;
    Ok(Started { child, confined: false, password, lower: None })
}

fn make_directory(path: &std::path::Path, scope: &Scope) -> Result<(), SandboxError> {
    std::fs::create_dir(path)
        .and_then(|()| match scope.user() {
            Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        })
        .map_err(SandboxError::io(format!("cannot make the directory {}", path.display())))
}

fn start_postgres(
    installation: &Installation,
    scope: &Scope,
    confined: bool,
    layers: Option<Layers>,
) -> std::io::Result<Child> {
    let directory = scope.directory();
    let log = File::create(directory.join("server.log"))?;
    let mut command = Command::new(installation.bin.join("postgres"));
    command.arg("-D").arg(directory.join("data"));
    let listen = if confined { "127.0.0.1" } else { "" };
    command.args(fixed_settings(listen, PORT, &directory.join("socket").to_string_lossy()));
    command.args(["-c", "dynamic_shared_memory_type=mmap"]);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    confine::apply(
        &mut command,
        Confinement {
            user: scope.user(),
            own_network: confined,
            layers,
            dies_with_parent: true,
            own_session: true,
            ..Confinement::default()
        },
    );
    command.spawn()
}
