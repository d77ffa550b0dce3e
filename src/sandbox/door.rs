//! Doors: sockets at which scripts find the tap instead of the server, in places that only the sandbox reaches.

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::UnixListener;

use crate::network;

/// Where a script looks for the server when it is told nothing else, as most clients do.
pub(super) const HOST: &str = "127.0.0.1";
/// Where the server itself listens in the same network, so that scripts do not meet it by chance.
pub(super) const SERVER: &str = "127.0.0.2";

/// A unix socket of the tap, at which every user that can reach its directory may knock: PostgreSQL asks for a
/// password all the same.
pub(super) fn unix(directory: &Path, port: u16) -> io::Result<UnixListener> {
    let path = directory.join(format!(".s.PGSQL.{port}"));
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}

/// A socket at [`HOST`] in the network namespace of a process.
pub(super) fn tcp(of: u32, port: u16) -> io::Result<tokio::net::TcpListener> {
    let listener = network::socket(of, port, network::What::Listens).map(TcpListener::from)?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
