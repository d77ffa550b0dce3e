//! How runs of one script go on changing something, the limits they come nearer to, and what they leave behind that
//! nobody has met yet.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, same};

pub const TESTS: &[Test] = &[
    ("drift::a_script_that_settles_does_not_drift", a_script_that_settles_does_not_drift),
    ("drift::what_each_run_adds_is_counted", what_each_run_adds_is_counted),
    ("drift::a_toggle_alternates", a_toggle_alternates),
    ("drift::a_toggled_row_alternates", a_toggled_row_alternates),
    ("drift::a_lowered_limit_shrinks_and_is_told_ahead", a_lowered_limit_shrinks_and_is_told_ahead),
    ("drift::leaked_sessions_use_up_the_connections", leaked_sessions_use_up_the_connections),
    ("drift::replication_slots_run_out", replication_slots_run_out),
    ("drift::a_sequence_runs_out_for_its_column", a_sequence_runs_out_for_its_column),
    ("drift::a_sequence_that_workers_move_is_theirs", a_sequence_that_workers_move_is_theirs),
    ("drift::a_halved_timeout_comes_to_nothing", a_halved_timeout_comes_to_nothing),
    ("drift::rows_that_each_run_inserts_are_told", rows_that_each_run_inserts_are_told),
    ("drift::a_password_that_expires_is_latent", a_password_that_expires_is_latent),
    ("drift::a_date_is_tried_in_a_copy", a_date_is_tried_in_a_copy),
    ("drift::what_was_so_before_is_not_told", what_was_so_before_is_not_told),
    (
        "drift::a_limit_below_what_workers_use_together_is_latent",
        a_limit_below_what_workers_use_together_is_latent,
    ),
    ("drift::what_is_left_halfway_is_latent", what_is_left_halfway_is_latent),
    ("drift::what_is_left_running_is_latent", what_is_left_running_is_latent),
    ("drift::owners_out_of_reach_are_latent", owners_out_of_reach_are_latent),
    ("drift::what_is_finished_is_no_hazard", what_is_finished_is_no_hazard),
    ("drift::a_person_reads_how_it_drifts", a_person_reads_how_it_drifts),
];

fn shop() -> Rehearsal {
    Rehearsal::new(&format!("{IMPORTER}{READER}"))
}

/// The report of a script that breaks nothing, with nothing tried in copies.
fn passing(backend: Backend, script: &str) -> Result<Value, Failed> {
    of(backend, &shop(), script, 0)
}

fn of(backend: Backend, rehearsal: &Rehearsal, script: &str, code: i32) -> Result<Value, Failed> {
    rehearsal.file("s.sql", script);
    rehearsal.report(backend, &["s.sql", "--hazards", "latent", "--no-replay"], code)
}

/// The messages of hazards of a kind.
fn told(report: &Value, kind: &str) -> Vec<String> {
    let all = report["hazards"].as_array().into_iter().flatten().filter(|one| one["kind"] == kind);
    all.map(|one| one["message"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Fails unless one of the messages has all of these.
fn has(messages: &[String], wanted: &[&str]) -> Result<(), Failed> {
    if messages.iter().any(|message| wanted.iter().all(|text| message.contains(text))) {
        return Ok(());
    }
    Err(format!("none has {wanted:?}: {messages:#?}").into())
}

fn drifts(report: &Value, how: &str, message: &str) -> Result<(), Failed> {
    same("how", report["drift"]["how"].as_str(), Some(how))
        .and_then(|()| same("message", report["drift"]["message"].as_str(), Some(message)))
        .map_err(|error| format!("{}\n{:#}", error.message().unwrap_or_default(), report["drift"]).into())
}

fn a_script_that_settles_does_not_drift(backend: Backend) -> Result<(), Failed> {
    let report = passing(
        backend,
        "CREATE TABLE IF NOT EXISTS public.a (id int);\nGRANT SELECT ON public.a TO svc_reader;\n",
    )?;
    same("drift", report["drift"].is_null(), true)?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))?;
    same("hazards", report["hazards"].as_array().map_or(0, Vec::len), 0)
}

fn what_each_run_adds_is_counted(backend: Backend) -> Result<(), Failed> {
    let report = passing(backend, "ALTER TABLE public.orders ADD CHECK (total >= 0);\n")?;
    let message = "each run adds 1 constraint to table public.orders";
    let wanted = match report["drift"]["what"][0]["values"].as_array().map(Vec::as_slice) {
        // From PostgreSQL 18 on NOT NULL is a constraint of its own.
        Some([first, ..]) if *first == 4 => " (4, 5, 6 and 7 after runs 2 to 5)",
        Some([first, ..]) if *first == 3 => " (3, 4, 5 and 6 after runs 2 to 5)",
        _ => " (5, 6, 7 and 8 after runs 2 to 5)",
    };
    drifts(&report, "grows", &format!("{message}{wanted}"))?;
    same("settled", report["settled"].is_null(), true)?;
    same("limits", told(&report, "limit_approached"), vec![])
}

fn a_toggle_alternates(backend: Backend) -> Result<(), Failed> {
    let report = passing(
        backend,
        "SELECT format('ALTER ROLE deploy %s', CASE WHEN rolcreatedb THEN 'NOCREATEDB' ELSE 'CREATEDB' END)\n\
         FROM pg_roles WHERE rolname = 'deploy'\n\\gexec\n",
    )?;
    drifts(
        &report,
        "alternates",
        "each run undoes what the one before it did: run 5 brought back role deploy (role attribute changed: CREATEDB)",
    )
}

fn a_toggled_row_alternates(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}CREATE TABLE public.flags (name text, set boolean);\nCREATE TABLE public.other (id int);\n",
            crate::support::SCHEMA
        ),
    );
    let toggle = "INSERT INTO public.flags SELECT 'a', false WHERE NOT EXISTS (SELECT FROM public.flags);\n\
         UPDATE flags SET set = NOT set;\n";
    let report = of(backend, &rehearsal, toggle, 0)?;
    drifts(
        &report,
        "alternates",
        "each run undoes what the one before it did to the rows of public.flags: after run 3 they are what they were \
         after run 1",
    )?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))?;
    // The same rows written again are no drift.
    let again =
        of(backend, &rehearsal, "DELETE FROM public.other;\nINSERT INTO public.other VALUES (1);\n", 0)?;
    same("drift", again["drift"].is_null(), true)
}

fn a_lowered_limit_shrinks_and_is_told_ahead(backend: Backend) -> Result<(), Failed> {
    let script = "ALTER ROLE svc_import CONNECTION LIMIT 20;\n";
    let again = "SELECT format('ALTER ROLE svc_import CONNECTION LIMIT %s', rolconnlimit - 3)\n\
         FROM pg_roles WHERE rolname = 'svc_import' AND rolconnlimit > 0\n\\gexec\n";
    let rehearsal = shop();
    rehearsal.file("roles.sql", &format!("{}{script}", crate::support::ROLES));
    let report = of(backend, &rehearsal, again, 0)?;
    same("how", report["drift"]["how"].as_str(), Some("shrinks"))?;
    let message =
        "each run lowers the connection limit of role svc_import by 3 (14, 11, 8 and 5 after runs 2 to 5)";
    same("message", report["drift"]["message"].as_str(), Some(message))?;
    // One session and a new one are needed: 2 are left after run 6, and run 7 would set -1, which is none.
    has(&told(&report, "limit_approached"), &[message, "2 are needed", "after run 7"])?;
    same("run of the hazard", report["hazards"][0]["run"].as_u64(), Some(5))
}

fn leaked_sessions_use_up_the_connections(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}[clone.settings]\nmax_connections = '40'\n"));
    rehearsal.file(
        "leak.sh",
        "#!/bin/sh\n# A session that outlives the script, and is there before that ends.\n\
         left() { psql -XAtqc \"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'left'\"; }\n\
         before=$(left)\nPGAPPNAME=left psql -XAtqc 'SELECT pg_sleep(600)' >/dev/null 2>&1 &\n\
         until [ \"$(left)\" -gt \"$before\" ]; do sleep 0.05; done\n",
    );
    let report =
        rehearsal.report(backend, &["leak.sh", "--hazards", "latent", "--no-replay", "--runs", "3"], 0)?;
    let message = "each run leaves 1 session open (1, 2 and 3 after runs 1 to 3)";
    same("message", report["drift"]["message"].as_str(), Some(message))?;
    // 37 are for ordinary roles, the two workers and one new session need 3 of them.
    has(
        &told(&report, "limit_approached"),
        &[message, "max_connections = 40, 37 of them for ordinary roles", "3 are needed", "after run 35"],
    )
}

fn replication_slots_run_out(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}[clone.settings]\nmax_replication_slots = '8'\n"));
    let script =
        "SELECT pg_create_physical_replication_slot('slot_' || count(*)) FROM pg_replication_slots;\n";
    let report = of(backend, &rehearsal, script, 0)?;
    drifts(&report, "grows", "each run leaves 1 replication slot behind (2, 3, 4 and 5 after runs 2 to 5)")?;
    has(&told(&report, "limit_approached"), &["max_replication_slots = 8: run 9 wants more than that"])?;
    has(&told(&report, "latent"), &["replication slot slot_0", "the server keeps all WAL"])
}

fn a_sequence_runs_out_for_its_column(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}CREATE SEQUENCE public.batch; CREATE TABLE public.batches (id smallint DEFAULT nextval('public.batch'));\n\
             ALTER SEQUENCE public.batch OWNED BY public.batches.id;\n",
            crate::support::SCHEMA
        ),
    );
    let script = "SELECT setval('public.batch', nextval('public.batch') + 999);\n";
    let report = of(backend, &rehearsal, script, 0)?;
    let message = "each run moves sequence public.batch on by 1000";
    has(
        &told(&report, "limit_approached"),
        &[message, "column id of table public.batches is smallint, up to 32767: run 33 wants more"],
    )?;
    // The catalogs are as they were.
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))?;
    same("drift", report["drift"]["message"].as_str().is_some_and(|text| text.starts_with(message)), true)
}

fn a_sequence_that_workers_move_is_theirs(backend: Backend) -> Result<(), Failed> {
    let report = passing(backend, "SELECT nextval('public.orders_id_seq');\n")?;
    same("drift", report["drift"].is_null(), true)
}

fn a_halved_timeout_comes_to_nothing(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "roles.sql",
        &format!("{}ALTER ROLE deploy SET statement_timeout = '64s';\n", crate::support::ROLES),
    );
    let script = "SELECT format('ALTER ROLE deploy SET statement_timeout = %s', \
         CASE WHEN split_part(c, '=', 2) = '64s' THEN 32000 ELSE split_part(c, '=', 2)::int / 2 END)\n\
         FROM pg_roles, unnest(rolconfig) AS c WHERE rolname = 'deploy'\n\\gexec\n";
    let report = of(backend, &rehearsal, script, 0)?;
    drifts(
        &report,
        "shrinks",
        "each run lowers statement_timeout of role deploy (16000, 8000, 4000 and 2000 after runs 2 to 5)",
    )?;
    has(&told(&report, "limit_approached"), &["run 16 comes to 0, which switches it off"])
}

fn rows_that_each_run_inserts_are_told(backend: Backend) -> Result<(), Failed> {
    let script = "CREATE TABLE IF NOT EXISTS public.kinds (name text);\n\
         INSERT INTO public.kinds VALUES ('a'), ('b');\n\
         CREATE TEMP TABLE work (id int);\nINSERT INTO work VALUES (1);\n\
         CREATE TABLE IF NOT EXISTS public.again (id int);\nTRUNCATE public.again;\nINSERT INTO public.again VALUES (1);\n\
         CREATE TABLE IF NOT EXISTS public.kept (id int PRIMARY KEY);\nINSERT INTO public.kept VALUES (1) ON CONFLICT DO NOTHING;\n";
    let report = passing(backend, script)?;
    drifts(&report, "grows", "each run inserts 2 rows into public.kinds again")?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))
}

fn a_password_that_expires_is_latent(backend: Backend) -> Result<(), Failed> {
    let report =
        passing(backend, "SELECT 1;\nALTER ROLE svc_reader VALID UNTIL '2999-01-01 00:00:00+00';\n")?;
    has(
        &told(&report, "latent"),
        &[
            "password of role svc_reader is valid until 2999-01-01 00:00:00",
            "reader cannot open a new session",
        ],
    )?;
    same("hazards", report["hazards"].as_array().map_or(0, Vec::len), 1)?;
    same("run", report["hazards"][0]["run"].as_u64(), Some(1))
}

fn a_date_is_tried_in_a_copy(backend: Backend) -> Result<(), Failed> {
    // Whoever needs no password does not care for its date.
    let rehearsal =
        Rehearsal::new(&format!("{IMPORTER}{READER}[clone]\nhba = ['host all svc_import all trust']\n"));
    rehearsal.file(
        "s.sql",
        "ALTER ROLE svc_reader VALID UNTIL '2999-01-01 00:00:00+00';\nALTER ROLE svc_import VALID UNTIL '2999-01-01 00:00:00+00';\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--hazards", "latent", "--runs", "2"], 0)?;
    let latent = told(&report, "latent");
    has(&latent, &["password of role svc_reader", "reader cannot open a new session", "tried in a copy"])?;
    same("hazards", latent.len(), 1)
}

fn what_was_so_before_is_not_told(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "roles.sql",
        &format!(
            "{}ALTER ROLE svc_reader VALID UNTIL '2999-01-01 00:00:00+00'; ALTER ROLE deploy CONNECTION LIMIT 0;\n",
            crate::support::ROLES
        ),
    );
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}CREATE TABLE public.odd (id int); ALTER TABLE public.odd ENABLE ROW LEVEL SECURITY;\n\
             GRANT SELECT ON public.odd TO svc_reader;\n\
             ALTER TABLE public.odd ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;\n",
            crate::support::SCHEMA
        ),
    );
    let report = of(backend, &rehearsal, "CREATE TABLE IF NOT EXISTS public.a (id int);\n", 0)?;
    same("hazards", told(&report, "latent"), vec![])
}

fn a_limit_below_what_workers_use_together_is_latent(backend: Backend) -> Result<(), Failed> {
    let second = READER.replace("'reader'", "'second'");
    let third = READER.replace("'reader'", "'third'");
    let rehearsal = Rehearsal::new(
        &[IMPORTER, READER, &second, &third]
            .concat()
            .replace("every = '20ms'", "every = '20ms'\nwhile_running = false"),
    );
    let report = of(backend, &rehearsal, "ALTER ROLE svc_reader CONNECTION LIMIT 2;\n", 0)?;
    has(
        &told(&report, "latent"),
        &[
            "role svc_reader has CONNECTION LIMIT 2, but reader, second and third together use up to 3 connections",
        ],
    )?;
    let report = of(backend, &rehearsal, "ALTER ROLE svc_reader CONNECTION LIMIT 3;\n", 0)?;
    same("enough", told(&report, "latent"), vec![])
}

fn what_is_left_halfway_is_latent(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "schema.sql",
        &format!(
            "{}CREATE TABLE public.notes (id int, body text);\n\
             CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n\
             CREATE TRIGGER noted BEFORE INSERT ON public.notes FOR EACH ROW EXECUTE FUNCTION public.noted();\n\
             GRANT SELECT ON public.notes TO svc_reader;\n",
            crate::support::SCHEMA
        ),
    );
    let script = "INSERT INTO public.notes SELECT 1 FROM generate_series(1, 2);\n\
         CREATE UNIQUE INDEX CONCURRENTLY notes_id ON public.notes (id);\n\
         ALTER TABLE public.notes ADD CONSTRAINT short CHECK (length(body) < 10) NOT VALID;\n\
         ALTER TABLE public.notes DISABLE TRIGGER noted;\n\
         ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;\n\
         ALTER TABLE public.orders SET UNLOGGED;\n\
         ALTER TABLE public.notes SET (autovacuum_enabled = false);\n\
         CREATE TABLE public.open (id int);\nCREATE POLICY mine ON public.open USING (id = 1);\n\
         ALTER SYSTEM SET log_min_messages = 'error';\n\
         SELECT format('ALTER SYSTEM SET max_connections = %s', current_setting('max_connections')) \\gexec\n";
    rehearsal.file("s.sql", script);
    let report =
        rehearsal.report(backend, &["s.sql", "--hazards", "latent", "--no-replay", "--runs", "1"], 1)?;
    let latent = told(&report, "latent");
    for wanted in [
        "index notes_id of table public.notes is not valid",
        "constraint short of table public.notes is NOT VALID",
        "table public.notes is left with disabled triggers (noted)",
        "table public.notes has row security and no policy",
        "table public.orders is unlogged now",
        "table public.notes is left without autovacuum",
        "table public.open has policies, but row security is not enabled",
        "setting log_min_messages is now error in the server's files, but not in force",
    ] {
        has(&latent, &[wanted])?;
    }
    same("hazards", latent.len(), 8)?;
    let report =
        rehearsal.report(backend, &["s.sql", "--hazards", "none", "--no-replay", "--runs", "1"], 1)?;
    same("unless it is looked for", told(&report, "latent"), vec![])
}

fn what_is_left_running_is_latent(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        Rehearsal::new(&format!("{IMPORTER}{READER}[clone.settings]\nmax_prepared_transactions = '5'\n"));
    rehearsal.file("s.sql", "BEGIN;\nCREATE TABLE public.a (id int);\nPREPARE TRANSACTION 'half done';\n");
    let report =
        rehearsal.report(backend, &["s.sql", "--hazards", "latent", "--no-replay", "--runs", "1"], 0)?;
    has(&told(&report, "latent"), &["prepared transaction 'half done' was left behind"])
}

fn owners_out_of_reach_are_latent(backend: Backend) -> Result<(), Failed> {
    let report = passing(
        backend,
        "REVOKE shop_owner FROM deploy;\n\
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO svc_reader;\n",
    )?;
    let latent = told(&report, "latent");
    has(&latent, &["table public.orders now belongs to role shop_owner, as which nobody can act"])?;
    has(&latent, &["hold only for tables that postgres makes itself", "belong to shop_owner"])?;
    same("hazards", latent.len(), 2)
}

fn what_is_finished_is_no_hazard(backend: Backend) -> Result<(), Failed> {
    let report = passing(
        backend,
        "CREATE TABLE IF NOT EXISTS public.notes (id int);\nGRANT SELECT ON public.notes TO svc_reader;\n\
         CREATE INDEX CONCURRENTLY IF NOT EXISTS notes_id ON public.notes (id);\n\
         ALTER TABLE public.notes DROP CONSTRAINT IF EXISTS short;\n\
         ALTER TABLE public.notes ADD CONSTRAINT short CHECK (id < 10) NOT VALID;\n\
         ALTER TABLE public.notes VALIDATE CONSTRAINT short;\n\
         ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;\n\
         DROP POLICY IF EXISTS everyone ON public.notes;\nCREATE POLICY everyone ON public.notes USING (true);\n\
         ALTER ROLE deploy CONNECTION LIMIT 5;\nALTER ROLE svc_import CONNECTION LIMIT 5;\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT SELECT ON TABLES TO svc_reader;\n\
         CREATE UNLOGGED TABLE IF NOT EXISTS public.stage (id int);\n",
    )?;
    same("hazards", report["hazards"].as_array().cloned(), Some(vec![]))?;
    same("drift", report["drift"].is_null(), true)
}

fn a_person_reads_how_it_drifts(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "SELECT format('CREATE TABLE public.t%s ()', count(*)) FROM pg_tables \\gexec\n");
    let outcome = rehearsal.check(backend, &["s.sql", "--no-replay", "--runs", "2", "--max-runs", "3"]);
    outcome.expect(0, &[])?;
    let out = outcome.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let line =
        "the script has not settled: each run adds 1 table to schema public (2, 3 and 4 after runs 1 to 3)";
    if out.contains(line) {
        Ok(())
    } else {
        Err(format!("the report lacks {line:?}:\n{}", outcome.out).into())
    }
}
