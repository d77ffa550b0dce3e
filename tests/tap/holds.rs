//! What would commit by itself, held open until its boundary is over.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use thirdrun::tap::{At, Boundary, Next, Orders};

use super::stage::{Stage, Trying, lines, text, tries};

pub fn all() -> Vec<Trying> {
    tries![
        locks_are_held_at_the_boundary,
        what_cannot_be_inside_is_done_outside,
        a_query_string_is_held_statement_by_statement,
        what_is_deferred_fails_as_without,
        a_client_that_is_gone_has_committed,
        two_connections_do_not_wait_for_each_other,
    ]
}

/// The locks on tables at each boundary, by the statement, and whether the statement had no transaction of its own.
#[derive(Default)]
struct Locks(Mutex<Vec<(u32, bool, String)>>);

impl Boundary for Locks {
    fn reached(&self, _at: At) -> BoxFuture<'_, Next> {
        Box::pin(std::future::ready(Next::Go))
    }

    fn held<'a>(&'a self, at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(async {
            let sql = "SELECT string_agg(c.relname || ' ' || l.mode, ', ' ORDER BY c.relname, l.mode) FROM pg_locks l \
                       JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() AND l.granted \
                       AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'";
            let rows = at.ask(sql).await.unwrap();
            self.0.lock().unwrap().push((at.index, at.autocommit, rows[0][0].clone().unwrap_or_default()));
            Next::Go
        })
    }
}

impl Stage {
    fn begin_held(&self) -> Arc<Locks> {
        let locks = Arc::new(Locks::default());
        let boundary: Arc<dyn Boundary> = Arc::clone(&locks) as _;
        self.begin(Orders { boundary: Some(boundary), hold: true, ..Orders::default() });
        locks
    }
}

impl Locks {
    fn seen(&self) -> Vec<(u32, bool, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn at(index: u32, autocommit: bool, locks: &str) -> (u32, bool, String) {
    (index, autocommit, locks.to_owned())
}

async fn locks_are_held_at_the_boundary(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int); CREATE TABLE u (a int)").await;
    let locks = stage.begin_held();
    let script = "ALTER TABLE t ADD b int;\nSELECT 1;\nBEGIN;\nLOCK u;\nINSERT INTO t VALUES (1);\nCOMMIT;\n\
                  COPY u FROM stdin;\n1\n\\.\nSELECT count(*) FROM u;\nnonsense;\nSELECT count(*) FROM t;\n";
    let output = stage.script(&[], script).await;
    assert_eq!(text(&output.stdout), "1\n1\n1\n");
    stage.tap.boundaries_done().await;
    let alter = "t AccessExclusiveLock";
    let both = "t RowExclusiveLock, u AccessExclusiveLock";
    assert_eq!(
        locks.seen(),
        [
            at(1, true, alter),
            at(2, true, ""),
            at(4, false, "u AccessExclusiveLock"),
            at(5, false, both),
            at(7, true, "u RowExclusiveLock"),
            at(8, true, "u AccessShareLock"),
            at(10, true, "t AccessShareLock"),
        ]
    );
    let recording = stage.tap.end();
    let open: Vec<_> =
        recording.statements.iter().filter(|seen| seen.in_transaction).map(|seen| seen.index).collect();
    assert_eq!(open, [3, 4, 5]);

    // And by the extended protocol.
    let client = stage.client().await;
    let locks = stage.begin_held();
    client.execute("ALTER TABLE t ADD c int", &[]).await.unwrap();
    client.query("SELECT a + $1 FROM u", &[&1]).await.unwrap();
    client.query("SELECT nothing", &[]).await.unwrap_err();
    client.execute("INSERT INTO u VALUES ($1)", &[&2]).await.unwrap();
    assert_eq!(
        locks.seen(),
        [at(1, true, alter), at(2, true, "u AccessShareLock"), at(4, true, "u RowExclusiveLock")]
    );
    assert!(stage.tap.end().statements.iter().all(|seen| !seen.in_transaction));
    assert_eq!(stage.value("SELECT count(*) FROM u").await, "2");
}

async fn what_cannot_be_inside_is_done_outside(stage: Stage) {
    stage
        .set_up(
            "CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); ROLLBACK; END $$",
        )
        .await;
    let script = "CREATE INDEX CONCURRENTLY i ON t (a);\nREINDEX TABLE CONCURRENTLY t;\nVACUUM t;\nCALL p();\n\
                  DO $$ BEGIN INSERT INTO t VALUES (3); COMMIT; END $$;\nCREATE DATABASE holds;\n\
                  ALTER SYSTEM SET work_mem = '5MB';\nALTER SYSTEM RESET work_mem;\nDROP DATABASE holds;\n\
                  DROP INDEX CONCURRENTLY i;\nLOCK t;\nSAVEPOINT s;\nDISCARD ALL;\nSELECT 'end';\n";
    stage.begin(Orders::default());
    let without = stage.script(&[], script).await;
    let plain = stage.tap.end();
    let rows = "SELECT string_agg(a::text, ' ' ORDER BY a) FROM t";
    assert_eq!(stage.value(rows).await, "1 3");
    stage.set_up("TRUNCATE t").await;

    stage.begin_held();
    let with = stage.script(&[], script).await;
    let held = stage.tap.end();
    assert_eq!((text(&with.stdout), text(&with.stderr)), (text(&without.stdout), text(&without.stderr)));
    assert_eq!(lines(&held), lines(&plain));
    assert_eq!(stage.value(rows).await, "1 3");
    stage.set_up("TRUNCATE t").await;

    // And by the extended protocol.
    let client = stage.client().await;
    stage.begin_held();
    for statement in [
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "VACUUM t",
        "CALL p()",
        "SELECT 1",
        "DROP INDEX CONCURRENTLY i",
    ] {
        client.execute(statement, &[]).await.unwrap();
    }
    assert_eq!(stage.tap.end().statements.len(), 5);
    assert_eq!(stage.value(rows).await, "1");
}

async fn a_query_string_is_held_statement_by_statement(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int); CREATE TABLE u (a int)").await;
    let strings = [
        "INSERT INTO t VALUES (1); ALTER TABLE u ADD é int; SELECT 'x'",
        "INSERT INTO t VALUES (2); SELECT 'é', 1/0; SELECT 'never'",
        "INSERT INTO t VALUES (3); SELECT 'é', nothing; SELECT 'never'",
        "INSERT INTO t VALUES (4); COMMIT; INSERT INTO t VALUES (5); INSERT INTO t VALUES (1/0)",
        "BEGIN; INSERT INTO t VALUES (6)",
        "INSERT INTO t VALUES (7); COMMIT; SELECT 'x'",
        "BEGIN; INSERT INTO t VALUES (8); SELECT 1/0; COMMIT",
        "INSERT INTO t VALUES (9); SELECT 'é', 1 +; SELECT 'never'",
        "SELECT 1; VACUUM t",
        "; ; SELECT 9;",
        "",
    ];
    let mut arguments = vec!["-v", "ON_ERROR_STOP=0"];
    strings.iter().for_each(|string| arguments.extend(["-c", string]));
    stage.begin(Orders::default());
    let without = stage.psql(&arguments).output().await.unwrap();
    let plain = stage.tap.end();
    let rows = "SELECT string_agg(a::text, ' ' ORDER BY a) FROM t";
    let expected = stage.value(rows).await;
    stage.set_up("TRUNCATE t; ALTER TABLE u DROP é").await;

    let locks = stage.begin_held();
    let with = stage.psql(&arguments).output().await.unwrap();
    stage.tap.boundaries_done().await;
    let held = stage.tap.end();
    assert_eq!(text(&with.stdout), text(&without.stdout));
    let errors = |output: &[u8]| -> Vec<String> {
        text(output)
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains('^'))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(errors(&with.stderr), errors(&without.stderr));
    assert_eq!(lines(&held), lines(&plain));
    assert_eq!(stage.value(rows).await, expected);
    let seen = locks.seen();
    let insert = "t RowExclusiveLock";
    assert_eq!(
        seen.get(..3).unwrap(),
        [
            at(1, true, insert),
            at(2, true, "t RowExclusiveLock, u AccessExclusiveLock"),
            at(3, true, "t RowExclusiveLock, u AccessExclusiveLock")
        ]
    );
}

async fn what_is_deferred_fails_as_without(stage: Stage) {
    stage
        .set_up(
            "CREATE TABLE t (a int PRIMARY KEY); \
             CREATE TABLE u (a int REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
    let script =
        "INSERT INTO u VALUES (1);\nSELECT 'on';\nINSERT INTO t VALUES (1);\nINSERT INTO u VALUES (1);\n";
    for held in [false, true] {
        if held {
            stage.begin_held();
        } else {
            stage.begin(Orders::default());
        }
        let output = stage.script(&[], script).await;
        assert_eq!(text(&output.stdout), "on\n");
        assert!(text(&output.stderr).contains("violates foreign key"), "{}", text(&output.stderr));
        let recording = stage.tap.end();
        assert_eq!(
            lines(&recording),
            [
                "INSERT INTO u VALUES (1) => 23503",
                "SELECT 'on' => SELECT 1",
                "INSERT INTO t VALUES (1) => INSERT 0 1",
                "INSERT INTO u VALUES (1) => INSERT 0 1",
            ]
        );
        stage.set_up("TRUNCATE t, u").await;
    }
}

/// A client that does not wait for the answer to its last statement.
async fn a_client_that_is_gone_has_committed(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    stage.begin_held();
    let mut child = stage.psql(&["-c", "INSERT INTO t SELECT 1 FROM pg_sleep(0.5)"]).spawn().unwrap();
    let watch = stage.direct().await;
    super::ends::until(
        &watch,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND wait_event = 'PgSleep'",
    )
    .await;
    child.start_kill().unwrap();
    child.wait().await.unwrap();
    super::ends::until(&watch, "SELECT count(*) = 1 FROM t").await;
}

async fn two_connections_do_not_wait_for_each_other(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    stage.begin_held();
    let (one, two) = (stage.client().await, stage.client().await);
    one.batch_execute("BEGIN; LOCK t").await.unwrap();
    let waits = tokio::spawn(async move { two.batch_execute("ALTER TABLE t ADD b int").await });
    let watch = stage.direct().await;
    super::ends::until(&watch, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        .await;
    one.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    waits.await.unwrap().unwrap();
    assert_eq!(stage.tap.end().statements.len(), 5);
}
