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
mod observed;
mod reproduction;
pub mod sarif;
mod scripts;
mod standing;
mod visible;
mod words;

pub use document::{Document, ResultStatus, RunEntry, SessionEntry, WorkerEntry};
pub use observed::document;
pub use reproduction::{Difference, DifferenceKind, Reproduction};
pub use scripts::{Conclusion, Report, ScriptEntry, Trouble, Unreadable};
pub use standing::standing;
pub use visible::{visible, without_commands};
pub(crate) use words::counted;
