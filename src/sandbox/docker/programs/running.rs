//! One program in a container, from its start until nothing of it is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::super::super::SandboxError;
use super::super::engine;
use super::super::wrapper::{KILL, Marks, REMAIN};
use super::{DIRECTORY, DockerLauncher};
use crate::observations::Ending;
use crate::programs::{Captured, GRACE, Outcome, Program, Stream, Until};

/// The exit status of what SIGKILL has ended, as a shell tells it.
const KILLED: i32 = 128 + 9;
/// How long the processes of a program that was killed may take to be gone, and then its streams to end.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How often it is asked for the one and the other.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a container may fail to run what would kill a program.
const REFUSALS: usize = 5;

impl DockerLauncher {
    pub(super) async fn run(&self, program: &Program) -> Result<Outcome, SandboxError> {
        let asked = Instant::now();
        let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
        let mark = format!("thirdrun-{:016x}", rand::random::<u64>());
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(self.environment(program)),
            cmd: Some(Self::command(program, &mark)),
            working_dir: Some(DIRECTORY.to_owned()),
            user: program.user.clone(),
            ..CreateExecOptions::default()
        };
        let place = program.place();
        let mut container = self.container(&place).await?;
        let mut exec = self.docker.create_exec(&container, options.clone()).await;
        if exec.is_err() && !engine::is_running(&self.docker, &container).await {
            // An earlier program has ended all that it could, the container with it.
            self.give_up(&container).await;
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
        let mut beginning = told.clone();
        let end = async {
            if let Until::Timeout(time) = program.until {
                // Its time begins when it does, which a busy engine puts off; not for ever.
                let _ = tokio::time::timeout(time, beginning.wait_for(|seen| seen.begun.is_some())).await;
            }
            program.until.come().await;
        };
        let by_itself = tokio::select! {
            biased;
            _ = told.wait_for(Seen::ended) => true,
            () = end => false,
        };
        let duration = begun.elapsed();
        let timed_out = !by_itself && matches!(program.until, Until::Timeout(_));
        if program.until.takes_all() && !by_itself {
            self.signal(&container, program, &told, "TERM").await;
            let _ = tokio::time::timeout(GRACE, told.wait_for(Seen::ended)).await;
        }
        if program.until.takes_all() || timed_out {
            self.kill(&container, program, &told).await;
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
        let starting = told.borrow().begun.map_or(Duration::ZERO, |begun| begun - asked);
        Ok(Outcome { ending: as_signal(ending), duration, starting, output })
    }

    /// Sends a signal to the process group of a program. Its leader is the shell around it.
    async fn signal(&self, container: &str, program: &Program, told: &watch::Receiver<Seen>, signal: &str) {
        let Some(group) = told.borrow().group.clone() else { return };
        // Of all ways to say it, this one is understood by dash, bash and busybox.
        self.order(container, program, &["sh", "-c", &format!("kill -{signal} -{group}")]).await;
    }

    /// Kills the process group of a program, and comes back when it is gone, so that the next program finds the
    /// container as if this one had not been. One that has taken all the processes that there may be leaves none for
    /// the order to die: then the container ends.
    async fn kill(&self, container: &str, program: &Program, told: &watch::Receiver<Seen>) {
        let Some(group) = told.borrow().group.clone() else { return };
        let deadline = Instant::now() + LAST_WORDS;
        let mut refusals = 0;
        while Instant::now() < deadline {
            match self.order(container, program, &["sh", "-c", KILL, "sh", &group]).await {
                Some(0) => return,
                Some(REMAIN) => {}
                _ => refusals += 1,
            }
            if refusals >= REFUSALS {
                self.give_up(container).await;
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes a container with all that runs in it. The next program of its place has another one.
    async fn give_up(&self, container: &str) {
        self.containers.lock().await.retain(|_, known| known != container);
        engine::remove_one(&self.docker, container).await;
    }

    /// Runs a command as the user of a program in its container: the exit status, if it could be run. A container that
    /// is gone has no process left to kill.
    async fn order(&self, container: &str, program: &Program, command: &[&str]) -> Option<i64> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            cmd: Some(command.to_vec()),
            // Without capabilities root may not signal others.
            user: program.user.as_deref(),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(container, options).await.ok()?;
        let started = self.docker.start_exec(&exec.id, None::<StartExecOptions>).await.ok()?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while output.next().await.is_some() {}
        }
        self.docker.inspect_exec(&exec.id).await.ok()?.exit_code
    }
}

/// What the streams of a program have told.
#[derive(Debug, Default, Clone)]
struct Seen {
    begun: Option<Instant>,
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
            if seen.group.is_some() {
                seen.begun.get_or_insert_with(Instant::now);
            }
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
