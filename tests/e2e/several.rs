//! Several scripts in one check: independent rehearsals, one report.

use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, Rehearsal, VERDICT_ALONE, eventually, leftovers, same};

pub const TESTS: &[Test] = &[
    ("several::scripts_do_not_meet_each_other", scripts_do_not_meet_each_other),
    ("several::the_worst_decides", the_worst_decides),
    ("several::versions_are_several_rehearsals", versions_are_several_rehearsals),
    ("several::an_interruption_removes_all_of_it", an_interruption_removes_all_of_it),
    ("several::only_what_was_changed_is_rehearsed", only_what_was_changed_is_rehearsed),
];

const REVOKE: &str = "REVOKE INSERT ON public.orders FROM writers;\n";

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scripts = report["scripts"].as_array().map(Vec::as_slice).unwrap_or_default();
    scripts.iter().map(|script| (text(&script["script"]), text(&script["verdict"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(script, verdict)| ((*script).to_owned(), (*verdict).to_owned())).collect()
}

fn scripts_do_not_meet_each_other(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    // Each would fail if another had been there before.
    rehearsal
        .file("a.sql", "CREATE TABLE public.once (id int);\nDROP TABLE public.once;\n")
        .file("b.sql", REVOKE)
        .file("c.sql", "SELECT count(*) FROM public.orders;\n");
    let arguments =
        ["b.sql", "a.sql", "c.sql", "--jobs", "2", "--runs", "1", "--format", "json", "--output", "r.json"];
    let outcome = rehearsal.check(backend, &arguments);
    outcome.expect(1, &["[3/3] "])?;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(rehearsal.path("r.json"))?)?;
    same("verdicts", verdicts(&report), pairs(&[("b.sql", "fail"), ("a.sql", "pass"), ("c.sql", "pass")]))?;
    same("the whole", report["verdict"].as_str(), Some("fail"))?;
    let cause = &report["scripts"][0]["report"]["runs"][0]["workers"][0]["cause"]["line"];
    same("the culprit's line", cause.as_u64(), Some(1))?;
    for line in ["importer is BROKEN since run 1", "PASS a.sql: after 1 run", "3 scripts: 2 passed, 1 failed"]
    {
        same(line, outcome.out.contains(line), true)?;
    }
    Ok(())
}

fn the_worst_decides(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("a.sql", "SELECT 1;\n").file("b.sql", "SELECT 2;\n");
    let quick = [&["--runs", "1", "--format", "json", "--quiet"], &VERDICT_ALONE[..]].concat();
    let outcome = rehearsal.check(backend, &[&["a.sql", "b.sql"][..], &quick].concat());
    outcome.expect(0, &[])?;
    same("standard error", outcome.err.as_str(), "")?;
    // What cannot be planned is told before anything is run.
    rehearsal
        .check(backend, &[&["a.sql", "nowhere.sql"][..], &quick].concat())
        .expect(2, &["nowhere.sql"])?;
    rehearsal.check(backend, &["a.sql", "b.sql", "--keep"]).expect(2, &["--keep"])?;
    // A rehearsal that cannot be made is worse than one that fails.
    rehearsal.file("b.sql", REVOKE);
    let outcome =
        rehearsal.check(backend, &[&["a.sql", "b.sql", "--postgres", "15,99"][..], &quick].concat());
    outcome.expect(4, &[])?;
    let report = outcome.json()?;
    let expected = [("a.sql", "pass"), ("a.sql", "error"), ("b.sql", "fail"), ("b.sql", "error")];
    same("verdicts", verdicts(&report), pairs(&expected))
}

fn versions_are_several_rehearsals(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "SELECT 1;\n");
    let versions = if backend == Backend::Docker { "15,17,18" } else { "15,99" };
    let arguments = ["s.sql", "--postgres", versions, "--runs", "1", "--format", "json", "--quiet"];
    let outcome = rehearsal.check(backend, &[&arguments, &VERDICT_ALONE[..]].concat());
    let report = outcome.json()?;
    let scripts = report["scripts"].as_array().ok_or("scripts")?;
    let wanted: Vec<_> = versions.split(',').map(|version| version.parse().ok()).collect();
    let asked: Vec<_> = scripts.iter().map(|script| script["postgres"].as_u64()).collect();
    same("versions", asked, wanted)?;
    for script in scripts.iter().filter(|script| script["report"].is_object()) {
        let server = script["report"]["sandbox"]["postgres"].as_str().unwrap_or_default();
        let major = script["postgres"].to_string();
        same("its server", server.split('.').next(), Some(major.as_str()))?;
    }
    outcome.expect(if backend == Backend::Docker { 0 } else { 4 }, &[])?;
    Ok(())
}

fn only_what_was_changed_is_rehearsed(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal
        .file("db/a.sql", "SELECT 1;\n")
        .file("db/b.sql", "\\ir parts/b.sql\n")
        .file("db/parts/b.sql", "SELECT 2;\n")
        .file("db/c.sql", "SELECT 3;\n");
    let git = |arguments: &[&str]| -> Result<(), Failed> {
        let mut command = Command::new("git");
        command.arg("-C").arg(rehearsal.directory.path());
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(arguments);
        let output = command.output()?;
        same("git", output.status.code(), Some(0))
    };
    let scripts = ["db/a.sql", "db/b.sql", "db/c.sql"];
    let options = ["--runs", "1", "--format", "json", "--changed-since", "main"];
    let options = [&options, &VERDICT_ALONE[..]].concat();
    let check = || rehearsal.check(backend, &[&scripts[..], &options].concat());
    check().expect(2, &["--changed-since needs a work tree of git"])?;
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "."])?;
    git(&["commit", "--quiet", "--message=first"])?;
    git(&["checkout", "--quiet", "-b", "branch"])?;

    let outcome = check();
    outcome.expect(0, &["none of 3 scripts was changed since main"])?;
    same("no script", verdicts(&outcome.json()?), Vec::new())?;
    // What a script includes belongs to it, and what is not committed yet counts too.
    rehearsal.file("db/parts/b.sql", REVOKE);
    let outcome = check();
    outcome.expect(1, &[])?;
    same("one script is its own report", outcome.json()?["script"].as_str(), Some("db/b.sql"))?;
    git(&["commit", "--quiet", "--all", "--message=second"])?;
    rehearsal.file("db/new.sql", "SELECT 4;\n");
    let outcome = rehearsal.check(backend, &[&scripts[..], &["db/new.sql"], &options].concat());
    outcome.expect(1, &[])?;
    same("two", verdicts(&outcome.json()?), pairs(&[("db/b.sql", "fail"), ("db/new.sql", "pass")]))?;
    // Another schema concerns all of them.
    let schema = std::fs::read_to_string(rehearsal.path("schema.sql"))?;
    rehearsal.file("schema.sql", &format!("{schema}\nCREATE TABLE public.more (id int);\n"));
    same("all", verdicts(&check().json()?).len(), 3)?;
    let unknown = [&scripts[..], &["--changed-since", "no-such-branch"]].concat();
    rehearsal
        .check(backend, &unknown)
        .expect(2, &["git knows no branch or commit no-such-branch", "fetch-depth"])?;
    Ok(())
}

/// Processes that were started so.
fn started_with(argument: &str) -> usize {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is = |line: &[u8]| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes());
    all.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| is(&line))).count()
}

/// The sandboxes whose locks a process holds.
fn sandboxes_of(process: u32) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let locks = targets.filter(|path| path.file_name().is_some_and(|name| name == "lock"));
    let names = locks.filter_map(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    names.filter(|name| name.starts_with("thirdrun-")).collect()
}

fn an_interruption_removes_all_of_it(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\ntimeout = '500s'\n{IMPORTER}"));
    // Nobody else sleeps so long.
    let time = format!("300.{}", std::process::id());
    for name in ["a.sh", "b.sh", "c.sh"] {
        rehearsal.file(name, &format!("#!/bin/bash\nexec sleep {time}\n"));
    }
    let mut command = rehearsal.command(backend, &["a.sh", "b.sh", "c.sh", "--jobs", "2"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let ran = eventually("two scripts that run", || started_with(&time) >= 2);
    let sandboxes = sandboxes_of(child.id());
    let process = Pid::from_raw(child.id().cast_signed()).ok_or("no process")?;
    kill_process(process, Signal::INT)?;
    let status = child.wait()?;
    ran?;
    same("the exit code", status.code(), Some(130))?;
    same("sandboxes of the two, and one of the whole", sandboxes.len() >= 3, true)?;
    let left: Vec<_> = leftovers()
        .into_iter()
        .filter(|one| sandboxes.iter().any(|name| one.contains(name.as_str())))
        .collect();
    same("left", (left, started_with(&time)), (Vec::new(), 0))
}
