//! The bytes of both directions: read, looked at, written, as fast as either side allows.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::Next;
use super::ask::Asking;
use super::buffer::SIZE;
use super::expect::Expect;
use super::frames::{Batch, Front, batch, front, startup_front};
use super::link::{Lane, Link, Phase, Verdict};
use super::wrap::Wrap;

pub(crate) mod by_hand;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Link {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut moved = false;
            if self.hold.is_some() {
                match self.poll_hold(cx) {
                    Poll::Ready(Next::Cut) => return Poll::Ready(()),
                    Poll::Ready(Next::Go) => moved = true,
                    Poll::Pending => {}
                }
            }
            moved |= self.advance_wrap();
            moved |= self.drive(Side::Up, cx);
            moved |= self.drive(Side::Down, cx);
            if self.cutting && (self.up.outbox.is_empty() || self.up.deaf) {
                return Poll::Ready(());
            }
            if moved {
                continue;
            }
            let ending = self.wrap.as_ref().is_some_and(Wrap::goes_on);
            if self.hold.is_none() && ((self.is_over(Side::Up) && !ending) || self.is_over(Side::Down)) {
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
        if side == Side::Down && self.hold.is_some() && !self.down.ended {
            // A client that has its answer goes on, on another connection too, before the boundary has seen what it did.
            return Poll::Ready(false);
        }
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
                Side::Up => self.hold.is_some() || self.draining || self.phase == Phase::Encryption,
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
            if side == Side::Up && matches!(tag, b'P' | b'B') && self.may_wrap() {
                // It is held open as a whole or not at all; the server answers when it has ended in any case.
                let whole = batch(rest);
                if whole == Batch::Incomplete && !self.up.ended {
                    self.up.wanted = rest.len() + 1;
                    break;
                }
                self.plain = whole == Batch::Whole;
            }
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
