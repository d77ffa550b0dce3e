//! tokio-postgres: the extended protocol in its forms.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::{SinkExt as _, TryStreamExt as _};
use thirdrun::tap::Orders;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::stage::{Stage, Trying, line, lines, tries};

pub fn all() -> Vec<Trying> {
    tries![
        prepared_statements,
        a_statement_that_cannot_be_prepared,
        pipelined_queries,
        a_portal_in_pieces,
        copies_both_ways,
        a_batch,
        a_cancelled_query,
        notifications,
        what_is_deferred_fails_at_the_end,
        long_messages,
        runs_and_what_is_between,
    ]
}

async fn prepared_statements(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10)").await;
    let client = stage.client().await;
    stage.begin(Orders::default());
    let select = client.prepare("SELECT a FROM t WHERE a > $1").await.unwrap();
    for above in [5, 7] {
        assert_eq!(client.query(&select, &[&above]).await.unwrap().len(), 10 - above as usize);
    }
    client.execute("UPDATE t SET a = a WHERE a = $1", &[&1]).await.unwrap();
    client.execute("INSERT INTO t VALUES ($1 / 0)", &[&1]).await.unwrap_err();
    let recording = stage.tap.end();
    assert_eq!(
        lines(&recording),
        [
            "SELECT a FROM t WHERE a > $1 => SELECT 5",
            "SELECT a FROM t WHERE a > $1 => SELECT 3",
            "UPDATE t SET a = a WHERE a = $1 => UPDATE 1",
            "INSERT INTO t VALUES ($1 / 0) => 22012",
        ]
    );
    let occurrences: Vec<_> = recording.statements.iter().map(|seen| seen.occurrence).collect();
    assert_eq!(occurrences, [1, 2, 1, 1]);
    assert!(recording.statements.iter().all(|seen| !seen.in_transaction && seen.response.is_some()));
}

async fn a_statement_that_cannot_be_prepared(stage: Stage) {
    let client = stage.client().await;
    stage.begin(Orders::default());
    client.query("SELECT nothing", &[]).await.unwrap_err();
    client.query("SELECT 1", &[]).await.unwrap();
    let recording = stage.tap.end();
    assert_eq!(lines(&recording), ["SELECT nothing => 42703", "SELECT 1 => SELECT 1"]);
    assert_eq!(recording.statements[0].position, Some(8));
}

async fn pipelined_queries(stage: Stage) {
    let client = stage.client().await;
    let statements = join_all(
        (0..50).map(|n| client.prepare(Box::leak(format!("SELECT {n} / $1::int").into_boxed_str()))),
    );
    let statements: Vec<_> = statements.await.into_iter().map(Result::unwrap).collect();
    stage.begin(Orders::default());
    let by = |n: usize| i32::from(n % 7 != 3);
    let divisors: Vec<i32> = (0..50).map(by).collect();
    let all = statements.iter().zip(&divisors).map(|(statement, by)| divided(&client, statement, *by));
    let all = join_all(all).await;
    for (n, answer) in all.iter().enumerate() {
        match by(n) {
            0 => assert_eq!(answer.as_ref().unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO)),
            _ => assert_eq!(*answer.as_ref().unwrap(), i32::try_from(n).unwrap()),
        }
    }
    let recording = stage.tap.end();
    let expected: Vec<_> = (0..50)
        .map(|n| format!("SELECT {n} / $1::int => {}", if by(n) == 0 { "22012" } else { "SELECT 1" }))
        .collect();
    assert_eq!(lines(&recording), expected);
}

async fn divided(
    client: &tokio_postgres::Client,
    statement: &tokio_postgres::Statement,
    by: i32,
) -> Result<i32, tokio_postgres::Error> {
    client.query_one(statement, &[&by]).await.map(|row| row.get(0))
}

async fn a_portal_in_pieces(stage: Stage) {
    let mut client = stage.client().await;
    stage.begin(Orders::default());
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT generate_series(1, 25)", &[]).await.unwrap();
    let mut rows = 0;
    for _ in 0..3 {
        rows += transaction.query_portal(&portal, 10).await.unwrap().len();
    }
    transaction.commit().await.unwrap();
    assert_eq!(rows, 25);
    let recording = stage.tap.end();
    assert_eq!(recording.statements.len(), 3, "{:?}", lines(&recording));
    assert_eq!(recording.statements[1].rows, Some(25));
    assert!(recording.statements[1].in_transaction);
    assert!(!recording.statements[2].in_transaction);
}

async fn copies_both_ways(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    let client = stage.client().await;
    stage.begin(Orders::default());
    for (data, good) in [("1\n2\n", true), ("x\n", false), ("3\n", true)] {
        let mut sink = pin!(client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap());
        sink.send(Bytes::from(data)).await.unwrap();
        assert_eq!(sink.finish().await.is_ok(), good);
    }
    // Given up by the client.
    drop(client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap());
    let out: Vec<Bytes> = client.copy_out("COPY t TO STDOUT").await.unwrap().try_collect().await.unwrap();
    assert_eq!(out.concat(), b"1\n2\n3\n");
    client.query_one("SELECT 1", &[]).await.unwrap();
    let recording = stage.tap.end();
    let ends: Vec<_> = recording.statements.iter().map(line).collect();
    assert_eq!(
        ends,
        [
            "COPY t FROM STDIN => COPY 2",
            "COPY t FROM STDIN => 22P02",
            "COPY t FROM STDIN => COPY 1",
            "COPY t FROM STDIN => 57014",
            "COPY t TO STDOUT => COPY 3",
            "SELECT 1 => SELECT 1",
        ]
    );
}

async fn a_batch(stage: Stage) {
    let client = stage.client().await;
    stage.begin(Orders::default());
    let batch = "BEGIN; CREATE TABLE t (a int); COMMIT; INSERT INTO t VALUES (1); SELECT 1/0; SELECT 2";
    client.batch_execute(batch).await.unwrap_err();
    client.batch_execute(" -- nothing\n;").await.unwrap();
    client.batch_execute("").await.unwrap();
    client.batch_execute("SELECT 3;").await.unwrap();
    let recording = stage.tap.end();
    assert_eq!(
        lines(&recording),
        [
            "BEGIN => BEGIN",
            "CREATE TABLE t (a int) => CREATE TABLE",
            "COMMIT => COMMIT",
            "INSERT INTO t VALUES (1) => INSERT 0 1",
            "SELECT 1/0 => 22012",
            "SELECT 3 => SELECT 1",
        ]
    );
    let open: Vec<_> = recording.statements.iter().map(|seen| seen.in_transaction).collect();
    assert_eq!(open, [true, true, false, true, false, false]);
    // The number of what was never reached stays out.
    assert_eq!(recording.statements[5].index, 7);
}

async fn a_cancelled_query(stage: Stage) {
    let client = stage.client().await;
    stage.begin(Orders::default());
    let token = client.cancel_token();
    let asking = client.query_one("SELECT pg_sleep(600)", &[]);
    let cancelling = async {
        let watch = stage.direct().await;
        let busy =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        while watch.run(busy).await.unwrap().value.flatten().as_deref() != Some("1") {}
        token.cancel_query(NoTls).await.unwrap();
        watch.close().await;
    };
    let (answer, ()) = join(asking, cancelling).await;
    assert_eq!(answer.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let recording = stage.tap.end();
    assert_eq!(lines(&recording), ["SELECT pg_sleep(600) => 57014"]);
    assert_eq!(recording.unreadable, 0);
}

async fn notifications(stage: Stage) {
    stage.begin(Orders::default());
    let mut session = stage.session().await;
    session.run("LISTEN news").await.unwrap();
    stage.set_up("NOTIFY news").await;
    assert_eq!(session.next_notification().await.unwrap().channel, "news");
    session.run("NOTIFY news; SELECT 1").await.unwrap();
    assert_eq!(session.next_notification().await.unwrap().channel, "news");
    session.close().await;
    assert_eq!(
        lines(&stage.tap.end()),
        ["LISTEN news => LISTEN", "NOTIFY news => NOTIFY", "SELECT 1 => SELECT 1"]
    );
}

async fn what_is_deferred_fails_at_the_end(stage: Stage) {
    stage
        .set_up("CREATE TABLE t (a int PRIMARY KEY, b int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
        .await;
    let client = stage.client().await;
    let statement = client.prepare("INSERT INTO t VALUES ($1, 99)").await.unwrap();
    stage.begin(Orders::default());
    client.execute(&statement, &[&1]).await.unwrap_err();
    client.batch_execute("INSERT INTO t VALUES (2, 98)").await.unwrap_err();
    assert_eq!(
        lines(&stage.tap.end()),
        ["INSERT INTO t VALUES ($1, 99) => 23503", "INSERT INTO t VALUES (2, 98) => 23503"]
    );
}

async fn long_messages(stage: Stage) {
    let client = stage.client().await;
    stage.begin(Orders::default());
    let row = client.query_one("SELECT repeat('x', 40000000)", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0).len(), 40_000_000);
    // Longer than what is held, and several statements that are not.
    let long = "y".repeat(12 << 20);
    let row = client.query_one("SELECT length($1::text)", &[&long]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 12 << 20);
    client.batch_execute(&format!("SELECT '{long}'; SELECT 1")).await.unwrap();
    let several = format!("SELECT '{}'; SELECT 1", "é".repeat(2 << 20));
    client.batch_execute(&several).await.unwrap();
    client.batch_execute("SELECT 2").await.unwrap();
    let recording = stage.tap.end();
    let tags: Vec<_> = recording.statements.iter().map(|seen| seen.tag.clone().unwrap()).collect();
    assert_eq!(tags, ["SELECT 1"; 6]);
    let cut: Vec<_> = recording.statements.iter().map(|seen| seen.text_truncated).collect();
    assert_eq!(cut, [false, false, true, true, false, false]);
    assert!(recording.statements[0].response.is_none());
    assert!(recording.statements.iter().all(|seen| seen.text.len() <= 1 << 20));
}

async fn runs_and_what_is_between(stage: Stage) {
    let client = stage.client().await;
    client.batch_execute("SELECT 'before'").await.unwrap();
    stage.begin(Orders::default());
    client.batch_execute("SELECT 'first'").await.unwrap();
    let other = stage.client().await;
    other.batch_execute("SELECT 'other'").await.unwrap();
    let mut backends = vec![
        client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0),
        other.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0),
    ];
    let first = stage.tap.end();
    client.batch_execute("SELECT 'between'").await.unwrap();
    stage.begin(Orders::default());
    other.batch_execute("SELECT 'second'").await.unwrap();
    let second = stage.tap.end();
    let told = |recording: &thirdrun::tap::Recording| -> Vec<(u32, u32, i32)> {
        let statements = recording.statements.iter();
        statements.map(|seen| (seen.index, seen.connection, seen.backend)).collect()
    };
    let (one, two) = (backends[0], backends[1]);
    assert_eq!(told(&first), [(1, 1, one), (2, 2, two), (3, 1, one), (4, 2, two)]);
    assert_eq!(told(&second), [(1, 1, two)]);
    backends.sort_unstable();
    assert_eq!(stage.tap.backends(), backends);
    stage.tap.close().await;
    assert!(stage.tap.backends().is_empty());
    client.batch_execute("SELECT 'closed'").await.unwrap_err();
}
