//! Signals that ask thirdrun to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Waits for SIGINT, SIGTERM or SIGHUP. A second one, while things are being removed, ends the process at
/// once: what is left then is found by `gc` and by the next `check`. `left` says what the interruption leaves.
pub(super) async fn interrupted(left: &str) -> Failure {
    let mut signals = listen();
    next(&mut signals).await;
    tokio::spawn(async move {
        next(&mut signals).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Failure::said(Exit::Interrupted, format!("interrupted; {left}"))
}

/// Hears the signals that come from now on.
pub(super) fn listen() -> Vec<tokio::signal::unix::Signal> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

/// Waits for one of them.
pub(super) async fn next(signals: &mut [tokio::signal::unix::Signal]) {
    std::future::poll_fn(|context| {
        let any = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
