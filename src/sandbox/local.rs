//! The local backend: a `postgres` process of this machine in a private directory.
//!
//! Where the kernel allows it the server gets a network namespace of its own, in which 127.0.0.1:5432
//! is the sandbox (by way of the tap) and nothing else exists; programs run in it too. Elsewhere the server has a unix
//! socket only, and programs keep the machine's network, which the report says.

mod binaries;
mod cluster;
mod confine;
#[cfg(target_os = "linux")]
mod landlock;
mod programs;
mod shelter;
#[cfg(target_os = "linux")]
mod shield;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub use binaries::{Installation, find_all};

use super::kept::{self, Begun, Claim, Key};
use super::{SandboxError, SandboxPlan, Scope, door, fixed_settings, leftovers};
use crate::cache;
use crate::children;
use crate::dump::Archive;
use crate::identifiers::{RoleName, Secret};
use crate::postgres::{Endpoint, SUPERUSER};
use crate::programs::{Address, Launcher};
use crate::tap::Tap;
use cluster::Cached;
use confine::{Confinement, Layers};
use shelter::Shelter;

/// The port in the name of the socket, and the one inside the namespace.
const PORT: u16 = 5432;
/// How long the server gets for an immediate shutdown.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// How long the server gets for a shutdown in good order, which writes everything.
const STOPPED: Duration = Duration::from_secs(60);
/// Bytes of the server's log that are shown.
const LOG_TAIL: u64 = 4 * 1024;

/// A server process and its directory.
pub struct LocalServer {
    child: Mutex<Child>,
    socket: PathBuf,
    log: PathBuf,
    confined: bool,
    shelter: Shelter,
    launcher: Arc<programs::LocalLauncher>,
    installation: Installation,
    /// Where the clone will be kept, by whoever has the right to.
    to_keep: Option<(PathBuf, Claim)>,
    /// A copy into the cache that is under way.
    keeping: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
    _lower: Option<Arc<Cached>>,
}

/// A server that has just been started.
struct Started {
    child: Child,
    /// Whether it has a network of its own.
    confined: bool,
    /// The password of its superuser.
    password: Secret,
    /// What it has a layer over.
    lower: Option<Arc<Cached>>,
    /// What it and the programs beside it see of this machine.
    shelter: Shelter,
}

/// Where a server is started, and with what.
struct Ground<'a> {
    installation: &'a Installation,
    scope: &'a Scope,
    /// The private places, which no process has yet.
    shelter: &'a Shelter,
}

impl LocalServer {
    /// Starts the server on a cluster, which has the clone of this fingerprint where one was kept.
    pub(super) async fn start(
        plan: &SandboxPlan,
        clone: Option<&str>,
        scope: &Scope,
    ) -> Result<Begun<Self>, SandboxError> {
        let installation = binaries::choose(plan.postgres_bin.as_deref(), plan.major)?;
        let key = clone.zip(cluster::identity(&installation, scope)).map(|(fingerprint, server)| {
            Key::new(fingerprint, plan, &format!("local {server} {}", plan.bootstrap))
        });
        let (kept, to_keep) = find(key, scope).await;
        for made in ["socket", "home"] {
            make_directory(&scope.directory().join(made), scope)?;
        }
        let note = kept.as_ref().and_then(Cached::note);
        let ground = Ground { installation: &installation, scope, shelter: &Shelter::new(scope)? };
        let started = start_on_cluster(&ground, plan, kept, to_keep.is_some()).await?;
        let role = if note.is_some() { RoleName::new(SUPERUSER) } else { plan.bootstrap.clone() };
        let login = (role, started.password.clone());
        let server = Self::of(started, installation, to_keep, scope)?;
        Ok(Begun { server, login, note })
    }

    fn of(
        started: Started,
        installation: Installation,
        to_keep: Option<(PathBuf, Claim)>,
        scope: &Scope,
    ) -> Result<Self, SandboxError> {
        let Started { child, confined, lower, shelter, .. } = started;
        let directory = scope.directory().to_owned();
        let namespace = confined.then(|| {
            let path = format!("/proc/{}/ns/net", child.id());
            std::fs::read_link(path).map(|link| link.to_string_lossy().into_owned())
        });
        if let Some(Ok(namespace)) = namespace {
            std::fs::write(directory.join(leftovers::NAMESPACE), namespace)
                .map_err(SandboxError::io("cannot note the network namespace"))?;
        }
        let socket = directory.join("socket");
        let address = Address {
            host: if confined { door::SERVER.to_owned() } else { socket.to_string_lossy().into_owned() },
            tap: OnceLock::new(),
            port: PORT,
            passfile: directory.join("pgpass").to_string_lossy().into_owned(),
            home: directory.join("home").to_string_lossy().into_owned(),
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
            shelter.clone(),
        ));
        Ok(Self {
            child: Mutex::new(child),
            socket,
            log: directory.join("server.log"),
            confined,
            shelter,
            launcher,
            installation,
            to_keep,
            keeping: tokio::sync::Mutex::default(),
            _lower: lower,
        })
    }

    /// Keeps the clone, if that is wanted: stops the server and starts it again on a layer over what it was, of
    /// which a copy goes into the cache meanwhile. Says whether it did.
    pub(super) async fn keep(
        &mut self,
        plan: &SandboxPlan,
        password: Secret,
        note: String,
        scope: &Scope,
    ) -> Result<bool, SandboxError> {
        let Some((entry, claim)) = self.to_keep.take() else {
            return Ok(false);
        };
        self.stop().await?;
        let again = "cannot start the server on the clone again";
        let aside = Arc::new(cluster::set_aside(scope, password).map_err(SandboxError::io(again))?);
        let ground = Ground { installation: &self.installation, scope, shelter: &self.shelter };
        let started = start_over(&ground, plan, &aside).map_err(SandboxError::io(again))?;
        *self = Self::of(started, self.installation.clone(), None, scope)?;
        let scope = scope.clone();
        let busy = scope.gate().read_owned().await;
        let copied = tokio::task::spawn_blocking(move || {
            let (_claim, _busy) = (claim, busy);
            match aside.keep(&entry, &note, &scope) {
                Ok(()) => cache::bound(),
                Err(_) if scope.is_closing() => {}
                Err(error) => scope.tell(&format!("the clone is not kept: {error}")),
            }
        });
        *self.keeping.lock().await = Some(copied);
        Ok(true)
    }

    /// Waits until the clone is kept, after which a script may run.
    pub(super) async fn kept(&self) {
        if let Some(keeping) = self.keeping.lock().await.take() {
            // Its only error is a panic, after which nothing is kept.
            let _ = keeping.await;
        }
    }

    /// Ends the server in good order, so that nothing has to be recovered (PostgreSQL manual, 18.5).
    async fn stop(&self) -> Result<(), SandboxError> {
        let end = |signal| {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(signal), Some(pid)) = (signal, Pid::from_raw(child.id().cast_signed())) {
                let _ = kill_process(pid, signal);
            }
            child.try_wait()
        };
        let begun = Instant::now();
        let mut ended = end(Some(Signal::INT));
        while matches!(ended, Ok(None)) && begun.elapsed() < STOPPED {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ended = end(None);
        }
        match ended {
            Ok(Some(status)) if status.success() => Ok(()),
            _ => Err(SandboxError::Program { program: "postgres".to_owned(), output: self.log_tail() }),
        }
    }

    /// What `pg_restore` of the newest version here makes of an archive.
    pub(super) async fn pg_restore(
        &self,
        archive: &Archive,
        arguments: &[&str],
        scope: &Scope,
    ) -> Result<Vec<u8>, SandboxError> {
        let own = self.installation.bin.join("pg_restore");
        pg_restore(&own, archive, arguments, scope).await
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix { directory: self.socket.clone(), port: PORT }
    }

    pub(super) fn launcher(&self) -> Arc<dyn Launcher> {
        Arc::clone(&self.launcher) as Arc<dyn Launcher>
    }

    /// Lets scripts find the tap where they would find the server.
    pub(super) fn serve(&self, tap: &Tap) -> std::io::Result<()> {
        let host = if self.confined {
            let server = self.child.lock().unwrap_or_else(PoisonError::into_inner).id();
            tap.serve_tcp(door::tcp(server, PORT)?)?;
            door::HOST.to_owned()
        } else {
            let directory = self.socket.with_file_name("tap");
            std::fs::create_dir(&directory)?;
            tap.serve_unix(door::unix(&directory, PORT)?)?;
            directory.to_string_lossy().into_owned()
        };
        self.launcher.tap_at(host);
        Ok(())
    }

    pub(super) fn isolation(&self) -> String {
        let network = if self.confined {
            "own network namespace, no way out"
        } else if self.shelter.denies_tcp() {
            "unix socket only; programs keep this machine's network, but for connections by TCP"
        } else {
            "unix socket only; programs keep this machine's network"
        };
        format!("{network}; {}", self.shelter.isolation())
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
        if let (Ok(None), Some(pid)) = (child.try_wait(), Pid::from_raw(child.id().cast_signed())) {
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

/// The clone of a key where it was kept; else where it is to be kept, and the right to do so.
async fn find(key: Option<Key>, scope: &Scope) -> (Option<Cached>, Option<(PathBuf, Claim)>) {
    let Some((key, entry)) = key.and_then(|key| key.entry().map(|entry| (key, entry))) else {
        return (None, None);
    };
    if let Some(kept) = cluster::cached(&entry) {
        return (Some(kept), None);
    }
    let Some(claim) = kept::claim(&key, scope).await else {
        return (None, None);
    };
    // Whoever had the right before may have made it.
    match cluster::cached(&entry) {
        Some(kept) => (Some(kept), None),
        None => (None, Some((entry, claim))),
    }
}

/// Starts the server on a kept clone, or else on a new cluster, which is a copy where it will be kept itself.
async fn start_on_cluster(
    ground: &Ground<'_>,
    plan: &SandboxPlan,
    kept: Option<Cached>,
    to_keep: bool,
) -> Result<Started, SandboxError> {
    let Ground { installation, scope, .. } = *ground;
    if let Some(kept) = kept {
        return start_over(ground, plan, &Arc::new(kept))
            .map_err(SandboxError::io("cannot start a server on the clone that was kept"));
    }
    let cached = cluster::entry(installation, plan, scope).and_then(|entry| cluster::cached(&entry));
    let password = match cached.map(Arc::new) {
        Some(cached) if to_keep => match cached.copy(plan, scope) {
            Ok(()) => cached.password(),
            Err(_) => cluster::make(installation, plan, scope).await?,
        },
        Some(cached) => match start_over(ground, plan, &cached) {
            Ok(started) => return Ok(started),
            // An entry that cannot be used is as good as none.
            Err(_) => cluster::make(installation, plan, scope).await?,
        },
        None => cluster::make(installation, plan, scope).await?,
    };
    start_in_place(ground, password).map_err(SandboxError::io("cannot start postgres"))
}

/// Starts the server on a cluster that stays as it is, with as much of its own as the kernel allows: with a layer
/// over it and a network; on a copy with a network; on a copy with neither.
fn start_over(ground: &Ground<'_>, plan: &SandboxPlan, cluster: &Arc<Cached>) -> std::io::Result<Started> {
    let layered = cluster.layer(plan, ground.scope).and_then(|layers| start_sheltered(ground, Some(&layers)));
    if let Ok((child, shelter)) = layered {
        let lower = Some(Arc::clone(cluster));
        return Ok(Started { child, confined: true, password: cluster.password(), lower, shelter });
    }
    cluster.copy(plan, ground.scope)?;
    start_in_place(ground, cluster.password())
}

fn start_in_place(ground: &Ground<'_>, password: Secret) -> std::io::Result<Started> {
    if let Ok((child, shelter)) = start_sheltered(ground, None) {
        return Ok(Started { child, confined: true, password, lower: None, shelter });
    }
    // Namespaces are refused here: the next best thing.
    let shelter = ground.shelter.with(false, false);
    let child = start_postgres(ground, &shelter, false, None)?;
    Ok(Started { child, confined: false, password, lower: None, shelter })
}

/// Starts the server with a network of its own, and with mounts of its own where it may have them.
fn start_sheltered(ground: &Ground<'_>, layers: Option<&Layers>) -> std::io::Result<(Child, Shelter)> {
    let started = |mounts: bool| {
        let shelter = ground.shelter.with(mounts, true);
        Ok((start_postgres(ground, &shelter, true, layers.cloned())?, shelter))
    };
    started(true).or_else(|_: std::io::Error| started(false))
}

/// What the newest `pg_restore` of this machine makes of an archive; none where there is none.
pub(super) async fn newest_pg_restore(
    archive: &Archive,
    arguments: &[&str],
    scope: &Scope,
) -> Option<Result<Vec<u8>, SandboxError>> {
    let mut all = find_all(None);
    all.sort_by_key(|one| std::cmp::Reverse(one.major));
    let program = all.into_iter().map(|one| one.bin.join("pg_restore")).find(|program| program.exists())?;
    Some(pg_restore(&program, archive, arguments, scope).await)
}

/// Runs a `pg_restore` on an archive, which is put into the sandbox's directory for it.
async fn pg_restore(
    program: &Path,
    archive: &Archive,
    arguments: &[&str],
    scope: &Scope,
) -> Result<Vec<u8>, SandboxError> {
    let place = tempfile::Builder::new().prefix("archive-").tempdir_in(scope.directory());
    let place = place.map_err(SandboxError::io("cannot make a directory for an archive"))?;
    let owned = |path: &Path| match scope.user() {
        Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    };
    let mut written = owned(place.path());
    for (name, bytes) in &archive.files {
        let path = place.path().join(name);
        written = written.and_then(|()| std::fs::write(&path, bytes)).and_then(|()| owned(&path));
    }
    written.map_err(SandboxError::io("cannot write an archive"))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(archive.argument(place.path())).stdin(Stdio::null());
    cluster::program("pg_restore", command, scope).await
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
    ground: &Ground<'_>,
    shelter: &Shelter,
    confined: bool,
    layers: Option<Layers>,
) -> std::io::Result<Child> {
    let Ground { installation, scope, .. } = *ground;
    let directory = scope.directory();
    let log = File::create(directory.join("server.log"))?;
    let (data, socket) = (directory.join("data"), directory.join("socket"));
    let mut command = Command::new(installation.bin.join("postgres"));
    command.arg("-D").arg(&data);
    let listen = if confined { door::SERVER } else { "" };
    command.args(fixed_settings(listen, PORT, &socket.to_string_lossy()));
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
            own_memory: true,
            layers,
            // A superuser's script runs programs as the server does (PostgreSQL manual, COPY).
            shield: Some(shelter.shield(directory, &[&data, &socket], &[&installation.bin])?),
            limits: Some(programs::limits_of_server()),
            dies_with_parent: true,
            own_session: true,
            ..Confinement::default()
        },
    );
    children::spawn(&mut command)
}
