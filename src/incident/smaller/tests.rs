use super::*;
use crate::dump::PlainDump;
use crate::incident::sample::document;
use crate::plan::{Overrides, build};

const FILE: &str = "
[data]
tables = { t = 5 }
[clone]
settings = { work_mem = '5MB' }
hba = ['host all a all md5']
[[worker]]
name = 'a'
role = 'a'
sql = 'SELECT 1'
[[worker]]
name = 'b'
role = 'b'
from_run = 2
sql = 'SELECT 2'
[[run]]
script = 's.sql'
[[run]]
script = 'u.sql'
breaks = ['b']
";

/// Two runs of two workers, of which the second breaks one.
fn whole() -> (Smaller, Document) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("thirdrun.toml", FILE),
        ("schema.sql", "CREATE TABLE t (i int);\n"),
        (
            "s.sql",
            "-- first\nSELECT 1; SELECT 2 -- two\n;\nCOPY t FROM stdin;\n1\n\\.\nSELECT 3\n\\gexec\n\\echo x\n",
        ),
        ("u.sql", "SELECT 4;\n"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let plan = build(&Overrides::default(), directory.path()).unwrap();
    let dump = |text: &str| PlainDump {
        path: "schema.sql".into(),
        text: text.to_owned(),
        is_file: true,
        sources: Default::default(),
    };
    let dumps = Dumps { schema: vec![dump("CREATE TABLE t (i int);\n")], roles: vec![], load: vec![] };
    let (ok, broken) = (("a", "ok", None), ("b", "broken", Some("42501")));
    let seen = document(&[("succeeded", &[ok]), ("succeeded", &[ok, broken])]);
    (Smaller::of(&plan, &dumps, &seen).unwrap(), seen)
}

fn script(name: &str) -> Subject {
    Subject::Script(Path::new("scripts").join(name))
}

#[test]
fn everything_that_has_parts_is_found() {
    let (whole, _) = whole();
    let found: Vec<_> =
        whole.subjects().iter().map(|subject| (subject.parts(), whole.count(subject))).collect();
    let wanted = [
        ("workers", 2),
        ("runs", 2),
        ("statements of scripts/s.sql", 5),
        ("statements of scripts/u.sql", 1),
        ("kinds of synthetic rows", 2),
        ("settings", 2),
        ("statements of clone/schema.sql", 1),
    ];
    assert_eq!(found, wanted.map(|(parts, count)| (parts.to_owned(), count)));
}

#[test]
fn statements_end_where_they_did() {
    let (whole, _) = whole();
    let text = |smaller: &Smaller| smaller.text(Path::new("scripts/s.sql")).unwrap();
    let all = whole.with(&script("s.sql"), &[0, 1, 2, 3, 4]);
    assert_eq!(
        text(&all),
        "SELECT 1;\nSELECT 2 -- two\n;\nCOPY t FROM stdin;\n1\n\\.\nSELECT 3\n\\gexec\n\\echo x\n"
    );
    assert_eq!(text(&whole.with(&script("s.sql"), &[0, 4])), "SELECT 1;\n\\echo x\n");
    assert_eq!(text(&whole.with(&script("s.sql"), &[])), "");
}

#[test]
fn what_is_left_is_a_rehearsal_file() {
    let (whole, seen) = whole();
    let smaller = whole.with(&Subject::Workers, &[1]).with(&Subject::Runs, &[1]);
    let smaller = smaller.with(&Subject::Settings, &[1]).with(&Subject::Rows, &[]);
    assert!(smaller.uses(&script("u.sql")) && !smaller.uses(&script("s.sql")));
    let directory = tempfile::tempdir().unwrap();
    let config = smaller.unpack(directory.path()).unwrap();
    let plan = build(&Overrides { config: Some(config), ..Overrides::default() }, directory.path()).unwrap();
    let names: Vec<_> = plan.workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!((names, plan.runs.len(), plan.workers[0].from_run.0), (vec!["b"], 1, 1));
    assert_eq!((plan.seed.rows.rows, plan.seed.rows.tables.len(), plan.sandbox.settings.len()), (0, 0, 0));
    assert_eq!(plan.sandbox.hba, ["host all a all md5"]);
    // What came of it is recorded, and the script that no run needs is gone.
    let last = Document { runs: seen.runs[1..].to_vec(), ..seen };
    let bundle = smaller.bundle(&last);
    let text = String::from_utf8(bundle.files[Path::new("thirdrun.toml")].bytes.clone()).unwrap();
    assert!(text.contains("breaks = [\"b\"]"), "{text}");
    assert!(!bundle.files.contains_key(Path::new("scripts/s.sql")));
    assert_eq!(smaller.shown().len(), 2);
}
