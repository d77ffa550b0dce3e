//! Which statement of a psql script each statement came from that the server was sent.
//!
//! psql leaves out comments, fills in variables, skips what `\if` excludes, and sends more than is written where
//! `\gexec`, `\copy` or `\d` is: so the two lists are aligned by their tokens.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::dump::{ItemKind, TokenKind, split, tokens};
use crate::secrets::masked_statement;

/// How many files a script may include.
const FILES: usize = 1000;
/// Bytes of a file that are read.
const MOST: u64 = 64 << 20;
/// How deep scripts may include each other.
const DEPTH: usize = 16;
/// Comparisons that an alignment may take; beyond them each statement is looked for from where the last one was found.
const COMPARISONS: usize = 4_000_000;

/// Where a statement is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file that the script includes, as the script names it; none: the script itself.
    pub file: Option<String>,
    /// The line on which it begins, from 1.
    pub line: u32,
    /// Its text as written, with secrets masked as in what was sent. Of a statement that `\gexec` ran, the query that generated it.
    pub sql: String,
}

/// A statement, or a command that makes psql send some, as the script has it.
struct Written {
    origin: Origin,
    pattern: Vec<Part>,
    /// Whether what it returns is sent as statements.
    generates: bool,
}

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This token.
    Token(String),
    /// What a variable stands for.
    Anything,
}

/// For each statement that was sent, where it is written; none where it is written nowhere.
pub fn origins(script: &Path, sent: &[&str]) -> Vec<Option<Origin>> {
    let mut written = Vec::new();
    let base = script.parent().unwrap_or(Path::new(""));
    let mut left = FILES;
    read(script, base, None, DEPTH, &mut left, &mut written);
    let seen: Vec<Vec<String>> = sent.iter().map(|text| plain_tokens(text)).collect();
    let places = aligned(&written, &seen);
    let mut origins = Vec::new();
    let mut generator: Option<&Written> = None;
    for place in places {
        match place.and_then(|at| written.get(at)) {
            Some(found) => {
                origins.push(Some(found.origin.clone()));
                generator = found.generates.then_some(found);
            }
            None => origins.push(generator.map(|generator| generator.origin.clone())),
        }
    }
    origins
}

/// A script that cannot be read or cut has no origins, which is no reason to fail: psql has run it as it is. `base`
/// is the directory in which psql runs, `left` how many files may still be read: two that include each other would be
/// read without end.
fn read(
    path: &Path,
    base: &Path,
    file: Option<&str>,
    depth: usize,
    left: &mut usize,
    written: &mut Vec<Written>,
) {
    let Some(fewer) = left.checked_sub(1) else { return };
    *left = fewer;
    let Some(text) = text_of(path) else { return };
    let Ok(items) = split(&text) else { return };
    let directory = path.parent().unwrap_or(Path::new(""));
    for item in items {
        let origin = |sql: &str, line: usize| Origin {
            file: file.map(str::to_owned),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            sql: masked_statement(sql).into_owned(),
        };
        match item.kind {
            ItemKind::Statement | ItemKind::Copy(_) => written.push(Written {
                origin: origin(item.text, item.line),
                pattern: pattern(&masked_statement(item.text)),
                generates: false,
            }),
            ItemKind::Inside { command, .. } => written.push(Written {
                origin: origin(item.text, item.line),
                pattern: pattern(&masked_statement(item.text)),
                generates: command.starts_with("\\gexec"),
            }),
            ItemKind::Command => {
                let mut words = item.text.split_ascii_whitespace();
                match (words.next(), words.next()) {
                    (Some("\\copy"), Some(_)) => written.push(Written {
                        origin: origin(item.text, item.line),
                        pattern: copy_pattern(item.text),
                        generates: false,
                    }),
                    _ if depth > 0 => {
                        if let Some((path, name)) = included(item.text, directory, base) {
                            read(&path, base, Some(name), depth - 1, left, written);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The file that a command includes, and how it names it. `directory` is that of the file in which it is.
fn included<'a>(command: &'a str, directory: &Path, base: &Path) -> Option<(PathBuf, &'a str)> {
    let mut words = command.split_ascii_whitespace();
    let (word, name) = (words.next()?, words.next()?.trim_matches('\''));
    let from = match word {
        "\\i" | "\\include" => base,
        "\\ir" | "\\include_relative" => directory,
        _ => return None,
    };
    Some((from.join(name), name))
}

/// What is in a file, if it is one: what has no end, or waits for somebody who writes, may be included as well.
fn text_of(path: &Path) -> Option<String> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A script and the files that it includes, as far as they can be read.
pub fn files_of(script: &Path) -> Vec<PathBuf> {
    let base = script.parent().unwrap_or(Path::new(""));
    let mut files = vec![script.to_owned()];
    let mut at = 0;
    while let Some(path) = files.get(at).cloned() {
        at += 1;
        let text = text_of(&path).unwrap_or_default();
        let directory = path.parent().unwrap_or(Path::new(""));
        for item in split(&text).unwrap_or_default() {
            let found = Some(item.text).filter(|_| matches!(item.kind, ItemKind::Command));
            if let Some((path, _)) = found.and_then(|text| included(text, directory, base))
                && files.len() < FILES
                && !files.contains(&path)
            {
                files.push(path);
            }
        }
    }
    files
}

/// The tokens of a statement without comments and without the semicolons that end it.
fn plain_tokens(sql: &str) -> Vec<String> {
    let mut plain: Vec<String> = tokens(sql)
        .iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .map(|token| token.of(sql).to_owned())
        .collect();
    while plain.last().is_some_and(|last| last == ";") {
        plain.pop();
    }
    plain
}

/// The tokens of a statement as written, with variables (`:name`, `:'name'`, `:"name"`, `:{?name}`) as what they
/// may stand for.
fn pattern(sql: &str) -> Vec<Part> {
    let all: Vec<_> = tokens(sql).into_iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(token) = all.get(at) {
        let next = all.get(at + 1);
        let joined = next.is_some_and(|next| next.range.start == token.range.end);
        let before_is_colon = at
            .checked_sub(1)
            .and_then(|before| all.get(before))
            .is_some_and(|before| before.is_sign(sql, ":") && before.range.end == token.range.start);
        let names = next
            .is_some_and(|next| matches!(next.kind, TokenKind::Word | TokenKind::Text | TokenKind::Quoted));
        if token.is_sign(sql, ":") && joined && names && !before_is_colon {
            parts.push(Part::Anything);
            at += 2;
        } else {
            parts.push(Part::Token(token.of(sql).to_owned()));
            at += 1;
        }
    }
    while parts.last() == Some(&Part::Token(";".to_owned())) {
        parts.pop();
    }
    parts
}

/// `\copy t FROM 'file' …` is sent as `COPY t FROM STDIN …`.
fn copy_pattern(command: &str) -> Vec<Part> {
    let rest = command.trim_start_matches("\\copy");
    let what = tokens(rest);
    let direction = what.iter().position(|token| token.is(rest, "from") || token.is(rest, "to"));
    let mut parts = vec![Part::Token("COPY".to_owned())];
    for token in what.iter().take(direction.unwrap_or_default()) {
        parts.push(Part::Token(token.of(rest).to_owned()));
    }
    parts.push(Part::Anything);
    parts
}

/// Whether two texts are the same statement but for comments, white space and the semicolon.
pub fn same(written: &str, sent: &str) -> bool {
    plain_tokens(written) == plain_tokens(sent)
}

/// The longest common subsequence of what is written and what was sent: for each that was sent, its place.
fn aligned(written: &[Written], sent: &[Vec<String>]) -> Vec<Option<usize>> {
    if written.len().saturating_mul(sent.len()) > COMPARISONS {
        return one_after_the_other(written, sent);
    }
    let columns = sent.len() + 1;
    let mut longest = vec![0_u32; (written.len() + 1) * columns];
    let at = |row: usize, column: usize| row * columns + column;
    let get = |longest: &[u32], row, column| longest.get(at(row, column)).copied().unwrap_or_default();
    for (row, wanted) in written.iter().enumerate().rev() {
        for (column, tokens) in sent.iter().enumerate().rev() {
            let best = if matches(&wanted.pattern, tokens) {
                get(&longest, row + 1, column + 1) + 1
            } else {
                get(&longest, row + 1, column).max(get(&longest, row, column + 1))
            };
            if let Some(cell) = longest.get_mut(at(row, column)) {
                *cell = best;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut places = vec![None; sent.len()];
    while let (Some(wanted), Some(tokens)) = (written.get(row), sent.get(column)) {
        if matches(&wanted.pattern, tokens) {
            if let Some(place) = places.get_mut(column) {
                *place = Some(row);
            }
            (row, column) = (row + 1, column + 1);
        } else if get(&longest, row + 1, column) >= get(&longest, row, column + 1) {
            row += 1;
        } else {
            column += 1;
        }
    }
    places
}

fn one_after_the_other(written: &[Written], sent: &[Vec<String>]) -> Vec<Option<usize>> {
    /// How far ahead a statement is looked for.
    const AHEAD: usize = 100;
    let mut next = 0;
    sent.iter()
        .map(|tokens| {
            let ahead = written.iter().enumerate().skip(next).take(AHEAD);
            let found = ahead.into_iter().find(|(_, wanted)| matches(&wanted.pattern, tokens));
            found.map(|(at, _)| {
                next = at + 1;
                at
            })
        })
        .collect()
}

/// Whether tokens are what a pattern asks for. What a variable stands for may be several tokens. Statements have
/// tokens by the hundred thousand: it takes a step back no farther than to the last variable.
fn matches(pattern: &[Part], tokens: &[String]) -> bool {
    let is = |part: &Part, token: &String| match part {
        Part::Token(wanted) => {
            wanted == token || (wanted.eq_ignore_ascii_case("copy") && token.eq_ignore_ascii_case("copy"))
        }
        Part::Anything => false,
    };
    let (mut part, mut token) = (0, 0);
    // Behind the last variable, and from where on what follows it is looked for.
    let mut back = None;
    loop {
        match (pattern.get(part), tokens.get(token)) {
            (None, None) => return true,
            (Some(Part::Anything), _) => {
                part += 1;
                back = Some((part, token));
            }
            (Some(wanted), Some(found)) if is(wanted, found) => {
                part += 1;
                token += 1;
            }
            // The variable stands for one token more.
            _ => match back.filter(|(_, from)| *from < tokens.len()) {
                Some((behind, from)) => {
                    (part, token) = (behind, from + 1);
                    back = Some((behind, from + 1));
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(script: &str, sent: &[&str]) -> Vec<Option<u32>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
        origins(file.path(), sent).into_iter().map(|origin| origin.map(|origin| origin.line)).collect()
    }

    #[test]
    fn statements_are_found_on_their_lines() {
        let script = "-- a comment\nREVOKE ALL ON t\n  FROM x;\n\nSELECT 1; SELECT 2;\n";
        assert_eq!(
            lines(script, &["REVOKE ALL ON t\n  FROM x;", "SELECT 1;", "SELECT 2;"]),
            [Some(2), Some(5), Some(5)]
        );
    }

    #[test]
    fn comments_within_are_left_out_by_psql() {
        assert_eq!(lines("SELECT 1 -- one\n+ 2;\n", &["SELECT 1 \n+ 2;"]), [Some(1)]);
    }

    #[test]
    fn what_gexec_ran_is_the_querys() {
        let script =
            "SELECT 1;\n-- all of them\nSELECT format('DROP TABLE %I', t)\nFROM tables\n\\gexec\nSELECT 2;\n";
        let sent = [
            "SELECT 1;",
            "SELECT format('DROP TABLE %I', t)\nFROM tables",
            "DROP TABLE a",
            "DROP TABLE b",
            "SELECT 2;",
        ];
        assert_eq!(lines(script, &sent), [Some(1), Some(3), Some(3), Some(3), Some(6)]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
        let all = origins(file.path(), &sent);
        assert_eq!(all[2].as_ref().unwrap().sql, "SELECT format('DROP TABLE %I', t)\nFROM tables");
    }

    #[test]
    fn variables_and_casts_and_skipped_statements() {
        let script = "\\set role svc\nGRANT SELECT ON t TO :role;\n\\if false\nDROP TABLE t;\n\\endif\nSELECT '1'::int, :'name';\nSELECT 1;\n";
        assert_eq!(
            lines(script, &["GRANT SELECT ON t TO svc;", "SELECT '1'::int, 'x';", "SELECT 1;"]),
            [Some(2), Some(6), Some(7)]
        );
    }

    #[test]
    fn long_statements_and_many_variables_are_matched() {
        let long = format!("INSERT INTO t VALUES {};", ["(1, 2)"; 100_000].join(", "));
        assert_eq!(lines(&long, &[&long]), [Some(1)]);
        // Twenty variables, and one token that nothing fits.
        let script = format!("SELECT {}1 ;\n", ":a, ".repeat(20));
        let sent = format!("SELECT {}2", "b, ".repeat(200));
        assert_eq!(lines(&script, &[&sent]), [None]);
        assert_eq!(lines(&script, &[&sent.replace('2', "1")]), [Some(1)]);
    }

    #[test]
    fn files_that_include_each_other_have_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("a.sql");
        std::fs::write(&script, "\\ir a.sql\n".repeat(10) + "SELECT 1;\n").unwrap();
        assert_eq!(origins(&script, &["SELECT 1;"])[0].as_ref().unwrap().line, 11);
    }

    #[test]
    fn copies_are_found() {
        let script = "COPY t FROM stdin;\n1\n2\n\\.\n\\copy u (a, b) from 'x.csv' with csv\nSELECT 1;\n";
        assert_eq!(
            lines(script, &["COPY t FROM stdin;", "COPY  u (a, b) FROM STDIN with csv", "SELECT 1;"]),
            [Some(1), Some(5), Some(6)]
        );
    }

    #[test]
    fn what_is_written_nowhere_has_no_place() {
        assert_eq!(lines("SELECT 1;\n", &["SHOW x", "SELECT 1;", "SHOW y"]), [None, Some(1), None]);
    }
}
