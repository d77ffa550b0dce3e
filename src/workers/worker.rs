//! One worker and the sessions that it holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Surroundings;
use super::iteration::{cut_off, iterate, open};
use super::program;
use super::service::Service;
use super::spec::{SessionKind, StepWork, WorkerSpec};
use crate::observations::{Failure, FailureKind, Iteration, Probe, WhileRunning, WorkerObservation};
use crate::postgres::{Endpoint, Session};

/// How much longer a judged iteration may take the second time, when it only ran out of time.
pub(super) const PATIENCE: u32 = 5;
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
    pub(super) surroundings: Surroundings,
    held: Vec<Held>,
    /// The service that it is, while that runs.
    pub(super) service: Option<Service>,
    /// Whether a service is started anew whenever it is judged.
    pub(super) restarts: bool,
    /// What a service needed to become healthy when it was started first.
    pub(super) needed: Option<Duration>,
    /// Whether it could do without the service that is between it and the server when it began.
    goes_directly: bool,
    /// Milliseconds that its first iterations took, judged ones and those beside others; none before them.
    ordinary_ms: Option<f64>,
    /// Whether its timeout is too short for an iteration beside others.
    short_of_time: bool,
    /// Microseconds that went by in the attempt under way before its program, or its way to a service, was there. They
    /// are the engine's, which takes as long as the machine is busy, and count for nobody.
    starting: AtomicU64,
}

impl Worker {
    pub(super) fn new(spec: WorkerSpec, surroundings: Surroundings) -> Self {
        let restarts = matches!(&spec.work, StepWork::Service(service) if service.restart);
        Self {
            spec,
            surroundings,
            held: Vec::new(),
            service: None,
            restarts,
            needed: None,
            goes_directly: false,
            ordinary_ms: None,
            short_of_time: false,
            starting: AtomicU64::new(0),
        }
    }

    /// Starts the service that it is, or opens the sessions that it keeps. One that cannot be opened is remembered with
    /// the reason.
    pub(super) async fn start(&mut self) {
        if self.is_service() || self.spec.through.is_some() {
            self.goes_directly = self.directly(self.spec.timeout).await.is_ok();
        }
        self.start_service().await;
        let sessions = match self.spec.session {
            _ if !self.spec.keeps_sessions() => 0,
            SessionKind::Fresh => 0,
            SessionKind::Keep => 1,
            SessionKind::Pool => self.spec.connections,
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
        if let Some(service) = self.service {
            service.stop().await;
        }
    }

    async fn open(&self, limit: Duration) -> Result<Session, Failure> {
        self.open_at(self.surroundings.endpoint(&self.spec), limit).await
    }

    async fn open_at(&self, endpoint: &Endpoint, limit: Duration) -> Result<Session, Failure> {
        let login = self.surroundings.login(&self.spec);
        open(endpoint, &login, &self.spec.on_connect, limit).await
    }

    /// What a pooler would come to that has no session left: a login at the server itself and, for who goes through it,
    /// an iteration there.
    async fn directly(&self, limit: Duration) -> Result<(), Failure> {
        let mut session = self.open_at(&self.surroundings.endpoint, limit).await?;
        let result = match self.spec.through {
            Some(_) => iterate(&mut session, &self.spec, limit).await,
            None => Ok(()),
        };
        session.close().await;
        result
    }

    /// Iterations while the others are at theirs, as when a script runs, until each has had one: with all of them at work
    /// each takes longer. One that fails shows nothing, unless it ran out of time. `to_come` says how many have not had
    /// one.
    pub(super) async fn accustom(
        &mut self,
        to_come: &watch::Sender<usize>,
        mut all_had_one: watch::Receiver<usize>,
    ) {
        let mut turn = 0;
        loop {
            let begun = self.begin();
            let failure = self.next_iteration(turn).await.err();
            self.short_of_time |= failure.as_ref().is_some_and(Failure::is_of_time);
            if failure.is_none() {
                let took = milliseconds(self.began(begun).elapsed());
                self.ordinary_ms = Some(self.ordinary_ms.map_or(took, |known| known.max(took)));
            }
            if turn == 0 {
                to_come.send_modify(|number| *number = number.saturating_sub(1));
            }
            turn += 1;
            if failure.is_some() {
                break;
            }
            // An error means that nobody is left who could have one.
            let over = async { drop(all_had_one.wait_for(|number| *number == 0).await) };
            if tokio::time::timeout_at(begun + self.spec.every, over).await.is_ok() {
                break;
            }
        }
    }

    /// Both judged iterations, before the first run.
    pub(super) async fn baseline(&mut self) -> WorkerObservation {
        self.check(None).await
    }

    /// The judged iterations: on every session it has, then on a new one while those are open.
    pub(super) async fn check(&mut self, while_running: Option<Vec<Iteration>>) -> WorkerObservation {
        let (existing, new_session) = match &self.spec.work {
            StepWork::Service(_) => self.check_service().await,
            StepWork::Command(_) | StepWork::Steps(_) => {
                (self.check_all_held().await, self.check_with(|limit| self.anew(limit)).await)
            }
        };
        // While a script runs a service is only asked.
        let anew = Some(&new_session).filter(|_| !self.is_service());
        let probes = existing.iter().chain(anew);
        let took = probes.map(|probe| probe.duration_ms).fold(0.0, f64::max);
        // A worker that arrives with a later run has no baseline.
        let ordinary_ms = Some(*self.ordinary_ms.get_or_insert(took)).filter(|_| !self.short_of_time);
        WorkerObservation {
            name: self.spec.name.clone(),
            while_running: while_running.map(|iterations| WhileRunning { iterations, ordinary_ms }),
            existing_session: existing,
            new_session,
        }
    }

    /// A judged iteration on every session it has; the first that failed tells.
    async fn check_all_held(&mut self) -> Option<Probe> {
        let mut existing: Option<Probe> = None;
        for at in 0..self.held.len() {
            let probe = self.check_held(at).await;
            if existing.as_ref().is_none_or(|so_far| so_far.ok() && !probe.ok()) {
                existing = Some(probe);
            }
        }
        existing
    }

    /// A judged attempt, made once more with more time if it only ran out of time.
    pub(super) async fn check_with<F>(&self, attempt: impl Fn(Duration) -> F) -> Probe
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let mut begun = self.begin();
        let mut result = recovered(|| attempt(self.spec.timeout)).await;
        if only_slow(&result) {
            begun = self.begin();
            result = attempt(self.spec.timeout * PATIENCE).await;
        }
        Probe {
            failure: result.err(),
            duration_ms: milliseconds(self.began(begun).elapsed()),
            reopened: false,
        }
    }

    /// The beginning of an attempt.
    fn begin(&self) -> Instant {
        self.starting.store(0, Ordering::Relaxed);
        Instant::now()
    }

    /// When an attempt began that was begun then, without what is not its own.
    fn began(&self, begun: Instant) -> Instant {
        (begun + Duration::from_micros(self.starting.load(Ordering::Relaxed))).min(Instant::now())
    }

    fn waited(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.starting.fetch_add(time, Ordering::Relaxed);
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
                Err(failure) if failure.is_of_time() && !slow_before => {
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

    /// What nothing from before takes part in: a start of its program, or an iteration on a new session. A pooler may
    /// answer that with an old one.
    pub(super) async fn anew(&self, limit: Duration) -> Result<(), Failure> {
        if self.goes_directly {
            self.directly(limit).await?;
        }
        self.once(limit).await
    }

    /// A start of its program, or an iteration on a new session, which is what tells whether a service is healthy.
    pub(super) async fn once(&self, limit: Duration) -> Result<(), Failure> {
        if let Some((command, argv)) = self.spec.asks() {
            let (result, starting) = program::run(&self.surroundings, &self.spec, command, argv, limit).await;
            self.waited(starting);
            return result;
        }
        if let Some(port) = self.surroundings.port(&self.spec) {
            let asked = Instant::now();
            // Without it the connection finds its way, or why there is none.
            let _ = timeout(limit, self.surroundings.launcher.make_way(port)).await;
            self.waited(asked.elapsed());
        }
        let mut session = self.open(limit).await?;
        let result = iterate(&mut session, &self.spec, limit).await;
        session.close().await;
        result
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
            let began = self.begin();
            if let Some(tell) = under_way.take() {
                tell();
            }
            let failure = self.next_iteration(turn).await.err();
            finished_one(failure.is_none());
            spans.push((self.began(began), Instant::now(), failure));
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
        if self.is_service() {
            self.kept_up().await?;
        }
        if self.held.is_empty() {
            return self.once(limit).await;
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
    matches!(result, Err(failure) if failure.is_of_time())
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
