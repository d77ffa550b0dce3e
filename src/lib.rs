//! thirdrun rehearses a database script against a throw-away PostgreSQL with a system's automations at
//! work, and says after every run which of them still work.
//!
//! Data flows one way: capture → dump → seed → sandbox; workers and runs → observations → verdict → report.

pub mod cache;
pub mod capture;
pub mod children;
pub mod cli;
pub mod commands;
pub mod dump;
pub mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod identifiers;
pub mod incident;
pub mod library;
mod network;
pub mod observations;
pub mod plan;
pub mod postgres;
pub mod programs;
pub mod progress;
pub mod rehearsal;
pub mod report;
pub mod runs;
pub mod sandbox;
mod secrets;
pub mod seed;
pub mod state;
pub mod tap;
pub mod verdict;
pub mod workers;
