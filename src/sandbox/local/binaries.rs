//! Finding PostgreSQL servers on this machine.

use std::path::{Path, PathBuf};

use super::super::SandboxError;
use crate::postgres::installed;

/// One installed PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its major version.
    pub major: u32,
    /// The directory of `postgres` and `initdb`.
    pub bin: PathBuf,
    /// psql, from the same directory or else from `PATH`.
    pub psql: PathBuf,
}

/// Chooses the installation to use: the wanted version, else the newest.
pub(super) fn choose(bin: Option<&Path>, major: Option<u32>) -> Result<Installation, SandboxError> {
    let directories = bin.map_or_else(installed::directories, |bin| vec![bin.to_owned()]);
    let mut found = find_in(&directories);
    let versions: Vec<_> = found.iter().map(|one| one.major).collect();
    match major {
        Some(major) => found.retain(|one| one.major == major),
        None => found.sort_by_key(|one| std::cmp::Reverse(one.major)),
    }
    found.into_iter().next().ok_or_else(|| SandboxError::NoPostgres {
        wanted: major.map(|major| major.to_string()).unwrap_or_else(|| "server".to_owned()),
        found: versions,
        searched: distinct(directories),
    })
}

/// Without the directories that are named twice.
fn distinct(directories: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for directory in directories {
        if !all.contains(&directory) {
            all.push(directory);
        }
    }
    all
}

/// Every installation that can be found, here or in an extra directory.
pub fn find_all(extra: Option<&Path>) -> Vec<Installation> {
    let directories: Vec<_> = extra.map(Path::to_owned).into_iter().chain(installed::directories()).collect();
    find_in(&directories)
}

fn find_in(directories: &[PathBuf]) -> Vec<Installation> {
    let mut found: Vec<Installation> = Vec::new();
    for directory in directories {
        // A directory on PATH may hold links to some of the programs only: follow them.
        let Ok(postgres) = directory.join("postgres").canonicalize() else {
            continue;
        };
        let Some(bin) = postgres.parent().map(Path::to_owned) else {
            continue;
        };
        if found.iter().any(|one| one.bin == bin) || !bin.join("initdb").exists() {
            continue;
        }
        let Some(major) = installed::major(&bin, &postgres) else {
            continue;
        };
        let psql = bin.join("psql");
        let psql = if psql.exists() { Some(psql) } else { installed::on_path("psql") };
        if let Some(psql) = psql {
            found.push(Installation { major, bin, psql });
        }
    }
    found
}
