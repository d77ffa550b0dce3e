//! Rows of one catalog, by key, and whether they are what the server has.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What tells the rows of a catalog apart: an OID, or up to three of them.
pub(super) type Key = (u32, u32, u32);

/// A row of a catalog.
pub(super) trait Row: Sized + PartialEq {
    /// Reads a row from its values, in the order of the query.
    fn parse(values: &[Option<String>]) -> Option<Self>;
}

#[derive(Debug)]
struct Held<R> {
    /// Which transaction wrote it (PostgreSQL manual, 5.6).
    xmin: u32,
    row: Arc<R>,
}

// Derived, it would ask that rows can be cloned.
impl<R> Clone for Held<R> {
    fn clone(&self) -> Self {
        Self { xmin: self.xmin, row: Arc::clone(&self.row) }
    }
}

/// The rows of a catalog. A copy shares them until one of the two is changed.
#[derive(Debug)]
pub(super) struct Table<R>(Arc<BTreeMap<Key, Held<R>>>);

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<R: PartialEq> PartialEq for Table<R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.len() == other.0.len()
                && self.0.iter().zip(other.0.iter()).all(|((key, held), (other_key, other))| {
                    key == other_key && (Arc::ptr_eq(&held.row, &other.row) || held.row == other.row)
                }))
    }
}

impl<R> Table<R> {
    pub(super) fn get(&self, key: Key) -> Option<&R> {
        self.0.get(&key).map(|held| &*held.row)
    }

    /// The row whose key is one OID.
    pub(super) fn oid(&self, oid: u32) -> Option<&R> {
        self.get((oid, 0, 0))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &R)> {
        self.0.iter().map(|(key, held)| (*key, &*held.row))
    }

    /// The rows whose key begins with an OID.
    pub(super) fn of(&self, oid: u32) -> impl Iterator<Item = (Key, &R)> {
        self.between((oid, 0, 0), (oid, u32::MAX, u32::MAX))
    }

    /// The rows from one key to another.
    pub(super) fn between(&self, first: Key, last: Key) -> impl Iterator<Item = (Key, &R)> {
        self.0.range(first..=last).map(|(key, held)| (*key, &*held.row))
    }

    /// The keys of rows that another reading has no longer.
    pub(super) fn gone_in(&self, later: &Self) -> Vec<Key> {
        if self.same(later) {
            return Vec::new();
        }
        self.0.keys().filter(|key| !later.0.contains_key(key)).copied().collect()
    }

    /// Whether the two are one and the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What differs between two readings of a catalog.
pub(super) enum Difference<'a, R> {
    Added(Key, &'a R),
    Removed(Key, &'a R),
    Changed(Key, &'a R, &'a R),
}

/// What differs, in the order of keys.
pub(super) fn differences<'a, R: PartialEq>(
    before: &'a Table<R>,
    after: &'a Table<R>,
) -> Vec<Difference<'a, R>> {
    let mut found = Vec::new();
    if Arc::ptr_eq(&before.0, &after.0) {
        return found;
    }
    let (mut old, mut new) = (before.0.iter().peekable(), after.0.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((key, _)), Some((other, _))) => key.cmp(other),
        };
        match order {
            std::cmp::Ordering::Less => {
                found.extend(old.next().map(|(key, held)| Difference::Removed(*key, &*held.row)));
            }
            std::cmp::Ordering::Greater => {
                found.extend(new.next().map(|(key, held)| Difference::Added(*key, &*held.row)));
            }
            std::cmp::Ordering::Equal => {
                if let (Some((key, held)), Some((_, other))) = (old.next(), new.next())
                    && !Arc::ptr_eq(&held.row, &other.row)
                    && held.row != other.row
                {
                    found.push(Difference::Changed(*key, &held.row, &other.row));
                }
            }
        }
    }
}

/// Count and sums by which rows are compared with the server's without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fingerprint {
    pub(super) count: i64,
    pub(super) keys: i64,
    pub(super) ages: i64,
}

/// A table of any kind of row, for the watcher.
pub(super) trait AnyTable {
    /// Takes a row; says whether it is another than the one it had, or none if it cannot be read.
    fn put(&mut self, key: Key, xmin: u32, values: &[Option<String>]) -> Option<bool>;
    /// Forgets rows.
    fn forget(&mut self, gone: &[Key]);
    /// Whether there is a row whose key is one OID.
    fn has(&self, oid: u32) -> bool;
    /// How many rows there are.
    fn count(&self) -> u64;
    /// Every key with its `xmin`.
    fn keys(&self) -> Vec<(Key, u32)>;
    /// What the server's own sums must be, of rows whose key begins below an OID, when its next transaction is `next`.
    fn fingerprint(&self, below: u32, next: u32) -> Fingerprint;
}

/// `age(xid)`: all of the permanent ones have the greatest (PostgreSQL manual, 24.1.5).
pub(super) fn age(xmin: u32, next: u32) -> i64 {
    if xmin < 3 { i64::from(i32::MAX) } else { i64::from(next.wrapping_sub(xmin).cast_signed()) }
}

impl<R: Row> AnyTable for Table<R> {
    fn put(&mut self, key: Key, xmin: u32, values: &[Option<String>]) -> Option<bool> {
        let row = R::parse(values)?;
        let known = self.0.get(&key).filter(|held| *held.row == row);
        let changed = known.is_none();
        if known.is_some_and(|held| held.xmin == xmin) {
            return Some(false);
        }
        let row = known.map_or_else(|| Arc::new(row), |held| Arc::clone(&held.row));
        Arc::make_mut(&mut self.0).insert(key, Held { xmin, row });
        Some(changed)
    }

    fn forget(&mut self, gone: &[Key]) {
        if !gone.is_empty() {
            let rows = Arc::make_mut(&mut self.0);
            for key in gone {
                rows.remove(key);
            }
        }
    }

    fn has(&self, oid: u32) -> bool {
        self.0.contains_key(&(oid, 0, 0))
    }

    fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    fn keys(&self) -> Vec<(Key, u32)> {
        self.0.iter().map(|(key, held)| (*key, held.xmin)).collect()
    }

    fn fingerprint(&self, below: u32, next: u32) -> Fingerprint {
        self.0.range(..(below, 0, 0)).fold(Fingerprint::default(), |sums, ((a, b, c), held)| Fingerprint {
            count: sums.count + 1,
            keys: sums.keys + i64::from(*a) + i64::from(*b) + i64::from(*c),
            ages: sums.ages + age(held.xmin, next),
        })
    }
}
