//! What the server sends: answers are matched with what was sent.

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::expect::{Executing, Expect, Part, Parts, Statement, Text};
use super::frames::{Complaint, complaint, each, put, string, u32_at};
use super::hold::{At, Hold};
use super::journal::{Answered, Arriving, Outcome};
use super::link::{Begun, Last, Link, Phase, Verdict};
use super::splice::{Splice, given_up};

/// Bytes of an error that are looked at; the fields that matter come first.
const ERROR: usize = 64 << 10;
/// Bytes of an answer to a question of the tap's own that are held.
const ANSWER: usize = 64 << 20;
/// Statements that look at no data: `SET TRANSACTION` is still possible after them.
const LOOKS_AT_NOTHING: [&str; 7] =
    ["BEGIN", "START TRANSACTION", "SET", "RESET", "SAVEPOINT", "COMMIT", "ROLLBACK"];

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
    fn pass_copy_ends(&mut self) {
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
                let goes_on = !parts.left.is_empty();
                statement.response.keep(message);
                let command = command_tag(message);
                self.conclude(statement, Outcome::Done(command), goes_on);
                if goes_on {
                    self.reach(false);
                }
                Verdict::Pass
            }
            // Nothing was left to run.
            b'I' => verdict,
            _ => {
                self.down.keeping = true;
                Verdict::Pass
            }
        }
    }

    /// Answers the statements of a query string that were skipped and whose turn it is. None: the client has to do
    /// something first, or a boundary is under way; otherwise what becomes of an EmptyQueryResponse.
    fn splice_parts(&mut self, all: bool) -> Option<Verdict> {
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
                return Some(if self.last.is_some() { Verdict::Drop } else { empty });
            };
            match &part.statement.splice {
                Some(Splice::CopyIn(handshake, _)) => {
                    self.scratch.extend_from_slice(handshake);
                    self.copy_skipped = Some(super::link::CopySkipped {
                        extended: false,
                        shown: true,
                        ended: None,
                        syncs: 0,
                    });
                    return None;
                }
                Some(splice @ (Splice::Done(_) | Splice::Refused(_))) => {
                    empty = Verdict::Drop;
                    let refused = matches!(splice, Splice::Refused(_));
                    let Some(part) = parts.left.pop_front() else {
                        return Some(empty);
                    };
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
    fn give(&mut self, mut statement: Statement, goes_on: bool) {
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
            b'3' => self.execute_skipped(),
            _ => {
                executing.copying |= tag == b'G';
                self.down.keeping = true;
                Verdict::Pass
            }
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
                // The tag counts the rows of this Execute alone.
                let counted = super::frames::rows_of(&command).unwrap_or_default();
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

    /// The server closed the portal that is not there.
    fn execute_skipped(&mut self) -> Verdict {
        if self.hold.is_some() {
            return Verdict::Stay;
        }
        if let Some(Expect::Execute(executing)) = self.queue.front()
            && let Some(Splice::CopyIn(handshake, _)) = &executing.statement.splice
        {
            self.scratch.extend_from_slice(handshake);
            if let Some(copy) = &mut self.copy_skipped {
                copy.shown = true;
                if copy.ended.is_some() {
                    self.end_skipped_copy();
                }
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
            b'T' => Verdict::Drop,
            _ => {
                self.down.keeping = true;
                Verdict::Pass
            }
        }
    }

    /// Nothing but the end of the pipeline is behind what was just answered.
    fn only_sync_follows(&self) -> bool {
        let mut behind = self.queue.iter();
        behind
            .find(|expect| !matches!(expect, Expect::Short | Expect::CopyEnd))
            .is_some_and(|expect| matches!(expect, Expect::Sync))
    }

    /// Syncs that came while the server read COPY data were ignored by it (53.2.7).
    fn forget_ignored_syncs(&mut self) {
        let end = self.queue.iter().position(|expect| matches!(expect, Expect::CopyEnd));
        let mut at = 0;
        self.queue.retain(|expect| {
            at += 1;
            !(matches!(expect, Expect::Sync) && end.is_none_or(|end| at <= end))
        });
    }

    /// An ErrorResponse.
    fn error(&mut self, message: &[u8]) -> Verdict {
        let mut complaint = complaint(message.get(5..).unwrap_or_default());
        match self.queue.front_mut() {
            Some(Expect::Query(_)) => {
                if self.splice_parts(false).is_none() {
                    return Verdict::Stay;
                }
                let Some(Expect::Query(parts)) = self.queue.front_mut() else {
                    return Verdict::Pass;
                };
                let (part, rest) = failed_part(parts, &mut complaint);
                parts.failed = true;
                rest.iter().for_each(|part| self.forget(&part.statement));
                match part {
                    Some(part) => self.fail(part.statement, message, complaint),
                    None => Verdict::Pass,
                }
            }
            Some(Expect::Function(statement)) => {
                let statement = std::mem::replace(statement, Statement::unrecorded(self.answered));
                self.fail(statement, message, complaint)
            }
            Some(Expect::Execute(_)) => {
                let Some(Expect::Execute(executing)) = self.queue.pop_front() else {
                    return Verdict::Pass;
                };
                if executing.copying {
                    self.forget_ignored_syncs();
                }
                let verdict = self.fail(executing.statement, message, complaint);
                self.skip_to_sync();
                verdict
            }
            Some(Expect::Prepare(_)) => {
                let Some(Expect::Prepare(text)) = self.queue.pop_front() else {
                    return Verdict::Pass;
                };
                self.fail_to_prepare(Some(text), message, complaint);
                Verdict::Pass
            }
            Some(Expect::Short) => {
                self.queue.pop_front();
                self.fail_to_prepare(None, message, complaint);
                Verdict::Pass
            }
            // What was deferred to the end of the transaction.
            Some(Expect::Sync) => {
                if let Some(last) = &mut self.last {
                    last.tag = None;
                    last.sqlstate.clone_from(&complaint.sqlstate);
                    self.shared.journal.fail(last.slot, complaint);
                }
                Verdict::Pass
            }
            Some(Expect::Startup | Expect::CopyEnd | Expect::Ask(_)) | None => Verdict::Pass,
        }
    }

    /// A statement failed, or one that was skipped fails as it did before.
    fn fail(&mut self, mut statement: Statement, message: &[u8], complaint: Complaint) -> Verdict {
        // A session that ends is no failure that was asked for.
        if statement.splice.is_some() && !complaint.fatal {
            self.give(statement, false);
            return Verdict::Drop;
        }
        statement.response.keep(message);
        self.conclude(statement, Outcome::Failed(complaint), false);
        Verdict::Pass
    }

    /// A statement could not be prepared: it is the one that would have been executed next.
    fn fail_to_prepare(&mut self, text: Option<Text>, message: &[u8], complaint: Complaint) {
        let sent = self.answered;
        let next = self.queue.iter_mut().find_map(|expect| match expect {
            Expect::Execute(executing) => {
                Some(Some(std::mem::replace(&mut executing.statement, Statement::unrecorded(sent))))
            }
            Expect::Sync => Some(None),
            _ => None,
        });
        let mut statement = next.flatten();
        if statement.is_none()
            && let Some(text) = text
        {
            let arriving = Arriving {
                text: &text,
                role: &self.role,
                database: &self.database,
                backend: self.backend,
                sent,
            };
            statement = self
                .shared
                .journal
                .enter(&mut self.seat, arriving)
                .map(|entered| Statement::recorded(entered.slot, sent, None));
        }
        if let Some(mut statement) = statement {
            statement.splice = None;
            statement.response.keep(message);
            self.conclude(statement, Outcome::Failed(complaint), false);
        }
        self.skip_to_sync();
    }

    /// After an error the server reads on at the next Sync (53.2.3).
    fn skip_to_sync(&mut self) {
        while let Some(expect) = self.queue.front() {
            match expect {
                Expect::Sync => return,
                Expect::Execute(executing) => self.forget(&executing.statement),
                Expect::Query(parts) => parts.left.iter().for_each(|part| self.forget(&part.statement)),
                Expect::Function(statement) => self.forget(statement),
                Expect::Startup | Expect::Prepare(_) | Expect::Short | Expect::CopyEnd | Expect::Ask(_) => {}
            }
            self.queue.pop_front();
        }
        self.unsynced = false;
        // The server never came to a COPY that was to be skipped, and waits for the Sync that it would have ignored.
        if let Some(copy) = self.copy_skipped.take_if(|copy| copy.extended)
            && copy.syncs > 0
        {
            let mut sync = Vec::new();
            put(&mut sync, b'S', &[]);
            self.send_up(&sync);
            self.queue.push_back(Expect::Sync);
            return;
        }
        self.ignoring = true;
    }

    /// ReadyForQuery: everything up to here was answered.
    fn ready_for_query(&mut self, status: u8) -> Verdict {
        while let Some(expect) = self.queue.front() {
            if expect.is_ready_for_query() {
                break;
            }
            if let Expect::Execute(executing) = expect {
                self.forget(&executing.statement);
            }
            self.queue.pop_front();
        }
        if self.splice_parts(true).is_none() {
            return Verdict::Stay;
        }
        if let Some(Expect::Function(statement)) = self.queue.front_mut()
            && statement.slot.is_some()
        {
            let statement = std::mem::replace(statement, Statement::unrecorded(self.answered));
            self.conclude(statement, Outcome::Done(String::new()), false);
        }
        self.queue.pop_front();
        self.pass_copy_ends();
        self.status = status;
        if status == b'I' {
            self.has_looked = false;
            if self.queue.is_empty() {
                // Portals end with the transaction (53.2.3).
                self.portals.clear();
            }
        }
        if let Some(last) = &self.last {
            self.shared.journal.settle(last.slot, status != b'I');
            self.reach(true);
            self.last = None;
        }
        Verdict::Pass
    }

    fn conclude(&mut self, statement: Statement, outcome: Outcome, goes_on: bool) {
        self.conclude_as(statement, outcome, goes_on, false);
    }

    /// Notes the answer of a statement.
    fn conclude_as(&mut self, mut statement: Statement, outcome: Outcome, goes_on: bool, skipped: bool) {
        let looked = match &outcome {
            Outcome::Done(tag) => !LOOKS_AT_NOTHING.contains(&tag.as_str()),
            Outcome::Failed(_) => true,
        };
        self.has_looked |= looked && !skipped;
        let Some(slot) = statement.slot else {
            return;
        };
        let watched = self.orders().boundary.is_some();
        let (tag, sqlstate, ends_transaction) = match &outcome {
            Outcome::Done(tag) => {
                (watched.then(|| tag.clone()), None, matches!(tag.as_str(), "COMMIT" | "ROLLBACK"))
            }
            Outcome::Failed(complaint) => (None, complaint.sqlstate.clone(), false),
        };
        let now = Instant::now();
        self.shared.journal.answer(
            slot,
            Answered {
                began: statement.sent.max(self.answered),
                ended: now,
                outcome,
                rows_before: statement.rows,
                in_transaction: goes_on && !ends_transaction,
                skipped,
                response: statement.response.take(),
            },
        );
        self.answered = now;
        self.last = Some(Last { slot, tag, sqlstate, due: watched });
    }

    /// A boundary: the client waits while whoever asked for it does what it likes.
    fn reach(&mut self, ready: bool) {
        let Some(boundary) = self.orders().boundary.clone() else {
            return;
        };
        let may_look = self.status != b'T' || self.has_looked;
        let idle = ready && self.queue.is_empty() && self.up.body == 0 && may_look;
        let Some(last) = self.last.as_mut().filter(|last| last.due) else {
            return;
        };
        last.due = false;
        let (questions, receiver) = mpsc::unbounded_channel();
        let at = At {
            index: last.slot.index,
            connection: self.seat.number,
            backend: self.backend,
            tag: last.tag.clone(),
            sqlstate: last.sqlstate.clone(),
            status: self.status,
            idle,
            questions,
        };
        let after = last.slot;
        let future = Box::pin(async move { boundary.reached(at).await });
        let counted = self.shared.holds.one();
        self.hold = Some(Hold { future, questions: receiver, idle, after, _counted: counted });
    }
}

/// The command tag of a CommandComplete (53.7).
fn command_tag(message: &[u8]) -> String {
    let (tag, _) = string(message.get(5..).unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(tag).into_owned()
}

/// The part of a query string that an error belongs to, with the error's position in it, and the parts after it.
fn failed_part(parts: &mut Parts, complaint: &mut Complaint) -> (Option<Part>, Vec<Part>) {
    let mut before = Vec::new();
    // A text that cannot be parsed fails as a whole, before its first statement runs.
    if let Some(position) = complaint.position {
        while parts.left.get(1).is_some_and(|next| next.begins < position) {
            before.extend(parts.left.pop_front());
        }
    }
    let part = parts.left.pop_front();
    if let (Some(part), Some(position)) = (&part, &mut complaint.position) {
        *position = position.saturating_sub(part.begins);
    }
    before.extend(parts.left.drain(..));
    (part, before)
}
