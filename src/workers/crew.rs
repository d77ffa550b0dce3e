//! All workers of a rehearsal: their turns before and after runs, and their work meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Surroundings;
use super::spec::WorkerSpec;
use super::worker::Worker;
use crate::identifiers::RunNumber;
use crate::observations::{Iteration, WorkerObservation};

/// The workers of a rehearsal, in the file's order.
pub struct Crew {
    surroundings: Surroundings,
    waiting: Vec<WorkerSpec>,
    /// The place in the file of each worker at work.
    working: Vec<(usize, Worker)>,
    order: Vec<crate::identifiers::WorkerName>,
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
        Self { surroundings, waiting: specs, working: Vec::new(), order }
    }

    /// Starts the workers that arrive before this run: they open the sessions that they keep.
    pub async fn start_for(&mut self, run: RunNumber) {
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|spec| spec.from_run <= run);
        self.waiting = later;
        for spec in now {
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

    /// Closes every session.
    pub async fn stop(self) {
        for (_, worker) in self.working {
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
