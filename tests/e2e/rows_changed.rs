//! What a guilty statement did to rows: told, and put back where it is little.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, Rehearsal, entries, same};

pub const TESTS: &[Test] = &[
    ("rows_changed::a_flag_in_a_transaction_is_put_back", a_flag_in_a_transaction_is_put_back),
    ("rows_changed::a_row_that_is_gone_is_put_back", a_row_that_is_gone_is_put_back),
    ("rows_changed::tables_that_truncate_reaches_are_named", tables_that_truncate_reaches_are_named),
];

const FLAGS: &str = "CREATE TABLE public.flags (name text PRIMARY KEY, note text, enabled boolean NOT NULL);\n\
    GRANT SELECT ON public.flags TO svc_reader;\n\
    CREATE TABLE public.uses (flag text REFERENCES public.flags);\nGRANT SELECT ON public.uses TO svc_reader;\n\
    INSERT INTO public.flags VALUES ('import', 'it''s a \\ \"flag\"', true), ('export', NULL, true);\n\
    INSERT INTO public.uses VALUES ('import'), ('export'), (NULL);\n";

/// A worker that finds something to do while a flag is there and set. The importer's rows must not be taken for the
/// script's.
fn flagged(wanted: &str) -> Rehearsal {
    let rehearsal = Rehearsal::new(&format!(
        "load = 'flags.sql'\n{}\n[[worker]]\nname = 'flagged'\nrole = 'svc_reader'\nevery = '20ms'\ntimeout = '10s'\n\
         max_outage = '60s'\nsql = \"{wanted}\"\nrows = '>=1'\n",
        crate::support::IMPORTER
    ));
    rehearsal.file("flags.sql", FLAGS);
    rehearsal
}

fn broken(report: &Value) -> Result<&Value, Failed> {
    entries(report, "flagged")
        .find(|entry| !entry["cause"].is_null())
        .ok_or_else(|| format!("it has no cause: {report:#}").into())
}

fn says(entry: &Value, words: &str) -> Result<(), Failed> {
    let told = entry["cause"]["explanation"].as_str().unwrap_or_default();
    same(told, told.contains(words), true)
}

fn a_flag_in_a_transaction_is_put_back(backend: Backend) -> Result<(), Failed> {
    let rehearsal = flagged("SELECT 1 FROM public.flags WHERE name = 'import' AND enabled");
    let toggle = "UPDATE public.flags SET enabled = NOT enabled WHERE name = 'import'";
    rehearsal.file(
        "s.sql",
        &format!(
            "BEGIN;\nUPDATE public.flags SET note = 'before' WHERE name = 'export';\n{toggle};\n\
             DELETE FROM public.uses WHERE flag IS NULL;\nCOMMIT;\n"
        ),
    );
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let entry = broken(&report)?;
    same("statement", entry["cause"]["statement"].as_u64(), Some(3))?;
    says(entry, "It changes 1 row of public.flags: enabled from t to f.")?;
    let wanted = "UPDATE public.flags SET enabled = 't' WHERE name = 'import';";
    same("repair", entry["repair"]["sql"].as_str(), Some(wanted))?;
    same("tried", entry["repair"]["verified"].as_bool(), Some(true))?;
    // As the first run did no harm, the advice is about repeating it.
    rehearsal.file("twice.sql", "UPDATE public.flags SET note = 'x', enabled = note IS DISTINCT FROM 'x';\n");
    let report = rehearsal.report(backend, &["twice.sql", "--runs", "2"], 1)?;
    let advice = broken(&report)?["advice"].as_str().unwrap_or_default();
    same(advice, advice.starts_with("Write what shall be there in the end"), true)
}

fn a_row_that_is_gone_is_put_back(backend: Backend) -> Result<(), Failed> {
    let rehearsal = flagged("SELECT 1 FROM public.flags WHERE name = 'import'");
    // By a program, in a string of several statements.
    rehearsal.file(
        "s.sh",
        "#!/bin/sh\npsql -Xqc 'SELECT 1' >/dev/null\npsql -Xq <<'X'\nDELETE FROM public.uses;\nDELETE FROM public.flags WHERE name = 'import';\nX\n",
    );
    let report = rehearsal.report(backend, &["s.sh", "--runs", "1"], 1)?;
    let entry = broken(&report)?;
    says(entry, "It takes 1 of 2 rows from public.flags.")?;
    let repair = entry["repair"]["sql"].as_str().unwrap_or_default();
    let wanted = "INSERT INTO public.flags (name, note, enabled) VALUES ('import', \
                  E'it''s a \\\\ \"flag\"', 't')";
    same(repair, repair.split_whitespace().eq(format!("{wanted};").split_whitespace()), true)
}

fn tables_that_truncate_reaches_are_named(backend: Backend) -> Result<(), Failed> {
    let rehearsal = flagged("SELECT 1 FROM public.uses");
    rehearsal.file("s.sql", "TRUNCATE public.flags CASCADE;\n");
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 1)?;
    let entry = broken(&report)?;
    says(entry, "It empties public.uses (3 rows) and public.flags (2 rows).")?;
    let advice = entry["advice"].as_str().unwrap_or_default();
    same(advice, advice.starts_with("Without CASCADE it refuses"), true)
}
