//! Why a database could not be captured.

use std::path::PathBuf;
use std::time::Duration;

use crate::postgres::conninfo::ConninfoError;

/// Why a database could not be captured. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// `--from` says nothing that libpq could connect to.
    #[error("--from names no database that can be connected to")]
    From(#[source] ConninfoError),
    /// The directory is in use.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// It is no directory.
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// The directory that it would be made in is not there.
    #[error("{} cannot be made: there is no directory {}", directory.display(), parent.display())]
    NoParent {
        /// The directory.
        directory: PathBuf,
        /// Its parent.
        parent: PathBuf,
    },
    /// No client programs.
    #[error("psql, pg_dump and pg_dumpall were not found together{}", .0.as_ref().map(|bin| format!(" in {}", bin.display())).unwrap_or_default())]
    NoClient(Option<PathBuf>),
    /// The client programs are older than the server.
    #[error("an older pg_dump cannot dump a PostgreSQL {server}; here is {}", versions(found))]
    OldClient {
        /// The server's major version.
        server: u32,
        /// The versions of those that are here.
        found: Vec<u32>,
    },
    /// A program could not be started or listened to.
    #[error("cannot run {program}")]
    Start {
        /// Its name.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Where it was to connect to, where it could not.
        unreached: Option<String>,
        /// What it printed on standard error.
        said: String,
    },
    /// A program printed what is not UTF-8.
    #[error("{program} printed text that is not UTF-8, which a database in SQL_ASCII may hold")]
    Encoding {
        /// Its name.
        program: &'static str,
    },
    /// The catalogs answered with what was not expected.
    #[error("the server's catalogs gave an unexpected answer")]
    Answer(#[source] serde_json::Error),
    /// The server is older than what thirdrun rehearses on.
    #[error("the server is PostgreSQL {0}; thirdrun rehearses on 13 and newer")]
    TooOld(String),
    /// The deadline passed.
    #[error("the database could not be captured within {}", humantime::format_duration(*.0))]
    Deadline(Duration),
    /// A file or directory could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn versions(found: &[u32]) -> String {
    found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
