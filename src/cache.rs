//! Where thirdrun keeps what makes the next check faster. Everything in it can be deleted at any time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;
use rustix::fs::{FlockOperation, flock};

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

/// Removes an entry, unless somebody uses it; says whether it did.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(entry: &Path) -> std::io::Result<bool> {
    let directory = File::open(entry)?;
    if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    std::fs::remove_dir_all(entry).map(|()| true)
}

/// The entries of the cache that were last used longer ago than this.
pub fn older_than(age: Duration) -> Vec<PathBuf> {
    let now = SystemTime::now();
    let Some(Ok(entries)) = directory().map(std::fs::read_dir) else {
        return Vec::new();
    };
    let old = |path: &Path| {
        let used = std::fs::metadata(path).and_then(|meta| meta.modified());
        used.is_ok_and(|used| now.duration_since(used).is_ok_and(|since| since >= age))
    };
    let ours =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cluster-"));
    entries.flatten().map(|entry| entry.path()).filter(|path| ours(path) && old(path)).collect()
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
}
