//! A connection of the tap without sockets: whoever holds it brings the bytes of both sides, in whatever pieces, and
//! takes what comes out.

use std::io;
use std::task::Poll;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::Side;
use crate::postgres::{Endpoint, Wire};
use crate::tap::link::Link;
use crate::tap::{Next, Orders, Recording, Tap};

/// How often a boundary that is under way may have its turn without anything coming of it.
const TURNS: usize = 8;

/// A tap, and the runtime on which its boundaries run.
pub struct ByHand {
    runtime: Runtime,
    tap: Tap,
}

/// One connection, which is a run of its own.
pub struct Conversation<'a> {
    by_hand: &'a ByHand,
    link: Link,
    /// What has come out for the client, and for the server.
    out: [Vec<u8>; 2],
}

impl ByHand {
    /// A tap that listens nowhere.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let within = runtime.enter();
        let tap = Tap::new(Endpoint::Unix { directory: "/".into(), port: 1 })?;
        drop(within);
        Ok(Self { runtime, tap })
    }

    /// Begins a run with one connection.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn begin(&self, orders: Orders) -> io::Result<Conversation<'_>> {
        let _within = self.runtime.enter();
        let (client, _) = UnixStream::pair()?;
        let (server, _) = UnixStream::pair()?;
        self.tap.begin(orders, Instant::now());
        let link = Link::new(self.tap.inner(), 1, Wire::Unix(client), Wire::Unix(server));
        Ok(Conversation { by_hand: self, link, out: Default::default() })
    }
}

impl Conversation<'_> {
    /// The client sends bytes.
    pub fn client(&mut self, bytes: &[u8]) {
        self.link.up.inbox.append(bytes);
        self.settle();
    }

    /// The server sends bytes.
    pub fn server(&mut self, bytes: &[u8]) {
        self.link.down.inbox.append(bytes);
        self.settle();
    }

    /// Takes what has come out for the client.
    pub fn for_client(&mut self) -> Vec<u8> {
        let [client, _] = &mut self.out;
        std::mem::take(client)
    }

    /// Takes what has come out for the server.
    pub fn for_server(&mut self) -> Vec<u8> {
        let [_, server] = &mut self.out;
        std::mem::take(server)
    }

    /// What the client and the server have sent and the tap has not passed on.
    pub fn waiting(&self) -> (&[u8], &[u8]) {
        (self.link.up.inbox.filled(), self.link.down.inbox.filled())
    }

    /// Ends the run.
    pub fn end(self) -> Recording {
        self.by_hand.tap.end()
    }

    /// Does all that can be done with what is there.
    fn settle(&mut self) {
        let (link, out) = (&mut self.link, &mut self.out);
        let mut turns = 0;
        self.by_hand.runtime.block_on(std::future::poll_fn(|cx| {
            loop {
                let mut moved = false;
                if link.hold.is_some() {
                    match link.poll_hold(cx) {
                        Poll::Ready(Next::Cut) => return Poll::Ready(()),
                        Poll::Ready(Next::Go) => moved = true,
                        Poll::Pending => {}
                    }
                }
                moved |= link.advance_wrap();
                for side in [Side::Up, Side::Down] {
                    while link.process(side) {
                        moved = true;
                    }
                }
                let [client, server] = &mut *out;
                take(&mut link.up.outbox, server);
                if link.hold.is_none() {
                    take(&mut link.down.outbox, client);
                }
                if moved {
                    continue;
                }
                turns += 1;
                if link.hold.is_none() || turns > TURNS {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }));
    }
}

fn take(outbox: &mut crate::tap::buffer::Buffer, into: &mut Vec<u8>) {
    into.extend_from_slice(outbox.filled());
    let all = outbox.len();
    outbox.consume(all);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::tap::frames::put;
    use crate::tap::{At, Boundary};

    struct Passes;

    impl Boundary for Passes {
        fn reached(&self, _: At) -> BoxFuture<'_, Next> {
            Box::pin(std::future::ready(Next::Go))
        }
    }

    fn messages(all: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        all.iter().for_each(|(tag, body)| put(&mut bytes, *tag, &[body]));
        bytes
    }

    /// What the server says to the tap's own BEGIN, COMMIT or ROLLBACK.
    fn own(tag: &[u8], status: &[u8]) -> Vec<u8> {
        let closed: [(u8, &[u8]); 2] = [(b'3', b""), (b'3', b"")];
        let parts = [&closed[..], &[(b'1', b""), (b'2', b""), (b'C', tag)], &closed, &[(b'Z', status)]];
        messages(&parts.concat())
    }

    #[test]
    fn a_rollback_that_the_server_ignores_ends_nothing() {
        let by_hand = ByHand::new().unwrap();
        let orders = Orders { boundary: Some(Arc::new(Passes)), hold: true, ..Orders::default() };
        let mut talk = by_hand.begin(orders).unwrap();
        talk.client(b"\0\0\0\x10\0\x03\0\0user\0u\0\0");
        talk.server(&messages(&[(b'R', &[0; 4]), (b'Z', b"I")]));
        talk.for_client();
        // A statement that is not there, and what the server ignores behind the error.
        let rollback: &[u8] = b"\0ROLLBACK\0\0\0";
        let batch: [(u8, &[u8]); 5] =
            [(b'B', b"b\0b\0\0\0\0\0\0\0"), (b'P', rollback), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'S', b"")];
        talk.client(&messages(&batch));
        talk.server(&own(b"BEGIN\0", b"T"));
        let error = messages(&[(b'E', b"SERROR\0VERROR\0C26000\0\0")]);
        talk.server(&[error.clone(), messages(&[(b'Z', b"E")])].concat());
        talk.server(&own(b"ROLLBACK\0", b"I"));
        assert_eq!(talk.for_client(), [error, messages(&[(b'Z', b"I")])].concat());
        talk.end();
    }

    #[test]
    fn copy_data_come_behind_a_sync_that_the_server_ignores() {
        let by_hand = ByHand::new().unwrap();
        let orders = Orders { boundary: Some(Arc::new(Passes)), hold: true, ..Orders::default() };
        let mut talk = by_hand.begin(orders).unwrap();
        talk.client(b"\0\0\0\x10\0\x03\0\0user\0u\0\0");
        talk.server(&messages(&[(b'R', &[0; 4]), (b'Z', b"I")]));
        let copy: &[u8] = b"\0COPY t FROM STDIN\0\0\0";
        talk.client(&messages(&[(b'P', copy), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'S', b"")]));
        // Its own BEGIN, and then the client's batch.
        talk.server(&own(b"BEGIN\0", b"T"));
        talk.server(&messages(&[(b'1', b""), (b'2', b""), (b'G', &[0; 3])]));
        talk.for_server();
        let rest = messages(&[(b'S', b""), (b'd', b"1\n"), (b'c', b""), (b'S', b"")]);
        talk.client(&rest);
        assert_eq!(talk.for_server(), rest);
        talk.end();
    }
}
