//! Milliseconds that reading the state takes, and what follows from it, on 1,500 tables of 20 columns and 30 roles.
//!
//! A rehearsal reads it once before the first run, and then once after each run, which it compares with the reading
//! before: that is what a run costs, "on top". Each reading opens sessions of its own and closes them, since a script
//! may want to drop the database. One more reading before each run shows what one costs that finds nothing new.
//!
//! usage: cargo bench --bench state [-- TABLES]

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Instant;

use thirdrun::identifiers::DatabaseName;
use thirdrun::postgres::{Endpoint, Login, Session};
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::state::{Sessions, Snapshot, Watcher, access_changes, changes};

const ROUNDS: usize = 9;
const ROLES: u64 = 30;

/// A statement, and what a person would call it.
const RUNS: [(&str, &str); 8] = [
    ("nothing changed", "SELECT 1"),
    ("one GRANT", "GRANT TRUNCATE ON t7 TO r3"),
    ("one REVOKE", "REVOKE TRUNCATE ON t7 FROM r3"),
    ("one column more", "ALTER TABLE t8 ADD COLUMN IF NOT EXISTS more int; ALTER TABLE t8 DROP COLUMN more"),
    (
        "one table more",
        "DROP TABLE IF EXISTS extra; CREATE TABLE extra (id serial PRIMARY KEY, note text NOT NULL)",
    ),
    ("one table less", "DROP TABLE extra"),
    ("one table renamed", "ALTER TABLE t9 RENAME TO t9_renamed"),
    ("REVOKE on all tables", "REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM g1"),
];

fn main() {
    let tables = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1500);
    tokio::runtime::Runtime::new().unwrap().block_on(bench(tables));
}

async fn bench(tables: u64) {
    let scope = Scope::create().unwrap();
    let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
    let sandbox = Sandbox::start(&plan, None, &scope, &[]).await.unwrap();
    let server = sandbox.server();
    let login = |database: &str| server.superuser_login(&DatabaseName::new(database));
    let root = Session::open(&server.endpoint, &login("postgres")).await.unwrap();
    root.run("CREATE DATABASE bench").await.unwrap();
    root.close().await;
    let session = Session::open(&server.endpoint, &login("bench")).await.unwrap();
    fill(&session, tables).await;

    let known = || vec!["thirdrun".to_owned()];
    let (mut fulls, mut facts) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        facts = Watcher::new(known()).refresh(&session, false).await.unwrap().facts();
        fulls.push(begun.elapsed().as_secs_f64());
    }
    println!("medians of {ROUNDS} in ms; {tables} tables x 20 columns, {ROLES} login roles, {facts} facts\n");
    let (median, least) = median_and_least(fulls);
    println!("{:<24} {median:>9.1}   at least {least:.1}", "everything");
    println!(
        "\n{:<24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "a run in which", "before", "after", "changes", "access", "on top", "at least", "told"
    );
    let mut watcher = Watcher::new(known());
    watcher.refresh(&session, false).await.unwrap();
    for (name, sql) in RUNS {
        let mut times = [const { Vec::new() }; 5];
        let mut told = 0;
        for _ in 0..ROUNDS {
            // What earlier rounds made was read after them.
            watcher.refresh(&session, false).await.unwrap();
            let begun = Instant::now();
            let before = read(&mut watcher, &server.endpoint, &login("bench")).await;
            let read_before = begun.elapsed().as_secs_f64();
            for statement in sql.split("; ") {
                session.run(statement).await.unwrap();
            }
            let begun = Instant::now();
            let after = read(&mut watcher, &server.endpoint, &login("bench")).await;
            let read_after = begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            told = changes(&before, &after).len().max(told);
            let compared = begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            told = access_changes(&before, &after).len().max(told);
            let access = begun.elapsed().as_secs_f64();
            let on_top = read_after + compared + access;
            for (all, one) in times.iter_mut().zip([read_before, read_after, compared, access, on_top]) {
                all.push(one);
            }
            // As it was, for the next round.
            let again = match name {
                "one table less" => "CREATE TABLE extra (id serial PRIMARY KEY, note text NOT NULL)",
                "one table renamed" => "ALTER TABLE t9_renamed RENAME TO t9",
                "REVOKE on all tables" => "GRANT INSERT ON ALL TABLES IN SCHEMA public TO g1",
                _ => continue,
            };
            session.run(again).await.unwrap();
        }
        let (_, least) = median_and_least(times[4].clone());
        let medians: Vec<_> =
            times.into_iter().map(|times| format!("{:>9.1}", median_and_least(times).0)).collect();
        println!("{name:<24} {} {least:>9.1} {told:>7}", medians.join(" "));
    }
    session.close().await;
    scope.close().await;
}

/// One reading, as a rehearsal does it.
async fn read(watcher: &mut Watcher, endpoint: &Endpoint, login: &Login) -> Arc<Snapshot> {
    let sessions = Sessions::open(endpoint, login, watcher.wants_two_sessions()).await.unwrap();
    let state = watcher.refresh(&sessions, false).await.unwrap();
    sessions.close().await;
    state
}

/// Tables with keys, indexes, checks, triggers, and roles that reach them by memberships.
async fn fill(session: &Session, tables: u64) {
    let columns: Vec<_> = (0..18).map(|column| format!("c{column} text")).collect();
    let mut roles = String::from("CREATE ROLE g1; CREATE ROLE g2; CREATE ROLE g3; GRANT g2 TO g1;");
    for role in 0..ROLES {
        roles.push_str(&format!("CREATE ROLE r{role} LOGIN; GRANT g{} TO r{role};", role % 3 + 1));
    }
    session.run(&roles).await.unwrap();
    session
        .run("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        .await
        .unwrap();
    for first in (0..tables).step_by(50) {
        let mut sql = String::new();
        for table in first..(first + 50).min(tables) {
            let reference = if table == 0 { String::new() } else { format!(" REFERENCES t{}", table - 1) };
            sql.push_str(&format!(
                "CREATE TABLE t{table} (id serial PRIMARY KEY, other int{reference}, {}, CHECK (c0 <> '')); \
                 CREATE INDEX ON t{table} (other); \
                 GRANT SELECT ON t{table} TO g2; GRANT SELECT, INSERT, UPDATE ON t{table} TO g1; GRANT DELETE ON t{table} TO r{};",
                columns.join(", "),
                table % ROLES
            ));
            if table % 5 == 0 {
                sql.push_str(&format!(
                    "CREATE TRIGGER note BEFORE INSERT ON t{table} FOR EACH ROW EXECUTE FUNCTION note(); \
                     CREATE VIEW v{table} AS SELECT id, c1 FROM t{table};"
                ));
            }
        }
        session.run(&sql).await.unwrap();
    }
    session.run("VACUUM ANALYZE").await.unwrap();
}

/// The median and the least, in ms.
fn median_and_least(mut seconds: Vec<f64>) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    (seconds[seconds.len() / 2] * 1000.0, seconds[0] * 1000.0)
}
