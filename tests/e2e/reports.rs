//! Reports: where they go, and that they are complete.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, VERDICT_ALONE, same};

pub const TESTS: &[Test] = &[
    ("reports::every_field_of_the_contract_is_there", every_field_of_the_contract_is_there),
    ("reports::formats_go_where_they_are_told", formats_go_where_they_are_told),
    ("reports::no_password_is_ever_shown", no_password_is_ever_shown),
];

fn every_field_of_the_contract_is_there(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "REVOKE INSERT ON public.orders FROM writers;\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2"], 1)?;
    let wanted = [
        "/report_version",
        "/thirdrun",
        "/verdict",
        "/reasons/0/kind",
        "/reasons/0/worker",
        "/reasons/0/run",
        "/reasons/0/message",
        "/sandbox/backend",
        "/sandbox/postgres",
        "/sandbox/image",
        "/sandbox/ready_ms",
        "/sandbox/seed_cached",
        "/clone/tables",
        "/clone/roles",
        "/clone/rows",
        "/clone/tables_without_rows",
        "/clone/skipped",
        "/baseline/workers/0/name",
        "/runs/0/run",
        "/runs/0/script",
        "/runs/0/result/status",
        "/runs/0/result/exit_code",
        "/runs/0/result/duration_ms",
        "/runs/0/result/output_tail",
        "/runs/0/result/statements",
        "/runs/0/changes",
        "/runs/0/workers/0/name",
        "/runs/0/workers/0/role",
        "/runs/0/workers/0/status",
        "/runs/0/workers/0/while_running/iterations",
        "/runs/0/workers/0/while_running/failures",
        "/runs/0/workers/0/while_running/longest_gap_ms",
        "/runs/0/workers/0/while_running/p50_ms",
        "/runs/0/workers/0/while_running/p99_ms",
        "/runs/0/workers/0/while_running/first_failure",
        "/runs/0/workers/0/existing_session/ok",
        "/runs/0/workers/0/existing_session/sqlstate",
        "/runs/0/workers/0/existing_session/message",
        "/runs/0/workers/0/existing_session/step",
        "/runs/0/workers/0/new_session/ok",
        "/runs/0/workers/0/cause/run",
        "/runs/0/workers/0/cause/statement",
        "/runs/0/workers/0/cause/line",
        "/runs/0/workers/0/cause/sql",
        "/runs/0/workers/0/cause/explanation",
        "/runs/0/workers/0/repair",
        "/settled",
        "/hazards",
    ];
    let missing: Vec<_> = wanted.iter().filter(|path| report.pointer(path).is_none()).collect();
    same("missing fields", missing, Vec::new())?;
    same("a fresh worker has no session", report["runs"][0]["workers"][1]["existing_session"].is_null(), true)
}

fn formats_go_where_they_are_told(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("s.sql", "SELECT 1;\n");
    let check = |more: &[&str]| {
        rehearsal.check(backend, &[&["s.sql", "--runs", "1"], &VERDICT_ALONE[..], more].concat())
    };
    let outcome = check(&["--format", "json", "--output", "r.json"]);
    outcome.expect(0, &["run 1 of 1"])?;
    same("the terminal has the human report", outcome.out.contains("PASS after 1 run"), true)?;
    let written: Value = serde_json::from_str(&std::fs::read_to_string(rehearsal.path("r.json"))?)?;
    same("the file has the other", written["verdict"].as_str(), Some("pass"))?;
    let outcome = check(&["--format", "json"]);
    outcome.json()?;
    same("standard error has the human report", outcome.err.contains("PASS after 1 run"), true)?;
    let outcome = check(&["--quiet"]);
    same("quiet", (outcome.out.as_str(), outcome.err.as_str()), ("", ""))
}

fn no_password_is_ever_shown(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{READER}password = 'a-secret-word'\n"));
    rehearsal.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    // One on standard output, the other on standard error.
    let outcome = rehearsal.check(backend, &["s.sql", "--runs", "1", "--format", "json"]);
    outcome.expect(1, &["FAIL run 1 broke reader"])?.json()?;
    same("a password", format!("{}{}", outcome.out, outcome.err).contains("a-secret-word"), false)
}
