//! A transaction of the tap's own around what would commit by itself, so that the locks of a statement are still held
//! when its boundary comes.
//!
//! `BEGIN` goes before it, and `COMMIT` or `ROLLBACK` after it; the client sees neither, and gets the last word of the
//! server only when the transaction has ended, as it does without. A query string is sent statement by statement,
//! so that there is a boundary after each: the implicit transaction that it is (PostgreSQL manual, 53.2.2.1) becomes
//! this one. What the server refuses inside of a transaction is undone and sent once more as it came.

use std::collections::VecDeque;

use super::expect::{Expect, Part, Parts};
use super::frames::{Complaint, complaint, each, put, string};
use super::journal::Slot;
use super::link::{Link, Verdict};
use super::outside::{is_control, stays_outside};

/// The name of the tap's own statement and portal: a simple query would drop the client's unnamed ones (53.2.3).
const NAME: &[u8] = b"thirdrun: transaction\0";
/// Bytes of messages that are kept to be sent once more.
const KEPT: usize = 8 << 20;
/// What the server says to a statement that cannot run, or cannot commit, inside of a transaction block: SQLSTATEs
/// `active_sql_transaction`, `invalid_transaction_termination` (appendix A).
const NOT_INSIDE: [&str; 2] = ["25001", "2D000"];

/// What the tap sends of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Begin,
    Commit,
    Rollback,
}

/// It is being answered.
pub(super) struct Owning {
    failure: Option<(Complaint, Vec<u8>)>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// `BEGIN` is being answered.
    Beginning,
    /// The next statement of a query string is to be sent.
    Next,
    /// What the client sent is being answered.
    Open,
    /// It was answered.
    Answered,
    /// `COMMIT` or `ROLLBACK` is being answered.
    Ending,
    /// The client gets the last word.
    Ended,
    /// It failed for being inside of a transaction, and was answered; `ROLLBACK` comes.
    Undo,
    /// `ROLLBACK` is being answered.
    Undoing,
    /// It is to be sent once more.
    Undone,
}

/// A transaction around what one client message, or one batch of the extended protocol, asks for.
pub(super) struct Wrap {
    step: Step,
    /// The transaction is the tap's; else it is the client's, or there is none.
    own: bool,
    /// It goes by the extended protocol, up to Sync.
    extended: bool,
    /// The batch's Sync has passed, or what is answered as if it had.
    synced: bool,
    /// It was a simple query, or a function call, behind the data of a COPY.
    simply: bool,
    /// The server reads COPY data.
    copying: bool,
    /// It failed for being inside of a transaction.
    misplaced: bool,
    /// There is no transaction to be had.
    refused: bool,
    /// Statements of a query string that were not sent yet.
    pieces: VecDeque<Piece>,
    /// What the client sent, in order to send it once more; none where that is not possible.
    sent: Option<Vec<u8>>,
    /// The statements entered, with their occurrences.
    entered: Vec<(Slot, u32)>,
    /// Messages that the client was given in answer to a batch.
    passed: usize,
    /// What the client gets when it has ended.
    withheld: Vec<u8>,
}

/// A statement of a query string.
struct Piece {
    /// The message that asks for it.
    message: Vec<u8>,
    part: Part,
    /// It begins or ends a transaction.
    control: bool,
}

/// A statement that is sent once more, under the number that it has.
pub(super) struct Again {
    pub(super) entered: Option<(Slot, u32)>,
}

impl Wrap {
    fn new(step: Step, own: bool, extended: bool) -> Self {
        Self {
            step,
            own,
            extended,
            synced: false,
            simply: false,
            copying: false,
            misplaced: false,
            refused: false,
            pieces: VecDeque::new(),
            sent: None,
            entered: Vec::new(),
            passed: 0,
            withheld: Vec::new(),
        }
    }

    /// Whether a message of the client may go on now.
    pub(super) fn takes(&self, tag: u8) -> bool {
        // What a server that reads COPY data ignores must not stand in the way of the data.
        let ignored = self.copying && matches!(tag, b'S' | b'H');
        self.step == Step::Open
            && (matches!(tag, b'd' | b'c' | b'f') || ignored || (self.extended && !self.synced))
    }

    /// The client being gone is no reason to end before it has ended.
    pub(super) fn goes_on(&self) -> bool {
        !self.copying && (self.synced || !self.extended)
    }

    /// Keeps what a client sends, to be sent once more. What the server ignores behind an error has no answer.
    pub(super) fn keep(&mut self, tag: u8, message: &[u8], total: usize, ignored: bool) {
        match tag {
            _ if ignored => {}
            b'S' => self.synced = true,
            // Both end with ReadyForQuery (53.2.2, 53.2.5).
            b'Q' | b'F' => (self.synced, self.simply) = (true, true),
            // A server that reads COPY data ignores Sync until the data ends (53.2.7).
            b'c' | b'f' => (self.synced, self.copying) = (self.simply, false),
            _ => {}
        }
        let whole = message.len() == total && !matches!(tag, b'd' | b'c' | b'f');
        self.sent = self.sent.take().filter(|sent| whole && sent.len() + total <= KEPT);
        if let Some(sent) = &mut self.sent {
            sent.extend_from_slice(message);
        }
    }

    /// What was sent behind an error is ignored, so that Sync is still to come.
    pub(super) fn reopens(&mut self) {
        (self.synced, self.simply) = (false, false);
    }

    /// Whether the transaction is the tap's.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    pub(super) fn enters(&mut self, slot: Slot, occurrence: u32) {
        self.entered.push((slot, occurrence));
    }

    /// The statements of the query string before this one.
    pub(super) fn before(&self, own: Option<Slot>) -> impl Iterator<Item = Slot> {
        self.entered.iter().map(|(slot, _)| *slot).take_while(move |slot| Some(*slot) != own)
    }

    pub(super) fn copies(&mut self) {
        self.copying = true;
    }

    /// A message of the server's answer goes on to the client.
    pub(super) fn passes(&mut self, tag: u8) {
        if is_preparation(tag) {
            self.passed += 1;
        }
    }

    /// The transaction is the client's from now on.
    pub(super) fn give_away(&mut self) {
        self.own = false;
    }

    /// Whether the end of this query string's last statement waits for the end of the transaction: a server commits
    /// before it says CommandComplete.
    pub(super) fn withholds(&self) -> bool {
        !self.extended && self.own && self.pieces.is_empty()
    }

    pub(super) fn withhold(&mut self, message: &[u8]) {
        self.withheld.extend_from_slice(message);
    }

    /// Statements of the query string follow.
    pub(super) fn has_more(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Whether an error only says that the statement is inside of a transaction, which the client does not know of.
    pub(super) fn is_misplaced(&mut self, complaint: &Complaint) -> bool {
        let refused = complaint.sqlstate.as_ref().is_some_and(|code| NOT_INSIDE.contains(&code.as_str()));
        let alone = self.entered.len() == 1 && self.pieces.is_empty() && self.sent.is_some();
        self.misplaced = refused && alone && self.own && (self.synced || !self.extended);
        self.misplaced
    }
}

/// ParseComplete, BindComplete, CloseComplete, RowDescription, NoData, ParameterDescription.
pub(super) fn is_preparation(tag: u8) -> bool {
    matches!(tag, b'1' | b'2' | b'3' | b'T' | b'n' | b't')
}

impl Owning {
    /// Writes the messages, and what to expect.
    pub(super) fn begin(own: Own, out: &mut Vec<u8>) -> Self {
        let sql: &[u8] = match own {
            Own::Begin => b"BEGIN\0",
            Own::Commit => b"COMMIT\0",
            Own::Rollback => b"ROLLBACK\0",
        };
        // To close what is not there is no error (53.2.3).
        put(out, b'C', &[b"S", NAME]);
        put(out, b'C', &[b"P", NAME]);
        put(out, b'P', &[NAME, sql, &0_i16.to_be_bytes()]);
        put(out, b'B', &[NAME, NAME, &[0; 6]]);
        put(out, b'E', &[NAME, &0_i32.to_be_bytes()]);
        put(out, b'C', &[b"P", NAME]);
        put(out, b'C', &[b"S", NAME]);
        put(out, b'S', &[]);
        Self { failure: None }
    }

    pub(super) fn message(&mut self, tag: u8, message: &[u8]) {
        if tag == b'E' {
            let said = complaint(message.get(5..).unwrap_or_default());
            self.failure.get_or_insert((said, message.to_vec()));
        }
    }
}

impl Link {
    /// Whether what would commit by itself is to be held open.
    fn holds_open(&mut self) -> bool {
        self.orders().hold
            && self.orders().decide.is_none()
            && self.wrap.is_none()
            && self.queue.is_empty()
            && self.shared.journal.running() != 0
    }

    /// Takes a query string over, or gives its parts back: it goes on as it is.
    pub(super) fn wrap_query(&mut self, message: &[u8], text: &str, parts: Parts) -> Result<Verdict, Parts> {
        let again = self.again.take().is_some();
        let several = parts.left.len() > 1;
        let stands_alone = || parts.left.front().is_some() && !stays_outside(text);
        let wanted = match self.status {
            b'I' => several || stands_alone(),
            b'T' => several,
            _ => false,
        };
        if again || !wanted || !self.holds_open() {
            return Err(parts);
        }
        let mut wrap = Wrap::new(Step::Next, false, false);
        wrap.sent = (!several).then(|| message.to_vec());
        wrap.entered =
            parts.left.iter().filter_map(|part| Some((part.statement.slot?, part.occurrence))).collect();
        for part in parts.left {
            // Blanks keep the position of an error.
            let before = usize::try_from(part.begins).unwrap_or_default();
            let piece = text.get(part.place.clone()).unwrap_or_default();
            let body = message.get(5 + part.place.start..5 + part.place.end).unwrap_or(piece.as_bytes());
            let mut query = Vec::new();
            put(&mut query, b'Q', &[&vec![b' '; before], body, b"\0"]);
            wrap.pieces.push_back(Piece { message: query, part, control: is_control(piece) });
        }
        self.wrap = Some(wrap);
        Ok(Verdict::Drop)
    }

    /// Whether what a batch would commit is held open, if it is one that can be.
    pub(super) fn may_wrap(&mut self) -> bool {
        !self.in_batch && self.again.is_none() && self.status == b'I' && self.holds_open()
    }

    /// A batch of the extended protocol begins with Parse or Bind of a statement.
    pub(super) fn wrap_batch(&mut self, text: &str) {
        if !std::mem::take(&mut self.plain) || stays_outside(text) {
            return;
        }
        let mut wrap = Wrap::new(Step::Open, true, true);
        wrap.sent = Some(Vec::new());
        let owning = Owning::begin(Own::Begin, &mut self.scratch);
        self.queue.push_back(Expect::Own(owning));
        self.wrap = Some(wrap);
    }

    /// ReadyForQuery of what is in the transaction: the client does not get it now.
    pub(super) fn wrapped_ready(&mut self, status: u8) -> Verdict {
        let Some(wrap) = &mut self.wrap else { return Verdict::Pass };
        if wrap.misplaced {
            wrap.step = Step::Undo;
            return Verdict::Drop;
        }
        wrap.copying = false;
        wrap.own &= status != b'I';
        wrap.step = Step::Answered;
        let own = wrap.own;
        let failed = self.last.as_ref().is_some_and(|last| last.sqlstate.is_some());
        let left = if failed { std::mem::take(&mut wrap.pieces) } else { VecDeque::new() };
        let more = !wrap.pieces.is_empty();
        left.iter().for_each(|piece| self.forget(&piece.part.statement));
        if let Some(last) = &self.last {
            // A query string that goes on is in one transaction, and so is what stands in the client's own.
            let ends = matches!(last.tag.as_deref(), Some("COMMIT" | "ROLLBACK"));
            self.shared.journal.settle(last.slot, !failed && !ends && (more || (status != b'I' && !own)));
            if more {
                self.reach(true);
            } else if own && status == b'T' {
                self.reach_held();
            }
        }
        Verdict::Drop
    }

    /// The answer to something of the tap's own has ended.
    pub(super) fn owned(&mut self, owning: Owning, status: u8) {
        self.status = status;
        let Some(wrap) = &mut self.wrap else { return };
        match wrap.step {
            Step::Beginning => {
                wrap.refused = owning.failure.is_some();
                wrap.step = Step::Next;
            }
            Step::Ending => {
                if let Some((complaint, message)) = owning.failure {
                    // In the place of CommandComplete, as without; after it in the extended protocol.
                    wrap.withheld = message;
                    if let Some(last) = &mut self.last {
                        last.tag = None;
                        last.sqlstate.clone_from(&complaint.sqlstate);
                        self.shared.journal.fail(last.slot, complaint);
                    }
                }
                wrap.step = Step::Ended;
            }
            Step::Undoing => wrap.step = Step::Undone,
            // Of a batch, which follows on BEGIN at once.
            Step::Next | Step::Open | Step::Answered | Step::Ended | Step::Undo | Step::Undone => {}
        }
        wrap.own &= status != b'I';
    }

    /// Does what comes next, if nothing is in the way; returns whether it did something.
    pub(super) fn advance_wrap(&mut self) -> bool {
        if self.hold.is_some() || !self.queue.is_empty() || self.up.body > 0 || self.down.body > 0 {
            return false;
        }
        let Some(wrap) = &mut self.wrap else { return false };
        match wrap.step {
            Step::Next => self.send_next(),
            Step::Answered if wrap.has_more() => self.send_next(),
            Step::Answered if wrap.own => {
                wrap.step = Step::Ending;
                self.send_own(if self.status == b'T' { Own::Commit } else { Own::Rollback });
            }
            Step::Answered | Step::Ended => self.unwrap_now(),
            Step::Undo => {
                wrap.step = Step::Undoing;
                self.send_own(Own::Rollback);
            }
            Step::Undone => self.once_more(),
            Step::Beginning | Step::Open | Step::Ending | Step::Undoing => return false,
        }
        true
    }

    fn send_own(&mut self, own: Own) {
        let mut bytes = Vec::new();
        let owning = Owning::begin(own, &mut bytes);
        self.send_up(&bytes);
        self.queue.push_back(Expect::Own(owning));
    }

    /// Sends the next statement of a query string, in a transaction of the tap's unless it begins or ends one itself.
    fn send_next(&mut self) {
        let status = self.status;
        let Some(wrap) = &mut self.wrap else { return };
        let Some(piece) = wrap.pieces.pop_front() else {
            wrap.step = Step::Answered;
            return;
        };
        if status == b'I' && !piece.control && !wrap.refused {
            (wrap.own, wrap.step) = (true, Step::Beginning);
            wrap.pieces.push_front(piece);
            self.send_own(Own::Begin);
            return;
        }
        if piece.control {
            // What it ends is ended, and what it begins is the client's.
            wrap.own = false;
        }
        wrap.step = Step::Open;
        self.send_up(&piece.message);
        self.queue.push_back(Expect::Query(Parts::of(piece.part)));
    }

    /// The client gets what it waits for, and the transaction is over.
    fn unwrap_now(&mut self) {
        let Some(mut wrap) = self.wrap.take() else { return };
        put(&mut wrap.withheld, b'Z', &[&[self.status]]);
        self.down.outbox.append(&wrap.withheld);
        if self.status == b'I' {
            self.has_looked = false;
            self.portals.clear();
        }
        if self.last.is_some() {
            self.reach(true);
            self.last = None;
        }
    }

    /// What cannot be inside of a transaction is read from the client once more.
    fn once_more(&mut self) {
        let Some(wrap) = self.wrap.take() else { return };
        self.again = Some(Again { entered: wrap.entered.first().copied() });
        self.swallow = wrap.passed;
        let sent = wrap.sent.unwrap_or_default();
        // Prepared statements outlive the transaction in which they were made (PostgreSQL manual, 53.2.3), and their
        // names cannot be given twice.
        let mut bytes = Vec::new();
        for (tag, message) in each(&sent) {
            if let Some((name, _)) = string(message.get(5..).unwrap_or_default()).filter(|_| tag == b'P')
                && !name.is_empty()
            {
                put(&mut bytes, b'C', &[b"S", name, b"\0"]);
                self.swallow += 1;
            }
        }
        bytes.extend(sent);
        self.up.inbox.put_back(&bytes);
        self.up.wanted = 0;
    }
}
