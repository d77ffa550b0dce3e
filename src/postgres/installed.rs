//! Where PostgreSQL's programs are on this machine, and of which version they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::children;

/// Directories in which programs of PostgreSQL are looked for: `PATH`, then where Debian, Red Hat, Homebrew and
/// Postgres.app put it.
pub fn directories() -> Vec<PathBuf> {
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
            // `/usr/pgsql-17`, `/opt/homebrew/opt/postgresql@17`, and the clients alone in `/opt/homebrew/opt/libpq`
            if is_version || name.starts_with("pgsql-") || name.starts_with("postgresql") || name == "libpq" {
                directories.push(entry.path().join(tail));
            }
        }
    }
    directories
}

/// A program on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.exists())
}

/// The major version of the programs in a directory, of which `program` is one.
pub fn major(bin: &Path, program: &Path) -> Option<u32> {
    named_major(bin).or_else(|| told_major(program))
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

/// Reads what `--version` prints, `postgres (PostgreSQL) 15.18 (Debian …)`.
fn told_major(program: &Path) -> Option<u32> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = children::spawn(&mut command).ok()?.wait_with_output().ok()?;
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
