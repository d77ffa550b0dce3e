//! What a statement did to the rows of a table.

use serde::{Deserialize, Serialize};

/// The rows of one table that a statement changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsChanged {
    /// The table, as one writes it: `sales.orders`.
    pub table: String,
    /// How many rows it had before.
    pub before: u64,
    /// How many it has after.
    pub after: u64,
    /// How many of them were changed in place; none where rows were only counted.
    pub updated: Option<u64>,
    /// The changed values of a row in words, where a few were changed in place: `enabled from t to f`.
    pub values: Vec<String>,
    /// The statements that take it back, where they are few.
    pub undo: Vec<String>,
}
