//! Clones: what a dump says is what the clone is.

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, READER, Rehearsal, same};

pub const TESTS: &[Test] = &[
    ("seeding::owners_grants_and_default_privileges_are_kept", owners_grants_and_default_privileges_are_kept),
    ("seeding::roles_that_nobody_creates_are_made", roles_that_nobody_creates_are_made),
    ("seeding::stored_kinds_of_password_are_kept", stored_kinds_of_password_are_kept),
    ("seeding::an_ordinary_postgres_stays_ordinary", an_ordinary_postgres_stays_ordinary),
    ("seeding::missing_extensions_can_be_skipped", missing_extensions_can_be_skipped),
    ("seeding::every_table_gets_its_rows", every_table_gets_its_rows),
    ("seeding::hba_lines_come_first", hba_lines_come_first),
];

/// A rehearsal whose script is a test in SQL: it fails when one of its answers is not true.
fn asserted(rehearsal: &Rehearsal, backend: Backend, conditions: &[&str]) -> Result<(), Failed> {
    let mut script = String::from("#!/bin/bash\nset -u\nstatus=0\n");
    for condition in conditions {
        script.push_str(&format!(
            "[ \"$(psql -X -At <<'SQL'\nSELECT {condition}\nSQL\n)\" = t ] || {{ echo \"not so: \"{}; status=1; }}\n",
            shell(condition)
        ));
    }
    script.push_str("exit $status\n");
    let report = rehearsal.file("s.sh", &script).report(backend, &["s.sh", "--runs", "1"], 0);
    report.map(drop)
}

fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn owners_grants_and_default_privileges_are_kept(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let schema = format!(
        "{}\nCREATE SCHEMA s;\nALTER SCHEMA s OWNER TO shop_owner;\nGRANT USAGE ON SCHEMA s TO svc_reader;\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE deploy IN SCHEMA s GRANT SELECT ON TABLES TO svc_reader;\n\
         REVOKE ALL ON FUNCTION pg_catalog.pg_ls_waldir() FROM PUBLIC;\n",
        crate::support::SCHEMA
    );
    rehearsal.file("schema.sql", &schema);
    asserted(
        &rehearsal,
        backend,
        &[
            "tableowner = 'shop_owner' FROM pg_tables WHERE tablename = 'orders'",
            "relacl::text = '{shop_owner=arwdDxt/shop_owner,writers=ar/shop_owner,svc_reader=r/shop_owner}' \
         OR relacl::text = '{shop_owner=arwdDxtm/shop_owner,writers=ar/shop_owner,svc_reader=r/shop_owner}' \
         FROM pg_class WHERE relname = 'orders'",
            "defaclacl::text = '{svc_reader=r/deploy}' AND defaclrole = 'deploy'::regrole FROM pg_default_acl",
            "nspowner = 'shop_owner'::regrole FROM pg_namespace WHERE nspname = 's'",
            "current_user = 'postgres' AND rolsuper FROM pg_roles WHERE rolname = current_user",
        ],
    )
}

fn roles_that_nobody_creates_are_made(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&READER.replace("svc_reader", "svc_nobody_made"));
    rehearsal.file(
        "schema.sql",
        &format!("{}\nGRANT SELECT ON public.orders TO svc_nobody_made;", crate::support::SCHEMA),
    );
    asserted(&rehearsal, backend, &["rolcanlogin FROM pg_roles WHERE rolname = 'svc_nobody_made'"])
}

fn stored_kinds_of_password_are_kept(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let roles = format!(
        "{}\nALTER ROLE svc_reader PASSWORD 'md5{}';\nALTER ROLE deploy PASSWORD 'in the clear';\n",
        crate::support::ROLES,
        "0123456789abcdef0123456789abcdef"
    );
    rehearsal.file("roles.sql", &roles);
    // An md5 password cannot be used where the server asks for scram (manual, 20.5).
    let text = std::fs::read_to_string(rehearsal.path("thirdrun.toml"))?;
    rehearsal.file("thirdrun.toml", &format!("[clone]\nhba = ['host all svc_reader all md5']\n{text}"));
    asserted(
        &rehearsal,
        backend,
        &[
            "rolpassword LIKE 'md5%' FROM pg_authid WHERE rolname = 'svc_reader'",
            "rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'svc_import'",
        ],
    )
}

fn an_ordinary_postgres_stays_ordinary(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file(
        "roles.sql",
        &format!("{}\nCREATE ROLE postgres LOGIN CREATEROLE NOSUPERUSER;\n", crate::support::ROLES),
    );
    asserted(
        &rehearsal,
        backend,
        &["NOT rolsuper AND rolcreaterole FROM pg_roles WHERE rolname = current_user"],
    )
}

fn missing_extensions_can_be_skipped(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[clone]\nextensions = 'skip-missing'\n{READER}"));
    rehearsal.file(
        "schema.sql",
        &format!("CREATE EXTENSION no_such_extension WITH SCHEMA public;\n{}", crate::support::SCHEMA),
    );
    let report = rehearsal.file("s.sql", "SELECT 1;").report(backend, &["s.sql", "--runs", "1"], 0)?;
    let skipped = report["clone"]["skipped"][0]["object"].as_str().unwrap_or_default().to_owned();
    same(&skipped, skipped.contains("no_such_extension"), true)
}

fn every_table_gets_its_rows(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file(
        "thirdrun.toml",
        &format!("[data]\nrows = 30\ntables = {{ 'public.lines' = 50 }}\nload = ['more.sql']\n{READER}"),
    );
    let schema = format!(
        "{}\nCREATE TYPE mood AS ENUM ('sad', 'ok');\n\
         CREATE TABLE public.lines (order_id bigint NOT NULL REFERENCES public.orders, n int, m mood NOT NULL, \
         tag varchar(5) NOT NULL, PRIMARY KEY (order_id, n));\n\
         CREATE TABLE public.kv (k uuid PRIMARY KEY, v jsonb NOT NULL, at timestamptz NOT NULL, u text UNIQUE NOT NULL);\n",
        crate::support::SCHEMA
    );
    rehearsal
        .file("schema.sql", &schema)
        .file("more.sql", "INSERT INTO public.orders (total) VALUES (-1);\n");
    asserted(
        &rehearsal,
        backend,
        &[
            "count(*) = 31 FROM public.orders",
            "count(*) = 50 FROM public.lines",
            "count(*) = 30 FROM public.kv",
        ],
    )
}

fn hba_lines_come_first(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[clone]\nhba = ['host all svc_reader all reject']\n{READER}"));
    let report = rehearsal.file("s.sql", "SELECT 1;").report(backend, &["s.sql"], 3)?;
    same("SQLSTATE", report["baseline"]["workers"][0]["new_session"]["sqlstate"].as_str(), Some("28000"))
}
