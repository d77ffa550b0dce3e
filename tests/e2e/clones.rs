//! Clones that are kept: the next check starts from a copy, which is as good as a new one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{
    Backend, IMPORTER, Outcome, READER, Rehearsal, SCHEMA, VERDICT_ALONE, finish, same, statuses,
};

pub const TESTS: &[Test] = &[
    ("clones::a_clone_is_kept_and_found_again", a_clone_is_kept_and_found_again),
    ("clones::a_kept_clone_is_like_a_new_one", a_kept_clone_is_like_a_new_one),
    ("clones::whatever_makes_another_clone_is_not_mistaken", whatever_makes_another_clone_is_not_mistaken),
    ("clones::two_checks_make_one_clone", two_checks_make_one_clone),
    ("clones::a_failed_clone_is_not_kept", a_failed_clone_is_not_kept),
    ("clones::gc_removes_old_ones", gc_removes_old_ones),
];

/// A rehearsal with a cache of its own, which is removed with it.
struct Kept {
    rehearsal: Rehearsal,
    cache: tempfile::TempDir,
}

impl Kept {
    fn new() -> Result<Self, Failed> {
        let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
        // Like no other, so that no clone of anybody else is found.
        let unique = format!("{SCHEMA}\n-- {:?}\n", rehearsal.directory.path());
        rehearsal.file("schema.sql", &unique).file("s.sql", "REVOKE INSERT ON public.orders FROM writers;");
        Ok(Self { rehearsal, cache: tempfile::tempdir()? })
    }

    /// The cheapest check that has a verdict: which clone it starts from is all that is asked here.
    fn command(&self, backend: Backend, arguments: &[&str]) -> Command {
        let cheap = ["s.sql", "--runs", "1", "--format", "json"];
        let mut command = self.rehearsal.command(backend, &[&cheap, &VERDICT_ALONE[..], arguments].concat());
        command.env("THIRDRUN_CACHE_DIR", self.cache.path()).env_remove("THIRDRUN_NO_CACHE");
        command
    }

    fn check(&self, backend: Backend, arguments: &[&str]) -> Outcome {
        finish(&mut self.command(backend, arguments))
    }

    fn report(&self, backend: Backend, arguments: &[&str]) -> Result<Value, Failed> {
        let outcome = self.check(backend, arguments);
        outcome.expect(1, &[])?;
        outcome.json()
    }

    /// Whether a check starts from a clone that was kept.
    fn finds(&self, backend: Backend, arguments: &[&str]) -> Result<bool, Failed> {
        Ok(self.report(backend, arguments)?["sandbox"]["seed_cached"] == true)
    }

    /// What the cache has, by kind.
    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache.path()).expect("the cache");
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()))).collect()
    }

    /// The names of the images that would have the clones.
    fn images(&self) -> Vec<String> {
        let locks = self.entries(|name| name.ends_with(".lock"));
        let key = |path: &PathBuf| {
            let stem = path.file_stem()?.to_string_lossy().into_owned();
            Some(format!("thirdrun-seed:{}", stem.strip_prefix("seed-")?))
        };
        locks.iter().filter_map(key).collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for image in self.images() {
            // Most of them never were.
            let _ = Command::new("docker")
                .args(["rmi", &image])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn a_clone_is_kept_and_found_again(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    let first = kept.report(backend, &[])?;
    let second = kept.report(backend, &[])?;
    same("the first", first["sandbox"]["seed_cached"].as_bool(), Some(false))?;
    same("the second", second["sandbox"]["seed_cached"].as_bool(), Some(true))?;
    same("the clone", &first["clone"], &second["clone"])?;
    for report in [&first, &second] {
        same("statuses", statuses(report, "importer"), vec!["broken".to_owned()])?;
        same("statuses", statuses(report, "reader"), vec!["ok".to_owned()])?;
    }
    same("found with --no-cache", kept.finds(backend, &["--no-cache"])?, false)
}

/// What a script sees of the server, its settings and its passwords.
fn a_kept_clone_is_like_a_new_one(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    let script = "#!/bin/bash\nset -e\npsql -XAt <<'SQL'\nSELECT rolname, rolsuper, rolpassword LIKE 'SCRAM%' FROM pg_authid ORDER BY 1;\n\
                  SELECT name, regexp_replace(setting, '^/.*/', ''), source FROM pg_settings WHERE source NOT IN ('default', 'client', 'command line') ORDER BY 1;\n\
                  SELECT datname FROM pg_database ORDER BY 1;\nSELECT max(id), count(*) < 10 FROM public.orders WHERE total <> 10;\nSQL\n\
                  pg_dumpall -s | grep -vE 'restrict|PASSWORD'\nexit 3\n";
    kept.rehearsal.file("s.sql", "").file("s.sh", script);
    let text = format!("[clone]\nsettings = {{ work_mem = '5MB' }}\n[data]\nrows = 7\n{IMPORTER}{READER}");
    kept.rehearsal
        .file("thirdrun.toml", &text.replace("every = '20ms'", "every = '20ms'\nwhile_running = false"));
    let tail = |cached: bool| -> Result<String, Failed> {
        let arguments = ["s.sh", "--runs", "1", "--format", "json"];
        let mut command = kept.rehearsal.command(backend, &[&arguments, &VERDICT_ALONE[..]].concat());
        let report =
            finish(command.env("THIRDRUN_CACHE_DIR", kept.cache.path()).env_remove("THIRDRUN_NO_CACHE"));
        let report = report.expect(1, &[])?.json()?;
        same("cached", report["sandbox"]["seed_cached"].as_bool(), Some(cached))?;
        Ok(report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default().to_owned())
    };
    let (new, found) = (tail(false)?, tail(true)?);
    same("work_mem", new.contains("work_mem|5120|configuration file"), true)?;
    same("what a script sees", found, new)
}

fn whatever_makes_another_clone_is_not_mistaken(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    same("the first", kept.finds(backend, &[])?, false)?;
    same("with another seed of the rows", kept.finds(backend, &["--seed", "2"])?, false)?;
    let text = std::fs::read_to_string(kept.rehearsal.path("schema.sql"))?;
    kept.rehearsal.file("schema.sql", &format!("{text}CREATE TABLE public.more (i int);\n"));
    same("with another schema", kept.finds(backend, &[])?, false)?;
    kept.rehearsal.file("schema.sql", &text);
    same("as it was at first", kept.finds(backend, &[])?, true)
}

fn two_checks_make_one_clone(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    let start = || {
        let mut command = kept.command(backend, &["--quiet"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let children = [start()?, start()?, start()?];
    let mut cached = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
        same("the verdict", report["verdict"].as_str(), Some("fail"))?;
        cached.push(report["sandbox"]["seed_cached"] == true);
    }
    cached.sort();
    same("who found it", cached, vec![false, true, true])
}

fn a_failed_clone_is_not_kept(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    let text = std::fs::read_to_string(kept.rehearsal.path("schema.sql"))?;
    kept.rehearsal.file("schema.sql", &format!("{text}CREATE TABLE public.orders (i int);\n"));
    for _ in 0..2 {
        kept.check(backend, &[]).expect(4, &["42P07"])?;
    }
    let clones = kept.entries(|name| name.starts_with("seed-") && !name.ends_with(".lock"));
    same("clones in the cache", clones, Vec::new())?;
    same("half-made ones", kept.entries(|name| name.starts_with("new-")), Vec::new())?;
    for image in kept.images() {
        let there = Command::new("docker").args(["image", "inspect", &image]).output();
        same("an image", there.is_ok_and(|output| output.status.success()), false)?;
    }
    Ok(())
}

fn gc_removes_old_ones(backend: Backend) -> Result<(), Failed> {
    let kept = Kept::new()?;
    kept.report(backend, &[])?;
    let gc = |arguments: &[&str]| {
        let mut command = crate::support::thirdrun();
        command.arg("gc").args(arguments).env("THIRDRUN_CACHE_DIR", kept.cache.path());
        finish(&mut command)
    };
    let name = match backend {
        Backend::Local => kept.entries(|name| name.starts_with("seed-") && !name.ends_with(".lock"))[0]
            .display()
            .to_string(),
        Backend::Docker => kept.images().remove(0),
    };
    let old = |arguments: &[&str]| gc(&[&["--older-than", "18000d"], arguments].concat());
    same("what is not old", old(&[]).expect(0, &[])?.out.contains(&name), false)?;
    // Nothing else is that old.
    for entry in kept.entries(|name| name.starts_with("seed-")) {
        std::fs::File::open(entry)?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    }
    same(
        "a dry run",
        old(&["--dry-run"]).expect(0, &[])?.out.contains(&format!("would remove the clone {name}")),
        true,
    )?;
    same("removal", old(&[]).expect(0, &[])?.out.contains(&format!("removed the clone {name}")), true)?;
    same("locks", kept.entries(|name| name.starts_with("seed-")).len(), 0)?;
    same("found after it", kept.finds(backend, &[])?, false)
}
