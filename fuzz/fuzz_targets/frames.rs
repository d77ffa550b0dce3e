//! The protocol between a client and a server, with the tap between them: what comes out is the same in whatever
//! pieces it goes in; what nobody gave an order about goes on as it is; and a client whose statements are held open
//! gets what it gets without.

#![no_main]

use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use futures_util::future::BoxFuture;
use libfuzzer_sys::fuzz_target;
use thirdrun::fuzzing::{ByHand, Conversation};
use thirdrun::tap::{At, Boundary, Coming, Decision, Next, Orders, Recording};
use thirdrun_fuzz::peer::{Peer, message, messages, startup};

static TAP: LazyLock<ByHand> = LazyLock::new(|| ByHand::new().expect("a tap"));

#[derive(Debug, Arbitrary)]
struct Input {
    orders: Ordered,
    cuts: Vec<u8>,
    talk: Talk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Ordered {
    Nothing,
    /// Every statement of which the number has this rest by three is skipped.
    Skipped {
        rest: u8,
        recorded: Recorded,
    },
    Held,
    Watched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Recorded {
    Nothing,
    Success,
    Error,
}

#[derive(Debug, Arbitrary)]
enum Talk {
    /// What the server says has nothing to do with what the client says.
    Anything { greeted: bool, turns: Vec<(Vec<Anything>, Vec<Anything>)> },
    /// The server answers.
    Honest(Vec<Vec<Sent>>),
}

#[derive(Debug, Arbitrary)]
enum Anything {
    Bytes(Vec<u8>),
    Message(u8, Vec<u8>),
    Known(Tag, Vec<u8>),
    Sent(Sent),
    Done(Tagged),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Tag {
    Ready,
    Error,
    Complete,
    Row,
    Description,
    CopyIn,
    Suspended,
    Empty,
    Parsed,
    Bound,
    Closed,
    NoData,
    Value,
    Key,
    Status,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Tagged {
    Select,
    Insert,
    Idle,
    Block,
    Failed,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Name {
    Unnamed,
    A,
    B,
}

#[derive(Debug, Arbitrary)]
enum Sent {
    Query(Sql),
    Parse(Name, Sql),
    Bind(Name, Name),
    DescribeStatement(Name),
    DescribePortal(Name),
    Execute(Name, bool),
    CloseStatement(Name),
    ClosePortal(Name),
    Sync,
    Flush,
    Function,
    Data(Vec<u8>),
    DataEnds,
    DataFails,
    /// Parse, Bind, Execute and Sync, as most drivers send them.
    Batch(Word),
}

#[derive(Debug, Arbitrary)]
enum Sql {
    Words(Vec<Word>),
    Word(Word),
    Text(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Word {
    Select,
    Begin,
    Commit,
    Rollback,
    Fail,
    Vacuum,
    Copy,
    Update,
    Set,
    Nothing,
    Comment,
    Odd,
}

impl Word {
    fn sql(self) -> &'static str {
        match self {
            Self::Select => "SELECT 1",
            Self::Begin => "BEGIN",
            Self::Commit => "commit",
            Self::Rollback => "ROLLBACK",
            Self::Fail => "FAIL é",
            Self::Vacuum => "VACUUM",
            Self::Copy => "COPY t FROM STDIN",
            Self::Update => "UPDATE t SET a = ';'",
            Self::Set => "SET x = 1",
            Self::Nothing => " ",
            Self::Comment => "/* ; */ UPDATE t SET b = 'é' -- ;\n",
            Self::Odd => "CREATE ROLE r PASSWORD 'secret'",
        }
    }
}

impl Sql {
    fn bytes(&self, honest: bool) -> Vec<u8> {
        match self {
            // What a server does after a COPY in a query string depends on more than is modelled.
            Self::Words(words) => {
                let words = words.iter().filter(|word| !honest || **word != Word::Copy);
                words.map(|word| word.sql()).collect::<Vec<_>>().join("; ").into_bytes()
            }
            Self::Text(text) if !honest => text.iter().copied().filter(|byte| *byte != 0).collect(),
            Self::Text(_) => b"UPDATE t".to_vec(),
            Self::Word(word) => word.sql().into(),
        }
    }
}

impl Name {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Unnamed => b"\0",
            Self::A => b"a\0",
            Self::B => b"b\0",
        }
    }
}

impl Sent {
    fn bytes(&self, honest: bool) -> Vec<u8> {
        match self {
            Self::Query(sql) => message(b'Q', &[&sql.bytes(honest), b"\0"]),
            Self::Parse(name, sql) => {
                // A server takes one statement here.
                let sql = match sql {
                    Sql::Words(words) if honest => words.first().map_or("", |word| word.sql()).into(),
                    other => other.bytes(honest),
                };
                message(b'P', &[name.bytes(), &sql, b"\0\0\0"])
            }
            Self::Bind(portal, name) => message(b'B', &[portal.bytes(), name.bytes(), &[0; 6]]),
            Self::DescribeStatement(name) => message(b'D', &[b"S", name.bytes()]),
            Self::DescribePortal(name) => message(b'D', &[b"P", name.bytes()]),
            Self::Execute(name, one) => message(b'E', &[name.bytes(), &u32::from(*one).to_be_bytes()]),
            Self::CloseStatement(name) => message(b'C', &[b"S", name.bytes()]),
            Self::ClosePortal(name) => message(b'C', &[b"P", name.bytes()]),
            Self::Sync => message(b'S', &[]),
            Self::Flush => message(b'H', &[]),
            Self::Function => message(b'F', &[&[0, 0, 3, 0xbe, 0, 0, 0, 0, 0, 0]]),
            Self::Data(data) => message(b'd', &[data]),
            Self::DataEnds => message(b'c', &[]),
            Self::DataFails => message(b'f', &[b"no\0"]),
            Self::Batch(word) => [
                Self::Parse(Name::Unnamed, Sql::Word(*word)).bytes(honest),
                Self::Bind(Name::Unnamed, Name::Unnamed).bytes(honest),
                Self::Execute(Name::Unnamed, false).bytes(honest),
                Self::Sync.bytes(honest),
            ]
            .concat(),
        }
    }
}

impl Anything {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Message(tag, body) => message(*tag, &[body]),
            Self::Known(tag, body) => {
                let tags = b"ZECDTGsI123nVKS";
                message(tags[*tag as usize], &[body])
            }
            Self::Sent(sent) => sent.bytes(false),
            Self::Done(Tagged::Select) => message(b'C', &[b"SELECT 1\0"]),
            Self::Done(Tagged::Insert) => message(b'C', &[b"INSERT 0 18446744073709551615\0"]),
            Self::Done(Tagged::Idle) => message(b'Z', &[b"I"]),
            Self::Done(Tagged::Block) => message(b'Z', &[b"T"]),
            Self::Done(Tagged::Failed) => message(b'Z', &[b"E"]),
        }
    }
}

struct Passes;

impl Boundary for Passes {
    fn reached(&self, _: At) -> BoxFuture<'_, Next> {
        Box::pin(std::future::ready(Next::Go))
    }
}

fn orders(ordered: Ordered) -> Orders {
    let boundary: Option<Arc<dyn Boundary>> = Some(Arc::new(Passes));
    match ordered {
        Ordered::Nothing => Orders::default(),
        Ordered::Held => Orders { boundary, hold: true, ..Orders::default() },
        Ordered::Watched => Orders { boundary, ..Orders::default() },
        Ordered::Skipped { rest, recorded } => {
            let response = match recorded {
                Recorded::Nothing => None,
                Recorded::Success => Some(message(b'C', &[b"UPDATE 7\0"]).into()),
                Recorded::Error => Some(message(b'E', &[b"SERROR\0VERROR\0C42501\0Mno\0\0"]).into()),
            };
            let decide = move |coming: &Coming<'_>| {
                if coming.index % 3 == u32::from(rest % 3) {
                    Decision::Skip(response.clone())
                } else {
                    Decision::Pass
                }
            };
            Orders { decide: Some(Arc::new(decide)), ..Orders::default() }
        }
    }
}

/// What came out for the client and for the server, and what was recorded.
type Outcome = ([Vec<u8>; 2], Recording);

/// Cuts bytes into pieces.
struct Cuts<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Cuts<'_> {
    fn each(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let length = self.0.next().map_or(usize::MAX, |cut| usize::from(*cut).max(1)).min(bytes.len());
            let (piece, rest) = bytes.split_at(length);
            take(piece);
            bytes = rest;
        }
    }
}

/// How often a client was asked for COPY data.
fn asked_for_data(said: &[u8]) -> usize {
    messages(said).iter().filter(|(tag, _)| *tag == b'G').count()
}

/// The server answers until nothing comes any more. `all_said`: the client gives data as often as a server asks for them,
/// which is so often.
fn honest(ordered: Ordered, turns: &[Vec<u8>], cuts: &[u8], all_said: Option<usize>) -> Outcome {
    let mut cuts = Cuts(cuts.iter().cycle());
    let mut talk = TAP.begin(orders(ordered)).expect("a connection");
    let mut peer = Peer::default();
    let mut out: [Vec<u8>; 2] = Default::default();
    for turn in turns {
        cuts.each(turn, |piece| talk.client(piece));
        // Whatever is asked comes to an end; a tap that goes on asking by itself does not.
        for round in 0.. {
            assert!(round < 10_000, "the tap never comes to rest");
            let sent = talk.for_server();
            out[1].extend(&sent);
            let answer = peer.answer(&sent);
            if answer.is_empty() {
                break;
            }
            cuts.each(&answer, |piece| talk.server(piece));
        }
        out[0].extend(talk.for_client());
    }
    // Where statements are skipped it may be asked for more, and never gives it.
    if all_said.is_some_and(|often| asked_for_data(&out[0]) <= often) {
        assert_eq!(talk.waiting(), (&[][..], &[][..]), "something is left behind");
    }
    (out, talk.end())
}

fn anything(ordered: Ordered, turns: &[[Vec<u8>; 2]], cuts: &[u8]) -> Outcome {
    let mut cuts = Cuts(cuts.iter().cycle());
    let mut talk = TAP.begin(orders(ordered)).expect("a connection");
    let mut out: [Vec<u8>; 2] = Default::default();
    let take = |talk: &mut Conversation<'_>, out: &mut [Vec<u8>; 2]| {
        out[0].extend(talk.for_client());
        out[1].extend(talk.for_server());
    };
    for [client, server] in turns {
        cuts.each(client, |piece| talk.client(piece));
        cuts.each(server, |piece| talk.server(piece));
        take(&mut talk, &mut out);
    }
    if ordered == Ordered::Nothing {
        let (client, server) = talk.waiting();
        out[1].extend(client);
        out[0].extend(server);
    }
    (out, talk.end())
}

/// What does not depend on the time of the day.
fn told(recording: &Recording) -> Vec<String> {
    let seen = recording.statements.iter();
    seen.map(|seen| {
        format!(
            "{} {:?} #{} {:?} {:?} {:?} {:?} {} {}",
            seen.index,
            seen.text,
            seen.occurrence,
            seen.tag,
            seen.rows,
            seen.sqlstate,
            seen.position,
            seen.in_transaction,
            seen.skipped,
        )
    })
    .collect()
}

fuzz_target!(|input: Input| {
    let Input { orders, cuts, talk } = &input;
    match talk {
        Talk::Honest(turns) => {
            let said = turns.iter().map(|turn| turn.iter().flat_map(|sent| sent.bytes(true)).collect());
            // Only what has ended is sure to be answered.
            let turns: Vec<Vec<u8>> =
                std::iter::once(startup()).chain(said).chain([Sent::Sync.bytes(true)]).collect();
            let mut bare = Peer::default();
            let expected: Vec<u8> = turns.iter().flat_map(|turn| bare.hears(turn)).collect();
            if bare.violated && *orders != Ordered::Nothing {
                // What is sent behind a batch, a COPY that is not passed on, or a boundary, waits until what is before it
                // has ended, which it never does for a client that sends something else than data during a COPY; and
                // whose data those are that nobody has asked for is anybody's guess. It comes to rest all the same.
                honest(*orders, &turns, cuts, None);
                return;
            }
            let all_said = Some(asked_for_data(&expected)).filter(|_| !bare.copies());
            let ([client, server], recording) = honest(*orders, &turns, &[], all_said);
            let ([client_again, server_again], recording_again) = honest(*orders, &turns, cuts, all_said);
            assert_eq!(messages(&client), messages(&client_again));
            assert!(server == server_again, "other messages for the server");
            assert_eq!(told(&recording), told(&recording_again));
            match orders {
                Ordered::Nothing | Ordered::Watched => {
                    assert_eq!(messages(&client), messages(&expected));
                    assert!(server == turns.concat(), "what goes on is not what came");
                }
                Ordered::Held => assert_eq!(messages(&client), messages(&expected)),
                Ordered::Skipped { .. } => {
                    let ready = |bytes: &[u8]| messages(bytes).iter().filter(|(tag, _)| *tag == b'Z').count();
                    let asked = |tag: u8| matches!(tag, b'Q' | b'F' | b'S');
                    let whole = turns[1..].concat();
                    let most = messages(&whole).iter().filter(|(tag, _)| asked(*tag)).count() + 1;
                    assert!(ready(&client) <= most, "more answers than questions");
                }
            }
        }
        Talk::Anything { greeted, turns } => {
            let mut all: Vec<[Vec<u8>; 2]> = Vec::new();
            if *greeted {
                let answer = Peer::default().answer(&startup());
                all.push([startup(), answer]);
            }
            let bytes = |side: &[Anything]| side.iter().flat_map(Anything::bytes).collect::<Vec<u8>>();
            all.extend(turns.iter().map(|(client, server)| [bytes(client), bytes(server)]));
            let (out, recording) = anything(*orders, &all, &[]);
            let (out_again, recording_again) = anything(*orders, &all, cuts);
            if *orders == Ordered::Nothing {
                let side = |at: usize| all.iter().flat_map(|turn| turn[at].clone()).collect::<Vec<u8>>();
                let sent = [side(1), side(0)];
                assert!(out == sent && out_again == sent, "what goes on is not what came");
                // Before the greeting is over, what is known of the client depends on who is heard first.
                if *greeted {
                    assert_eq!(told(&recording), told(&recording_again));
                }
            }
        }
    }
});
