//! Finding PostgreSQL on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::SandboxError;

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
    let directories = bin.map_or_else(search_path, |bin| vec![bin.to_owned()]);
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
    let directories: Vec<_> = extra.map(Path::to_owned).into_iter().chain(search_path()).collect();
    find_in(&directories)
}

/// Directories in which `postgres` is looked for: `PATH`, then where Debian, Red Hat, Homebrew and
/// Postgres.app put it.
fn search_path() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let versioned = [
        ("/usr/lib/postgresql", "bin"),
        ("/usr", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ];
    for (base, tail) in versioned {
        let Ok(entries) = std::fs::read_dir(base) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_version = name.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
            // `/usr/pgsql-17` and `/opt/homebrew/opt/postgresql@17`
            if is_version || name.starts_with("pgsql-") || name.starts_with("postgresql") {
                directories.push(entry.path().join(tail));
            }
        }
    }
    directories
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
        let Some(major) = named_major(&bin).or_else(|| major_of(&postgres)) else {
            continue;
        };
        let psql = bin.join("psql");
        let psql = if psql.exists() { Some(psql) } else { on_path("psql") };
        if let Some(psql) = psql {
            found.push(Installation { major, bin, psql });
        }
    }
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.exists())
}

/// The major version that a directory of Debian (`postgresql/15/bin`), Red Hat (`pgsql-15/bin`) or Homebrew
/// (`postgresql@15/bin`) has in its name: asking the program itself takes 10 ms.
fn named_major(bin: &Path) -> Option<u32> {
    let mut above = bin.ancestors().skip(1).filter_map(Path::file_name).map(|name| name.to_string_lossy());
    let (directory, parent) = (above.next()?, above.next()?);
    let digits = match parent.as_ref() {
        "postgresql" => directory.as_ref(),
        _ => directory.strip_prefix("pgsql-").or_else(|| directory.strip_prefix("postgresql@"))?,
    };
    digits.parse().ok()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_of(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").env_clear().output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split("(PostgreSQL) ").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_tell_their_version() {
        for (path, major) in [
            ("/usr/lib/postgresql/15/bin", Some(15)),
            ("/usr/pgsql-17/bin", Some(17)),
            ("/opt/homebrew/opt/postgresql@16/bin", Some(16)),
            ("/opt/homebrew/Cellar/postgresql@17/17.2/bin", None),
            ("/usr/local/bin", None),
            ("/bin", None),
        ] {
            assert_eq!(named_major(Path::new(path)), major, "{path}");
        }
    }
}
