//! The timeline of a run: the script's statements, and under them the iterations of every worker with the locks that
//! they waited for.

use super::super::document::RunEntry;
use super::super::words::milliseconds;

/// One line of it.
pub(super) struct Lane {
    pub(super) label: String,
    pub(super) bars: Vec<Bar>,
}

/// Something that took its time. Both numbers are percents of the whole.
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) left: String,
    pub(super) width: String,
    pub(super) title: String,
}

/// The time that a timeline shows, in milliseconds from the start of the script.
pub(super) fn span(run: &RunEntry) -> (f64, f64) {
    let seen = run.workers.iter().filter_map(|worker| worker.while_running.as_ref());
    let spans: Vec<_> = seen.flat_map(|seen| &seen.timeline).collect();
    let from = spans.iter().map(|span| span.began_ms).fold(0.0, f64::min);
    let until = spans.iter().map(|span| span.ended_ms).fold(run.result.duration_ms, f64::max);
    (from, until)
}

/// The lines of a run; none where nothing was seen.
pub(super) fn lanes(run: &RunEntry, from: f64, until: f64) -> Vec<Lane> {
    let whole = until - from;
    if whole <= 0.0 {
        return Vec::new();
    }
    let bar = |class, began: f64, ended: f64, title: String| Bar {
        class,
        left: format!("{:.2}", (began - from) / whole * 100.0),
        width: format!("{:.2}", (ended - began).max(0.0) / whole * 100.0),
        title,
    };
    let mut script = vec![bar(
        "script",
        0.0,
        run.result.duration_ms,
        format!("the script, {}", milliseconds(run.result.duration_ms)),
    )];
    for one in &run.result.statements {
        let Some(began) = one.began_ms else { continue };
        let took = one.duration_ms.unwrap_or(run.result.duration_ms - began);
        let class = if one.sqlstate.is_some() { "error" } else { "statement" };
        let first = one.sql.lines().next().unwrap_or_default();
        script.push(bar(class, began, began + took, format!("{}: {first}, {took} ms", one.index)));
    }
    let mut lanes = vec![Lane { label: "the script".to_owned(), bars: script }];
    for worker in &run.workers {
        let Some(seen) = &worker.while_running else { continue };
        let mut bars: Vec<Bar> = seen
            .timeline
            .iter()
            .map(|span| {
                let (class, how) = if span.failed { ("fail", "failed") } else { ("ok", "completed") };
                let count =
                    if span.iterations == 1 { String::new() } else { format!("{} ", span.iterations) };
                let took = milliseconds(span.ended_ms - span.began_ms);
                bar(class, span.began_ms, span.ended_ms, format!("{count}{how}, {took}"))
            })
            .collect();
        for wait in run.waits.iter().filter(|wait| wait.who == worker.name.as_str()) {
            let title = format!("waits for a lock of {}", wait.waits_for.join(", "));
            bars.push(bar("wait", wait.from_ms, wait.until_ms, title));
        }
        lanes.push(Lane { label: worker.name.to_string(), bars });
    }
    lanes
}
