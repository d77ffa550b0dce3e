//! Real clients as candidates: what they send is recorded, and what breaks a worker is found among it.
//!
//! They need programs that `tests/prepare test` installs; without them, and in Docker, whose images here have none, they
//! are ignored.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::support::{Backend, IMPORTER, READER, Rehearsal, entries, same};

type Test = fn() -> Result<(), Failed>;

/// A test, and the program that it needs.
pub const TESTS: &[(&str, &str, Test)] = &[
    ("clients::alembic", "alembic", alembic),
    ("clients::django", "django-admin", django),
    ("clients::sqitch", "sqitch", sqitch),
    ("clients::psycopg_in_pipelines_and_on_two_connections", "python", psycopg),
    ("clients::many_short_connections", "python", short_connections),
];

/// Where a program is, if it is here.
pub fn program(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/bin").join(name);
    let installed = Path::new("/usr/bin").join(name);
    // The system's Python has no drivers.
    let places = if name == "python" { vec![own] } else { vec![own, installed] };
    places.into_iter().find(|path| path.exists())
}

/// A rehearsal in whose directory a client's files are, and a script that starts it.
fn rehearsal(client: &str, script: &str) -> Result<Rehearsal, Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients").join(client);
    copy(&files, &files, &rehearsal)?;
    rehearsal.file("run.sh", &format!("#!/bin/sh\nset -e\n{script}\n"));
    // Programs of root's run as another user, who may read everything only where that is needed for the directory of
    // the script; this checkout may be where only root comes to, too.
    std::fs::set_permissions(rehearsal.path("."), std::fs::Permissions::from_mode(0o700))?;
    Ok(rehearsal)
}

fn copy(root: &Path, directory: &Path, rehearsal: &Rehearsal) -> Result<(), Failed> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            copy(root, &path, rehearsal)?;
        } else {
            let name = path.strip_prefix(root)?.display().to_string();
            rehearsal.file(&name, &std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn path_of(name: &str) -> String {
    program(name).map(|path| path.display().to_string()).unwrap_or_default()
}

/// The first entry of a worker that has a cause.
fn broken<'a>(report: &'a Value, worker: &'a str) -> Result<&'a Value, Failed> {
    entries(report, worker)
        .find(|entry| !entry["cause"].is_null())
        .ok_or_else(|| format!("{worker} has no cause: {report:#}").into())
}

fn caused(entry: &Value, sql: &str, repair: &str) -> Result<(), Failed> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    same("the guilty statement", text(&entry["cause"]["sql"]).as_str(), sql)?;
    same("its run", entry["cause"]["run"].as_u64(), Some(1))?;
    same("the proof", text(&entry["cause"]["proof"]).as_str(), "without_it")?;
    same("the repair", text(&entry["repair"]["sql"]).as_str(), repair)?;
    same("tried", entry["repair"]["verified"].as_bool(), Some(true))
}

/// The texts of a run's statements, in order, on one line each.
fn statements(report: &Value, run: usize) -> Vec<String> {
    let all = report["runs"][run]["result"]["statements"].as_array().into_iter().flatten();
    all.map(|one| one["sql"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn in_order(statements: &[String], wanted: &[&str]) -> Result<(), Failed> {
    let mut all = statements.iter();
    for sql in wanted {
        if !all.any(|one| one == sql) {
            return Err(format!("{sql} is not there, or not in this order: {statements:#?}").into());
        }
    }
    Ok(())
}

fn alembic() -> Result<(), Failed> {
    let rehearsal =
        rehearsal("alembic", &format!("exec {} -c alembic.ini upgrade head", path_of("alembic")))?;
    let report = rehearsal.report(Backend::Local, &["run.sh", "--runs", "2"], 1)?;
    in_order(
        &statements(&report, 0),
        &[
            "ALTER TABLE orders ADD COLUMN note TEXT",
            "INSERT INTO alembic_version (version_num) VALUES ('a1') RETURNING alembic_version.version_num",
            "COMMIT",
            "BEGIN",
            "UPDATE orders SET note = $1::VARCHAR WHERE note IS NULL",
            "ALTER TABLE orders ALTER COLUMN note SET NOT NULL",
            "CREATE INDEX notes_body ON notes (body)",
            "COMMIT",
        ],
    )?;
    let entry = broken(&report, "importer")?;
    caused(
        entry,
        "ALTER TABLE orders ALTER COLUMN note SET NOT NULL",
        "ALTER TABLE public.orders ALTER COLUMN note DROP NOT NULL;",
    )?;
    // A second upgrade finds nothing to do.
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))
}

fn django() -> Result<(), Failed> {
    let manage = format!("DJANGO_SETTINGS_MODULE=settings exec {} -m django", path_of("python"));
    let rehearsal = rehearsal("django", &format!("{manage} migrate --no-input"))?;
    let report = rehearsal.report(Backend::Local, &["run.sh", "--runs", "2"], 1)?;
    in_order(
        &statements(&report, 0),
        &[
            "ALTER TABLE \"orders\" ADD COLUMN \"source\" text NULL",
            "ALTER TABLE \"orders\" RENAME COLUMN \"total\" TO \"amount\"",
            "CREATE INDEX \"orders_source\" ON \"orders\" (\"source\")",
        ],
    )?;
    let entry = broken(&report, "importer")?;
    caused(
        entry,
        "ALTER TABLE \"orders\" RENAME COLUMN \"total\" TO \"amount\"",
        "ALTER TABLE public.orders RENAME COLUMN amount TO total;",
    )?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))
}

fn sqitch() -> Result<(), Failed> {
    let rehearsal = rehearsal("sqitch", &format!("exec {} deploy db:pg:", path_of("sqitch")))?;
    let report = rehearsal.report(Backend::Local, &["run.sh", "--runs", "2"], 1)?;
    // Each change is deployed by a psql of its own, beside the connection that keeps the books.
    in_order(
        &statements(&report, 0),
        &[
            "LOCK TABLE changes IN EXCLUSIVE MODE",
            "CREATE TABLE public.notes (id int)",
            "CREATE TABLE public.orders_new (LIKE public.orders INCLUDING ALL)",
            "DROP TABLE public.orders",
            "ALTER TABLE public.orders_new RENAME TO orders",
            "CREATE TABLE public.audit (id int)",
        ],
    )?;
    let entry = broken(&report, "importer")?;
    // The new table has the old one's rows, but its numbers begin with 1.
    caused(
        entry,
        "DROP TABLE public.orders",
        "GRANT INSERT ON public.orders TO svc_import;\n\
         SELECT setval(pg_get_serial_sequence('public.orders', 'id'), (SELECT max(id) FROM public.orders));",
    )?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))
}

fn psycopg() -> Result<(), Failed> {
    let rehearsal = rehearsal("psycopg", &format!("exec {} load.py", path_of("python")))?;
    let report = rehearsal.report(Backend::Local, &["run.sh", "--runs", "2"], 1)?;
    let all = report["runs"][0]["result"]["statements"].as_array().cloned().unwrap_or_default();
    let seen: Vec<_> = all
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (one["session"].as_u64().unwrap_or_default(), text("sql"), one["rows"].as_u64(), text("sqlstate"))
        })
        .collect();
    let seen: Vec<_> =
        seen.iter().map(|(at, sql, rows, code)| (*at, sql.as_str(), *rows, code.as_str())).collect();
    same(
        "the statements",
        seen,
        vec![
            (1, "SELECT count(*) FROM public.orders WHERE total > $1", Some(1), ""),
            (2, "BEGIN", None, ""),
            (2, "CREATE TABLE public.loaded (id int, body text)", None, ""),
            (2, "COPY public.loaded FROM STDIN", Some(3), ""),
            (2, "COMMIT", None, ""),
            (2, "BEGIN", None, ""),
            (2, "UPDATE public.loaded SET body = $1 WHERE id = $2", Some(1), ""),
            (2, "REVOKE SELECT ON public.orders FROM svc_reader", None, ""),
            (2, "SELECT 1", Some(1), ""),
            (2, "COMMIT", None, ""),
            (1, "SELECT * FROM public.nothing_there", None, "42P01"),
            (1, "CREATE TABLE IF NOT EXISTS public.last (id int)", None, ""),
        ],
    )?;
    let changes = report["runs"][0]["changes"].as_array().cloned().unwrap_or_default();
    let made_by = |kind: &str| {
        changes
            .iter()
            .filter(|one| one["kind"] == kind)
            .map(|one| one["statement"].as_u64())
            .collect::<Vec<_>>()
    };
    same("who made the tables", made_by("object_created"), vec![Some(3), Some(12)])?;
    same("who took the privilege", made_by("privilege_lost"), vec![Some(8)])?;
    let entry = broken(&report, "reader")?;
    caused(
        entry,
        "REVOKE SELECT ON public.orders FROM svc_reader",
        "GRANT SELECT ON public.orders TO svc_reader;",
    )?;
    // It exits with 1 since its table is there already.
    let failed = report["reasons"].as_array().into_iter().flatten();
    let failed: Vec<_> =
        failed.filter(|one| one["kind"] == "script_failed").map(|one| one["run"].as_u64()).collect();
    same("failed", failed, vec![Some(2)])
}

fn short_connections() -> Result<(), Failed> {
    let rehearsal = rehearsal("psycopg", &format!("exec {} short.py", path_of("python")))?;
    let report = rehearsal.report(Backend::Local, &["run.sh", "--runs", "1"], 1)?;
    let all = statements(&report, 0);
    same("short ones", all.iter().filter(|sql| *sql == "SELECT $1::int").count(), 200)?;
    same("the one that was lost", all.iter().filter(|sql| *sql == "SELECT pg_sleep(600)").count(), 1)?;
    caused(
        broken(&report, "reader")?,
        "REVOKE SELECT ON public.orders FROM svc_reader",
        "GRANT SELECT ON public.orders TO svc_reader;",
    )
}
