//! psql, pgbench and psycopg.

use std::path::{Path, PathBuf};
use std::process::Command;

use thirdrun::tap::{At, Boundary, Next, Orders};

use super::stage::{Stage, Trying, lines, text, tries};

pub fn all() -> Vec<Trying> {
    let mut all = tries![
        psql_script,
        psql_command_of_several,
        psql_single_transaction,
        psql_copies,
        statements_outside_of_transactions,
        passwords_are_masked,
    ];
    let needs: [(Vec<Trying>, Needs); 3] = [
        (tries![pgbench], || program("pgbench").is_none().then(|| "there is no pgbench".to_owned())),
        (tries![replication], || {
            program("pg_recvlogical").is_none().then(|| "there is no pg_recvlogical".to_owned())
        }),
        (tries![psycopg, psycopg_with_boundaries], || python().err()),
    ];
    for (tryings, missing) in needs {
        all.extend(tryings.into_iter().map(|trying| Trying { needs: Some(missing), ..trying }));
    }
    all
}

/// Tells what is missing.
type Needs = fn() -> Option<String>;

/// One of PostgreSQL's programs, on PATH or where Debian has it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .map(|directory| directory.join(name))
        .find(|program| program.exists())
}

/// A Python that has psycopg 3, in an environment of its own.
fn python() -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/psycopg");
    let python = directory.join("bin/python");
    let has = || {
        Command::new(&python)
            .args(["-c", "import psycopg"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if has() {
        return Ok(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&directory).output();
    made.map_err(|error| format!("there is no python3: {error}"))?;
    let install = ["-m", "pip", "install", "-q", "--timeout", "10", "--retries", "1", "psycopg[binary]"];
    let installed = Command::new(&python).args(install).output();
    if has() {
        return Ok(python);
    }
    Err(match installed {
        Ok(output) => format!("psycopg cannot be installed: {}", text(&output.stderr)),
        Err(error) => format!("psycopg cannot be installed: {error}"),
    })
}

async fn psql_script(stage: Stage) {
    stage.begin(Orders::default());
    let script = "CREATE TABLE t (a int);\n\
                  INSERT INTO t VALUES (1), (2); -- two\n\
                  SELECT * FROM nowhere;\n\
                  BEGIN;\n UPDATE t SET a = 3 WHERE a = 2;\nROLLBACK;\n\
                  SELECT 'ANALYZE t', 'VACUUM t' \\gexec\n\
                  SELECT a AS \"A\" FROM t ORDER BY a \\gset x\n\
                  SELECT count(*) FROM t;\n";
    let output = stage.script(&[], script).await;
    let recording = stage.tap.end();
    assert_eq!(
        lines(&recording),
        [
            "CREATE TABLE t (a int) => CREATE TABLE",
            "INSERT INTO t VALUES (1), (2) => INSERT 0 2",
            "SELECT * FROM nowhere => 42P01",
            "BEGIN => BEGIN",
            "UPDATE t SET a = 3 WHERE a = 2 => UPDATE 1",
            "ROLLBACK => ROLLBACK",
            "SELECT 'ANALYZE t', 'VACUUM t' => SELECT 1",
            "ANALYZE t => ANALYZE",
            "VACUUM t => VACUUM",
            "SELECT a AS \"A\" FROM t ORDER BY a => SELECT 2",
            "SELECT count(*) FROM t => SELECT 1",
        ]
    );
    assert_eq!(text(&output.stdout), "2\n");
    assert!(text(&output.stderr).contains("nowhere"));
    let seen = &recording.statements;
    let open: Vec<u32> = seen.iter().filter(|seen| seen.in_transaction).map(|seen| seen.index).collect();
    assert_eq!(open, [4, 5]);
    assert_eq!((seen[2].position, seen[1].rows), (Some(15), Some(2)));
    assert!(seen[2].message.as_ref().unwrap().contains("nowhere"));
    assert!(seen.iter().all(|seen| seen.role == "thirdrun" && seen.database == stage.database.as_str()));
    assert!(seen.iter().all(|seen| seen.connection == 1 && seen.backend > 0));
    assert!(seen.iter().all(|seen| seen.ended_ms.unwrap() >= seen.began_ms && seen.began_ms > 0.0));
    assert!(seen.windows(2).all(|two| two[0].ended_ms.unwrap() <= two[1].began_ms));
}

async fn psql_command_of_several(stage: Stage) {
    stage.begin(Orders::default());
    let several =
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1); ; SELECT 'é;' ; SELECT b FROM t; SELECT 1";
    let output = stage.psql(&["-c", several]).output().await.unwrap();
    assert!(!output.status.success());
    let output =
        stage.psql(&["-c", "CREATE TABLE t (a int); SELECT 'é', 1 +; SELECT 2"]).output().await.unwrap();
    assert!(!output.status.success());
    let recording = stage.tap.end();
    assert_eq!(
        lines(&recording),
        [
            "CREATE TABLE t (a int) => CREATE TABLE",
            "INSERT INTO t VALUES (1) => INSERT 0 1",
            "SELECT 'é;' => SELECT 1",
            "SELECT b FROM t => 42703",
            "SELECT 'é', 1 + => 42601",
        ]
    );
    let seen = &recording.statements;
    assert_eq!((seen[3].position, seen[4].position), (Some(8), Some(16)));
    assert!(seen[0].in_transaction && !seen[3].in_transaction);
    assert_eq!((seen[3].connection, seen[4].connection), (1, 2));
    // An implicit transaction, as without the tap.
    assert_eq!(stage.value("SELECT to_regclass('t') IS NULL").await, "t");
}

async fn psql_single_transaction(stage: Stage) {
    let file = stage.file("one.sql", "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n");
    stage.begin(Orders::default());
    let output = stage.psql(&["-1", "-f", file.to_str().unwrap()]).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tags: Vec<_> = stage.tap.end().statements.into_iter().map(|seen| seen.tag.unwrap()).collect();
    assert_eq!(tags, ["BEGIN", "CREATE TABLE", "INSERT 0 1", "COMMIT"]);
    assert_eq!(stage.value("SELECT count(*) FROM t").await, "1");
}

async fn psql_copies(stage: Stage) {
    stage.file("in.txt", "1\n2\n");
    stage.begin(Orders::default());
    let script = "CREATE TABLE t (a int);\nCOPY t FROM stdin;\n5\n6\n\\.\n\\copy t from 'in.txt'\n\
                  \\copy (SELECT a FROM t ORDER BY a) to 'out.txt'\nCOPY t TO stdout;\nCOPY t FROM stdin;\nx\n\\.\n\
                  \\copy t from 'not there'\nCOPY t FROM stdin;\n7\n\\.\nSELECT count(*) FROM t;\n";
    let output = stage.script(&[], script).await;
    assert_eq!(text(&output.stdout), "5\n6\n1\n2\n5\n", "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(stage.directory.path().join("out.txt")).unwrap(), "1\n2\n5\n6\n");
    let ends: Vec<_> =
        lines(&stage.tap.end()).iter().map(|line| line.split(" => ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(ends, ["CREATE TABLE", "COPY 2", "COPY 2", "COPY 4", "COPY 4", "22P02", "COPY 1", "SELECT 1"]);
}

async fn statements_outside_of_transactions(stage: Stage) {
    stage.begin(Orders::default());
    let script = "CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);\nVACUUM ANALYZE t;\n\
                  REINDEX TABLE CONCURRENTLY t;\nBEGIN;\nINSERT INTO t VALUES (1);\nPREPARE TRANSACTION 'two';\n\
                  COMMIT PREPARED 'two';\nDO $$BEGIN INSERT INTO t VALUES (2); COMMIT; END$$;\n";
    let output = stage.script(&["-v", "ON_ERROR_STOP=1"], script).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tags: Vec<_> = stage.tap.end().statements.into_iter().map(|seen| seen.tag.unwrap()).collect();
    assert_eq!(
        tags,
        [
            "CREATE TABLE",
            "CREATE INDEX",
            "VACUUM",
            "REINDEX",
            "BEGIN",
            "INSERT 0 1",
            "PREPARE TRANSACTION",
            "COMMIT PREPARED",
            "DO"
        ]
    );
}

async fn passwords_are_masked(stage: Stage) {
    let role = format!("masked_{}", stage.database);
    stage.begin(Orders::default());
    let script = format!(
        "CREATE ROLE {role} PASSWORD 's3cret';\nALTER ROLE {role} PASSWORD s3cret;\n\
         DO $$BEGIN ALTER ROLE {role} PASSWORD 's3cret'; END$$;\nALTER ROLE {role} PASSWORD 's3cret2';\nDROP ROLE {role};\n"
    );
    stage.script(&[], &script).await;
    let client = stage.client().await;
    client.execute("SELECT set_config('app.token', 's3cret', false)", &[]).await.unwrap();
    client.batch_execute("SET app.password = 's3cret'; SET app.token TO 's3cret'; SELECT 1").await.unwrap();
    let recording = stage.tap.end();
    assert_eq!(recording.statements.len(), 9);
    for mut seen in recording.statements {
        // The client's own data.
        seen.response = None;
        let shown = format!("{seen:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

async fn pgbench(stage: Stage) {
    let pgbench = program("pgbench").unwrap();
    let pgbench = async |arguments: &[&str]| {
        let output = stage.program(pgbench.to_str().unwrap()).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    stage.begin(Orders::default());
    pgbench(&["-i", "-q"]).await;
    let recording = stage.tap.end();
    assert!(
        lines(&recording).iter().any(|line| line.ends_with("=> COPY 100000")),
        "{:#?}",
        lines(&recording)
    );
    for (mode, done) in [("simple", 80), ("extended", 160), ("prepared", 240)] {
        stage.begin(Orders::default());
        pgbench(&["-n", "-M", mode, "-c", "4", "-t", "20"]).await;
        let recording = stage.tap.end();
        let all = lines(&recording);
        let count = |end: &str| all.iter().filter(|line| line.ends_with(end)).count();
        assert_eq!(
            (count("=> BEGIN"), count("=> UPDATE 1"), count("=> INSERT 0 1"), count("=> COMMIT")),
            (80, 240, 80, 80),
            "{mode}"
        );
        assert!(recording.statements.iter().all(|seen| seen.ended_ms.is_some() && seen.sqlstate.is_none()));
        let history = stage.value("SELECT count(*) FROM pgbench_history").await;
        assert_eq!(history, done.to_string());
    }
}

async fn replication(stage: Stage) {
    let receive = program("pg_recvlogical").unwrap();
    let slot = format!("slot_{}", stage.database);
    let out = stage.directory.path().join("out.txt");
    stage.set_up("CREATE TABLE t (a int)").await;
    stage.begin(Orders::default());
    let slot_only = ["-d", stage.database.as_str(), "-S", &slot];
    let receive = receive.to_str().unwrap();
    let output =
        stage.program(receive).args(slot_only).args(["--create-slot", "-P", "test_decoding"]).output();
    let output = output.await.unwrap();
    if text(&output.stderr).contains("test_decoding") {
        // Without contrib there is nothing that decodes.
        return;
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    stage.set_up("INSERT INTO t SELECT generate_series(1, 1000)").await;
    let end = stage.value("SELECT pg_current_wal_lsn()").await;
    let start = ["--start", "--endpos", &end, "-f", out.to_str().unwrap()];
    let output = stage.program(receive).args(slot_only).args(start).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&out).unwrap().matches("INSERT").count(), 1000);
    let output = stage.program(receive).args(slot_only).arg("--drop-slot").output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let all = lines(&stage.tap.end());
    assert!(all.iter().any(|line| line.starts_with("START_REPLICATION")), "{all:#?}");
}

/// What application.py sends, as far as it is the same whatever the version.
fn assert_psycopg(all: &[String]) {
    let count = |what: &str| all.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("RETURNING a => INSERT 0 1"), 20, "{all:#?}");
    assert_eq!(count("VALUES ($1, $2) => 23505"), 1, "{all:#?}");
    assert_eq!(count("=> COPY 10"), 1, "{all:#?}");
    assert_eq!(count("=> COPY 30"), 1, "{all:#?}");
    assert_eq!(count("UPDATE p SET b = 'z' WHERE a = 1 => UPDATE 1"), 1, "{all:#?}");
    assert_eq!(count("DELETE FROM p WHERE a = 2 => DELETE 1"), 1, "{all:#?}");
    assert_eq!(count("DELETE FROM p WHERE a = $1 => DELETE 1"), 3, "{all:#?}");
    assert_eq!(all.last().unwrap(), "SELECT count(*) FROM p => SELECT 1");
}

async fn psycopg(stage: Stage) {
    let python = python().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tap/application.py");
    stage.begin(Orders::default());
    let output = stage.program(python.to_str().unwrap()).arg(script).output().await.unwrap();
    // It may say that it ignores errors of a pipeline that was given up, as it does without the tap.
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "26\n");
    assert_psycopg(&lines(&stage.tap.end()));
}

/// Asks wherever it may.
struct Asks;

impl Boundary for Asks {
    fn reached(&self, at: At) -> futures_util::future::BoxFuture<'_, Next> {
        Box::pin(async move {
            if at.idle {
                // In a failed transaction nothing can be asked.
                assert!(at.ask("SELECT 1").await.is_ok() || at.status == b'E');
            }
            Next::Go
        })
    }
}

async fn psycopg_with_boundaries(stage: Stage) {
    let python = python().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tap/application.py");
    stage.begin(Orders { boundary: Some(std::sync::Arc::new(Asks)), ..Orders::default() });
    let output = stage.program(python.to_str().unwrap()).arg(script).output().await.unwrap();
    // It may say that it ignores errors of a pipeline that was given up, as it does without the tap.
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "26\n");
    stage.tap.boundaries_done().await;
    assert_psycopg(&lines(&stage.tap.end()));
}
