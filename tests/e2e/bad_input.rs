//! Bad input gets one clear error: what, where, why, what to type next.

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, finish, same, thirdrun};

pub const TESTS: &[Test] = &[
    ("bad_input::no_rehearsal_file", no_rehearsal_file),
    ("bad_input::missing_files", missing_files),
    ("bad_input::unknown_key", unknown_key),
    ("bad_input::worker_fails_at_baseline", worker_fails_at_baseline),
    ("bad_input::wrong_password", wrong_password),
    ("bad_input::dump_that_cannot_be_restored", dump_that_cannot_be_restored),
    ("bad_input::role_that_does_not_exist", role_that_does_not_exist),
    ("bad_input::damaged_archive", damaged_archive),
    ("bad_input::what_is_no_dump", what_is_no_dump),
    ("bad_input::a_dump_of_a_part", a_dump_of_a_part),
    ("bad_input::a_version_that_is_not_here", a_version_that_is_not_here),
    ("bad_input::contradictions_in_the_rehearsal_file", contradictions_in_the_rehearsal_file),
    ("bad_input::setting_that_the_server_refuses", setting_that_the_server_refuses),
    ("bad_input::outputs_that_do_not_pair", outputs_that_do_not_pair),
];

fn no_rehearsal_file(backend: Backend) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let mut command = thirdrun();
    command.args(["check", "--backend", &backend.to_string()]).current_dir(directory.path());
    finish(&mut command).expect(2, &["there is no thirdrun.toml", "--config", "thirdrun init"]).map(drop)
}

fn missing_files(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\npath = 'gone.sql'\n{IMPORTER}"));
    rehearsal.check(backend, &[]).expect(2, &["thirdrun.toml:4:8", "there is no script", "gone.sql"])?;
    rehearsal.check(backend, &["also-gone.sql"]).expect(2, &["cannot read also-gone.sql"])?;
    rehearsal
        .file("s.sql", "SELECT 1")
        .check(backend, &["s.sql", "--schema", "no.sql"])
        .expect(2, &["cannot read no.sql"])?;
    rehearsal.file("notes.txt", "SELECT 1");
    rehearsal
        .check(backend, &["notes.txt"])
        .expect(2, &["notes.txt is neither a .sql file nor executable", "chmod +x notes.txt"])
        .map(drop)
}

fn unknown_key(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\ntimeuot = '3s'\n{IMPORTER}"));
    let outcome = rehearsal.check(backend, &[]);
    outcome.expect(2, &["unknown key 'timeuot'", "thirdrun.toml:4:1", "did you mean 'timeout'?"]).map(drop)
}

fn worker_fails_at_baseline(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        &IMPORTER.replace("INSERT INTO", "INSERT INTO no_such.thing DEFAULT VALUES; INSERT INTO"),
    );
    rehearsal.file("s.sql", "SELECT 1");
    let report = rehearsal.report(backend, &["s.sql"], 3)?;
    same("verdict", report["verdict"].as_str(), Some("inconclusive"))?;
    same("kind", report["reasons"][0]["kind"].as_str(), Some("worker_fails_at_baseline"))?;
    let worker = &report["baseline"]["workers"][0];
    same("SQLSTATE", worker["new_session"]["sqlstate"].as_str(), Some("42P01"))?;
    same("runs", report["runs"].as_array().map(Vec::len), Some(0))
}

fn wrong_password(backend: Backend) -> Result<(), Failed> {
    // A password given in the clear is kept: a worker that names another one cannot log in.
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}password = 'not this one'\n"));
    rehearsal
        .file("roles.sql", &format!("{}\nALTER ROLE svc_import PASSWORD 'this one';", crate::support::ROLES));
    rehearsal.file("s.sql", "SELECT 1");
    let report = rehearsal.report(backend, &["s.sql"], 3)?;
    same("SQLSTATE", report["baseline"]["workers"][0]["new_session"]["sqlstate"].as_str(), Some("28P01"))?;
    // And nothing of either is to be read anywhere.
    let text = report.to_string();
    same("a password in the report", text.contains("this one"), false)
}

fn dump_that_cannot_be_restored(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1");
    rehearsal.file("schema.sql", "CREATE TABLE a (i int);\n\nCREATE TABLE b (\n  i int,\n  j nonsense\n);\n");
    rehearsal
        .check(backend, &["s.sql"])
        .expect(4, &["schema.sql:5: 42704: type \"nonsense\" does not exist", "CREATE TABLE b ("])?;
    rehearsal.file("schema.sql", "CREATE TABLE a (i int);\nSELECT 'never closed\n");
    rehearsal
        .check(backend, &["s.sql"])
        .expect(4, &["schema.sql:2: a quoted text begins here and never ends"])?;
    rehearsal.file("schema.sql", "CREATE EXTENSION no_such_extension;\n");
    rehearsal.check(backend, &["s.sql"]).expect(4, &["schema.sql:1: ", "skip-missing"]).map(drop)
}

fn role_that_does_not_exist(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&IMPORTER.replace("svc_import", "svc_imprt"));
    rehearsal.file("s.sql", "SELECT 1");
    rehearsal.check(backend, &["s.sql"]).expect(
        2,
        &[
            "worker 'importer' logs in as 'svc_imprt', a role that the clone does not have",
            "did you mean 'svc_import'?",
            "thirdrun.toml:",
        ],
    )?;
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("s.sql", "SELECT 1");
    rehearsal
        .check(backend, &["s.sql", "--as", "deplyo"])
        .expect(2, &["'deplyo'", "did you mean 'deploy'?"])
        .map(drop)
}

fn damaged_archive(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1").file("schema.sql", "PGDMP\u{1}\u{e}");
    rehearsal.check(backend, &["s.sql"]).expect(4, &["schema.sql cannot be read", "pg_restore"]).map(drop)
}

fn what_is_no_dump(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1");
    for (text, said) in [
        ("", "schema.sql is empty"),
        ("\u{1}PNG\r\n\0\0\0\rIHDR", "schema.sql is neither SQL nor an archive of pg_dump"),
        ("Dear reader,\nthis is a letter.", "a schema is what `pg_dump --schema-only` writes"),
        ("SELECT 'CREATE TABLE a ()'\n\\watch", "schema.sql:2: the psql command \\watch is not understood"),
        (
            "SELECT 1 WHERE false \\gset",
            "schema.sql:1: \\gset takes the values of one row, and the query gave 0",
        ),
        ("SELECT 1 AS a \\gset\n\\if :a\nSELECT 2;\n\\endif", "schema.sql:2: the psql command \\if"),
        ("CREATE TABLE a ();\n\\copy a FROM PROGRAM 'id'", "schema.sql:2: the psql command \\copy"),
        ("CREATE TABLE a ();\nCOPY a FROM PROGRAM 'id';", "schema.sql:2: COPY … PROGRAM would run a program"),
        ("BEGIN;\nDROP TABLE a;\nCREATE TABLE b ();", "schema.sql:2: 42P01: table \"a\" does not exist"),
    ] {
        rehearsal.file("schema.sql", text).check(backend, &["s.sql"]).expect(4, &[said, "help: "])?;
    }
    std::fs::create_dir(rehearsal.path("dumps"))?;
    rehearsal
        .check(backend, &["s.sql", "--schema", "dumps"])
        .expect(4, &["dumps is a directory without a toc.dat", "--format=directory"])?;
    rehearsal.file("schema.sql", "SELECT 1;").file("roles.sql", "PGDMP\u{1}\u{e}");
    rehearsal.check(backend, &["s.sql"]).expect(2, &["roles.sql is an archive", "pg_dumpall"]).map(drop)
}

fn a_dump_of_a_part(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1").file("schema.sql", "CREATE TABLE a (i other.mood);");
    let said = ["schema.sql:1: 3F000: schema \"other\" does not exist", "dump the whole database"];
    rehearsal.check(backend, &["s.sql"]).expect(4, &said).map(drop)
}

fn a_version_that_is_not_here(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1").file("schema.sql", "-- Dumped from database version 9.6\nSELECT 1;");
    // What an engine cannot pull depends on where it is.
    let (flags, said): (&[&str], _) = match backend {
        Backend::Local => (&["s.sql"], ["no PostgreSQL 9 was found", "rehearses on a server that is here"]),
        Backend::Docker => {
            (&["s.sql", "--postgres", "99"], ["the image postgres:99 is not here", "docker pull"])
        }
    };
    rehearsal.check(backend, flags).expect(4, &said).map(drop)
}

fn contradictions_in_the_rehearsal_file(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal.file("s.sql", "SELECT 1");
    let tables = format!("[data]\ntables = {{ 'public.ordres' = 5 }}\n{IMPORTER}");
    rehearsal.file("thirdrun.toml", &tables);
    rehearsal
        .check(backend, &["s.sql"])
        .expect(2, &["there is no table public.ordres; did you mean public.orders?"])
        .map(drop)
}

fn setting_that_the_server_refuses(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        Rehearsal::new(&format!("[clone]\nsettings = {{ max_connections = 'many' }}\n{IMPORTER}"));
    rehearsal.file("s.sql", "SELECT 1");
    rehearsal
        .check(backend, &["s.sql"])
        .expect(4, &["invalid value for parameter \"max_connections\""])
        .map(drop)
}

fn outputs_that_do_not_pair(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1");
    rehearsal.check(backend, &["s.sql", "--output", "r.json"]).expect(2, &["--format json --output"])?;
    rehearsal
        .check(backend, &["s.sql", "--format", "json", "--output", "no/such/r.json"])
        .expect(2, &["there is no directory no/such"])
        .map(drop)
}
