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

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The mode that was asked for; none where rows of the object are held.
    pub mode: Option<LockMode>,
    /// On what, as [`Lock::object`].
    pub object: String,
}

impl Awaited {
    /// Whether who holds this lock is waited for. Who locks rows has at least RowShareLock on their table (PostgreSQL
    /// manual, 13.3.2).
    pub fn is_behind(&self, lock: &Lock) -> bool {
        let conflicts = match self.mode {
            Some(mode) => mode.conflicts_with(lock.mode),
            None => lock.mode >= LockMode::RowShareLock,
        };
        lock.object == self.object && conflicts
    }
}

/// The modes of locks, the weakest first (PostgreSQL manual, 13.3.1).
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

    /// Whether two transactions cannot hold both on one object (PostgreSQL manual, table 13.2).
    pub fn conflicts_with(self, other: Self) -> bool {
        let (weaker, stronger) = (self.min(other), self.max(other));
        stronger
            >= match weaker {
                Self::AccessShareLock => Self::AccessExclusiveLock,
                Self::RowShareLock => Self::ExclusiveLock,
                Self::RowExclusiveLock => Self::ShareLock,
                Self::ShareUpdateExclusiveLock => Self::ShareUpdateExclusiveLock,
                Self::ShareLock | Self::ShareRowExclusiveLock => Self::ShareRowExclusiveLock,
                Self::ExclusiveLock => Self::ExclusiveLock,
                Self::AccessExclusiveLock => Self::AccessExclusiveLock,
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_conflict_as_the_manual_says() {
        // A line for each, the weakest first: X where the two conflict (table 13.2).
        let table =
            [".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX", "XXXXXXXX"];
        for (mode, line) in LockMode::ALL.into_iter().zip(table) {
            let told: String = LockMode::ALL
                .into_iter()
                .map(|other| if mode.conflicts_with(other) { 'X' } else { '.' })
                .collect();
            assert_eq!(told, line, "{mode}");
        }
    }
}
