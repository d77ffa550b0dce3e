//! Statements around which the tap puts no transaction of its own.

use crate::dump::{TokenKind, tokens};

/// Whether a statement begins or ends a transaction.
pub(super) fn is_control(text: &str) -> bool {
    let words = first_words(text);
    let is = |at: usize, word: &str| words.get(at).is_some_and(|one| one == word);
    ["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"].iter().any(|word| is(0, word))
        || (is(0, "PREPARE") && is(1, "TRANSACTION"))
}

/// Whether a statement that stands alone is left alone: it ends or begins a transaction, takes no lock, or does not do
/// the same inside of one.
pub(super) fn stays_outside(text: &str) -> bool {
    const OUTSIDE: [&str; 19] = [
        "SAVEPOINT",
        "RELEASE",
        "LOCK",
        "DECLARE",
        "FETCH",
        "MOVE",
        "CLOSE",
        "SET",
        "RESET",
        "SHOW",
        "DISCARD",
        "LISTEN",
        "UNLISTEN",
        "NOTIFY",
        "VACUUM",
        "CHECKPOINT",
        "DEALLOCATE",
        "LOAD",
        "",
    ];
    let words = first_words(text);
    let first = words.first().map(String::as_str).unwrap_or_default();
    is_control(text) || OUTSIDE.contains(&first)
}

/// The first two words, in capitals.
fn first_words(text: &str) -> Vec<String> {
    /// Bytes in which they are looked for, comments and all.
    const NEAR: usize = 4096;
    let mut end = text.len().min(NEAR);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let words = tokens(text).into_iter().filter(|token| token.kind == TokenKind::Word);
    words.take(2).map(|token| token.of(text).to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_would_do_something_else_stay_outside() {
        for text in ["begin", "-- x\nCOMMIT", "PREPARE TRANSACTION 'x'", "lock t", "VACUUM t", ""] {
            assert!(stays_outside(text), "{text}");
        }
        for text in ["PREPARE p AS SELECT 1", "(SELECT 1)", "ALTER TABLE t ADD a int", "DO $$ BEGIN END $$"] {
            assert!(!stays_outside(text), "{text}");
        }
    }
}
