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
use crate::children;
use crate::identifiers::{RoleName, Secret};
use crate::postgres::SPARE_DATABASE;

/// Changes whenever clusters are made in another way.
const KIND: u32 = 3;
/// The cluster, in the sandbox's directory and in its cache entry.
const DATA: &str = "data";
/// The password of its superuser, in its cache entry: a sandbox sets another one before it is used.
const PASSWORD: &str = "password";
/// What was noted with a clone, in its cache entry.
const NOTE: &str = "note";
/// A cluster that was set aside, in the sandbox's directory.
const ASIDE: &str = "aside";
/// The layer of an overlay that takes the changes, in the sandbox's directory.
const UPPER: &str = "upper";

/// A cluster that a sandbox can start from.
pub(super) struct Cached {
    entry: PathBuf,
    password: Secret,
    /// What was noted with a clone.
    note: Option<String>,
    #[expect(dead_code, reason = "it is held, not read")]
    in_use: InUse,
}

/// The cluster of an entry of the cache, if it is there.
pub(super) fn cached(entry: &Path) -> Option<Cached> {
    let in_use = cache::hold(entry).ok()?;
    let password = Secret::new(fs::read_to_string(entry.join(PASSWORD)).ok()?);
    let note = fs::read_to_string(entry.join(NOTE)).ok();
    Some(Cached { entry: entry.to_owned(), password, note, in_use })
}

/// The cluster of a stopped server in the sandbox's directory, from now on the lower layer of another one.
pub(super) fn set_aside(scope: &Scope, password: Secret) -> std::io::Result<Cached> {
    let entry = scope.directory().join(ASIDE);
    private_directory(&entry, scope.user())?;
    fs::rename(scope.directory().join(DATA), entry.join(DATA))?;
    let in_use = cache::hold(&entry)?;
    Ok(Cached { entry, password, note: None, in_use })
}

impl Cached {
    /// The password of its superuser.
    pub(super) fn password(&self) -> Secret {
        self.password.clone()
    }

    /// What was noted with it, if it is a clone.
    pub(super) fn note(&self) -> Option<String> {
        self.note.clone()
    }

    /// Puts a copy of it into the cache, with a note.
    pub(super) fn keep(&self, entry: &Path, note: &str, scope: &Scope) -> std::io::Result<()> {
        keep(entry, &self.entry.join(DATA), &self.password, Some(note), scope)
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
        self.configure(&layers.upper, plan)?;
        Ok(layers)
    }

    /// Copies the cluster.
    pub(super) fn copy(&self, plan: &SandboxPlan, scope: &Scope) -> std::io::Result<()> {
        clear(scope);
        let data = scope.directory().join(DATA);
        copy(&self.entry.join(DATA), &data, scope)?;
        self.configure(&data, plan)
    }

    /// A clone has the settings already: they are part of what it is known by.
    fn configure(&self, data: &Path, plan: &SandboxPlan) -> std::io::Result<()> {
        if self.is_clone() { write_hba(data, plan) } else { configure(data, plan) }
    }

    fn is_clone(&self) -> bool {
        self.note.is_some() || self.entry.ends_with(ASIDE)
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
        let (data, kept, scope) = (data.clone(), password.clone(), scope.clone());
        let busy = scope.gate().read_owned().await;
        let copied = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            keep(&entry, &data, &kept, None, &scope)
        });
        // A cache that cannot be written to costs time, nothing else.
        let _ = copied.await;
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
    write_hba(data, plan)?;
    let mut conf = fs::File::options().append(true).open(data.join("postgresql.conf"))?;
    conf.write_all(conf_text(&plan.settings).as_bytes())
}

fn write_hba(data: &Path, plan: &SandboxPlan) -> std::io::Result<()> {
    fs::write(data.join("pg_hba.conf"), hba_text(&plan.hba))
}

/// What tells the clusters of an installation from those of all others. An update of the server's package changes
/// its program.
pub(super) fn identity(installation: &Installation, scope: &Scope) -> Option<String> {
    let server = fs::metadata(installation.bin.join("postgres")).ok()?;
    Some(format!(
        "{KIND}-{}-{:x}-{:x}-{}",
        installation.major,
        server.len(),
        server.mtime(),
        scope.user().map_or(0, |user| user.uid),
    ))
}

/// Where an empty cluster is cached: by everything that makes one differ from another.
pub(super) fn entry(installation: &Installation, plan: &SandboxPlan, scope: &Scope) -> Option<PathBuf> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let bootstrap: String = plan.bootstrap.as_str().chars().map(plain).collect();
    let name = format!("cluster-{}-{bootstrap}", identity(installation, scope)?);
    Some(cache::directory()?.join(name))
}

/// Puts a copy into the cache, whole or not at all. It belongs to whoever the servers run as, who reaches it
/// through a layer only: the cache is closed to everybody but its owner.
fn keep(
    entry: &Path,
    data: &Path,
    password: &Secret,
    note: Option<&str>,
    scope: &Scope,
) -> std::io::Result<()> {
    let Some(parent) = entry.parent() else {
        return Ok(());
    };
    cache::make_directory(parent)?;
    let (made, _in_use) = cache::begin(parent)?;
    copy(data, &made.path().join(DATA), scope)?;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(made.path().join(PASSWORD))?;
    file.write_all(password.reveal().as_bytes())?;
    if let Some(note) = note {
        fs::write(made.path().join(NOTE), note)?;
    }
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

/// Copies a directory, unless the sandbox ends before.
fn copy(from: &Path, to: &Path, scope: &Scope) -> std::io::Result<()> {
    private_directory(to, scope.user())?;
    for file in fs::read_dir(from)? {
        if scope.is_closing() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let file = file?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy(&file.path(), &target, scope)?;
        } else {
            fs::copy(file.path(), &target)?;
            owned(&target, scope.user())?;
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
    program("postgres --single", command, scope).await.map(drop)
}

/// What makes the spare database in a single-user server, which takes a statement a line (PostgreSQL manual,
/// postgres).
fn spare_database(bootstrap: &RoleName) -> String {
    format!("CREATE DATABASE {SPARE_DATABASE} OWNER {} TEMPLATE template0\n", bootstrap.quoted())
}

/// Runs a program of PostgreSQL as whom the server runs as; says what it printed.
pub(super) async fn program(
    name: &str,
    mut command: Command,
    scope: &Scope,
) -> Result<Vec<u8>, SandboxError> {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(scope.directory());
    let confinement = Confinement { user: scope.user(), own_memory: true, ..Confinement::default() };
    confine::apply(&mut command, confinement);
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |error| SandboxError::io(format!("cannot start {name}"))(error);
    let child = children::spawn_async(&mut command).map_err(failed)?;
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::Program { program: name.to_owned(), output: text })
}
