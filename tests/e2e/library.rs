//! The library of outages: each breaks whom its story says, by the statement that it says, is mended as it says, and the
//! script that avoids it reaches the same aim.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use thirdrun::library::{self, Break, FOUNDING_NAME, Incident, SAFE_SCRIPT};
use thirdrun::verdict::Status;

use crate::Test;
use crate::support::{Backend, Machine, entries, finish, same, statuses, thirdrun};
use crate::trial::trial;

pub const TESTS: &[Test] = &[
    ("library::every_directory_is_listed_and_no_other", every_directory_is_listed_and_no_other),
    ("library::a_name_that_is_none_is_refused", a_name_that_is_none_is_refused),
    ("library::it_is_written_and_told", it_is_written_and_told),
];

/// The worker that asks whether a script has reached its aim.
const AIM: &str = "aim";
/// The founding outage is bundled as it was, without such a worker.
const FOUNDING_AIM: &str = "
[[worker]]
name     = 'aim'
role     = 'ana'
session  = 'fresh'
from_run = 2
while_running = false
sql      = 'SELECT count(*) > 0 FROM sales.orders'
value    = 't'
";

/// What a trial does with an incident.
type Try = fn(Backend, Incident) -> Result<(), Failed>;

/// Each incident on each backend, and its safe script on one, for the time that it takes.
pub fn trials(machine: &Machine) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut one = |backend: Backend, suffix: &str, incident: Incident, test: Try| {
        let name = format!("{backend}::library::{}{suffix}", incident.name);
        trials.push(trial(name, machine.has(backend), move || test(backend, incident)));
    };
    let quicker = if machine.has(Backend::Local) { Backend::Local } else { Backend::Docker };
    for incident in library::all() {
        for backend in Backend::ALL {
            one(backend, "", incident, rehearsed);
        }
        one(quicker, "::safe", incident, safe);
    }
    trials
}

/// A text without what only lays it out.
fn squashed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches(';').to_owned()
}

fn rehearsed(backend: Backend, incident: Incident) -> Result<(), Failed> {
    let story = incident.story().ok_or("no story")?;
    let mut command = thirdrun();
    command.args(["demo", incident.name, "--backend", &backend.to_string(), "--format", "json", "--quiet"]);
    let outcome = finish(&mut command);
    outcome.expect(1, &[])?;
    let report = outcome.json()?;
    // Whom the check fails for, and in which run, is whom the story names, and nobody else.
    let reasons = report["reasons"].as_array().into_iter().flatten();
    let failed: BTreeSet<(String, u64)> = reasons
        .map(|reason| {
            let worker = reason["worker"].as_str().unwrap_or("the script").to_owned();
            (worker, reason["run"].as_u64().unwrap_or_default())
        })
        .collect();
    let named: BTreeSet<(String, u64)> =
        story.breaks.iter().map(|one| (one.worker.to_string(), u64::from(one.run))).collect();
    same("who breaks", failed, named)?;
    same("what the rehearsal file expects", recorded(incident)?, in_runs(&story.breaks))?;
    let told = incident.told().ok_or("no README.md")?;
    let has = |what: &str| {
        let found = squashed(told).contains(&squashed(what));
        if found { Ok(()) } else { Err(Failed::from(format!("README.md lacks {what:?}"))) }
    };
    has(&format!("# {}", story.title))?;
    has(SAFE_SCRIPT)?;
    for one in &story.breaks {
        broken(&report, one)?;
        has(&one.culprit)?;
        has(one.sqlstate.as_deref().unwrap_or_default())?;
        has(one.repair.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// That a worker is broken as its story says.
fn broken(report: &Value, one: &Break) -> Result<(), Failed> {
    let name = one.worker.as_str();
    let run = usize::try_from(one.run)?;
    let entry = report["runs"][run - 1]["workers"]
        .as_array()
        .and_then(|workers| workers.iter().find(|entry| entry["name"] == name))
        .ok_or_else(|| format!("{name} was not judged after run {run}"))?;
    same("status", entry["status"].clone(), serde_json::to_value(one.status)?)?;
    let new = &entry["new_session"];
    let existing = Some(&entry["existing_session"]).filter(|session| session["ok"] == false);
    let sqlstate = existing.unwrap_or(new)["sqlstate"].as_str();
    same("SQLSTATE", sqlstate, one.sqlstate.as_deref())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    same("culprit", squashed(&text(&entry["cause"]["sql"])), squashed(&one.culprit))?;
    same("in run", entry["cause"]["run"].as_u64(), Some(u64::from(one.run)))?;
    let told = format!("{}\n{}", text(&entry["cause"]["explanation"]), text(&entry["advice"]));
    let said = one.says.as_deref().unwrap_or_default();
    same(&told, told.contains(said), true)?;
    same("repair", entry["repair"]["sql"].as_str(), one.repair.as_deref())?;
    if one.repair.is_some() {
        same("verified", entry["repair"]["verified"].as_bool(), Some(true))?;
    }
    Ok(())
}

/// The workers that the rehearsal file expects each run to break.
fn recorded(incident: Incident) -> Result<BTreeSet<(String, u64)>, Failed> {
    let (_, content) =
        incident.files().find(|(name, _)| *name == "thirdrun.toml").ok_or("no rehearsal file")?;
    let file: toml::Value = toml::from_str(std::str::from_utf8(content)?)?;
    let mut recorded = BTreeSet::new();
    for (run, number) in file["run"].as_array().into_iter().flatten().zip(1..) {
        let breaks = run.get("breaks").and_then(toml::Value::as_array).into_iter().flatten();
        recorded.extend(breaks.filter_map(|name| Some((name.as_str()?.to_owned(), number))));
    }
    Ok(recorded)
}

fn in_runs(breaks: &[Break]) -> BTreeSet<(String, u64)> {
    breaks.iter().map(|one| (one.worker.to_string(), u64::from(one.run))).collect()
}

fn safe(backend: Backend, incident: Incident) -> Result<(), Failed> {
    let backend = backend.to_string();
    let mut command = thirdrun();
    command.args(["demo", incident.name, "--safe", "--backend", &backend, "--format", "json", "--quiet"]);
    let outcome = finish(&mut command);
    outcome.expect(0, &[])?;
    let report = outcome.json()?;
    passes(&report)?;
    let directory = tempfile::tempdir()?;
    let target = directory.path().join("incident");
    finish(thirdrun().args(["demo", incident.name, "--write"]).arg(&target)).expect(0, &[])?;
    let config = target.join("thirdrun.toml");
    let check = |text: &str| {
        std::fs::write(&config, text)?;
        let mut command = thirdrun();
        command.arg("check").arg("--config").arg(&config).arg(target.join(SAFE_SCRIPT));
        command.args(["--backend", &backend, "--no-replay", "--format", "json", "--quiet"]);
        Ok::<_, Failed>(finish(&mut command))
    };
    let mut text = std::fs::read_to_string(&config)?;
    if incident.name == FOUNDING_NAME {
        text.push_str(FOUNDING_AIM);
        let outcome = check(&text)?;
        outcome.expect(0, &[])?;
        reached(&outcome.json()?)?;
    } else {
        reached(&report)?;
    }
    // Before the script has run, the same worker fails, and nobody else does.
    let outcome = check(&asked_before(&text)?)?;
    outcome.expect(3, &[])?;
    let report = outcome.json()?;
    let reasons = report["reasons"].as_array().into_iter().flatten();
    let failing: Vec<_> = reasons.map(|reason| reason["worker"].clone()).collect();
    same("who fails before", failing, vec![Value::from(AIM)])
}

/// A rehearsal file whose last worker, the aim, is judged before the first run too.
fn asked_before(text: &str) -> Result<String, Failed> {
    let (before, aim) = text.rsplit_once("[[worker]]").ok_or("no worker")?;
    same("the last worker is the aim", aim.contains(AIM), true)?;
    let lines: Vec<&str> = aim.lines().filter(|line| !line.starts_with("from_run")).collect();
    Ok(format!("{before}[[worker]]{}", lines.join("\n")))
}

/// That nobody was broken and no statement failed.
fn passes(report: &Value) -> Result<(), Failed> {
    same("verdict", report["verdict"].as_str(), Some("pass"))?;
    for run in report["runs"].as_array().into_iter().flatten() {
        same("result", run["result"]["status"].as_str(), Some("succeeded"))?;
        same("errors", run["result"]["errors"].clone(), Value::Array(Vec::new()))?;
    }
    Ok(())
}

/// That the aim is reached after the last run.
fn reached(report: &Value) -> Result<(), Failed> {
    same("aim", statuses(report, AIM).pop(), Some("ok".to_owned()))?;
    let last = entries(report, AIM).last().ok_or("the aim was not judged")?;
    same("its session", last["new_session"]["ok"].as_bool(), Some(true))
}

/// The names of the directories of the library.
fn directories() -> BTreeSet<String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/library");
    let entries = std::fs::read_dir(base).expect("the library").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn every_directory_is_listed_and_no_other(_: Backend) -> Result<(), Failed> {
    let outcome = finish(thirdrun().args(["demo", "--list"]));
    outcome.expect(0, &[])?;
    let table = outcome.out.split("\n\n").next().unwrap_or_default();
    let first = |line: &str| line.split(' ').next().map(str::to_owned).filter(|name| !name.is_empty());
    let listed: BTreeSet<String> = table.lines().skip(1).filter_map(first).collect();
    let mut wanted = directories();
    wanted.insert(FOUNDING_NAME.to_owned());
    same("listed", listed, wanted)?;
    let statuses: BTreeSet<_> = library::all()
        .iter()
        .filter_map(Incident::story)
        .flat_map(|story| story.breaks)
        .map(|one| format!("{:?}", one.status))
        .collect();
    // A worker that breaks now, one that breaks later, one that stands.
    let all = [Status::Broken, Status::Disrupted, Status::Latent].map(|status| format!("{status:?}"));
    same("kinds of harm", statuses, all.into_iter().collect())
}

fn a_name_that_is_none_is_refused(_: Backend) -> Result<(), Failed> {
    let outcome = finish(thirdrun().args(["demo", "table-swop"]));
    outcome.expect(2, &["no outage 'table-swop'", "did you mean 'table-swap'?", "demo --list"])?;
    finish(thirdrun().args(["demo", "table-swap", "--list"])).expect(2, &["cannot be used with"])?;
    finish(thirdrun().args(["demo", "--story", "--safe"])).expect(2, &["cannot be used with"]).map(drop)
}

fn it_is_written_and_told(_: Backend) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir()?;
    for incident in library::all() {
        let target = directory.path().join(incident.name);
        let written = finish(thirdrun().args(["demo", incident.name, "--write"]).arg(&target));
        written.expect(0, &[])?;
        same("it says how to go on", written.out.contains(SAFE_SCRIPT), true)?;
        let source = match incident.name {
            FOUNDING_NAME => "fixtures/founding-outage".to_owned(),
            name => format!("fixtures/library/{name}"),
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        same("files", content(&target)?, content(&source)?)?;
        let told = finish(thirdrun().args(["demo", incident.name, "--story"]));
        told.expect(0, &[])?;
        same("story", told.out, std::fs::read_to_string(source.join("README.md"))?)?;
    }
    let script = directory.path().join("leaked-sessions/probe.sh");
    same("a script can be started", std::fs::metadata(script)?.permissions().mode() & 0o111, 0o111)
}

/// The files of a directory.
fn content(directory: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Failed> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        files.push((path.strip_prefix(directory)?.to_owned(), std::fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}
