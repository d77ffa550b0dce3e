//! Which scripts differ from what a branch or a commit has.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::several::Item;
use crate::failure::{Exit, Failure};
use crate::runs::files_of;

/// The items whose script differs, or one of the files that it includes; all of them where what they have in common
/// differs: the rehearsal file, and the dumps of the clone.
///
/// # Errors
/// When git cannot tell.
pub(super) fn filtered(items: Vec<Item>, reference: &str, directory: &Path) -> Result<Vec<Item>, Failure> {
    let changed = changed_since(reference, directory)?;
    // A dump may be a directory.
    let is_changed = |path: &PathBuf| {
        path.canonicalize().is_ok_and(|path| {
            changed.contains(&path) || path.is_dir() && changed.iter().any(|file| file.starts_with(&path))
        })
    };
    let touched = |item: &Item| {
        let mut scripts = item.plan.runs.iter().flat_map(|run| files_of(&run.script));
        item.plan.files.iter().any(is_changed) || scripts.any(|path| is_changed(&path))
    };
    Ok(items.into_iter().filter(touched).collect())
}

/// The files of the work tree that are not as in the commit from which this branch and the other one went apart.
fn changed_since(reference: &str, directory: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let top = git(directory, &["rev-parse", "--show-toplevel"])
        .map_err(|failure| failure.hint("--changed-since needs a work tree of git"))?;
    let top = PathBuf::from(OsStr::from_bytes(top.trim_ascii_end()));
    if reference.starts_with('-') {
        return Err(unknown(reference));
    }
    let commit = git(&top, &["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")])
        .map_err(|_| unknown(reference))?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let base = git(&top, &["merge-base", &commit, "HEAD"]).map_err(|_| {
        Failure::said(Exit::Usage, format!("this branch and {reference} have no commit in common"))
            .hint(FETCH)
    })?;
    let base = String::from_utf8_lossy(&base).trim().to_owned();
    let changed = git(&top, &["diff", "--name-only", "--no-renames", "-z", &base, "--"])?;
    let new = git(&top, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    let names = changed.split(|byte| *byte == 0).chain(new.split(|byte| *byte == 0));
    let paths = names.filter(|name| !name.is_empty()).map(|name| top.join(OsStr::from_bytes(name)));
    // What was removed is no script that could be rehearsed.
    Ok(paths.filter_map(|path| path.canonicalize().ok()).collect())
}

const FETCH: &str = "in CI, check out the whole history (fetch-depth: 0, GIT_DEPTH: 0), or fetch the branch first: \
                     git fetch origin main";

fn unknown(reference: &str) -> Failure {
    Failure::said(Exit::Usage, format!("git knows no branch or commit {reference}")).hint(FETCH)
}

fn git(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().map_err(|error| {
        Failure::new(Exit::Usage, &error)
            .within("cannot run git")
            .hint("--changed-since asks git: install it")
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned();
    Err(Failure::said(Exit::Usage, format!("git {}: {said}", arguments.first().unwrap_or(&""))))
}
