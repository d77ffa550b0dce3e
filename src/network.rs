//! Sockets at 127.0.0.1 in the network namespace of another process, used from this one.

use std::io;
use std::os::fd::OwnedFd;

/// What a socket does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It listens at the port.
    Listens,
    /// It is connected to the port.
    Connects,
}

/// A socket at 127.0.0.1 in the network namespace of a process (and, unless this is root, in its user namespace,
/// without which nobody else may enter the other one).
///
/// A process with several threads cannot enter a user namespace (setns(2)). So a child goes there, listens or
/// connects, sends the socket back and ends before it has executed anything.
///
/// # Errors
/// When the namespace cannot be entered, and when nobody listens at the port.
#[cfg(target_os = "linux")]
pub(crate) fn socket(of: u32, port: u16, what: What) -> io::Result<OwnedFd> {
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
            within::make_and_send(user.as_ref(), &network, port, what, &theirs)?;
            Err(io::Error::from(io::ErrorKind::Interrupted))
        });
    }
    let failure = match crate::children::spawn(&mut child) {
        Ok(mut unexpected) => {
            // It cannot have been executed; should it have been, it is waited for.
            let _ = unexpected.wait();
            io::Error::other("a child that should only make a socket was executed")
        }
        Err(error) => error,
    };
    within::received(&ours).ok_or(failure)
}

/// Other systems have no such thing.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(crate) fn socket(_: u32, _: u16, _: What) -> io::Result<OwnedFd> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(target_os = "linux")]
mod within {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::os::fd::{AsFd as _, OwnedFd};

    use rustix::net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind, connect, listen, recvmsg, sendmsg,
        socket_with, sockopt,
    };
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::What;

    /// Connections that may wait to be accepted.
    const BACKLOG: i32 = 128;

    /// In a child between fork and exec.
    pub(super) fn make_and_send(
        user: Option<&OwnedFd>,
        network: &OwnedFd,
        port: u16,
        what: What,
        to: &OwnedFd,
    ) -> io::Result<()> {
        if let Some(user) = user {
            move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        }
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        match what {
            What::Listens => {
                sockopt::set_socket_reuseaddr(&socket, true)?;
                bind(&socket, &address)?;
                listen(&socket, BACKLOG)?;
            }
            What::Connects => connect(&socket, &address)?,
        }
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
