//! Programs beside a local server: own process group, scrubbed environment, the server's namespace.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::super::scope::Unprivileged;
use super::confine::{self, Confinement, Limits};
use super::shelter::Shelter;
use crate::children;
use crate::identifiers::{RoleName, Secret};
use crate::observations::Ending;
use crate::postgres::Endpoint;
use crate::programs::{
    Address, BoxFuture, Captured, Executable, GRACE, LaunchError, Launcher, Outcome, Program, Stream, Until,
    passfile,
};

/// How long output is still taken after the process has exited: what it had written by then is in the
/// pipe already, and a process that it left in the background may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Processes and threads that programs may add to those that are there.
const PROCESSES: u64 = 1024;
/// Bytes of memory that each process of a program may have, and of each file that it writes.
const MEMORY: u64 = 4 << 30;

/// Starts programs beside one local server.
pub(super) struct LocalLauncher {
    address: Address,
    psql: PathBuf,
    user: Option<Unprivileged>,
    network_of: Option<u32>,
    shelter: Shelter,
    logins: Mutex<Vec<(RoleName, Secret)>>,
    _orphans: Orphans,
}

/// Takes leave of what programs leave behind as soon as it ends, for as long as it lives.
struct Orphans(Option<JoinHandle<()>>);

impl Orphans {
    fn new() -> Self {
        let ended = signal(SignalKind::child()).ok();
        Self(ended.map(|mut ended| {
            tokio::spawn(async move {
                while ended.recv().await.is_some() {
                    children::take_leave();
                }
            })
        }))
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl LocalLauncher {
    pub(super) fn new(
        address: Address,
        psql: PathBuf,
        user: Option<Unprivileged>,
        network_of: Option<u32>,
        shelter: Shelter,
    ) -> Self {
        Self { address, psql, user, network_of, shelter, logins: Mutex::default(), _orphans: Orphans::new() }
    }

    fn write_passfile(&self, logins: &[(RoleName, Secret)]) -> std::io::Result<()> {
        use std::io::Write as _;
        let path = Path::new(&self.address.passfile);
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(passfile(logins).as_bytes())?;
        if let Some(user) = self.user {
            chown(path, Some(user.uid), Some(user.gid))?;
        }
        *self.logins.lock().unwrap_or_else(PoisonError::into_inner) = logins.to_vec();
        Ok(())
    }

    /// Whether a program needs more rights than its user's to read its directory.
    fn reads_everything(&self, program: &Program) -> std::io::Result<bool> {
        match self.user {
            Some(user) if !can_read(user, &program.directory) => {
                let directory = program.directory.clone();
                let unreadable = Unreadable { directory, uid: user.uid };
                if may_read_everything() { Ok(true) } else { Err(std::io::Error::other(unreadable)) }
            }
            _ => Ok(false),
        }
    }

    fn command(&self, program: &Program) -> std::io::Result<Command> {
        let mut command = match &program.what {
            Executable::Psql(arguments) => {
                let mut command = Command::new(&self.psql);
                command.args(arguments);
                command
            }
            Executable::File(name, arguments) => {
                let mut command = if name.contains('/') {
                    Command::new(program.directory.join(name))
                } else {
                    Command::new(name)
                };
                command.args(arguments);
                command
            }
        };
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let password = logins.iter().find(|(role, _)| *role == program.role).map(|(_, secret)| secret);
        command
            .env_clear()
            .envs(self.address.environment(program, password))
            .current_dir(&program.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(temporary) = self.shelter.temporary() {
            command.env("TMPDIR", temporary);
        }
        let home = Path::new(&self.address.home);
        confine::apply(
            &mut command,
            Confinement {
                user: self.user,
                join_network_of: self.network_of,
                own_session: true,
                dies_with_parent: true,
                shield: Some(self.shelter.shield(&program.directory, &[home], &[&self.psql])?),
                limits: Some(limits()),
                reads_everything: self.reads_everything(program)?,
                ..Confinement::default()
            },
        );
        Ok(command)
    }

    async fn run(&self, program: &Program) -> std::io::Result<Outcome> {
        let begun = Instant::now();
        let mut command = tokio::process::Command::from(self.command(program)?);
        let mut child = children::spawn_async(&mut command)?;
        let starting = begun.elapsed();
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let captured = Arc::new(Mutex::new(Captured::default()));
        let readers = [
            child.stdout.take().map(|pipe| read(pipe, Stream::Out, Arc::clone(&captured))),
            child.stderr.take().map(|pipe| read(pipe, Stream::Err, Arc::clone(&captured))),
        ];
        let mut guard = KillGroup(group);
        let by_itself = tokio::select! {
            status = child.wait() => Some(status?),
            () = program.until.come() => None,
        };
        let ending = match (by_itself, &program.until) {
            (Some(status), _) => ending(status),
            (None, Until::Timeout(_)) => {
                guard.kill();
                child.wait().await?;
                Ending::TimedOut
            }
            (None, Until::Told(_)) => {
                guard.signal(Signal::TERM);
                if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
                    ending(status?)
                } else {
                    guard.kill();
                    ending(child.wait().await?)
                }
            }
        };
        let duration = begun.elapsed();
        if program.until.takes_all() {
            guard.kill();
        }
        // It has ended: what it left in the background stays.
        guard.0 = None;
        let mut readers: Vec<_> = readers.into_iter().flatten().collect();
        let finished = async {
            for reader in &mut readers {
                let _ = reader.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, finished).await;
        let mut output = std::mem::take(&mut *captured.lock().unwrap_or_else(PoisonError::into_inner));
        output.finish();
        // Readers of a pipe that is still open go on and throw away, so that nobody in the background
        // dies of SIGPIPE; they end with the runtime.
        Ok(Outcome { ending, duration, starting, output })
    }
}

impl Launcher for LocalLauncher {
    fn passfile(&self) -> PathBuf {
        PathBuf::from(&self.address.passfile)
    }

    fn provide<'a>(&'a self, logins: &'a [(RoleName, Secret)]) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            self.write_passfile(logins).map_err(|source| LaunchError {
                what: "the password file of the programs".to_owned(),
                source: Box::new(source),
            })
        })
    }

    fn tap_at(&self, host: String) {
        // There is one tap, and it is put there once.
        let _ = self.address.tap.set(host);
    }

    fn inside<'a>(&'a self, port: u16) -> BoxFuture<'a, Result<Option<Endpoint>, LaunchError>> {
        let endpoint = match self.network_of {
            Some(process) => Endpoint::Inside { process, port },
            None => Endpoint::Tcp((std::net::Ipv4Addr::LOCALHOST, port).into()),
        };
        Box::pin(std::future::ready(Ok(Some(endpoint))))
    }

    fn launch<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Outcome, LaunchError>> {
        Box::pin(async move {
            self.run(program).await.map_err(|source| LaunchError {
                what: program.what.name().to_owned(),
                source: Box::new(source),
            })
        })
    }
}

/// What a program may use. Counting this user's processes alone would take longer and allow no less.
fn limits() -> Limits {
    Limits { processes: processes() + PROCESSES, memory: MEMORY, file: MEMORY }
}

/// What the server may use, and what its superuser has it run. It must still have room for a process when programs have
/// taken all of theirs.
pub(super) fn limits_of_server() -> Limits {
    let limits = limits();
    Limits { processes: limits.processes + PROCESSES, ..limits }
}

/// Processes and threads that there are.
fn processes() -> u64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(['/', ' ']).nth(4).and_then(|all| all.parse::<u64>().ok()).unwrap_or(PROCESSES)
}

/// Kills the process group of a program whose future is dropped in the middle.
struct KillGroup(Option<Pid>);

impl KillGroup {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended meanwhile, which is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for KillGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
    }
}

fn read(
    mut pipe: impl AsyncRead + Unpin + Send + 'static,
    stream: Stream,
    captured: Arc<Mutex<Captured>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = vec![0_u8; 16 * 1024];
        while let Ok(count) = pipe.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            captured.lock().unwrap_or_else(PoisonError::into_inner).push(stream, bytes);
        }
    })
}

/// A directory that the user of programs cannot read, and no right to let it do so all the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} cannot be read by the user that programs run as (uid {uid}), and thirdrun lacks the capability \
     DAC_READ_SEARCH to let it; type: chmod -R o+rX {0} (and chmod o+x on the directories above), or run \
     thirdrun as an ordinary user",
    directory.display()
)]
struct Unreadable {
    directory: PathBuf,
    uid: u32,
}

/// Whether a user can enter a directory and read what is in it, as far as its first level tells.
fn can_read(user: Unprivileged, directory: &Path) -> bool {
    let allows = |meta: &Metadata, wanted: u32| {
        let shift = match (meta.uid() == user.uid, meta.gid() == user.gid) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        (meta.mode() >> shift) & wanted == wanted
    };
    directory.ancestors().all(|part| std::fs::metadata(part).is_ok_and(|meta| allows(&meta, 0o1)))
        && std::fs::read_dir(directory).is_ok_and(|mut entries| {
            entries.all(|entry| entry.and_then(|entry| entry.metadata()).is_ok_and(|meta| allows(&meta, 0o4)))
        })
}

/// Whether this process has the capability DAC_READ_SEARCH, which containers ordinarily lack
/// (capabilities(7): bit 2 of the permitted set).
fn may_read_everything() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    permitted.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & (1 << 2) != 0)
}
