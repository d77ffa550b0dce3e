//! The keys of rows as numbers, which take less room than what they are made of.

use std::hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher};

use super::super::model::{Table, Unique};
use super::Row;

/// The number of the row's key, if the index has it and NULLs do not make it unlike all others. Two keys
/// that share their number by chance are taken for one, so that another row is made than might have been.
pub(super) fn key(table: &Table, unique: &Unique, row: &Row) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for at in &unique.columns {
        if table.columns.get(*at).is_none_or(|column| column.generated) {
            return None;
        }
        match row.get(*at).and_then(Option::as_deref) {
            Some(text) if unique.folded => text.to_lowercase().hash(&mut hasher),
            Some(text) => text.hash(&mut hasher),
            None if unique.nulls_equal => 0_u8.hash(&mut hasher),
            None => return None,
        }
    }
    if let Some(predicate) = &unique.predicate
        && super::super::eval::truth(predicate, &table.columns, row) == Some(false)
    {
        return None;
    }
    Some(hasher.finish())
}

/// Hashes numbers that are hashes already.
pub(super) type Hashes = BuildHasherDefault<Hashed>;

/// The number itself.
#[derive(Debug, Default, Clone)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
