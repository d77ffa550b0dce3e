//! Workers that nobody has written: of what the login roles can do, or have run.

use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::support::{
    Backend, IMPORTER, Outcome, READER, Rehearsal, SCHEMA, VERDICT_ALONE, finish, same, statuses, thirdrun,
};

type Test = (&'static str, fn(Backend) -> Result<(), Failed>);

pub const TESTS: &[Test] = &[
    ("derived::what_is_revoked_from_a_group_breaks_its_member", revoked_from_a_group),
    ("derived::what_nobody_uses_raises_no_alarm", no_alarm),
    ("derived::row_security_hides_rows", row_security),
    ("derived::every_kind_of_object", every_kind),
    ("derived::a_role_that_cannot_log_in_is_named", cannot_log_in),
    ("derived::workers_are_written_down_and_read_again", written_down),
    ("derived::statements_that_roles_have_run", statements),
    ("derived::init_writes_a_file_that_passes", init),
    ("derived::up_shows_what_is_done_by_hand", up),
    ("derived::an_incident_has_the_workers_that_were_derived", saved),
];

/// Those that need the script of pgmq.
pub const QUEUE_TESTS: &[Test] = &[("derived::queues_of_pgmq", queues)];

/// Where `tests/prepare` puts it.
pub fn script_of_pgmq() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pgmq.sql")
}

/// The worker's entry after a run.
fn entry<'a>(report: &'a Value, run: usize, worker: &str) -> Result<&'a Value, Failed> {
    let workers = report["runs"][run - 1]["workers"].as_array();
    let found = workers.into_iter().flatten().find(|one| one["name"] == worker);
    found.ok_or_else(|| format!("no worker {worker} after run {run}").into())
}

/// That a worker is broken after run 1, at a step of this name.
fn breaks_at(report: &Value, worker: &str, step: &str, code: Option<&str>) -> Result<(), Failed> {
    let entry = entry(report, 1, worker)?;
    same("status", entry["status"].as_str(), Some("broken"))?;
    same("code", entry["new_session"]["sqlstate"].as_str(), code)?;
    let text = entry["new_session"]["step_text"].as_str().unwrap_or_default();
    if text.starts_with(&format!("{step}: ")) {
        return Ok(());
    }
    Err(format!("{worker} fails at {text:?}, wanted {step}").into())
}

/// That every worker is well after every run.
fn all_well(report: &Value) -> Result<(), Failed> {
    same("verdict", report["verdict"].as_str(), Some("pass"))?;
    for run in report["runs"].as_array().into_iter().flatten() {
        for worker in run["workers"].as_array().into_iter().flatten() {
            if worker["status"] != "ok" && worker["status"] != "disrupted" {
                return Err(format!("{worker:#}").into());
            }
        }
    }
    Ok(())
}

fn revoked_from_a_group(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal.file("s.sql", "SELECT 1;\nREVOKE INSERT ON orders FROM writers;\n");
    let report = rehearsal.report(backend, &["s.sql"], 1)?;
    breaks_at(&report, "svc_import", "INSERT on public.orders", Some("42501"))?;
    let entry = entry(&report, 1, "svc_import")?;
    same("line", entry["cause"]["line"].as_u64(), Some(2))?;
    same("repair", entry["repair"]["sql"].as_str(), Some("GRANT INSERT ON public.orders TO svc_import;"))?;
    same("the reader", statuses(&report, "svc_reader").first().map(String::as_str), Some("ok"))?;
    same("left out", report["derived"]["left_out"].as_array().map(Vec::len), Some(0))?;
    let human = rehearsal.check(backend, &[&["s.sql"], &VERDICT_ALONE[..]].concat());
    let said = "3 workers of what the login roles can do, with ";
    if human.out.contains(said) { Ok(()) } else { Err(format!("{said:?} is not in\n{}", human.out).into()) }
}

fn no_alarm(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    let script = "
        REVOKE DELETE ON orders FROM svc_reader, writers;
        BEGIN; REVOKE SELECT ON orders FROM svc_reader; GRANT SELECT ON orders TO svc_reader; COMMIT;
        ALTER TABLE orders ADD note text, ALTER total SET DEFAULT 0;
        CREATE INDEX IF NOT EXISTS orders_total ON orders (total);
        ALTER TABLE orders DROP note;
        ANALYZE orders;
    ";
    rehearsal.file("s.sql", script);
    let report = rehearsal.report(backend, &["s.sql"], 0)?;
    all_well(&report)
}

fn row_security(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal
        .file("thirdrun.toml", "[data]\nrows = 5\n")
        .file("s.sql", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;\n");
    let report = rehearsal.verdict(backend, &["s.sql"], 1)?;
    breaks_at(&report, "svc_reader", "SELECT on public.orders", None)?;
    // Its own policies do not bind the owner.
    same("deploy", statuses(&report, "deploy").first().map(String::as_str), Some("ok"))
}

/// One of each, each taken away by a run of its own from a role that has nothing else.
const KINDS: &[(&str, &str, &str)] = &[
    ("a", "EXECUTE on shop.price(integer)", "REVOKE EXECUTE ON FUNCTION shop.price(integer) FROM PUBLIC;"),
    ("b", "nextval of shop.numbers", "REVOKE USAGE ON SEQUENCE shop.numbers FROM b;"),
    ("c", "SELECT on shop.cheap", "REVOKE SELECT ON shop.cheap FROM c;"),
    ("d", "UPDATE on shop.items", "REVOKE UPDATE (price) ON shop.items FROM d;"),
    ("e", "TRUNCATE on shop.items", "REVOKE TRUNCATE ON shop.items FROM e;"),
    ("f", "CREATE, USAGE on the schema shop", "REVOKE CREATE ON SCHEMA shop FROM f;"),
    ("g", "membership in keepers", "REVOKE keepers FROM g;"),
    ("h", "DELETE on shop.items", "REVOKE DELETE ON shop.items FROM h;"),
    ("i", "EXECUTE on shop.tidy()", "REVOKE EXECUTE ON PROCEDURE shop.tidy() FROM PUBLIC;"),
    ("j", "EXECUTE on shop.mark(text)", "DROP FUNCTION shop.mark(text);"),
];

fn every_kind(backend: Backend) -> Result<(), Failed> {
    let roles = "abcdefghij".chars().map(|name| format!("CREATE ROLE {name} LOGIN;\n")).collect::<String>();
    let schema = "
        CREATE SCHEMA shop;
        GRANT USAGE ON SCHEMA shop TO PUBLIC;
        CREATE TABLE shop.items (id int PRIMARY KEY, name text NOT NULL UNIQUE, price numeric CHECK (price > 0));
        CREATE SEQUENCE shop.numbers;
        CREATE VIEW shop.cheap AS SELECT name FROM shop.items WHERE price < 100;
        CREATE FUNCTION shop.price(integer) RETURNS numeric STABLE LANGUAGE sql
            AS 'SELECT price FROM shop.items WHERE id = $1';
        REVOKE EXECUTE ON FUNCTION shop.price(integer) FROM PUBLIC;
        CREATE FUNCTION shop.mark(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE ''never called''; END';
        REVOKE EXECUTE ON FUNCTION shop.mark(text) FROM PUBLIC;
        CREATE PROCEDURE shop.tidy() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
        REVOKE EXECUTE ON PROCEDURE shop.tidy() FROM PUBLIC;
        CREATE ROLE keepers NOINHERIT;
        GRANT SELECT ON shop.items TO a, h;
        GRANT EXECUTE ON FUNCTION shop.price(integer) TO a;
        GRANT USAGE ON SEQUENCE shop.numbers TO b;
        GRANT SELECT ON shop.cheap TO c;
        GRANT UPDATE (price) ON shop.items TO d;
        GRANT TRUNCATE ON shop.items TO e;
        GRANT CREATE, USAGE ON SCHEMA shop TO f;
        GRANT keepers TO g;
        GRANT DELETE ON shop.items TO h;
        GRANT EXECUTE ON PROCEDURE shop.tidy() TO i;
        GRANT EXECUTE ON FUNCTION shop.mark(text) TO j;
    ";
    let script =
        KINDS.iter().map(|(role, _, sql)| sql.replace("FROM PUBLIC", &format!("FROM {role}")) + "\n");
    let rehearsal = Rehearsal::new("");
    rehearsal
        .file("thirdrun.toml", "[data]\nrows = 5\n")
        .file("roles.sql", &roles)
        .file("schema.sql", schema)
        .file("s.sql", &script.collect::<String>());
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1", "--no-replay"], 1)?;
    same("left out", report["derived"]["left_out"].clone(), Value::Array(Vec::new()))?;
    for (role, step, _) in KINDS {
        breaks_at(&report, role, step, entry(&report, 1, role)?["new_session"]["sqlstate"].as_str())?;
    }
    Ok(())
}

fn cannot_log_in(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal
        .file("roles.sql", &format!("{}ALTER ROLE svc_reader CONNECTION LIMIT 0;\n", crate::support::ROLES))
        .file("s.sql", "SELECT 1;\n");
    let report = rehearsal.report(backend, &["s.sql"], 0)?;
    let out = &report["derived"]["left_out"];
    same("left out", out.as_array().map(Vec::len), Some(1))?;
    same("who", out[0]["role"].as_str(), Some("svc_reader"))?;
    same("what", out[0]["what"].as_str(), Some("logging in"))?;
    rehearsal
        .file("roles.sql", "CREATE ROLE shop_owner; CREATE ROLE writers; CREATE ROLE svc_reader;\n")
        .check(backend, &["s.sql"])
        .expect(2, &["there is no worker", "[[worker]]", "--roles"])
        .map(drop)
}

/// Runs a command in the directory of a rehearsal.
fn run(rehearsal: &Rehearsal, backend: Backend, arguments: &[&str]) -> Outcome {
    let mut command = thirdrun();
    command.args(arguments).args(["--backend", &backend.to_string()]).current_dir(rehearsal.directory.path());
    finish(&mut command)
}

fn read(rehearsal: &Rehearsal, name: &str) -> Result<String, Failed> {
    Ok(std::fs::read_to_string(Path::new(rehearsal.directory.path()).join(name))?)
}

fn written_down(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    let said = "3 workers with ";
    run(&rehearsal, backend, &["workers", "--output", "w.toml"])
        .expect(0, &[said, "each of which has worked"])?;
    run(&rehearsal, backend, &["workers", "--output", "w.toml"]).expect(2, &["w.toml exists already"])?;
    let workers = read(&rehearsal, "w.toml")?;
    let printed = run(&rehearsal, backend, &["workers", "--from", ".", "--quiet"]);
    printed.expect(0, &[])?;
    same("what is printed", &printed.out, &workers)?;
    rehearsal
        .file("thirdrun.toml", &format!("[data]\nrows = 0\n{workers}"))
        .file("s.sql", "REVOKE SELECT ON orders FROM svc_reader;\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    breaks_at(&report, "svc_reader", "SELECT on public.orders", Some("42501"))?;
    same("derived", report.get("derived"), None)
}

fn statements(backend: Backend) -> Result<(), Failed> {
    let ran = r#"{"statements": [
        {"role": "svc_import", "query": "SELECT total FROM orders WHERE id = $1 AND total < $2", "calls": 7},
        {"role": "svc_import", "query": "INSERT INTO orders (total) VALUES ($1) RETURNING id", "calls": 5},
        {"role": "svc_import", "query": "SELECT now() - interval $1", "calls": 3},
        {"role": "svc_import", "query": "BEGIN", "calls": 90},
        {"role": "svc_import", "query": "SELECT * FROM gone WHERE a = $1", "calls": 2}]}"#;
    let rehearsal = Rehearsal::new("");
    rehearsal.file("thirdrun.toml", "[data]\nrows = 5\n").file("statements.json", ran);
    let printed = run(&rehearsal, backend, &["workers", "--quiet"]);
    printed.expect(0, &[])?;
    let toml: toml::Value = toml::from_str(&printed.out)?;
    let workers = toml["worker"].as_array().ok_or("no worker")?;
    let import = workers.iter().find(|worker| worker["name"].as_str() == Some("svc_import"));
    let steps = import.and_then(|worker| worker["step"].as_array()).ok_or("no steps")?;
    let texts: Vec<_> = steps.iter().filter_map(|step| step["sql"].as_str()).collect();
    same("steps", texts.len(), 3)?;
    same("rows", steps[0].get("rows").and_then(toml::Value::as_str), Some(">=1"))?;
    if !printed.out.contains(
        "# Left out: statement 4: SELECT * FROM gone WHERE a = $1: relation \"gone\" does not exist",
    ) {
        return Err(printed.out.into());
    }
    // It reads and inserts, and nothing else: what else it may do nobody misses.
    rehearsal.file("s.sql", "GRANT UPDATE ON orders TO writers; REVOKE UPDATE ON orders FROM writers;\n");
    all_well(&rehearsal.report(backend, &["s.sql"], 0)?)?;
    rehearsal.file("s.sql", "ALTER TABLE orders RENAME total TO sum;\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1", "--no-replay"], 1)?;
    breaks_at(&report, "svc_import", "statement 1, 7 calls", Some("42703"))?;
    same("the reader", statuses(&report, "svc_reader").first().map(String::as_str), Some("ok"))
}

fn init(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    std::fs::remove_file(rehearsal.directory.path().join("thirdrun.toml"))?;
    run(&rehearsal, backend, &["init"]).expect(0, &[])?;
    rehearsal.file("s.sql", "SELECT 1;\n");
    all_well(&rehearsal.report(backend, &["s.sql"], 0)?)?;
    run(&rehearsal, backend, &["init"]).expect(2, &["thirdrun.toml exists already"])?;
    let written = read(&rehearsal, "thirdrun.toml")?;
    let schema = run(&rehearsal, backend, &["init", "--schema"]);
    let schema: Value = schema.expect(0, &[])?.json()?;
    same("the JSON Schema's title", schema["title"].as_str(), Some("thirdrun rehearsal file"))?;
    let file: Value = serde_json::to_value(toml::from_str::<toml::Value>(&written)?)?;
    for key in file.as_object().into_iter().flatten().map(|(key, _)| key) {
        if schema["properties"].get(key).is_none() {
            return Err(format!("the JSON Schema does not know {key}").into());
        }
    }
    // Nothing is guessed of several dumps, and without any it says how to make one.
    let other = Rehearsal::new("");
    for name in ["thirdrun.toml", "schema.sql"] {
        std::fs::remove_file(other.directory.path().join(name))?;
    }
    run(&other, backend, &["init"]).expect(2, &["there is no dump of a schema", "pg_dump --schema-only"])?;
    let dump = format!("--\n-- PostgreSQL database dump\n--\n{SCHEMA}");
    other.file("a.sql", &dump).file("b.sql", &dump);
    run(&other, backend, &["init"]).expect(2, &["there are several dumps: a.sql, b.sql"]).map(drop)
}

/// The process, ended with the test.
struct Up(std::process::Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is done by hand shows at once, and Ctrl-C ends it as it should.
fn up(backend: Backend) -> Result<(), Failed> {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Stdio;
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    let mut command = thirdrun();
    command.args(["up", "--backend", &backend.to_string()]).current_dir(rehearsal.directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut up = Up(command.spawn()?);
    let (mut out, err) = match (up.0.stdout.take(), up.0.stderr.take()) {
        (Some(out), Some(err)) => (BufReader::new(out), BufReader::new(err)),
        _ => return Err("no output".into()),
    };
    let mut connect = String::new();
    while !connect.contains("psql") {
        connect.clear();
        if out.read_line(&mut connect)? == 0 {
            return Err("it ended before it said how to connect".into());
        }
    }
    let mut lines = err.lines().map_while(Result::ok);
    let mut until = |wanted: &[&str]| {
        let found = lines.by_ref().find(|line| wanted.iter().all(|part| line.contains(part)));
        found.map(drop).ok_or_else(|| Failed::from(format!("it never said {wanted:?}")))
    };
    until(&["importer", "ok"])?;
    let psql = |sql: &str| {
        let status = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("{} -X -q -c '{sql}'", connect.trim()))
            .status();
        same("psql", status.ok().and_then(|status| status.code()), Some(0))
    };
    psql("REVOKE INSERT ON orders FROM writers")?;
    until(&["importer", "BROKEN", "42501", "INSERT INTO public.orders"])?;
    psql("GRANT INSERT ON orders TO writers")?;
    until(&["importer", "ok"])?;
    let process = rustix::process::Pid::from_raw(up.0.id().cast_signed()).ok_or("no process")?;
    rustix::process::kill_process(process, rustix::process::Signal::INT)?;
    // Nobody may be kept waiting for whoever reads.
    lines.by_ref().for_each(drop);
    out.read_to_string(&mut connect)?;
    same("exit code", up.0.wait()?.code(), Some(0))
}

/// Workers that were derived are in an incident, so that it needs nobody to derive them again.
fn saved(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal.file("s.sql", "REVOKE INSERT ON orders FROM writers;\n");
    let saved = ["s.sql", "--runs", "1", "--save-incident", "i.thirdrun", "--no-replay"];
    rehearsal.check(backend, &saved).expect(1, &[])?;
    run(&rehearsal, backend, &["reproduce", "i.thirdrun", "--no-replay"]).expect(0, &[])?;
    Ok(())
}

fn queues(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}\nDO $$ BEGIN PERFORM pgmq.create('orders'); END $$;\n\
             GRANT USAGE ON SCHEMA pgmq TO producer, consumer;\n\
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgmq TO producer, consumer;\n\
             GRANT SELECT ON pgmq.meta, pgmq.notify_insert_throttle TO producer, consumer;\n\
             GRANT SELECT, INSERT ON pgmq.q_orders TO producer;\n\
             GRANT SELECT, UPDATE, DELETE ON pgmq.q_orders TO consumer;\n\
             GRANT SELECT, INSERT ON pgmq.a_orders TO consumer;\n",
            std::fs::read_to_string(script_of_pgmq())?
        ),
    );
    rehearsal.file("roles.sql", "CREATE ROLE producer LOGIN;\nCREATE ROLE consumer LOGIN;\n");
    rehearsal.file("nothing.sql", "REVOKE TRUNCATE ON pgmq.q_orders FROM producer, consumer;\n");
    let report = rehearsal.report(backend, &["nothing.sql"], 0)?;
    all_well(&report)?;
    same("left out", report["derived"]["left_out"].as_array().map(Vec::len), Some(0))?;
    for (script, worker, step) in [
        ("DROP FUNCTION pgmq.send(text, jsonb)", "producer", "pgmq.send of the queue orders"),
        (
            "DROP FUNCTION pgmq.read(text, integer, integer, jsonb)",
            "consumer",
            "pgmq.read of the queue orders",
        ),
        ("DROP FUNCTION pgmq.pop(text, integer)", "consumer", "pgmq.pop of the queue orders"),
        ("DROP FUNCTION pgmq.delete(text, bigint)", "consumer", "pgmq.delete of the queue orders"),
        ("DROP FUNCTION pgmq.archive(text, bigint)", "consumer", "pgmq.archive of the queue orders"),
    ] {
        rehearsal.file("s.sql", &format!("{script};\n"));
        let report = rehearsal.verdict(backend, &["s.sql", "--runs", "1", "--max-runs", "1"], 1)?;
        breaks_at(&report, worker, step, Some("42883"))?;
    }
    Ok(())
}
