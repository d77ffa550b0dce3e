//! Reports of rehearsals that nobody made, for tests.

use serde_json::{Value, json};

use crate::report::Document;

/// A worker after a run: its name, its status, and the SQLSTATE of what fails.
pub(super) type Seen<'a> = (&'a str, &'a str, Option<&'a str>);

fn worker((name, status, code): Seen<'_>) -> Value {
    let session = |ok: bool| {
        json!({
            "ok": ok, "sqlstate": if ok { None } else { code }, "message": if ok { None } else { Some("no") },
            "detail": null, "step": null, "step_text": null, "reopened": false,
        })
    };
    json!({
        "name": name, "role": "svc", "status": status, "while_running": null,
        "existing_session": session(status != "broken"),
        "new_session": session(status == "ok" || status == "disrupted"),
        "cause": null, "repair": null,
    })
}

/// A report of runs: how each script ended, and every worker after it.
pub(super) fn document(runs: &[(&str, &[Seen<'_>])]) -> Document {
    let run = |(at, (result, workers)): (usize, &(&str, &[Seen<'_>]))| {
        json!({
            "run": at + 1, "script": "s.sql", "role": "postgres", "changes": [], "server_gone": null,
            "workers": workers.iter().copied().map(worker).collect::<Vec<_>>(),
            "result": {
                "status": result, "exit_code": 0, "signal": null, "may_fail": true, "duration_ms": 1.0,
                "output_tail": "", "output_truncated": false, "errors": [], "statements": [],
            },
        })
    };
    let value = json!({
        "report_version": 1, "thirdrun": "0.1.0", "verdict": "fail", "reasons": [],
        "sandbox": {
            "backend": "local", "postgres": "17.2", "image": null, "isolation": "", "ready_ms": 1.0,
            "seed_cached": false,
        },
        "clone": { "tables": 0, "roles": 0, "rows": 0, "tables_without_rows": [], "skipped": [] },
        "baseline": { "workers": [] }, "settled": null, "hazards": [],
        "runs": runs.iter().enumerate().map(run).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).unwrap()
}
