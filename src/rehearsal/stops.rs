//! A run that is stopped between two transactions, while every worker is tried: what a client that is lost there would
//! have left, at the price of one run for all the points.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::stage::Stage;
use crate::failure::Failure;
use crate::observations::Stopped;
use crate::programs::BoxFuture;
use crate::runs::{self, RunSpec};
use crate::tap::{At, Boundary, Next};

/// How much longer a script may take that is stopped again and again.
const LONGER: Duration = Duration::from_secs(600);

/// Stops after these statements until it is told to go on.
struct Stops {
    after: Vec<u32>,
    reached: mpsc::UnboundedSender<(u32, oneshot::Sender<()>)>,
}

impl Boundary for Stops {
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        Box::pin(async move {
            // In the midst of a transaction nobody sees what it has done.
            if self.after.contains(&at.index) && at.status == b'I' {
                let (go, going) = oneshot::channel();
                if self.reached.send((at.index, go)).is_ok() {
                    // It goes on, too, when nobody is there any more.
                    let _ = going.await;
                }
            }
            Next::Go
        })
    }
}

impl Stage<'_> {
    /// Makes a run, and tries every worker at each stop. The workers rest in between.
    pub(super) async fn stopped(&mut self, spec: &RunSpec, after: &[u32]) -> Result<Vec<Stopped>, Failure> {
        let mut stopped = Vec::new();
        let Some(tap) = self.tap.take() else { return Ok(stopped) };
        self.crew.start_for(spec.number).await;
        let (reached, mut stops) = mpsc::unbounded_channel();
        let boundary = std::sync::Arc::new(Stops { after: after.to_vec(), reached });
        let orders = crate::tap::Orders { boundary: Some(boundary), ..crate::tap::Orders::default() };
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
        let result = loop {
            tokio::select! {
                biased;
                Some((after, go)) = stops.recv() => {
                    stopped.push(Stopped { after, workers: self.crew.baseline().await });
                    // The script may have been killed meanwhile.
                    let _ = go.send(());
                }
                result = &mut done => break result,
            }
        };
        tap.end();
        result.map(|_| stopped).map_err(Failure::from)
    }
}
