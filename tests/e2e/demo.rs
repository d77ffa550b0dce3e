//! `thirdrun demo`, `doctor` and the exit codes that users script against.

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, finish, same, statuses, thirdrun};

pub const TESTS: &[Test] = &[
    ("demo::the_founding_outage_is_seen", the_founding_outage_is_seen),
    ("demo::it_tells_a_person_what_happened", it_tells_a_person_what_happened),
    ("demo::its_files_can_be_written_and_checked", its_files_can_be_written_and_checked),
];

fn the_founding_outage_is_seen(backend: Backend) -> Result<(), Failed> {
    let mut command = thirdrun();
    command.args(["demo", "--backend", &backend.to_string(), "--format", "json", "--quiet"]);
    // It works from any directory.
    let outcome = finish(command.current_dir("/"));
    outcome.expect(1, &[])?;
    let report = outcome.json()?;
    same("verdict", report["verdict"].as_str(), Some("fail"))?;
    same("backend", report["sandbox"]["backend"].as_str(), Some(backend.to_string().as_str()))?;
    same("importer", statuses(&report, "order-importer"), vec!["ok".into(), "ok".into(), "latent".into()])?;
    same("export", statuses(&report, "nightly-export"), vec!["ok".into(), "ok".into(), "broken".into()])?;
    same("dashboard", statuses(&report, "dashboard"), vec!["ok".to_owned(); 3])?;
    let results: Vec<_> =
        report["runs"].as_array().into_iter().flatten().map(|run| run["result"]["status"].clone()).collect();
    same("scripts", results, vec!["failed".into(), "succeeded".into(), "succeeded".into()])
}

fn it_tells_a_person_what_happened(backend: Backend) -> Result<(), Failed> {
    let outcome = finish(thirdrun().args(["demo", "--backend", &backend.to_string()]));
    outcome.expect(1, &["run 3 of 3"])?;
    for text in [
        "nightly-export is BROKEN since run 3 (3-with-more-actions.sql)",
        "42501 permission denied for database \"shop\"",
        "order-importer is LATENT since run 3",
        "FAIL run 3 broke order-importer and nightly-export",
        "psql:1-first-try.sql:4: ERROR:  syntax error",
    ] {
        if !outcome.out.contains(text) {
            return Err(format!("the report lacks {text:?}:\n{}", outcome.out).into());
        }
    }
    same("colours where no terminal is", outcome.out.contains('\u{1b}'), false)
}

fn its_files_can_be_written_and_checked(backend: Backend) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let target = directory.path().join("demo");
    finish(thirdrun().arg("demo").arg("--write").arg(&target)).expect(0, &[])?;
    finish(thirdrun().arg("demo").arg("--write").arg(&target)).expect(2, &["exists already"])?;
    let mut command = thirdrun();
    command.args(["check", "--backend", &backend.to_string(), "--quiet"]);
    finish(command.current_dir(&target)).expect(1, &[]).map(drop)
}
