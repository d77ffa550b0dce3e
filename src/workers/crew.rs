//! All workers of a rehearsal: their turns before and after runs, and their work meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::Surroundings;
use super::spec::WorkerSpec;
use super::worker::Worker;
use crate::identifiers::RunNumber;
use crate::observations::{Iteration, WorkerObservation};

/// How far apart the checks of a worker that is watched are at least: people do not see more.
const PACE: Duration = Duration::from_millis(250);

/// The workers of a rehearsal, in the file's order.
pub struct Crew {
    surroundings: Surroundings,
    waiting: Vec<WorkerSpec>,
    /// The place in the file of each worker at work.
    working: Vec<(usize, Worker)>,
    order: Vec<crate::identifiers::WorkerName>,
    /// How many of them have been at work at the same time.
    accustomed: usize,
}

/// Iterations finished so far while a script runs, for the progress display.
#[derive(Debug, Default)]
pub struct Tally {
    /// Completed.
    pub completed: AtomicU64,
    /// Failed.
    pub failed: AtomicU64,
}

/// Workers at work while a script runs.
pub struct Shift {
    stop: watch::Sender<bool>,
    released: watch::Sender<bool>,
    clock: watch::Sender<Option<Instant>>,
    tasks: Vec<JoinHandle<(usize, Worker, Vec<Iteration>)>>,
    resting: Vec<(usize, Worker)>,
    tally: Arc<Tally>,
}

impl Crew {
    /// Workers that have not begun yet.
    pub fn new(specs: Vec<WorkerSpec>, surroundings: Surroundings) -> Self {
        let order = specs.iter().map(|spec| spec.name.clone()).collect();
        Self { surroundings, waiting: specs, working: Vec::new(), order, accustomed: 1 }
    }

    /// Starts the workers that arrive before this run: they open the sessions that they keep.
    pub async fn start_for(&mut self, run: RunNumber) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|spec| spec.from_run <= run);
        self.waiting = later;
        // Others may go through a service.
        let (services, others): (Vec<_>, Vec<_>) = now.into_iter().partition(|spec| spec.port().is_some());
        for spec in services.into_iter().chain(others) {
            let place = self.order.iter().position(|name| *name == spec.name).unwrap_or_default();
            let mut worker = Worker::new(spec, self.surroundings.clone());
            worker.start().await;
            self.working.push((place, worker));
        }
        self.working.sort_by_key(|(place, _)| *place);
    }

    /// Every worker's baseline, in turn.
    pub async fn baseline(&mut self) -> Vec<WorkerObservation> {
        let mut observations = Vec::new();
        for (_, worker) in &mut self.working {
            observations.push(worker.baseline().await);
        }
        observations
    }

    /// Starts the workers that arrive before this run, and has all of them work at the same time, so that it is known how
    /// long their iterations ordinarily take then: each goes on until the last has had one, since who is first would
    /// otherwise know only what it takes alone. Where nobody has come, it is known.
    pub async fn accustom(&mut self, run: RunNumber) {
        self.start_for(run).await;
        if self.working.len() > self.accustomed {
            self.accustomed = self.working.len();
            let (had_one, all_had_one) = {
                let at_work = self.working.iter().filter(|(_, worker)| worker.spec.while_running).count();
                watch::channel(at_work)
            };
            let all = self.working.iter_mut().filter(|(_, worker)| worker.spec.while_running);
            join_all(all.map(|(_, worker)| worker.accustom(&had_one, all_had_one.clone()))).await;
        }
    }

    /// The workers that have begun, in the file's order.
    pub(super) fn at_work(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.working.iter_mut().map(|(_, worker)| worker)
    }

    /// Sets the workers to work; returns when each has an iteration under way.
    pub async fn begin_shift(&mut self) -> Shift {
        let (stop, stopped) = watch::channel(false);
        let (clock, time) = watch::channel(None);
        let (released, free) = watch::channel(false);
        let (tell, mut told) = mpsc::unbounded_channel();
        let tally = Arc::new(Tally::default());
        let mut tasks = Vec::new();
        let mut resting = Vec::new();
        for (place, mut worker) in std::mem::take(&mut self.working) {
            if !worker.spec.while_running {
                resting.push((place, worker));
                continue;
            }
            let (stopped, free, time) = (stopped.clone(), free.clone(), time.clone());
            let (tell, tally) = (tell.clone(), Arc::clone(&tally));
            tasks.push(tokio::spawn(async move {
                let count = |completed: bool| {
                    let counter = if completed { &tally.completed } else { &tally.failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                };
                let under_way = move || {
                    // Nobody listens any more only when the rehearsal is being given up.
                    let _ = tell.send(());
                };
                let seen = worker.iterate_while(&time, free, stopped, under_way, count).await;
                (place, worker, seen)
            }));
        }
        drop(tell);
        for _ in 0..tasks.len() {
            if told.recv().await.is_none() {
                break;
            }
        }
        Shift { stop, clock, released, tasks, resting, tally }
    }

    /// Waits for the iterations in flight, then lets the workers take turns at their judged iterations.
    ///
    /// # Errors
    /// When a worker's task panicked, which is a defect of thirdrun.
    pub async fn end_shift(
        &mut self,
        shift: Shift,
    ) -> Result<Vec<WorkerObservation>, tokio::task::JoinError> {
        let mut all: Vec<(usize, Worker, Option<Vec<Iteration>>)> =
            shift.resting.into_iter().map(|(place, worker)| (place, worker, None)).collect();
        for task in shift.tasks {
            let (place, worker, seen) = task.await?;
            all.push((place, worker, Some(seen)));
        }
        all.sort_by_key(|(place, ..)| *place);
        let mut observations = Vec::new();
        for (place, mut worker, seen) in all {
            observations.push(worker.check(seen).await);
            self.working.push((place, worker));
        }
        Ok(observations)
    }

    /// Lets every worker take its judged iterations again and again, and tells of each, until it is told to stop.
    ///
    /// # Errors
    /// When a worker's task panicked, which is a defect of thirdrun.
    pub async fn watch(
        &mut self,
        tell: mpsc::UnboundedSender<WorkerObservation>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), tokio::task::JoinError> {
        let mut tasks = JoinSet::new();
        for (_, mut worker) in std::mem::take(&mut self.working) {
            // Nobody shall meet one that is just starting.
            worker.restarts = false;
            let (tell, mut stop) = (tell.clone(), stop.clone());
            tasks.spawn(async move {
                while !*stop.borrow() {
                    let begun = Instant::now();
                    if tell.send(worker.check(None).await).is_err() {
                        break;
                    }
                    // An error means that nobody can tell it to stop any more, which is to stop.
                    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
                    let _ = tokio::time::timeout_at(begun + worker.spec.every.max(PACE), stopped).await;
                }
                worker.stop().await;
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Closes every session, and then stops the services, through which some of them may go.
    pub async fn stop(self) {
        let (services, others): (Vec<_>, Vec<_>) =
            self.working.into_iter().map(|(_, worker)| worker).partition(Worker::is_service);
        for worker in others.into_iter().chain(services) {
            worker.stop().await;
        }
    }
}

impl Shift {
    /// The script starts now: times of iterations count from here.
    pub fn script_starts(&self) {
        let _ = self.clock.send(Some(Instant::now()));
    }

    /// Lets the workers go on after their first iteration.
    pub fn release(&self) {
        // Nobody listens when every worker rests.
        let _ = self.released.send(true);
    }

    /// The script has ended: an iteration in flight is finished, and no other begins.
    pub fn script_ended(&self) {
        // Nobody listens when every worker rests.
        let _ = self.stop.send(true);
    }

    /// Counts iterations while they happen.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}
