//! Doors: sockets at which scripts find the tap instead of the server, in places that only the sandbox reaches.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::UnixListener;

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

/// A socket at [`HOST`] in the network namespace of a process (and, unless this is root, in its user namespace,
/// without which nobody else may enter the other one).
///
/// A process with several threads cannot enter a user namespace (setns(2)). So a child goes there, listens, sends
/// the socket back and ends before it has executed anything.
#[cfg(target_os = "linux")]
pub(super) fn tcp(of: u32, port: u16) -> io::Result<tokio::net::TcpListener> {
    use std::os::fd::OwnedFd;
    use std::os::unix::process::CommandExt as _;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let namespace = |kind: &str| std::fs::File::open(format!("/proc/{of}/ns/{kind}")).map(OwnedFd::from);
    let user = if rustix::process::geteuid().is_root() { None } else { Some(namespace("user")?) };
    let network = namespace("net")?;
    let mut child = std::process::Command::new("/nothing/is/executed");
    // SAFETY: the closure makes system calls only and allocates nothing.
    unsafe {
        child.pre_exec(move || {
            within::listen_and_send(user.as_ref(), &network, port, &theirs)?;
            Err(io::Error::from(io::ErrorKind::Interrupted))
        });
    }
    let failure = match crate::children::spawn(&mut child) {
        Ok(mut unexpected) => {
            // It cannot have been executed; should it have been, it is waited for.
            let _ = unexpected.wait();
            io::Error::other("a child that should only listen was executed")
        }
        Err(error) => error,
    };
    let listener = within::received(&ours).ok_or(failure)?;
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn tcp(_: u32, _: u16) -> io::Result<tokio::net::TcpListener> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(target_os = "linux")]
mod within {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::net::SocketAddrV4;
    use std::os::fd::{AsFd as _, OwnedFd};

    use rustix::net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind, listen, recvmsg, sendmsg,
        socket_with, sockopt,
    };
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::Ipv4Addr;

    /// Connections that may wait to be accepted.
    const BACKLOG: i32 = 128;

    /// In a child between fork and exec.
    pub(super) fn listen_and_send(
        user: Option<&OwnedFd>,
        network: &OwnedFd,
        port: u16,
        to: &OwnedFd,
    ) -> io::Result<()> {
        if let Some(user) = user {
            move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        }
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        listen(&socket, BACKLOG)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket.as_fd()];
        message.push(SendAncillaryMessage::ScmRights(&sockets));
        sendmsg(to, &[IoSlice::new(b"s")], &mut message, SendFlags::empty())?;
        Ok(())
    }

    /// The socket that the child has sent, if it has.
    pub(super) fn received(from: &OwnedFd) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0_u8];
        recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut message, RecvFlags::CMSG_CLOEXEC).ok()?;
        message.drain().find_map(|part| match part {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        })
    }
}
