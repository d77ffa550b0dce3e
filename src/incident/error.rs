//! Why an incident cannot be opened or saved.

use std::path::PathBuf;

/// An incident that cannot be opened or saved.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// A bundle cannot be read.
    #[error("cannot read the bundle {}", path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{} is no bundle of an incident", path.display())]
    None {
        /// The file.
        path: PathBuf,
    },
    /// A later thirdrun has written it.
    #[error("{} was written by thirdrun {thirdrun}, and this one is too old for it", path.display())]
    Newer {
        /// The bundle.
        path: PathBuf,
        /// Who wrote it.
        thirdrun: String,
    },
    /// It has something in it that thirdrun does not write.
    #[error("the bundle {} is refused for its {}: {why}", path.display(), name.display())]
    Refused {
        /// The bundle.
        path: PathBuf,
        /// What in it.
        name: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The report in it is none.
    #[error("the report in {} cannot be read", path.display())]
    Report {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::report::Unreadable,
    },
    /// There is a file already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Something cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A script of the rehearsal cannot be read any more.
    #[error("cannot save the incident: {} cannot be read", path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The rehearsal needs more files than a bundle has room for.
    #[error("cannot save the incident: its files have more than {} MiB", super::bundle::MOST >> 20)]
    TooLarge,
}
