//! A test as the harness runs it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

/// Bytes of what a failed test says that are printed from its beginning and from its end: a log that keeps only its
/// last lines has room for several.
const SHOWN: usize = 700;

/// Bytes of its end that are told once more, after all the others.
const ONCE_MORE: usize = 300;

/// How many of those that took longest are told.
const SLOWEST: usize = 15;

/// What each test took.
static TOOK: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// What each that failed has said last.
static FAILED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A trial, which is counted as ignored where it cannot run. What a failed one says is printed in short, and is whole
/// in a file.
pub fn trial(name: String, can: bool, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let file = format!("{}/{}.txt", env!("CARGO_TARGET_TMPDIR"), name.replace("::", "-"));
    let timed = name.clone();
    let run = move || {
        let begun = Instant::now();
        let result = test().map_err(|failed| {
            let said = failed.message().unwrap_or_default();
            let last = String::from_utf8_lossy(&said.as_bytes()[said.len().saturating_sub(ONCE_MORE)..])
                .into_owned();
            FAILED
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("failed: {timed}: {last:?}\n"));
            shortened(&failed, &file)
        });
        TOOK.lock().unwrap_or_else(PoisonError::into_inner).push((begun.elapsed(), timed));
        result
    };
    Trial::test(name, run).with_ignored_flag(!can)
}

/// Which tests took longest, so that whoever waits for them knows where the time goes.
pub fn slowest() -> String {
    let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    took.sort_unstable();
    let told =
        took.iter().rev().take(SLOWEST).map(|(took, name)| format!("{name} {:.0} s", took.as_secs_f64()));
    format!("what took longest: {}", told.collect::<Vec<_>>().join(", "))
}

/// The end of what each that failed has said, a line for each: the last lines of a log are those that are seen.
pub fn failures() -> String {
    FAILED.lock().unwrap_or_else(PoisonError::into_inner).concat()
}

fn shortened(failed: &Failed, file: &str) -> Failed {
    let said = failed.message().unwrap_or_default();
    if said.len() <= 2 * SHOWN {
        return said.into();
    }
    let whole = match std::fs::write(file, said) {
        Ok(()) => format!("the whole is in {file}"),
        Err(error) => format!("the whole cannot be written to {file}: {error}"),
    };
    let piece = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (begin, end) = (piece(&said.as_bytes()[..SHOWN]), piece(&said.as_bytes()[said.len() - SHOWN..]));
    format!("{begin}\n[… {whole}]\n{end}").into()
}
