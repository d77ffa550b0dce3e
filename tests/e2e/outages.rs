//! The outages of `fixtures/outages`, each with the statuses that were seen on a real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::incidents::bundles;
use crate::support::{Backend, Outcome, entries, finish, same, statuses, thirdrun};

/// Every outage: its name and its directory.
pub fn all() -> Vec<(String, PathBuf)> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/outages");
    let mut found: Vec<_> = std::fs::read_dir(base)
        .expect("the fixtures")
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    found
}

/// That the report names one of the guilty statements, or the part of a script's line that is one.
fn blames(entry: &Value, guilty: &Value) -> Result<(), Failed> {
    let squashed = |text: &str| {
        text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches(';').to_lowercase()
    };
    let blamed = squashed(entry["cause"]["sql"].as_str().unwrap_or_default());
    let found = guilty
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(squashed)
        .any(|guilty| blamed.contains(&guilty) || (blamed.len() > 10 && guilty.contains(&blamed)));
    if found {
        Ok(())
    } else {
        Err(format!("{} is blamed on {blamed:?}, wanted {guilty}", entry["name"]).into())
    }
}

/// Rehearses an outage, and has the incident saved if it fails; then it has to happen again, with nothing different.
pub fn rehearse_and_replay(backend: Backend, directory: &Path) -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let bundle = place.path().join("incident.thirdrun");
    let outcome = finish(check(backend, directory).arg("--save-incident").arg(&bundle));
    as_seen(&outcome, directory)?;
    let failed = outcome.code == Some(1);
    same("a bundle of what failed", bundle.exists(), failed)?;
    if failed { bundles::happens_again(backend, &bundle).map(drop) } else { Ok(()) }
}

/// Rehearses an outage.
pub fn rehearse(backend: Backend, directory: &Path) -> Result<(), Failed> {
    as_seen(&finish(&mut check(backend, directory)), directory)
}

/// The command `thirdrun check` for an outage.
pub fn check(backend: Backend, directory: &Path) -> Command {
    let mut command = thirdrun();
    command.arg("check").arg("--config").arg(directory.join("thirdrun.toml"));
    command.args(["--backend", &backend.to_string(), "--format", "json", "--quiet"]);
    command
}

/// Fails unless an outage came to what was seen on a real server.
fn as_seen(outcome: &Outcome, directory: &Path) -> Result<(), Failed> {
    let expected = std::fs::read_to_string(directory.join("expect.json"))?;
    let expected: Value = serde_json::from_str(&expected)?;
    let report = outcome.json()?;
    let mut broke = false;
    for (worker, wanted) in expected["statuses"].as_object().into_iter().flatten() {
        // Whether a worker is disrupted or ok depends on when it meets the script.
        let got: Vec<_> = statuses(&report, worker)
            .into_iter()
            .map(|s| if s == "disrupted" { "ok".to_owned() } else { s })
            .collect();
        let wanted: Vec<_> =
            wanted.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect();
        broke |= wanted.iter().any(|status| status != "ok");
        same(worker, got, wanted)?;
    }
    for wanted in expected["breaks"].as_array().into_iter().flatten() {
        let worker = wanted["worker"].as_str().unwrap_or_default();
        let status = wanted["status"].as_str().unwrap_or_default();
        let entry = entries(&report, worker)
            .find(|entry| entry["status"] == status)
            .ok_or_else(|| format!("{worker} was never {status}"))?;
        let code = &wanted["sqlstate"];
        let seen = [
            &entry["existing_session"]["sqlstate"],
            &entry["new_session"]["sqlstate"],
            &entry["while_running"]["first_failure"]["sqlstate"],
        ];
        if !code.is_null() && !seen.contains(&code) {
            return Err(format!("{worker}: SQLSTATE {seen:?}, wanted {code}").into());
        }
        blames(entry, &expected["guilty"])?;
    }
    let codes: &[Option<i32>] = if broke { &[Some(1)] } else { &[Some(0), Some(1)] };
    same(&format!("exit code {:?}", outcome.code), codes.contains(&outcome.code), true)
}
