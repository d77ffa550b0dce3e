//! Reports for CI servers: each form is what its reader takes, and `thirdrun report` writes the same again.

use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, finish, same, thirdrun};

pub const TESTS: &[Test] = &[
    ("renderings::every_form_is_what_its_reader_takes", every_form_is_what_its_reader_takes),
    ("renderings::a_report_is_rendered_again", a_report_is_rendered_again),
    ("renderings::trouble_is_an_error_and_no_failure", trouble_is_an_error_and_no_failure),
    ("renderings::a_job_has_a_summary", a_job_has_a_summary),
];

/// Every form but the one for a terminal.
const FORMS: [&str; 7] = ["json", "junit", "markdown", "html", "github", "gitlab", "sarif"];
/// The form of JUnit files that Jenkins takes.
const JUNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports/junit-10.xsd");
/// The form of SARIF files that code scanning takes.
const SARIF: &str = include_str!("../reports/sarif-2.1.0.json");
/// A script of a stranger: names and texts that are markup elsewhere.
const SCRIPT: &str = "-- a comment\n\
    CREATE TABLE IF NOT EXISTS public.\"<b>|@me\" (id int);\n\
    REVOKE INSERT ON public.orders\n    FROM writers;\n\
    SELECT '`%0A::error::]]>' FROM nowhere;\n";

/// A rehearsal with every form in a file of its name.
fn rendered(backend: Backend) -> Result<Rehearsal, Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    rehearsal.file("db/grant all.sql", SCRIPT);
    let mut arguments = vec!["db/grant all.sql", "--runs", "2", "--quiet"];
    for form in FORMS {
        arguments.extend(["--format", form, "--output", form]);
    }
    rehearsal.check(backend, &arguments).expect(1, &[])?;
    Ok(rehearsal)
}

fn read(rehearsal: &Rehearsal, name: &str) -> Result<String, Failed> {
    Ok(std::fs::read_to_string(rehearsal.path(name))?)
}

fn contains(what: &str, text: &str, wanted: &[&str]) -> Result<(), Failed> {
    match wanted.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("{what} lacks {part:?}:\n{text}").into()),
    }
}

fn every_form_is_what_its_reader_takes(backend: Backend) -> Result<(), Failed> {
    let rehearsal = rendered(backend)?;
    let repair = "GRANT INSERT ON public.orders TO svc_import";

    valid_junit(&rehearsal)?;
    let junit = read(&rehearsal, "junit")?;
    contains(
        "JUnit",
        &junit,
        &[
            "<testsuite name=\"db/grant all.sql\" tests=\"8\"",
            "name=\"run 1: importer\"",
            "importer is broken after run 2",
            "type=\"broken\"",
            "type=\"script_failed\"",
            "line 3",
            repair,
        ],
    )?;
    same("no error", junit.contains("errors=\"0\""), true)?;

    let sarif: Value = serde_json::from_str(&read(&rehearsal, "sarif")?)?;
    let mut schema: Value = serde_json::from_str(SARIF)?;
    // Its pattern for languages, which thirdrun does not write, is no regular expression to all who read it.
    for languages in schema.pointer_mut("/definitions").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(language) = languages.1.pointer_mut("/properties/language").and_then(Value::as_object_mut)
        {
            language.remove("pattern");
        }
    }
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("sarif.json", schema).map_err(|error| error.to_string())?;
    let schema = compiler.compile("sarif.json", &mut schemas).map_err(|error| error.to_string())?;
    schemas.validate(&sarif, schema).map_err(|error| format!("SARIF: {error}"))?;
    let broken = &sarif["runs"][0]["results"][0];
    same("its rule", broken["ruleId"].as_str(), Some("worker_broken"))?;
    let place = &broken["locations"][0]["physicalLocation"];
    same("its file", place["artifactLocation"]["uri"].as_str(), Some("db/grant%20all.sql"))?;
    same("its line", place["region"]["startLine"].as_u64(), Some(3))?;

    let gitlab: Value = serde_json::from_str(&read(&rehearsal, "gitlab")?)?;
    let entries = gitlab.as_array().ok_or("a list")?;
    same("GitLab's worst", entries[0]["severity"].as_str(), Some("blocker"))?;
    same("GitLab's line", entries[0]["location"]["lines"]["begin"].as_u64(), Some(3))?;
    let mut fingerprints: Vec<_> = entries.iter().filter_map(|entry| entry["fingerprint"].as_str()).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    same("fingerprints", fingerprints.len(), entries.len())?;

    let github = read(&rehearsal, "github")?;
    same(
        "only commands",
        github.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")),
        true,
    )?;
    let failures = github.lines().filter(|line| line.contains("failed in run")).count();
    same("what fails in the same place in each run is told once", failures, 1)?;
    contains("GitHub", &github, &["::error file=db/grant all.sql,line=3,title=importer", repair])?;

    let markdown = read(&rehearsal, "markdown")?;
    let wanted = [
        "### ❌ thirdrun: ",
        "| importer (svc\\_import) | ok | **BROKEN** | **BROKEN** |",
        "line 3",
        "```sql\nREVOKE INSERT",
        repair,
    ];
    contains("Markdown", &markdown, &wanted)?;
    same("nobody is called", markdown.contains("@me"), false)?;

    let html = read(&rehearsal, "html")?;
    contains(
        "HTML",
        &html,
        &["REVOKE INSERT", repair, "BROKEN", "class=\"ok\"", "class=\"statement\"", "&#60;b&#62;|@me"],
    )?;
    let reached: Vec<_> = ["http:", "https:", "<script", "src=", "url("]
        .into_iter()
        .filter(|word| html.contains(*word))
        .collect();
    same("what it would load", reached, Vec::new())
}

fn valid_junit(rehearsal: &Rehearsal) -> Result<(), Failed> {
    let output = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema", JUNIT, "junit"])
        .current_dir(rehearsal.directory.path())
        .output()
        .map_err(|error| format!("xmllint, of the package libxml2-utils: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{said}\n{}", read(rehearsal, "junit")?).into())
    }
}

fn a_report_is_rendered_again(backend: Backend) -> Result<(), Failed> {
    let rehearsal = rendered(backend)?;
    let render = |arguments: &[&str]| {
        let mut command = thirdrun();
        command.arg("report").args(arguments).current_dir(rehearsal.directory.path());
        finish(&mut command)
    };
    for form in FORMS {
        let again = render(&["json", "--format", form]);
        again.expect(0, &[])?;
        same(form, again.out == read(&rehearsal, form)?, true)?;
        same("nothing else is said", again.err.as_str(), "")?;
    }
    contains("the human one", &render(&["json"]).out, &["importer is BROKEN since run 1", "FAIL "])?;
    render(&["markdown"])
        .expect(2, &["cannot render markdown", "it is no report of thirdrun", "--format json"])?;
    rehearsal.file("later", "{\"report_version\": 99}");
    render(&["later"]).expect(2, &["it is of version 99"])?;
    render(&["nothing"]).expect(2, &["cannot read nothing"])?;
    Ok(())
}

fn trouble_is_an_error_and_no_failure(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("s.sql", "SELECT 1;\n").file("schema.sql", "CREATE TABLE t (a no_such_type);\n");
    let mut arguments = vec!["s.sql"];
    for form in FORMS {
        arguments.extend(["--format", form, "--output", form]);
    }
    rehearsal.check(backend, &arguments).expect(4, &["no_such_type"])?;
    valid_junit(&rehearsal)?;
    contains(
        "JUnit",
        &read(&rehearsal, "junit")?,
        &["errors=\"1\" failures=\"0\"", "<error ", "no_such_type"],
    )?;
    let json: Value = serde_json::from_str(&read(&rehearsal, "json")?)?;
    same("the verdict", json["verdict"].as_str(), Some("error"))?;
    same("the exit code", json["scripts"][0]["error"]["exit_code"].as_u64(), Some(4))?;
    contains("Markdown", &read(&rehearsal, "markdown")?, &["not rehearsed", "no\\_such\\_type"])?;

    // A worker that fails beforehand is no failure of the script either.
    let rehearsal = Rehearsal::new(&format!("{READER}on_connect = ['SET role TO nobody']\n"));
    rehearsal.file("s.sql", "SELECT 1;\n");
    let outcome = rehearsal.check(backend, &["s.sql", "--format", "junit", "--output", "junit"]);
    outcome.expect(3, &[])?;
    valid_junit(&rehearsal)?;
    contains(
        "JUnit",
        &read(&rehearsal, "junit")?,
        &["errors=\"1\" failures=\"0\"", "worker_fails_at_baseline"],
    )
}

fn a_job_has_a_summary(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(IMPORTER);
    rehearsal.file("s.sql", "REVOKE INSERT ON public.orders FROM writers;\n").file("summary", "before\n");
    let mut command = rehearsal.command(backend, &["s.sql", "--runs", "1", "--format", "github", "--quiet"]);
    command.env("GITHUB_STEP_SUMMARY", rehearsal.path("summary"));
    let outcome = finish(&mut command);
    outcome.expect(1, &[])?;
    contains("standard output", &outcome.out, &["::error file=s.sql,line=1,"])?;
    contains("the summary", &read(&rehearsal, "summary")?, &["before\n### ❌ thirdrun: ", "```sql"])
}
