//! What a script left running, and reading on a connection that is somebody else's.

use std::time::Duration;

use thirdrun::identifiers::{DatabaseName, RoleName, Secret};
use thirdrun::postgres::{Login, Session};
use thirdrun::sandbox::Sandbox;
use thirdrun::state::{Ask as _, Change, ChangeKind, Watcher, changes, undo};

fn login(role: &str) -> Login {
    Login {
        role: RoleName::new(role),
        password: Secret::new("secret"),
        database: DatabaseName::new("running"),
        application: "a script".to_owned(),
        options: None,
    }
}

fn told(found: &[Change], kind: ChangeKind) -> Vec<&Change> {
    found.iter().filter(|change| change.kind == kind).collect()
}

/// Whatever a script can leave behind, it is told, and goes by what takes it back.
pub async fn left_behind(sandbox: &Sandbox, root: &Session) {
    root.run(
        "CREATE TABLE busy (id int); CREATE ROLE leaver LOGIN PASSWORD 'secret' REPLICATION; \
         GRANT ALL ON busy TO leaver; CREATE ROLE watched LOGIN PASSWORD 'secret'",
    )
    .await
    .unwrap();
    let mut watcher = Watcher::new(vec!["thirdrun".to_owned(), "a worker".to_owned()]);
    let before = watcher.refresh(root, false).await.unwrap();
    let worker = Login { application: "a worker".to_owned(), ..login("watched") };
    let worker = Session::open(&sandbox.server().endpoint, &worker).await.unwrap();
    worker.run("BEGIN; SELECT 1").await.unwrap();
    let leaver = Session::open(&sandbox.server().endpoint, &login("leaver")).await.unwrap();
    leaver.run("SELECT pg_advisory_lock(7)").await.unwrap();
    leaver.run("CREATE TEMPORARY TABLE mine (id int)").await.unwrap();
    leaver.run("SELECT pg_create_physical_replication_slot('kept', true)").await.unwrap();
    root.run("BEGIN; CREATE TABLE pending (id int)").await.unwrap();
    root.run("PREPARE TRANSACTION 'half done'").await.unwrap();
    leaver.run("BEGIN; LOCK TABLE busy IN SHARE MODE; INSERT INTO busy VALUES (1)").await.unwrap();
    let after = watcher.refresh(root, false).await.unwrap();
    let found = changes(&before, &after);
    for (kind, object) in [
        (ChangeKind::SessionLeft, "session "),
        (ChangeKind::TransactionLeftOpen, "session "),
        (ChangeKind::LockLeft, "table public.busy"),
        (ChangeKind::LockLeft, "advisory lock 0 7"),
        (ChangeKind::TemporaryObjectLeft, "temporary table mine"),
        (ChangeKind::PreparedTransactionLeft, "prepared transaction 'half done'"),
        (ChangeKind::ReplicationSlotLeft, "replication slot kept"),
    ] {
        assert!(
            told(&found, kind).iter().any(|change| change.object.starts_with(object)),
            "{object}: {found:#?}"
        );
    }
    // The worker's session and its transaction are its own.
    assert_eq!(told(&found, ChangeKind::SessionLeft).len(), 1, "{found:#?}");
    assert_eq!(told(&found, ChangeKind::TransactionLeftOpen).len(), 1, "{found:#?}");
    for change in found.iter().rev() {
        for statement in undo(change).unwrap() {
            // What went with its session cannot be taken back a second time.
            let _ = root.run(statement).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let undone = watcher.refresh(root, false).await.unwrap();
    assert!(changes(&before, &undone).is_empty(), "{:#?}", changes(&before, &undone));
    leaver.abandon();
    worker.close().await;
}

/// In the middle of an ordinary role's transaction, nothing fails, waits or stays.
pub async fn on_a_candidates_connection(sandbox: &Sandbox, root: &Session) {
    root.run(
        "CREATE ROLE candidate LOGIN PASSWORD 'secret' CREATEROLE; CREATE SCHEMA own AUTHORIZATION candidate; \
         CREATE ROLE other LOGIN; CREATE TABLE locked (id int); CREATE VIEW over AS SELECT id FROM locked",
    )
    .await
    .unwrap();
    let mut ours = Watcher::new(vec!["thirdrun".to_owned()]);
    let start = ours.refresh(root, false).await.unwrap();
    let holder = Session::open(
        &sandbox.server().endpoint,
        &sandbox.server().superuser_login(&DatabaseName::new("running")),
    )
    .await
    .unwrap();
    holder.run("BEGIN; LOCK TABLE locked, over IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let session = Session::open(&sandbox.server().endpoint, &login("candidate")).await.unwrap();
    session.run("SET search_path = own, public").await.unwrap();
    session.run("BEGIN").await.unwrap();
    let mut watcher = ours.clone();
    let mut before = start.clone();
    for (sql, kind, object) in [
        ("CREATE TABLE own.a (id int)", ChangeKind::ObjectCreated, "table own.a"),
        ("GRANT SELECT ON own.a TO other", ChangeKind::PrivilegeGained, "table own.a"),
        (
            "SAVEPOINT s; ALTER TABLE own.a ADD COLUMN b int NOT NULL DEFAULT 7",
            ChangeKind::ColumnAdded,
            "column b of table own.a",
        ),
        ("CREATE VIEW own.v AS SELECT b FROM own.a", ChangeKind::ObjectCreated, "view own.v"),
        ("ALTER TABLE own.a RENAME TO c", ChangeKind::ObjectRenamed, "table own.a"),
        ("ALTER ROLE other CONNECTION LIMIT 3", ChangeKind::RoleAttributeChanged, "role other"),
    ] {
        // Up to 15 whoever may create roles may alter them; from 16 on only its own.
        if session.run(&format!("SAVEPOINT t; {sql}")).await.is_err() {
            session.run("ROLLBACK TO t").await.unwrap();
            continue;
        }
        let after = watcher.refresh(&session, true).await.unwrap();
        let found = changes(&before, &after);
        assert!(
            found.iter().any(|change| change.kind == kind && change.object == object),
            "{sql}: {found:#?}"
        );
        before = after;
    }
    let path = session.ask("SHOW search_path").await.unwrap();
    assert_eq!(path, [[Some("own, public".to_owned())]]);
    session.run("COMMIT").await.unwrap();
    let path = session.ask("SHOW search_path").await.unwrap();
    assert_eq!(path, [[Some("own, public".to_owned())]]);
    // From the state before it, ours sees the same when it is over; somebody's lock keeps nothing from being read
    // but the definitions that would wait for it.
    let end = ours.refresh(root, false).await.unwrap();
    let here = changes(&start, &before);
    for change in changes(&start, &end).iter().filter(|change| change.object.contains("own.")) {
        assert!(here.iter().any(|other| other.object == change.object), "{change:?} is not in {here:#?}");
    }
    holder.run("ROLLBACK").await.unwrap();
    let again = ours.refresh(root, false).await.unwrap();
    assert!(*Watcher::new(vec!["thirdrun".to_owned()]).refresh(root, false).await.unwrap() == *again);
    // What was read inside a transaction that came to nothing is read again.
    session.run("BEGIN; DROP TABLE own.c CASCADE; CREATE TABLE own.d (id int)").await.unwrap();
    let mut inside = ours.clone();
    inside.refresh(&session, true).await.unwrap();
    session.run("ROLLBACK").await.unwrap();
    ours.refresh(root, false).await.unwrap();
    assert!(
        *Watcher::new(vec!["thirdrun".to_owned()]).refresh(root, false).await.unwrap() == *ours.snapshot()
    );
    session.close().await;
    holder.close().await;
}
