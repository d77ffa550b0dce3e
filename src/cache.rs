//! Where thirdrun keeps what makes the next check faster. Everything in it can be deleted at any time.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;

/// Overrides the cache directory.
pub const VARIABLE: &str = "THIRDRUN_CACHE_DIR";

/// The cache directory: `THIRDRUN_CACHE_DIR`, else `thirdrun` in the user's cache directory (XDG base
/// directory specification). None where the user has no home.
pub fn directory() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(directory) if !directory.is_empty() => Some(PathBuf::from(directory)),
        _ => etcetera::base_strategy::Xdg::new().ok().map(|base| base.cache_dir().join("thirdrun")),
    }
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
