//! What is running on the server, and what a script may have left there.

use std::collections::{BTreeMap, BTreeSet};

/// A session of a stranger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) role: u32,
    pub(super) database: String,
    pub(super) application: String,
    pub(super) state: String,
    /// Whether a transaction is open.
    pub(super) in_transaction: bool,
    /// Whether that has written.
    pub(super) has_written: bool,
}

/// What a lock is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Locked {
    Relation(u32),
    Advisory(u32, u32),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// By process id.
    pub(super) sessions: BTreeMap<i32, Stranger>,
    /// Process id, what is locked, mode.
    pub(super) locks: BTreeSet<(i32, Locked, String)>,
    /// Schema, name, owner.
    pub(super) temporary: BTreeSet<(String, String, u32)>,
    /// Name; owner and database.
    pub(super) prepared: BTreeMap<String, (String, String)>,
    /// Name; kind and database.
    pub(super) slots: BTreeMap<String, (String, String)>,
    /// The server's time in seconds since 1970, UTC.
    pub(super) now: i64,
    /// How much there may be of what the server has only so much of, by the setting that says it.
    pub(super) limits: BTreeMap<String, i64>,
}

impl Running {
    /// Takes a row whose first value is its kind; says whether it was one of its own.
    pub(super) fn take(&mut self, row: &[Option<String>]) -> bool {
        let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        let number = |at: usize| text(at).parse::<u32>().unwrap_or_default();
        let pid = || text(1).parse::<i32>().unwrap_or_default();
        match text(0).as_str() {
            "session" => {
                let stranger = Stranger {
                    role: number(2),
                    database: text(3),
                    application: text(4),
                    state: text(5),
                    in_transaction: text(6) == "t",
                    has_written: text(7) == "t",
                };
                self.sessions.insert(pid(), stranger);
            }
            "lock" => {
                let what = match text(3).as_str() {
                    "relation" => Locked::Relation(number(4)),
                    _ => Locked::Advisory(number(5), number(6)),
                };
                self.locks.insert((pid(), what, text(2)));
            }
            "temporary" => {
                self.temporary.insert((text(1), text(2), number(3)));
            }
            "prepared" => {
                self.prepared.insert(text(1), (text(2), text(3)));
            }
            "slot" => {
                self.slots.insert(text(1), (text(2), text(3)));
            }
            "now" => self.now = text(1).parse().unwrap_or_default(),
            "limit" => {
                // A setting that this version does not have is none.
                if let Ok(limit) = text(2).parse() {
                    self.limits.insert(text(1), limit);
                }
            }
            _ => return false,
        }
        true
    }
}
