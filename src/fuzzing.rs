//! Ways for `fuzz/` into what is private. Nothing else uses them, and they are no part of the interface.

use crate::programs::{Captured, Stream};

pub use crate::tap::by_hand::{ByHand, Conversation};

/// A statement of a script without its secrets.
pub fn masked_statement(statement: &str) -> String {
    crate::secrets::masked_statement(statement).into_owned()
}

/// A dump without its secrets, and the lines on which something stays that may be one.
pub fn masked_dump(dump: &str) -> (String, Vec<usize>) {
    let masked = crate::secrets::mask(dump);
    (masked.text, masked.suspicious)
}

/// A statement of `pg_stat_statements` without its constants.
pub fn parametrised(statement: &str) -> String {
    crate::capture::parametrised(statement)
}

/// A dump without objects of these schemas and names.
pub fn without(dump: &str, objects: &[(&str, &str)]) -> String {
    crate::capture::without(dump, objects)
}

/// Whether a text tells sizes of tables.
pub fn tells_sizes(text: &str) -> bool {
    crate::plan::tells_sizes(text)
}

/// Rows that keep checks as the server writes them; see there for the table's columns.
pub fn rows(checks: &[&str], seed: u64) -> Vec<Vec<Option<String>>> {
    crate::seed::rows::by_hand::rows(checks, seed)
}

/// What a program in a container has printed, in pieces: its exit status, and what is kept of the stream.
pub fn contained<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, mark: &str) -> (Option<i32>, Captured) {
    crate::sandbox::docker::unmarked(Stream::Out, pieces, mark)
}

/// The lines of a script on which statements stand that were sent.
pub fn lines_sent(script: &std::path::Path, sent: &[&str]) -> Vec<Option<u32>> {
    let origins = crate::runs::origins(script, sent).into_iter();
    origins.map(|origin| origin.map(|origin| origin.line)).collect()
}
