//! A run that pauses after some of its statements, while every worker is tried: between two transactions as if a client
//! were lost there, or with the transaction open as if the statement took its time. All the points cost one copy.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::stage::Stage;
use crate::failure::Failure;
use crate::observations::{Held, Stopped};
use crate::programs::BoxFuture;
use crate::runs::{self, RunSpec};
use crate::tap::{At, Boundary, Next, Orders};

/// How much longer a script may take that pauses again and again.
const LONGER: Duration = Duration::from_secs(600);

/// Where a run pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// Between two transactions.
    Between,
    /// With the transaction of the statement open.
    Open,
}

/// Pauses after these statements until it is told to go on.
struct Pauses {
    pause: Pause,
    after: Vec<u32>,
    reached: mpsc::UnboundedSender<(u32, oneshot::Sender<()>)>,
}

impl Pauses {
    async fn pause(&self, index: u32) {
        let (go, going) = oneshot::channel();
        if self.after.contains(&index) && self.reached.send((index, go)).is_ok() {
            // It goes on, too, when nobody is there any more.
            let _ = going.await;
        }
    }
}

impl Boundary for Pauses {
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        Box::pin(async move {
            // In the midst of a transaction nobody sees what it has done.
            if self.pause == Pause::Between && at.status == b'I' {
                self.pause(at.index).await;
            }
            Next::Go
        })
    }

    fn held<'a>(&'a self, at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(async move {
            if self.pause == Pause::Open {
                self.pause(at.index).await;
            }
            Next::Go
        })
    }
}

impl Stage<'_> {
    /// Makes a run, and tries every worker at each stop. The workers rest in between.
    pub(super) async fn stopped(&mut self, spec: &RunSpec, after: &[u32]) -> Result<Vec<Stopped>, Failure> {
        let mut stopped = Vec::new();
        self.paused(spec, Pause::Between, after, async |stage, after| {
            stopped.push(Stopped { after, workers: stage.crew.baseline().await });
        })
        .await?;
        Ok(stopped)
    }

    /// Makes a run, and sees after each of these statements which workers stand while its transaction is open.
    pub(super) async fn held(&mut self, spec: &RunSpec, after: &[u32]) -> Result<Vec<Held>, Failure> {
        let watch = self.watch().await?;
        let mut held = Vec::new();
        self.paused(spec, Pause::Open, after, async |stage, after| {
            held.push(Held { after, standers: stage.crew.standers(&watch).await });
        })
        .await?;
        watch.close().await;
        Ok(held)
    }

    async fn paused(
        &mut self,
        spec: &RunSpec,
        pause: Pause,
        after: &[u32],
        mut at: impl AsyncFnMut(&mut Self, u32),
    ) -> Result<(), Failure> {
        let Some(tap) = self.tap.take() else { return Ok(()) };
        self.crew.start_for(spec.number).await;
        let (reached, mut pauses) = mpsc::unbounded_channel();
        let boundary = std::sync::Arc::new(Pauses { pause, after: after.to_vec(), reached });
        let orders = Orders { boundary: Some(boundary), hold: pause == Pause::Open, ..Orders::default() };
        tap.begin(orders, tokio::time::Instant::now());
        let launcher = self.sandbox.launcher();
        let patient = RunSpec { timeout: spec.timeout + LONGER, ..spec.clone() };
        let done = async {
            let result = runs::run(&patient, &self.plan.seed.database, launcher.as_ref()).await;
            // psql does not wait for what follows on its last statement.
            tap.boundaries_done().await;
            result
        };
        let mut done = std::pin::pin!(done);
        let last = after.last().copied();
        let result = loop {
            tokio::select! {
                biased;
                Some((after, go)) = pauses.recv() => {
                    at(self, after).await;
                    if Some(after) == last {
                        // What follows is of no interest, and may have no end.
                        break None;
                    }
                    // The script may have been killed meanwhile.
                    let _ = go.send(());
                }
                result = &mut done => break Some(result),
            }
        };
        tap.end();
        result.transpose().map(drop).map_err(Failure::from)
    }
}
