//! What the server still owes an answer to, in the order in which it was sent.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use super::ask::Asking;
use super::journal::{RESPONSE, Slot};
use super::splice::Splice;
use super::wrap::Owning;

/// Room for an ordinary response.
const RESPONSE_ROOM: usize = 128;

/// A message that the server answers.
pub(super) enum Expect {
    /// The startup packet: authentication, then ReadyForQuery.
    Startup,
    /// A simple query: one answer a statement, then ReadyForQuery (53.2.2).
    Query(Parts),
    /// A function call: one answer, then ReadyForQuery (53.2.5).
    Function(Statement),
    /// Parse or Bind of a statement with this text: a short answer.
    Prepare(Text),
    /// Describe or Close: a short answer.
    Short,
    /// Execute.
    Execute(Executing),
    /// Sync: ReadyForQuery.
    Sync,
    /// CopyDone or CopyFail. No answer of its own.
    CopyEnd,
    /// A question of the tap's own.
    Ask(Box<Asking>),
    /// The beginning or the end of a transaction of the tap's own.
    Own(Owning),
}

/// The text of a statement, as much as is kept.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) text: Arc<str>,
    pub(super) truncated: bool,
    /// It is not what was sent: places in it are others.
    pub(super) masked: bool,
}

/// A statement that is not answered yet.
pub(super) struct Statement {
    /// None: it is not recorded.
    pub(super) slot: Option<Slot>,
    pub(super) sent: Instant,
    /// Rows that came before the portal was suspended.
    pub(super) rows: u64,
    pub(super) response: Response,
    /// What the client gets in its place.
    pub(super) splice: Option<Splice>,
}

/// The statements of a query string.
#[derive(Default)]
pub(super) struct Parts {
    /// Not answered yet.
    pub(super) left: VecDeque<Part>,
    /// One of them failed.
    pub(super) failed: bool,
    /// It failed for the client alone: what the server still answers is not for it.
    pub(super) refused: bool,
    /// One of them was skipped.
    pub(super) skipped: bool,
    /// The server is reading COPY data.
    pub(super) copying: bool,
}

impl Parts {
    /// One statement alone.
    pub(super) fn of(part: Part) -> Self {
        Self { left: VecDeque::from([part]), ..Self::default() }
    }
}

/// One of the statements of a query string.
pub(super) struct Part {
    pub(super) statement: Statement,
    /// Where it stands in the query string, in characters: what the server counts an error's position from.
    pub(super) begins: u32,
    /// That in bytes.
    pub(super) place: Range<usize>,
    /// As [`super::Seen::occurrence`].
    pub(super) occurrence: u32,
}

/// The execution of a portal.
pub(super) struct Executing {
    pub(super) statement: Statement,
    pub(super) portal: Box<[u8]>,
    /// The server is reading COPY data.
    pub(super) copying: bool,
}

/// The messages of an answer, as far as they are kept.
pub(super) enum Response {
    /// They are not wanted, or were too long.
    Off,
    /// So far.
    Kept(Vec<u8>),
}

impl Response {
    /// Appends a piece of a message.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if let Self::Kept(kept) = self {
            if kept.len() + bytes.len() > RESPONSE {
                *self = Self::Off;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// Takes them.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(self, Self::Off) {
            Self::Kept(kept) => Some(kept),
            Self::Off => None,
        }
    }
}

impl Statement {
    /// One that nobody asked to record.
    pub(super) fn unrecorded(sent: Instant) -> Self {
        Self { slot: None, sent, rows: 0, response: Response::Off, splice: None }
    }

    /// One in the journal.
    pub(super) fn recorded(slot: Slot, sent: Instant, splice: Option<Splice>) -> Self {
        Self {
            slot: Some(slot),
            sent,
            rows: 0,
            response: Response::Kept(Vec::with_capacity(RESPONSE_ROOM)),
            splice,
        }
    }
}

impl Expect {
    /// Ends with ReadyForQuery.
    pub(super) fn is_ready_for_query(&self) -> bool {
        matches!(
            self,
            Self::Startup | Self::Query(_) | Self::Function(_) | Self::Sync | Self::Ask(_) | Self::Own(_)
        )
    }
}
