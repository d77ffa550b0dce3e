//! One worker and the sessions that it holds.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Surroundings;
use super::iteration::{cut_off, iterate, open};
use super::spec::{CommandWork, SessionKind, StepWork, WorkerSpec};
use crate::observations::{Ending, Failure, FailureKind, Iteration, Probe, WhileRunning, WorkerObservation};
use crate::postgres::Session;
use crate::programs::{Executable, Program};

/// How much longer a judged iteration may take the second time, when it only ran out of time.
const PATIENCE: u32 = 5;
/// How long a server may take to recover from a crash.
const RECOVERY: Duration = Duration::from_secs(60);
/// How often a server that recovers is asked again.
const POLL: Duration = Duration::from_millis(5);

/// A session that a worker holds, or why it has none.
enum Held {
    Open(Session),
    Gone(Failure),
}

/// A worker at work.
pub(super) struct Worker {
    pub(super) spec: WorkerSpec,
    surroundings: Surroundings,
    held: Vec<Held>,
    /// Milliseconds that its first judged iterations took; none before them.
    ordinary_ms: Option<f64>,
}

impl Worker {
    pub(super) fn new(spec: WorkerSpec, surroundings: Surroundings) -> Self {
        Self { spec, surroundings, held: Vec::new(), ordinary_ms: None }
    }

    /// Opens the sessions that it keeps. One that cannot be opened is remembered with the reason.
    pub(super) async fn start(&mut self) {
        let sessions = match (&self.spec.work, self.spec.session) {
            (StepWork::Command(_), _) | (_, SessionKind::Fresh) => 0,
            (_, SessionKind::Keep) => 1,
            (_, SessionKind::Pool) => self.spec.connections,
        };
        for _ in 0..sessions {
            let held = self.open(self.spec.timeout).await.map_or_else(Held::Gone, Held::Open);
            self.held.push(held);
        }
    }

    /// Closes its sessions and waits until the server has forgotten them.
    pub(super) async fn stop(self) {
        for held in self.held {
            if let Held::Open(session) = held {
                session.close().await;
            }
        }
    }

    async fn open(&self, limit: Duration) -> Result<Session, Failure> {
        let login = self.surroundings.login(&self.spec);
        open(&self.surroundings.endpoint, &login, &self.spec, limit).await
    }

    /// Both judged iterations, before the first run.
    pub(super) async fn baseline(&mut self) -> WorkerObservation {
        self.check(None).await
    }

    /// The judged iterations: on every session it has, then on a new one while those are open.
    pub(super) async fn check(&mut self, while_running: Option<Vec<Iteration>>) -> WorkerObservation {
        let mut existing: Option<Probe> = None;
        for at in 0..self.held.len() {
            let probe = self.check_held(at).await;
            if existing.as_ref().is_none_or(|so_far| so_far.ok() && !probe.ok()) {
                existing = Some(probe);
            }
        }
        let new_session = match &self.spec.work {
            StepWork::Command(command) => self.check_with(|limit| self.run_command(command, limit)).await,
            StepWork::Steps(_) => self.check_with(|limit| self.on_new_session(limit)).await,
        };
        let probes = existing.iter().chain([&new_session]);
        let took = probes.map(|probe| probe.duration_ms).fold(0.0, f64::max);
        // A worker that arrives with a later run has no baseline.
        let ordinary_ms = *self.ordinary_ms.get_or_insert(took);
        WorkerObservation {
            name: self.spec.name.clone(),
            while_running: while_running.map(|iterations| WhileRunning { iterations, ordinary_ms }),
            existing_session: existing,
            new_session,
        }
    }

    /// A judged attempt, made once more with more time if it only ran out of time.
    async fn check_with<F>(&self, attempt: impl Fn(Duration) -> F) -> Probe
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let mut begun = Instant::now();
        let mut result = recovered(|| attempt(self.spec.timeout)).await;
        if only_slow(&result) {
            begun = Instant::now();
            result = attempt(self.spec.timeout * PATIENCE).await;
        }
        Probe { failure: result.err(), duration_ms: milliseconds(begun.elapsed()), reopened: false }
    }

    async fn check_held(&mut self, at: usize) -> Probe {
        let mut reopened = false;
        let mut begun = Instant::now();
        let mut limit = self.spec.timeout;
        let mut slow_before = false;
        let failure = loop {
            let result = self.iterate_held(at, limit).await;
            match result {
                Ok(()) => break None,
                Err(failure) if self.is_gone(at) && self.spec.reconnect && !reopened => {
                    reopened = true;
                    begun = Instant::now();
                    match recovered(|| self.open(limit)).await {
                        Ok(session) => self.hold(at, Held::Open(session)),
                        Err(reason) => {
                            self.hold(at, Held::Gone(reason.clone()));
                            break Some(if reason.sqlstate.is_none() { failure } else { reason });
                        }
                    }
                }
                Err(failure) if failure.kind == FailureKind::TimedOut && !slow_before => {
                    slow_before = true;
                    limit *= PATIENCE;
                    begun = Instant::now();
                }
                Err(failure) => break Some(failure),
            }
        };
        Probe { failure, duration_ms: milliseconds(begun.elapsed()), reopened }
    }

    fn is_gone(&self, at: usize) -> bool {
        matches!(self.held.get(at), Some(Held::Gone(_)))
    }

    fn hold(&mut self, at: usize, held: Held) {
        if let Some(place) = self.held.get_mut(at) {
            *place = held;
        }
    }

    /// An iteration on a session that it has. One that is found cut off is given up.
    async fn iterate_held(&mut self, at: usize, limit: Duration) -> Result<(), Failure> {
        let result = match self.held.get_mut(at) {
            Some(Held::Open(session)) => match session.cut_off() {
                Some(failure) => Err(cut_off(failure)),
                None => iterate(session, &self.spec, limit).await,
            },
            Some(Held::Gone(failure)) => return Err(failure.clone()),
            None => return Ok(()),
        };
        if let Err(failure) = &result
            && failure.kind == FailureKind::CutOff
        {
            let gone = Held::Gone(failure.clone());
            if let Some(place) = self.held.get_mut(at)
                && let Held::Open(session) = std::mem::replace(place, gone)
            {
                session.abandon();
            }
        }
        result
    }

    async fn on_new_session(&self, limit: Duration) -> Result<(), Failure> {
        let mut session = self.open(limit).await?;
        let result = iterate(&mut session, &self.spec, limit).await;
        session.close().await;
        result
    }

    async fn run_command(&self, command: &CommandWork, limit: Duration) -> Result<(), Failure> {
        let mut argv = command.argv.iter().cloned();
        let program = Program {
            what: Executable::File(argv.next().unwrap_or_default(), argv.collect()),
            directory: command.directory.clone(),
            role: self.spec.role.clone(),
            database: self.surroundings.database.clone(),
            env: Vec::new(),
            image: command.image.clone(),
            timeout: limit,
            tapped: false,
        };
        let failed = |kind, message| Failure { kind, sqlstate: None, message, detail: None, step: Some(1) };
        let outcome = self
            .surroundings
            .launcher
            .launch(&program)
            .await
            .map_err(|error| failed(FailureKind::Command, format!("{error}: {}", error.source)))?;
        let how = match outcome.ending {
            Ending::Exited(0) => return Ok(()),
            Ending::Exited(status) => format!("exited with status {status}"),
            Ending::Signalled(signal) => format!("was killed by signal {signal}"),
            Ending::TimedOut => {
                let message = format!("timed out after {}", humantime::format_duration(limit));
                return Err(failed(FailureKind::TimedOut, message));
            }
        };
        let tail = outcome.output.tail();
        let last = tail.lines().rev().find(|line| !line.trim().is_empty());
        let said = last.map(|line| format!(": {}", line.trim())).unwrap_or_default();
        Err(failed(FailureKind::Command, format!("{how}{said}")))
    }

    /// Iterates until it is told to stop; the iteration under way then is finished. `under_way` is told
    /// when the first one begins.
    pub(super) async fn iterate_while(
        &mut self,
        clock: &watch::Receiver<Option<Instant>>,
        mut released: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
        under_way: impl FnOnce(),
        finished_one: impl Fn(bool),
    ) -> Vec<Iteration> {
        let mut under_way = Some(under_way);
        let mut spans: Vec<(Instant, Instant, Option<Failure>)> = Vec::new();
        let mut turn = 0_usize;
        loop {
            let began = Instant::now();
            if let Some(tell) = under_way.take() {
                tell();
            }
            let failure = self.next_iteration(turn).await.err();
            finished_one(failure.is_none());
            spans.push((began, Instant::now(), failure));
            turn += 1;
            if *stop.borrow() {
                break;
            }
            let next = async {
                // An error means that nobody can release it any more.
                let _ = released.wait_for(|released| *released).await;
                tokio::time::sleep_until(began + self.spec.every).await;
            };
            tokio::select! {
                () = next => {}
                // An error means that nobody can tell it to stop any more, which is to stop.
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let started = *clock.borrow();
        let offset = |at: Instant| match started {
            Some(start) if at >= start => milliseconds(at - start),
            Some(start) => -milliseconds(start - at),
            None => 0.0,
        };
        spans
            .into_iter()
            .map(|(began, ended, failure)| Iteration {
                began_ms: offset(began),
                ended_ms: offset(ended),
                failure,
            })
            .collect()
    }

    /// An iteration on the session whose turn it is, or on a new one.
    pub(super) async fn next_iteration(&mut self, turn: usize) -> Result<(), Failure> {
        let limit = self.spec.timeout;
        if self.held.is_empty() {
            return match &self.spec.work {
                StepWork::Command(command) => self.run_command(command, limit).await,
                StepWork::Steps(_) => self.on_new_session(limit).await,
            };
        }
        let at = turn.checked_rem(self.held.len()).unwrap_or_default();
        if self.is_gone(at) && self.spec.reconnect {
            let held = self.open(limit).await.map_or_else(Held::Gone, Held::Open);
            self.hold(at, held);
        }
        self.iterate_held(at, limit).await
    }
}

/// An attempt that meets a crash of the server is made again once it has recovered. That a crash is over can be
/// seen too soon: a process that was killed takes a moment to die, and the server to notice.
async fn recovered<T, F>(attempt: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(failure) if is_of_crash(&failure) && begun.elapsed() < RECOVERY => {
                tokio::time::sleep(POLL).await;
            }
            result => return result,
        }
    }
}

/// `crash_shutdown`, `cannot_connect_now` (PostgreSQL manual, appendix A): it is another process that has crashed.
fn is_of_crash(failure: &Failure) -> bool {
    failure.sqlstate.as_ref().is_some_and(|code| ["57P02", "57P03"].contains(&code.as_str()))
}

fn only_slow(result: &Result<(), Failure>) -> bool {
    matches!(result, Err(failure) if failure.kind == FailureKind::TimedOut)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
