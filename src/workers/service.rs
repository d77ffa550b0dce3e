//! A service: a program that keeps running, started and stopped as a supervisor does it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Surroundings;
use super::program::{failed, how, last_line, program};
use super::spec::{ServiceWork, StepWork, WorkerSpec};
use super::worker::{PATIENCE, Worker, milliseconds};
use crate::observations::{Failure, FailureKind, Probe};
use crate::programs::{LaunchError, Outcome, Until};

/// How often a service that is not healthy yet is asked again.
const POLL: Duration = Duration::from_millis(20);
/// How many times as long as in the beginning it may take.
const MANY: u32 = 10;

/// One start of a service. Dropped, it is told to stop, and nobody waits until it has.
pub(super) struct Service {
    stop: watch::Sender<bool>,
    ending: JoinHandle<Result<Outcome, LaunchError>>,
    /// How it ended by itself, once that is known.
    ended: Option<String>,
}

impl Service {
    /// Starts it; whether it comes up is for others to see.
    pub(super) fn start(surroundings: &Surroundings, spec: &WorkerSpec, service: &ServiceWork) -> Self {
        let (stop, told) = watch::channel(false);
        let command = &service.command;
        let program = program(surroundings, spec, command, &command.argv, Until::Told(told));
        let launcher = Arc::clone(&surroundings.launcher);
        let ending = tokio::spawn(async move { launcher.launch(&program).await });
        Self { stop, ending, ended: None }
    }

    /// How it ended, if it has ended by itself.
    pub(super) async fn ended(&mut self) -> Option<String> {
        if self.ended.is_none() && self.ending.is_finished() {
            self.ended = Some(match (&mut self.ending).await {
                Ok(ended) => how(&ended),
                Err(error) => error.to_string(),
            });
        }
        self.ended.clone()
    }

    /// Has it stop, waits until it has, and says the last line that it printed.
    pub(super) async fn stop(self) -> Option<String> {
        if self.ended.is_some() {
            return self.ended;
        }
        // Nobody listens when it has ended by itself.
        let _ = self.stop.send(true);
        match self.ending.await {
            Ok(Ok(outcome)) => last_line(&outcome.output),
            Ok(failed) => Some(how(&failed)),
            Err(_) => None,
        }
    }
}

impl Worker {
    pub(super) fn is_service(&self) -> bool {
        matches!(self.spec.work, StepWork::Service(_))
    }

    /// Starts the service that it is, if it is one, and waits until it is up: others may go through it.
    pub(super) async fn start_service(&mut self) {
        if self.is_service() {
            self.start_it();
            // Whether it came up is judged later.
            let _ = self.come_up().await;
        }
    }

    fn start_it(&mut self) {
        if let StepWork::Service(service) = &self.spec.work {
            self.service = Some(Service::start(&self.surroundings, &self.spec, service));
        }
    }

    /// Why it does not run, if it does not.
    async fn down(&mut self) -> Option<String> {
        match &mut self.service {
            Some(service) => service.ended().await.map(|how| format!("the service ended: {how}")),
            None => Some("the service did not come up when it was started last".to_owned()),
        }
    }

    /// Starts it again if it has ended by itself.
    ///
    /// # Errors
    /// When it is one that nobody starts again.
    pub(super) async fn kept_up(&mut self) -> Result<bool, Failure> {
        match self.down().await {
            None => Ok(false),
            Some(_) if self.spec.reconnect => {
                self.start_it();
                Ok(true)
            }
            Some(why) => Err(failed(FailureKind::Command, why)),
        }
    }

    /// Asks it until it is healthy, or has ended, or has had all the time that a worker gets. Later that is many times
    /// what it needed in the beginning, on this machine.
    async fn come_up(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let most = self.spec.timeout * PATIENCE;
        let deadline =
            begun + self.needed.map_or(most, |needed| (needed * MANY).max(self.spec.timeout).min(most));
        loop {
            let answer = self.once(self.spec.timeout).await;
            // What it left may answer for one that has ended.
            if let Some(why) = self.down().await {
                return Err(failed(FailureKind::Command, why));
            }
            let Err(failure) = answer else {
                self.needed.get_or_insert(begun.elapsed());
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the service that runs is healthy, and whether one that is started now becomes so.
    pub(super) async fn check_service(&mut self) -> (Option<Probe>, Probe) {
        let begun = Instant::now();
        let (mut reopened, mut failure) = match self.kept_up().await {
            Ok(reopened) => (reopened, self.come_up().await.err()),
            Err(failure) => (false, Some(failure)),
        };
        if failure.is_some() && !reopened && self.spec.reconnect && self.down().await.is_some() {
            reopened = true;
            self.start_it();
            failure = self.come_up().await.err();
        }
        let mut existing = Probe { failure, duration_ms: milliseconds(begun.elapsed()), reopened };
        if !self.restarts {
            let new_session = self.check_with(|limit| self.anew(limit)).await;
            return (Some(existing), new_session);
        }
        self.end(&mut existing).await;
        let mut new_session = self.started_anew().await;
        if existing.ok() && !new_session.ok() {
            // What the one before was at when it was stopped may stand in the way of this one, but of no other: pgAgent
            // takes a job from a predecessor only if that one's session has ended by then.
            new_session = self.started_anew().await;
        }
        (Some(existing), new_session)
    }

    /// Whether one that is started now becomes healthy; one that does not is stopped.
    async fn started_anew(&mut self) -> Probe {
        let begun = Instant::now();
        self.start_it();
        let failure = self.come_up().await.err();
        let mut probe = Probe { failure, duration_ms: milliseconds(begun.elapsed()), reopened: false };
        if !probe.ok() {
            self.end(&mut probe).await;
        }
        probe
    }

    /// Has it stop; what it printed last goes with what was seen of it.
    async fn end(&mut self, probe: &mut Probe) {
        let Some(service) = self.service.take() else { return };
        let said = service.stop().await;
        if let Some(failure) = &mut probe.failure {
            let news = said.filter(|said| !failure.message.contains(said));
            failure.detail = failure.detail.take().or(news.map(|said| format!("it last said: {said}")));
        }
    }
}
