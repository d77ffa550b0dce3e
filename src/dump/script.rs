//! Cuts a psql script into statements, backslash commands and `COPY` data, each with its line.
//!
//! The rules are those of psql's lexer (PostgreSQL's `psqlscan.l`): quotes, escape strings, dollar
//! quotes, nested comments, parentheses, and `BEGIN ATOMIC … END` bodies keep a semicolon from ending
//! a statement. A backslash outside of quotes begins a command wherever it stands.

mod query;

pub use query::statements;

use super::tokens::{Token, tokens};

/// One piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// The line it begins on, from 1.
    pub line: usize,
    /// Its text, without the semicolon that ended it.
    pub text: &'a str,
    /// What it is.
    pub kind: ItemKind<'a>,
}

/// What an [`Item`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind<'a> {
    /// A statement for the server.
    Statement,
    /// A `COPY … FROM stdin` with the data that follows it.
    Copy(&'a str),
    /// A backslash command of psql.
    Command,
    /// A statement that a backslash command ends, such as `\gexec`.
    Inside {
        /// The command with its arguments.
        command: &'a str,
        /// Its line.
        line: usize,
    },
}

/// A script that ends in the middle of something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} begins here and never ends")]
pub struct ScriptError {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// What is not closed.
    pub what: &'static str,
}

struct Cutter<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// Whether a backslash escapes in every quoted text, as with `standard_conforming_strings` off (PostgreSQL
    /// manual, 19.13), which psql follows.
    escapes: bool,
    /// Whether the server's rules hold instead of psql's: it knows no backslash commands.
    server: bool,
}

/// Cuts a whole script.
///
/// # Errors
/// When a quote, a comment or `COPY` data does not end.
pub fn split(text: &str) -> Result<Vec<Item<'_>>, ScriptError> {
    let mut cutter = Cutter { text, at: 0, line: 1, escapes: false, server: false };
    let mut items = Vec::new();
    loop {
        cutter.skip_blank()?;
        let Some(byte) = cutter.peek(0) else {
            return Ok(items);
        };
        if byte == b'\\' {
            let (line, start) = (cutter.line, cutter.at);
            cutter.pass_line();
            items.push(Item { line, text: cutter.since(start).trim_end(), kind: ItemKind::Command });
        } else if byte == b';' {
            cutter.advance(1);
        } else {
            let (line, start) = (cutter.line, cutter.at);
            let Some(end) = cutter.pass_statement()? else {
                let text = cutter.since(start).trim_ascii_end();
                let (at, start) = (cutter.line, cutter.at);
                cutter.pass_line();
                let command = cutter.since(start).trim_end();
                items.push(Item { line, text, kind: ItemKind::Inside { command, line: at } });
                continue;
            };
            let statement = cutter.text.get(start..end).unwrap_or_default().trim_ascii_end();
            if let Some(escapes) = escapes_from_here(statement) {
                cutter.escapes = escapes;
            }
            let kind = if copies_from_stdin(statement) {
                ItemKind::Copy(cutter.copy_data(line)?)
            } else {
                ItemKind::Statement
            };
            items.push(Item { line, text: statement, kind });
        }
    }
}

fn copies_from_stdin(statement: &str) -> bool {
    if !statement.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
        return false;
    }
    let is = |token: &Token, keyword: &str| token.is(statement, keyword);
    tokens(statement)
        .windows(2)
        .any(|pair| matches!(pair, [from, stdin] if is(from, "from") && is(stdin, "stdin")))
}

/// What a statement says of backslashes in the quoted texts after it, if it is
/// `SET standard_conforming_strings`.
fn escapes_from_here(statement: &str) -> Option<bool> {
    // Nearly every statement is something else, which is seen without cutting it into tokens.
    if !statement.get(..4).is_some_and(|set| set.trim_ascii_end().eq_ignore_ascii_case("set")) {
        return None;
    }
    let tokens = tokens(statement);
    if !tokens.iter().any(|token| token.is(statement, "standard_conforming_strings")) {
        return None;
    }
    let value = tokens.last()?.of(statement).trim_matches('\'');
    Some(["off", "false", "no", "0"].iter().any(|off| value.eq_ignore_ascii_case(off)))
}

impl<'a> Cutter<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        let passed = self.text.as_bytes().get(self.at..end).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
    }

    fn pass_line(&mut self) {
        let length = self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
        self.advance(length);
    }

    /// Passes a comment of one line. A carriage return ends it too.
    fn line_comment(&mut self) {
        let length = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
        self.advance(length);
    }

    /// Passes white space and comments.
    fn skip_blank(&mut self) -> Result<(), ScriptError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if byte.is_ascii_whitespace() || byte == b'\x0B' => self.advance(1),
                (Some(b'-'), Some(b'-')) => self.line_comment(),
                (Some(b'/'), Some(b'*')) => self.block_comment()?,
                // A byte order mark, which psql passes over too.
                (Some(0xEF), _) if self.at == 0 && self.rest().starts_with('\u{feff}') => self.advance(3),
                _ => return Ok(()),
            }
        }
    }

    /// Comments nest (PostgreSQL manual, 4.1.5).
    fn block_comment(&mut self) -> Result<(), ScriptError> {
        let line = self.line;
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.advance(2);
                }
                (Some(b'*'), Some(b'/')) => {
                    depth = depth.saturating_sub(1);
                    self.advance(2);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.advance(1),
                (None, _) => {
                    return Err(ScriptError { line, what: "a comment" });
                }
            }
        }
    }

    /// Passes a quoted text that ends with `quote`; doubled quotes are two quoted texts in a row, which
    /// comes to the same.
    fn quoted(&mut self, quote: u8, escapes: bool, what: &'static str) -> Result<(), ScriptError> {
        let line = self.line;
        self.advance(1);
        loop {
            match self.peek(0) {
                Some(b'\\') if escapes => self.advance(2),
                Some(byte) => {
                    self.advance(1);
                    if byte == quote {
                        return Ok(());
                    }
                }
                None => return Err(ScriptError { line, what }),
            }
        }
    }

    /// Passes `$tag$ … $tag$` if one begins here.
    fn dollar_quoted(&mut self) -> Result<bool, ScriptError> {
        let rest = self.rest();
        let Some(length) = rest.get(1..).and_then(|tail| tail.find('$')) else {
            return Ok(false);
        };
        let Some(tag) = rest.get(..length + 2) else {
            return Ok(false);
        };
        let name = tag.trim_matches('$');
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        if !is_name {
            return Ok(false);
        }
        let line = self.line;
        match rest.get(tag.len()..).and_then(|body| body.find(tag)) {
            Some(body) => {
                self.advance(tag.len() + body + tag.len());
                Ok(true)
            }
            None => Err(ScriptError { line, what: "a dollar-quoted text" }),
        }
    }

    /// Passes one statement and its semicolon; returns where its text ends. None where a command stands in its
    /// midst, which is then next.
    fn pass_statement(&mut self) -> Result<Option<usize>, ScriptError> {
        let mut parentheses = 0_usize;
        // psql counts BEGIN … END only inside CREATE [OR REPLACE] {FUNCTION|PROCEDURE}.
        let mut first_words: Vec<String> = Vec::new();
        let mut atomic_depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\'' => self.quoted(b'\'', self.escapes, "a quoted text")?,
                b'"' => self.quoted(b'"', false, "a quoted identifier")?,
                b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
                b'\\' if !self.server => return Ok(None),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment()?,
                b'$' => {
                    if !self.dollar_quoted()? {
                        self.advance(1);
                    }
                }
                b'(' => {
                    parentheses += 1;
                    self.advance(1);
                }
                b')' => {
                    parentheses = parentheses.saturating_sub(1);
                    self.advance(1);
                }
                b';' if parentheses == 0 && atomic_depth == 0 => {
                    let end = self.at;
                    self.advance(1);
                    return Ok(Some(end));
                }
                _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                    let start = self.at;
                    while self
                        .peek(0)
                        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80)
                    {
                        self.advance(1);
                    }
                    let word = self.since(start).to_ascii_lowercase();
                    if word == "e" && self.peek(0) == Some(b'\'') {
                        self.quoted(b'\'', true, "a quoted text")?;
                        continue;
                    }
                    if parentheses == 0 && creates_routine(&first_words) {
                        match word.as_str() {
                            "begin" => atomic_depth += 1,
                            "case" if atomic_depth > 0 => atomic_depth += 1,
                            "end" => atomic_depth = atomic_depth.saturating_sub(1),
                            _ => {}
                        }
                    }
                    if first_words.len() < 4 {
                        first_words.push(word);
                    }
                }
                _ => self.advance(1),
            }
        }
        Ok(Some(self.at))
    }

    /// Takes the lines up to `\.`, right after the line of the statement.
    fn copy_data(&mut self, line: usize) -> Result<&'a str, ScriptError> {
        self.pass_line();
        let start = self.at;
        loop {
            if self.rest().is_empty() {
                return Err(ScriptError { line, what: "COPY data" });
            }
            let line_start = self.at;
            self.pass_line();
            if self.since(line_start).trim_end_matches(['\r', '\n']) == "\\." {
                return Ok(self.text.get(start..line_start).unwrap_or_default());
            }
        }
    }
}

fn creates_routine(first_words: &[String]) -> bool {
    let words: Vec<_> = first_words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<(usize, &str)> {
        split(script).unwrap().iter().map(|item| (item.line, item.text)).collect()
    }

    #[test]
    fn semicolons_inside_quotes_comments_and_bodies_end_nothing() {
        let script =
            "SELECT ';', \";\", E'\\';', $$;$$, $a$;$$;$a$; -- ;\n/* ; /* ; */ ; */\nSELECT (1;2);\n";
        assert_eq!(
            texts(script),
            [(1, "SELECT ';', \";\", E'\\';', $$;$$, $a$;$$;$a$"), (3, "SELECT (1;2)")]
        );
    }

    #[test]
    fn a_routine_with_an_atomic_body_is_one_statement() {
        let script = "CREATE FUNCTION f() RETURNS int\nBEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\n SELECT 2;\nEND;\nBEGIN;\nEND;";
        let lines: Vec<_> = texts(script).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 6, 7]);
    }

    #[test]
    fn commands_and_copy_data_are_told_apart() {
        let script =
            "\\restrict abc\nCOPY public.t (a, b) FROM stdin;\n1\tx;y\n\\.\n\n\\unrestrict abc\nSELECT 1";
        let items = split(script).unwrap();
        assert_eq!(items.len(), 4);
        assert_eq!(items[0].kind, ItemKind::Command);
        assert_eq!(items[1].kind, ItemKind::Copy("1\tx;y\n"));
        assert_eq!((items[3].line, items[3].text), (7, "SELECT 1"));
    }

    #[test]
    fn only_parentheses_comments_and_quotes_of_psql_count() {
        let script = "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);\nSELECT a[1;\nSELECT 1 */*;*/ 2 - -- ;\r;\n\
                      SELECT $→$;$→$, a$b$, U&'\\', \"a;\"\"b\nc\"";
        let lines: Vec<_> = texts(script).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn backslashes_escape_while_the_dump_says_so() {
        let script = "SELECT 'a\\';\nSET standard_conforming_strings = off;\nSELECT 'b\\';';\n\
                      SET standard_conforming_strings = on;\nSELECT 'c\\';";
        let lines: Vec<_> = texts(script).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_command_ends_a_statement_wherever_it_stands() {
        let items = split("SELECT 'x \\y',\n 2 \\gexec\nSELECT 1;").unwrap();
        let gexec = ItemKind::Inside { command: "\\gexec", line: 2 };
        assert_eq!((items[0].kind, items[0].line, items[0].text), (gexec, 1, "SELECT 'x \\y',\n 2"));
        assert_eq!(items[1].text, "SELECT 1");
    }

    #[test]
    fn windows_files_are_read() {
        let script = "\u{feff}-- dumped;\r\nCOPY t(a)FROM stdin;\r\n1\\.\r\n\\.\r\n\\connect a\r\nSELECT 1;";
        let items = split(script).unwrap();
        assert_eq!(items[0].kind, ItemKind::Copy("1\\.\r\n"));
        assert_eq!(items[1].text, "\\connect a");
        assert_eq!((items[2].line, items.len()), (6, 3));
    }

    #[test]
    fn what_never_ends_is_named_with_its_line() {
        assert_eq!(
            split("SELECT 1;\nSELECT 'abc").unwrap_err(),
            ScriptError { line: 2, what: "a quoted text" }
        );
        assert_eq!(split("/* a").unwrap_err().what, "a comment");
    }
}
