//! What the server sends: answers are matched with what was sent.

use super::expect::{Executing, Expect, Part, Statement};
use super::frames::{rows_of, string, u32_at};
use super::journal::Outcome;
use super::link::{Begun, Link, Phase, Verdict};
use super::turn::command_tag;
use super::wrap::{Wrap, is_preparation};

/// Bytes of an error that are looked at; the fields that matter come first.
const ERROR: usize = 64 << 10;
/// Bytes of an answer to a question of the tap's own that are held.
const ANSWER: usize = 64 << 20;

impl Link {
    /// How many bytes of a message must be there before it is looked at.
    pub(super) fn looked_at(&self, tag: u8) -> usize {
        if matches!(self.queue.front(), Some(Expect::Ask(_))) {
            return ANSWER;
        }
        match tag {
            b'E' | b'C' | b'S' => ERROR,
            b'K' => 13,
            b'Z' => 6,
            _ => 5,
        }
    }

    /// The answer to a request for encryption (53.2.10); returns how many bytes it has.
    pub(super) fn encryption_answer(&mut self, byte: Option<u8>) -> usize {
        match byte {
            Some(b'N') => self.phase = Phase::Startup,
            // An error, as old servers answer: a message like any other.
            Some(b'E') => {
                self.phase = Phase::Startup;
                return 0;
            }
            _ => self.give_up_reading(),
        }
        1
    }

    /// Keeps a piece of the response that comes.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let statement = match self.queue.front_mut() {
            Some(Expect::Query(parts)) => parts.left.front_mut().map(|part| &mut part.statement),
            Some(Expect::Execute(executing)) => Some(&mut executing.statement),
            Some(Expect::Function(statement)) => Some(statement),
            _ => None,
        };
        if let Some(statement) = statement {
            statement.response.keep(bytes);
        }
    }

    /// Decides about a message of the server. `message` is its beginning, up to what [`Link::looked_at`] says.
    pub(super) fn server_message(&mut self, tag: u8, message: &mut [u8], _total: usize) -> Verdict {
        let verdict = self.answer(tag, message);
        if verdict == Verdict::Pass {
            if self.swallow > 0 && is_preparation(tag) {
                self.swallow -= 1;
                return Verdict::Drop;
            }
            if let Some(wrap) = &mut self.wrap {
                wrap.passes(tag);
            }
        }
        verdict
    }

    fn answer(&mut self, tag: u8, message: &mut [u8]) -> Verdict {
        self.down.keeping = false;
        let body = message.get(5..).unwrap_or_default();
        match tag {
            // May come at any time (53.2.7 "Asynchronous Operations").
            b'N' | b'A' | b'R' | b'v' => return Verdict::Pass,
            b'S' => {
                if let Some((b"standard_conforming_strings", value)) = string(body) {
                    self.escapes = value.starts_with(b"off");
                }
                return Verdict::Pass;
            }
            b'K' => {
                self.backend = u32_at(body, 0).unwrap_or_default().cast_signed();
                self.shared.backend_of(self.id, self.backend);
                return Verdict::Pass;
            }
            _ => {}
        }
        self.pass_copy_ends();
        if let Some(Expect::Ask(asking)) = self.queue.front_mut() {
            if tag == b'Z' {
                self.status = body.first().copied().unwrap_or(b'I');
            }
            if asking.message(tag, message) {
                self.queue.pop_front();
            }
            return Verdict::Drop;
        }
        if let Some(Expect::Own(owning)) = self.queue.front_mut() {
            owning.message(tag, message);
            if tag == b'Z'
                && let Some(Expect::Own(owning)) = self.queue.pop_front()
            {
                self.owned(owning, body.first().copied().unwrap_or(b'I'));
            }
            return Verdict::Drop;
        }
        match tag {
            b'Z' => return self.ready_for_query(body.first().copied().unwrap_or(b'I')),
            b'E' => return self.error(message),
            _ => {}
        }
        match self.queue.front_mut() {
            Some(Expect::Query(_)) => self.query_answer(tag, message),
            Some(Expect::Execute(_)) => self.execute_answer(tag, message),
            Some(Expect::Function(_)) => self.function_answer(tag),
            Some(Expect::Prepare(_)) if matches!(tag, b'1' | b'2') => {
                self.queue.pop_front();
                Verdict::Pass
            }
            Some(Expect::Short) if matches!(tag, b'T' | b'n' | b'3') => {
                self.queue.pop_front();
                Verdict::Pass
            }
            _ => Verdict::Pass,
        }
    }

    /// The ends of COPY data have no answer of their own.
    pub(super) fn pass_copy_ends(&mut self) {
        while matches!(self.queue.front(), Some(Expect::CopyEnd)) {
            self.queue.pop_front();
        }
    }

    /// A message within the answer to a query string.
    fn query_answer(&mut self, tag: u8, message: &[u8]) -> Verdict {
        let Some(verdict) = self.splice_parts(false) else {
            return Verdict::Stay;
        };
        let Some(Expect::Query(parts)) = self.queue.front_mut() else {
            return Verdict::Pass;
        };
        if parts.failed {
            return verdict;
        }
        match tag {
            b'C' => {
                let Some(Part { mut statement, .. }) = parts.left.pop_front() else {
                    return Verdict::Pass;
                };
                let more = !parts.left.is_empty();
                if std::mem::take(&mut parts.copying) {
                    self.forget_ignored_syncs();
                }
                statement.response.keep(message);
                let command = command_tag(message);
                self.given_away_by(&command);
                let follows = self.wrap.as_ref().is_some_and(Wrap::has_more);
                self.conclude(statement, Outcome::Done(command), more || follows);
                if more {
                    self.reach(false);
                }
                match &mut self.wrap {
                    Some(wrap) if wrap.withholds() => {
                        wrap.withhold(message);
                        Verdict::Drop
                    }
                    _ => Verdict::Pass,
                }
            }
            // Nothing was left to run.
            b'I' => verdict,
            _ => {
                parts.copying |= tag == b'G';
                if let Some(wrap) = self.wrap.as_mut().filter(|_| tag == b'G') {
                    wrap.copies();
                }
                self.down.keeping = true;
                Verdict::Pass
            }
        }
    }

    /// A message within the answer to Execute.
    fn execute_answer(&mut self, tag: u8, message: &[u8]) -> Verdict {
        let Some(Expect::Execute(executing)) = self.queue.front_mut() else {
            return Verdict::Pass;
        };
        match tag {
            b'D' => {
                executing.statement.rows += 1;
                self.down.keeping = true;
                Verdict::Pass
            }
            b'C' | b's' | b'I' => {
                let Some(Expect::Execute(executing)) = self.queue.pop_front() else {
                    return Verdict::Pass;
                };
                self.executed(executing, tag, message);
                Verdict::Pass
            }
            b'3' if executing.statement.splice.is_some() => self.execute_skipped(),
            // Of a Close that the server came to since it did not come to this one.
            b'3' => Verdict::Pass,
            _ => {
                executing.copying |= tag == b'G';
                if let Some(wrap) = self.wrap.as_mut().filter(|_| tag == b'G') {
                    wrap.copies();
                }
                self.down.keeping = true;
                Verdict::Pass
            }
        }
    }

    /// A client that begins a transaction has one from then on, not before: a server ignores what is behind an error.
    /// What is ended shows when the server is ready.
    fn given_away_by(&mut self, command: &str) {
        if matches!(command, "BEGIN" | "START TRANSACTION")
            && let Some(wrap) = &mut self.wrap
        {
            wrap.give_away();
        }
    }

    fn executed(&mut self, executing: Executing, tag: u8, message: &[u8]) {
        let Executing { mut statement, portal, copying } = executing;
        if copying {
            self.forget_ignored_syncs();
        }
        match tag {
            b'C' => {
                statement.response.keep(message);
                let command = command_tag(message);
                self.given_away_by(&command);
                // The tag counts the rows of this Execute alone.
                let counted = rows_of(&command).unwrap_or_default();
                statement.rows = statement.rows.saturating_sub(counted);
                let goes_on = !self.only_sync_follows();
                self.conclude(statement, Outcome::Done(command), goes_on);
                if goes_on {
                    self.reach(false);
                }
            }
            // A portal that is executed no further stays unanswered.
            b's' => {
                self.note_begun(&portal, Begun { slot: statement.slot, rows: statement.rows, skipped: false })
            }
            _ => self.forget(&statement),
        }
    }

    fn function_answer(&mut self, tag: u8) -> Verdict {
        let Some(Expect::Function(statement)) = self.queue.front_mut() else {
            return Verdict::Pass;
        };
        match tag {
            b'I' if statement.splice.is_some() => {
                let statement = std::mem::replace(statement, Statement::unrecorded(self.answered));
                self.give(statement, false);
                Verdict::Drop
            }
            // Of the statement that was sent to fail in its place.
            b'T' if statement.splice.is_some() => Verdict::Drop,
            _ => {
                self.down.keeping = true;
                Verdict::Pass
            }
        }
    }
}
