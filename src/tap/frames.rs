//! Messages on the wire (PostgreSQL manual, 53.7 "Message Formats"): a tag, a length that counts itself, a body.

use crate::identifiers::SqlState;

/// Longer messages are not valid in any version.
const LONGEST: usize = 0x4000_0000;
/// The server's limit of a startup packet (`MAX_STARTUP_PACKET_LENGTH`).
const LONGEST_STARTUP: usize = 10_000;

/// What stands at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// Too few bytes to tell.
    Incomplete,
    /// No message.
    Malformed,
    /// A message.
    Message {
        /// Its tag; 0 for a startup packet, which has none.
        tag: u8,
        /// Its length, tag included.
        total: usize,
    },
}

/// Reads the header of a message.
pub(super) fn front(bytes: &[u8]) -> Front {
    let Some((tag, rest)) = bytes.split_first() else {
        return Front::Incomplete;
    };
    match u32_at(rest, 0) {
        None => Front::Incomplete,
        Some(length) => match usize::try_from(length) {
            Ok(length) if (4..LONGEST).contains(&length) => Front::Message { tag: *tag, total: length + 1 },
            _ => Front::Malformed,
        },
    }
}

/// Reads the header of a startup packet (53.2.1): a length and a code.
pub(super) fn startup_front(bytes: &[u8]) -> Front {
    match u32_at(bytes, 0) {
        None => Front::Incomplete,
        Some(length) => match usize::try_from(length) {
            Ok(length) if (8..=LONGEST_STARTUP).contains(&length) => Front::Message { tag: 0, total: length },
            _ => Front::Malformed,
        },
    }
}

/// What stands at the front of what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// Too little of it is there to tell.
    Incomplete,
    /// Messages of the extended protocol, and the Sync with which they end (53.2.3): what drivers send.
    Whole,
    /// Something else, or something that is too long to wait for.
    Other,
}

/// Bytes of a batch that are waited for.
const AHEAD: usize = 1 << 20;

/// Looks at the messages of a batch up to its end.
pub(super) fn batch(mut bytes: &[u8]) -> Batch {
    let too_long = bytes.len() > AHEAD;
    loop {
        match front(bytes) {
            Front::Message { tag: b'P' | b'B' | b'D' | b'E' | b'C', total } if total <= bytes.len() => {
                bytes = bytes.get(total..).unwrap_or_default();
            }
            Front::Message { tag: b'P' | b'B' | b'D' | b'E' | b'C', .. } | Front::Incomplete if !too_long => {
                return Batch::Incomplete;
            }
            Front::Message { tag: b'S', .. } => return Batch::Whole,
            Front::Message { .. } | Front::Malformed | Front::Incomplete => return Batch::Other,
        }
    }
}

/// A number of four bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// The text up to the next zero byte, and what follows.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// Appends a message.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, body: &[&[u8]]) {
    let length = body.iter().map(|part| part.len()).sum::<usize>() + 4;
    out.push(tag);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    for part in body {
        out.extend_from_slice(part);
    }
}

/// The messages of a piece of stream, as tag and whole message; ends where something is not one.
pub(super) fn each(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let Front::Message { tag, total } = front(bytes) else {
            return None;
        };
        let message = bytes.get(..total)?;
        bytes = bytes.get(total..).unwrap_or_default();
        Some((tag, message))
    })
}

/// What an ErrorResponse says (53.8 "Error and Notice Message Fields").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) sqlstate: Option<SqlState>,
    pub(super) fatal: bool,
    pub(super) message: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) position: Option<u32>,
    /// The text could not be parsed: nothing of a whole query string was run.
    pub(super) unparsed: bool,
}

/// Reads the fields of an ErrorResponse, as far as they are there.
pub(super) fn complaint(mut body: &[u8]) -> Complaint {
    let mut complaint = Complaint::default();
    while let Some((kind, rest)) = body.split_first().filter(|(kind, _)| **kind != 0) {
        let Some((value, rest)) = string(rest) else {
            break;
        };
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match kind {
            b'V' => complaint.fatal = value == b"FATAL" || value == b"PANIC",
            b'C' => complaint.sqlstate = text().map(SqlState::new),
            b'M' => complaint.message = text(),
            b'D' => complaint.detail = text(),
            b'H' => complaint.hint = text(),
            b'F' => complaint.unparsed = matches!(value, b"scan.l" | b"gram.y"),
            b'P' => complaint.position = text().and_then(|text| text.parse().ok()),
            _ => {}
        }
        body = rest;
    }
    complaint
}

/// The number of rows that a command tag ends in, as in `INSERT 0 1` (53.7, CommandComplete).
pub(super) fn rows_of(tag: &str) -> Option<u64> {
    let (command, last) = tag.rsplit_once(' ')?;
    if command.is_empty() { None } else { last.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_nonsense_is_told() {
        assert_eq!(front(b"Z\0\0\0\x05I"), Front::Message { tag: b'Z', total: 6 });
        for end in 0..5 {
            assert_eq!(front(&b"Z\0\0\0\x05I"[..end]), Front::Incomplete);
        }
        assert_eq!(front(b"Z\0\0\0\x03"), Front::Malformed);
        assert_eq!(front(b"Z\xff\xff\xff\xff"), Front::Malformed);
        assert_eq!(startup_front(b"\0\0\0\x08\x04\xd2\x16\x2f"), Front::Message { tag: 0, total: 8 });
        assert_eq!(startup_front(b"\x16\x03\x01\x02"), Front::Malformed);
        assert_eq!(startup_front(b"\0\0\0"), Front::Incomplete);
    }

    #[test]
    fn messages_are_made_and_read_back() {
        let mut bytes = Vec::new();
        put(&mut bytes, b'C', &[b"INSERT 0 5", b"\0"]);
        put(&mut bytes, b'S', &[]);
        let tags: Vec<_> = each(&bytes).map(|(tag, message)| (tag, message.len())).collect();
        assert_eq!(tags, [(b'C', 16), (b'S', 5)]);
        assert_eq!(each(&bytes[..17]).count(), 1);
    }

    #[test]
    fn an_error_is_read_as_far_as_it_goes() {
        let body = b"SERROR\0VERROR\0C42P01\0Mno such table\0Dd\0Hh\0P15\0Lnope";
        let complaint = complaint(body);
        assert_eq!(complaint.sqlstate, Some(SqlState::new("42P01")));
        assert_eq!(complaint.message.as_deref(), Some("no such table"));
        assert_eq!((complaint.position, complaint.fatal), (Some(15), false));
    }

    #[test]
    fn rows_come_from_the_tag() {
        assert_eq!(rows_of("INSERT 0 3"), Some(3));
        assert_eq!(rows_of("SELECT 12"), Some(12));
        assert_eq!((rows_of("CREATE TABLE"), rows_of("BEGIN")), (None, None));
    }
}
