//! Incidents: replayed from a directory, saved as a bundle, and opened elsewhere.

pub mod bundles;
mod hostile;
mod minimized;

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, Outcome, READER, Rehearsal, finish, same, thirdrun};

pub const TESTS: &[Test] = &[
    ("incidents::a_directory_happens_again", a_directory_happens_again),
    ("incidents::what_differs_is_said", what_differs_is_said),
    ("incidents::a_worker_that_fails_beforehand_is_inconclusive", a_worker_that_fails_beforehand),
    ("incidents::a_check_that_fails_is_saved", bundles::a_check_that_fails_is_saved),
    ("incidents::no_password_is_in_a_bundle", bundles::no_password_is_in_a_bundle),
    ("incidents::programs_have_their_files_beside_them", bundles::programs_have_their_files_beside_them),
    ("incidents::a_bundle_may_differ", bundles::a_bundle_may_differ),
];

/// What takes no server, or many rehearsals.
pub const LOCAL_TESTS: &[Test] = &[
    ("incidents::what_records_nothing_is_refused", what_records_nothing_is_refused),
    ("incidents::only_what_failed_is_saved", bundles::only_what_failed_is_saved),
    ("incidents::rows_that_are_skipped_are_not_saved", bundles::rows_that_are_skipped_are_not_saved),
    ("incidents::hostile_bundles_are_refused", hostile::bundles_are_refused),
    ("incidents::the_environment_is_not_given_to_a_bundle", hostile::environment),
    ("incidents::minimized::founding_three_edits", minimized::founding_three_edits),
    ("incidents::minimized::flag_toggle", minimized::flag_toggle),
    ("incidents::minimized::a_script_that_fails", minimized::a_script_that_fails),
    ("incidents::minimized::an_interruption_keeps_the_smallest", minimized::interrupted),
];

/// What needs both backends.
pub const DOCKER_TESTS: &[Test] = &[
    ("incidents::elsewhere::founding_three_edits", |_| bundles::elsewhere("founding-three-edits")),
    ("incidents::elsewhere::leaked_sessions", |_| bundles::elsewhere("leaked-sessions-connection-limit")),
];

/// The command `thirdrun reproduce`, away from everything that the incident came from.
pub fn reproduce(backend: Backend, incident: &Path) -> Command {
    let mut command = thirdrun();
    command.arg("reproduce").arg(incident).args(["--backend", &backend.to_string()]).current_dir("/");
    command
}

/// The differences that a report tells, in words.
pub fn differences(report: &Value) -> Vec<String> {
    let all = report["reproduction"]["differences"].as_array().into_iter().flatten();
    all.filter_map(|one| one["message"].as_str().map(str::to_owned)).collect()
}

/// Fails unless standard output has all of these.
pub fn prints(outcome: &Outcome, texts: &[&str]) -> Result<(), Failed> {
    match texts.iter().find(|text| !outcome.out.contains(**text)) {
        Some(text) => Err(format!("the report lacks {text:?}:\n{}\n{}", outcome.out, outcome.err).into()),
        None => Ok(()),
    }
}

/// The demo's files, with another text in its rehearsal file.
fn demo(from: &str, to: &str) -> Result<tempfile::TempDir, Failed> {
    let directory = tempfile::tempdir()?;
    let target = directory.path().join("demo");
    finish(thirdrun().arg("demo").arg("--write").arg(&target)).expect(0, &[])?;
    let path = target.join("thirdrun.toml");
    let text = std::fs::read_to_string(&path)?;
    same("the text to be changed", text.contains(from), true)?;
    std::fs::write(&path, text.replace(from, to))?;
    Ok(directory)
}

fn a_directory_happens_again(backend: Backend) -> Result<(), Failed> {
    let directory = demo("", "")?;
    let mut command = reproduce(backend, &directory.path().join("demo"));
    let outcome = finish(in_all_formats(&mut command, directory.path()).args(["--format", "human"]));
    outcome.expect(0, &[])?;
    prints(&outcome, &["FAIL run 3 broke order-importer and nightly-export", "\nREPRODUCED what "])?;
    rendered(directory.path(), "### ✅ thirdrun: reproduced\n", 0)
}

/// With a report in each of the formats that CI servers read, in this directory.
fn in_all_formats<'a>(command: &'a mut Command, directory: &Path) -> &'a mut Command {
    for format in ["html", "markdown", "junit", "github", "gitlab", "sarif"] {
        command.args(["--format", format, "--output"]).arg(directory.join(format));
    }
    command
}

/// To a CI server what breaks as it is recorded is well, and each difference is a failure.
fn rendered(directory: &Path, headline: &str, differences: usize) -> Result<(), Failed> {
    let read = |format: &str| std::fs::read_to_string(directory.join(format));
    let markdown = read("markdown")?;
    same(&markdown, markdown.starts_with(headline), true)?;
    let badge = if differences == 0 { ">REPRODUCED<" } else { ">NOT REPRODUCED<" };
    same(badge, read("html")?.contains(badge), true)?;
    for (format, finding) in [
        ("junit", "<failure"),
        ("github", "::error"),
        ("gitlab", "\"severity\""),
        ("sarif", "\"partialFingerprints\""),
    ] {
        let text = read(format)?;
        same(&format!("findings of {format}:\n{text}"), text.matches(finding).count(), differences)?;
    }
    Ok(())
}

fn what_differs_is_said(backend: Backend) -> Result<(), Failed> {
    let directory = demo("breaks = [\"order-importer\", \"nightly-export\"]", "breaks = [\"dashboard\"]")?;
    let path = directory.path().join("demo/thirdrun.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("fails  = true", "").replace("2-without", "1-first-try.sql\"\n#"))?;
    let mut command = reproduce(backend, &directory.path().join("demo"));
    in_all_formats(&mut command, directory.path()).args(["--no-replay", "--format", "json"]);
    let outcome = finish(&mut command);
    outcome.expect(1, &["NOT REPRODUCED"])?;
    let report = outcome.json()?;
    same("again", report["reproduction"]["happened_again"].as_bool(), Some(false))?;
    let messages = differences(&report);
    let starts = [
        "run 1 failed and was not to: psql:1-first-try.sql:4: ERROR:  syntax error",
        "run 2 failed and was not to: psql:1-first-try.sql:4: ERROR:  syntax error",
        "dashboard was to break in run 3 and did not: it works",
        "order-importer broke in run 3 and was not to: 42501 permission denied for database",
        "nightly-export broke in run 3 and was not to: 42501 permission denied for database",
    ];
    same("differences", messages.len(), starts.len())?;
    for (message, start) in messages.iter().zip(starts) {
        same(message, message.starts_with(start), true)?;
    }
    rendered(directory.path(), "### ❌ thirdrun: not reproduced\n", starts.len())
}

fn a_worker_that_fails_beforehand(backend: Backend) -> Result<(), Failed> {
    let worker = "[[worker]]\nname = 'w'\nrole = 'svc_reader'\nsql = 'SELECT * FROM public.nothing'\n";
    let rehearsal = Rehearsal::new(&format!("[[run]]\nscript = 's.sql'\nbreaks = ['w']\n{worker}"));
    rehearsal.file("s.sql", "SELECT 1;\n");
    let outcome = finish(&mut reproduce(backend, rehearsal.directory.path()));
    outcome.expect(3, &[])?;
    same("a word on reproduction", outcome.out.contains("REPRODUCED"), false)
}

fn what_records_nothing_is_refused(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\npath = 's.sql'\n{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "SELECT 1;\n");
    let refused =
        |incident: &Path, said: &[&str]| finish(&mut reproduce(backend, incident)).expect(2, said).map(drop);
    refused(rehearsal.directory.path(), &["does not record what happened", "[[run]]", "breaks = "])?;
    refused(&rehearsal.path("nowhere"), &["there is no incident", "--save-incident"])?;
    let empty = tempfile::tempdir()?;
    refused(empty.path(), &["has no thirdrun.toml", "demo --write"])?;
    rehearsal.file("thirdrun.toml", "[[run]]\nscript = 's.sql'\nbreaks = ['imporetr']\n");
    refused(rehearsal.directory.path(), &["there is no worker"])
}
