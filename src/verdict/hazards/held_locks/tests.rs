use super::*;
use crate::observations::{Lock, Replay};
use crate::verdict::hazards::sample::of_one_run;

fn statement(index: u32, sql: &str, in_transaction: bool) -> serde_json::Value {
    let tag = sql.split(' ').next();
    serde_json::json!({
        "index": index, "session": 1, "backend": 7, "role": "postgres", "line": index, "file": null, "sql": sql,
        "sent": null, "began_ms": 0.0, "duration_ms": 1.0, "tag": tag, "rows": 3, "sqlstate": null, "message": null,
        "in_transaction": in_transaction,
        "locks": if sql.starts_with("ALTER") {
            serde_json::json!([{ "mode": "AccessExclusiveLock", "object": "public.orders" }])
        } else {
            serde_json::json!([])
        },
        "rewrites": if sql.contains("TYPE") { vec!["public.orders"] } else { vec![] },
        "scans": if sql.contains("items") { vec!["public.items"] } else { vec![] },
    })
}

/// A run of these statements, after which the reader stood where it is held.
fn seen(statements: &[(&str, bool)], stands: bool) -> Rehearsal {
    let statements: Vec<_> =
        statements.iter().zip(1..).map(|((sql, open), index)| statement(index, sql, *open)).collect();
    let mut seen = of_one_run(&serde_json::Value::Null, &statements);
    let size = TableSize { rows: Some(12_000), bytes: 1 << 20 };
    seen.sizes.insert("public.items".to_owned(), size);
    let asked = of_held_locks(&seen);
    seen.replays = asked
        .into_iter()
        .map(|experiment| {
            let lock = Lock { mode: LockMode::AccessShareLock, object: "public.orders".to_owned() };
            let standers = vec![Stander { worker: seen.workers[0].name.clone(), asked: Some(lock) }];
            let held = experiment
                .held
                .iter()
                .filter(|_| stands)
                .map(|after| Held { after: *after, standers: standers.clone() });
            Replay {
                held: held.collect(),
                experiment,
                workers: Vec::new(),
                rerun: None,
                rows: Vec::new(),
                stopped: Vec::new(),
                at_once: None,
                trials: Vec::new(),
            }
        })
        .collect();
    assert_eq!(of_held_locks(&seen), []);
    seen
}

fn told(statements: &[(&str, bool)]) -> Vec<(Option<u32>, String)> {
    found(&seen(statements, true)).into_iter().map(|hazard| (hazard.statement, hazard.message)).collect()
}

#[test]
fn what_goes_through_a_table_is_told_each_by_itself() {
    let told = told(&[
        ("ALTER TABLE public.orders ALTER COLUMN a TYPE bigint", false),
        ("ALTER TABLE public.orders ALTER COLUMN b TYPE bigint", false),
    ]);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].0, Some(2));
    assert!(
        told[1].1.starts_with(
            "reader waits as long as statement 2 (line 2) is under way: it holds AccessExclusiveLock on public.orders, and it \
             writes all of public.orders anew: the more rows there are, the longer it waits. A new column"
        ),
        "{told:?}"
    );
}

#[test]
fn a_lock_is_held_until_the_transaction_ends() {
    let told = told(&[
        ("BEGIN", true),
        ("ALTER TABLE public.orders ADD a int", true),
        ("CREATE INDEX ON public.items (id)", true),
        ("COMMIT", false),
    ]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, Some(2));
    assert!(
        told[0].1.starts_with(
            "reader waits from statement 2 (line 2) on until its transaction ends: it holds AccessExclusiveLock on \
             public.orders, and statement 3 (line 3) reads all of public.items (12,000 rows, 1.00 MiB where it was captured)"
        ),
        "{told:?}"
    );
}

#[test]
fn what_is_short_is_told_once_unless_it_gives_up_by_itself() {
    let short = ("ALTER TABLE public.orders ADD a int", false);
    let twice = told(&[short, short]);
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(twice[0].1.contains("statement 1 (line 1) and 1 more are under way"), "{twice:?}");
    assert_eq!(told(&[("SET lock_timeout = '2s'", false), short]), []);
    assert_eq!(found(&seen(&[short], false)), []);
}

#[test]
fn what_a_run_has_shown_is_no_hazard_any_more() {
    let mut seen = seen(&[("ALTER TABLE public.orders ADD a int", false)], true);
    let wait = |until_ms: f64| crate::observations::LockWait {
        backend: 8,
        application: "reader".to_owned(),
        awaited: None,
        blockers: vec![7],
        blocker_names: vec![],
        from_ms: 0.0,
        until_ms,
        may_since_ms: 0.0,
        may_until_ms: None,
    };
    // The worker stands an outage of 1 ms.
    seen.runs[0].waits = vec![wait(0.5)];
    assert_eq!(found(&seen).len(), 1);
    seen.runs[0].waits = vec![wait(2.0)];
    assert_eq!(found(&seen), []);
}

#[test]
fn what_only_the_planner_reads_as_a_whole_is_short() {
    let told = told(&[
        ("BEGIN", true),
        ("ALTER TABLE public.orders ADD a int", true),
        ("UPDATE public.items SET a = 1 WHERE id = 1", true),
        ("COMMIT", false),
    ]);
    assert!(told[0].1.contains("which is short"), "{told:?}");
}
