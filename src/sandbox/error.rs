//! Why no sandbox could be had.

use std::path::PathBuf;

use crate::postgres::NotReady;

/// Why no sandbox could be had. All of them are the environment's business (exit 4).
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No PostgreSQL of the wanted version is installed.
    #[error("no PostgreSQL {wanted} was found on this machine")]
    NoPostgres {
        /// The version, or nothing.
        wanted: String,
        /// What was found instead.
        found: Vec<u32>,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A program that comes with PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server did not come up.
    #[error("the sandbox's server did not become ready; the end of its log:\n{log}")]
    NotReady {
        /// Why.
        #[source]
        source: NotReady,
        /// The end of its log.
        log: String,
    },
    /// Its superuser could not be set up.
    #[error("the sandbox's server refused its first statements")]
    Setup(#[source] crate::postgres::QueryFailure),
    /// A file operation failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something about Docker, in a sentence.
    #[error("the Docker backend cannot be used: {0}")]
    Docker(String),
    /// Docker's engine refused, or does not answer.
    #[error("the Docker backend cannot be used")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What a sandbox has in Docker was taken away from outside while it was in use.
    #[error("Docker has lost the sandbox while it was in use: {0}")]
    Lost(String),
    /// Docker's engine runs where the sandbox's directory is not.
    #[error("Docker's engine does not see {}: it runs on another machine, or thirdrun in a container", directory.display())]
    Elsewhere {
        /// The sandbox's directory.
        directory: PathBuf,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// thirdrun runs in a container, and a directory is only there.
    #[error("Docker's engine does not see {}: thirdrun runs in a container, and it is only in there", _0.display())]
    Inside(PathBuf),
    /// Neither Docker nor this machine has such a server.
    #[error("no PostgreSQL {wanted} can be had here: {docker}, and {local}")]
    Neither {
        /// The version, or nothing.
        wanted: String,
        /// Why not in Docker.
        docker: Box<Self>,
        /// Why not on this machine.
        local: Box<Self>,
    },
    /// Packages could not be installed.
    #[error("{} could not be installed into a copy of the image {image}; the end of its log:\n{log}", packages.join(" "))]
    Packages {
        /// The image.
        image: String,
        /// The packages.
        packages: Vec<String>,
        /// The end of what the package manager printed.
        log: String,
    },
    /// An image is neither here nor to be had.
    #[error("the image {image} is not here and cannot be pulled")]
    NoImage {
        /// The image.
        image: String,
        /// The version of PostgreSQL that it was wanted for.
        major: Option<u32>,
        /// The versions of which an image is here.
        found: Vec<u32>,
        /// Why it cannot be pulled.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SandboxError {
    /// Whether the operating system refused it to this user.
    pub fn is_denied(&self) -> bool {
        let mut error: Option<&dyn std::error::Error> = Some(self);
        while let Some(cause) = error {
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
                return true;
            }
            error = cause.source();
        }
        false
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
