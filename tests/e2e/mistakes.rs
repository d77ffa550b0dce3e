//! Mistakes that people make, one a script: what is said of each, and what mends it.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, Rehearsal, entries, same};

pub const TESTS: &[Test] = &[
    ("mistakes::rights_that_go_with_a_membership", rights_that_go_with_a_membership),
    ("mistakes::an_owner_that_changes", an_owner_that_changes),
    ("mistakes::a_password_that_nobody_told_the_worker", a_password_that_nobody_told_the_worker),
    ("mistakes::a_database_that_may_only_read", a_database_that_may_only_read),
    ("mistakes::a_sequence_that_was_moved_back", a_sequence_that_was_moved_back),
    ("mistakes::a_sequence_in_a_transaction_that_is_rolled_back", a_sequence_that_is_not_moved_again),
    ("mistakes::a_statement_that_fails_half_way", a_statement_that_fails_half_way),
    ("mistakes::a_session_that_holds_a_lock", a_session_that_holds_a_lock),
    ("mistakes::a_right_on_the_database", a_right_on_the_database),
    ("mistakes::a_default_that_was_dropped", a_default_that_was_dropped),
    ("mistakes::a_table_in_another_schema", a_table_in_another_schema),
    ("mistakes::a_column_that_was_dropped", a_column_that_was_dropped),
    ("mistakes::a_second_right_that_goes", a_second_right_that_goes),
    ("mistakes::something_new_takes_nobodys_place", something_new_takes_nobodys_place),
];

struct Mistake {
    script: &'static str,
    role: &'static str,
    step: &'static str,
    /// Seconds that an iteration may take.
    timeout: f64,
    /// How the guilty statement begins.
    guilty: &'static str,
    /// What is said among other things.
    said: &'static str,
    repair: &'static str,
}

/// An importer's step.
const INSERT: &str = "INSERT INTO public.orders (total) VALUES (10) RETURNING id";

impl Default for Mistake {
    fn default() -> Self {
        let role = "svc_import";
        Self { script: "", role, step: INSERT, timeout: 10.0, guilty: "", said: "", repair: "" }
    }
}

fn rehearsed(backend: Backend, mistake: &Mistake) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!(
        "\n[[worker]]\nname = 'worker'\nrole = '{}'\nevery = '20ms'\ntimeout = '{}s'\nmax_outage = '60s'\nsql = \"{}\"\n",
        mistake.role, mistake.timeout, mistake.step
    ));
    rehearsal.file("s.sql", mistake.script);
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let entry = entries(&report, "worker")
        .find(|entry| !entry["cause"].is_null())
        .ok_or_else(|| format!("it has no cause: {report:#}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (sql, told) = (text(&entry["cause"]["sql"]), text(&entry["cause"]["explanation"]));
    same(&sql, sql.starts_with(mistake.guilty), true)?;
    same(&told, told.contains(mistake.said), true)?;
    same("repair", text(&entry["repair"]["sql"]).as_str(), mistake.repair)?;
    same("tried", entry["repair"]["verified"].as_bool(), Some(true))
}

fn rights_that_go_with_a_membership(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "SELECT 1;\nREVOKE writers FROM svc_import;\n",
            guilty: "REVOKE writers",
            said: "no longer has INSERT and SELECT on table public.orders, which it had through its membership in writers",
            repair: "GRANT writers TO svc_import;",
            ..Mistake::default()
        },
    )
}

fn an_owner_that_changes(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "REASSIGN OWNED BY shop_owner TO postgres;\n",
            role: "deploy",
            step: "TRUNCATE public.orders",
            guilty: "REASSIGN",
            said: "It changes the owner of table public.orders from shop_owner to postgres.",
            repair: "GRANT TRUNCATE ON public.orders TO deploy;",
            ..Mistake::default()
        },
    )
}

fn a_password_that_nobody_told_the_worker(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "ALTER ROLE svc_import PASSWORD 'another';\n",
            guilty: "ALTER ROLE svc_import PASSWORD 'masked'",
            said: "It changes the password of role svc_import.",
            repair: "ALTER ROLE svc_import PASSWORD 'the password that it logs in with';",
            ..Mistake::default()
        },
    )
}

fn a_database_that_may_only_read(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$;\n",
            guilty: "DO $$",
            said: "default_transaction_read_only: not set to on",
            repair: "SET default_transaction_read_only = off;\nALTER DATABASE app RESET default_transaction_read_only;",
            ..Mistake::default()
        },
    )
}

fn a_sequence_that_was_moved_back(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "INSERT INTO public.orders (total) SELECT g FROM generate_series(1, 1000) AS g;\n\
                     SELECT setval('public.orders_id_seq', 1);\n",
            guilty: "SELECT setval",
            said: "so that it gives again what it has given before",
            repair: "SELECT pg_catalog.setval('public.orders_id_seq', (SELECT max(id) FROM public.orders));",
            ..Mistake::default()
        },
    )
}

/// No rollback takes back what `setval` did (PostgreSQL manual, 9.17).
fn a_sequence_that_is_not_moved_again(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "INSERT INTO public.orders (total) SELECT g FROM generate_series(1, 1000) AS g;\nBEGIN;\n\
                     SELECT setval(pg_get_serial_sequence('public.orders', 'id'), 1, false);\nSELECT 1/0;\nCOMMIT;\n",
            guilty: "SELECT setval",
            said: "so that it gives again what it has given before",
            repair: "SELECT pg_catalog.setval('public.orders_id_seq', (SELECT max(id) FROM public.orders));",
            ..Mistake::default()
        },
    )
}

/// What a block has committed stays (PostgreSQL manual, 43.8).
fn a_statement_that_fails_half_way(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "SELECT 1;\nDO $$ BEGIN\n  REVOKE INSERT ON public.orders FROM writers;\n  COMMIT;\n  \
                     PERFORM 1/0;\nEND $$;\nSELECT 2;\n",
            guilty: "DO $$ BEGIN",
            said: "It failed, and what it had done by then stays. It takes INSERT on table public.orders from",
            repair: "GRANT INSERT ON public.orders TO svc_import;",
            ..Mistake::default()
        },
    )
}

fn a_session_that_holds_a_lock(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            // It goes on when the other one has the lock, or does not come.
            script: "\\! psql -Xqc 'BEGIN; LOCK TABLE public.orders; SELECT pg_sleep(600)' >/dev/null 2>&1 &\n\
                     DO $$ BEGIN FOR i IN 1..500 LOOP EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE \
                     mode = 'AccessExclusiveLock' AND granted AND relation = 'public.orders'::regclass); \
                     PERFORM pg_sleep(0.01); END LOOP; END $$;\n",
            timeout: 0.5,
            guilty: "SELECT pg_sleep(600)",
            said: "That session holds AccessExclusiveLock on table public.orders.",
            repair: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND application_name = 'psql';",
            ..Mistake::default()
        },
    )
}

fn a_right_on_the_database(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;\n",
            step: "CREATE TEMPORARY TABLE work (a int) ON COMMIT DROP",
            guilty: "REVOKE TEMPORARY",
            said: "svc_import, the worker's role, no longer has TEMPORARY on database app, which it had as everybody",
            repair: "GRANT TEMPORARY ON DATABASE app TO svc_import;",
            ..Mistake::default()
        },
    )
}

fn a_default_that_was_dropped(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "ALTER TABLE public.orders ADD COLUMN source text DEFAULT 'web' NOT NULL;\n\
                     ALTER TABLE public.orders ALTER COLUMN source DROP DEFAULT;\n",
            guilty: "ALTER TABLE public.orders ALTER COLUMN source DROP DEFAULT",
            said: "It changes the default of column source of table public.orders: 'web'::text to none.",
            repair: "ALTER TABLE public.orders ALTER COLUMN source SET DEFAULT 'web'::text;",
            ..Mistake::default()
        },
    )
}

fn a_table_in_another_schema(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "CREATE SCHEMA attic;\nALTER TABLE public.orders SET SCHEMA attic;\n",
            guilty: "ALTER TABLE public.orders SET SCHEMA attic",
            said: "It moves table public.orders to schema attic.",
            repair: "ALTER TABLE attic.orders SET SCHEMA public;",
            ..Mistake::default()
        },
    )
}

fn a_column_that_was_dropped(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "ALTER TABLE public.orders DROP COLUMN total;\n",
            guilty: "ALTER TABLE public.orders DROP COLUMN",
            said: "It drops column total of table public.orders. What was in it comes back from a backup only.",
            // Where rows are, it cannot be NOT NULL as it was.
            repair: "ALTER TABLE public.orders ADD COLUMN total numeric;",
            ..Mistake::default()
        },
    )
}

fn a_second_right_that_goes(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "GRANT INSERT, SELECT ON public.orders TO svc_import;\nSELECT 1;\n\
                     REVOKE INSERT ON public.orders FROM writers;\nREVOKE INSERT ON public.orders FROM svc_import;\n",
            guilty: "REVOKE INSERT ON public.orders FROM svc_import",
            said: "no longer has INSERT on table public.orders, which it had by a direct grant from shop_owner. \
                   Statement 3, line 3, had taken INSERT on it from writers before.",
            repair: "GRANT INSERT ON public.orders TO svc_import;",
            ..Mistake::default()
        },
    )
}

fn something_new_takes_nobodys_place(backend: Backend) -> Result<(), Failed> {
    rehearsed(
        backend,
        &Mistake {
            script: "CREATE SEQUENCE public.numbers START 1000000;\n\
                     ALTER TABLE public.orders ALTER COLUMN id DROP IDENTITY, ALTER COLUMN id SET DEFAULT nextval('public.numbers');\n",
            guilty: "ALTER TABLE public.orders ALTER COLUMN id DROP IDENTITY",
            said: "The sequence public.numbers is new (owner postgres): svc_import, the worker's role, was granted nothing on it.",
            repair: "GRANT USAGE ON SEQUENCE public.numbers TO svc_import;",
            ..Mistake::default()
        },
    )
}
