//! Fills a schema of many kinds on a real server, and asks the server whether everything holds.

// Clippy's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "rows/valid.rs"]
mod valid;

use std::collections::BTreeMap;

use thirdrun::identifiers::{DatabaseName, RoleName};
use thirdrun::postgres::Session;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::seed::rows::{RowsError, RowsFilled, RowsPlan, fill};

const SCHEMA: &str = include_str!("rows/schema.sql");
/// What is hard to keep.
const HARD: &str = include_str!("rows/hard.sql");
const ROWS: u64 = 100;
/// Tables that cannot have the rows wanted, and how many they can have.
const FEWER: &[(&str, u64)] = &[
    ("shop.after_never", 0),
    ("shop.few", 3),
    ("shop.never", 0),
    ("shop.nowhere", 0),
    ("shop.only_one", 1),
    ("shop.yes_no", 2),
];

async fn sandbox(scope: &Scope) -> Sandbox {
    let plan = SandboxPlan {
        backend: BackendChoice::Local,
        major: None,
        image: None,
        packages: Vec::new(),
        postgres_bin: None,
        settings: BTreeMap::new(),
        hba: Vec::new(),
        bootstrap: RoleName::new("postgres"),
        reach: None,
    };
    Sandbox::start(&plan, None, scope, &[]).await.unwrap()
}

async fn login(sandbox: &Sandbox, database: &str) -> Session {
    let login = sandbox.server().superuser_login(&DatabaseName::new(database));
    Session::open(&sandbox.server().endpoint, &login).await.unwrap()
}

/// A session on a new database with the schema.
async fn database(sandbox: &Sandbox, name: &str, schema: &str) -> Session {
    let root = login(sandbox, "postgres").await;
    root.run(&format!("CREATE DATABASE {name}")).await.unwrap();
    root.close().await;
    let session = login(sandbox, name).await;
    session.run(schema).await.unwrap();
    session
}

fn plan(rows: u64, seed: u64) -> RowsPlan {
    RowsPlan { rows, seed, tables: BTreeMap::new() }
}

async fn number(session: &Session, sql: &str) -> u64 {
    session.run(sql).await.unwrap().value.flatten().unwrap().parse().unwrap()
}

/// Every table that rows are put into, as `schema.table` and for SQL.
async fn tables(session: &Session) -> Vec<(String, String)> {
    let rows = session
        .client()
        .query(
            "SELECT n.nspname || '.' || c.relname, pg_catalog.format('%s%I.%I', CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// One hash of all rows of all tables.
async fn content(session: &Session) -> String {
    let mut all = String::new();
    for (label, sql) in tables(session).await {
        let hash = session
            .run(&format!(
                "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {sql} AS t"
            ))
            .await
            .unwrap();
        all.push_str(&format!("{label} {}\n", hash.value.flatten().unwrap()));
    }
    all
}

/// Asks the server whether the rows keep everything.
async fn assert_valid(session: &Session) {
    let violations = valid::violations(session).await;
    assert!(violations.is_empty(), "{violations:#?}");
}

async fn filled(session: &Session, plan: &RowsPlan) -> RowsFilled {
    fill(session.client(), plan).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_gets_rows_that_keep_all_constraints() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let session = database(&sandbox, "one", SCHEMA).await;
    let outcome = filled(&session, &plan(ROWS, 1)).await;
    let fewer: BTreeMap<&str, u64> = FEWER.iter().copied().collect();
    let mut total = 0;
    let mut wrong = Vec::new();
    for (label, sql) in tables(&session).await {
        let count = number(&session, &format!("SELECT count(*) FROM {sql}")).await;
        total += count;
        if count != fewer.get(label.as_str()).copied().unwrap_or(ROWS) {
            wrong.push(format!("{label} {count}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} {:?}", outcome.without_rows);
    assert_eq!(outcome.rows, total);
    let without: Vec<&str> = outcome.without_rows.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(without, ["shop.after_never", "shop.never", "shop.nowhere"]);
    for named in [
        "must reference shop.never, which has none that fit (foreign key after_never_never_id_fkey)",
        "(check never_n_check)",
    ] {
        assert!(
            outcome.without_rows.iter().any(|table| table.reason.contains(named)),
            "{named}: {outcome:?}"
        );
    }
    assert_valid(&session).await;
    assert_eq!(number(&session, "SELECT count(DISTINCT tableoid) FROM shop.events").await, 3);
    assert_eq!(number(&session, "SELECT count(DISTINCT tableoid) FROM shop.measures").await, 2);
    for (table, partitions) in [("logs", 7), ("ages", 3), ("letters", 2), ("flags", 2), ("hashed", 2)] {
        let query = format!("SELECT count(DISTINCT tableoid) FROM shop.{table}");
        assert_eq!(number(&session, &query).await, partitions, "{table}");
    }
    // Triggers that were put to rest are as they were.
    let query = "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'A'";
    assert_eq!(number(&session, query).await, 1);

    // What a worker inserts next does not collide with what is there.
    for sql in [
        "INSERT INTO tenants (slug) VALUES ('brand-new-tenant')",
        "INSERT INTO users (tenant_id, email, login, name) SELECT id, 'x@y.z', 'somebodynew', 'N' FROM tenants LIMIT 1",
        "INSERT INTO shop.events (region, at) VALUES ('us', '2024-01-01')",
        "INSERT INTO shop.shared_a DEFAULT VALUES",
        "INSERT INTO shop.shared_b DEFAULT VALUES",
        "INSERT INTO shop.readings (sensor, day, hashed_id) SELECT sensor, day, hashed_id FROM shop.readings LIMIT 1",
        "INSERT INTO members (team_id) SELECT id FROM teams LIMIT 1",
    ] {
        session.run(sql).await.unwrap();
    }

    // The same seed gives the same rows, another one gives others.
    let twin = database(&sandbox, "two", SCHEMA).await;
    filled(&twin, &plan(ROWS, 1)).await;
    let third = database(&sandbox, "three", SCHEMA).await;
    filled(&third, &plan(ROWS, 1)).await;
    let same = content(&twin).await;
    assert_eq!(same, content(&third).await);
    let other = database(&sandbox, "four", SCHEMA).await;
    filled(&other, &plan(ROWS, 2)).await;
    assert_ne!(same, content(&other).await);
    assert_valid(&other).await;

    // Rows that are there already are neither lost nor repeated.
    filled(&other, &plan(ROWS, 2)).await;
    assert_valid(&other).await;
    assert_eq!(number(&other, "SELECT count(*) FROM users").await, 2 * ROWS);
    scope.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_demands_are_met() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    for rows in [10, 100] {
        let session = database(&sandbox, &format!("hard_{rows}"), HARD).await;
        session.run("RESET search_path").await.unwrap();
        let outcome = filled(&session, &plan(rows, 1)).await;
        assert!(outcome.without_rows.is_empty(), "{:#?}", outcome.without_rows);
        for (label, sql) in tables(&session).await {
            assert!(number(&session, &format!("SELECT count(*) FROM {sql}")).await > 0, "{label}");
        }
        assert_valid(&session).await;
        session.close().await;
    }
    scope.close().await;
}

/// Tables that cannot have a row, each with what must be said of it.
const IMPOSSIBLE: &[(&str, &str, &str)] = &[
    ("one_column", "a int NOT NULL, CONSTRAINT big CHECK (a > 5), CONSTRAINT small CHECK (a < 3)", "big"),
    (
        "circle",
        "a int NOT NULL, b int NOT NULL, CONSTRAINT ab CHECK (a < b), CONSTRAINT ba CHECK (b < a)",
        "ba",
    ),
    (
        "three",
        "a date NOT NULL, b date NOT NULL, c date NOT NULL, CONSTRAINT ab CHECK (a < b), CONSTRAINT bc CHECK (b < c), CONSTRAINT ca CHECK (c < a)",
        "ca",
    ),
    ("by_function", "a text NOT NULL, CONSTRAINT refused CHECK (never(a))", "refused"),
    ("in_plain_words", "a int, CONSTRAINT nothing CHECK (false)", "nothing"),
    ("of_domain", "a impossible NOT NULL", "impossible_check"),
    (
        "texts",
        "a text NOT NULL, CONSTRAINT short CHECK (length(a) < 2), CONSTRAINT long CHECK (length(a) > 4)",
        "long",
    ),
    (
        "lists",
        "a text NOT NULL, CONSTRAINT one CHECK (a IN ('x', 'y')), CONSTRAINT other CHECK (a IN ('z'))",
        "other",
    ),
    (
        "nulls",
        "a int, b int, CONSTRAINT either CHECK (a IS NOT NULL), CONSTRAINT neither CHECK (a IS NULL)",
        "neither",
    ),
    (
        "patterns",
        "a text NOT NULL, CONSTRAINT upper CHECK (a ~ '^[A-Z]+$'), CONSTRAINT lower CHECK (a ~ '^[a-z]+$')",
        "lower",
    ),
    ("sums", "a int NOT NULL, b int NOT NULL, CONSTRAINT sum CHECK (a + b = a + b + 1)", "sum"),
    (
        "closed",
        "a int PRIMARY KEY, b int NOT NULL, CONSTRAINT itself FOREIGN KEY (b) REFERENCES closed, CONSTRAINT other CHECK (a <> b)",
        "itself",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_defeats_a_table_is_named() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let mut schema = String::from(
        "CREATE FUNCTION never(t text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN false; END'; \
         CREATE DOMAIN impossible AS int CONSTRAINT impossible_check CHECK (VALUE > 10 AND VALUE < 5); \
         CREATE EXTENSION btree_gist; \
         CREATE TABLE one_row (a int NOT NULL CHECK (a = 1), EXCLUDE USING gist (a WITH =));",
    );
    for (table, columns, _) in IMPOSSIBLE {
        schema.push_str(&format!("CREATE TABLE {table} ({columns});"));
    }
    let session = database(&sandbox, "impossible", &schema).await;
    let outcome = filled(&session, &plan(10, 1)).await;
    let reasons: BTreeMap<&str, &str> =
        outcome.without_rows.iter().map(|table| (table.table.as_str(), table.reason.as_str())).collect();
    for (table, _, named) in IMPOSSIBLE {
        let reason = reasons.get(format!("public.{table}").as_str()).copied().unwrap_or("it has rows");
        assert!(reason.contains(named), "{table}: {reason}");
    }
    assert_eq!(reasons.len(), IMPOSSIBLE.len());
    assert_eq!(number(&session, "SELECT count(*) FROM one_row").await, 1);
    scope.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_which_tables_get_how_many_rows() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let schema = "CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (a_id int NOT NULL REFERENCES a); \
                  CREATE TABLE c (id int PRIMARY KEY)";
    let session = database(&sandbox, "one", schema).await;
    let nothing = filled(&session, &plan(0, 1)).await;
    assert_eq!((nothing.tables, nothing.rows), (3, 0));
    assert!(nothing.without_rows.is_empty());
    let mut some = plan(0, 1);
    some.tables = BTreeMap::from([("a".to_owned(), 2500), ("public.b".to_owned(), 7)]);
    assert_eq!(filled(&session, &some).await.rows, 2507);
    assert_eq!(number(&session, "SELECT count(*) FROM c").await, 0);
    some.tables = BTreeMap::from([("public.bb".to_owned(), 7)]);
    let error = fill(session.client(), &some).await.unwrap_err();
    assert!(
        matches!(&error, RowsError::NoSuchTable { hint: Some(hint), .. } if hint == "public.b"),
        "{error}"
    );
    // The session is as it was.
    assert_eq!(
        session.run("SHOW session_replication_role").await.unwrap().value.flatten().unwrap(),
        "origin"
    );
    let alone = database(&sandbox, "two", schema).await;
    some.tables = BTreeMap::from([("b".to_owned(), 7)]);
    let outcome = filled(&alone, &some).await;
    assert_eq!(outcome.without_rows.len(), 1);
    assert!(outcome.without_rows[0].reason.contains("must reference"), "{outcome:?}");
    scope.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_in_which_tables_were_made_changes_no_row() {
    let scope = Scope::create().unwrap();
    let sandbox = sandbox(&scope).await;
    let parts = [
        "CREATE TABLE a (id serial PRIMARY KEY, name text UNIQUE, b_id int NOT NULL)",
        "CREATE TABLE b (id serial PRIMARY KEY, email text NOT NULL CHECK (email LIKE '%@%'))",
        "CREATE TABLE c (a_id int, b_id int, n int CHECK (n > 3), PRIMARY KEY (a_id, b_id))",
    ];
    let keys = [
        "ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b_id) REFERENCES b",
        "ALTER TABLE c ADD CONSTRAINT c_a FOREIGN KEY (a_id) REFERENCES a",
        "ALTER TABLE c ADD CONSTRAINT c_b FOREIGN KEY (b_id) REFERENCES b",
        "CREATE UNIQUE INDEX one ON b (email)",
        "CREATE UNIQUE INDEX two ON b (lower(email))",
    ];
    let forth: Vec<&str> = parts.into_iter().chain(keys).collect();
    let back: Vec<&str> = parts.into_iter().rev().chain(keys.into_iter().rev()).collect();
    let one = database(&sandbox, "one", &forth.join(";")).await;
    let two = database(&sandbox, "two", &back.join(";")).await;
    assert_eq!(filled(&one, &plan(ROWS, 1)).await.rows, 3 * ROWS);
    filled(&two, &plan(ROWS, 1)).await;
    assert_eq!(content(&one).await, content(&two).await);
    scope.close().await;
}
