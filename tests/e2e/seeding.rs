//! Clones: what a dump says is what the clone is.

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, READER, Rehearsal, same};

pub const TESTS: &[Test] = &[
    ("seeding::owners_grants_and_default_privileges_are_kept", owners_grants_and_default_privileges_are_kept),
    ("seeding::an_empty_roles_file_makes_no_role", an_empty_roles_file_makes_no_role),
    ("seeding::roles_that_nobody_creates_are_made", roles_that_nobody_creates_are_made),
    ("seeding::stored_kinds_of_password_are_kept", stored_kinds_of_password_are_kept),
    ("seeding::an_ordinary_postgres_stays_ordinary", an_ordinary_postgres_stays_ordinary),
    ("seeding::missing_extensions_can_be_skipped", missing_extensions_can_be_skipped),
    ("seeding::what_builds_on_a_missing_extension_is_listed", what_builds_on_a_missing_extension_is_listed),
    ("seeding::tablespaces_lie_in_the_sandbox", tablespaces_lie_in_the_sandbox),
    ("seeding::nothing_connects_to_another_server", nothing_connects_to_another_server),
    ("seeding::servers_triggers_and_settings_are_kept", servers_triggers_and_settings_are_kept),
    ("seeding::a_login_trigger_keeps_nobody_of_ours_out", a_login_trigger_keeps_nobody_of_ours_out),
    ("seeding::the_dump_of_a_whole_server", the_dump_of_a_whole_server),
    ("seeding::every_table_gets_its_rows", every_table_gets_its_rows),
    ("seeding::files_that_people_wrote_are_read_as_psql_reads_them", files_that_people_wrote),
    ("seeding::files_that_ask_the_server_are_answered", files_that_ask_the_server),
    ("seeding::hba_lines_come_first", hba_lines_come_first),
];

/// A rehearsal whose script is a test in SQL: it fails when one of its answers is not true.
fn asserted(rehearsal: &Rehearsal, backend: Backend, conditions: &[&str]) -> Result<(), Failed> {
    clone_of(backend, rehearsal, conditions).map(drop)
}

/// The same, and the report.
fn clone_of(
    backend: Backend,
    rehearsal: &Rehearsal,
    conditions: &[&str],
) -> Result<serde_json::Value, Failed> {
    let mut script = String::from("#!/bin/bash\nset -u\nstatus=0\n");
    for condition in conditions {
        script.push_str(&format!(
            "[ \"$(psql -X -At <<'SQL'\nSELECT {condition}\nSQL\n)\" = t ] || {{ echo \"not so: \"{}; status=1; }}\n",
            shell(condition)
        ));
    }
    script.push_str("exit $status\n");
    rehearsal.file("s.sh", &script).verdict(backend, &["s.sh", "--runs", "1"], 0)
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

fn an_empty_roles_file_makes_no_role(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("roles.sql", "");
    asserted(&rehearsal, backend, &["rolcanlogin FROM pg_roles WHERE rolname = 'svc_reader'"])
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
    let report = rehearsal.file("s.sql", "SELECT 1;").verdict(backend, &["s.sql", "--runs", "1"], 0)?;
    let skipped = report["clone"]["skipped"][0]["object"].as_str().unwrap_or_default().to_owned();
    same(&skipped, skipped.contains("no_such_extension"), true)
}

/// The objects that the clone does not have, by the report.
fn skipped(report: &serde_json::Value) -> Vec<String> {
    let all = report["clone"]["skipped"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|one| one["object"].as_str().unwrap_or_default().to_owned()).collect()
}

fn what_builds_on_a_missing_extension_is_listed(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[clone]\nextensions = 'skip-missing'\n{READER}"));
    rehearsal.file(
        "schema.sql",
        &format!(
            "CREATE EXTENSION IF NOT EXISTS nowhere_gis WITH SCHEMA public;\n\
             COMMENT ON EXTENSION nowhere_gis IS 'shapes';\n\
             CREATE TABLE public.places (id int, at public.shape);\n\
             ALTER TABLE public.places OWNER TO shop_owner;\n{}",
            crate::support::SCHEMA
        ),
    );
    let report = rehearsal.file("s.sql", "SELECT 1;").verdict(backend, &["s.sql", "--runs", "1"], 0)?;
    same(
        "what is skipped",
        skipped(&report),
        [
            "extension nowhere_gis",
            "COMMENT ON EXTENSION nowhere_gis IS 'shapes'",
            "CREATE TABLE public.places (id int, at public.shape)",
            "ALTER TABLE public.places OWNER TO shop_owner",
        ]
        .map(str::to_owned)
        .to_vec(),
    )
}

fn tablespaces_lie_in_the_sandbox(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal
        .file(
            "roles.sql",
            &format!(
                "{}\nCREATE TABLESPACE fast OWNER shop_owner LOCATION '/mnt/fast';\n",
                crate::support::ROLES
            ),
        )
        .file(
            "schema.sql",
            &format!(
                "{}\nSET default_tablespace = fast;\nCREATE TABLE public.quick (i int);\n\
                 SET default_tablespace = slow;\nCREATE INDEX slow_index ON public.quick (i);\n\
                 SET default_tablespace = '';\nCREATE TABLE public.usual (i int);\n",
                crate::support::SCHEMA
            ),
        );
    let place = "spcname FROM pg_class c LEFT JOIN pg_tablespace t ON t.oid = reltablespace WHERE relname =";
    let report = clone_of(
        backend,
        &rehearsal,
        &[
            &format!("'fast' = {place} 'quick'"),
            &format!("'slow' = {place} 'slow_index'"),
            "reltablespace = 0 FROM pg_class WHERE relname = 'usual'",
            "spcowner = 'shop_owner'::regrole FROM pg_tablespace WHERE spcname = 'fast'",
        ],
    )?;
    let locations = ["the location of tablespace fast", "the location of tablespace slow"];
    same("what is skipped", skipped(&report), locations.map(str::to_owned).to_vec())
}

fn nothing_connects_to_another_server(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let subscription = |name: &str, with: &str| {
        format!(
            "CREATE SUBSCRIPTION {name} CONNECTION 'host=127.0.0.2 password=hunter2' PUBLICATION p{with};\n"
        )
    };
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}\n{}{}ALTER SUBSCRIPTION kept ENABLE;\nCREATE PUBLICATION all_of_it FOR ALL TABLES;\n",
            crate::support::SCHEMA,
            subscription("kept", " WITH (connect = false, slot_name = 'kept')"),
            subscription("connecting", ""),
        ),
    );
    let report = clone_of(
        backend,
        &rehearsal,
        &[
            "array_agg(subname::text) = '{kept}' AND NOT bool_or(subenabled) FROM pg_subscription",
            "puballtables FROM pg_publication",
        ],
    )?;
    let left = ["subscription connecting", "a change of subscription kept"];
    same("what is skipped", skipped(&report), left.map(str::to_owned).to_vec())?;
    same("a password in the report", report.to_string().contains("hunter2"), false)
}

fn servers_triggers_and_settings_are_kept(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal
        .file(
            "roles.sql",
            &format!(
                "{}\nALTER ROLE svc_reader SET work_mem TO '7MB';\nALTER ROLE svc_reader SET no_such_setting TO '1';\n",
                crate::support::ROLES
            ),
        )
        .file(
            "schema.sql",
            &format!(
                "SET a_setting_of_the_future = 0;\nCREATE EXTENSION postgres_fdw WITH SCHEMA public;\n\
                 CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.2');\n\
                 CREATE USER MAPPING FOR svc_reader SERVER far OPTIONS (password 'hunter2');\n\
                 CREATE FOREIGN TABLE public.far_away (i int NOT NULL) SERVER far;\n{}\n\
                 CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'seen'; END$$;\n\
                 CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION public.no();\n\
                 ALTER DATABASE app SET statement_timeout TO '9s';\nALTER DATABASE app OWNER TO shop_owner;\n",
                crate::support::SCHEMA
            ),
        );
    let report = clone_of(
        backend,
        &rehearsal,
        &[
            "srvoptions::text = '{host=127.0.0.2}' FROM pg_foreign_server",
            "relkind = 'f' FROM pg_class WHERE relname = 'far_away'",
            "evtenabled = 'O' FROM pg_event_trigger WHERE evtname = 'watcher'",
            "rolconfig::text = '{work_mem=7MB}' FROM pg_roles WHERE rolname = 'svc_reader'",
            "current_setting('statement_timeout') = '9s'",
            "datdba = 'shop_owner'::regrole FROM pg_database WHERE datname = 'app'",
        ],
    )?;
    let settings = ["setting no_such_setting", "setting a_setting_of_the_future"];
    same("what is skipped", skipped(&report), settings.map(str::to_owned).to_vec())?;
    same("a password in the report", report.to_string().contains("hunter2"), false)
}

/// Event triggers fire at login from PostgreSQL 17 on; before, the schema is one that cannot be restored.
fn a_login_trigger_keeps_nobody_of_ours_out(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let schema = format!(
        "{}\nCREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN\n\
         IF session_user = 'thirdrun' THEN RAISE EXCEPTION 'nobody enters'; END IF; END$$;\n\
         CREATE EVENT TRIGGER doorkeeper ON login EXECUTE FUNCTION public.no();\n",
        crate::support::SCHEMA
    );
    rehearsal.file("schema.sql", &schema).file("s.sql", "SELECT 1;");
    let outcome = rehearsal.check(backend, &["s.sql", "--runs", "1", "--format", "json"]);
    let version = match outcome.code {
        Some(0) => outcome.json()?["sandbox"]["postgres"].as_str().unwrap_or_default().to_owned(),
        _ => return outcome.expect(4, &["unrecognized event name \"login\""]).map(drop),
    };
    let major: u32 = version.split('.').next().unwrap_or_default().parse()?;
    same("a version with login triggers", major >= 17, true)
}

fn the_dump_of_a_whole_server(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[clone]\ndatabase = 'shop'\n{READER}"));
    rehearsal.file(
        "schema.sql",
        &format!(
            "CREATE DATABASE other;\nCREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8';\n\
             \\connect template1\n\\connect other\nCREATE TABLE public.stranger (i int);\n\
             \\connect shop\n{}",
            crate::support::SCHEMA
        ),
    );
    let report = clone_of(
        backend,
        &rehearsal,
        &["to_regclass('public.stranger') IS NULL", "current_database() = 'shop'"],
    )?;
    let others = ["database other", "everything in database other"];
    same("what is skipped", skipped(&report), others.map(str::to_owned).to_vec())
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

/// Variables, conditions and files beside the file, as psql has them; the clone must be what psql makes of it all.
fn files_that_people_wrote(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let schema = format!(
        "\\set ON_ERROR_STOP on\n\\set area 'sales area'\n\\set size 7\n\\echo making it\n\
         CREATE SCHEMA :\"area\";\n\\i parts/tables.sql\n\\if :{{?small}}\nDROP SCHEMA :\"area\";\n\\else\n\
         COMMENT ON SCHEMA :\"area\" IS :'area';\n\\endif\n\\unset size\n\\d\n{}",
        crate::support::SCHEMA
    );
    std::fs::create_dir(rehearsal.path("parts"))?;
    rehearsal
        .file("thirdrun.toml", &format!("[data]\nrows = 9\n{READER}"))
        .file("schema.sql", &schema)
        .file("parts/tables.sql", "\\ir more.sql\nCREATE TABLE :\"area\".b (i int CHECK (i < :size::int));\n")
        .file("parts/more.sql", "CREATE TABLE :\"area\".a (c char(:size));\n");
    asserted(
        &rehearsal,
        backend,
        &[
            "obj_description('\"sales area\"'::regnamespace) = 'sales area'",
            "count(*) = 9 AND max(i) < 7 FROM \"sales area\".b",
            "format_type(atttypid, atttypmod) = 'character(7)' FROM pg_attribute WHERE attrelid = '\"sales area\".a'::regclass AND attname = 'c'",
        ],
    )?;
    rehearsal.file("parts/more.sql", "SELECT 1;\n\nCREATE TABLE c (i nonsense);\n");
    rehearsal
        .check(backend, &["s.sh"])
        .expect(4, &["more.sql:3: 42704: type \"nonsense\" does not exist"])?;
    std::fs::remove_file(rehearsal.path("parts/more.sql"))?;
    rehearsal.check(backend, &["s.sh"]).expect(2, &["cannot read more.sql"])?;
    rehearsal.file("schema.sql", "\\set x `id`\nSELECT 1;\n");
    rehearsal.check(backend, &["s.sh"]).expect(4, &["schema.sql:1: the psql command \\set"])?;
    rehearsal.file("schema.sql", "SELECT 1;\n\\! id\n");
    rehearsal.check(backend, &["s.sh"]).expect(4, &["schema.sql:2: the psql command \\!"]).map(drop)
}

/// What psql asks the server for on its way, what it goes on after, and data beside the file.
fn files_that_ask_the_server(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let asking = r"DROP TABLE gone, kinds;
DROP FUNCTION gone(int);
DROP SCHEMA gone CASCADE;
SELECT 'CREATE DATABASE app' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'app')\gexec
SELECT format('CREATE TABLE %I (i int)', 'made ' || n), NULL FROM generate_series(1, 3) AS n
\gexec
SELECT count(*) AS tables, 'x''y' AS text, NULL AS nothing FROM pg_tables WHERE tablename LIKE 'made%' \gset of_
CREATE TABLE kinds (code int DEFAULT :of_tables, name text DEFAULT :'of_text');
CREATE TABLE versions AS SELECT :SERVER_VERSION_NUM AS n, :'DBNAME' AS db, ':USER' AS same
\g
\copy kinds (code, name) FROM 'data/kinds.csv' WITH (FORMAT csv, HEADER)
";
    std::fs::create_dir(rehearsal.path("data"))?;
    rehearsal
        .file("schema.sql", &format!("{asking}{}", crate::support::SCHEMA))
        .file("data/kinds.csv", "code,name\n7,\"a, b\"\n8,c");
    let report = clone_of(
        backend,
        &rehearsal,
        &[
            "count(*) = 3 FROM pg_tables WHERE tablename LIKE 'made _'",
            "string_agg(code || name, ';' ORDER BY code) = '7a, b;8c' FROM kinds",
            "string_agg(pg_get_expr(adbin, adrelid), ';' ORDER BY adnum) = $$3;'x''y'::text$$ FROM pg_attrdef \
             WHERE adrelid = 'kinds'::regclass",
            "n = current_setting('server_version_num')::int AND db = current_database() AND same = ':USER' FROM versions",
        ],
    )?;
    let skipped = report["clone"]["skipped"].as_array().map_or(0, Vec::len);
    same("what was not there to be dropped", skipped, 3)
}

fn hba_lines_come_first(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[clone]\nhba = ['host all svc_reader all reject']\n{READER}"));
    let report = rehearsal.file("s.sql", "SELECT 1;").verdict(backend, &["s.sql"], 3)?;
    same("SQLSTATE", report["baseline"]["workers"][0]["new_session"]["sqlstate"].as_str(), Some("28000"))
}
