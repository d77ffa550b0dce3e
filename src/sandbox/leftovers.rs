//! Removing what sandboxes leave on this machine: of one that ends, and of those whose thirdrun died.
//!
//! A process belongs to a sandbox when its environment, command line or network namespace says so; a
//! directory belongs to a dead sandbox, or is a clone that was never finished, when nobody holds its lock. Nothing else
//! is ever touched.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::docker::engine;
use super::scope::{LOCK, PREFIX, bases};
use crate::cache;

/// The file in which a sandbox notes its network namespace.
pub(super) const NAMESPACE: &str = "netns";
/// The directory of a sandbox that an overlay works in, and the one that the kernel makes there.
pub(super) const OVERLAY: &str = "work";
const OVERLAY_WORK: &str = "work/work";
/// How long processes get to disappear after SIGKILL.
const GONE: Duration = Duration::from_secs(5);

/// What dead sandboxes have left, and how to call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dead {
    /// Directories.
    pub directories: Vec<PathBuf>,
    /// Containers, where an engine answers.
    pub containers: Vec<String>,
    /// Networks, where an engine answers.
    pub networks: Vec<String>,
    /// Clones and clusters in the cache that were never finished.
    pub unfinished: Vec<PathBuf>,
}

/// Finds what dead sandboxes have left.
pub async fn find_dead(docker: Option<&Docker>) -> Dead {
    let (containers, networks) = match docker {
        Some(docker) => engine::find_dead(docker).await,
        None => Default::default(),
    };
    Dead { directories: dead_directories(), containers, networks, unfinished: cache::unfinished() }
}

/// Removes what dead sandboxes have left: their directories and, in this engine, their containers and
/// networks.
pub async fn remove_dead(docker: Option<&Docker>) -> Dead {
    // Containers first: they use the directories.
    let (containers, networks) = match docker {
        Some(docker) => engine::remove_dead(docker).await,
        None => Default::default(),
    };
    let directories = dead_directories();
    let unfinished = cache::unfinished();
    let (gone, dropped) = (directories.clone(), unfinished.clone());
    let removal = move || {
        gone.iter().for_each(|directory| remove_sandbox(directory));
        // One that cannot be removed is found the next time.
        dropped.iter().for_each(|entry| drop(cache::remove(entry)));
    };
    // Its only error is a panic; what is left then is found the next time.
    let _ = tokio::task::spawn_blocking(removal).await;
    Dead { directories, containers, networks, unfinished }
}

fn dead_directories() -> Vec<PathBuf> {
    sandboxes().into_iter().filter(|directory| is_dead(directory)).collect()
}

/// The sandbox directories of this machine that belong to this user.
fn sandboxes() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for base in bases() {
        let Ok(entries) = std::fs::read_dir(base) else {
            continue;
        };
        for entry in entries.flatten() {
            let named = entry
                .file_name()
                .to_string_lossy()
                .strip_prefix(PREFIX)
                .is_some_and(|id| is_id(id.as_bytes()));
            if named && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    found
}

fn is_id(text: &[u8]) -> bool {
    text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a command line or an environment has the path of a sandbox in it.
fn names_a_sandbox(text: &[u8]) -> bool {
    let begins = format!("/{PREFIX}");
    let at = text.windows(begins.len()).enumerate().filter(|(_, window)| *window == begins.as_bytes());
    at.map(|(at, _)| at + begins.len()).any(|at| text.get(at..at + 8).is_some_and(is_id))
}

/// Whether nobody holds the lock. A directory without a lock file that we may open is not ours.
fn is_dead(directory: &Path) -> bool {
    let Ok(lock) = OpenOptions::new().write(true).open(directory.join(LOCK)) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Whether a sandbox's directory is gone, or nobody holds its lock.
pub(super) fn is_dead_or_gone(directory: &Path) -> bool {
    !directory.exists() || is_dead(directory)
}

/// Ends every process of one sandbox and removes its directory.
pub(super) fn remove_sandbox(directory: &Path) {
    let namespace = std::fs::read_to_string(directory.join(NAMESPACE)).ok();
    let begun = Instant::now();
    loop {
        let alive = processes_of(directory, namespace.as_deref());
        if alive.is_empty() || begun.elapsed() > GONE {
            break;
        }
        for pid in alive {
            // It may have ended meanwhile, which is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
            reap(pid);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // The kernel's own directory of an overlay is closed even to its owner.
    let _ = std::fs::set_permissions(directory.join(OVERLAY_WORK), Permissions::from_mode(0o700));
    // A server that is being torn down may still write: try again until nothing is left to remove.
    while std::fs::remove_dir_all(directory).is_err() && directory.exists() && begun.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Takes leave of a process that a script left behind and this process inherited; of others it is no
/// parent, and their own parent does so.
fn reap(pid: Pid) {
    let begun = Instant::now();
    while matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)) && begun.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes that belong to a sandbox: those in its network namespace, and those whose command
/// line or environment names its directory. Zombies have neither any more. The number of a namespace that is gone is
/// given to another one: where a process in it names another sandbox, it is that one's.
fn processes_of(directory: &Path, namespace: Option<&str>) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let needle = directory.to_string_lossy().into_owned().into_bytes();
    let own_namespace = std::fs::read_link("/proc/self/ns/net").ok();
    let (mut naming, mut within) = (Vec::new(), Vec::new());
    let mut is_of_another = false;
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == rustix::process::getpid().as_raw_nonzero().get() {
            continue;
        }
        let path = entry.path();
        let texts = ["environ", "cmdline"].map(|file| std::fs::read(path.join(file)).unwrap_or_default());
        let has = |needle: &[u8]| {
            texts.iter().any(|text| text.windows(needle.len()).any(|window| window == needle))
        };
        let names_it = has(&needle);
        let inside = namespace.is_some_and(|namespace| {
            std::fs::read_link(path.join("ns/net"))
                .is_ok_and(|link| link.as_os_str() == namespace && Some(&link) != own_namespace.as_ref())
        });
        // A thirdrun that was told to look at this very directory is not part of it.
        let is_thirdrun = std::fs::read_link(path.join("exe")).ok() == std::env::current_exe().ok();
        is_of_another |= inside && !names_it && texts.iter().any(|text| names_a_sandbox(text));
        if !is_thirdrun && let Some(pid) = Pid::from_raw(pid) {
            if names_it {
                naming.push(pid);
            } else if inside {
                within.push(pid);
            }
        }
    }
    if !is_of_another {
        naming.append(&mut within);
    }
    naming
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_known_by_its_path() {
        assert!(names_a_sandbox(b"postgres\0-D\0/dev/shm/thirdrun-0123abcd/data"));
        assert!(names_a_sandbox(b"/opt/thirdrun-tools/x\0PGPASSFILE=/tmp/thirdrun-0123abcd"));
        assert!(!names_a_sandbox(b"/opt/thirdrun-tools/x\0/dev/shm/thirdrun-0123"));
    }
}
