//! A check as a bundle: its dumps, roles, workers, scripts, runs, seed, versions and report, without a password.
//!
//! A pure step but for the scripts' files, which are read: what is made of a plan, its dumps as SQL and the report is
//! written by [`Bundle::save`].

use std::path::{Component, Path, PathBuf};

use super::bundle::{Bundle, Entry, Manifest};
use super::compare::recorded_of;
use super::error::IncidentError;
use super::file::{FileOut, RunOut};
use super::tree::{Tree, programs_run_in};
use crate::dump::{ItemKind, PlainDump, split};
use crate::plan::{FILE_NAME, Plan};
use crate::report::{Document, ResultStatus};
use crate::runs::RunSpec;
use crate::secrets::Disguise;
use crate::seed::{DataInDump, Dumps};

/// Where the dumps are in a bundle.
const CLONE: &str = "clone";
/// Where scripts are, and what they need beside them.
const SCRIPTS: &str = "scripts";

/// A rehearsal with everything that it needs, to be written or made smaller.
#[derive(Clone)]
pub(super) struct Gathered {
    pub(super) file: FileOut,
    pub(super) bundle: Bundle,
    /// Where the rehearsal file goes.
    pub(super) rehearsal: PathBuf,
}

/// Makes a bundle of a check that has ended.
///
/// # Errors
/// When a script cannot be read any more, or there is too much of it.
pub fn bundle(plan: &Plan, dumps: &Dumps, document: &Document) -> Result<Bundle, IncidentError> {
    let mut gathered = gather(plan, dumps, document)?;
    gathered.write_file(&heading(document));
    Ok(gathered.bundle)
}

impl Gathered {
    /// Puts the rehearsal file as it is now into the bundle.
    pub(super) fn write_file(&mut self, heading: &str) {
        // All of it can be written as TOML.
        let text = self.file.text(heading).unwrap_or_default();
        self.bundle.files.insert(self.rehearsal.clone(), Entry::text(text));
    }
}

/// Collects a rehearsal, with made-up passwords in the place of real ones.
pub(super) fn gather(plan: &Plan, dumps: &Dumps, document: &Document) -> Result<Gathered, IncidentError> {
    let mut disguise = Disguise::sparing(names(plan));
    let sandbox = &document.sandbox;
    let mut manifest =
        Manifest::new(sandbox.postgres.clone(), sandbox.backend.clone(), sandbox.image.clone());
    let major = sandbox.postgres.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let tree = Tree::of(plan)?;
    for dump in dumps.schema.iter().chain(&dumps.roles) {
        disguise.spare_words_of(&dump.text);
    }
    for text in tree.files.values().filter_map(|entry| std::str::from_utf8(&entry.bytes).ok()) {
        disguise.learn_variables(text);
    }
    let mut file = FileOut::of_plan(plan, major, &mut disguise);
    // Programs of workers run where the rehearsal file is.
    let home = programs_run_in(plan).map(|directory| Path::new(SCRIPTS).join(tree.place(&directory)));
    let home = home.unwrap_or_default();
    let rehearsal = home.join(FILE_NAME);
    manifest.rehearsal = rehearsal.display().to_string();
    let mut files = std::collections::BTreeMap::new();
    for (kind, all, named) in [
        ("schema", &dumps.schema, &mut file.clone.schema),
        ("roles", &dumps.roles, &mut file.clone.roles),
        ("load", &dumps.load, &mut file.data.load),
    ] {
        for (dump, number) in all.iter().zip(1..) {
            let place = Path::new(CLONE).join(if all.len() == 1 {
                format!("{kind}.sql")
            } else {
                format!("{kind}-{number}.sql")
            });
            named.push(relative(&home, &place));
            let rows = if kind == "load" { DataInDump::Load } else { plan.seed.in_dump };
            files.insert(place, Entry::text(dumped(dump, rows, &mut disguise)));
        }
    }
    for spec in plan.runs.iter().take(document.runs.len()) {
        let Some(run) = document.runs.iter().find(|run| run.run == spec.number) else { continue };
        let script = Path::new(SCRIPTS).join(tree.place(&spec.script));
        let fails = run.result.status != ResultStatus::Succeeded;
        let breaks = recorded_of(run, document).iter().map(|worker| worker.name.to_string()).collect();
        file.run.push(RunOut::of(spec, relative(&home, &script), fails, breaks, &mut disguise));
    }
    for worker in &mut file.worker {
        worker.from_run = worker.from_run.min(u32::try_from(document.runs.len()).unwrap_or(u32::MAX)).max(1);
    }
    manifest.left_out.clone_from(&tree.left_out);
    note_variables(plan, &mut manifest);
    let total: usize = tree.files.values().map(|entry| entry.bytes.len()).sum();
    if total as u64 > super::bundle::MOST {
        return Err(IncidentError::TooLarge);
    }
    for (place, entry) in tree.files {
        let entry = disguised(&place, entry, &mut disguise);
        files.insert(Path::new(SCRIPTS).join(place), entry);
    }
    // What was found in one file may stand in another that was passed before.
    let mut kept = std::collections::BTreeMap::new();
    for (place, entry) in files {
        match std::str::from_utf8(&entry.bytes) {
            Ok(text) => {
                let text = disguise.everywhere(text);
                kept.insert(place, Entry { executable: entry.executable, ..Entry::text(text) });
            }
            Err(_) if disguise.is_in(&entry.bytes) => {
                manifest
                    .left_out
                    .push(format!("{}: a password is in it, and it is no text", place.display()));
            }
            Err(_) => {
                kept.insert(place, entry);
            }
        }
    }
    kept.insert(manifest.report.clone().into(), Entry::text(report(document, &mut disguise)));
    manifest.exchanged = disguise.count();
    let file = file.everywhere(&disguise);
    Ok(Gathered { file, bundle: Bundle { manifest, files: kept }, rehearsal })
}

/// Names that are no secrets, even if a password is the same word.
fn names(plan: &Plan) -> impl Iterator<Item = String> {
    let workers = plan.workers.iter().flat_map(|worker| [worker.name.to_string(), worker.role.to_string()]);
    let runs = plan.runs.iter().map(|run| run.role.to_string());
    workers.chain(runs).chain([plan.seed.database.to_string()])
}

/// A dump without its passwords, and without the rows that the clone does not have either.
fn dumped(dump: &PlainDump, rows: DataInDump, disguise: &mut Disguise) -> String {
    if rows == DataInDump::Skip { disguise.sql(&without_rows(&dump.text)) } else { disguise.sql(&dump.text) }
}

/// A dump without the data of its `COPY`s, and without its `INSERT`s.
fn without_rows(dump: &str) -> String {
    let mut text = String::with_capacity(dump.len());
    let mut written = 0;
    for item in split(dump).unwrap_or_default() {
        let rows = match item.kind {
            ItemKind::Copy(data) => data,
            ItemKind::Statement if is_insert(item.text) => item.text,
            ItemKind::Statement | ItemKind::Command | ItemKind::Inside { .. } => continue,
        };
        // An item is a part of the dump.
        let at = (rows.as_ptr() as usize).saturating_sub(dump.as_ptr() as usize);
        text.push_str(dump.get(written..at).unwrap_or_default());
        written = at + rows.len();
    }
    text.push_str(dump.get(written..).unwrap_or_default());
    text
}

fn is_insert(statement: &str) -> bool {
    statement.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("insert into "))
}

fn disguised(place: &Path, entry: Entry, disguise: &mut Disguise) -> Entry {
    let Ok(text) = std::str::from_utf8(&entry.bytes) else { return entry };
    let text = if is_settings(place) {
        disguise.settings(text)
    } else if !text.starts_with("#!") && looks_like_sql(text) {
        disguise.sql(text)
    } else {
        disguise.text(text)
    };
    Entry { executable: entry.executable, ..Entry::text(text) }
}

/// Whether a file is one of settings, by its name.
fn is_settings(place: &Path) -> bool {
    const KINDS: [&str; 9] = ["yaml", "yml", "ini", "conf", "cfg", "cnf", "env", "properties", "toml"];
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let kind = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && KINDS.contains(&kind)
}

/// Whether a text is made of SQL statements, whatever the file is called.
fn looks_like_sql(text: &str) -> bool {
    const VERBS: [&str; 18] = [
        "alter", "begin", "call", "comment", "commit", "copy", "create", "delete", "do", "drop", "grant",
        "insert", "revoke", "select", "set", "start", "truncate", "update",
    ];
    let items = split(text).unwrap_or_default();
    let statements = || items.iter().filter(|item| !matches!(item.kind, ItemKind::Command));
    let verb = |text: &str| {
        let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        VERBS.contains(&word.to_ascii_lowercase().as_str())
    };
    statements().next().is_some_and(|item| verb(item.text)) || text.starts_with('\\')
}

/// What scripts saw of the caller's environment is not in a bundle: it may be anything.
fn note_variables(plan: &Plan, manifest: &mut Manifest) {
    let seen = |run: &RunSpec| run.env.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let names: std::collections::BTreeSet<String> = plan.runs.iter().flat_map(seen).collect();
    for name in names {
        manifest.left_out.push(format!("the variable {name} of the environment, which the script saw"));
    }
}

/// The report, without what a script has printed of its passwords.
pub(super) fn report(document: &Document, disguise: &mut Disguise) -> String {
    // All of it can be written as JSON.
    let mut value = serde_json::to_value(document).unwrap_or_default();
    texts(&mut value, &mut |text| {
        let text = disguise.text(text);
        disguise.everywhere(&text)
    });
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

fn texts(value: &mut serde_json::Value, change: &mut dyn FnMut(&str) -> String) {
    use serde_json::Value;
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| texts(value, change)),
        Value::Object(fields) => fields.values_mut().for_each(|value| texts(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What the rehearsal file of a bundle says of itself.
fn heading(document: &Document) -> String {
    let runs: Vec<String> = document.reasons.iter().map(|reason| reason.message.replace('\n', " ")).collect();
    format!(
        "An incident that `thirdrun check --save-incident` has saved. `thirdrun reproduce` replays it.\n{}",
        runs.join("\n")
    )
}

/// The way from a directory to a file, both of them below the same place.
fn relative(from: &Path, to: &Path) -> String {
    let (mut from, mut to) = (from.components().peekable(), to.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = from.map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to).collect();
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_rehearsal_file_to_the_others() {
        let relative = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(relative("", "clone/schema.sql"), "clone/schema.sql");
        assert_eq!(relative("scripts/ops", "clone/schema.sql"), "../../clone/schema.sql");
        assert_eq!(relative("scripts/ops", "scripts/ops/a.sql"), "a.sql");
        assert_eq!(relative("scripts", "scripts/db/a.sql"), "db/a.sql");
    }

    #[test]
    fn rows_that_are_skipped_stay_at_home() {
        let dump = "CREATE TABLE t (a text);\nCOPY t FROM stdin;\nsomebody\n\\.\nINSERT INTO t VALUES ('else');\nSELECT 1;\n";
        assert_eq!(without_rows(dump), "CREATE TABLE t (a text);\nCOPY t FROM stdin;\n\\.\n;\nSELECT 1;\n");
    }

    #[test]
    fn sql_is_told_from_other_languages() {
        for (text, sql) in [
            ("-- a comment\nGRANT a TO b;\n", true),
            ("\\set x 1\nSELECT 1;", true),
            ("import psycopg\nprint('x')\n", false),
            ("{\"password\": \"x\"}", false),
            ("", false),
        ] {
            assert_eq!(looks_like_sql(text), sql, "{text}");
        }
    }
}
