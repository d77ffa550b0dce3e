//! Transactions that a file begins: one that it does not end is rolled back where the file ends, as it is by psql.

use crate::dump::{Item, ItemKind, words};

/// Follows the transactions of one file.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// The line on which the open one begins.
    open: Option<usize>,
}

impl Transactions {
    /// Takes note of a piece that is executed.
    pub(super) fn note(&mut self, item: &Item<'_>) {
        if item.kind != ItemKind::Statement || !item.text.starts_with(|c: char| "bscearpBSCEARP".contains(c))
        {
            return;
        }
        // What begins and ends transactions is short; a long statement need not be cut into words.
        if item.text.len() > 200 {
            return;
        }
        let words = words(item.text);
        let is = |at: usize, keyword: &str| words.get(at).is_some_and(|word| word.is(keyword));
        let has = |keyword: &str| words.iter().any(|word| word.is(keyword));
        if is(0, "begin") || (is(0, "start") && is(1, "transaction")) {
            self.open = self.open.or(Some(item.line));
        } else if is(0, "prepare") && is(1, "transaction") {
            self.open = None;
        } else if ["commit", "end", "rollback", "abort"].iter().any(|word| is(0, word)) {
            let chained = has("chain") && !has("no");
            let to_savepoint = is(0, "rollback") && has("to");
            if !chained && !to_savepoint {
                self.open = None;
            }
        }
    }

    /// The line on which the transaction begins that is open now.
    pub(super) const fn open(&self) -> Option<usize> {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::split;

    fn open(script: &str) -> Option<usize> {
        let mut transactions = Transactions::default();
        split(script).unwrap().iter().for_each(|item| transactions.note(item));
        transactions.open()
    }

    #[test]
    fn what_is_not_ended_is_open() {
        assert_eq!(open("SELECT 1;\nBEGIN;\nSAVEPOINT a;\nROLLBACK TO a;\n"), Some(2));
        assert_eq!(open("START TRANSACTION;\nCOMMIT AND CHAIN;"), Some(1));
        assert_eq!(open("BEGIN;\nCOMMIT AND NO CHAIN;\nbegin work;\nend;"), None);
        assert_eq!(open("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;"), None);
    }
}
