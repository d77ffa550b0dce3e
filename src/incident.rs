//! Incidents: what was recorded of an outage, and whether it happens again.
//!
//! Knows plans and report documents, and nothing of servers: the rehearsal of an incident is the same as any other.
//! [`compare`] is pure.

mod bundle;
mod compare;
mod error;
mod file;
mod recorded;
mod reduction;
#[cfg(test)]
mod sample;
mod save;
mod smaller;
mod target;
mod tree;

pub use bundle::{Bundle, Entry, Manifest};
pub use compare::{compare, reproduction};
pub use error::IncidentError;
pub use recorded::{Recorded, RecordedRun};
pub use reduction::Reduction;
pub use save::bundle;
pub use smaller::{Smaller, Subject};
pub use target::Target;
