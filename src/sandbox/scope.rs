//! The directory of one sandbox, and the lock that says its thirdrun is alive.
//!
//! Everything that a sandbox puts on this machine is under `thirdrun-ID`. The lock file in it is held
//! for as long as the process lives, whatever ends it, so that others can tell a dead sandbox from one
//! at work without guessing from process numbers.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bollard::Docker;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::RwLock;

use super::SandboxError;
use super::docker::{engine, own};
use crate::identifiers::SessionId;

/// What the names of sandbox directories begin with.
pub(super) const PREFIX: &str = "thirdrun-";
/// The lock file in a sandbox directory.
pub(super) const LOCK: &str = "lock";
/// Free bytes below which a server that has ended has ended for that: what it could not write whole is given back
/// when it ends, at most about a segment of its log (PostgreSQL manual, 30.5: 16 MB).
const FULL: u64 = 16 << 20;
/// Free bytes that memory-backed storage must have to be preferred over a disk.
const ROOM: u64 = 2 << 30;

/// A user that servers and scripts run as when thirdrun is root: PostgreSQL refuses root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unprivileged {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// One sandbox's place on this machine. Clones are the same place.
#[derive(Clone)]
pub struct Scope(Arc<Inner>);

/// Hears of what takes long.
type Listener = Box<dyn Fn(&str) + Send + Sync>;

struct Inner {
    id: SessionId,
    directory: PathBuf,
    user: Option<Unprivileged>,
    engine: OnceLock<Docker>,
    /// The container of that engine in which thirdrun itself runs.
    own: OnceLock<String>,
    listener: OnceLock<Listener>,
    /// Held for reading while something is made that would outlive the sandbox.
    gate: Arc<RwLock<()>>,
    /// Sandboxes that end with this one.
    children: Mutex<Vec<Scope>>,
    closing: AtomicBool,
    closed: AtomicBool,
    _lock: File,
}

impl Scope {
    /// Makes the directory and takes the lock.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn create() -> Result<Self, SandboxError> {
        let user = unprivileged_user();
        let id = SessionId::random();
        let directory = base().join(format!("{PREFIX}{id}"));
        let make = || -> std::io::Result<File> {
            DirBuilder::new().mode(0o700).create(&directory)?;
            let lock = OpenOptions::new().write(true).create_new(true).open(directory.join(LOCK))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            if let Some(user) = user {
                chown(&directory, Some(user.uid), Some(user.gid))?;
            }
            Ok(lock)
        };
        let lock =
            make().map_err(SandboxError::io(format!("cannot make the directory {}", directory.display())))?;
        let (engine, listener, gate) = (OnceLock::new(), OnceLock::new(), Arc::default());
        let (children, closing, closed) = (Mutex::default(), AtomicBool::default(), AtomicBool::default());
        Ok(Self(Arc::new(Inner {
            id,
            directory,
            user,
            engine,
            own: OnceLock::new(),
            listener,
            gate,
            children,
            closing,
            closed,
            _lock: lock,
        })))
    }

    /// Another sandbox, which ends with this one if nobody closes it before.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn child(&self) -> Result<Self, SandboxError> {
        let child = Self::create()?;
        let mut children = self.0.children.lock().unwrap_or_else(PoisonError::into_inner);
        // Each holds a file open.
        children.retain(|child| !child.0.closed.load(Ordering::Acquire));
        children.push(child.clone());
        drop(children);
        Ok(child)
    }

    /// The name of everything that belongs to it.
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.0.id)
    }

    /// The sandbox's identity.
    pub fn id(&self) -> &SessionId {
        &self.0.id
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Whether there is no room left where its directory is.
    pub fn is_full(&self) -> bool {
        rustix::fs::statvfs(&self.0.directory)
            .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < FULL)
    }

    /// Whom to become before starting anything; none when thirdrun is not root.
    pub fn user(&self) -> Option<Unprivileged> {
        self.0.user
    }

    /// Names who hears of what takes long and is no phase of its own. There is one listener, the first.
    pub fn listen(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.0.listener.set(Box::new(listener));
    }

    /// Tells of something that takes long, such as an image that is being pulled.
    pub(super) fn tell(&self, what: &str) {
        if let Some(listener) = self.0.listener.get() {
            listener(what);
        }
    }

    /// Notes the engine in which the sandbox has containers, and the one in which thirdrun itself runs.
    pub(super) fn uses_engine(&self, docker: &Docker, own: Option<&str>) {
        // A scope has one sandbox, which has one engine.
        let _ = self.0.engine.set(docker.clone());
        let _ = own.map(|own| self.0.own.set(own.to_owned()));
    }

    /// The container in which thirdrun itself runs, where it is one of the engine's.
    pub(super) fn own_container(&self) -> Option<&str> {
        self.0.own.get().map(String::as_str)
    }

    /// To be held for reading while something is made that would outlive the sandbox, as a container does.
    pub(super) fn gate(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.0.gate)
    }

    /// Whether the sandbox is about to end: what takes long and holds the gate is to end too.
    pub(super) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Ends every process and container of this sandbox and removes its directory.
    pub async fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
        let children = std::mem::take(&mut *self.0.children.lock().unwrap_or_else(PoisonError::into_inner));
        for child in children {
            Box::pin(child.close()).await;
        }
        let _no_more = self.0.gate.write().await;
        if let Some(docker) = self.0.engine.get() {
            engine::remove_session(docker, self.0.id.as_str()).await;
        }
        let directory = self.0.directory.clone();
        // Waits for processes to end: not a job for a thread of the runtime. Its only error is a panic,
        // after which `gc` finds the rest.
        let _ = tokio::task::spawn_blocking(move || super::leftovers::remove_sandbox(&directory)).await;
        self.0.closed.store(true, Ordering::Release);
    }
}

impl Drop for Inner {
    /// The safety net; `close` has ordinarily been called.
    fn drop(&mut self) {
        if self.directory.exists() {
            super::leftovers::remove_sandbox(&self.directory);
        }
    }
}

/// The directories in which sandboxes may have been made.
pub(super) fn bases() -> Vec<PathBuf> {
    let mut bases = vec![PathBuf::from("/dev/shm"), PathBuf::from("/tmp"), std::env::temp_dir()];
    bases.sort();
    bases.dedup();
    bases
}

/// Where to make a sandbox: in memory where there is room, else the usual place for temporary files,
/// unless its name is too long for a unix socket (107 bytes on Linux).
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let roomy =
        rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) > ROOM);
    let writable = rustix::fs::access(memory, rustix::fs::Access::WRITE_OK).is_ok();
    // A container's memory is no place that it shares with others; where TMPDIR is set there, it may be one.
    let shares = std::env::var_os("TMPDIR").is_some() && own::id().is_some();
    if roomy && writable && !shares {
        return memory.to_owned();
    }
    let temporary = std::env::temp_dir();
    if temporary.as_os_str().len() > 60 { PathBuf::from("/tmp") } else { temporary }
}

fn unprivileged_user() -> Option<Unprivileged> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            match fields.as_slice() {
                [user, _, uid, gid, ..] if *user == name => {
                    Some(Unprivileged { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
                }
                _ => None,
            }
        })
    };
    // The traditional number of `nobody`, where a minimal container names nobody.
    Some(find("postgres").or_else(|| find("nobody")).unwrap_or(Unprivileged { uid: 65534, gid: 65534 }))
}
