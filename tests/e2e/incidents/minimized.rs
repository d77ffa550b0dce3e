//! Incidents that are made smaller: what is left still happens, and each part of it is needed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};

use super::bundles::{happens_again, save};
use super::{prints, reproduce};
use crate::support::{Backend, IMPORTER, READER, Rehearsal, finish, same, statuses};

/// Saves an outage, makes it smaller, and replays what is left; the scripts of that.
fn minimized(backend: Backend, outage: &str, worker: &str, said: &[&str]) -> Result<Vec<String>, Failed> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/outages").join(outage);
    let place = tempfile::tempdir()?;
    let (bundle, small) = (place.path().join("whole.thirdrun"), place.path().join("small"));
    save(backend, &directory, &bundle)?;
    let outcome = finish(reproduce(backend, &bundle).arg("--minimize").arg("--out").arg(&small));
    outcome.expect(0, &["looking for the least in which"])?;
    prints(&outcome, said)?;
    // It is an incident by itself.
    let report = happens_again(backend, &small)?;
    same("the worker is left alone", report["baseline"]["workers"].as_array().map(Vec::len), Some(1))?;
    same("and breaks last", statuses(&report, worker).last().map(String::as_str), Some("broken"))?;
    let mut scripts = Vec::new();
    for run in report["runs"].as_array().into_iter().flatten() {
        let script = small.join(run["script"].as_str().unwrap_or_default());
        scripts.push(std::fs::read_to_string(script)?);
    }
    Ok(scripts)
}

pub fn founding_three_edits(backend: Backend) -> Result<(), Failed> {
    let said = [
        "billing is broken with SQLSTATE 42501",
        "runs: 1 of 3",
        "workers: 1 of 2",
        "statements of scripts/script-3.sql: 1 of 4",
    ];
    let scripts = minimized(backend, "founding-three-edits", "billing", &said)?;
    same(
        "scripts",
        scripts,
        vec!["REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM app_rw;\n".to_owned()],
    )
}

/// No error is raised: the worker finds no row.
pub fn flag_toggle(backend: Backend) -> Result<(), Failed> {
    let said = ["dispatcher is broken, after", "runs: 1 of 4", "statements of clone/load.sql: 2 of 2"];
    let scripts = minimized(backend, "flag-toggle", "dispatcher", &said)?;
    let toggle = "UPDATE public.feature_flags SET enabled = NOT enabled WHERE name = 'dispatcher';\n";
    same("scripts", scripts, vec![toggle.to_owned()])
}

/// Without a broken worker it is the script's failure that must stay.
pub fn a_script_that_fails(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[[run]]\nscript = 's.sql'\nfails = true\n{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "SELECT 1;\nSELECT 1 / 0; -- here\nSELECT 2;\n");
    let small = rehearsal.path("small.thirdrun");
    let mut command = reproduce(backend, rehearsal.directory.path());
    let outcome = finish(command.arg("--minimize").arg("--out").arg(&small));
    outcome.expect(0, &[])?;
    prints(&outcome, &["the script fails with SQLSTATE 22012", "scripts/s.sql\n  SELECT 1 / 0;\n"])?;
    happens_again(backend, &small)?;
    // Nothing is overwritten, and that is said before anything is rehearsed.
    let again =
        finish(reproduce(backend, rehearsal.directory.path()).arg("--minimize").arg("--out").arg(&small));
    again.expect(2, &["exists already"]).map(drop)
}

/// Ctrl-C: the smallest so far is there, and nothing of a sandbox.
pub fn interrupted(backend: Backend) -> Result<(), Failed> {
    let rehearsal =
        Rehearsal::new(&format!("[[run]]\nscript = 's.sql'\nbreaks = ['reader']\n{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "SELECT 1;\nREVOKE SELECT ON public.orders FROM svc_reader;\nSELECT 2;\n");
    let small = rehearsal.path("small.thirdrun");
    let mut command = reproduce(backend, rehearsal.directory.path());
    command.arg("--minimize").arg("--out").arg(&small).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let mut text = String::new();
    for line in said.by_ref() {
        let line = line?;
        let over = line.contains("statements of scripts/s.sql");
        text.push_str(&line);
        if over {
            break;
        }
    }
    same(&text, text.contains("workers: 1 of 2 left"), true)?;
    kill_process(Pid::from_raw(child.id().cast_signed()).ok_or("no process")?, Signal::INT)?;
    let rest: Vec<String> = said.collect::<Result<_, _>>()?;
    same("exit", child.wait()?.code(), Some(130))?;
    same(&rest.join("\n"), rest.iter().any(|line| line.starts_with("the smallest incident")), true)?;
    let report = happens_again(backend, &small)?;
    same("workers", report["baseline"]["workers"].as_array().map(Vec::len), Some(1))
}
