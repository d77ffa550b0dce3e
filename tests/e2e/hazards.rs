//! What the runs did not hit and might have: locks that are held too long, and two who run the script at once.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, SCHEMA, same};

pub const TESTS: &[Test] = &[
    ("hazards::the_locks_of_statements_are_told", the_locks_of_statements_are_told),
    ("hazards::who_stands_while_a_statement_goes_on", who_stands_while_a_statement_goes_on),
    ("hazards::rows_that_are_written_are_waited_for", rows_that_are_written_are_waited_for),
    ("hazards::what_nobody_stands_behind_is_no_hazard", what_nobody_stands_behind_is_no_hazard),
    ("hazards::two_at_once_who_leave_something_else", two_at_once_who_leave_something_else),
    ("hazards::two_at_once_who_stop_each_other", two_at_once_who_stop_each_other),
    ("hazards::two_at_once_who_do_no_harm", two_at_once_who_do_no_harm),
];

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

/// The hazards of held locks: each with its line and its message.
fn held(report: &Value) -> Vec<(u64, String)> {
    of_kind(report, "held_locks")
}

fn of_kind(report: &Value, kind: &str) -> Vec<(u64, String)> {
    let hazards = report["hazards"].as_array().into_iter().flatten();
    hazards
        .filter(|hazard| hazard["kind"] == kind)
        .map(|one| {
            (one["line"].as_u64().unwrap_or_default(), one["message"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

fn who_stands_while_a_statement_goes_on(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "sizes.json",
        r#"{"tables": [{"schema": "public", "name": "orders", "rows": 12000000, "table_bytes": 3600000000}]}"#,
    );
    rehearsal.file(
        "s.sql",
        "ALTER TABLE public.orders ADD note text;\n\
         ALTER TABLE public.orders ALTER note TYPE varchar(80), ALTER total TYPE double precision;\n\
         CREATE INDEX by_total ON public.orders (total);\nDROP INDEX by_total;\n\
         BEGIN;\nLOCK public.orders IN EXCLUSIVE MODE;\nALTER TABLE public.orders DROP note;\n\
         ALTER TABLE public.orders ALTER total TYPE numeric;\nCOMMIT;\n",
    );
    let report = rehearsal.report(backend, &["s.sql", "--runs", "1"], 0)?;
    let statements = &report["runs"][0]["result"]["statements"];
    let went_through = |field: &str| -> Vec<u64> {
        let all = statements.as_array().into_iter().flatten();
        all.filter(|one| one[field] == serde_json::json!(["public.orders"]))
            .filter_map(|one| one["index"].as_u64())
            .collect()
    };
    same("scans", went_through("scans"), vec![2, 3, 8])?;
    same("rewrites", went_through("rewrites"), vec![2, 8])?;
    let told = held(&report);
    same("lines", told.iter().map(|(line, _)| *line).collect(), vec![2, 3, 6, 1])?;
    let size = "(12,000,000 rows, 3.35 GiB where it was captured)";
    for (expected, (_, message)) in [
        format!(
            "importer and reader wait as long as statement 2 (line 2) is under way: it holds AccessExclusiveLock on \
             public.orders, and it writes all of public.orders anew {size}"
        ),
        format!(
            "importer waits as long as statement 3 (line 3) is under way: it holds ShareLock on public.orders, and it \
             reads all of public.orders {size}. CONCURRENTLY"
        ),
        format!(
            "importer and reader wait from statement 6 (line 6) on until its transaction ends: it holds \
             AccessExclusiveLock on public.orders, and statement 8 (line 8) writes all of public.orders anew {size}"
        ),
        "importer and reader wait as long as statement 1 (line 1) and 1 more are under way, which is short".to_owned(),
    ]
    .iter()
    .zip(&told)
    {
        same(&format!("{message}\n{expected}"), message.starts_with(expected.as_str()), true)?;
    }
    // One that gives up by itself holds nobody back for long.
    rehearsal.file("s.sql", "SET lock_timeout = '1s';\nALTER TABLE public.orders ADD a int;\n");
    same("bounded", held(&rehearsal.report(backend, &["s.sql", "--runs", "1"], 0)?), vec![])?;
    // And whoever does not want to know is not told.
    rehearsal.file("s.sql", "ALTER TABLE public.orders ADD a int;\n");
    let report =
        rehearsal.report(backend, &["s.sql", "--runs", "1", "--hazards", "crash-points,latent"], 0)?;
    same("others only", held(&report), vec![])
}

fn rows_that_are_written_are_waited_for(backend: Backend) -> Result<(), Failed> {
    let worker = |name: &str, more: &str| {
        format!(
            "[[worker]]\nname = '{name}'\nrole = 'postgres'\nevery = '20ms'\ntimeout = '10s'\nmax_outage = '60s'\n{more}\n\
             sql = 'UPDATE public.orders SET total = total WHERE id = (SELECT min(id) FROM public.orders)'\n"
        )
    };
    let rehearsal = Rehearsal::new(
        &(worker("one", "")
            + &worker("two", "session = 'fresh'\non_connect = [\"SET lock_timeout = '1ms'\"]")
            + READER),
    );
    rehearsal.file(
        "s.sql",
        "INSERT INTO public.orders (total) VALUES (1), (2);\nUPDATE public.orders SET total = total + 1;\n",
    );
    let told = held(&rehearsal.report(backend, &["s.sql", "--runs", "1"], 0)?);
    let [(2, message)] = told.as_slice() else { return Err(format!("{told:?}").into()) };
    let expected = "one and two wait as long as statement 2 (line 2) is under way: it holds rows that it has written, and \
                    it reads all of public.orders: the more rows there are, the longer they wait. In batches";
    same(message, message.starts_with(expected), true)?;
    // The workers work again in the next run: what they waited with was cancelled, and no more.
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2", "--hazards", "all"], 0)?;
    same("told", held(&report).len(), 1)
}

fn what_nobody_stands_behind_is_no_hazard(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "GRANT SELECT ON public.orders TO writers;\nREVOKE SELECT ON public.orders FROM writers;\n\
         CREATE TABLE public.new (a int);\nINSERT INTO public.new VALUES (1);\nALTER TABLE public.new ALTER a TYPE text;\n\
         CREATE INDEX CONCURRENTLY by_total ON public.orders (total);\nSELECT count(*) FROM public.orders;\n\
         INSERT INTO public.orders (total) VALUES (1);\nDROP TABLE public.new;\n",
    );
    same("hazards", held(&rehearsal.report(backend, &["s.sql", "--runs", "1"], 0)?), vec![])
}

fn two_at_once_who_leave_something_else(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file("schema.sql", &format!("{SCHEMA}CREATE TABLE public.items (a int);\n"));
    // Made twice one after the other it changes nothing but that one table more is there.
    rehearsal.file(
        "s.sql",
        "ALTER TABLE public.items RENAME TO tmp;\nCREATE TABLE IF NOT EXISTS public.other (a int);\n\
         ALTER TABLE public.other RENAME TO items;\nALTER TABLE public.tmp RENAME TO other;\n",
    );
    let told = of_kind(&rehearsal.report(backend, &["s.sql", "--runs", "2"], 0)?, "at_once");
    let [(1, message)] = told.as_slice() else { return Err(format!("{told:?}").into()) };
    for part in [
        "two who run the script at the same time ",
        " than two one after the other; one of them fails at statement 1 (line 1): relation \"",
        "SELECT pg_advisory_lock(1) at the script's beginning",
    ] {
        same(&format!("{message}\n{part}"), message.contains(part), true)?;
    }
    let report = rehearsal.report(backend, &["s.sql", "--runs", "2", "--hazards", "held-locks"], 0)?;
    same("not looked for", of_kind(&report, "at_once"), vec![])
}

fn two_at_once_who_stop_each_other(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    rehearsal.file(
        "s.sql",
        "BEGIN;\nSELECT count(*) FROM public.orders;\n\
         ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS note text;\nCOMMIT;\n",
    );
    let told = of_kind(&rehearsal.report(backend, &["s.sql", "--runs", "1"], 0)?, "at_once");
    let [(3, message)] = told.as_slice() else { return Err(format!("{told:?}").into()) };
    let expected = "two who run the script at the same time wait for each other until the server ends one of them; one of \
                    them fails at statement 3 (line 3): deadlock detected. ";
    same(message, message.starts_with(expected), true)
}

fn two_at_once_who_do_no_harm(backend: Backend) -> Result<(), Failed> {
    let rehearsal = shop();
    // One of them gets errors, and the other does the work.
    let statements = "REVOKE SELECT ON public.orders FROM writers;\nGRANT SELECT ON public.orders TO writers;\n\
                      ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS note text;\n\
                      CREATE TABLE IF NOT EXISTS public.more (a int);\n\
                      CREATE INDEX IF NOT EXISTS more_a ON public.more (a);\n\
                      ALTER ROLE svc_import CONNECTION LIMIT 50;\nINSERT INTO public.more VALUES (1);\n";
    rehearsal.file("s.sql", statements);
    rehearsal.file("t.sql", &format!("BEGIN;\n{statements}COMMIT;\n"));
    rehearsal.file(
        "s.sh",
        "#!/bin/sh\npsql -Xqc 'CREATE TABLE IF NOT EXISTS public.more (a int)'\n\
         psql -Xqc 'ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS note text'\nexit 0\n",
    );
    for script in ["s.sql", "t.sql", "s.sh"] {
        let report = rehearsal.report(backend, &[script, "--runs", "2"], 0)?;
        same(script, of_kind(&report, "at_once"), vec![])?;
    }
    Ok(())
}
