//! The rehearsal file and the flags, validated: a plan made of the stages' own types.
//!
//! Reads files but starts nothing. Everything that is wrong is said here, before anything runs, with its
//! place in the file.

mod build;
mod clone;
mod error;
mod file;
mod found;
mod hazards;
mod read;
mod runs;
mod sizes;
mod statements;
mod values;
mod workers;

pub use build::{Overrides, Plan, build, build_each};
pub use error::{PlanError, Source, line_of};
pub use file::{RehearsalFile, json_schema};
pub use found::{Found, dumps};
pub use hazards::{HazardName, Hazards, When};
pub use read::FILE_NAME;
pub(crate) use sizes::tells_sizes;
