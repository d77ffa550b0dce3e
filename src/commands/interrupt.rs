//! Signals that ask thirdrun to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Waits for SIGINT, SIGTERM or SIGHUP. A second one, while things are being removed, ends the process at
/// once: what is left then is found by `gc` and by the next `check`.
pub(super) async fn interrupted() -> Failure {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    next(&mut signals).await;
    tokio::spawn(async move {
        next(&mut signals).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Failure::said(Exit::Interrupted, "interrupted; the sandbox has been removed")
}

async fn next(signals: &mut [tokio::signal::unix::Signal]) {
    std::future::poll_fn(|context| {
        let any = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
