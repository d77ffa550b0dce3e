//! What the runs did not hit and might have: locks that are held too long, and two who run the script at once.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, same};

pub const TESTS: &[Test] = &[("hazards::the_locks_of_statements_are_told", the_locks_of_statements_are_told)];

fn shop() -> Rehearsal {
    Rehearsal::new(&format!("{IMPORTER}{READER}"))
}

/// The locks of each statement of a run, the strongest of each statement's objects, in a line each.
fn locks(run: &Value) -> Vec<String> {
    let lock = |lock: &Value| {
        let text = |field: &str| lock[field].as_str().unwrap_or_default().trim_end_matches("Lock").to_owned();
        format!("{} {}", text("object"), text("mode"))
    };
    let statements = run["result"]["statements"].as_array().into_iter().flatten();
    statements
        .map(|one| one["locks"].as_array().into_iter().flatten().map(lock).collect::<Vec<_>>().join(", "))
        .collect()
}

fn the_locks_of_statements_are_told(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "ALTER TABLE public.orders ADD note text;\nBEGIN;\nSELECT pg_advisory_xact_lock(42);\n\
         SELECT count(*) FROM public.orders;\nCREATE TABLE public.old ();\nLOCK public.orders IN SHARE MODE;\n\
         DROP TABLE public.old;\nCOMMIT;\nCREATE INDEX CONCURRENTLY by_note ON public.orders (note);\n\
         DROP INDEX public.by_note;\nALTER TABLE public.orders DROP note;\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2", "--hazards", "none"], 0)?;
    let expected = [
        "public.orders AccessExclusive",
        "",
        "advisory lock 42 Exclusive",
        "public.orders AccessShare, public.orders_pkey AccessShare",
        "public.old AccessExclusive",
        "public.orders Share",
        // What is held already is not taken again.
        "",
        "",
        "",
        "public.by_note AccessExclusive, public.orders AccessExclusive",
        "public.orders AccessExclusive",
    ];
    for run in report["runs"].as_array().into_iter().flatten() {
        same("locks", locks(run), expected.map(str::to_owned).to_vec())?;
    }
    // A query string, and a script that is none of psql's.
    rehearsal.file(
        "s.sh",
        "#!/bin/sh\npsql -Xq -c 'SELECT 1; LOCK public.orders IN EXCLUSIVE MODE; SELECT 2' >/dev/null\n\
         psql -Xq -c 'TRUNCATE public.orders' >/dev/null\n",
    );
    let report = rehearsal.report(backend, &["s.sh", "--runs", "1", "--hazards", "none"], 0)?;
    let truncated = "public.orders AccessExclusive";
    let told = locks(&report["runs"][0]);
    same(
        "of a query string",
        told.get(..3),
        Some(&["", "public.orders Exclusive", ""].map(str::to_owned)[..]),
    )?;
    same("of an executable", told.get(3).is_some_and(|told| told.contains(truncated)), true)
}
