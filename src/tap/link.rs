//! One connection: the bytes of both directions, and what is known of the conversation.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::Instant;

use super::accept::Inner;
use super::ask::Asking;
use super::buffer::{Buffer, SIZE};
use super::expect::{Expect, Text};
use super::frames::{Front, front, startup_front};
use super::hold::Hold;
use super::journal::{Seat, Slot};
use super::{Next, Orders};
use crate::identifiers::SqlState;
use crate::postgres::Wire;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

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
    inbox: Buffer,
    outbox: Buffer,
    /// Bytes that are left of the message that is passing.
    pub(super) body: usize,
    /// They go nowhere.
    dropping: bool,
    /// They belong to the response that is kept.
    pub(super) keeping: bool,
    /// Bytes that must be there before the next message can be looked at.
    wanted: usize,
    /// The sender has closed.
    ended: bool,
    /// The receiver takes no more.
    deaf: bool,
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
    client: Wire,
    server: Wire,
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
    /// The connection ends as soon as what is on its way to the server is there.
    pub(super) cutting: bool,
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
            cutting: false,
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut moved = false;
            if self.hold.is_some() {
                match self.poll_hold(cx) {
                    Poll::Ready(Next::Cut) => return Poll::Ready(()),
                    Poll::Ready(Next::Go) => moved = true,
                    Poll::Pending => {}
                }
            }
            moved |= self.drive(Side::Up, cx);
            moved |= self.drive(Side::Down, cx);
            if self.cutting && (self.up.outbox.is_empty() || self.up.deaf) {
                return Poll::Ready(());
            }
            if moved {
                continue;
            }
            if self.hold.is_none() && (self.is_over(Side::Up) || self.is_over(Side::Down)) {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
    }

    /// Lets a boundary go on. Ready when it is over or moved something.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(hold) = &mut self.hold else {
            return Poll::Pending;
        };
        if let Poll::Ready(next) = hold.future.as_mut().poll(cx) {
            let after = hold.after;
            if next == Next::Cut {
                self.shared.cut(self.id, after);
            }
            self.hold = None;
            return Poll::Ready(next);
        }
        if self.queue.is_empty()
            && !self.down.ended
            && let Poll::Ready(Some(question)) = hold.questions.poll_recv(cx)
        {
            let mut bytes = Vec::new();
            let asking = Asking::begin(&question.sql, self.status != b'I', question.reply, &mut bytes);
            self.up.outbox.append(&bytes);
            self.queue.push_back(Expect::Ask(Box::new(asking)));
            return Poll::Ready(Next::Go);
        }
        if self.down.ended {
            // Whoever asks is told by the end of the channel.
            self.queue.clear();
            hold.questions.close();
            while hold.questions.try_recv().is_ok() {}
        }
        Poll::Pending
    }

    /// The sender has closed, and everything it sent has gone on that can.
    fn is_over(&self, side: Side) -> bool {
        let lane = self.lane(side);
        lane.ended && (lane.outbox.is_empty() || lane.deaf)
    }

    fn lane(&self, side: Side) -> &Lane {
        match side {
            Side::Up => &self.up,
            Side::Down => &self.down,
        }
    }

    fn lane_mut(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Up => &mut self.up,
            Side::Down => &mut self.down,
        }
    }

    /// Writes, looks at, and reads what it can of one direction; returns whether anything moved.
    fn drive(&mut self, side: Side, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            match self.write(side, cx) {
                Poll::Ready(wrote) => moved |= wrote,
                Poll::Pending => return moved,
            }
            if self.process(side) {
                moved = true;
                continue;
            }
            match self.read(side, cx) {
                Poll::Ready(true) => moved = true,
                Poll::Ready(false) | Poll::Pending => return moved,
            }
        }
    }

    fn write(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<bool> {
        let (lane, receiver) = match side {
            Side::Up => (&mut self.up, &mut self.server),
            Side::Down => (&mut self.down, &mut self.client),
        };
        let mut wrote = false;
        while !lane.outbox.is_empty() {
            if lane.deaf {
                let all = lane.outbox.len();
                lane.outbox.consume(all);
                break;
            }
            match Pin::new(&mut *receiver).poll_write(cx, lane.outbox.filled()) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    lane.outbox.consume(count);
                    wrote = true;
                }
                // The receiver is gone; what it sent before is still to be had from its own direction.
                Poll::Ready(_) => lane.deaf = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(wrote)
    }

    fn read(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<bool> {
        let blocked = self.is_blocked(side);
        let (lane, sender) = match side {
            Side::Up => (&mut self.up, &mut self.client),
            Side::Down => (&mut self.down, &mut self.server),
        };
        if lane.ended || blocked || lane.inbox.len() >= lane.wanted.max(SIZE) {
            return Poll::Ready(false);
        }
        let mut space = ReadBuf::new(lane.inbox.space());
        match Pin::new(sender).poll_read(cx, &mut space) {
            Poll::Ready(Ok(())) if !space.filled().is_empty() => {
                let count = space.filled().len();
                lane.inbox.filled_by(count);
                Poll::Ready(true)
            }
            Poll::Ready(_) => {
                lane.ended = true;
                if side == Side::Down {
                    // What the server could not end reaches the client all the same.
                    let rest = std::mem::take(&mut lane.inbox);
                    lane.outbox.append(rest.filled());
                }
                Poll::Ready(true)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Nothing of this direction is looked at or read for now.
    fn is_blocked(&self, side: Side) -> bool {
        self.cutting
            || match side {
                Side::Up => self.hold.is_some() || self.phase == Phase::Encryption,
                Side::Down => {
                    self.hold.as_ref().is_some_and(|hold| !hold.idle)
                        || self.copy_skipped.as_ref().is_some_and(|copy| copy.shown && copy.ended.is_none())
                }
            }
    }

    /// Looks at the messages of an inbox and moves them to the outbox; returns whether anything moved.
    fn process(&mut self, side: Side) -> bool {
        let mut inbox = std::mem::take(&mut self.lane_mut(side).inbox);
        // Bytes that were looked at, and from where on they are not in the outbox yet.
        let (mut at, mut from) = (0, 0);
        let mut spliced = false;
        while at < inbox.len() {
            if self.phase == Phase::Opaque {
                at = inbox.len();
                break;
            }
            let body = self.lane(side).body;
            if body > 0 {
                let piece = body.min(inbox.len() - at);
                let bytes = inbox.filled().get(at..at + piece).unwrap_or_default();
                if self.lane(side).keeping {
                    self.keep(bytes);
                }
                let lane = self.lane_mut(side);
                lane.body -= piece;
                if lane.dropping {
                    lane.outbox.append(inbox.filled().get(from..at).unwrap_or_default());
                    from = at + piece;
                }
                at += piece;
                continue;
            }
            if self.is_blocked(side) {
                break;
            }
            let rest = inbox.filled().get(at..).unwrap_or_default();
            let front = match (side, self.phase) {
                (Side::Down, Phase::Encryption) => {
                    at += self.encryption_answer(rest.first().copied());
                    continue;
                }
                (Side::Up, Phase::Startup) => startup_front(rest),
                _ => front(rest),
            };
            let (tag, total) = match front {
                Front::Incomplete => break,
                Front::Malformed => {
                    self.give_up_reading();
                    continue;
                }
                Front::Message { tag, total } => (tag, total),
            };
            let needed = total.min(match side {
                Side::Up => super::up::looked_at(tag),
                Side::Down => self.looked_at(tag),
            });
            if rest.len() < needed {
                self.lane_mut(side).wanted = needed;
                break;
            }
            let message = inbox.filled_mut().get_mut(at..at + needed).unwrap_or_default();
            let verdict = match side {
                Side::Up => self.client_message(tag, message, total),
                Side::Down => self.server_message(tag, message, total),
            };
            let scratch = std::mem::take(&mut self.scratch);
            let lane = self.lane_mut(side);
            if !scratch.is_empty() {
                lane.outbox.append(inbox.filled().get(from..at).unwrap_or_default());
                lane.outbox.append(&scratch);
                (from, spliced) = (at, true);
            }
            self.scratch = scratch;
            self.scratch.clear();
            let lane = self.lane_mut(side);
            lane.wanted = 0;
            match verdict {
                Verdict::Pass | Verdict::Drop => {
                    lane.body = total;
                    lane.dropping = verdict == Verdict::Drop;
                }
                Verdict::Stay => break,
            }
        }
        let lane = self.lane_mut(side);
        if from == 0 && at == inbox.len() && lane.outbox.is_empty() {
            // The ordinary case: everything goes on as it came, without being copied.
            std::mem::swap(&mut inbox, &mut lane.outbox);
        } else {
            lane.outbox.append(inbox.filled().get(from..at).unwrap_or_default());
            inbox.consume(at);
        }
        lane.inbox = inbox;
        at > 0 || spliced
    }
}

#[cfg(test)]
mod tests;
