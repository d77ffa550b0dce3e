//! The report: one document, and renderings of it that format and escape but never compute.
//!
//! Pure: the same document gives the same bytes. Nothing here knows a clock, a terminal or a database.

mod document;
pub mod human;

pub use document::{Document, RunEntry, SessionEntry, WorkerEntry, document};

/// The document as JSON, with a final newline.
///
/// # Errors
/// Never in practice: all of it can be written as JSON.
pub fn json(document: &Document) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(document).map(|text| text + "\n")
}
