//! Expressions, patterns and constants of checks as the server writes them, and the rows that are made to keep them.
//! One check a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thirdrun::fuzzing;

fuzz_target!(|text: &str| {
    let checks: Vec<&str> = text.lines().take(8).collect();
    let rows = fuzzing::rows(&checks, 1);
    // The same seed gives the same rows.
    if text.len().is_multiple_of(16) {
        assert_eq!(rows, fuzzing::rows(&checks, 1));
    }
});
