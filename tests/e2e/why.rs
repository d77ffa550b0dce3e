//! What broke a worker: the statement, what it changed, and what mends it.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, entries, same};

pub const TESTS: &[Test] = &[
    (
        "why::a_statement_in_a_transaction_is_named_and_mended",
        a_statement_in_a_transaction_is_named_and_mended,
    ),
    ("why::a_shell_scripts_statement_is_named", a_shell_scripts_statement_is_named),
    ("why::what_gexec_ran_is_blamed_on_its_query", what_gexec_ran_is_blamed_on_its_query),
    ("why::of_two_that_each_suffice_the_first_is_proved", of_two_that_each_suffice_the_first_is_proved),
    ("why::what_a_script_did_is_told_where_nothing_broke", what_a_script_did_is_told_where_nothing_broke),
    ("why::passwords_are_masked", passwords_are_masked),
    ("why::nothing_is_replayed_where_nobody_wants_it", nothing_is_replayed_where_nobody_wants_it),
    ("why::a_person_reads_the_line_and_the_repair", a_person_reads_the_line_and_the_repair),
    ("why::a_script_cut_off_in_the_middle_is_a_hazard", a_script_cut_off_in_the_middle_is_a_hazard),
    ("why::what_cannot_be_run_twice_is_a_hazard", what_cannot_be_run_twice_is_a_hazard),
    ("why::a_script_that_goes_on_changing_things_is_run_on", a_script_that_goes_on_changing_things_is_run_on),
];

fn shop() -> Rehearsal {
    Rehearsal::new(&format!("{IMPORTER}{READER}"))
}

/// The first entry of a worker that has a cause.
fn broken<'a>(report: &'a Value, worker: &'a str) -> Result<&'a Value, Failed> {
    entries(report, worker)
        .find(|entry| !entry["cause"].is_null())
        .ok_or_else(|| format!("{worker} has no cause: {report:#}").into())
}

fn changes(run: &Value) -> Vec<(String, String, String, Option<u64>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let change = |change: &Value| {
        let (kind, object, detail) = (&change["kind"], &change["object"], &change["detail"]);
        (text(kind), text(object), text(detail), change["statement"].as_u64())
    };
    run["changes"].as_array().into_iter().flatten().map(change).collect()
}

fn a_statement_in_a_transaction_is_named_and_mended(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "-- tidy up\nBEGIN;\nSET LOCAL lock_timeout = '5s';\nCREATE TABLE public.notes (id int);\n\
         REVOKE INSERT ON public.orders\n  FROM writers;\nCOMMENT ON TABLE public.notes IS 'x';\nCOMMIT;\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let entry = broken(&report, "importer")?;
    let cause = &entry["cause"];
    same("statement", cause["statement"].as_u64(), Some(4))?;
    same("line", cause["line"].as_u64(), Some(5))?;
    same("sql", cause["sql"].as_str(), Some("REVOKE INSERT ON public.orders\n  FROM writers"))?;
    same("proof", cause["proof"].as_str(), Some("without_it"))?;
    same("repair", entry["repair"]["verified"].as_bool(), Some(true))?;
    let repair = entry["repair"]["sql"].as_str().unwrap_or_default();
    same(repair, repair.starts_with("GRANT INSERT ON "), true)?;
    let changes = changes(&report["runs"][0]);
    let has = |kind: &str, object: &str, statement: u64| {
        changes.iter().any(|(k, o, _, s)| k == kind && o == object && *s == Some(statement))
    };
    same("the table", has("object_created", "table public.notes", 3), true)
        .and_then(|()| same("the privilege", has("privilege_lost", "table public.orders", 4), true))
        .map_err(|error| format!("{}: {changes:?}", error.message().unwrap_or_default()).into())
}

fn a_shell_scripts_statement_is_named(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sh",
        "#!/bin/sh\npsql -Xqc 'SELECT 1' >/dev/null\npsql -Xq -c 'CREATE TABLE t (a int); REVOKE SELECT ON public.orders FROM svc_reader; SELECT 2' >/dev/null\n\
         echo 'SELECT 3' | psql -Xq >/dev/null\n",
    );
    let report = rehearsal.report(backend, &["s.sh", "--runs", "1"], 1)?;
    let cause = &broken(&report, "reader")?["cause"];
    same("sql", cause["sql"].as_str(), Some("REVOKE SELECT ON public.orders FROM svc_reader"))?;
    same("statement", cause["statement"].as_u64(), Some(3))?;
    same("line", cause["line"].is_null(), true)?;
    let statements = report["runs"][0]["result"]["statements"].as_array().map_or(0, Vec::len);
    same("statements", statements, 5)
}

fn what_gexec_ran_is_blamed_on_its_query(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    let query = "SELECT format('REVOKE ALL ON %s FROM svc_reader', oid::regclass)\nFROM pg_class WHERE relname = 'orders'";
    rehearsal.file("s.sql", &format!("SELECT 1;\n\n{query}\n\\gexec\nSELECT 2;\n"));
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let cause = &broken(&report, "reader")?["cause"];
    same("sql", cause["sql"].as_str(), Some(query))?;
    same("line", cause["line"].as_u64(), Some(3))
}

fn of_two_that_each_suffice_the_first_is_proved(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "SELECT 1;\nREVOKE SELECT ON public.orders FROM svc_reader;\nALTER ROLE svc_reader NOLOGIN;\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let cause = &broken(&report, "reader")?["cause"];
    same("statement", cause["statement"].as_u64(), Some(2))?;
    same("proof", cause["proof"].as_str(), Some("up_to_it"))
}

fn what_a_script_did_is_told_where_nothing_broke(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "CREATE TABLE IF NOT EXISTS public.a (id int);\nGRANT SELECT ON public.a TO svc_reader;\n",
    );
    let report = rehearsal.report(backend, &["s.sql"], 0)?;
    let first = changes(&report["runs"][0]);
    same(
        "created",
        first.iter().any(|(kind, object, _, at)| {
            kind == "object_created" && object == "table public.a" && *at == Some(1)
        }),
        true,
    )
    .map_err(|error| Failed::from(format!("{}: {first:?}", error.message().unwrap_or_default())))?;
    same("second run", changes(&report["runs"][1]), vec![])?;
    let lines: Vec<_> = report["runs"][0]["result"]["statements"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|statement| statement["line"].as_u64())
        .collect();
    same("lines", lines, vec![Some(1), Some(2)])?;
    same("settled", report["settled"]["after_run"].as_u64(), Some(1))
}

fn passwords_are_masked(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "ALTER ROLE svc_reader\n  PASSWORD 'hunter2hunter2';\n");
    let outcome = rehearsal.check(backend, &["s.sql", "--runs", "1", "--format", "json"]);
    outcome.expect(1, &[])?;
    same("report", outcome.out.contains("hunter2"), false)?;
    same("errors", outcome.err.contains("hunter2"), false)?;
    let report = outcome.json()?;
    let cause = &broken(&report, "reader")?["cause"];
    same("line", cause["line"].as_u64(), Some(1))
}

fn nothing_is_replayed_where_nobody_wants_it(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1", "--no-replay"], 1)?;
    let entry = broken(&report, "reader")?;
    same("statement", entry["cause"]["statement"].is_null(), true)?;
    same("repair", entry["repair"].is_null(), true)
}

fn a_person_reads_the_line_and_the_repair(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "SELECT 1;\n\nREVOKE SELECT ON public.orders FROM svc_reader;\n");
    let outcome = rehearsal.check(backend, &["s.sql", "--runs", "1"]);
    outcome.expect(1, &[])?;
    for text in [
        "because of statement 2, line 3 of run 1:",
        "    3 | REVOKE SELECT ON public.orders FROM svc_reader",
        "GRANT SELECT ON public.orders TO svc_reader;",
    ] {
        if !outcome.out.contains(text) {
            return Err(format!("the report lacks {text:?}:\n{}", outcome.out).into());
        }
    }
    Ok(())
}

fn a_script_that_goes_on_changing_things_is_run_on(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "SELECT format('CREATE TABLE public.t%s ()', count(*)) FROM pg_tables \\gexec\n");
    let runs = |report: &Value| report["runs"].as_array().map_or(0, Vec::len);
    let report = rehearsal.report(backend, &["s.sql"], 0)?;
    same("runs", runs(&report), 5)?;
    same("settled", report["settled"].is_null(), true)?;
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2"], 0)?;
    same("runs that were asked for", runs(&report), 2)?;
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2", "--max-runs", "3"], 0)?;
    same("runs at most", runs(&report), 3)
}

/// The hazards of a report: kind, statement and message.
fn hazards(report: &Value) -> Vec<(String, Option<u64>, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["hazards"].as_array().into_iter().flatten();
    all.map(|one| (text(&one["kind"]), one["statement"].as_u64(), text(&one["message"]))).collect()
}

fn a_script_cut_off_in_the_middle_is_a_hazard(backend: Backend) -> Result<(), Failed> {
    let revoke_and_grant =
        "REVOKE SELECT ON public.orders FROM svc_reader;\nGRANT SELECT ON public.orders TO svc_reader;\n";
    let rehearsal = shop();
    rehearsal.file("s.sql", revoke_and_grant);
    rehearsal.file("one.sql", &format!("BEGIN;\n{revoke_and_grant}COMMIT;\n"));
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1", "--hazards", "latent"], 0)?;
    same("unless it is looked for", hazards(&report), vec![])?;
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1", "--hazards", "crash-points"], 0)?;
    let found = hazards(&report);
    same("hazards", found.len(), 1)?;
    for (kind, statement, message) in &found {
        same("kind", kind.as_str(), "crash_point")?;
        same("statement", *statement, Some(1))?;
        for text in ["reader", "permission denied for table orders", "a whole rerun mends it"] {
            same(message, message.contains(text), true)?;
        }
    }
    // Several points in a row that leave the same behind are one hazard; what is there at another time is another.
    rehearsal.file(
        "long.sql",
        "CREATE TABLE public.a (id int);\nREVOKE SELECT ON public.orders FROM svc_reader;\n\
         CREATE TABLE public.b (id int);\nBEGIN;\nCREATE TABLE public.c (id int);\nCREATE TABLE public.d (id int);\nCOMMIT;\n\
         GRANT SELECT ON public.orders TO svc_reader;\nREVOKE INSERT ON public.orders FROM writers;\n\
         GRANT INSERT ON public.orders TO writers;\nCREATE TABLE public.e (id int);\n",
    );
    let report = rehearsal.report(backend, &["long.sql", "--runs", "1", "--hazards", "crash-points"], 0)?;
    let found = hazards(&report);
    let at: Vec<_> = found.iter().map(|(_, at, _)| *at).collect();
    same("points", at, vec![Some(2), Some(9)])?;
    let (reader, importer) = (&found[0].2, &found[1].2);
    same(reader, reader.starts_with("cut off after statement 2 (line 2) or any up to 7 (line 7)"), true)?;
    same(reader, reader.contains("leaves reader broken"), true)?;
    same(importer, importer.contains("leaves importer broken"), true)?;
    let report = rehearsal.report(backend, &["one.sql", "--runs", "1", "--hazards", "crash-points"], 0)?;
    same("in one transaction", hazards(&report), vec![])
}

fn what_cannot_be_run_twice_is_a_hazard(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("s.sql", "SELECT 1;\nCREATE TABLE public.a (id int);\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "3"], 1)?;
    let found: Vec<_> = hazards(&report).into_iter().map(|(kind, at, _)| (kind, at)).collect();
    same("hazards", found, vec![("not_repeatable".to_owned(), Some(2))])
}
