//! Asks the server what each role can do, and whether that is what is computed.

use std::collections::BTreeSet;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use thirdrun::identifiers::RoleName;
use thirdrun::postgres::Session;
use thirdrun::state::{Ask as _, ChangeKind, Snapshot, Watcher, access_changes, why};

const ROLES: usize = 9;
const TABLES: usize = 4;

/// Roles of which some inherit and some can log in, and objects of every kind.
fn setup() -> String {
    let mut sql = String::from("CREATE SCHEMA acc; ");
    for role in 0..ROLES {
        let login = if role % 2 == 0 { "LOGIN" } else { "NOLOGIN" };
        let inherit = if role % 4 == 3 { "NOINHERIT" } else { "INHERIT" };
        sql.push_str(&format!("CREATE ROLE acc_{role} {login} {inherit}; "));
    }
    for table in 0..TABLES {
        sql.push_str(&format!(
            "CREATE TABLE acc.t{table} (a int, b int); CREATE SEQUENCE acc.s{table}; \
             CREATE FUNCTION acc.f{table}(n int) RETURNS int LANGUAGE sql AS 'SELECT n'; CREATE SCHEMA acc_{table}; "
        ));
    }
    sql
}

fn one<'a>(random: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of[random.random_range(0..of.len())]
}

/// A statement that makes some role able to do something, or no longer.
fn statement(random: &mut ChaCha8Rng, major: u32) -> String {
    let role = random.random_range(0..ROLES);
    let who = if random.random_bool(0.15) { "PUBLIC".to_owned() } else { format!("acc_{role}") };
    let table = random.random_range(0..TABLES);
    let (verb, to) = if random.random_bool(0.6) { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
    match random.random_range(0..14) {
        0..=3 => {
            let privilege = one(
                random,
                &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "ALL"],
            );
            format!("{verb} {privilege} ON acc.t{table} {to} {who}")
        }
        4 => {
            let privilege = one(random, &["SELECT", "INSERT", "UPDATE", "REFERENCES"]);
            format!("{verb} {privilege} ({}) ON acc.t{table} {to} {who}", one(random, &["a", "b"]))
        }
        5 => format!(
            "{verb} {} ON SEQUENCE acc.s{table} {to} {who}",
            one(random, &["USAGE", "SELECT", "UPDATE"])
        ),
        6 => format!("{verb} EXECUTE ON FUNCTION acc.f{table}(int) {to} {who}"),
        7 => format!("{verb} {} ON SCHEMA acc_{table} {to} {who}", one(random, &["USAGE", "CREATE"])),
        8 => format!(
            "{verb} {} ON DATABASE access {to} {who}",
            one(random, &["CONNECT", "CREATE", "TEMPORARY"])
        ),
        9 => {
            let object = one(random, &["TABLE acc.t", "SEQUENCE acc.s", "FUNCTION acc.f", "SCHEMA acc_"]);
            format!("ALTER {object}{table} OWNER TO acc_{role}")
        }
        10 => {
            let other = random.random_range(0..ROLES);
            // A role is a member of later ones only, so there is no circle.
            let (member, of) = (role.min(other), role.max(other));
            let inherit = match (major >= 16, verb) {
                (true, "GRANT") => one(random, &["", " WITH INHERIT FALSE", " WITH INHERIT TRUE"]),
                _ => "",
            };
            format!("{verb} acc_{of} {to} acc_{member}{inherit}")
        }
        11 if major >= 14 => {
            let all = ["pg_read_all_data", "pg_write_all_data", "pg_maintain"];
            let predefined = one(random, if major >= 17 { &all } else { &all[..2] });
            format!("{verb} {predefined} {to} acc_{role}")
        }
        12 => format!(
            "ALTER ROLE acc_{role} {}",
            one(random, &["SUPERUSER", "NOSUPERUSER", "NOSUPERUSER", "INHERIT"])
        ),
        _ => format!("REVOKE ALL ON acc.t{table} FROM acc_{role}"),
    }
}

/// `role|object|PRIVILEGE` of everything that the server says can be done.
async fn asked(session: &Session, major: u32) -> BTreeSet<String> {
    let maintain = if major >= 17 { ",MAINTAIN" } else { "" };
    let sql = format!(
        "SELECT r.rolname || '|table acc.' || c.relname || '|' || p FROM pg_roles r, pg_class c, \
           unnest(string_to_array('SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER{maintain}', ',')) p \
           WHERE r.rolname ~ '^acc_' AND c.relnamespace = 'acc'::regnamespace AND c.relkind = 'r' AND has_table_privilege(r.oid, c.oid, p) \
         UNION ALL SELECT r.rolname || '|sequence acc.' || c.relname || '|' || p FROM pg_roles r, pg_class c, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p \
           WHERE r.rolname ~ '^acc_' AND c.relnamespace = 'acc'::regnamespace AND c.relkind = 'S' AND has_sequence_privilege(r.oid, c.oid, p) \
         UNION ALL SELECT r.rolname || '|function acc.' || f.proname || '(integer)|EXECUTE' FROM pg_roles r, pg_proc f \
           WHERE r.rolname ~ '^acc_' AND f.pronamespace = 'acc'::regnamespace AND has_function_privilege(r.oid, f.oid, 'EXECUTE') \
         UNION ALL SELECT r.rolname || '|schema ' || n.nspname || '|' || p FROM pg_roles r, pg_namespace n, unnest(ARRAY['USAGE', 'CREATE']) p \
           WHERE r.rolname ~ '^acc_' AND n.nspname ~ '^acc_' AND has_schema_privilege(r.oid, n.oid, p) \
         UNION ALL SELECT r.rolname || '|database access|' || p FROM pg_roles r, unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) p \
           WHERE r.rolname ~ '^acc_' AND has_database_privilege(r.oid, 'access', p) \
         UNION ALL SELECT r.rolname || '|column ' || a.attname || ' of table acc.' || c.relname || '|' || p FROM pg_roles r, pg_class c, pg_attribute a, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p \
           WHERE r.rolname ~ '^acc_' AND c.relnamespace = 'acc'::regnamespace AND c.relkind = 'r' AND a.attrelid = c.oid AND a.attnum > 0 AND has_column_privilege(r.oid, c.oid, a.attnum, p)"
    );
    session.ask(&sql).await.unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

/// The same as it is computed.
fn computed(snapshot: &Snapshot, major: u32) -> BTreeSet<String> {
    let mut questions = Vec::new();
    let all = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"];
    for table in 0..TABLES {
        let of = |object: String, privileges: &[&'static str]| -> Vec<_> {
            privileges.iter().map(|privilege| (object.clone(), *privilege)).collect()
        };
        questions.extend(of(format!("table acc.t{table}"), if major >= 17 { &all } else { &all[..7] }));
        questions.extend(of(format!("sequence acc.s{table}"), &["USAGE", "SELECT", "UPDATE"]));
        questions.extend(of(format!("function acc.f{table}(integer)"), &["EXECUTE"]));
        questions.extend(of(format!("schema acc_{table}"), &["USAGE", "CREATE"]));
        for column in ["a", "b"] {
            let column = format!("column {column} of table acc.t{table}");
            questions.extend(of(column, &["SELECT", "INSERT", "UPDATE", "REFERENCES"]));
        }
    }
    questions.extend(
        ["CONNECT", "CREATE", "TEMPORARY"].map(|privilege| ("database access".to_owned(), privilege)),
    );
    let mut found = BTreeSet::new();
    for role in 0..ROLES {
        let role = format!("acc_{role}");
        for (object, privilege) in &questions {
            if !why(snapshot, &RoleName::new(&role), privilege, object).is_empty() {
                found.insert(format!("{role}|{object}|{privilege}"));
            }
        }
    }
    found
}

/// Random grants: what is computed is what the server says, and what changed in it is told.
pub async fn agrees(session: &Session, major: u32) {
    session.run(&setup()).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut watcher = Watcher::new(vec!["thirdrun".to_owned()]);
    let mut before = watcher.refresh(session, false).await.unwrap();
    let mut could = asked(session, major).await;
    for round in 0..40 {
        for _ in 0..random.random_range(1..8) {
            let statement = statement(&mut random, major);
            // Some are refused: a member that owns what it is revoked from, a role granted to itself.
            let _ = session.run(&statement).await;
        }
        let after = watcher.refresh(session, false).await.unwrap();
        if round % 5 == 0 {
            let full = Watcher::new(vec!["thirdrun".to_owned()]).refresh(session, false).await.unwrap();
            assert!(*full == *after, "round {round}");
        }
        let can = asked(session, major).await;
        let differing: Vec<_> = can.symmetric_difference(&computed(&after, major)).cloned().collect();
        assert!(differing.is_empty(), "round {round}: {differing:#?}");

        let told = |wanted: ChangeKind| -> BTreeSet<String> {
            let changes = access_changes(&before, &after);
            let own = |object: &str| {
                object.contains("acc_") || object.contains(" acc.") || object == "database access"
            };
            changes
                .iter()
                .filter(|change| change.kind == wanted && own(&change.object))
                .map(|change| {
                    let privilege = change.detail.split(" (").next().unwrap();
                    format!("{}|{}|{privilege}", change.role.as_ref().unwrap(), change.object)
                })
                .collect()
        };
        // Every login role and no column: those are told where their table does not say it.
        let of_logins = |all: &BTreeSet<String>| -> BTreeSet<String> {
            let login = |line: &str| line[4..5].parse::<u32>().unwrap() % 2 == 0;
            all.iter().filter(|line| login(line) && !line.contains("|column ")).cloned().collect()
        };
        let without_columns = |all: BTreeSet<String>| -> BTreeSet<String> {
            all.into_iter().filter(|line| !line.contains("|column ")).collect()
        };
        let lost: BTreeSet<_> = could.difference(&can).cloned().collect();
        let gained: BTreeSet<_> = can.difference(&could).cloned().collect();
        assert_eq!(without_columns(told(ChangeKind::AccessLost)), of_logins(&lost), "round {round}");
        assert_eq!(without_columns(told(ChangeKind::AccessGained)), of_logins(&gained), "round {round}");
        for line in told(ChangeKind::AccessLost).iter().filter(|line| line.contains("|column ")) {
            assert!(lost.contains(line), "round {round}: {line}");
        }
        (before, could) = (after, can);
    }
}
