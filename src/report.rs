//! The report: one document, and renderings of it that format and escape but never compute.
//!
//! Pure: the same document gives the same bytes. Nothing here knows a clock, a terminal or a database.

mod document;
mod findings;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod human;
pub mod junit;
pub mod markdown;
pub mod sarif;
mod scripts;
mod visible;
mod words;

pub use document::{Document, RunEntry, SessionEntry, WorkerEntry, document};
pub use scripts::{Conclusion, Report, ScriptEntry, Trouble, Unreadable};
pub use visible::{visible, without_commands};
