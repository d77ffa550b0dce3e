//! Talking to a PostgreSQL server: where it is, logging in, sessions that end when they are told to; and where
//! PostgreSQL's programs are on this machine.
//!
//! Knows nothing of sandboxes, workers or scripts. The only user of the driver's connection API.

pub mod conninfo;
pub mod installed;
mod session;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use session::{Answer, Notified, QueryFailure, Sent, Session};
pub(crate) use wire::Wire;

use crate::identifiers::{DatabaseName, RoleName, Secret};

/// The name of thirdrun's own superuser.
pub const SUPERUSER: &str = "thirdrun";
/// An empty database that a server may have ready: renaming it takes less time than creating one.
pub const SPARE_DATABASE: &str = "thirdrun";

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A unix socket, `DIRECTORY/.s.PGSQL.PORT` (PostgreSQL manual, 20.3.1).
    Unix {
        /// The directory of the socket.
        directory: PathBuf,
        /// The number in its name.
        port: u16,
    },
    /// TCP.
    Tcp(SocketAddr),
    /// TCP to 127.0.0.1 in the network of a process of a sandbox.
    Inside {
        /// The process.
        process: u32,
        /// The port.
        port: u16,
    },
}

impl Endpoint {
    /// The host and the port as psql's `-h` and `-p` take them.
    pub fn host_and_port(&self) -> (String, u16) {
        match self {
            Self::Unix { directory, port } => (directory.display().to_string(), *port),
            Self::Tcp(address) => (address.ip().to_string(), address.port()),
            Self::Inside { port, .. } => (std::net::Ipv4Addr::LOCALHOST.to_string(), *port),
        }
    }

    /// The path of the socket file, for a unix socket.
    pub fn socket_file(&self) -> Option<PathBuf> {
        match self {
            Self::Unix { directory, port } => Some(directory.join(format!(".s.PGSQL.{port}"))),
            Self::Tcp(_) | Self::Inside { .. } => None,
        }
    }
}

/// Who logs in, and where to.
#[derive(Debug, Clone)]
pub struct Login {
    /// The role.
    pub role: RoleName,
    /// Its password.
    pub password: Secret,
    /// The database.
    pub database: DatabaseName,
    /// `application_name`, which shows in `pg_stat_activity`.
    pub application: String,
    /// Settings that the session begins with, as `options` has them (PostgreSQL manual, 34.1.2).
    pub options: Option<&'static str>,
}

/// A server and the superuser that thirdrun itself uses there.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// thirdrun's own superuser.
    pub superuser: RoleName,
    /// Its password.
    pub password: Secret,
    /// Settings that its sessions begin with.
    pub options: Option<&'static str>,
}

impl Server {
    /// A login of thirdrun's own superuser.
    pub fn superuser_login(&self, database: &DatabaseName) -> Login {
        Login {
            role: self.superuser.clone(),
            password: self.password.clone(),
            database: database.clone(),
            application: "thirdrun".to_owned(),
            options: self.options,
        }
    }
}

/// How often a server that does not answer yet is asked again.
const POLL: Duration = Duration::from_millis(3);

/// A server that did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Its process or container ended while it was waited for.
    #[error("the server ended while it was starting")]
    Died,
    /// The deadline passed.
    #[error("the server did not answer within {0:?}: {1}")]
    Deadline(Duration, String),
}

/// Waits until a query of `login` is answered, and returns that session. A log line or an accepted
/// connection is no proof: the official image first runs a temporary server, and a port proxy accepts
/// before PostgreSQL listens.
///
/// # Errors
/// When `alive` says that the server is gone, or at the deadline.
pub async fn wait_until_ready<F>(
    endpoint: &Endpoint,
    login: &Login,
    deadline: Duration,
    mut alive: impl FnMut() -> F,
) -> Result<Session, NotReady>
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    loop {
        let attempt = async {
            let session = Session::open(endpoint, login).await?;
            session.run("SELECT 1").await.map(|_| session)
        };
        let left = deadline.saturating_sub(begun.elapsed());
        let last = match tokio::time::timeout(left, attempt).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(failure)) => failure.message,
            Err(_) => "it took the connection and said nothing".to_owned(),
        };
        if !alive().await {
            return Err(NotReady::Died);
        }
        if begun.elapsed() > deadline {
            return Err(NotReady::Deadline(deadline, last));
        }
        tokio::time::sleep(POLL).await;
    }
}
