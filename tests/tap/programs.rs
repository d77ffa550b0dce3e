//! psql, pgbench and psycopg.

use thirdrun::tap::Orders;

use super::stage::{Stage, Trying, lines, text, tries};

pub fn all() -> Vec<Trying> {
    tries![psql_script, psql_command_of_several, psql_single_transaction, psql_copies]
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
