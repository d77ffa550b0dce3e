//! What a worker waited for while a script ran.

use super::cause::Cause;
use super::explain::list;
use super::search::Proof;
use crate::identifiers::WorkerName;
use crate::observations::{Awaited, LockWait, RunObservation, Statement};

/// Milliseconds for which a worker may have waited for statements of a run's script between these times: what was seen,
/// and the time to the looks before and after, in which it was not.
pub(super) fn held_up_ms(run: &RunObservation, worker: &WorkerName, from_ms: f64, until_ms: f64) -> f64 {
    let mut waits: Vec<(f64, f64)> = run
        .waits
        .iter()
        .filter(|wait| wait.application == worker.as_str())
        .filter(|wait| blocking_statement(run, wait, &mut Vec::new()).is_some())
        .map(|wait| {
            (wait.may_since_ms.max(from_ms), wait.may_until_ms.map_or(until_ms, |end| end.min(until_ms)))
        })
        .collect();
    waits.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    // They may overlap.
    let mut counted = from_ms;
    let mut all = 0.0;
    for (since, until) in waits {
        all += (until - since.max(counted)).max(0.0);
        counted = counted.max(until);
    }
    all
}

/// What a worker waited for while a run's script was at work, if it waited for one of its statements: the longest
/// wait tells.
pub(super) fn held_up(run: &RunObservation, worker: &WorkerName) -> Cause {
    let own = run.waits.iter().filter(|wait| wait.application == worker.as_str());
    let longest = own
        .filter_map(|wait| {
            Some((wait.until_ms - wait.from_ms, blocking_statement(run, wait, &mut Vec::new())?))
        })
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    Cause { run: run.run, statement: longest.map(|(_, statement)| (statement, Proof::WaitedForIt)) }
}

/// The statement of the script that a session waits for, itself or behind others that wait for it.
fn blocking_statement(run: &RunObservation, wait: &LockWait, passed: &mut Vec<i32>) -> Option<u32> {
    passed.push(wait.backend);
    let of_script = wait.blockers.iter().find_map(|blocker| {
        let sent = run.result.statements.iter().filter(|one| one.backend == *blocker);
        let sent: Vec<_> = sent.take_while(|one| one.began_ms <= wait.until_ms).collect();
        Some(holder(&sent, wait.awaited.as_ref()).or(sent.last().copied())?.index)
    });
    if of_script.is_some() {
        return of_script;
    }
    run.waits
        .iter()
        .filter(|other| wait.blockers.contains(&other.backend) && !passed.contains(&other.backend))
        .filter(|other| other.from_ms <= wait.until_ms && wait.from_ms <= other.until_ms)
        .collect::<Vec<_>>()
        .into_iter()
        .find_map(|other| blocking_statement(run, other, passed))
}

/// The statement of a session that has taken what somebody waits for, in the transaction of the last one. It is not known
/// where nobody has seen what statements lock. Advisory locks may outlive transactions (PostgreSQL manual, 13.3.5).
fn holder<'a>(sent: &[&'a Statement], awaited: Option<&Awaited>) -> Option<&'a Statement> {
    let awaited = awaited?;
    let holds = |statement: &&&Statement| statement.locks.iter().any(|lock| awaited.is_behind(lock));
    let (_, before) = sent.split_last()?;
    let own = before.iter().rposition(|one| !one.in_transaction).map_or(0, |ended| ended + 1);
    let from = if awaited.object.starts_with("advisory lock ") { 0 } else { own };
    sent.get(from..)?.iter().find(holds).copied()
}

/// What a worker waited for, as a sentence.
pub(super) fn told(run: &RunObservation, worker: &WorkerName, statement: &Statement) -> String {
    let own = || run.waits.iter().filter(|wait| wait.application == worker.as_str());
    let longest = own().map(|wait| wait.until_ms - wait.from_ms).fold(0.0, f64::max);
    let mut ahead: Vec<&str> = run
        .waits
        .iter()
        .filter(|wait| wait.backend == statement.backend)
        .flat_map(|wait| wait.blocker_names.iter().map(String::as_str))
        .collect();
    ahead.sort_unstable();
    ahead.dedup();
    if !ahead.is_empty() {
        return format!(
            "{worker} waited {longest:.0} ms behind this statement, which was itself waiting for {}: whoever comes after \
             a waiting statement waits too, even if it would not mind who holds the lock.",
            list(&ahead)
        );
    }
    let held = own().filter_map(|wait| wait.awaited.as_ref()).find_map(|awaited| {
        let lock = statement.locks.iter().find(|lock| awaited.is_behind(lock))?;
        Some(match awaited.mode {
            None => format!("rows of {} that this statement holds", awaited.object),
            Some(_) if awaited.object.starts_with("advisory lock ") => {
                format!("{}, which this statement holds", awaited.object)
            }
            Some(_) => format!("{}, on which this statement holds {}", awaited.object, lock.mode),
        })
    });
    let until = if statement.in_transaction { " until its transaction ends" } else { "" };
    match held {
        Some(held) => format!("{worker} waited {longest:.0} ms for {held}{until}."),
        None if continues(run, statement) => format!(
            "{worker} waited {longest:.0} ms for a lock that this statement holds, or one before it in its transaction."
        ),
        None => format!("{worker} waited {longest:.0} ms for a lock that this statement holds."),
    }
}

/// Whether a statement goes on with a transaction that others have begun.
fn continues(run: &RunObservation, statement: &Statement) -> bool {
    let own = run.result.statements.iter().filter(|one| one.session == statement.session);
    own.take_while(|one| one.index < statement.index).last().is_some_and(|one| one.in_transaction)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn who_waits_for_the_script_meanwhile_is_held_up() {
        let json = serde_json::json!({
            "run": 1, "script": "s.sql", "role": "postgres", "may_fail": false,
            "result": {
                "ending": { "exited": 0 }, "duration_ms": 900.0, "output_tail": "", "output_truncated": false,
                "errors": [],
                "statements": [{
                    "index": 1, "session": 1, "backend": 7, "role": "postgres", "line": 1, "file": null,
                    "sql": "LOCK TABLE orders", "sent": null, "began_ms": 100.0, "duration_ms": 1.0, "tag": "LOCK TABLE",
                    "rows": null, "sqlstate": null, "message": null, "in_transaction": true,
                }],
            },
            "waits": [
                { "backend": 8, "application": "w", "blockers": [7], "from_ms": 200.0, "until_ms": 400.0,
                  "may_since_ms": 195.0, "may_until_ms": 405.0 },
                { "backend": 8, "application": "w", "blockers": [7, 6], "from_ms": 405.0, "until_ms": 800.0,
                  "may_since_ms": 400.0, "may_until_ms": null },
                { "backend": 9, "application": "other", "blockers": [99], "from_ms": 200.0, "until_ms": 800.0,
                  "may_since_ms": 195.0, "may_until_ms": null },
            ],
            "workers": [], "server_gone": null,
        });
        let run: RunObservation = serde_json::from_value(json).unwrap();
        let held_up = |who: &str, from: f64, until: f64, wanted: f64| {
            let seen = held_up_ms(&run, &WorkerName::new(who), from, until);
            assert!((seen - wanted).abs() < 1e-9, "{who} {from} {until}: {seen}");
        };
        held_up("w", 0.0, 100.0, 0.0);
        held_up("w", 0.0, 300.0, 105.0);
        // Nobody looked after the last.
        held_up("w", 150.0, 850.0, 655.0);
        // It waits for somebody else.
        held_up("other", 150.0, 850.0, 0.0);
    }

    #[test]
    fn who_took_the_lock_is_named() {
        let statement = |index: u32, sql: &str, lock: Option<(&str, &str)>, in_transaction: bool| {
            let locks: Vec<_> =
                lock.iter().map(|(mode, object)| json!({ "mode": mode, "object": object })).collect();
            json!({
                "index": index, "session": 1, "backend": 7, "role": "postgres", "line": index, "file": null, "sql": sql,
                "sent": null, "began_ms": 10.0 * f64::from(index), "duration_ms": 1.0, "tag": "X", "rows": null,
                "sqlstate": null, "message": null, "in_transaction": in_transaction, "locks": locks,
            })
        };
        let strong = Some(("AccessExclusiveLock", "public.orders"));
        let statements = [
            statement(1, "LOCK TABLE orders", strong, false),
            statement(2, "BEGIN", None, true),
            statement(3, "SELECT FROM orders", Some(("AccessShareLock", "public.orders")), true),
            statement(4, "UPDATE orders", Some(("RowExclusiveLock", "public.orders")), true),
            statement(5, "LOCK TABLE orders", strong, true),
            statement(6, "SELECT pg_advisory_lock(1)", Some(("ExclusiveLock", "advisory lock 1")), true),
            statement(7, "COMMIT", None, false),
            statement(8, "SELECT pg_sleep(9)", None, false),
            statement(9, "SELECT pg_sleep(9)", None, true),
        ];
        let told = |awaited: Value, until_ms: f64| {
            let json = json!({
                "run": 1, "script": "s.sql", "role": "postgres", "may_fail": false,
                "result": {
                    "ending": { "exited": 0 }, "duration_ms": 900.0, "output_tail": "", "output_truncated": false,
                    "errors": [], "statements": statements,
                },
                "waits": [{
                    "backend": 8, "application": "w", "awaited": awaited, "blockers": [7], "from_ms": 0.0,
                    "until_ms": until_ms, "may_since_ms": 0.0, "may_until_ms": null,
                }],
                "workers": [], "server_gone": null,
            });
            let run: RunObservation = serde_json::from_value(json).unwrap();
            let worker = WorkerName::new("w");
            let (index, _) = held_up(&run, &worker).statement.unwrap();
            let statement = run.result.statements.iter().find(|one| one.index == index).unwrap();
            (index, super::told(&run, &worker, statement))
        };
        let orders = |mode: Value| json!({ "mode": mode, "object": "public.orders" });
        let is = |(index, text): (u32, String), wanted: u32, says: &str| {
            assert_eq!(index, wanted, "{text}");
            assert!(text.contains(says), "{text}");
        };
        let behind = "for public.orders, on which this statement holds AccessExclusiveLock until its transaction ends.";
        is(told(orders(json!("AccessShareLock")), 65.0), 5, behind);
        is(told(orders(json!("ShareLock")), 65.0), 4, "holds RowExclusiveLock");
        is(told(orders(Value::Null), 65.0), 4, "for rows of public.orders that this statement holds");
        is(
            told(json!({ "mode": "ExclusiveLock", "object": "advisory lock 1" }), 85.0),
            6,
            "for advisory lock 1, which",
        );
        // Nobody knows what it waits for.
        is(
            told(Value::Null, 65.0),
            6,
            "a lock that this statement holds, or one before it in its transaction",
        );
        is(told(Value::Null, 85.0), 8, "for a lock that this statement holds.");
        is(told(orders(json!("AccessShareLock")), 85.0), 8, "for a lock that this statement holds.");
    }
}
