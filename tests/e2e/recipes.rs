//! The recipes for CI servers, each run as its server would run it.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::clients::program;
use crate::support::{IMPORTER, Outcome, Rehearsal, same, thirdrun};

type Test = fn() -> Result<(), Failed>;

/// A test, and the program that it needs.
pub const TESTS: &[(&str, &str, Test)] = &[
    ("recipes::the_action_of_github", "bash", the_action_of_github),
    ("recipes::the_template_for_gitlab", "python", the_template_for_gitlab),
    ("recipes::the_hook_of_pre_commit", "pre-commit", the_hook_of_pre_commit),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REVOKE: &str = "REVOKE INSERT ON public.orders FROM writers;\n";

/// A repository with a script on a branch that breaks the worker, and one that was there before.
fn repository() -> Result<Rehearsal, Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 1\n{IMPORTER}"));
    rehearsal.file("db/1.sql", "SELECT 1;\n");
    git(&rehearsal, &["init", "--quiet", "--initial-branch=main"])?;
    git(&rehearsal, &["add", "."])?;
    git(&rehearsal, &["commit", "--quiet", "--message=first"])?;
    git(&rehearsal, &["checkout", "--quiet", "-b", "branch"])?;
    rehearsal.file("db/2 with a space.sql", REVOKE);
    git(&rehearsal, &["add", "."])?;
    git(&rehearsal, &["commit", "--quiet", "--message=second"])?;
    Ok(rehearsal)
}

fn git(rehearsal: &Rehearsal, arguments: &[&str]) -> Result<(), Failed> {
    let mut command = Command::new("git");
    command.arg("-C").arg(rehearsal.directory.path());
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(arguments);
    same("git", command.output()?.status.code(), Some(0))
}

/// Runs a command where `thirdrun` is the binary under test, on the local backend.
fn run(rehearsal: &Rehearsal, command: &mut Command) -> Result<Outcome, Failed> {
    let binary = Path::new(env!("CARGO_BIN_EXE_thirdrun"));
    let directory = binary.parent().ok_or("no directory")?.display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    for (name, value) in thirdrun().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("PATH", format!("{directory}:{path}")).current_dir(rehearsal.directory.path());
    let output = command.stdin(Stdio::null()).output()?;
    Ok(Outcome {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn the_action_of_github() -> Result<(), Failed> {
    let rehearsal = repository()?;
    let mut command = Command::new(Path::new(ROOT).join("recipes/github"));
    command
        .env("SCRIPTS", "db/*.sql")
        .env("CHANGED_SINCE", "main")
        .env("OPTIONS", "--backend\nlocal\n")
        .env("GITHUB_STEP_SUMMARY", rehearsal.path("summary.md"));
    let outcome = run(&rehearsal, &mut command)?;
    outcome.expect(1, &["importer is BROKEN"])?;
    let annotation = "::error file=db/2 with a space.sql,line=1,title=importer is broken";
    same("the annotation", outcome.out.starts_with(annotation), true)?;
    for (file, text) in [
        ("thirdrun.xml", "type=\"broken\""),
        ("thirdrun.html", "</html>"),
        ("thirdrun.md", "importer"),
        ("summary.md", "importer"),
    ] {
        let written = std::fs::read_to_string(rehearsal.path(file))?;
        same(file, written.contains(text), true)?;
    }
    // What the action hands over is what the program reads.
    let action = std::fs::read_to_string(Path::new(ROOT).join("action.yml"))?;
    for name in ["SCRIPTS", "CHANGED_SINCE", "CONFIG", "POSTGRES", "OPTIONS"] {
        same(name, action.contains(&format!("\n        {name}: ${{{{ inputs.")), true)?;
    }
    let mut command = Command::new(Path::new(ROOT).join("recipes/github"));
    let outcome = run(&rehearsal, command.env("SCRIPTS", "nowhere/*.sql"))?;
    same(
        "no script",
        (outcome.code, outcome.out.contains("no file is called nowhere/*.sql")),
        (Some(2), true),
    )
}

fn the_template_for_gitlab() -> Result<(), Failed> {
    let rehearsal = repository()?;
    let template = Path::new(ROOT).join("recipes/gitlab.yml");
    let read =
        "import sys, yaml; print('\\n'.join(yaml.safe_load(open(sys.argv[1]))['.thirdrun']['script']))";
    let python = program("python").ok_or("no python")?;
    let script = Command::new(python).args(["-c", read]).arg(template).output()?;
    same("the template", script.status.code(), Some(0))?;
    let mut command = Command::new("sh");
    command
        .args(["-e", "-c", &String::from_utf8_lossy(&script.stdout)])
        .env("SCRIPTS", "db/*.sql")
        .env("CI_MERGE_REQUEST_DIFF_BASE_SHA", "main");
    let outcome = run(&rehearsal, &mut command)?;
    outcome.expect(1, &[])?;
    same("the report for people", outcome.out.contains("importer is BROKEN"), true)?;
    let quality: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(rehearsal.path("thirdrun-quality.json"))?)?;
    let path = &quality[0]["location"]["path"];
    same("the script", path.as_str(), Some("db/2 with a space.sql"))?;
    same(
        "the others",
        rehearsal.path("thirdrun.xml").exists() && rehearsal.path("thirdrun.html").exists(),
        true,
    )
}

fn the_hook_of_pre_commit() -> Result<(), Failed> {
    let rehearsal = repository()?;
    let hook = std::fs::read_to_string(Path::new(ROOT).join(".pre-commit-hooks.yaml"))?;
    let hooks = Rehearsal::new("");
    hooks.file(".pre-commit-hooks.yaml", &hook);
    git(&hooks, &["init", "--quiet", "--initial-branch=main"])?;
    git(&hooks, &["add", ".pre-commit-hooks.yaml"])?;
    git(&hooks, &["commit", "--quiet", "--message=hooks"])?;
    let try_on = |files: &[&str]| -> Result<Outcome, Failed> {
        let mut command = Command::new(program("pre-commit").ok_or("no pre-commit")?);
        command.args(["try-repo", "--verbose"]).arg(hooks.directory.path()).arg("thirdrun");
        command.arg("--files").args(files).env("PRE_COMMIT_HOME", rehearsal.path("home"));
        run(&rehearsal, &mut command)
    };
    let outcome = try_on(&["db/1.sql", "thirdrun.toml"])?;
    same("one that passes", (outcome.code, outcome.out.contains("PASS after 1 run")), (Some(0), true))?;
    let outcome = try_on(&["db/1.sql", "db/2 with a space.sql"])?;
    same("one that does not", (outcome.code, outcome.out.contains("importer is BROKEN")), (Some(1), true))
}
