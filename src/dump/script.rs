//! Cuts a psql script into statements, backslash commands and `COPY` data, each with its line.
//!
//! The rules are those of psql's lexer (PostgreSQL's `psqlscan.l`): quotes, escape strings, dollar
//! quotes, nested comments, parentheses, and `BEGIN ATOMIC … END` bodies keep a semicolon from ending
//! a statement.

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
}

/// Cuts a whole script.
///
/// # Errors
/// When a quote, a comment or `COPY` data does not end.
pub fn split(text: &str) -> Result<Vec<Item<'_>>, ScriptError> {
    let mut cutter = Cutter { text, at: 0, line: 1 };
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
            let end = cutter.pass_statement()?;
            let statement = cutter.text.get(start..end).unwrap_or_default().trim_end();
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
    let mut words = statement.split_ascii_whitespace();
    if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("copy")) {
        return false;
    }
    let words: Vec<_> = words.collect();
    words.windows(2).any(|pair| {
        matches!(pair, [from, stdin] if from.eq_ignore_ascii_case("from")
            && stdin.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("stdin")))
    })
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

    /// Passes white space and comments.
    fn skip_blank(&mut self) -> Result<(), ScriptError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if byte.is_ascii_whitespace() => self.advance(1),
                (Some(b'-'), Some(b'-')) => self.pass_line(),
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
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
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

    /// Passes one statement and its semicolon; returns where its text ends.
    fn pass_statement(&mut self) -> Result<usize, ScriptError> {
        let mut parentheses = 0_usize;
        // psql counts BEGIN … END only inside CREATE [OR REPLACE] {FUNCTION|PROCEDURE}.
        let mut first_words: Vec<String> = Vec::new();
        let mut atomic_depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\'' => self.quoted(b'\'', false, "a quoted text")?,
                b'"' => self.quoted(b'"', false, "a quoted identifier")?,
                b'-' if self.peek(1) == Some(b'-') => self.pass_line(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment()?,
                b'$' => {
                    if !self.dollar_quoted()? {
                        self.advance(1);
                    }
                }
                b'(' | b'[' => {
                    parentheses += 1;
                    self.advance(1);
                }
                b')' | b']' => {
                    parentheses = parentheses.saturating_sub(1);
                    self.advance(1);
                }
                b';' if parentheses == 0 && atomic_depth == 0 => {
                    let end = self.at;
                    self.advance(1);
                    return Ok(end);
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
        Ok(self.at)
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
    fn what_never_ends_is_named_with_its_line() {
        assert_eq!(
            split("SELECT 1;\nSELECT 'abc").unwrap_err(),
            ScriptError { line: 2, what: "a quoted text" }
        );
        assert_eq!(split("/* a").unwrap_err().what, "a comment");
    }
}
