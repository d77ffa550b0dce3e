//! Scripts, good and hostile.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, VERDICT_ALONE, same, statuses};

pub const TESTS: &[Test] = &[
    ("scripts::psql_runs_sql_files", psql_runs_sql_files),
    ("scripts::errors_of_psql_fail_the_check", errors_of_psql_fail_the_check),
    ("scripts::on_error_stop_stops", on_error_stop_stops),
    ("scripts::an_executable_sees_the_promised_environment", an_executable_sees_the_promised_environment),
    ("scripts::an_executable_may_log_in_as_another_role", an_executable_may_log_in_as_another_role),
    ("scripts::a_hanging_script_is_killed", a_hanging_script_is_killed),
    ("scripts::a_short_window_of_failure_is_seen", a_short_window_of_failure_is_seen),
    ("scripts::alter_system_overrides_the_settings", alter_system_overrides_the_settings),
    ("scripts::forked_processes_stay_until_the_end", forked_processes_stay_until_the_end),
    ("scripts::a_flood_of_output_is_bounded", a_flood_of_output_is_bounded),
    ("scripts::killing_the_server_is_seen", killing_the_server_is_seen),
    ("scripts::a_server_that_says_nothing_is_not_waited_for", a_server_that_says_nothing_is_not_waited_for),
    (
        "scripts::a_server_that_crashes_and_recovers_is_waited_for",
        a_server_that_crashes_and_recovers_is_waited_for,
    ),
    ("scripts::there_is_no_way_out", there_is_no_way_out),
    ("scripts::listed_runs_are_made_as_listed", listed_runs_are_made_as_listed),
];

fn shop() -> Rehearsal {
    Rehearsal::new(&format!("{IMPORTER}{READER}"))
}

fn results(report: &Value, field: &str) -> Vec<Value> {
    report["runs"].as_array().into_iter().flatten().map(|run| run["result"][field].clone()).collect()
}

fn psql_runs_sql_files(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nvars = {{ who = 'svc_reader', n = 7 }}\n{READER}"));
    rehearsal.file("included.sql", "SELECT 'included ' || :n AS it;\n");
    rehearsal.file(
        "s.sql",
        "\\set ON_ERROR_STOP 1\n\\i included.sql\nSELECT 'variable ' || :'who' AS v \\gset\n\\echo :v\n",
    );
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "2", "--as", "deploy"], 0)?;
    same("runs", results(&report, "status"), vec!["succeeded".into(), "succeeded".into()])?;
    let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default();
    for text in ["included 7", "variable svc_reader"] {
        same(text, tail.contains(text), true)?;
    }
    Ok(())
}

fn errors_of_psql_fail_the_check(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "SELECT 1;\nSELEKT 2;\nSELECT 3;\n");
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "1"], 1)?;
    same("reason", report["reasons"][0]["kind"].as_str(), Some("script_failed"))?;
    // psql itself goes on and exits with 0.
    same("exit", results(&report, "exit_code"), vec![0.into()])?;
    same("status", results(&report, "status"), vec!["failed".into()])?;
    let allowed = Rehearsal::new(&format!("[script]\nallow_failure = true\n{READER}"));
    allowed.file("s.sql", "SELEKT 2;\n");
    allowed.verdict(backend, &["s.sql", "--runs", "1"], 0).map(drop)
}

fn on_error_stop_stops(backend: Backend) -> Result<(), Failed> {
    let script = "SELEKT 1;\nREVOKE SELECT ON public.orders FROM svc_reader;\n";
    let rehearsal = Rehearsal::new(&format!("[script]\non_error = 'stop'\nallow_failure = true\n{READER}"));
    let report = rehearsal.file("s.sql", script).verdict(backend, &["s.sql", "--runs", "1"], 0)?;
    same("stopped", statuses(&report, "reader"), vec!["ok".to_owned()])?;
    let rehearsal = Rehearsal::new(&format!("[script]\nallow_failure = true\n{READER}"));
    let report = rehearsal.file("s.sql", script).verdict(backend, &["s.sql", "--runs", "1"], 1)?;
    same("went on", statuses(&report, "reader"), vec!["broken".to_owned()])
}

fn an_executable_sees_the_promised_environment(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nenv = ['CI_NAME']\n{READER}"));
    rehearsal.file(
        "s.sh",
        "#!/bin/bash\nset -eu\nenv | sed 's/=.*//' | sort | tr '\\n' ' '\necho\necho \"ci=$CI_NAME\"\n\
         [ -z \"$(ls -A \"$HOME\")\" ]\ncommand -v psql >/dev/null\n[ -e schema.sql ]\n\
         psql -X -At -c 'SELECT current_user' | grep -qx deploy\n\
         psql -X -At \"$DATABASE_URL\" -c 'SELECT current_user' | grep -qx deploy\n",
    );
    let arguments = ["s.sh", "--runs", "1", "--as", "deploy", "--format", "json", "--quiet"];
    let mut command = rehearsal.command(backend, &[&arguments[..], &VERDICT_ALONE].concat());
    command.env("CI_NAME", "seen").env("A_SECRET_OF_THE_CALLER", "not seen").env("PGPASSWORD", "not seen");
    let outcome = crate::support::finish(&mut command);
    outcome.expect(0, &[])?;
    let report = outcome.json()?;
    let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default().to_owned();
    for name in
        ["DATABASE_URL", "HOME", "PATH", "PGDATABASE", "PGHOST", "PGPASSFILE", "PGPORT", "PGUSER", "ci=seen"]
    {
        same(name, tail.contains(name), true)?;
    }
    for name in ["A_SECRET_OF_THE_CALLER", "PGPASSWORD", "THIRDRUN_CACHE_DIR", "CARGO"] {
        same(name, tail.contains(name), false)?;
    }
    Ok(())
}

fn an_executable_may_log_in_as_another_role(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal
        .file("s.sh", "#!/bin/bash\nexec psql -X -U svc_reader -c 'SELECT count(*) FROM public.orders'\n");
    rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 0).map(drop)
}

fn a_hanging_script_is_killed(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\ntimeout = '1s'\n{READER}"));
    // A child that ignores what its parent would pass on is killed with the group.
    rehearsal.file("s.sh", "#!/bin/bash\ntrap '' TERM INT HUP\n(trap '' TERM; sleep 1000) &\nsleep 1000\n");
    let begun = Instant::now();
    let report = rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 1)?;
    same("status", results(&report, "status"), vec!["timed_out".into()])?;
    same("reader", statuses(&report, "reader"), vec!["ok".to_owned()])?;
    same("ended by the timeout, not by the sleep", begun.elapsed() < Duration::from_secs(500), true)
}

fn a_short_window_of_failure_is_seen(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    let script = "REVOKE SELECT ON public.orders FROM svc_reader;\nSELECT pg_sleep(0.5);\n\
                  GRANT SELECT ON public.orders TO svc_reader;\n";
    let report = rehearsal.file("s.sql", script).verdict(backend, &["s.sql", "--runs", "1"], 0)?;
    same("reader", statuses(&report, "reader"), vec!["disrupted".to_owned()])?;
    let seen = &report["runs"][0]["workers"][0]["while_running"];
    same("SQLSTATE", seen["first_failure"]["sqlstate"].as_str(), Some("42501"))
}

fn alter_system_overrides_the_settings(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!(
        "[clone]\nsettings = {{ statement_timeout = '1min', lock_timeout = '7s' }}\n{READER}"
    ));
    let script = "SHOW lock_timeout;\nALTER SYSTEM SET statement_timeout = '1ms';\nSELECT pg_reload_conf();\n\
                  SELECT pg_sleep(0.1);\n";
    rehearsal.file("s.sql", script);
    let slow = std::fs::read_to_string(rehearsal.path("thirdrun.toml"))?
        .replace("SELECT count(*) FROM public.orders", "SELECT pg_sleep(0.2)");
    rehearsal.file("thirdrun.toml", &slow);
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "1"], 1)?;
    let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default().to_owned();
    same(&tail, tail.contains("7s"), true)?;
    same("reader", statuses(&report, "reader"), vec!["broken".to_owned()])?;
    let probe = &report["runs"][0]["workers"][0]["new_session"];
    same("SQLSTATE", probe["sqlstate"].as_str(), Some("57014"))
}

fn forked_processes_stay_until_the_end(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 2\n{READER}"));
    // A session left behind in the background holds a lock: the reader fails on its own timeout.
    rehearsal.file(
        "s.sh",
        "#!/bin/bash\nsetsid psql -X -c \"BEGIN; LOCK TABLE public.orders; SELECT pg_sleep(1000)\" >/dev/null 2>&1 &\n\
         until psql -X -Atc \"SELECT count(*) FROM pg_locks WHERE relation = 'public.orders'::regclass \
         AND mode = 'AccessExclusiveLock' AND granted\" | grep -qx 1; do sleep 0.05; done\n",
    );
    let text = std::fs::read_to_string(rehearsal.path("thirdrun.toml"))?
        .replace("timeout = '10s'", "timeout = '200ms'");
    rehearsal.file("thirdrun.toml", &text);
    let report = rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 1)?;
    same("reader", statuses(&report, "reader"), vec!["broken".to_owned()])?;
    // Its own timeout ended the iteration: no SQLSTATE, and the message says so.
    let probe = &report["runs"][0]["workers"][0]["new_session"];
    same("SQLSTATE", probe["sqlstate"].is_null(), true)?;
    same("message", probe["message"].as_str().unwrap_or_default().contains("timed out"), true)
}

fn a_flood_of_output_is_bounded(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sh", "#!/bin/bash\nhead -c 300000000 /dev/zero | tr '\\0' x\necho the end\n");
    let report = rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 0)?;
    let result = &report["runs"][0]["result"];
    let tail = result["output_tail"].as_str().unwrap_or_default();
    same("bounded", tail.len() <= 64 * 1024, true)?;
    same("its end is kept", tail.ends_with("the end\n"), true)?;
    same("and said to be the end", result["output_truncated"].as_bool(), Some(true))
}

fn killing_the_server_is_seen(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    // A superuser may run programs on the server (manual, COPY).
    rehearsal.file("s.sql", "COPY (SELECT 1) TO PROGRAM 'kill -9 $(head -1 \"$PGDATA/postmaster.pid\" || head -1 postmaster.pid)';\n");
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "2"], 1)?;
    same("importer", statuses(&report, "importer"), vec!["broken".to_owned()])?;
    same("the log is there", report["runs"][0]["server_gone"].is_string(), true)
}

fn a_server_that_says_nothing_is_not_waited_for(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&READER.replace("timeout = '10s'", "timeout = '500ms'"));
    // It takes connections and answers none; the sessions that are open go on.
    rehearsal
        .file("s.sql", "COPY (SELECT 1) TO PROGRAM 'kill -STOP $(head -1 \"$PGDATA/postmaster.pid\" || head -1 postmaster.pid)';\n");
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "1"], 1)?;
    same("reader", statuses(&report, "reader"), vec!["broken".to_owned()])?;
    let entry = &report["runs"][0]["workers"][0];
    let message = entry["new_session"]["message"].as_str().unwrap_or_default().to_owned();
    same(&message, message.contains("timed out") && message.contains("connecting"), true)?;
    // Only what began while the script ran counts as such.
    same("iterations", entry["while_running"]["iterations"].as_u64().is_some_and(|all| all < 20), true)
}

fn a_server_that_crashes_and_recovers_is_waited_for(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    // One backend killed with SIGKILL makes the server end all the others and recover.
    let script =
        "SELECT pg_backend_pid() AS pid \\gset\nCOPY (SELECT 1) TO PROGRAM 'kill -9 $PPID; sleep 0.1';\n";
    rehearsal.file("s.sql", script);
    let report = rehearsal.verdict(backend, &["s.sql", "--runs", "2"], 1)?;
    same("the server is there", report["runs"][1]["server_gone"].is_null(), true)?;
    let kinds: Vec<_> =
        report["reasons"].as_array().into_iter().flatten().map(|r| r["kind"].clone()).collect();
    same("only the script failed", kinds, vec!["script_failed".into(), "script_failed".into()])
}

fn there_is_no_way_out(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    // Something of this machine listens on every address; the script must not reach it on any.
    let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = listener.local_addr()?.port();
    rehearsal.file(
        "s.sh",
        &format!(
            "#!/bin/bash\nfor host in 127.0.0.1 172.17.0.1 $(hostname -I 2>/dev/null); do\n\
             if timeout 2 bash -c \"exec 3<>/dev/tcp/$host/{port}\" 2>/dev/null; then echo \"reached $host\"; fi\ndone\n\
             psql -X -Atc 'SELECT 1' | grep -qx 1 && echo the sandbox is there\n"
        ),
    );
    let report = rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 0)?;
    let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default().to_owned();
    same("the sandbox", tail.contains("the sandbox is there"), true)?;
    let isolation = report["sandbox"]["isolation"].as_str().unwrap_or_default().to_owned();
    let closed = isolation.contains("no way out") || isolation.contains("but for connections by TCP");
    same(&format!("reached ({isolation}): {tail}"), tail.contains("reached "), !closed)
}

fn listed_runs_are_made_as_listed(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!(
        "[[run]]\nscript = 'one.sql'\nfails = true\n[[run]]\nscript = 'two.sql'\nrole = 'deploy'\nbreaks = ['reader']\n{READER}"
    ));
    rehearsal.file("one.sql", "SELEKT;\n");
    rehearsal.file("two.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    let report = rehearsal.report(backend, &[], 1)?;
    same("reader", statuses(&report, "reader"), vec!["ok".to_owned(), "broken".to_owned()])?;
    same("reasons", report["reasons"].as_array().map(Vec::len), Some(1))?;
    same("role", report["runs"][1]["role"].as_str(), Some("deploy"))?;
    let cause = &report["runs"][1]["workers"][0]["cause"];
    same("cause", cause["run"].as_u64(), Some(2))
}
