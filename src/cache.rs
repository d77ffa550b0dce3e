//! Where thirdrun keeps what makes the next check faster. Everything in it can be deleted at any time.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;
use rustix::fs::{FlockOperation, flock};

/// Clones that each backend keeps: those that were not used for the longest time make room.
pub const MOST: usize = 20;

/// How often a new entry is begun.
const ATTEMPTS: u32 = 10;

/// Overrides the cache directory.
pub const VARIABLE: &str = "THIRDRUN_CACHE_DIR";

/// The cache directory: `THIRDRUN_CACHE_DIR`, else `thirdrun` in the user's cache directory (XDG base
/// directory specification). None where the user has no home.
pub fn directory() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        // Whoever reads it may be in another directory.
        Some(directory) if !directory.is_empty() => std::path::absolute(directory).ok(),
        _ => etcetera::base_strategy::Xdg::new().ok().map(|base| base.cache_dir().join("thirdrun")),
    }
}

/// Makes the cache directory, closed to everybody but its owner.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Keeps an entry from being removed, for as long as the lock lives.
pub struct InUse(#[expect(dead_code, reason = "it is held, not read")] File);

/// Notes that an entry is used from now on.
///
/// # Errors
/// When it is not there, or is being removed.
pub fn hold(entry: &Path) -> std::io::Result<InUse> {
    let directory = File::open(entry)?;
    flock(&directory, FlockOperation::NonBlockingLockShared)?;
    // Its time is that of its last use, for `gc`.
    directory.set_modified(SystemTime::now())?;
    Ok(InUse(directory))
}

/// What the names of entries begin with that are not complete.
const NEW: &str = "new-";

/// Makes the directory of an entry that is not complete yet, which is in use for as long as the lock lives.
///
/// # Errors
/// When it cannot be made.
pub fn begin(parent: &Path) -> std::io::Result<(tempfile::TempDir, InUse)> {
    for _ in 0..ATTEMPTS {
        let made = tempfile::Builder::new().prefix(NEW).tempdir_in(parent)?;
        // Until it is locked it looks like one whose maker is dead, and somebody may be removing it.
        if let Ok(in_use) = hold(made.path()) {
            return Ok((made, in_use));
        }
    }
    Err(std::io::ErrorKind::ResourceBusy.into())
}

/// What was never finished and whose maker is dead.
pub fn unfinished() -> Vec<PathBuf> {
    let abandoned = |path: &PathBuf| {
        let directory = File::open(path);
        directory.is_ok_and(|directory| flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok())
    };
    entries(&[NEW]).into_iter().map(|(path, _)| path).filter(abandoned).collect()
}

/// Removes an entry, unless somebody uses it; says whether it did.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(entry: &Path) -> std::io::Result<bool> {
    let directory = File::open(entry)?;
    if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if entry.is_dir() {
        // Half of an entry must never be found under its name.
        let removed = entry.with_file_name(format!("{NEW}{:016x}", rand::random::<u64>()));
        std::fs::rename(entry, &removed)?;
        std::fs::remove_dir_all(removed)?;
    } else {
        std::fs::remove_file(entry)?;
    }
    Ok(true)
}

/// What the names of the entries begin with: clusters, clones and the locks of clones, what was never finished.
const OURS: [&str; 3] = ["cluster-", "seed-", NEW];

/// What an entry is, for people.
pub fn kind(entry: &Path) -> &'static str {
    let name = entry.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    match name.split_once('-') {
        Some(("seed", rest)) if rest.ends_with(".lock") => "the lock of a clone,",
        Some(("seed", _)) => "the clone",
        Some(("cluster", _)) => "the empty cluster",
        _ => "a clone that was never finished,",
    }
}

/// Whether something was last used longer ago than this. What seems to be used later than now, since the clock was set
/// back, is as good as just used.
pub fn is_older(used: SystemTime, age: Duration) -> bool {
    SystemTime::now().duration_since(used).unwrap_or_default() >= age
}

/// The entries of the cache that were last used longer ago than this.
pub fn older_than(age: Duration) -> Vec<PathBuf> {
    let old = |used: &SystemTime| is_older(*used, age);
    entries(&OURS).into_iter().filter(|(_, used)| old(used)).map(|(path, _)| path).collect()
}

/// Removes the clones that were not used for the longest time, so that no more than [`MOST`] stay.
pub fn bound() {
    let mut clones: Vec<_> =
        entries(&["seed-"]).into_iter().filter(|(path, _)| path.extension().is_none()).collect();
    clones.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
    for (path, _) in clones.into_iter().skip(MOST) {
        // One that is in use, or cannot be removed, is there again the next time.
        let _ = remove(&path);
    }
}

/// The entries whose names begin so, and when each was last used.
fn entries(prefixes: &[&str]) -> Vec<(PathBuf, SystemTime)> {
    let Some(Ok(entries)) = directory().map(std::fs::read_dir) else {
        return Vec::new();
    };
    let ours = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    let used = |path: PathBuf| {
        let used = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
        Some((path, used))
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| ours(path)).filter_map(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_in_use_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let entry = directory.path().join("cluster-1");
        std::fs::create_dir(&entry).unwrap();
        let (first, second) = (hold(&entry).unwrap(), hold(&entry).unwrap());
        drop(first);
        assert!(!remove(&entry).unwrap());
        drop(second);
        assert!(remove(&entry).unwrap());
        assert!(hold(&entry).is_err());
    }

    #[test]
    fn an_entry_of_the_future_was_just_used() {
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        assert!(is_older(tomorrow, Duration::ZERO));
        assert!(!is_older(tomorrow, Duration::from_secs(1)));
    }
}
