//! The statements of the run that is under way, over all connections.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use super::expect::Text;
use super::frames::{Complaint, rows_of};
use super::{Orders, Recording, Seen};

/// SQLSTATE `syntax_error`.
const SYNTAX_ERROR: &str = "42601";
/// Statements that a run keeps.
const STATEMENTS: usize = 20_000;
/// Bytes of text that are kept of one statement.
pub(super) const TEXT: usize = 1 << 20;
/// Bytes of text that a run keeps.
const TEXTS: usize = 64 << 20;
/// Bytes of a response that are kept.
pub(super) const RESPONSE: usize = 64 << 10;
/// Bytes of responses that a run keeps.
const RESPONSES: usize = 32 << 20;

/// Records one run after another.
#[derive(Default)]
pub(super) struct Journal {
    /// The number of the run under way, 0 between two: most messages need not lock to know.
    running: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: u64,
    run: Option<Run>,
}

struct Run {
    number: u64,
    orders: Orders,
    origin: Instant,
    entries: Vec<Entry>,
    occurrences: HashMap<u64, u32>,
    texts: usize,
    responses: usize,
    seen: Recording,
    /// When a statement was last sent or answered.
    moved: Option<Instant>,
}

/// A statement in the fewest steps: what can wait until the run is over does.
struct Entry {
    text: Text,
    role: Arc<str>,
    database: Arc<str>,
    backend: i32,
    connection: u32,
    occurrence: u32,
    began: Instant,
    /// The server came to it.
    reached: bool,
    in_transaction: bool,
    answer: Option<Answer>,
}

struct Answer {
    ended: Instant,
    skipped: bool,
    rows_before: u64,
    outcome: Outcome,
    response: Option<Vec<u8>>,
}

/// Where a statement stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    run: u64,
    at: usize,
    pub(super) index: u32,
}

/// A connection's place in a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seat {
    run: u64,
    pub(super) number: u32,
}

/// A statement that goes into the journal.
pub(super) struct Arriving<'a> {
    pub(super) text: &'a Text,
    pub(super) role: &'a Arc<str>,
    pub(super) database: &'a Arc<str>,
    pub(super) backend: i32,
    pub(super) sent: Instant,
}

/// A statement that went into the journal.
pub(super) struct Entered {
    pub(super) slot: Slot,
    pub(super) occurrence: u32,
}

/// How a statement was answered.
pub(super) enum Outcome {
    /// With its command tag.
    Done(String),
    /// With an error.
    Failed(Complaint),
}

/// What is noted with an answer.
pub(super) struct Answered {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Outcome,
    /// Rows that came before the portal was suspended.
    pub(super) rows_before: u64,
    pub(super) in_transaction: bool,
    pub(super) skipped: bool,
    pub(super) response: Option<Vec<u8>>,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, orders: Orders, origin: Instant) {
        let mut state = self.lock();
        state.runs += 1;
        let number = state.runs;
        state.run = Some(Run {
            number,
            orders,
            origin,
            entries: Vec::new(),
            occurrences: HashMap::new(),
            texts: 0,
            responses: 0,
            seen: Recording::default(),
            moved: None,
        });
        self.running.store(number, Ordering::Release);
    }

    pub(super) fn end(&self) -> Recording {
        let mut state = self.lock();
        self.running.store(0, Ordering::Release);
        let Some(run) = state.run.take() else {
            return Recording::default();
        };
        let mut recording = run.seen;
        // Whoever records goes on meanwhile.
        drop(state);
        let entries = (1_u32..).zip(run.entries).filter(|(_, entry)| entry.reached);
        recording.statements = entries.map(|(index, entry)| entry.seen(index, run.origin)).collect();
        recording
    }

    /// The number of the run under way; 0 between two.
    pub(super) fn running(&self) -> u64 {
        self.running.load(Ordering::Acquire)
    }

    /// Whether a statement belongs to the run under way.
    pub(super) fn is_under_way(&self, slot: Slot) -> bool {
        self.running() == slot.run
    }

    /// What is ordered in the run under way.
    pub(super) fn orders(&self) -> Orders {
        self.lock().run.as_ref().map(|run| run.orders.clone()).unwrap_or_default()
    }

    /// A connection could not be read.
    pub(super) fn unreadable(&self) {
        if let Some(run) = &mut self.lock().run {
            run.seen.unreadable += 1;
        }
    }

    /// The run is cut off at a statement; returns the run, unless it is over.
    pub(super) fn cut(&self, slot: Slot) -> Option<u64> {
        let mut state = self.lock();
        let run = state.run.as_mut().filter(|run| run.number == slot.run)?;
        run.seen.cut.get_or_insert(slot.index);
        Some(run.number)
    }

    /// Whether connections are refused.
    pub(super) fn is_cut(&self) -> bool {
        self.running() != 0 && self.lock().run.as_ref().is_some_and(|run| run.seen.cut.is_some())
    }

    /// Puts a statement in; none where nothing is recorded (any more).
    pub(super) fn enter(&self, seat: &mut Seat, arriving: Arriving<'_>) -> Option<Entered> {
        let mut state = self.lock();
        let run = state.run.as_mut()?;
        let text = arriving.text;
        let size = text.text.len();
        if run.seen.truncated || run.entries.len() >= STATEMENTS || run.texts + size > TEXTS {
            run.seen.truncated = true;
            return None;
        }
        if seat.run != run.number {
            run.seen.connections += 1;
            *seat = Seat { run: run.number, number: run.seen.connections };
        }
        let mut hasher = DefaultHasher::new();
        text.text.hash(&mut hasher);
        let occurrence = run.occurrences.entry(hasher.finish()).or_default();
        *occurrence += 1;
        let occurrence = *occurrence;
        let at = run.entries.len();
        let index = u32::try_from(at + 1).unwrap_or(u32::MAX);
        run.texts += size;
        run.moved = Some(arriving.sent);
        run.entries.push(Entry {
            text: text.clone(),
            role: Arc::clone(arriving.role),
            database: Arc::clone(arriving.database),
            backend: arriving.backend,
            connection: seat.number,
            occurrence,
            began: arriving.sent,
            reached: true,
            in_transaction: false,
            answer: None,
        });
        Some(Entered { slot: Slot { run: run.number, at, index }, occurrence })
    }

    /// When a statement of the run was last sent or answered; none: there was none.
    pub(super) fn moved(&self) -> Option<Instant> {
        self.lock().run.as_ref()?.moved
    }

    /// Notes an answer, unless its run is over.
    pub(super) fn answer(&self, slot: Slot, answered: Answered) {
        let mut state = self.lock();
        let Some(run) = state.run.as_mut().filter(|run| run.number == slot.run) else {
            return;
        };
        let Some(entry) = run.entries.get_mut(slot.at) else {
            return;
        };
        let Answered { began, ended, outcome, rows_before, in_transaction, skipped, response } = answered;
        (entry.began, entry.in_transaction) = (began, in_transaction);
        run.moved = Some(ended);
        let size = response.as_ref().map_or(0, Vec::len);
        let response = response.filter(|_| run.responses + size <= RESPONSES);
        run.responses += response.as_ref().map_or(0, Vec::len);
        entry.answer = Some(Answer { ended, skipped, rows_before, outcome, response });
    }

    /// An error came after the answer: what was deferred failed at the end of the transaction.
    pub(super) fn fail(&self, slot: Slot, complaint: Complaint) {
        self.change(slot, |entry| {
            if let Some(answer) = &mut entry.answer {
                answer.outcome = Outcome::Failed(complaint);
            }
        });
    }

    /// Whether the transaction was still open when the server was ready again.
    pub(super) fn settle(&self, slot: Slot, in_transaction: bool) {
        self.change(slot, |entry| entry.in_transaction = in_transaction);
    }

    /// The server never came to a statement.
    pub(super) fn never_reached(&self, slot: Slot) {
        self.change(slot, |entry| entry.reached = false);
    }

    fn change(&self, slot: Slot, change: impl FnOnce(&mut Entry)) {
        let mut state = self.lock();
        let run = state.run.as_mut().filter(|run| run.number == slot.run);
        if let Some(entry) = run.and_then(|run| run.entries.get_mut(slot.at)) {
            change(entry);
        }
    }
}

impl Entry {
    fn seen(self, index: u32, origin: Instant) -> Seen {
        let mut seen = Seen {
            index,
            connection: self.connection,
            backend: self.backend,
            role: self.role.to_string(),
            database: self.database.to_string(),
            text: self.text.text.to_string(),
            text_truncated: self.text.truncated,
            occurrence: self.occurrence,
            began_ms: milliseconds(origin, self.began),
            ended_ms: None,
            tag: None,
            rows: None,
            sqlstate: None,
            message: None,
            detail: None,
            hint: None,
            position: None,
            in_transaction: self.in_transaction,
            skipped: false,
            response: None,
        };
        let Some(answer) = self.answer else {
            return seen;
        };
        seen.ended_ms = Some(milliseconds(origin, answer.ended));
        seen.skipped = answer.skipped;
        seen.response = answer.response.map(Bytes::from);
        match answer.outcome {
            Outcome::Done(tag) => {
                seen.rows = rows_of(&tag).map(|rows| rows + answer.rows_before);
                seen.tag = Some(tag);
            }
            Outcome::Failed(complaint) => {
                seen.position = complaint.position.filter(|_| !self.text.masked);
                seen.message = complaint.message;
                seen.detail = complaint.detail;
                seen.hint = complaint.hint;
                // A syntax error quotes the text at its place, which may be the secret.
                if self.text.masked
                    && complaint.sqlstate.as_ref().is_some_and(|code| code.as_str() == SYNTAX_ERROR)
                {
                    seen.message = Some("syntax error".to_owned());
                }
                seen.sqlstate = complaint.sqlstate;
            }
        }
        seen
    }
}

/// Milliseconds between two instants; negative where the second is the earlier one.
fn milliseconds(origin: Instant, at: Instant) -> f64 {
    match at.checked_duration_since(origin) {
        Some(after) => after.as_secs_f64() * 1000.0,
        None => -(origin - at).as_secs_f64() * 1000.0,
    }
}
