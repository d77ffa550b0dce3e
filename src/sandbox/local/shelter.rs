//! The places of this machine that every process shares, and the private ones that take their place for processes of the
//! sandbox: what they see of this machine's files, and where they may write. Prepared here; carried out by a
//! [`super::shield`] in the child.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use super::super::{SandboxError, Scope};

/// What every process of a machine shares: temporary files, of which there are private ones instead, and the sockets and
/// files of other servers, of which there are none.
const SHARED: [(&str, bool); 7] = [
    ("/tmp", true),
    ("/var/tmp", true),
    ("/dev/shm", true),
    ("/run", false),
    ("/var/run", false),
    ("/var/lib/postgresql", false),
    ("/var/lib/pgsql", false),
];
/// Where some systems keep their programs, of what is shared.
const PROGRAMS: &str = "/run/current-system";
/// The directory of private places, in the sandbox's.
const PRIVATE: &str = "private";

/// One place in which a machine's is replaced.
#[derive(Debug, Clone)]
struct Place {
    /// The machine's.
    of: PathBuf,
    /// The private one.
    private: PathBuf,
    writable: bool,
}

/// The private places of one sandbox.
#[derive(Debug, Clone)]
pub(super) struct Shelter {
    directory: PathBuf,
    places: Vec<Place>,
    /// Whether processes have mounts of their own.
    mounts: bool,
    /// Whether they have a network of their own.
    network: bool,
}

impl Shelter {
    /// Makes the private places.
    pub(super) fn new(scope: &Scope) -> Result<Self, SandboxError> {
        let private = scope.directory().join(PRIVATE);
        let make = |path: &Path, mode: u32| {
            DirBuilder::new().create(path)?;
            // Whatever the caller's umask is.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        let failed = SandboxError::io(format!("cannot make {}", private.display()));
        let made = || -> io::Result<Vec<Place>> {
            make(&private, 0o755)?;
            let mut places: Vec<Place> = Vec::new();
            for (of, writable) in SHARED {
                let Ok(of) = fs::canonicalize(of) else { continue };
                if of.is_dir() && !places.iter().any(|place| of.starts_with(&place.of)) {
                    let private = private.join(places.len().to_string());
                    make(&private, if writable { 0o1777 } else { 0o755 })?;
                    places.push(Place { of, private, writable });
                }
            }
            Ok(places)
        };
        let places = made().map_err(failed)?;
        Ok(Self { directory: scope.directory().to_owned(), places, mounts: false, network: false })
    }

    /// The same, of a server that has or does not have mounts and a network of its own.
    pub(super) fn with(&self, mounts: bool, network: bool) -> Self {
        Self { mounts, network, ..self.clone() }
    }

    /// Whether everything outside of the sandbox is read-only, and how that is had, in a phrase.
    pub(super) fn isolation(&self) -> &'static str {
        match (self.mounts, has_landlock()) {
            (true, true) => "this machine's files read-only, other processes out of reach",
            (true, false) => "this machine's files read-only; other processes of the user can be signalled",
            (false, true) => "this machine's files read-only; its unix sockets can be reached",
            (false, false) => "programs can write what their user can write",
        }
    }

    /// Whether processes that have no network of their own cannot connect by TCP.
    pub(super) fn denies_tcp(&self) -> bool {
        !self.network && denies_tcp()
    }

    /// Where temporary files go, if not to the usual place.
    pub(super) fn temporary(&self) -> Option<&Path> {
        if self.mounts { None } else { self.places.first().map(|place| place.private.as_path()) }
    }

    /// What a process sees that runs in `directory` and may write to the directories `writable` of the sandbox. `seen` is
    /// what it needs besides.
    ///
    /// # Errors
    /// When the private places cannot be made ready for it.
    pub(super) fn shield(
        &self,
        directory: &Path,
        writable: &[&Path],
        seen: &[&Path],
    ) -> io::Result<Arc<Shield>> {
        let mut mounts = Vec::new();
        if self.mounts {
            for place in &self.places {
                mounts.push(Mount::new(&place.private, &place.of, place.writable));
            }
            let mut kept: Vec<PathBuf> = Vec::new();
            for path in seen.iter().copied().chain([directory, &self.directory, Path::new(PROGRAMS)]) {
                let Some((place, first)) = self.covers(path) else { continue };
                let target = place.of.join(&first);
                if !target.exists() || kept.contains(&target) {
                    continue;
                }
                match DirBuilder::new().mode(0o755).create(place.private.join(&first)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                mounts.push(Mount::new(&target, &target, false));
                kept.push(target);
            }
        }
        let private = self.places.iter().filter(|place| place.writable).map(|place| place.private.as_path());
        let own = if self.mounts { Vec::new() } else { private.collect() };
        let writable = writable.iter().copied().chain(own);
        mounts.extend(writable.map(|path| Mount::new(path, path, true)));
        let directory = text(directory);
        Ok(Arc::new(Shield { mounts, own: self.mounts, deny_tcp: !self.network, directory }))
    }

    /// The place that covers a path, and the first part of the path below it.
    fn covers(&self, path: &Path) -> Option<(&Place, PathBuf)> {
        let path = fs::canonicalize(path).ok()?;
        self.places.iter().find_map(|place| {
            let below = path.strip_prefix(&place.of).ok()?;
            Some((place, PathBuf::from(below.components().next()?.as_os_str())))
        })
    }
}

fn text(path: &Path) -> CString {
    // A path that the system gave has no zero byte.
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// A directory that is seen somewhere.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) source: CString,
    pub(super) target: CString,
    pub(super) writable: bool,
    /// The copy of the mount while it is on its way; -1 before and after.
    pub(super) tree: AtomicI32,
}

impl Mount {
    fn new(source: &Path, target: &Path, writable: bool) -> Self {
        Self { source: text(source), target: text(target), writable, tree: AtomicI32::new(-1) }
    }
}

/// What a child does to itself, with every string ready for the system calls.
#[derive(Debug)]
pub(super) struct Shield {
    pub(super) mounts: Vec<Mount>,
    /// Whether it has mounts of its own.
    pub(super) own: bool,
    /// Whether it shall connect nowhere by TCP.
    pub(super) deny_tcp: bool,
    /// Where it runs.
    pub(super) directory: CString,
}

/// Whether the kernel has enough of Landlock.
#[cfg(target_os = "linux")]
fn has_landlock() -> bool {
    super::landlock::is_there()
}

#[cfg(not(target_os = "linux"))]
fn has_landlock() -> bool {
    false
}

/// Whether the kernel's Landlock can refuse connections.
#[cfg(target_os = "linux")]
fn denies_tcp() -> bool {
    super::landlock::denies_tcp()
}

#[cfg(not(target_os = "linux"))]
fn denies_tcp() -> bool {
    false
}
