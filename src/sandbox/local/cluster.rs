//! A new cluster in the sandbox's directory: by `initdb` the first time, from then on as a copy of the one
//! that `initdb` made, which takes a tenth of the time.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::scope::Unprivileged;
use super::super::{SandboxError, SandboxPlan, Scope};
use super::binaries::Installation;
use super::confine::{self, Confinement};
use crate::cache;
use crate::identifiers::Secret;

/// Changes whenever clusters are made in another way.
const KIND: u32 = 1;
/// The cluster, in its cache entry.
const DATA: &str = "data";
/// The password of its superuser, in its cache entry: a sandbox sets another one before it is used.
const PASSWORD: &str = "password";

/// Makes the cluster and says the password of its superuser.
pub(super) async fn make(
    installation: &Installation,
    plan: &SandboxPlan,
    scope: &Scope,
) -> Result<Secret, SandboxError> {
    let data = scope.directory().join(DATA);
    let entry = entry(installation, plan);
    let user = scope.user();
    if let Some(entry) = entry.clone().filter(|entry| entry.is_dir()) {
        let copy = data.clone();
        let copied = tokio::task::spawn_blocking(move || take(&entry, &copy, user)).await;
        if let Ok(Ok(password)) = copied {
            return Ok(password);
        }
        // An entry that cannot be used is as good as none.
        let _ = fs::remove_dir_all(&data);
    }
    let password = Secret::random();
    initdb(installation, plan, scope, &password).await?;
    if let Some(entry) = entry {
        let kept = password.clone();
        // A cache that cannot be written to costs time, nothing else.
        let _ = tokio::task::spawn_blocking(move || keep(&entry, &data, &kept)).await;
    }
    Ok(password)
}

fn entry(installation: &Installation, plan: &SandboxPlan) -> Option<PathBuf> {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
    };
    let name = format!("cluster-{KIND}-{}-{}", plain(&installation.version), plain(plan.bootstrap.as_str()));
    Some(cache::directory()?.join(name))
}

fn take(entry: &Path, data: &Path, user: Option<Unprivileged>) -> std::io::Result<Secret> {
    let password = fs::read_to_string(entry.join(PASSWORD))?;
    copy(&entry.join(DATA), data, user)?;
    // Its time is that of its last use, for `gc`.
    let _ = fs::File::open(entry).and_then(|entry| entry.set_modified(std::time::SystemTime::now()));
    Ok(Secret::new(password))
}

/// Puts a copy into the cache, whole or not at all.
fn keep(entry: &Path, data: &Path, password: &Secret) -> std::io::Result<()> {
    use std::io::Write as _;
    let Some(parent) = entry.parent() else {
        return Ok(());
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let made = tempfile::Builder::new().prefix("cluster-new-").tempdir_in(parent)?;
    copy(data, &made.path().join(DATA), None)?;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(made.path().join(PASSWORD))?;
    file.write_all(password.reveal().as_bytes())?;
    // Another check may have been faster; its entry is as good, and this one is dropped.
    match fs::rename(made.path(), entry) {
        Ok(()) => {
            let _ = made.keep();
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn copy(from: &Path, to: &Path, owner: Option<Unprivileged>) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    let owned = |path: &Path| match owner {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    };
    owned(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy(&file.path(), &target, owner)?;
        } else {
            fs::copy(file.path(), &target)?;
            owned(&target)?;
        }
    }
    Ok(())
}

/// Without a sync to disk, since a sandbox never outlives the machine's next restart, and with small WAL
/// segments, which are what an empty cluster is mostly made of.
async fn initdb(
    installation: &Installation,
    plan: &SandboxPlan,
    scope: &Scope,
    password: &Secret,
) -> Result<(), SandboxError> {
    let pwfile = scope.directory().join("pwfile");
    fs::write(&pwfile, password.reveal()).map_err(SandboxError::io("cannot write a file for initdb"))?;
    if let Some(user) = scope.user() {
        chown(&pwfile, Some(user.uid), Some(user.gid))
            .map_err(SandboxError::io("cannot hand a file to initdb"))?;
    }
    let mut command = Command::new(installation.bin.join("initdb"));
    command
        .arg("-D")
        .arg(scope.directory().join(DATA))
        .args(["-U", plan.bootstrap.as_str(), "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"])
        .args(["--no-sync", "--wal-segsize=1"])
        .arg("--pwfile")
        .arg(&pwfile)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(scope.directory())
        .stdin(Stdio::null());
    confine::apply(&mut command, Confinement { user: scope.user(), ..Confinement::default() });
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(SandboxError::io("cannot start initdb"))?;
    let _ = fs::remove_file(&pwfile);
    if output.status.success() {
        Ok(())
    } else {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(SandboxError::Program { program: "initdb".to_owned(), output: text })
    }
}
