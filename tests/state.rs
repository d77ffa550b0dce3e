//! Changes a real server in every way, and sees what is told of it, that reading what was touched gives the same as
//! reading everything, and that what takes a change back does.
//!
//! `THIRDRUN_STATE_POSTGRES=18 cargo test --test state` does it in the image of that version.

// Clippy's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

#[path = "state/access.rs"]
mod access;
#[path = "state/running.rs"]
mod running;

use std::collections::BTreeMap;
use std::sync::Arc;

use thirdrun::identifiers::{DatabaseName, RoleName};
use thirdrun::postgres::Session;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::state::{Change, ChangeKind, Snapshot, Watcher, changes, undo};

const SCHEMA: &str = include_str!("state/schema.sql");
const STATEMENTS: &str = include_str!("state/statements.txt");

async fn sandbox(scope: &Scope) -> Sandbox {
    let major = std::env::var("THIRDRUN_STATE_POSTGRES").ok();
    let plan = SandboxPlan {
        backend: if major.is_some() { BackendChoice::Docker } else { BackendChoice::Local },
        major: major.map(|major| major.parse().unwrap()),
        settings: BTreeMap::from([
            ("max_prepared_transactions".to_owned(), "5".to_owned()),
            ("wal_level".to_owned(), "logical".to_owned()),
        ]),
        bootstrap: RoleName::new("postgres"),
        ..SandboxPlan::default()
    };
    Sandbox::start(&plan, None, scope, &[]).await.unwrap()
}

async fn login(sandbox: &Sandbox, database: &str) -> Session {
    let login = sandbox.server().superuser_login(&DatabaseName::new(database));
    Session::open(&sandbox.server().endpoint, &login).await.unwrap()
}

fn known() -> Vec<String> {
    vec!["thirdrun".to_owned()]
}

async fn full(session: &Session) -> Arc<Snapshot> {
    Watcher::new(known()).refresh(session, false).await.unwrap()
}

/// A statement and what is told of it.
struct Case<'a> {
    versions: &'a str,
    sql: &'a str,
    told: Vec<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let blocks = STATEMENTS.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .map(|block| {
            let mut lines = block.trim().lines().peekable();
            let versions = lines
                .next_if(|line| line.starts_with("-- "))
                .map_or("", |line| line.trim_start_matches("-- "));
            Case { versions, sql: lines.next().unwrap(), told: lines.collect() }
        })
        .collect()
}

fn wanted(versions: &str, major: u32) -> bool {
    match (versions.strip_prefix('<'), versions.strip_suffix('+')) {
        (Some(below), _) => major < below.parse().unwrap(),
        (_, Some(least)) => major >= least.parse().unwrap(),
        _ => true,
    }
}

/// A line that holds for every version, or begins with those that it holds for: `[17+] …`.
fn expected(line: &str, major: u32) -> Option<String> {
    match line.trim().strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((versions, rest)) => wanted(versions, major).then(|| format!("  {rest}")),
        None => Some(line.to_owned()),
    }
}

fn line(change: &Change) -> String {
    let kind = serde_json::to_value(change.kind).unwrap();
    let role = change.role.as_ref().map_or("-", RoleName::as_str);
    let mark = if undo(change).is_some() { "" } else { " [no undo]" };
    let detail = change.detail.replace('\n', " ");
    format!("  {} | {} | {role} | {detail}{mark}", kind.as_str().unwrap(), change.object)
        .trim_end()
        .to_owned()
}

/// Runs statement by statement: some may not stand in a string with others.
async fn run(session: &Session, sql: &str) {
    for statement in if sql.contains("$$") || sql.contains("CREATE OR REPLACE") {
        vec![sql]
    } else {
        sql.split("; ").collect()
    } {
        session.run(statement).await.unwrap_or_else(|failure| panic!("{statement}: {failure:?}"));
    }
}

async fn major(session: &Session) -> u32 {
    let number = session.run("SHOW server_version_num").await.unwrap().value.flatten().unwrap();
    number.parse::<u32>().unwrap() / 10_000
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_can_do_is_what_the_server_says() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let root = login(&sandbox, "postgres").await;
    root.run("CREATE DATABASE access").await.unwrap();
    let session = login(&sandbox, "access").await;
    access::agrees(&session, major(&session).await).await;
    session.close().await;
    root.close().await;
    scope.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_behind_is_told_and_a_candidates_connection_is_left_as_it_was() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let root = login(&sandbox, "postgres").await;
    root.run("CREATE DATABASE running").await.unwrap();
    let session = login(&sandbox, "running").await;
    running::left_behind(&sandbox, &session).await;
    running::on_a_candidates_connection(&sandbox, &session).await;
    session.close().await;
    root.close().await;
    scope.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_and_taken_back() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let root = login(&sandbox, "postgres").await;
    let major = major(&root).await;
    let mut wrong = Vec::new();
    let session = {
        root.run("CREATE DATABASE state").await.unwrap();
        let session = login(&sandbox, "state").await;
        session.run("SET allow_system_table_mods = on").await.unwrap();
        session.run(SCHEMA).await.unwrap();
        session
    };
    let mut watcher = Watcher::new(known());
    for case in cases().iter().filter(|case| wanted(case.versions, major)) {
        let before = watcher.refresh(&session, false).await.unwrap();
        run(&session, case.sql).await;
        let after = watcher.refresh(&session, false).await.unwrap();
        let mut problems = Vec::new();
        if *full(&session).await != *after {
            problems.push("  reading what was touched differs from reading everything".to_owned());
        }
        let found = changes(&before, &after);
        let told: Vec<_> = found.iter().map(line).collect();
        let expected: Vec<_> = case.told.iter().filter_map(|line| expected(line, major)).collect();
        if told != expected {
            problems.extend(told.iter().cloned());
        }
        let all = found.iter().all(|change| undo(change).is_some());
        for change in found.iter().rev().filter(|_| all) {
            for statement in undo(change).unwrap_or_default() {
                if let Err(failure) = session.run(statement).await {
                    problems.push(format!("  undo of {}: {statement}: {failure:?}", change.object));
                }
            }
        }
        if found.iter().any(|change| change.kind == ChangeKind::SettingChanged) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        let undone = watcher.refresh(&session, false).await.unwrap();
        if *full(&session).await != *undone {
            problems
                .push("  after undo: reading what was touched differs from reading everything".to_owned());
        }
        if all {
            let left = changes(&before, &undone);
            let left = left.iter().filter(|change| {
                change.kind != ChangeKind::ObjectRecreated && change.kind != ChangeKind::RoleRecreated
            });
            problems.extend(left.map(|change| format!("  after undo:{}", line(change))));
        }
        if !problems.is_empty() {
            wrong.push(format!("{}\n{}", case.sql, problems.join("\n")));
        }
        if !all {
            // What cannot be taken back would stand in the way of the next.
            session.run("DROP SCHEMA IF EXISTS sales, other CASCADE; DROP PUBLICATION IF EXISTS outside; DROP FOREIGN DATA WRAPPER nothing CASCADE; \
                DROP EVENT TRIGGER IF EXISTS watch; DROP OWNED BY app_owner, app_rw, app_ro, svc_import, svc_export; \
                DROP ROLE IF EXISTS app_owner, app_rw, app_ro, svc_import, svc_export, svc_admin, alone, \"Odd \"\"Role\"; DROP EXTENSION IF EXISTS citext; DROP SCHEMA IF EXISTS sales CASCADE")
                .await
                .unwrap();
            session.run(SCHEMA).await.unwrap();
        }
    }
    session.close().await;
    root.close().await;
    scope.close().await;
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}
