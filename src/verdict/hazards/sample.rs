//! A rehearsal of one run and one worker, for tests.

use serde_json::{Value, json};

use crate::observations::Rehearsal;

/// A run of these statements; after it the reader fails on a new session as `failure` says, if it says something.
pub(super) fn of_one_run(failure: &Value, statements: &[Value]) -> Rehearsal {
    let probe = json!({ "failure": failure, "duration_ms": 1.0, "reopened": false });
    let worker =
        json!({ "name": "reader", "while_running": null, "existing_session": null, "new_session": probe });
    let result = json!({
        "ending": { "exited": 0 }, "duration_ms": 1.0, "output_tail": "", "output_truncated": false, "errors": [],
        "statements": statements,
    });
    let json = json!({
        "sandbox": {
            "backend": "local", "postgres": "17", "image": null, "isolation": "", "ready_ms": 1.0, "seed_cached": false,
        },
        "clone": { "tables": 0, "roles": 0, "rows": 0, "tables_without_rows": [], "skipped": [] },
        "workers": [{ "name": "reader", "role": "svc", "steps": [], "max_outage_ms": 1.0 }],
        "baseline": [],
        "runs": [{
            "run": 1, "script": "s.sql", "role": "postgres", "may_fail": false, "result": result,
            "workers": [worker], "server_gone": null,
        }],
    });
    serde_json::from_value(json).unwrap()
}
