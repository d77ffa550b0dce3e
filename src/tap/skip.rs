//! Statements that are not passed on: when it is their turn, and what the client then gets.

use super::expect::{Expect, Part, Statement};
use super::frames::{complaint, each};
use super::journal::Outcome;
use super::link::{CopySkipped, Link, Verdict};
use super::splice::{Splice, given_up};
use super::turn::command_tag;

impl Link {
    /// Answers the statements of a query string that were skipped and whose turn it is. None: the client has to do
    /// something first, or a boundary is under way; otherwise what becomes of an EmptyQueryResponse.
    pub(super) fn splice_parts(&mut self, all: bool) -> Option<Verdict> {
        let mut empty = Verdict::Pass;
        loop {
            if self.hold.is_some() {
                return None;
            }
            let Some(Expect::Query(parts)) = self.queue.front_mut() else {
                return Some(empty);
            };
            if parts.failed {
                return Some(if parts.refused { Verdict::Drop } else { Verdict::Pass });
            }
            let Some(part) = parts.left.front_mut() else {
                // The last one was skipped: the server was sent blanks.
                return Some(if parts.skipped { Verdict::Drop } else { empty });
            };
            match &part.statement.splice {
                Some(Splice::CopyIn(handshake, _)) => {
                    self.scratch.extend_from_slice(handshake);
                    self.copy_skipped =
                        Some(CopySkipped { extended: false, shown: true, ended: None, syncs: 0 });
                    return None;
                }
                Some(splice @ (Splice::Done(_) | Splice::Refused(_))) => {
                    empty = Verdict::Drop;
                    let refused = matches!(splice, Splice::Refused(_));
                    let Some(part) = parts.left.pop_front() else {
                        return Some(empty);
                    };
                    parts.skipped = true;
                    let goes_on = !refused && !parts.left.is_empty();
                    if refused {
                        (parts.failed, parts.refused) = (true, true);
                        let left = std::mem::take(&mut parts.left);
                        left.iter().for_each(|part| self.forget(&part.statement));
                    }
                    self.give(part.statement, goes_on);
                    if goes_on {
                        self.reach(false);
                    }
                }
                Some(Splice::Failed(_)) => return Some(empty),
                None if all => {
                    // The server did not come to it.
                    if let Some(part) = parts.left.pop_front() {
                        self.forget(&part.statement);
                    }
                }
                None => return Some(empty),
            }
        }
    }

    /// Gives the client what it gets for a skipped statement.
    pub(super) fn give(&mut self, mut statement: Statement, goes_on: bool) {
        let Some(Splice::Done(bytes) | Splice::Failed(bytes) | Splice::Refused(bytes)) =
            statement.splice.take()
        else {
            return;
        };
        self.scratch.extend_from_slice(&bytes);
        statement.response.keep(&bytes);
        let end = each(&bytes).last();
        match end {
            Some((b'E', message)) => {
                let complaint = complaint(message.get(5..).unwrap_or_default());
                self.conclude_as(statement, Outcome::Failed(complaint), goes_on, true);
            }
            Some((b'C', message)) => {
                let command = command_tag(message);
                self.conclude_as(statement, Outcome::Done(command), goes_on, true);
            }
            _ => self.conclude_as(statement, Outcome::Done(String::new()), goes_on, true),
        }
    }

    /// The server closed the portal that is not there.
    pub(super) fn execute_skipped(&mut self) -> Verdict {
        if self.hold.is_some() {
            return Verdict::Stay;
        }
        if let Some(Expect::Execute(executing)) = self.queue.front()
            && let Some(Splice::CopyIn(handshake, _)) = &executing.statement.splice
        {
            self.scratch.extend_from_slice(handshake);
            // One that nobody gives data to any more is over: it must not be shown again and again.
            let over = CopySkipped { extended: true, shown: true, ended: Some(true), syncs: 0 };
            let copy = self.copy_skipped.get_or_insert(over);
            copy.shown = true;
            if copy.ended.is_some() {
                self.end_skipped_copy();
            }
            return Verdict::Stay;
        }
        let Some(Expect::Execute(executing)) = self.queue.pop_front() else {
            return Verdict::Pass;
        };
        let goes_on = !self.only_sync_follows();
        self.give(executing.statement, goes_on);
        if goes_on {
            self.reach(false);
        }
        Verdict::Drop
    }

    /// The client has ended a `COPY FROM STDIN` that was not passed on.
    pub(super) fn end_skipped_copy(&mut self) {
        let ended = self.copy_skipped.take().and_then(|copy| copy.ended);
        let statement = match self.queue.front_mut() {
            Some(Expect::Query(parts)) => parts.left.front_mut().map(|part| &mut part.statement),
            Some(Expect::Execute(executing)) => Some(&mut executing.statement),
            _ => None,
        };
        let Some(statement) = statement else {
            return;
        };
        if let Some(Splice::CopyIn(handshake, complete)) = statement.splice.take() {
            statement.response.keep(&handshake);
            statement.splice = Some(match ended {
                Some(false) => Splice::Refused(given_up()),
                _ => Splice::Done(complete),
            });
        }
    }

    /// Whether the query string that was sent last has a `COPY FROM STDIN` that is not passed on, and whose turn it is
    /// not yet: what the client sends ahead belongs to that.
    pub(super) fn copy_comes(&self) -> bool {
        let Some(Expect::Query(parts)) = self.queue.back().filter(|_| self.copy_skipped.is_none()) else {
            return false;
        };
        let copies = |part: &Part| matches!(part.statement.splice, Some(Splice::CopyIn(..)));
        !parts.failed && parts.left.iter().any(copies)
    }

    /// A server that reads data takes nothing else: the `COPY` fails.
    pub(super) fn gives_up_skipped_copy(&mut self, tag: u8) {
        let Some(copy) = &mut self.copy_skipped else { return };
        if copy.ended.is_some() || matches!(tag, b'd' | b'c' | b'f' | b'S' | b'H' | b'X') {
            return;
        }
        copy.ended = Some(false);
        self.discarding |= copy.extended;
        if copy.shown {
            self.end_skipped_copy();
        }
    }

    /// The client's part of a `COPY FROM STDIN` that is not passed on.
    pub(super) fn skipped_copy(&mut self, tag: u8) -> Verdict {
        let Some(copy) = &mut self.copy_skipped else {
            return Verdict::Pass;
        };
        match tag {
            // Ignored while the server reads data (53.2.7), and so here.
            b'S' if copy.extended => copy.syncs += 1,
            b'S' | b'H' => {}
            b'c' => copy.ended = Some(true),
            b'f' => copy.ended = Some(false),
            _ => {}
        }
        if copy.ended == Some(false) && copy.extended {
            self.discarding = true;
        }
        if copy.ended.is_some() && copy.shown {
            self.end_skipped_copy();
        }
        Verdict::Drop
    }
}
