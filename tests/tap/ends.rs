//! Ends of connections, and streams that are none.

use std::process::Stdio;
use std::time::Duration;

use thirdrun::postgres::Session;
use thirdrun::tap::Orders;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::stage::{Stage, Trying, lines, text, tries};

pub fn all() -> Vec<Trying> {
    tries![
        a_client_that_is_killed,
        a_backend_that_is_terminated,
        a_login_that_fails,
        what_is_no_protocol,
        a_listener_on_tcp,
        a_server_that_is_not_there,
    ]
}

/// Waits until a query says yes.
pub async fn until(watch: &Session, sql: &str) {
    let begun = std::time::Instant::now();
    while watch.run(sql).await.unwrap().value.flatten().as_deref() != Some("t") {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {sql}");
    }
}

async fn a_client_that_is_killed(stage: Stage) {
    stage.set_up("CREATE TABLE t (a int)").await;
    let watch = stage.direct().await;
    stage.begin(Orders::default());
    // In the midst of a transaction, and idle.
    let mut child = stage.psql(&[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"BEGIN;\nINSERT INTO t VALUES (1);\n").await.unwrap();
    until(&watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'INSERT%' AND datname = current_database()").await;
    child.kill().await.unwrap();
    until(&watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()").await;
    // While a statement runs: the server notices when it writes, as without a tap, not before.
    let mut child = stage.psql(&["-c", "SELECT pg_sleep(0.2), 'asleep'"]).spawn().unwrap();
    until(
        &watch,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%asleep''' AND state = 'active'",
    )
    .await;
    child.kill().await.unwrap();
    until(&watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()").await;
    assert_eq!(
        lines(&stage.tap.end()),
        ["BEGIN => BEGIN", "INSERT INTO t VALUES (1) => INSERT 0 1", "SELECT pg_sleep(0.2), 'asleep' => -"]
    );
    assert!(stage.tap.backends().is_empty());
    watch.close().await;
}

async fn a_backend_that_is_terminated(stage: Stage) {
    let watch = stage.direct().await;
    stage.begin(Orders::default());
    let asking = stage.psql(&["-c", "SELECT pg_sleep(600)"]).output();
    let ending = async {
        until(&watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(6%' AND state = 'active' AND datname = current_database()").await;
        let backends = stage.tap.backends();
        assert_eq!(backends.len(), 1);
        watch.run(&format!("SELECT pg_terminate_backend({})", backends[0])).await.unwrap();
    };
    let (output, ()) = futures_util::future::join(asking, ending).await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("terminating connection due to administrator command"));
    assert_eq!(lines(&stage.tap.end()), ["SELECT pg_sleep(600) => 57P01"]);
    watch.close().await;
}

async fn a_login_that_fails(stage: Stage) {
    stage.begin(Orders::default());
    let output = stage.psql(&["-c", "SELECT 1"]).env("PGPASSWORD", "wrong").output().await.unwrap();
    assert!(text(&output.stderr).contains("password authentication failed"), "{}", text(&output.stderr));
    let output = stage.psql(&["-c", "SELECT 1", "-d", "nowhere"]).output().await.unwrap();
    assert!(text(&output.stderr).contains("does not exist"));
    assert!(stage.tap.end().statements.is_empty());
}

async fn what_is_no_protocol(stage: Stage) {
    stage.begin(Orders::default());
    for nonsense in [
        b"GET / HTTP/1.0\r\n\r\n".as_slice(),
        b"\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\x02\0",
        b"\0\0\0\x09\0\x03\0\0\0Q\0\0\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x08\x04\xd2\x16\x30",
    ] {
        let mut stream = UnixStream::connect(stage.directory.path().join(".s.PGSQL.5432")).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // The server says what it thinks of it, or nothing.
        let _ = stream.read_to_end(&mut answer).await;
    }
    let output = stage.psql(&["-c", "SELECT 1"]).output().await.unwrap();
    assert_eq!(text(&output.stdout), "1\n");
    let recording = stage.tap.end();
    assert_eq!(recording.statements.len(), 1);
    assert!(recording.unreadable >= 3, "{}", recording.unreadable);
}

async fn a_listener_on_tcp(stage: Stage) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    stage.tap.serve_tcp(listener).unwrap();
    stage.begin(Orders::default());
    // With a request for encryption first, as libpq's default is.
    let output = stage.psql(&["-h", "127.0.0.1", "-p", &port, "-c", "SELECT 1"]).output().await.unwrap();
    assert_eq!(text(&output.stdout), "1\n", "{}", text(&output.stderr));
    assert_eq!(lines(&stage.tap.end()), ["SELECT 1 => SELECT 1"]);
}

async fn a_server_that_is_not_there(stage: Stage) {
    let gone = thirdrun::postgres::Endpoint::Unix { directory: "/nowhere".into(), port: 1 };
    let tap = thirdrun::tap::Tap::new(gone).unwrap();
    let path = stage.directory.path().join(".s.PGSQL.1");
    tap.serve_unix(tokio::net::UnixListener::bind(path).unwrap()).unwrap();
    let output = stage.psql(&["-p", "1", "-c", "SELECT 1"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    tap.close().await;
}
