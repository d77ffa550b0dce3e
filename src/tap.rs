//! A tap on the wire between a candidate script and the sandbox's server: it relays connections, sees every
//! statement of any client, and can act between two of them.
//!
//! It speaks the frontend/backend protocol (PostgreSQL manual, chapter 53) as far as it must to tell where a
//! statement begins and ends, and passes everything else on as it is: authentication, COPY in each direction,
//! replication, cancel requests. A stream that it cannot read is relayed unread, and that is counted. Workers do not
//! go through it. What a connection loses by it is time, about that of a bare relay.

mod accept;
mod ask;
mod buffer;
mod down;
mod error;
mod expect;
mod flow;
mod frames;
mod hold;
mod journal;
mod link;
mod outside;
mod portals;
mod skip;
mod splice;
mod text;
mod turn;
mod up;
mod wrap;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use accept::Tap;
pub(crate) use flow::by_hand;
pub use hold::At;

use crate::identifiers::SqlState;

/// What was seen of one run.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Its statements, in the order in which they were sent. What the server never came to, because an error before
    /// it ended the query string or the pipeline, is not among them.
    pub statements: Vec<Seen>,
    /// There were more statements, or longer ones, than are kept: those after the last one here are unknown.
    pub truncated: bool,
    /// Connections that sent statements.
    pub connections: u32,
    /// Connections that could not be read (encrypted, or not this protocol) and were relayed unread.
    pub unreadable: u32,
    /// The statement before or after which the run was cut off, when it was.
    pub cut: Option<u32>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its number in the run, from 1, over all connections. A number that is missing belonged to a statement that
    /// the server never came to.
    pub index: u32,
    /// The connection's number in the run, from 1.
    pub connection: u32,
    /// The process id of its backend.
    pub backend: i32,
    /// The role that logged in.
    pub role: String,
    /// The database.
    pub database: String,
    /// Its text, as sent, with secrets masked. Of several in one query string, each without its semicolon.
    pub text: String,
    /// Only the beginning of the text is kept.
    pub text_truncated: bool,
    /// How many-th of this very text (as it stands here) in the run, from 1.
    pub occurrence: u32,
    /// Milliseconds from the run's origin to when the server could begin with it: it was sent, and those before it
    /// on the same connection were answered.
    pub began_ms: f64,
    /// Milliseconds to its answer; none if it was never answered.
    pub ended_ms: Option<f64>,
    /// The command tag, such as `INSERT 0 1` (53.7, CommandComplete).
    pub tag: Option<String>,
    /// Rows affected or returned.
    pub rows: Option<u64>,
    /// The error's code.
    pub sqlstate: Option<SqlState>,
    /// The error's primary message.
    pub message: Option<String>,
    /// Its `DETAIL`.
    pub detail: Option<String>,
    /// Its `HINT`.
    pub hint: Option<String>,
    /// Where in the text the error is, in characters from 1; none where secrets were masked.
    pub position: Option<u32>,
    /// What it did was not committed when it was answered: it is inside of a transaction block, or of the implicit
    /// transaction of a query string or a pipeline that went on after it.
    pub in_transaction: bool,
    /// It was not passed on: [`Decision::Skip`].
    pub skipped: bool,
    /// The server's messages in answer to it, up to CommandComplete or the error; none when they were too long.
    /// [`Decision::Skip`] takes them.
    pub response: Option<Bytes>,
}

/// What to do with the statements of a run. The default passes everything.
#[derive(Clone, Default)]
pub struct Orders {
    /// Asked about each statement before it is passed on; none passes all. It must not block.
    pub decide: Option<Arc<Decide>>,
    /// Called after each statement.
    pub boundary: Option<Arc<dyn Boundary>>,
    /// What would commit by itself is held open until [`Boundary::held`] has returned. Where something is decided,
    /// nothing is held.
    pub hold: bool,
}

/// Decides about a statement.
pub type Decide = dyn Fn(&Coming<'_>) -> Decision + Send + Sync;

/// A statement that is about to be passed on.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// As [`Seen::index`].
    pub index: u32,
    /// As [`Seen::connection`].
    pub connection: u32,
    /// As [`Seen::text`].
    pub text: &'a str,
    /// As [`Seen::occurrence`]: text and occurrence together name a statement in every run alike.
    pub occurrence: u32,
    /// A transaction is open.
    pub in_transaction: bool,
}

/// What is to become of a statement.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is passed on.
    Pass,
    /// It is not: the client gets this response, as recorded in [`Seen::response`], or without one a made-up
    /// success. A recorded error is an error for the server too, so that the rest of a query string, a pipeline or a
    /// transaction is given up as it was.
    Skip(Option<Bytes>),
    /// The run is cut off before the message that holds it. A statement in the midst of a query string cannot be
    /// told from its neighbours here, as a client that dies cannot either.
    CutBefore,
}

/// Called between statements.
pub trait Boundary: Send + Sync {
    /// A statement was answered. No further message of this client is passed on until this returns.
    fn reached(&self, at: At) -> BoxFuture<'_, Next>;

    /// A statement was answered and its transaction is open, with the locks that it took: called before
    /// [`Boundary::reached`] where [`Orders::hold`] asks for it and the server is idle.
    fn held<'a>(&'a self, _at: &'a At) -> BoxFuture<'a, Next> {
        Box::pin(std::future::ready(Next::Go))
    }
}

/// How a run goes on after a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It does.
    Go,
    /// Every connection of the run is lost, on both sides and without a word, and no later one is accepted.
    Cut,
}
