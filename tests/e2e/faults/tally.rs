//! What the faults came to, counted from what ran.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;

use crate::support::Backend;

/// Each fault that was tried, and whether all was right.
static FAULTS: Mutex<Vec<(Backend, String, bool)>> = Mutex::new(Vec::new());
/// What is told besides, by backend: a sentence of a row that counts something itself.
static COUNTED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Counts a fault by what became of it.
pub fn counted(backend: Backend, name: &str, done: Result<(), Failed>) -> Result<(), Failed> {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    faults.push((backend, name.to_owned(), done.is_ok()));
    done
}

/// Notes what a row has counted.
pub fn note(what: &str, sentence: String) {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned(), sentence);
}

/// The counts in lines; none where no fault was tried.
pub fn lines() -> Vec<String> {
    let faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    if faults.is_empty() {
        return Vec::new();
    }
    let on = |backend: Backend| faults.iter().filter(|(on, ..)| *on == backend).count();
    let wrong: Vec<_> = faults.iter().filter(|(.., right)| !right).collect();
    let ended = if wrong.is_empty() {
        "every one ended with the right exit code, and after gc nothing was left and nobody else's was touched".to_owned()
    } else {
        let names: Vec<_> = wrong.iter().map(|(backend, name, _)| format!("{backend}::{name}")).collect();
        format!("{} went wrong: {}", names.len(), names.join(", "))
    };
    let mut lines =
        vec![format!("faults: {} on local, {} on docker: {ended}", on(Backend::Local), on(Backend::Docker))];
    let counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    lines.extend(counted.iter().map(|(what, sentence)| format!("{what}: {sentence}")));
    lines
}
