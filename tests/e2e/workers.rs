//! Workers: their sessions, steps and what is expected of them.

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, ROLES, Rehearsal, entries, same, statuses};

pub const TESTS: &[Test] = &[
    (
        "workers::a_session_that_is_cut_off_is_opened_again_once",
        a_session_that_is_cut_off_is_opened_again_once,
    ),
    ("workers::a_worker_that_cannot_reconnect_breaks", a_worker_that_cannot_reconnect_breaks),
    ("workers::a_pool_forgets_what_a_session_was_told", a_pool_forgets_what_a_session_was_told),
    ("workers::notifications_must_arrive", notifications_must_arrive),
    ("workers::rows_and_values_are_checked", rows_and_values_are_checked),
    ("workers::rollback_leaves_no_trace", rollback_leaves_no_trace),
    ("workers::commands_are_real_programs", commands_are_real_programs),
    ("workers::a_worker_that_arrives_later", a_worker_that_arrives_later),
    ("workers::a_stall_past_max_outage_fails_the_check", a_stall_past_max_outage_fails_the_check),
    ("workers::who_stalls_is_known_whatever_it_calls_itself", who_stalls_is_known),
    ("workers::who_holds_what_they_wait_for_is_named", who_holds_is_named),
    ("workers::broken_and_mended", broken_and_mended),
];

const CUT_OFF: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'svc_%' AND pid <> pg_backend_pid();\n";

fn one(worker: &str) -> Rehearsal {
    Rehearsal::new(&format!(
        "[script]\nruns = 1\n[[worker]]\nname = 'w'\nevery = '20ms'\ntimeout = '10s'\n{worker}"
    ))
}

fn a_session_that_is_cut_off_is_opened_again_once(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        one("role = 'svc_reader'\nwhile_running = false\nsql = 'SELECT count(*) FROM public.orders'\n");
    let report = rehearsal.file("s.sql", CUT_OFF).verdict(backend, &["s.sql"], 0)?;
    same("status", statuses(&report, "w"), vec!["ok".to_owned()])?;
    same("reopened", report["runs"][0]["workers"][0]["existing_session"]["reopened"].as_bool(), Some(true))
}

fn a_worker_that_cannot_reconnect_breaks(backend: Backend) -> Result<(), Failed> {
    let rehearsal = one("role = 'svc_reader'\nreconnect = false\nwhile_running = false\nsql = 'SELECT 1'\n");
    let report = rehearsal.file("s.sql", CUT_OFF).verdict(backend, &["s.sql"], 1)?;
    same("status", statuses(&report, "w"), vec!["broken".to_owned()])?;
    let entry = &report["runs"][0]["workers"][0];
    same("SQLSTATE", entry["existing_session"]["sqlstate"].as_str(), Some("57P01"))?;
    same("a new session works", entry["new_session"]["ok"].as_bool(), Some(true))
}

fn a_pool_forgets_what_a_session_was_told(backend: Backend) -> Result<(), Failed> {
    // on_connect is not repeated after DISCARD ALL: from its second iteration on a session is as new.
    let rehearsal = one(
        "role = 'svc_reader'\nsession = 'pool'\nconnections = 3\non_connect = [\"SET work_mem = '1MB'\"]\n\
         sql = \"SELECT count(*) FROM pg_stat_activity WHERE usename = 'svc_reader'\"\nvalue = '3'\nwhile_running = false\n",
    );
    // While the new session is open, the three of the pool are too: four in all.
    let report = rehearsal.file("s.sql", "SELECT 1;\n").verdict(backend, &["s.sql"], 3)?;
    let entry = &report["baseline"]["workers"][0];
    same("the pool", entry["existing_session"]["ok"].as_bool(), Some(true))?;
    let message = entry["new_session"]["message"].as_str().unwrap_or_default().to_owned();
    same("a new session", message, "expected the value '3', got '4'".to_owned())
}

fn notifications_must_arrive(backend: Backend) -> Result<(), Failed> {
    let worker = "role = 'svc_reader'\non_connect = ['LISTEN news']\n\
                  [[worker.step]]\nsql = 'SELECT public.tell()'\n[[worker.step]]\nnotify = 'news'\n";
    let rehearsal = one(worker);
    let schema = format!(
        "{}\nCREATE FUNCTION public.tell() RETURNS void LANGUAGE sql AS $$ SELECT pg_notify('news', 'x') $$;",
        crate::support::SCHEMA
    );
    rehearsal.file("schema.sql", &schema);
    let text = std::fs::read_to_string(rehearsal.path("thirdrun.toml"))?
        .replace("timeout = '10s'", "timeout = '300ms'");
    rehearsal.file("thirdrun.toml", &text);
    rehearsal.file("fine.sql", "SELECT 1;\n").verdict(backend, &["fine.sql"], 0)?;
    let silent = "CREATE OR REPLACE FUNCTION public.tell() RETURNS void LANGUAGE sql AS $$ SELECT $$;\n";
    let report = rehearsal.file("silent.sql", silent).verdict(backend, &["silent.sql"], 1)?;
    let probe = &report["runs"][0]["workers"][0]["existing_session"];
    same("step", probe["step"].as_u64(), Some(2))?;
    same(
        "message",
        probe["message"].as_str().unwrap_or_default().contains("no notification came on news"),
        true,
    )
}

fn rows_and_values_are_checked(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        one("role = 'svc_import'\nsql = 'INSERT INTO public.orders (total) VALUES (1)'\nrows = 1\n");
    let script = "CREATE RULE swallow AS ON INSERT TO public.orders DO INSTEAD NOTHING;\n";
    let report = rehearsal.file("s.sql", script).verdict(backend, &["s.sql"], 1)?;
    let probe = &report["runs"][0]["workers"][0]["new_session"];
    same("no error was raised", probe["sqlstate"].is_null(), true)?;
    same("message", probe["message"].as_str(), Some("expected 1 row, got 0"))
}

fn rollback_leaves_no_trace(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        one("role = 'svc_import'\nrollback = true\nsql = 'INSERT INTO public.orders (total) VALUES (1)'\n");
    let script = "#!/bin/bash\npsql -X -Atc 'SELECT count(*) FROM public.orders' | grep -qx 0\n";
    rehearsal.file("s.sh", script).verdict(backend, &["s.sh"], 0).map(drop)
}

fn commands_are_real_programs(backend: Backend) -> Result<(), Failed> {
    let rehearsal = one("role = 'svc_reader'\ncommand = ['./export', '--once']\n");
    rehearsal.file(
        "export",
        "#!/bin/bash\n[ \"$1\" = --once ] || exit 9\npsql -X -v ON_ERROR_STOP=1 -c 'SELECT count(*) FROM public.orders' || exit 3\n",
    );
    rehearsal.file("fine.sql", "SELECT 1;\n").verdict(backend, &["fine.sql"], 0)?;
    rehearsal.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    let report = rehearsal.verdict(backend, &["s.sql"], 1)?;
    let entry = &report["runs"][0]["workers"][0];
    same("it keeps no session", entry["existing_session"].is_null(), true)?;
    let message = entry["new_session"]["message"].as_str().unwrap_or_default().to_owned();
    same(&message, message.contains("exited with status 3") && message.contains("permission denied"), true)
}

fn a_worker_that_arrives_later(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        "[script]\nruns = 2\n[[worker]]\nname = 'old'\nrole = 'svc_reader'\nsql = 'SELECT 1'\n\
         [[worker]]\nname = 'new'\nrole = 'svc_import'\nfrom_run = 2\nsql = 'SELECT * FROM public.added'\n",
    );
    let script =
        "CREATE TABLE IF NOT EXISTS public.added (i int); GRANT SELECT ON public.added TO svc_import;\n";
    let report = rehearsal.file("s.sql", script).verdict(backend, &["s.sql"], 0)?;
    same("baseline", report["baseline"]["workers"].as_array().map(Vec::len), Some(1))?;
    same("old", statuses(&report, "old").len(), 2)?;
    same("new", statuses(&report, "new"), vec!["ok".to_owned()])
}

fn a_stall_past_max_outage_fails_the_check(backend: Backend) -> Result<(), Failed> {
    let worker = "role = 'svc_reader'\nmax_outage = '300ms'\nsql = 'SELECT count(*) FROM public.orders'\n";
    let script = "BEGIN;\nLOCK TABLE public.orders;\nSELECT pg_sleep(1.5);\nCOMMIT;\n";
    let report = one(worker).file("s.sql", script).verdict(backend, &["s.sql"], 1)?;
    same("status", statuses(&report, "w"), vec!["disrupted".to_owned()])?;
    same("reason", report["reasons"][0]["kind"].as_str(), Some("worker_disrupted"))?;
    let gap =
        entries(&report, "w").next().and_then(|entry| entry["while_running"]["longest_gap_ms"].as_f64());
    same("gap", gap.is_some_and(|gap| gap > 300.0), true)?;
    let patient = worker.replace("300ms", "100s");
    one(&patient).file("s.sql", script).verdict(backend, &["s.sql"], 0).map(drop)
}

fn who_stalls_is_known(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        "[script]\nruns = 1\nmax_runs = 1\n\
         [[worker]]\nname = 'Zähler'\nrole = 'svc_reader'\nmax_outage = '300ms'\n\
         sql = 'SELECT count(*) FROM public.orders'\n\
         [[worker]]\nname = 'program'\nrole = 'svc_import'\nmax_outage = '300ms'\ntimeout = '20s'\n\
         command = ['./program']\n",
    );
    // As a driver that has a name of its own for its sessions.
    rehearsal.file(
        "program",
        "#!/bin/sh\nPGAPPNAME='PostgreSQL JDBC Driver' exec psql -XAtqc 'SELECT count(*) FROM public.orders'\n",
    );
    rehearsal.file("s.sql", "BEGIN;\nLOCK TABLE public.orders;\nSELECT pg_sleep(4);\nCOMMIT;\n");
    let report = rehearsal.report(backend, &["s.sql", "--hazards", "none"], 1)?;
    for worker in ["Zähler", "program"] {
        same(worker, statuses(&report, worker), vec!["disrupted".to_owned()])?;
        let guilty: Vec<_> =
            entries(&report, worker).map(|entry| entry["cause"]["statement"].as_u64()).collect();
        same("cause", guilty, vec![Some(2)])?;
    }
    same("changes", report["runs"][0]["changes"].as_array().map(Vec::len), Some(0))
}

fn who_holds_is_named(backend: Backend) -> Result<(), Failed> {
    let worker = |name: &str, sql: &str| {
        format!(
            "[[worker]]\nname = '{name}'\nrole = 'shop_owner'\nmax_outage = '300ms'\ntimeout = '20s'\nsql = '{sql}'\n"
        )
    };
    let rehearsal = Rehearsal::new("");
    // With rows, as there are where nobody says how many.
    let workers = [
        worker("rows", "UPDATE public.orders SET total = total + 1"),
        worker("lock", "SELECT pg_advisory_xact_lock(7)"),
    ];
    rehearsal.file("thirdrun.toml", &format!("[script]\nruns = 1\nmax_runs = 1\n{}", workers.concat()));
    rehearsal.file("roles.sql", &ROLES.replace("shop_owner NOLOGIN", "shop_owner LOGIN"));
    rehearsal.file(
        "s.sql",
        "SELECT pg_advisory_lock(7);\nBEGIN;\nUPDATE public.orders SET total = total;\nSELECT pg_sleep(2);\nCOMMIT;\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--hazards", "none"], 1)?;
    let says = |worker: &str, statement: u64, text: &str| {
        let cause = entries(&report, worker).next().map(|entry| entry["cause"].clone()).unwrap_or_default();
        same(worker, cause["statement"].as_u64(), Some(statement))?;
        let explanation = cause["explanation"].as_str().unwrap_or_default();
        same(explanation, explanation.contains(text), true)
    };
    says("rows", 3, "for rows of public.orders that this statement holds")?;
    says("lock", 1, "for advisory lock 7, which this statement holds")
}

fn broken_and_mended(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        "[[run]]\nscript = 'break.sql'\n[[run]]\nscript = 'nothing.sql'\n[[run]]\nscript = 'mend.sql'\n\
         [[worker]]\nname = 'w'\nrole = 'svc_reader'\nsql = 'SELECT count(*) FROM public.orders'\n",
    );
    rehearsal.file("break.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    rehearsal.file("nothing.sql", "SELECT 1;\n");
    rehearsal.file("mend.sql", "GRANT SELECT ON public.orders TO svc_reader;\n");
    let report = rehearsal.report(backend, &[], 1)?;
    same(
        "statuses",
        statuses(&report, "w"),
        vec!["broken".to_owned(), "broken".to_owned(), "ok".to_owned()],
    )?;
    let causes: Vec<_> = entries(&report, "w").map(|entry| entry["cause"]["run"].as_u64()).collect();
    same("causes", causes, vec![Some(1), Some(1), None])
}
