//! The state of a server that could break an automation, read from its catalogs; what changed in it from one
//! reading to the next, what each role could do before and can no longer do, and the statements that take a
//! change back.
//!
//! Only [`Watcher`] talks to a server, through whatever can [`Ask`] it. Everything else is computed from
//! [`Snapshot`]s in memory: no clock, no I/O, the same order every time. It judges nothing: whether a change
//! matters to a worker is for others to say.

mod access;
mod acl;
mod ask;
mod catalogs;
mod changes;
mod definitions;
mod fields;
mod labels;
mod objects;
mod query;
mod reach;
mod rows;
mod running;
mod series;
mod snapshot;
mod sorts;
mod standing;
mod tables;
mod watcher;
mod why;

pub use crate::observations::{Change, ChangeKind, undo};
pub use access::access_changes;
pub use ask::{Ask, Sessions};
pub use changes::changes;
pub use query::POSITIONS;
pub use rows::Contents;
pub use series::series;
pub use snapshot::Snapshot;
pub use standing::standing;
pub use watcher::Watcher;
pub use why::{Ground, Path, why};
