//! Why a dump could not be restored, and what is found out before any of it is.

use std::path::PathBuf;

use super::{called, has_secret};
use crate::dump::{Item, ItemKind, PlainDump};
use crate::identifiers::SqlState;
use crate::postgres::QueryFailure;

/// Why a dump could not be restored. All of them are exit 4.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A statement failed.
    #[error("{}:{line}: {sqlstate}: {message}", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// The line of the error, else of the statement, from 1. Of an archive it is the line of what
        /// `pg_restore` makes of it.
        line: usize,
        /// The server's code.
        sqlstate: SqlState,
        /// The server's message.
        message: String,
        /// The server's detail.
        detail: Option<String>,
        /// The server's hint.
        hint: Option<String>,
        /// The statement's first line.
        statement: String,
    },
    /// A backslash command that has no meaning here.
    #[error("{}:{line}: the psql command {command} is not understood in a dump", path.display())]
    Command {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// The command.
        command: String,
    },
    /// `COPY … PROGRAM`.
    #[error("{}:{line}: COPY … PROGRAM would run a program on the server", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// A `\gset` whose query did not give one row.
    #[error("{}:{line}: \\gset takes the values of one row, and the query gave {rows}", path.display())]
    NotOneRow {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// How many there are.
        rows: usize,
    },
    /// The file ends in the middle of something.
    #[error("{}:{line}: {what}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The line on which it begins, or the last one.
        line: usize,
        /// What is not closed, in a sentence.
        what: String,
    },
    /// The dump has rows, which nobody allowed.
    #[error("{}{}: the dump has rows in it, such as those of {table}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Rows {
        /// The file.
        path: PathBuf,
        /// The line of the first ones, where there are lines.
        line: Option<usize>,
        /// Whose rows the first ones are.
        table: String,
    },
}

/// What `pg_dump` and `pg_dumpall` write first and last.
const FRAMES: [(&str, &str); 2] = [
    ("-- PostgreSQL database dump", "-- PostgreSQL database dump complete"),
    ("-- PostgreSQL database cluster dump", "-- PostgreSQL database cluster dump complete"),
];

/// Lines in which `pg_dump` says that it wrote them.
const TOP: usize = 20;

/// Whether `pg_dump` wrote a text, rather than a person.
pub(super) fn is_dumped(text: &str) -> bool {
    let says = |line: &str| {
        line.starts_with("-- Dumped by pg_dump") || line == "-- PostgreSQL database cluster dump"
    };
    text.lines().take(TOP).any(says)
}

/// Finds a dump that has lost its end, where it can still be told: `pg_dump` says when it is done.
pub(super) fn complete(dump: &PlainDump) -> Result<(), RestoreError> {
    if !is_dumped(&dump.text) {
        return Ok(());
    }
    let first = |line: &str| FRAMES.iter().find(|(first, _)| line == *first);
    match dump.text.lines().take(TOP).find_map(first) {
        Some((_, last)) if !dump.text.lines().rev().any(|line| line == *last) => {
            Err(RestoreError::Truncated {
                path: dump.path.clone(),
                line: dump.text.lines().count(),
                what: format!("the dump ends here, without the line '{last}' that every dump ends with"),
            })
        }
        _ => Ok(()),
    }
}

/// Finds rows in what `pg_dump` wrote. Those of a file that a person wrote were put there on purpose.
pub(super) fn without_rows(dump: &PlainDump, items: &[Item<'_>]) -> Result<(), RestoreError> {
    if !is_dumped(&dump.text) {
        return Ok(());
    }
    let has_rows = |item: &&Item<'_>| match item.kind {
        ItemKind::Copy(data) => !data.is_empty(),
        ItemKind::Statement => is_insert(item.text),
        ItemKind::Command | ItemKind::Inside { .. } => false,
    };
    match items.iter().find(has_rows) {
        Some(item) => Err(RestoreError::Rows {
            path: dump.path.clone(),
            line: dump.is_file.then_some(item.line),
            table: table_of(item.text),
        }),
        None => Ok(()),
    }
}

/// Whether a statement inserts rows, as `pg_dump --inserts` writes them.
pub(super) fn is_insert(statement: &str) -> bool {
    statement.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("insert into "))
}

/// The table of a `COPY` or `INSERT INTO`.
pub(super) fn table_of(statement: &str) -> String {
    let passed = if is_insert(statement) { 2 } else { 1 };
    statement.split_ascii_whitespace().nth(passed).unwrap_or_default().to_owned()
}

/// The error of a statement that failed; without one, of the dump as a whole.
pub(super) fn statement_error(
    dump: &PlainDump,
    item: Option<&Item<'_>>,
    failure: QueryFailure,
) -> RestoreError {
    let before = failure.position.and_then(|position| {
        let characters = usize::try_from(position).ok()?.saturating_sub(1);
        Some(item?.text.chars().take(characters).filter(|c| *c == '\n').count())
    });
    let (path, line) = dump.place(item.map_or(1, |item| item.line));
    RestoreError::Statement {
        path,
        line: line + before.unwrap_or_default(),
        sqlstate: failure.sqlstate,
        message: failure.message,
        detail: failure.detail.filter(|_| !item.is_some_and(|item| has_secret(item.text))),
        hint: failure.hint,
        statement: item.map_or_else(String::new, called),
    }
}
