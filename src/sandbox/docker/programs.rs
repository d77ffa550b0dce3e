//! Programs beside a server in a container: each image and directory has a container of its own in the
//! server's network, in which its programs are started one after another.

use std::collections::HashMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::super::{SandboxError, Scope};
use super::confined::{self, confined, in_memory};
use super::engine::Engine;
use super::wrapper::{Marks, SCRIPT};
use super::{MOUNT, PORT, engine, image};
use crate::identifiers::{RoleName, Secret};
use crate::observations::Ending;
use crate::programs::{
    Address, BoxFuture, Captured, Executable, LaunchError, Launcher, Outcome, Place, Program, Stream,
    passfile,
};

/// Where a program finds its directory.
const DIRECTORY: &str = "/rehearsal";
/// The file with the passwords, in what programs get to see of the sandbox's directory.
const PASSFILE: &str = "pgpass";
/// Its `HOME`.
const HOME: &str = "/home/thirdrun";
/// The exit status of what SIGKILL has ended, as a shell tells it.
const KILLED: i32 = 128 + 9;
/// How long the streams of a program that was killed may take to end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Starts programs beside one server.
pub(super) struct DockerLauncher {
    docker: Docker,
    engine: Engine,
    scope: Scope,
    server: String,
    own_image: String,
    address: Address,
    containers: tokio::sync::Mutex<HashMap<Place, String>>,
    logins: Mutex<Vec<(RoleName, Secret)>>,
}

impl DockerLauncher {
    pub(super) fn new(
        docker: Docker,
        engine: Engine,
        scope: &Scope,
        server: &str,
        host: &str,
        own_image: String,
    ) -> Self {
        Self {
            docker,
            engine,
            scope: scope.clone(),
            server: server.to_owned(),
            own_image,
            address: Address {
                host: host.to_owned(),
                tap: OnceLock::new(),
                port: PORT,
                passfile: format!("{MOUNT}/{PASSFILE}"),
                home: HOME.to_owned(),
                path: String::new(),
            },
            containers: tokio::sync::Mutex::default(),
            logins: Mutex::default(),
        }
    }

    /// What programs get to see of the sandbox's directory.
    pub(super) fn shared(&self) -> PathBuf {
        self.scope.directory().join("programs")
    }

    fn make_shared(&self) -> Result<PathBuf, SandboxError> {
        let shared = self.shared();
        std::fs::create_dir_all(&shared)
            .map_err(SandboxError::io(format!("cannot make {}", shared.display())))?;
        Ok(shared)
    }

    fn write_passfile(&self, logins: &[(RoleName, Secret)]) -> Result<(), SandboxError> {
        use std::io::Write as _;
        let path = self.make_shared()?.join(PASSFILE);
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(passfile(logins).as_bytes()))
            .map_err(SandboxError::io("cannot write the password file of the programs"))?;
        *self.logins.lock().unwrap_or_else(PoisonError::into_inner) = logins.to_vec();
        Ok(())
    }

    /// The container of an image and a directory, started when it is first needed.
    async fn container(&self, place: &Place) -> Result<String, SandboxError> {
        let mut containers = self.containers.lock().await;
        if let Some(known) = containers.get(place) {
            return Ok(known.clone());
        }
        let image = match &place.image {
            Some(image) => image::had(&self.docker, image, None, &self.scope).await?,
            None => self.own_image.clone(),
        };
        let shared = self.make_shared()?;
        // Who may read the directory on the machine may read it in the container.
        let (uid, gid) = if self.engine.rootless {
            (0, 0)
        } else {
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        // Where programs may expect to write, in every image.
        let mut writable = confined::volumes(&self.docker, &self.engine, &image).await;
        writable.extend([
            in_memory(&self.engine, "/tmp", 2, ",exec"),
            in_memory(&self.engine, HOME, 2, ""),
            in_memory(&self.engine, "/var/tmp", 1, ""),
            in_memory(&self.engine, "/run", 1, ""),
        ]);
        let host = HostConfig {
            network_mode: Some(format!("container:{}", self.server)),
            mounts: Some(vec![
                self.engine.mount(&place.directory, DIRECTORY, true)?,
                self.engine.mount(&shared, MOUNT, true)?,
            ]),
            tmpfs: Some(writable),
            // Root without capabilities could not read the files of others, as it can on the machine itself.
            cap_add: (uid == 0).then(|| vec!["DAC_OVERRIDE".to_owned()]),
            ..confined(&self.engine)
        };
        let body = ContainerCreateBody {
            image: Some(image),
            user: Some(format!("{uid}:{gid}")),
            entrypoint: Some(Vec::new()),
            cmd: Some(vec!["sleep".to_owned(), "2147483647".to_owned()]),
            working_dir: Some(DIRECTORY.to_owned()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let name = format!("{}-programs-{}", self.scope.name(), containers.len() + 1);
        let container = engine::start(&self.docker, &self.scope, &name, body).await?;
        containers.insert(place.clone(), container.clone());
        Ok(container)
    }

    fn command(program: &Program, mark: &str) -> Vec<String> {
        let mut command: Vec<String> =
            ["sh", "-c", SCRIPT, "sh", mark].into_iter().map(str::to_owned).collect();
        match &program.what {
            Executable::Psql(arguments) => {
                command.push("psql".to_owned());
                command.extend(arguments.iter().cloned());
            }
            Executable::File(name, arguments) => {
                command.push(name.clone());
                command.extend(arguments.iter().cloned());
            }
        }
        command
    }

    fn environment(&self, program: &Program) -> Vec<String> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let password = logins.iter().find(|(role, _)| *role == program.role).map(|(_, secret)| secret);
        let variables = self.address.environment(program, password);
        // The image knows better than the machine where its programs are.
        variables
            .into_iter()
            .filter(|(name, _)| name != "PATH")
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    async fn run(&self, program: &Program) -> Result<Outcome, SandboxError> {
        let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
        let mark = format!("thirdrun-{:016x}", rand::random::<u64>());
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(self.environment(program)),
            cmd: Some(Self::command(program, &mark)),
            working_dir: Some(DIRECTORY.to_owned()),
            ..CreateExecOptions::default()
        };
        let place = program.place();
        let mut container = self.container(&place).await?;
        let mut exec = self.docker.create_exec(&container, options.clone()).await;
        if exec.is_err() && !engine::is_running(&self.docker, &container).await {
            // An earlier program has ended all that it could, the container with it.
            self.containers.lock().await.remove(&place);
            engine::remove_one(&self.docker, &container).await;
            container = self.container(&place).await?;
            exec = self.docker.create_exec(&container, options).await;
        }
        let exec = exec.map_err(failed)?;
        let begun = Instant::now();
        let start = StartExecOptions { output_capacity: Some(64 * 1024), ..StartExecOptions::default() };
        let started = self.docker.start_exec(&exec.id, Some(start)).await.map_err(failed)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(SandboxError::Docker("it did not attach to a program".to_owned()));
        };
        let captured = Arc::new(Mutex::new(Captured::default()));
        let (tell, mut told) = watch::channel(Seen::default());
        tokio::spawn(follow(output, mark, Arc::clone(&captured), tell));
        let ended = told.wait_for(|seen| seen.ended());
        let timed_out = tokio::time::timeout(program.timeout, ended).await.is_err();
        let duration = begun.elapsed();
        if timed_out {
            let group = told.borrow().group.clone();
            self.kill(&container, group.as_deref()).await;
            // What it printed to the last is worth a moment; its streams may be held by others.
            let _ = tokio::time::timeout(LAST_WORDS, told.wait_for(|seen| seen.closed)).await;
        }
        drop(input);
        let status = told.borrow().status();
        let ending = match status {
            _ if timed_out => Ending::TimedOut,
            Some(status) => Ending::Exited(status),
            // The shell around the program was ended with it.
            None => match self.docker.inspect_exec(&exec.id).await {
                Ok(seen) => {
                    Ending::Exited(seen.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1))
                }
                Err(error) if engine::is_gone(&error) => {
                    if engine::is_there(&self.docker, &container).await {
                        let forgot =
                            "the engine has forgotten what ran in it, as it does when it is restarted";
                        return Err(SandboxError::Lost(forgot.to_owned()));
                    }
                    // And with the container, of which that is the end.
                    Ending::Exited(KILLED)
                }
                Err(error) => return Err(failed(error)),
            },
        };
        let mut output = std::mem::take(&mut *captured.lock().unwrap_or_else(PoisonError::into_inner));
        output.finish();
        Ok(Outcome { ending: as_signal(ending), duration, output })
    }

    /// Kills the process group of a program. Its leader is the shell around it.
    async fn kill(&self, container: &str, group: Option<&str>) {
        let Some(group) = group else { return };
        // Of all ways to say it, this one is understood by dash, bash and busybox.
        let kill = format!("kill -9 -{group}");
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            cmd: Some(vec!["sh", "-c", &kill]),
            ..CreateExecOptions::default()
        };
        // A container that is gone has no process left to kill.
        if let Ok(exec) = self.docker.create_exec(container, options).await
            && let Ok(StartExecResults::Attached { mut output, .. }) =
                self.docker.start_exec(&exec.id, None::<StartExecOptions>).await
        {
            while output.next().await.is_some() {}
        }
    }
}

/// What the streams of a program have told.
#[derive(Debug, Default, Clone)]
struct Seen {
    group: Option<String>,
    out: Option<i32>,
    err: Option<i32>,
    closed: bool,
}

impl Seen {
    fn ended(&self) -> bool {
        self.closed || self.status().is_some()
    }

    /// The exit status, once both streams have told it.
    fn status(&self) -> Option<i32> {
        self.out.and(self.err)
    }
}

async fn follow(
    mut output: std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>,
    >,
    mark: String,
    captured: Arc<Mutex<Captured>>,
    tell: watch::Sender<Seen>,
) {
    let mut out = Marks::new(Stream::Out, &mark);
    let mut err = Marks::new(Stream::Err, &mark);
    let kept = || captured.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(Ok(piece)) = output.next().await {
        match piece {
            LogOutput::StdErr { message } => err.push(&message, &mut kept()),
            LogOutput::StdOut { message } | LogOutput::Console { message } => out.push(&message, &mut kept()),
            LogOutput::StdIn { .. } => {}
        }
        tell.send_if_modified(|seen| {
            let before = (seen.group.is_some(), seen.out, seen.err);
            seen.group.clone_from(&out.group);
            (seen.out, seen.err) = (out.status, err.status);
            before != (seen.group.is_some(), seen.out, seen.err)
        });
    }
    out.finish(&mut kept());
    err.finish(&mut kept());
    tell.send_modify(|seen| seen.closed = true);
}

/// A shell reports the signal that ended its child as 128 and its number.
fn as_signal(ending: Ending) -> Ending {
    match ending {
        Ending::Exited(status) if (129..=128 + 31).contains(&status) => Ending::Signalled(status - 128),
        ending => ending,
    }
}

impl Launcher for DockerLauncher {
    fn passfile(&self) -> PathBuf {
        self.shared().join(PASSFILE)
    }

    fn prepare<'a>(&'a self, places: &'a [Place]) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            for place in places {
                self.container(place).await.map_err(|source| LaunchError {
                    what: format!("a container for {}", show(&place.directory)),
                    source: Box::new(source),
                })?;
            }
            Ok(())
        })
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

    fn launch<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Outcome, LaunchError>> {
        Box::pin(async move {
            self.run(program).await.map_err(|source| LaunchError {
                what: program.what.name().to_owned(),
                source: Box::new(source),
            })
        })
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
