//! Rows a second of thirdrun's filling, against COPY of the same rows from ready files, side by side in one run.
//!
//! usage: cargo bench --bench rows [-- SIZE...]     rows a table; without: 10 1000 100000

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt as _;
use thirdrun::identifiers::DatabaseName;
use thirdrun::postgres::Session;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::seed::rows::{RowsPlan, fill};

const SCHEMA: &str = include_str!("rows.sql");
const SIZES: [u64; 3] = [10, 1000, 100_000];
/// What COPY is given, too: the settings of thirdrun's own session.
const BEGIN: &str = "BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off";

fn main() {
    let sizes: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes: Vec<u64> = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    tokio::runtime::Runtime::new().unwrap().block_on(bench(&sizes));
}

async fn bench(sizes: &[u64]) {
    let scope = Scope::create().unwrap();
    let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
    let sandbox = Sandbox::start(&plan, None, &scope, &[]).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    println!(
        "medians; rows a second in thousands; ratio: filling against COPY on an open session, and against psql\n"
    );
    println!(
        "{:>10} {:>8} {:>10} {:>10} {:>10} {:>8} {:>8}",
        "rows/table", "rounds", "fill", "COPY", "psql", "ratio", "(psql)"
    );
    for (measured, rows) in sizes.iter().enumerate() {
        let rounds = match rows {
            0..=100 => 15,
            101..=10_000 => 7,
            _ => 3,
        };
        let (mut fills, mut copies, mut psqls, mut total) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for round in 0..rounds {
            // A size may be measured several times.
            let called = |of: &str| format!("{of}_{measured}_{round}");
            let session = database(&sandbox, &called("fill")).await;
            let plan = RowsPlan { rows: *rows, seed: 1, tables: BTreeMap::new() };
            let begun = Instant::now();
            let filled = fill(session.client(), &plan).await.unwrap();
            fills.push(begun.elapsed().as_secs_f64());
            assert!(filled.without_rows.is_empty(), "{:?}", filled.without_rows);
            total = filled.rows;
            let tables = tables(&session).await;
            if round == 0 {
                for (name, _) in &tables {
                    let query = format!("COPY {name} TO STDOUT");
                    psql(&sandbox, &called("fill"), &["-c", &query, "-o", &file(files.path(), name)]);
                }
            }
            session.close().await;

            let session = database(&sandbox, &called("copy")).await;
            let begun = Instant::now();
            session.run(BEGIN).await.unwrap();
            for (name, columns) in &tables {
                copy(&session, name, columns, &file(files.path(), name)).await;
            }
            session.run("COMMIT").await.unwrap();
            copies.push(begun.elapsed().as_secs_f64());
            session.close().await;

            let name = called("psql");
            database(&sandbox, &name).await.close().await;
            let mut commands = vec!["-c".to_owned(), BEGIN.to_owned()];
            for (table, columns) in &tables {
                let from = file(files.path(), table);
                commands.extend(["-c".to_owned(), format!("\\copy {table} ({columns}) from '{from}'")]);
            }
            commands.extend(["-c".to_owned(), "COMMIT".to_owned()]);
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            let begun = Instant::now();
            psql(&sandbox, &name, &commands);
            psqls.push(begun.elapsed().as_secs_f64());
        }
        let (fill, copy, psql) = (median(fills), median(copies), median(psqls));
        let rate = |seconds: f64| f64::from(u32::try_from(total).unwrap()) / seconds / 1000.0;
        println!(
            "{rows:>10} {rounds:>8} {:>10.1} {:>10.1} {:>10.1} {:>8.2} {:>8.2}",
            rate(fill),
            rate(copy),
            rate(psql),
            copy / fill,
            psql / fill
        );
    }
    scope.close().await;
}

fn file(directory: &Path, table: &str) -> String {
    directory.join(table).display().to_string()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// A session on a new database with the schema.
async fn database(sandbox: &Sandbox, name: &str) -> Session {
    let server = sandbox.server();
    let login = |database: &str| server.superuser_login(&DatabaseName::new(database));
    let root = Session::open(&server.endpoint, &login("postgres")).await.unwrap();
    root.run(&format!("CREATE DATABASE {name}")).await.unwrap();
    root.close().await;
    let session = Session::open(&server.endpoint, &login(name)).await.unwrap();
    session.run(SCHEMA).await.unwrap();
    session
}

/// The tables, each with the columns that COPY takes, in an order that foreign keys do not ask for.
async fn tables(session: &Session) -> Vec<(String, String)> {
    let rows = session
        .client()
        .query(
            "SELECT c.relname::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND a.attgenerated = '' \
             GROUP BY c.relname ORDER BY c.relname",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn copy(session: &Session, table: &str, columns: &str, file: &str) {
    let text = std::fs::read(file).unwrap();
    let statement = format!("COPY {table} ({columns}) FROM STDIN");
    let mut sink = pin!(session.client().copy_in::<_, Bytes>(statement.as_str()).await.unwrap());
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        sink.send(rest.split_to(rest.len().min(64 * 1024))).await.unwrap();
    }
    sink.finish().await.unwrap();
}

fn psql(sandbox: &Sandbox, database: &str, commands: &[&str]) {
    let server = sandbox.server();
    let (host, port) = server.endpoint.host_and_port();
    let status = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &host, "-p", &port.to_string()])
        .args(["-U", server.superuser.as_str(), "-d", database])
        .args(commands)
        .env("PGPASSWORD", server.password.reveal())
        .status()
        .unwrap();
    assert!(status.success());
}
