//! A lock that a statement took, as a report tells it.

use serde::{Deserialize, Serialize};

/// A lock on something of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The strongest mode that was held.
    pub mode: LockMode,
    /// On what: `schema.name` of a relation, or `advisory lock 42`.
    pub object: String,
}

/// The modes of locks, the weakest first (PostgreSQL manual, 13.3.1). Each conflicts with all but the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // Each is the server's own name.
pub enum LockMode {
    AccessShareLock,
    RowShareLock,
    RowExclusiveLock,
    ShareUpdateExclusiveLock,
    ShareLock,
    ShareRowExclusiveLock,
    ExclusiveLock,
    AccessExclusiveLock,
}

impl LockMode {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::AccessShareLock,
        Self::RowShareLock,
        Self::RowExclusiveLock,
        Self::ShareUpdateExclusiveLock,
        Self::ShareLock,
        Self::ShareRowExclusiveLock,
        Self::ExclusiveLock,
        Self::AccessExclusiveLock,
    ];

    /// The mode of this name in `pg_locks`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Its name in `pg_locks`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessShareLock => "AccessShareLock",
            Self::RowShareLock => "RowShareLock",
            Self::RowExclusiveLock => "RowExclusiveLock",
            Self::ShareUpdateExclusiveLock => "ShareUpdateExclusiveLock",
            Self::ShareLock => "ShareLock",
            Self::ShareRowExclusiveLock => "ShareRowExclusiveLock",
            Self::ExclusiveLock => "ExclusiveLock",
            Self::AccessExclusiveLock => "AccessExclusiveLock",
        }
    }
}

impl std::fmt::Display for LockMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
