//! How the state went from run to run, and what it came to.

use serde::{Deserialize, Serialize};

use super::Change;
use crate::identifiers::{RoleName, RunNumber};

/// The states of a rehearsal, seen one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Runs after which the state was what it had been two states earlier, but for the same things made anew.
    pub returned: Vec<RunNumber>,
    /// What can be measured and did not stay the same after the first run.
    pub series: Vec<Series>,
    /// What the first two runs changed together; none where there were no two.
    #[serde(default)]
    pub of_two: Option<Vec<Change>>,
    /// What was in the small tables that the runs wrote to.
    #[serde(default)]
    pub contents: Vec<Contents>,
    /// What the last state shows; none where nobody asks.
    pub standing: Option<Standing>,
}

/// The rows of a table after each run that wrote to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The table, as `schema.name`.
    pub table: String,
    /// A hash of all rows after a run; equal ones are equal rows.
    pub hashes: Vec<(RunNumber, String)>,
}

/// One thing, measured again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// What kind of number it is.
    pub measure: Measure,
    /// What is measured, in the singular: `constraint`, `default`, `statement_timeout`.
    pub noun: String,
    /// Of what, in psql's words: `table sales.orders`.
    pub object: String,
    /// Before the first run, and after each; none where it was not there.
    pub readings: Vec<Option<Reading>>,
    /// How much of the limit the workers need for themselves, and one new session with it; 0 where it is none of theirs.
    pub needed: i64,
    /// Where the limit comes from, as of the last reading: `max_replication_slots = 10`.
    pub limit_words: String,
}

/// A number and the limit that it had then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The number.
    pub value: i64,
    /// The most it may be, or the least; none: it has no limit.
    pub limit: Option<i64>,
}

/// Kinds of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Things that are counted. The limit is the most there may be.
    Things,
    /// Characters of a text.
    Length,
    /// The value that a sequence gave last. The limit is the last that it can give.
    Position,
    /// Sessions that were left open. The limit is how many there may be, those of the workers among them.
    Sessions,
    /// A number that somebody has set. The limit is the least that makes sense.
    Number,
    /// A moment in seconds since 1970, UTC. The limit is the server's time.
    Moment,
}

/// What a state shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The server's time in seconds since 1970, UTC.
    pub now: i64,
    /// What is odd about it.
    pub oddities: Vec<Oddity>,
    /// What the workers together need of connections.
    pub needs: Needs,
}

/// The connections of the workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Of all workers at the same time, and one new session.
    pub all: i64,
    /// The same of each role.
    pub roles: Vec<(RoleName, i64)>,
}

impl Needs {
    /// What the workers of a role need; 0 for a role that none has.
    pub fn of(&self, role: &str) -> i64 {
        self.roles.iter().find(|(name, _)| name.as_str() == role).map_or(0, |(_, need)| *need)
    }
}

/// Something that a state has and that may harm somebody later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oddity {
    /// In which way.
    pub kind: OddityKind,
    /// What it is about, as changes call it.
    pub object: String,
    /// The role that it concerns.
    pub role: Option<RoleName>,
    /// A limit, or a moment in seconds since 1970, UTC.
    pub number: Option<i64>,
    /// More of it, in words.
    pub detail: String,
    /// Whether it was not like that before the first run.
    pub new: bool,
}

/// The ways in which a state is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // Each says itself.
pub enum OddityKind {
    PasswordExpires,
    RoleLimit,
    DatabaseLimit,
    ServerLimit,
    SettingNotInForce,
    InvalidIndex,
    UnvalidatedConstraint,
    TriggersDisabled,
    EventTriggerDisabled,
    NoPolicy,
    PoliciesWithoutEffect,
    OutOfReach,
    DefaultPrivilegesOfAnother,
    NoLongerLogged,
    NoAutovacuum,
    TransactionLeft,
    SessionOfNobody,
    PreparedTransaction,
    ReplicationSlot,
}
