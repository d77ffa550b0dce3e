//! The files that scripts and programs of workers need beside them, with the same paths between them as on this machine.
//!
//! An SQL script needs what it includes. A program, or a script that names files in other ways, needs its directory: that is
//! taken within bounds, and what is left out is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::bundle::{Entry, MOST};
use super::error::IncidentError;
use crate::dump::{ItemKind, split};
use crate::plan::Plan;
use crate::runs::files_of;
use crate::workers::WorkerSpec;

/// Bytes and files that are taken of one directory, and how deep.
const BYTES: u64 = 32 << 20;
const COUNT: usize = 2_000;
const DEPTH: usize = 12;
/// Directories that belong to other tools.
const NOT_OURS: [&str; 8] =
    [".git", ".hg", ".svn", ".ssh", ".gnupg", "node_modules", "__pycache__", "target"];
/// Files that are there to hold passwords.
const SECRET: [&str; 5] = [".pgpass", ".netrc", ".pg_service.conf", "id_rsa", "id_ed25519"];

/// Files by their place below what all of them have in common.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Their content.
    pub(super) files: BTreeMap<PathBuf, Entry>,
    /// What was left out.
    pub(super) left_out: Vec<String>,
    top: PathBuf,
    /// Where files may lie that are taken.
    roots: Vec<PathBuf>,
}

impl Tree {
    /// Everything that the runs and the workers of a plan need.
    pub(super) fn of(plan: &Plan) -> Result<Self, IncidentError> {
        let mut named: BTreeSet<PathBuf> = BTreeSet::new();
        let mut directories: BTreeSet<PathBuf> = BTreeSet::new();
        for run in &plan.runs {
            let directory = run.script.parent().unwrap_or(Path::new("/")).to_owned();
            if run.is_sql() {
                let files = files_of(&run.script);
                let more = files.iter().any(|file| names_files(file));
                named.extend(files.into_iter().filter_map(|file| file.canonicalize().ok()));
                if more {
                    directories.insert(directory);
                }
            } else {
                named.insert(run.script.clone());
                directories.insert(directory);
            }
        }
        for worker in &plan.workers {
            directories.extend(command_directory(worker));
        }
        let own: BTreeSet<PathBuf> = plan.files.iter().filter_map(|file| file.canonicalize().ok()).collect();
        let mut tree = Self { roots: roots(plan, &own), ..Self::default() };
        // A script may include whatever this machine has: what nobody has put beside it stays here.
        let (named, elsewhere): (BTreeSet<_>, BTreeSet<_>) =
            named.into_iter().partition(|file| tree.is_inside(file));
        for file in elsewhere {
            let name = file.file_name().unwrap_or_default().display();
            tree.left_out.push(format!("{name}: it is included, and lies elsewhere"));
        }
        let holding =
            named.iter().filter_map(|file| file.parent()).chain(directories.iter().map(PathBuf::as_path));
        tree.top = common(holding);
        // The dumps, and the rehearsal file with its passwords, are written anew.
        for directory in &directories {
            tree.directory(directory, &own);
        }
        for file in &named {
            tree.file(file)?;
        }
        Ok(tree)
    }

    /// Whether a file lies where the user has put the rehearsal or a script.
    fn is_inside(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        !SECRET.contains(&name.as_ref()) && self.roots.iter().any(|root| file.starts_with(root))
    }

    /// Where a file or directory is, below the top.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        path.strip_prefix(&self.top).map(Path::to_owned).unwrap_or_default()
    }

    fn file(&mut self, path: &Path) -> Result<(), IncidentError> {
        let unread = |source| IncidentError::Script { path: path.to_owned(), source };
        let data = path.metadata().map_err(unread)?;
        // A script may include what is no file, such as a terminal.
        if !data.is_file() {
            self.left_out.push(format!("{}: it is no plain file", self.place(path).display()));
            return Ok(());
        }
        if data.len() > MOST {
            return Err(IncidentError::TooLarge);
        }
        let bytes = fs::read(path).map_err(unread)?;
        let executable = data.permissions().mode() & 0o100 != 0;
        self.files.insert(self.place(path), Entry { bytes, executable });
        Ok(())
    }

    /// Takes a directory, its smallest paths first, as far as the bounds allow.
    fn directory(&mut self, directory: &Path, own: &BTreeSet<PathBuf>) {
        let (mut bytes, mut count) = (BYTES, COUNT);
        let mut open = vec![(directory.to_owned(), 0)];
        while let Some((path, depth)) = open.pop() {
            let Ok(entries) = fs::read_dir(&path) else { continue };
            let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            let mut below = Vec::new();
            for entry in entries {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let Ok(data) = entry.metadata() else { continue };
                let is_link = entry.symlink_metadata().is_ok_and(|data| data.is_symlink());
                if data.is_dir() {
                    // A link may lead anywhere, and back.
                    if !is_link && depth < DEPTH && !NOT_OURS.contains(&name.as_str()) {
                        below.push((entry, depth + 1));
                    }
                    continue;
                }
                if !data.is_file() || name.ends_with(".thirdrun") || own.contains(&entry) {
                    continue;
                }
                let place = entry.strip_prefix(&self.top).unwrap_or(&entry).to_owned();
                if is_link && !entry.canonicalize().is_ok_and(|target| self.is_inside(&target)) {
                    self.left_out.push(format!("{}: it leads elsewhere", place.display()));
                    continue;
                }
                if SECRET.contains(&name.as_str()) {
                    self.left_out.push(format!("{}: it holds secrets", place.display()));
                    continue;
                }
                let (Some(fewer_bytes), Some(fewer)) = (bytes.checked_sub(data.len()), count.checked_sub(1))
                else {
                    self.left_out.push(format!(
                        "{}: of {} at most {} files and {} MiB are taken",
                        place.display(),
                        self.place(directory).join(".").display(),
                        COUNT,
                        BYTES >> 20
                    ));
                    continue;
                };
                // What cannot be read is nothing that a script could read.
                let Ok(content) = fs::read(&entry) else { continue };
                (bytes, count) = (fewer_bytes, fewer);
                let executable = data.permissions().mode() & 0o100 != 0;
                self.files.insert(place, Entry { bytes: content, executable });
            }
            open.extend(below.into_iter().rev());
        }
    }
}

/// Where the user has put things: the directories of the rehearsal file, of the dumps and of the scripts, and what is
/// beside the latter.
fn roots(plan: &Plan, own: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let scripts = || plan.runs.iter().filter_map(|run| run.script.parent());
    let beside = scripts().filter_map(Path::parent);
    let all = own.iter().filter_map(|file| file.parent()).chain(scripts()).chain(beside);
    all.filter(|root| root.parent().is_some()).map(Path::to_owned).collect()
}

/// Where the program of a worker runs.
fn command_directory(worker: &WorkerSpec) -> Option<PathBuf> {
    worker.program().and_then(|command| command.directory.canonicalize().ok())
}

/// Where the programs of a plan's workers run; none where there are none.
pub(super) fn programs_run_in(plan: &Plan) -> Option<PathBuf> {
    plan.workers.iter().find_map(command_directory)
}

/// Whether a script may read files that are not found by looking at it: `\copy`, `\i` of a variable, a program.
fn names_files(script: &Path) -> bool {
    let Ok(bytes) = fs::read(script) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let Ok(items) = split(&text) else { return true };
    items.iter().any(|item| match item.kind {
        ItemKind::Statement | ItemKind::Copy(_) => false,
        ItemKind::Inside { command, .. } => command.contains('`'),
        ItemKind::Command => {
            let command = item.text.split_ascii_whitespace().next().unwrap_or_default();
            let includes = ["\\i", "\\ir", "\\include", "\\include_relative"].contains(&command);
            item.text.contains('`')
                || ["\\copy", "\\!", "\\lo_import"].contains(&command)
                || includes && item.text.contains(':')
        }
    })
}

/// The directory in which all of them are.
fn common<'p>(mut paths: impl Iterator<Item = &'p Path>) -> PathBuf {
    let mut top = paths.next().unwrap_or(Path::new("/")).to_owned();
    for path in paths {
        while !path.starts_with(&top) && top.pop() {}
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_have_in_common_is_their_top() {
        let all = ["/a/b/c", "/a/b", "/a/d/e"].map(Path::new);
        assert_eq!(common(all.into_iter()), Path::new("/a"));
        assert_eq!(common([Path::new("/x"), Path::new("/y")].into_iter()), Path::new("/"));
    }

    #[test]
    fn a_script_that_names_files_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sql");
        for (text, names) in [
            ("SELECT 1;\n\\i more.sql\n", false),
            ("\\i :file\n", true),
            ("\\copy t FROM 'rows.csv'\n", true),
            ("\\set x `cat x`\n", true),
            ("SELECT '\\\\copy';\n", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(names_files(&path), names, "{text}");
        }
    }
}
