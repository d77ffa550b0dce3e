//! A question of the tap's own on a client's connection, between two of its statements.
//!
//! It goes by the extended protocol under a name of its own: a simple query would drop the client's unnamed prepared
//! statement, and the unnamed portal (53.2.3). Inside of a transaction block it stands between a savepoint and its
//! rollback, so that a question that fails does not fail the client's transaction.

use tokio::sync::oneshot;

use super::frames::{Complaint, complaint, put, u32_at};
use crate::identifiers::SqlState;
use crate::postgres::QueryFailure;

/// Rows of text values.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// The name of the statement and the portal.
const NAME: &[u8] = b"thirdrun: question\0";
const BEFORE: &str = "SAVEPOINT \"thirdrun: question\"";
const BACK: &str = "ROLLBACK TO SAVEPOINT \"thirdrun: question\"";
const AFTER: &str = "RELEASE SAVEPOINT \"thirdrun: question\"";
/// Bytes that an answer may have.
const LONGEST: usize = 64 << 20;

/// A question that the server is answering.
pub(super) struct Asking {
    reply: Option<oneshot::Sender<Result<Rows, QueryFailure>>>,
    rows: Rows,
    bytes: usize,
    failure: Option<QueryFailure>,
    /// The part of the exchange whose answers come now, the one that is the question, and how many there are.
    part: usize,
    question: usize,
    parts: usize,
}

impl Asking {
    /// Writes the messages of a question, and what to expect.
    pub(super) fn begin(
        sql: &str,
        in_transaction: bool,
        reply: oneshot::Sender<Result<Rows, QueryFailure>>,
        out: &mut Vec<u8>,
    ) -> Self {
        let all = [BEFORE, sql, BACK, AFTER];
        let alone = [sql];
        let (parts, question): (&[&str], usize) = if in_transaction { (&all, 1) } else { (&alone, 0) };
        for part in parts {
            // A question that failed before may have left its own; to close what is not there is no error.
            put(out, b'C', &[b"S", NAME]);
            put(out, b'C', &[b"P", NAME]);
            put(out, b'P', &[NAME, part.as_bytes(), b"\0", &0_i16.to_be_bytes()]);
            // No parameters, and all results as text.
            put(out, b'B', &[NAME, NAME, &[0; 6]]);
            put(out, b'E', &[NAME, &0_i32.to_be_bytes()]);
            put(out, b'C', &[b"P", NAME]);
            put(out, b'C', &[b"S", NAME]);
            put(out, b'S', &[]);
        }
        Self {
            reply: Some(reply),
            rows: Vec::new(),
            bytes: 0,
            failure: None,
            part: 0,
            question,
            parts: parts.len(),
        }
    }

    /// Takes a message of the answer, whole; returns whether it was the last.
    pub(super) fn message(&mut self, tag: u8, message: &[u8]) -> bool {
        let body = message.get(5..).unwrap_or_default();
        match tag {
            b'D' if self.part == self.question && self.failure.is_none() => {
                self.bytes += body.len();
                match row(body) {
                    _ if self.bytes > LONGEST => self.fail(lost("the answer is too long")),
                    Some(row) => self.rows.push(row),
                    None => self.fail(lost("a row could not be read")),
                }
            }
            b'E' => self.fail(of(complaint(body))),
            b'Z' => {
                self.part += 1;
                if self.part == self.parts {
                    let rows = std::mem::take(&mut self.rows);
                    if let Some(reply) = self.reply.take() {
                        // Whoever asked may have given up.
                        let _ = reply.send(self.failure.take().map_or(Ok(rows), Err));
                    }
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    /// The first failure is the one that tells.
    fn fail(&mut self, failure: QueryFailure) {
        self.rows = Vec::new();
        self.failure.get_or_insert(failure);
    }
}

/// A question that was not answered.
pub(super) fn lost(message: &str) -> QueryFailure {
    QueryFailure {
        sqlstate: SqlState::new("08006"),
        message: message.to_owned(),
        detail: None,
        hint: None,
        position: None,
        cut_off: true,
    }
}

fn of(complaint: Complaint) -> QueryFailure {
    QueryFailure {
        sqlstate: complaint.sqlstate.unwrap_or_else(|| SqlState::new("XX000")),
        message: complaint.message.unwrap_or_default(),
        detail: complaint.detail,
        hint: complaint.hint,
        position: complaint.position,
        cut_off: complaint.fatal,
    }
}

/// The values of a DataRow (53.7).
fn row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let count = u16::from_be_bytes(body.get(..2)?.try_into().ok()?);
    let mut rest = body.get(2..)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = u32_at(rest, 0)?;
        rest = rest.get(4..)?;
        if length == u32::MAX {
            values.push(None);
        } else {
            let length = usize::try_from(length).ok()?;
            values.push(Some(String::from_utf8_lossy(rest.get(..length)?).into_owned()));
            rest = rest.get(length..)?;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_broken_ones_refused() {
        let body = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff";
        assert_eq!(row(body), Some(vec![Some("ab".to_owned()), None]));
        for end in 0..body.len() {
            assert_eq!(row(&body[..end]), None);
        }
    }
}
