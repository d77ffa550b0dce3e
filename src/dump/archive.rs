//! The head of an archive that `pg_dump` wrote in custom, tar or directory format: enough to know where it came
//! from. What is in it is `pg_restore`'s business.
//!
//! The layout is that of `ReadHead` in PostgreSQL's `src/bin/pg_dump/pg_backup_archiver.c`, unchanged from
//! PostgreSQL 10 on but for the byte that names the compression.

use super::facts::{DumpFacts, major_of};
use crate::identifiers::DatabaseName;

/// What every head begins with.
pub(super) const MAGIC: &[u8] = b"PGDMP";
/// The file of a directory or tar archive that has the head.
pub(super) const TOC: &str = "toc.dat";
/// The length of a tar header, after which the file that it describes begins (POSIX, ustar).
const TAR_HEADER: usize = 512;

/// The head within the bytes of a custom or a tar archive; none where they are neither.
pub(super) fn head(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.starts_with(MAGIC) {
        return Some(bytes);
    }
    // pg_dump writes the table of contents first.
    let first = bytes.get(TAR_HEADER..)?;
    (bytes.starts_with(TOC.as_bytes()) && first.starts_with(MAGIC)).then_some(first)
}

/// Reads where an archive came from. Of a head of an unknown layout nothing is said.
pub(super) fn facts(head: &[u8]) -> DumpFacts {
    read(head).unwrap_or_default()
}

fn read(head: &[u8]) -> Option<DumpFacts> {
    let mut reader = Reader { rest: head.strip_prefix(MAGIC)?, int: 4 };
    let version = (reader.byte()?, reader.byte()?, reader.byte()?);
    reader.int = usize::from(reader.byte()?);
    let _offset_size = reader.byte()?;
    let _format = reader.byte()?;
    if version >= (1, 15, 0) {
        let _algorithm = reader.byte()?;
    } else {
        let _level = reader.integer()?;
    }
    // Seconds, minutes, hours, day, month, year, daylight saving time.
    for _ in 0..7 {
        let _time = reader.integer()?;
    }
    let database = reader.text()?;
    let server = reader.text()?;
    Some(DumpFacts { major: server.as_deref().and_then(major_of), database: database.map(DatabaseName::new) })
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes of an integer, without its sign.
    int: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A byte that says whether it is negative, then the least significant byte first.
    fn integer(&mut self) -> Option<i64> {
        let negative = self.byte()? != 0;
        let mut value = 0_i64;
        for at in 0..self.int {
            value |= i64::from(self.byte()?).checked_shl(u32::try_from(8 * at).ok()?)?;
        }
        if negative { value.checked_neg() } else { Some(value) }
    }

    /// A text; the inner none stands for NULL.
    fn text(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.integer()?) else {
            return Some(None);
        };
        let text = self.rest.get(..length)?;
        self.rest = self.rest.get(length..)?;
        Some(Some(String::from_utf8_lossy(text).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(version: [u8; 3], compression: &[u8]) -> Vec<u8> {
        let integer = |value: u32| [&[0][..], &value.to_le_bytes()].concat();
        let text = |text: &str| [integer(u32::try_from(text.len()).unwrap()), text.into()].concat();
        let mut bytes = [MAGIC, &version, &[4, 8, 1], compression].concat();
        for _ in 0..7 {
            bytes.extend(integer(1));
        }
        bytes.extend([text("shop"), text("16.4 (Debian 16.4-1)"), text("17.2")].concat());
        bytes
    }

    #[test]
    fn the_database_and_its_server_are_read() {
        let wanted = DumpFacts { major: Some(16), database: Some(DatabaseName::new("shop")) };
        let old = made([1, 14, 0], &[0, 255, 255, 255, 255]);
        assert_eq!(facts(&old), wanted);
        assert_eq!(facts(&made([1, 16, 0], &[1])), wanted);
        let tar = [&b"toc.dat"[..], &[0; 505], &old].concat();
        assert_eq!(head(&tar).map(facts), Some(wanted));
    }

    #[test]
    fn a_number_that_cannot_be_is_no_head() {
        let mut bytes = [MAGIC, &[1, 16, 0], &[8, 8, 1, 1]].concat();
        // The smallest number, negated.
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        bytes.extend([0; 100]);
        assert_eq!(facts(&bytes), DumpFacts::default());
    }

    #[test]
    fn of_a_head_that_ends_early_nothing_is_said() {
        let whole = made([1, 16, 0], &[1]);
        for length in 5..40 {
            assert_eq!(facts(&whole[..length]), DumpFacts::default());
        }
        assert!(head(b"SELECT 1").is_none());
    }
}
