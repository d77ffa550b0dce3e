//! A database of its own for each test, a tap before it, and clients that go through the tap.

use std::any::Any;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Output, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tempfile::TempDir;
use thirdrun::identifiers::DatabaseName;
use thirdrun::postgres::{Endpoint, Server, Session};
use thirdrun::tap::{At, Boundary, Next, Orders, Recording, Seen, Tap};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::time::Instant;

/// A test.
pub struct Trying {
    pub name: &'static str,
    /// What is missing here, if something is.
    pub needs: Option<fn() -> Option<String>>,
    pub run: Box<dyn FnOnce(Stage) -> Running + Send>,
}

pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a [`Trying`] of an async function that takes a stage.
macro_rules! tries {
    ($($test:ident),* $(,)?) => {
        vec![$(crate::stage::Trying {
            name: stringify!($test),
            needs: None,
            run: Box::new(|stage| Box::pin($test(stage))),
        }),*]
    };
}
pub(crate) use tries;

pub struct Stage {
    pub server: Server,
    pub database: DatabaseName,
    pub tap: Tap,
    pub directory: TempDir,
    /// Runs without a boundary of their own are held open after each statement.
    pub held: bool,
}

impl Stage {
    pub async fn set(server: Server, database: &str) -> Self {
        let login = server.superuser_login(&DatabaseName::new("postgres"));
        let root = Session::open(&server.endpoint, &login).await.unwrap();
        root.run(&format!("CREATE DATABASE {database}")).await.unwrap();
        root.close().await;
        let directory = tempfile::tempdir().unwrap();
        let tap = Tap::new(server.endpoint.clone()).unwrap();
        tap.serve_unix(UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap()).unwrap();
        Self { server, database: DatabaseName::new(database), tap, directory, held: false }
    }

    /// Past the tap.
    pub async fn direct(&self) -> Session {
        Session::open(&self.server.endpoint, &self.server.superuser_login(&self.database)).await.unwrap()
    }

    /// Through the tap, by the simple protocol.
    pub async fn session(&self) -> Session {
        Session::open(&self.endpoint(), &self.server.superuser_login(&self.database)).await.unwrap()
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix { directory: self.directory.path().to_owned(), port: 5432 }
    }

    /// A value, as the server has it.
    pub async fn value(&self, sql: &str) -> String {
        let session = self.direct().await;
        let answer = session.run(sql).await.unwrap();
        session.close().await;
        answer.value.flatten().unwrap_or_default()
    }

    pub async fn set_up(&self, sql: &str) {
        let session = self.direct().await;
        session.run(sql).await.unwrap();
        session.close().await;
    }

    /// A program that goes through the tap.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.directory.path())
            .env("PGPORT", "5432")
            .env("PGUSER", self.server.superuser.as_str())
            .env("PGPASSWORD", self.server.password.reveal())
            .env("PGDATABASE", self.database.as_str())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub fn psql(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("psql");
        command.arg("-XqAt").args(arguments);
        command
    }

    /// psql with a script on its standard input.
    pub async fn script(&self, arguments: &[&str], script: &str) -> Output {
        let mut child = self.psql(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(script.as_bytes()).await.unwrap();
        drop(input);
        child.wait_with_output().await.unwrap()
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn begin(&self, mut orders: Orders) {
        if self.held && orders.boundary.is_none() {
            let boundary: Arc<dyn Boundary> = Arc::new(Looks);
            (orders.hold, orders.boundary) = (true, Some(boundary));
        }
        self.tap.begin(orders, Instant::now());
    }

    /// A client of the driver, through the tap.
    pub async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(self.directory.path())
            .port(5432)
            .user(self.server.superuser.as_str())
            .password(self.server.password.reveal())
            .dbname(self.database.as_str())
            .connect(tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

/// Looks at the locks at every boundary.
struct Looks;

impl Boundary for Looks {
    fn reached(&self, _at: At) -> BoxFuture<'_, Next> {
        Box::pin(std::future::ready(Next::Go))
    }

    fn held<'a>(&'a self, at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(async {
            at.ask("SELECT count(*) FROM pg_catalog.pg_locks").await.unwrap();
            Next::Go
        })
    }
}

/// Each statement in a line: text, then tag or code.
pub fn lines(recording: &Recording) -> Vec<String> {
    recording.statements.iter().map(line).collect()
}

pub fn line(seen: &Seen) -> String {
    let end = match (&seen.tag, &seen.sqlstate) {
        (Some(tag), None) => tag.as_str(),
        (None, Some(code)) => code.as_str(),
        (None, None) => "-",
        (Some(_), Some(_)) => "both",
    };
    format!("{} => {end}", seen.text)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}
