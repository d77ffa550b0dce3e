//! A conversation in pieces of every size, and in every state of decay.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::super::frames::put;
use super::super::link::Link;
use super::super::{Coming, Decision, Orders, Seen, Tap};
use super::Side;
use crate::postgres::{Endpoint, Wire};

fn message(tag: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, tag, body);
    bytes
}

fn messages(all: &[(u8, &[u8])]) -> Vec<u8> {
    all.iter().flat_map(|(tag, body)| message(*tag, &[body])).collect()
}

/// What a client sends, and what the server answers.
fn conversation() -> Vec<(Vec<u8>, Vec<u8>)> {
    let startup = b"\0\0\0\x1b\0\x03\0\0user\0u\0database\0d\0\0".to_vec();
    let greeting = messages(&[
        (b'R', b"\0\0\0\0"),
        (b'S', b"standard_conforming_strings\0on\0"),
        (b'K', b"\0\0\0\x2a\0\0\0\x01"),
        (b'Z', b"I"),
    ]);
    let ssl = b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec();
    let done = |tag: &'static [u8]| -> (u8, &'static [u8]) { (b'C', tag) };
    vec![
        (ssl, b"N".to_vec()),
        (startup, greeting),
        (
            message(b'Q', &[b"SELECT 1; INSERT INTO t VALUES ('\xc3\xa9;'); oops; never\0"]),
            messages(&[
                (b'T', b"\0\x01a\0"),
                (b'D', b"\0\x01\0\0\0\x011"),
                done(b"SELECT 1\0"),
                (b'N', b"SNOTICE\0\0"),
                done(b"INSERT 0 1\0"),
                (b'E', b"SERROR\0VERROR\0C42601\0Mno\0P40\0\0"),
                (b'Z', b"I"),
            ]),
        ),
        (
            messages(&[
                (b'P', b"s\0UPDATE t SET a = $1\0\0\0"),
                (b'B', b"\0s\0\0\0\0\0\0\0"),
                (b'D', b"P\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'B', b"\0s\0\0\0\0\0\0\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'S', b""),
            ]),
            messages(&[
                (b'1', b""),
                (b'2', b""),
                (b'n', b""),
                done(b"UPDATE 3\0"),
                (b'2', b""),
                (b'E', b"SERROR\0VERROR\0C40001\0Mno\0\0"),
                (b'Z', b"I"),
            ]),
        ),
        (message(b'Q', &[b"COPY t FROM STDIN\0"]), messages(&[(b'G', b"\0\0\x01\0\0")])),
        (
            messages(&[(b'd', b"1\n"), (b'd', b"2\n"), (b'c', b"")]),
            messages(&[done(b"COPY 2\0"), (b'Z', b"I")]),
        ),
        (messages(&[(b'X', b"")]), Vec::new()),
    ]
}

const EXPECTED: [(&str, Option<&str>, Option<&str>); 6] = [
    ("SELECT 1", Some("SELECT 1"), None),
    ("INSERT INTO t VALUES ('é;')", Some("INSERT 0 1"), None),
    ("oops", None, Some("42601")),
    ("UPDATE t SET a = $1", Some("UPDATE 3"), None),
    ("UPDATE t SET a = $1", None, Some("40001")),
    ("COPY t FROM STDIN", Some("COPY 2"), None),
];

fn link(tap: &Tap) -> Link {
    let (client, _) = UnixStream::pair().unwrap();
    let (server, _) = UnixStream::pair().unwrap();
    Link::new(tap.inner(), 1, Wire::Unix(client), Wire::Unix(server))
}

fn tap() -> Tap {
    Tap::new(Endpoint::Unix { directory: "/".into(), port: 1 }).unwrap()
}

/// Gives a direction bytes in pieces, and returns what comes out.
fn feed(link: &mut Link, side: Side, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        link.lane_mut(side).inbox.append(piece);
        while link.process(side) {
            let outbox = &mut link.lane_mut(side).outbox;
            out.extend_from_slice(outbox.filled());
            let all = outbox.len();
            outbox.consume(all);
        }
    }
    out
}

fn told(seen: &[Seen]) -> Vec<(&str, Option<&str>, Option<&str>)> {
    seen.iter()
        .map(|seen| {
            let code = seen.sqlstate.as_ref().map(crate::identifiers::SqlState::as_str);
            (seen.text.as_str(), seen.tag.as_deref(), code)
        })
        .collect()
}

#[tokio::test]
async fn pieces_of_every_size_come_to_the_same() {
    for piece in (1..80).chain([1000]) {
        let tap = tap();
        tap.begin(Orders::default(), Instant::now());
        let mut link = link(&tap);
        for (client, server) in conversation() {
            assert_eq!(feed(&mut link, Side::Up, &client, piece), client);
            assert_eq!(feed(&mut link, Side::Down, &server, piece), server);
        }
        assert!(link.queue.is_empty());
        let recording = tap.end();
        assert_eq!(told(&recording.statements), EXPECTED, "{piece}");
        assert_eq!(recording.statements[2].position, Some(1));
        assert!(recording.statements.iter().all(|seen| seen.backend == 42 && &*seen.role == "u"));
    }
}

#[tokio::test]
async fn whatever_is_sent_goes_on_as_it_is() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..3000 {
        let tap = tap();
        tap.begin(Orders::default(), Instant::now());
        let mut link = link(&tap);
        let (mut sent, mut received) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (client, server) in conversation() {
            for (n, (side, mut bytes)) in [(Side::Up, client), (Side::Down, server)].into_iter().enumerate() {
                for _ in 0..random.random_range(0..3) {
                    let at = random.random_range(0..=bytes.len());
                    match bytes.get_mut(at) {
                        Some(byte) => *byte = random.random(),
                        None => bytes.push(random.random()),
                    }
                }
                received[n].extend(feed(&mut link, side, &bytes, random.random_range(1..100)));
                sent[n].extend(bytes);
            }
        }
        for (n, side) in [Side::Up, Side::Down].into_iter().enumerate() {
            // What is not complete waits.
            received[n].extend_from_slice(link.lane(side).inbox.filled());
            assert_eq!(received[n], sent[n]);
        }
        tap.end();
    }
}

#[tokio::test]
async fn orders_survive_a_hostile_conversation() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    for round in 0..3000 {
        let tap = tap();
        let decide = move |coming: &Coming<'_>| match (round + coming.index) % 3 {
            0 => Decision::Pass,
            1 => Decision::Skip(None),
            _ => Decision::Skip(Some(messages(&[(b'E', b"C42501\0\0")]).into())),
        };
        tap.begin(Orders { decide: Some(std::sync::Arc::new(decide)), ..Orders::default() }, Instant::now());
        let mut link = link(&tap);
        for (mut client, mut server) in conversation() {
            for bytes in [&mut client, &mut server] {
                let at = random.random_range(0..=2 * bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            feed(&mut link, Side::Up, &client, random.random_range(1..100));
            feed(&mut link, Side::Down, &server, random.random_range(1..100));
        }
        tap.end();
    }
}
