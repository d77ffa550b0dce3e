//! Statements that are skipped, runs that are cut off, and what happens between two statements.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, TryStreamExt as _};
use thirdrun::postgres::QueryFailure;
use thirdrun::tap::{At, Boundary, Decision, Next, Orders, Recording};
use tokio_postgres::SimpleQueryMessage;

use super::stage::{Stage, Trying, lines, text, tries};

pub fn all() -> Vec<Trying> {
    tries![
        skips_in_psql,
        skips_copies_in_psql,
        skips_in_a_query_string,
        skips_in_the_extended_protocol,
        skips_copies_in_the_extended_protocol,
        skips_what_failed,
        skips_function_calls,
        cuts_before_a_statement,
        cuts_after_a_statement,
        cuts_every_connection_of_the_run,
        holds_the_client_at_a_boundary,
        asks_within_a_transaction,
        asks_leave_the_client_alone,
        boundaries_in_a_pipeline,
        boundaries_after_copies,
        what_a_run_leaves_behind,
    ]
}

/// Skips what holds a word, answered as in a recording, or as made up.
fn skipping(word: &'static str, recording: Option<&Recording>) -> Orders {
    let known: HashMap<(String, u32), Bytes> = recording
        .iter()
        .flat_map(|recording| &recording.statements)
        .filter_map(|seen| Some(((seen.text.clone(), seen.occurrence), seen.response.clone()?)))
        .collect();
    Orders {
        decide: Some(Arc::new(move |coming| {
            if coming.text.contains(word) {
                Decision::Skip(known.get(&(coming.text.to_owned(), coming.occurrence)).cloned())
            } else {
                Decision::Pass
            }
        })),
        ..Orders::default()
    }
}

async fn skips_in_psql(stage: Stage) {
    let script = "SELECT 'a' AS skip;\nSELECT 'b';\nCREATE TABLE skip (a int);\nSELECT 'c';\n\
                  BEGIN;\nSELECT 'skip', 1;\nSELECT 'd';\nCOMMIT;\n";
    stage.begin(Orders::default());
    let first = stage.script(&[], script).await;
    let recording = stage.tap.end();
    stage.set_up("DROP TABLE skip").await;

    stage.begin(skipping("skip", Some(&recording)));
    let second = stage.script(&[], script).await;
    let again = stage.tap.end();
    assert_eq!(text(&second.stdout), text(&first.stdout));
    assert_eq!(text(&second.stderr), "");
    assert_eq!(lines(&again), lines(&recording));
    let skipped: Vec<_> =
        again.statements.iter().filter(|seen| seen.skipped).map(|seen| seen.index).collect();
    assert_eq!(skipped, [1, 3, 6]);
    let open = |recording: &Recording| -> Vec<bool> {
        recording.statements.iter().map(|seen| seen.in_transaction).collect()
    };
    assert_eq!(open(&again), open(&recording));
    assert_eq!(stage.value("SELECT to_regclass('skip') IS NULL").await, "t");

    stage.begin(skipping("skip", None));
    let third = stage.script(&[], script).await;
    assert_eq!(text(&third.stdout), "b\nc\nd\n");
    assert_eq!(text(&third.stderr), "");
    assert_eq!(stage.tap.end().statements[2].tag.as_deref(), Some("CREATE TABLE"));
}

async fn skips_copies_in_psql(stage: Stage) {
    stage.set_up("CREATE TABLE skip (a int); CREATE TABLE t (a int)").await;
    stage.file("in.txt", "3\n4\n");
    let script = "COPY skip FROM stdin;\n1\n2\n\\.\n\\copy skip from 'in.txt'\nCOPY t FROM stdin;\n1\n\\.\n\
                  COPY skip TO stdout;\n\\copy skip to 'out.txt'\nSELECT 'end';\n";
    stage.begin(Orders::default());
    let first = stage.script(&[], script).await;
    let recording = stage.tap.end();
    assert_eq!(text(&first.stdout), "1\n2\n3\n4\nend\n");
    stage.set_up("TRUNCATE skip, t").await;

    stage.begin(skipping("skip", Some(&recording)));
    let second = stage.script(&[], script).await;
    assert_eq!((text(&second.stdout), text(&second.stderr)), (text(&first.stdout), String::new()));
    assert_eq!(lines(&stage.tap.end()), lines(&recording));
    assert_eq!(
        stage.value("SELECT (SELECT count(*) FROM skip) || ' ' || (SELECT count(*) FROM t)").await,
        "0 1"
    );

    stage.begin(skipping("skip", None));
    let third = stage.script(&[], script).await;
    assert_eq!((text(&third.stdout), text(&third.stderr)), ("end\n".to_owned(), String::new()));
    stage.tap.end();
    assert_eq!(stage.value("SELECT count(*) FROM skip").await, "0");
}

async fn skips_in_a_query_string(stage: Stage) {
    let batch = "SELECT 'skip', 'é'; CREATE TABLE t (a int); SELECT 'skip'; INSERT INTO t VALUES (1) RETURNING a; SELECT 'skip'";
    let client = stage.client().await;
    let told = |messages: Vec<SimpleQueryMessage>| -> Vec<String> {
        messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
                SimpleQueryMessage::CommandComplete(rows) => Some(format!("{rows}")),
                _ => None,
            })
            .collect()
    };
    stage.begin(Orders::default());
    let first = told(client.simple_query(batch).await.unwrap());
    let recording = stage.tap.end();
    client.batch_execute("DROP TABLE t").await.unwrap();
    stage.begin(skipping("skip", Some(&recording)));
    let second = told(client.simple_query(batch).await.unwrap());
    let again = stage.tap.end();
    assert_eq!(second, first);
    assert_eq!(lines(&again), lines(&recording));
    assert_eq!(again.statements.iter().filter(|seen| seen.skipped).count(), 3);

    // All of it, and an error whose place is told right.
    stage.begin(skipping("S", None));
    client.simple_query("SELECT 1; SELECT 2").await.unwrap();
    stage.begin(skipping("skip", None));
    let error = client.simple_query("SELECT 'skip'; SELECT 1; SELECT nothing").await.unwrap_err();
    let position = error.as_db_error().unwrap().position().cloned();
    assert_eq!(position, Some(tokio_postgres::error::ErrorPosition::Original(33)));
    assert_eq!(stage.tap.end().statements[2].position, Some(8));
}

async fn skips_in_the_extended_protocol(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    let mut client = stage.client().await;
    let insert = client.prepare("INSERT INTO t VALUES ($1) RETURNING a /* skip */").await.unwrap();
    let other = client.prepare("INSERT INTO t VALUES ($1) RETURNING a").await.unwrap();
    stage.begin(Orders::default());
    for a in 1..4 {
        assert_eq!(client.query_one(&insert, &[&a]).await.unwrap().get::<_, i32>(0), a);
    }
    let recording = stage.tap.end();
    client.batch_execute("TRUNCATE t").await.unwrap();
    stage.begin(skipping("skip", Some(&recording)));
    let transaction = client.transaction().await.unwrap();
    for a in 1..4 {
        let (skipped, run) = futures_util::future::join(
            transaction.query_one(&insert, &[&a]),
            transaction.query_one(&other, &[&a]),
        )
        .await;
        assert_eq!(skipped.unwrap().get::<_, i32>(0), a);
        assert_eq!(run.unwrap().get::<_, i32>(0), a);
    }
    // Once more than was recorded.
    assert_eq!(transaction.execute(&insert, &[&9]).await.unwrap(), 0);
    transaction.commit().await.unwrap();
    let again = stage.tap.end();
    assert_eq!(again.statements.iter().filter(|seen| seen.skipped).count(), 4);
    assert_eq!(stage.value("SELECT count(*) FROM t").await, "3");
}

async fn skips_copies_in_the_extended_protocol(stage: Stage) {
    stage.set_up("CREATE TABLE skip (a int)").await;
    let client = stage.client().await;
    let work = async || {
        let mut sink = pin!(client.copy_in::<_, Bytes>("COPY skip FROM STDIN").await.unwrap());
        sink.send(Bytes::from("1\n")).await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 1);
        // Given up by the client: a failure in any case.
        drop(client.copy_in::<_, Bytes>("COPY skip FROM STDIN").await.unwrap());
        client.query_one("SELECT 1", &[]).await.unwrap();
        let out = client.copy_out("COPY skip TO STDOUT").await.unwrap();
        let out: Vec<Bytes> = out.try_collect().await.unwrap();
        assert_eq!(out.concat(), b"1\n");
        client.query_one("SELECT 2", &[]).await.unwrap();
    };
    stage.begin(Orders::default());
    work().await;
    let mut recording = stage.tap.end();
    client.batch_execute("TRUNCATE skip").await.unwrap();
    // The second one as if it had gone well: the client gives up again.
    recording.statements[1].response = recording.statements[0].response.clone();
    stage.begin(skipping("skip", Some(&recording)));
    work().await;
    let again = stage.tap.end();
    assert_eq!(lines(&again), lines(&recording));
    assert_eq!(stage.value("SELECT count(*) FROM skip").await, "0");
}

async fn skips_what_failed(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    let script = "SELECT nothing; -- skip\nBEGIN;\nSELECT 'skip'::int;\nINSERT INTO t VALUES (1);\nCOMMIT;\n";
    stage.begin(Orders::default());
    let first = stage.script(&[], script).await;
    let client = stage.client().await;
    client.batch_execute("INSERT INTO t VALUES (2); SELECT 'skip'::int; SELECT 1").await.unwrap_err();
    let prepared = client.prepare("SELECT ('skip' || $1::text)::int").await.unwrap();
    client.query_one(&prepared, &[&""]).await.unwrap_err();
    let recording = stage.tap.end();
    stage.begin(skipping("skip", Some(&recording)));
    let second = stage.script(&[], script).await;
    assert_eq!(text(&second.stderr), text(&first.stderr));
    let error =
        client.batch_execute("INSERT INTO t VALUES (2); SELECT 'skip'::int; SELECT 1").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "22P02");
    let error = client.query_one(&prepared, &[&"or not"]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "22P02");
    client.query_one("SELECT 1", &[]).await.unwrap();
    let again = stage.tap.end();
    assert_eq!(lines(&again)[..lines(&recording).len()], lines(&recording));
    assert_eq!(stage.value("SELECT count(*) FROM t").await, "0");
}

async fn skips_function_calls(stage: Stage) {
    stage.file("in.txt", "large");
    let script = "\\lo_import in.txt\nSELECT count(*) > 0 FROM pg_largeobject;\n";
    stage.begin(Orders::default());
    let first = stage.script(&[], script).await;
    let recording = stage.tap.end();
    assert!(text(&first.stdout).ends_with("t\n"), "{}", text(&first.stdout));
    assert!(lines(&recording).iter().any(|line| line.starts_with("/* function call */")));
    stage.set_up("SELECT lo_unlink(oid) FROM pg_largeobject_metadata").await;
    stage.begin(skipping("function call", Some(&recording)));
    let second = stage.script(&[], script).await;
    assert!(text(&second.stdout).ends_with("f\n"), "{} {}", text(&second.stdout), text(&second.stderr));
}

async fn cuts_before_a_statement(stage: Stage) {
    let orders = || Orders {
        decide: Some(Arc::new(|coming| match coming.text.contains("cut") {
            true => Decision::CutBefore,
            false => Decision::Pass,
        })),
        ..Orders::default()
    };
    stage.begin(orders());
    let script = "CREATE TABLE kept (a int);\nBEGIN;\nCREATE TABLE lost (a int);\nCREATE TABLE cut (a int);\nCOMMIT;\n";
    let output = stage.script(&[], script).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!stage.psql(&["-c", "SELECT 1"]).output().await.unwrap().status.success());
    let recording = stage.tap.end();
    assert_eq!((recording.cut, recording.statements.len()), (Some(4), 3));
    super::ends::until(
        &stage.direct().await,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()",
    )
    .await;
    assert_eq!(
        stage.value("SELECT to_regclass('kept') IS NOT NULL AND to_regclass('lost') IS NULL").await,
        "t"
    );
    assert!(stage.psql(&["-c", "SELECT 1"]).output().await.unwrap().status.success());

    let client = stage.client().await;
    stage.begin(orders());
    client.query_one("SELECT 'to be cut'", &[]).await.unwrap_err();
    assert_eq!(stage.tap.end().cut, Some(1));
}

/// A boundary that is a closure.
struct Between<F>(F);

impl<F> Boundary for Between<F>
where
    F: Fn(At) -> BoxFuture<'static, Next> + Send + Sync,
{
    fn reached(&self, at: At) -> BoxFuture<'_, Next> {
        (self.0)(at)
    }
}

fn between<F>(reached: F) -> Orders
where
    F: Fn(At) -> BoxFuture<'static, Next> + Send + Sync + 'static,
{
    Orders { boundary: Some(Arc::new(Between(reached))), ..Orders::default() }
}

fn cut_after(index: u32) -> Orders {
    between(move |at| Box::pin(async move { if at.index == index { Next::Cut } else { Next::Go } }))
}

async fn cuts_after_a_statement(stage: Stage) {
    stage.begin(cut_after(2));
    let script = "CREATE TABLE one (a int);\nCREATE TABLE two (a int);\nCREATE TABLE three (a int);\n";
    let output = stage.script(&[], script).await;
    assert_eq!(output.status.code(), Some(2));
    let recording = stage.tap.end();
    assert_eq!((recording.cut, recording.statements.len()), (Some(2), 2));
    assert_eq!(
        stage.value("SELECT concat(to_regclass('one'), to_regclass('two'), to_regclass('three'))").await,
        "onetwo"
    );
}

async fn cuts_every_connection_of_the_run(stage: Stage) {
    let before = stage.client().await;
    before.batch_execute("SELECT 1").await.unwrap();
    stage.begin(cut_after(2));
    let (one, two) = (stage.client().await, stage.client().await);
    one.batch_execute("SELECT 1").await.unwrap();
    // Its answer may be lost with it.
    let _ = two.batch_execute("SELECT 2").await;
    one.batch_execute("SELECT 3").await.unwrap_err();
    two.batch_execute("SELECT 4").await.unwrap_err();
    // What an earlier run left behind lives on.
    before.batch_execute("SELECT 5").await.unwrap();
    assert_eq!(stage.tap.end().cut, Some(2));
}

async fn holds_the_client_at_a_boundary(stage: Stage) {
    let (reached, mut boundaries) = tokio::sync::mpsc::unbounded_channel();
    let orders = between(move |at| {
        let reached = reached.clone();
        Box::pin(async move {
            let (go, gone) = tokio::sync::oneshot::channel();
            reached.send((at, go)).unwrap();
            gone.await.unwrap()
        })
    });
    stage.begin(orders);
    let output = stage
        .psql(&[
            "-c",
            "CREATE TABLE one (a int)",
            "-c",
            "BEGIN",
            "-c",
            "CREATE TABLE two (a int)",
            "-c",
            "nonsense",
            "-c",
            "ROLLBACK",
        ])
        .output();
    let output = tokio::spawn(output);
    let watch = stage.direct().await;
    let mut seen = Vec::new();
    for n in 1..=5 {
        let (at, go) = boundaries.recv().await.unwrap();
        let last = "SELECT query FROM pg_stat_activity WHERE pid = ";
        let query = watch.run(&format!("{last}{}", at.backend)).await.unwrap().value.flatten().unwrap();
        seen.push((at.index, char::from(at.status), at.idle, at.tag.unwrap_or_default(), query));
        assert_eq!(at.sqlstate.is_some(), n == 4);
        go.send(Next::Go).unwrap();
    }
    let expected = [
        (1, 'I', true, "CREATE TABLE", "CREATE TABLE one (a int)"),
        (2, 'T', false, "BEGIN", "BEGIN"),
        (3, 'T', true, "CREATE TABLE", "CREATE TABLE two (a int)"),
        (4, 'E', true, "", "nonsense"),
        (5, 'I', true, "ROLLBACK", "ROLLBACK"),
    ];
    let seen: Vec<_> = seen.iter().map(|(a, b, c, d, e)| (*a, *b, *c, d.as_str(), e.as_str())).collect();
    assert_eq!(seen, expected);
    output.await.unwrap().unwrap();
    assert_eq!(stage.tap.end().statements.len(), 5);
    watch.close().await;
}

type Answers = Arc<Mutex<Vec<Result<Vec<Vec<Option<String>>>, QueryFailure>>>>;

/// Asks the same at every boundary.
fn asking(sql: &'static str) -> (Orders, Answers) {
    let answers = Answers::default();
    let kept = Arc::clone(&answers);
    let orders = between(move |at| {
        let kept = Arc::clone(&kept);
        Box::pin(async move {
            let answer = at.ask(sql).await;
            kept.lock().unwrap().push(answer);
            Next::Go
        })
    });
    (orders, answers)
}

async fn asks_within_a_transaction(stage: Stage) {
    let (orders, answers) = asking("SELECT count(*), NULL, current_user FROM t");
    stage.begin(orders);
    let script = "SELECT 1;\nBEGIN;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE t (a int);\n\
                  INSERT INTO t VALUES (1);\nSELECT 2;\nROLLBACK;\n";
    let output = stage.script(&[], script).await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n2\n".to_owned(), String::new()));
    stage.tap.boundaries_done().await;
    let told: Vec<String> = answers
        .lock()
        .unwrap()
        .iter()
        .map(|answer| match answer {
            Ok(rows) => format!("{rows:?}"),
            Err(failure) => failure.sqlstate.to_string(),
        })
        .collect();
    let rows = |n: u32| format!("[[Some(\"{n}\"), None, Some(\"thirdrun\")]]");
    // After what looks at no data, a question would be in the way of SET TRANSACTION.
    assert_eq!(told, ["42P01", "08006", "08006", &rows(0), &rows(1), &rows(1), "42P01"]);
    let tags: Vec<_> = stage.tap.end().statements.into_iter().map(|seen| seen.tag.unwrap()).collect();
    assert_eq!(tags, ["SELECT 1", "BEGIN", "SET", "CREATE TABLE", "INSERT 0 1", "SELECT 1", "ROLLBACK"]);

    // A question that fails does not fail the transaction.
    let (orders, answers) = asking("SELECT 1/0");
    stage.begin(orders);
    let output = stage.script(&[], "BEGIN;\nSELECT 1;\nSELECT 2;\nCOMMIT;\n").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n2\n".to_owned(), String::new()));
    stage.tap.boundaries_done().await;
    let codes = answers
        .lock()
        .unwrap()
        .iter()
        .map(|answer| answer.as_ref().unwrap_err().sqlstate.to_string())
        .collect::<Vec<_>>();
    assert_eq!(codes, ["08006", "22012", "22012", "22012"]);
}

async fn asks_leave_the_client_alone(stage: Stage) {
    let (orders, answers) = asking("SELECT repeat('x', 100000), generate_series(1, 30)");
    let mut client = stage.client().await;
    stage.begin(orders);
    let statement = client.prepare("SELECT $1::int").await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT generate_series(1, 25)", &[]).await.unwrap();
    let mut rows = 0;
    for n in 0..3 {
        rows += transaction.query_portal(&portal, 10).await.unwrap().len();
        assert_eq!(transaction.query_one(&statement, &[&n]).await.unwrap().get::<_, i32>(0), n);
        transaction.batch_execute("LISTEN a; NOTIFY a").await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(rows, 25);
    stage.tap.boundaries_done().await;
    let answers = answers.lock().unwrap();
    let asked = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|rows| rows.len() == 30)).count();
    // Not after BEGIN, not within the query strings; the portal is answered once.
    assert_eq!((asked, answers.len()), (8, 12));
}

async fn boundaries_in_a_pipeline(stage: Stage) {
    let (orders, answers) = asking("SELECT 1");
    let client = stage.client().await;
    let statement = client.prepare("SELECT $1::int").await.unwrap();
    stage.begin(orders);
    let parameters: Vec<i32> = (0..20).collect();
    let all = parameters.iter().map(|n| divided(&client, &statement, n));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all, parameters);
    client.batch_execute("SELECT 1; SELECT 2; SELECT 3").await.unwrap();
    stage.tap.boundaries_done().await;
    assert_eq!(stage.tap.end().statements.len(), 23);
    let answers = answers.lock().unwrap();
    assert_eq!(answers.len(), 23);
    // Not within a query string.
    assert!(answers[20].is_err() && answers[21].is_err() && answers[22].is_ok());
}

async fn divided(client: &tokio_postgres::Client, statement: &tokio_postgres::Statement, n: &i32) -> i32 {
    client.query_one(statement, &[n]).await.unwrap().get(0)
}

async fn boundaries_after_copies(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    let (orders, answers) = asking("SELECT count(*) FROM t");
    stage.begin(orders);
    let script = "COPY t FROM stdin;\n1\n2\n\\.\nCOPY t TO stdout;\nCOPY t FROM stdin;\nx\n\\.\n";
    stage.script(&[], script).await;
    stage.tap.boundaries_done().await;
    let client = stage.client().await;
    for (data, good) in [("3\n", true), ("x\n", false)] {
        let mut sink = pin!(client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.unwrap());
        sink.send(Bytes::from(data)).await.unwrap();
        assert_eq!(sink.finish().await.is_ok(), good);
    }
    // The driver tells an error before the server is ready again.
    while answers.lock().unwrap().len() < 5 {
        tokio::task::yield_now().await;
    }
    let counts: Vec<_> = answers
        .lock()
        .unwrap()
        .iter()
        .map(|answer| answer.as_ref().unwrap()[0][0].clone().unwrap())
        .collect();
    assert_eq!(counts, ["2", "2", "2", "3", "3"]);
}

async fn what_a_run_leaves_behind(stage: Stage) {
    let left = stage.client().await;
    stage.begin(Orders::default());
    left.batch_execute("BEGIN; LOCK TABLE pg_am IN SHARE MODE").await.unwrap();
    let sleeping = tokio::spawn(async move {
        left.batch_execute("SELECT pg_sleep(1)").await.unwrap();
        left.batch_execute("SELECT 'later'").await.unwrap();
        left
    });
    let watch = stage.direct().await;
    super::ends::until(&watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(1)' AND datname = current_database() AND state = 'active'").await;
    let first = stage.tap.end();
    assert_eq!(first.statements.len(), 3);
    assert_eq!(first.statements[2].ended_ms, None);
    // It was sent in the run before: no boundary of this one, and no answer in its recording.
    let (orders, answers) = asking("SELECT 1");
    stage.begin(orders);
    let left = sleeping.await.unwrap();
    stage.tap.boundaries_done().await;
    assert_eq!(stage.tap.backends().len(), 1);
    assert_eq!(lines(&stage.tap.end()), ["SELECT 'later' => SELECT 1"]);
    assert_eq!(answers.lock().unwrap().len(), 1);
    drop(left);
    watch.close().await;
}
