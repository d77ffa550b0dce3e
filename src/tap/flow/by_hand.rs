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
                    turns = 0;
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
    use crate::tap::{At, Boundary, Coming, Decision};

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

    /// Statements are held open.
    fn held() -> Orders {
        Orders { boundary: Some(Arc::new(Passes)), hold: true, ..Orders::default() }
    }

    /// A connection on which the client has logged in.
    fn greeted(by_hand: &ByHand, orders: Orders) -> Conversation<'_> {
        let mut talk = by_hand.begin(orders).unwrap();
        talk.client(b"\0\0\0\x10\0\x03\0\0user\0u\0\0");
        talk.server(&messages(&[(b'R', &[0; 4]), (b'Z', b"I")]));
        talk.for_client();
        talk
    }

    #[test]
    fn a_rollback_that_the_server_ignores_ends_nothing() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, held());
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

    /// What no driver sends is not held open, in whatever pieces it comes.
    #[test]
    fn a_batch_with_something_else_in_it_goes_on_as_it_is() {
        let by_hand = ByHand::new().unwrap();
        let parse: (u8, &[u8]) = (b'P', b"\0SELECT 1\0\0\0");
        for odd in [(b'Q', &b"SELECT 1; BEGIN\0"[..]), (b'F', &[0; 10]), (b'H', b""), (b'd', b"1\n")] {
            let batch = messages(&[parse, odd, parse, (b'S', b"")]);
            for piece in [1, 7, batch.len()] {
                let mut talk = greeted(&by_hand, held());
                talk.for_server();
                batch.chunks(piece).for_each(|piece| talk.client(piece));
                assert_eq!(talk.for_server(), batch);
                talk.end();
            }
        }
    }

    /// What cannot be inside of a transaction is sent once more, and a statement that was prepared stays prepared.
    #[test]
    fn a_name_that_was_given_is_given_back_before_it_is_given_again() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, held());
        let vacuum: (u8, &[u8]) = (b'P', b"\0VACUUM\0\0\0");
        let batch =
            messages(&[(b'P', b"s\0SELECT 1\0\0\0"), vacuum, (b'B', &[0; 8]), (b'E', &[0; 5]), (b'S', b"")]);
        talk.client(&batch);
        talk.server(&own(b"BEGIN\0", b"T"));
        let refused: (u8, &[u8]) = (b'E', b"SERROR\0VERROR\0C25001\0\0");
        talk.server(&messages(&[(b'1', b""), (b'1', b""), (b'2', b""), refused, (b'Z', b"E")]));
        talk.for_server();
        talk.server(&own(b"ROLLBACK\0", b"I"));
        assert_eq!(talk.for_server(), [messages(&[(b'C', b"Ss\0")]), batch].concat());
        let answer = messages(&[(b'1', b""), (b'1', b""), (b'2', b""), (b'C', b"VACUUM\0"), (b'Z', b"I")]);
        talk.server(&[messages(&[(b'3', b"")]), answer.clone()].concat());
        assert_eq!(talk.for_client(), answer);
        talk.end();
    }

    /// The server answers what is before it when Sync comes.
    #[test]
    fn a_batch_is_waited_for_up_to_its_sync() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, held());
        talk.for_server();
        let batch = messages(&[(b'P', b"\0SELECT 1\0\0\0"), (b'B', &[0; 8]), (b'E', &[0; 5])]);
        talk.client(&batch);
        assert_eq!(talk.for_server(), Vec::<u8>::new());
        let sync = messages(&[(b'S', b"")]);
        talk.client(&sync);
        let sent = talk.for_server();
        assert!(sent.ends_with(&[batch, sync].concat()) && sent.len() > 32, "{sent:?}");
        talk.end();
    }

    /// A client that does not wait for CopyInResponse.
    #[test]
    fn data_that_come_ahead_belong_to_the_copy_that_is_skipped() {
        let by_hand = ByHand::new().unwrap();
        let decide = |_: &Coming<'_>| Decision::Skip(None);
        let mut talk = greeted(&by_hand, Orders { decide: Some(Arc::new(decide)), ..Orders::default() });
        talk.for_server();
        talk.client(&messages(&[(b'Q', b"COPY t FROM STDIN\0"), (b'S', b""), (b'd', b"1\n"), (b'c', b"")]));
        assert_eq!(talk.for_server(), messages(&[(b'Q', b"                 \0")]));
        talk.server(&messages(&[(b'I', b""), (b'Z', b"I")]));
        let answer = messages(&[(b'G', &[0; 3]), (b'C', b"COPY 0\0"), (b'Z', b"I")]);
        assert_eq!((talk.for_client(), talk.for_server()), (answer, Vec::new()));
        talk.end();
    }

    /// A server ignores Sync while it reads data, in a simple query too.
    #[test]
    fn a_boundary_behind_a_copy_does_not_wait_for_what_was_ignored() {
        let by_hand = ByHand::new().unwrap();
        let watched = Orders { boundary: Some(Arc::new(Passes)), ..Orders::default() };
        let mut talk = greeted(&by_hand, watched);
        talk.for_server();
        let sync: (u8, &[u8]) = (b'S', b"");
        let all = messages(&[(b'Q', b"COPY t FROM STDIN\0"), sync, (b'f', b"no\0"), sync]);
        talk.client(&all);
        let error: (u8, &[u8]) = (b'E', b"SERROR\0VERROR\0C57014\0\0");
        talk.server(&messages(&[(b'G', &[0; 3]), error, (b'Z', b"I"), (b'Z', b"I")]));
        let more = messages(&[(b'Q', b"SELECT 1\0")]);
        talk.client(&more);
        assert_eq!(talk.for_server(), [all, more].concat());
        talk.end();
    }

    #[test]
    fn data_behind_a_sync_come_to_a_copy_that_is_held_open() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, held());
        talk.for_server();
        let rest = messages(&[(b'S', b""), (b'd', b"1\n"), (b'c', b"")]);
        talk.client(&[messages(&[(b'Q', b"COPY t FROM STDIN\0")]), rest.clone()].concat());
        talk.server(&own(b"BEGIN\0", b"T"));
        talk.for_server();
        talk.server(&messages(&[(b'G', &[0; 3])]));
        assert_eq!(talk.for_server(), rest);
        talk.end();
    }

    #[test]
    fn of_two_copies_that_are_skipped_each_is_shown_once() {
        let by_hand = ByHand::new().unwrap();
        let decide = |_: &Coming<'_>| Decision::Skip(None);
        let mut talk = greeted(&by_hand, Orders { decide: Some(Arc::new(decide)), ..Orders::default() });
        let copy: &[u8] = b"\0COPY t FROM STDIN\0\0\0";
        let one = messages(&[(b'P', copy), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'c', b""), (b'S', b"")]);
        talk.client(&[one.clone(), one].concat());
        let answer = messages(&[(b'1', b""), (b'2', b""), (b'3', b""), (b'Z', b"I")]);
        talk.server(&answer);
        talk.server(&answer);
        let said = messages(&[(b'1', b""), (b'2', b""), (b'G', &[0; 3]), (b'C', b"COPY 0\0"), (b'Z', b"I")]);
        assert_eq!(talk.for_client(), [said.clone(), said].concat());
        talk.end();
    }

    #[test]
    fn a_copy_that_is_skipped_fails_when_something_else_than_data_comes() {
        let by_hand = ByHand::new().unwrap();
        let decide = |coming: &Coming<'_>| {
            if coming.index == 1 { Decision::Skip(None) } else { Decision::Pass }
        };
        let mut talk = greeted(&by_hand, Orders { decide: Some(Arc::new(decide)), ..Orders::default() });
        talk.for_server();
        talk.client(&messages(&[(b'Q', b"COPY t FROM STDIN\0")]));
        talk.server(&messages(&[(b'I', b""), (b'Z', b"I")]));
        assert_eq!(talk.for_client(), messages(&[(b'G', &[0; 3])]));
        talk.for_server();
        let query = messages(&[(b'Q', b"SELECT 1\0")]);
        talk.client(&query);
        assert_eq!(talk.for_server(), query);
        let answer = messages(&[(b'C', b"SELECT 1\0"), (b'Z', b"I")]);
        talk.server(&answer);
        let said = talk.for_client();
        assert!(said.starts_with(b"E") && said.ends_with(&answer), "{said:?}");
        talk.end();
    }

    #[test]
    fn an_empty_query_behind_copy_data_is_answered() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, Orders::default());
        let copy: &[u8] = b"\0COPY t FROM STDIN\0\0\0";
        let batch: [(u8, &[u8]); 6] =
            [(b'P', copy), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'S', b""), (b'c', b""), (b'Q', b"\0")];
        talk.client(&messages(&batch));
        let answer = messages(&[
            (b'1', b""),
            (b'2', b""),
            (b'G', &[0; 3]),
            (b'C', b"COPY 1\0"),
            (b'I', b""),
            (b'Z', b"I"),
        ]);
        talk.server(&answer);
        assert_eq!(talk.for_client(), answer);
        talk.end();
    }

    #[test]
    fn copy_data_come_behind_a_sync_that_the_server_ignores() {
        let by_hand = ByHand::new().unwrap();
        let mut talk = greeted(&by_hand, held());
        let copy: &[u8] = b"\0COPY t FROM STDIN\0\0\0";
        talk.client(&messages(&[(b'P', copy), (b'B', &[0; 8]), (b'E', &[0; 5]), (b'S', b"")]));
        // Its own BEGIN, and then the client's batch.
        talk.server(&own(b"BEGIN\0", b"T"));
        talk.server(&messages(&[(b'1', b""), (b'2', b""), (b'G', &[0; 3])]));
        talk.for_server();
        let rest = messages(&[(b'S', b""), (b'd', b"1\n"), (b'c', b""), (b'S', b"")]);
        talk.client(&rest);
        assert_eq!(talk.for_server(), rest);
        // Another Sync waits for the end of the first.
        talk.client(&messages(&[(b'S', b"")]));
        assert_eq!(talk.for_server(), Vec::<u8>::new());
        talk.end();
    }
}
