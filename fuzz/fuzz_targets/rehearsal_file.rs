//! The rehearsal file: a plan, or an error that shows its place.

#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use thirdrun::fuzzing;
use thirdrun::plan::{Overrides, build};

/// A directory with the files that a rehearsal file is most likely to name.
static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in [
        ("schema.sql", "-- Dumped from database version 16.4\nCREATE TABLE t (a int);\n"),
        ("roles.sql", "CREATE ROLE a;\n"),
        ("seed.sql", "INSERT INTO t VALUES (1);\n"),
        ("script.sql", "SELECT 1;\n"),
    ] {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    directory
});

fuzz_target!(|text: &str| {
    fuzzing::tells_sizes(text);
    // The machine's own files are not what is tried here: some of them never end.
    if text.contains("..")
        || text.contains("\"/")
        || text.contains("'/")
        || text.contains("\\") && text.contains('u')
    {
        return;
    }
    let directory = DIRECTORY.path();
    std::fs::write(directory.join("thirdrun.toml"), text).expect("a file");
    match build(&Overrides::default(), directory) {
        Ok(plan) => {
            assert!(!plan.runs.is_empty());
            assert!(plan.sure >= 1 && plan.sure <= plan.runs.len());
            // What is waited for has an end that a clock can tell.
            let waits =
                plan.workers.iter().flat_map(|worker| [worker.every, worker.timeout, worker.max_outage]);
            for time in waits.chain(plan.runs.iter().map(|run| run.timeout)) {
                assert!(time.checked_mul(1000).and_then(|time| Instant::now().checked_add(time)).is_some());
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.help();
            let plain = error.snippet(false);
            let coloured = error.snippet(true);
            assert_eq!(plain.is_some(), coloured.is_some());
        }
    }
});
