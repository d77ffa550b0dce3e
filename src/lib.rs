//! thirdrun rehearses a database script against a throw-away PostgreSQL with a system's automations at
//! work, and says after every run which of them still work.
//!
//! Data flows one way: dump → seed → sandbox; workers and runs → observations → verdict → report.

pub mod dump;
pub mod identifiers;
pub mod observations;
pub mod postgres;
pub mod programs;
pub mod runs;
pub mod sandbox;
pub mod workers;
