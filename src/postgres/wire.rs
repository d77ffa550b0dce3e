//! A byte stream between a client and a server, whichever kind of socket it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Endpoint;
use crate::network::{self, What};

/// A stream to a server, whichever kind.
pub(crate) enum Wire {
    /// A unix socket.
    Unix(UnixStream),
    /// TCP.
    Tcp(TcpStream),
}

impl Wire {
    /// Connects.
    pub(crate) async fn open(endpoint: &Endpoint) -> std::io::Result<Self> {
        match endpoint {
            Endpoint::Unix { .. } => {
                let file = endpoint.socket_file().unwrap_or_default();
                Ok(Self::Unix(UnixStream::connect(file).await?))
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Endpoint::Inside { process, port } => {
                let stream = std::net::TcpStream::from(network::socket(*process, *port, What::Connects)?);
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(TcpStream::from_std(stream)?))
            }
        }
    }

    /// A second handle on the same socket: the driver keeps one, the other sees the end of the backend.
    pub(super) fn split_off(self) -> std::io::Result<(Self, Self)> {
        Ok(match self {
            Self::Unix(stream) => {
                let std = stream.into_std()?;
                let twin = std.try_clone()?;
                (Self::Unix(UnixStream::from_std(std)?), Self::Unix(UnixStream::from_std(twin)?))
            }
            Self::Tcp(stream) => {
                let std = stream.into_std()?;
                let twin = std.try_clone()?;
                (Self::Tcp(TcpStream::from_std(std)?), Self::Tcp(TcpStream::from_std(twin)?))
            }
        })
    }

    /// Reads until the server has closed its side, which its kernel does when the process ends.
    pub(super) async fn drain(mut self) {
        let mut buffer = [0_u8; 4096];
        while matches!(self.read(&mut buffer).await, Ok(count) if count > 0) {}
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
