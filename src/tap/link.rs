//! One connection: the bytes of both directions, and what is known of the conversation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::Orders;
use super::accept::Inner;
use super::buffer::Buffer;
use super::expect::{Expect, Text};
use super::hold::Hold;
use super::journal::{Seat, Slot};
use super::wrap::{Again, Wrap};
use crate::identifiers::SqlState;
use crate::postgres::Wire;

/// What becomes of a message. Whatever was put into [`Link::scratch`] goes out before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Drop,
    /// It stays where it is for now.
    Stay,
}

/// One direction.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) inbox: Buffer,
    pub(super) outbox: Buffer,
    /// Bytes that are left of the message that is passing.
    pub(super) body: usize,
    /// They go nowhere.
    pub(super) dropping: bool,
    /// They belong to the response that is kept.
    pub(super) keeping: bool,
    /// Bytes that must be there before the next message can be looked at.
    pub(super) wanted: usize,
    /// The sender has closed.
    pub(super) ended: bool,
    /// The receiver takes no more.
    pub(super) deaf: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The next message of the client has no tag (53.2.1).
    Startup,
    /// The server answers a request for encryption with one byte (53.2.10).
    Encryption,
    /// Messages in both directions.
    Open,
    /// Not to be read: a cancel request, encryption, or no messages at all.
    Opaque,
}

/// A statement that was answered since the server was last ready.
pub(super) struct Last {
    pub(super) slot: Slot,
    pub(super) tag: Option<String>,
    pub(super) sqlstate: Option<SqlState>,
    /// Its boundary is yet to come.
    pub(super) due: bool,
}

/// A portal.
#[derive(Clone)]
pub(super) struct Portal {
    pub(super) text: Text,
    /// It was executed before: what is executed now continues it.
    pub(super) begun: Option<Begun>,
}

/// What was executed of a portal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) slot: Option<Slot>,
    pub(super) rows: u64,
    pub(super) skipped: bool,
}

/// A `COPY FROM STDIN` that is not passed on, while the client sends its data.
pub(super) struct CopySkipped {
    pub(super) extended: bool,
    /// The client was told to begin.
    pub(super) shown: bool,
    /// The client has ended it: well, or not.
    pub(super) ended: Option<bool>,
    /// Syncs that the client sent meanwhile, which a server ignores (53.2.7).
    pub(super) syncs: u32,
}

/// One connection.
pub(super) struct Link {
    pub(super) shared: Arc<Inner>,
    pub(super) id: u64,
    pub(super) client: Wire,
    pub(super) server: Wire,
    pub(super) up: Lane,
    pub(super) down: Lane,
    pub(super) scratch: Vec<u8>,

    pub(super) phase: Phase,
    pub(super) role: Arc<str>,
    pub(super) database: Arc<str>,
    pub(super) backend: i32,
    /// `standard_conforming_strings` is off.
    pub(super) escapes: bool,

    pub(super) queue: VecDeque<Expect>,
    /// The transaction status that the server told last.
    pub(super) status: u8,
    /// The open transaction has run something that looks at data.
    pub(super) has_looked: bool,
    /// Something was executed since the last Sync.
    pub(super) unsynced: bool,
    /// After an error the server ignores what comes until Sync (53.2.3).
    pub(super) ignoring: bool,
    /// What comes until Sync is not passed on, for an error that the server does not know of.
    pub(super) discarding: bool,
    pub(super) statements: HashMap<Box<[u8]>, Text>,
    pub(super) statement_texts: usize,
    pub(super) unnamed_statement: Option<Text>,
    pub(super) portals: HashMap<Box<[u8]>, Portal>,
    pub(super) unnamed_portal: Option<Portal>,

    pub(super) seat: Seat,
    pub(super) last: Option<Last>,
    pub(super) answered: Instant,
    orders: (u64, Orders),
    pub(super) hold: Option<Hold>,
    pub(super) copy_skipped: Option<CopySkipped>,
    /// A boundary waits until what is in flight is answered.
    pub(super) draining: bool,
    /// The connection ends as soon as what is on its way to the server is there.
    pub(super) cutting: bool,
    /// Messages of the extended protocol came since the last Sync.
    pub(super) in_batch: bool,
    /// What begins now is a batch of the extended protocol, up to its Sync.
    pub(super) plain: bool,
    /// A transaction of the tap's own.
    pub(super) wrap: Option<Wrap>,
    /// What is sent once more, outside of one.
    pub(super) again: Option<Again>,
    /// Answers that the client has had already.
    pub(super) swallow: usize,
}

impl Link {
    pub(super) fn new(shared: Arc<Inner>, id: u64, client: Wire, server: Wire) -> Self {
        Self {
            shared,
            id,
            client,
            server,
            up: Lane::default(),
            down: Lane::default(),
            scratch: Vec::new(),
            phase: Phase::Startup,
            role: Arc::default(),
            database: Arc::default(),
            backend: 0,
            escapes: false,
            queue: VecDeque::new(),
            status: b'I',
            has_looked: false,
            unsynced: false,
            ignoring: false,
            discarding: false,
            statements: HashMap::new(),
            statement_texts: 0,
            unnamed_statement: None,
            portals: HashMap::new(),
            unnamed_portal: None,
            seat: Seat::default(),
            last: None,
            answered: Instant::now(),
            orders: (0, Orders::default()),
            hold: None,
            copy_skipped: None,
            draining: false,
            cutting: false,
            in_batch: false,
            plain: false,
            wrap: None,
            again: None,
            swallow: 0,
        }
    }

    /// Relays until either side has closed. Both sockets close without a word when it returns.
    pub(super) async fn relay(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// The orders of the run under way.
    pub(super) fn orders(&mut self) -> &Orders {
        let running = self.shared.journal.running();
        if self.orders.0 != running {
            self.orders = (running, self.shared.journal.orders());
        }
        &self.orders.1
    }

    /// Sends something of the tap's own to the server. Nothing of the client's may be in the midst of passing.
    pub(super) fn send_up(&mut self, bytes: &[u8]) {
        self.up.outbox.append(bytes);
    }

    /// From now on nothing is read.
    pub(super) fn give_up_reading(&mut self) {
        self.phase = Phase::Opaque;
        self.shared.journal.unreadable();
    }
}
