//! A new cluster in the sandbox's directory: by `initdb` the first time, from then on out of the cache. Where
//! the kernel allows it the cached files are the lower layer of an overlay that only the server sees, which
//! takes no time; elsewhere they are copied.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::leftovers::OVERLAY;
use super::super::scope::Unprivileged;
use super::super::{SandboxError, SandboxPlan, Scope, conf_text, hba_text};
use super::binaries::Installation;
use super::confine::{self, Confinement, Layers};
use crate::cache::{self, InUse};
use crate::identifiers::{RoleName, Secret};
use crate::postgres::SPARE_DATABASE;

/// Changes whenever clusters are made in another way.
const KIND: u32 = 2;
/// The cluster, in the sandbox's directory and in its cache entry.
const DATA: &str = "data";
/// The password of its superuser, in its cache entry: a sandbox sets another one before it is used.
const PASSWORD: &str = "password";
/// The layer of an overlay that takes the changes, in the sandbox's directory.
const UPPER: &str = "upper";

/// A cached cluster.
pub(super) struct Cached {
    entry: PathBuf,
    password: Secret,
    in_use: InUse,
}

/// The cluster of this kind in the cache, if it is there.
pub(super) fn cached(installation: &Installation, plan: &SandboxPlan, scope: &Scope) -> Option<Cached> {
    let entry = entry(installation, plan, scope)?;
    let in_use = cache::hold(&entry).ok()?;
    let password = Secret::new(fs::read_to_string(entry.join(PASSWORD)).ok()?);
    Some(Cached { entry, password, in_use })
}

impl Cached {
    /// The password of its superuser.
    pub(super) fn password(&self) -> Secret {
        self.password.clone()
    }

    /// To be held while a layer lies over it.
    pub(super) fn into_use(self) -> InUse {
        self.in_use
    }

    /// Makes the layers in which the cluster becomes the sandbox's own.
    pub(super) fn layer(&self, plan: &SandboxPlan, scope: &Scope) -> std::io::Result<Layers> {
        let at = |name: &str| scope.directory().join(name);
        let layers =
            Layers { lower: self.entry.join(DATA), upper: at(UPPER), work: at(OVERLAY), target: at(DATA) };
        for directory in [&layers.upper, &layers.work, &layers.target] {
            private_directory(directory, scope.user())?;
        }
        for file in ["postgresql.conf", "pg_hba.conf"] {
            let upper = layers.upper.join(file);
            fs::copy(layers.lower.join(file), &upper)?;
            owned(&upper, scope.user())?;
        }
        configure(&layers.upper, plan)?;
        Ok(layers)
    }

    /// Copies the cluster.
    pub(super) fn copy(&self, plan: &SandboxPlan, scope: &Scope) -> std::io::Result<()> {
        clear(scope);
        let data = scope.directory().join(DATA);
        copy(&self.entry.join(DATA), &data, scope.user())?;
        configure(&data, plan)
    }
}

/// Makes a cluster by `initdb` and puts a copy into the cache. Says the password of its superuser.
pub(super) async fn make(
    installation: &Installation,
    plan: &SandboxPlan,
    scope: &Scope,
) -> Result<Secret, SandboxError> {
    clear(scope);
    let password = Secret::random();
    initdb(installation, plan, scope, &password).await?;
    let data = scope.directory().join(DATA);
    if let Some(entry) = entry(installation, plan, scope) {
        let (data, kept, user) = (data.clone(), password.clone(), scope.user());
        // A cache that cannot be written to costs time, nothing else.
        let _ = tokio::task::spawn_blocking(move || keep(&entry, &data, &kept, user)).await;
    }
    configure(&data, plan).map_err(SandboxError::io("cannot write the server's configuration"))?;
    Ok(password)
}

/// Takes away what an attempt that came to nothing has made.
fn clear(scope: &Scope) {
    for left in [DATA, UPPER, OVERLAY] {
        // Most often there is nothing; what cannot be removed makes the next attempt fail, which says why.
        let _ = fs::remove_dir_all(scope.directory().join(left));
    }
}

/// Writes the sandbox's own configuration.
fn configure(data: &Path, plan: &SandboxPlan) -> std::io::Result<()> {
    fs::write(data.join("pg_hba.conf"), hba_text(&plan.hba))?;
    let mut conf = fs::File::options().append(true).open(data.join("postgresql.conf"))?;
    conf.write_all(conf_text(&plan.settings).as_bytes())
}

/// Where the cluster is cached: by everything that makes one differ from another.
fn entry(installation: &Installation, plan: &SandboxPlan, scope: &Scope) -> Option<PathBuf> {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
    };
    // An update of the server's package changes its program.
    let server = fs::metadata(installation.bin.join("postgres")).ok()?;
    let name = format!(
        "cluster-{KIND}-{}-{:x}-{:x}-{}-{}",
        installation.major,
        server.len(),
        server.mtime(),
        plain(plan.bootstrap.as_str()),
        scope.user().map_or(0, |user| user.uid),
    );
    Some(cache::directory()?.join(name))
}

/// Puts a copy into the cache, whole or not at all. It belongs to whoever the servers run as, who reaches it
/// through a layer only: the cache is closed to everybody but its owner.
fn keep(entry: &Path, data: &Path, password: &Secret, user: Option<Unprivileged>) -> std::io::Result<()> {
    let Some(parent) = entry.parent() else {
        return Ok(());
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let made = tempfile::Builder::new().prefix("cluster-new-").tempdir_in(parent)?;
    copy(data, &made.path().join(DATA), user)?;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(made.path().join(PASSWORD))?;
    file.write_all(password.reveal().as_bytes())?;
    // Another check may have been faster; its entry is as good, and this one is dropped.
    fs::rename(made.path(), entry)?;
    let _ = made.keep();
    Ok(())
}

fn owned(path: &Path, owner: Option<Unprivileged>) -> std::io::Result<()> {
    match owner {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}

fn private_directory(path: &Path, owner: Option<Unprivileged>) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    owned(path, owner)
}

fn copy(from: &Path, to: &Path, owner: Option<Unprivileged>) -> std::io::Result<()> {
    private_directory(to, owner)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy(&file.path(), &target, owner)?;
        } else {
            fs::copy(file.path(), &target)?;
            owned(&target, owner)?;
        }
    }
    Ok(())
}

/// Without a sync to disk, since a sandbox never outlives the machine's next restart, and with small WAL
/// segments, which are what an empty cluster is mostly made of. Also makes the spare database.
async fn initdb(
    installation: &Installation,
    plan: &SandboxPlan,
    scope: &Scope,
    password: &Secret,
) -> Result<(), SandboxError> {
    let file = |name: &str, text: &str| -> std::io::Result<PathBuf> {
        let path = scope.directory().join(name);
        fs::write(&path, text)?;
        owned(&path, scope.user())?;
        Ok(path)
    };
    let data = scope.directory().join(DATA);
    let pwfile = file("pwfile", password.reveal()).map_err(SandboxError::io("cannot write for initdb"))?;
    let mut command = Command::new(installation.bin.join("initdb"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-U", plan.bootstrap.as_str(), "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"])
        .args(["--no-sync", "--wal-segsize=1"])
        .arg("--pwfile")
        .arg(&pwfile)
        .stdin(Stdio::null());
    program("initdb", command, scope).await?;
    let _ = fs::remove_file(&pwfile);

    let spare = spare_database(&plan.bootstrap);
    let statements = file("spare.sql", &spare).and_then(fs::File::open);
    let mut command = Command::new(installation.bin.join("postgres"));
    command
        .args(["--single", "-c", "fsync=off", "-D"])
        .arg(&data)
        .arg("postgres")
        .stdin(statements.map_err(SandboxError::io("cannot write for postgres --single"))?);
    program("postgres --single", command, scope).await
}

/// What makes the spare database in a single-user server, which takes a statement a line (PostgreSQL manual,
/// postgres).
fn spare_database(bootstrap: &RoleName) -> String {
    format!("CREATE DATABASE {SPARE_DATABASE} OWNER {} TEMPLATE template0\n", bootstrap.quoted())
}

async fn program(name: &str, mut command: Command, scope: &Scope) -> Result<(), SandboxError> {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(scope.directory());
    confine::apply(&mut command, Confinement { user: scope.user(), ..Confinement::default() });
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(SandboxError::io(format!("cannot start {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::Program { program: name.to_owned(), output: text })
}
