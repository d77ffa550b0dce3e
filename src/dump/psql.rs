//! What psql does with a file before a server sees any of it: variables, conditions, and files that it includes.
//!
//! Schema files that people write have `\set`, `\i` and `\if` in them. All of that is done when the file is read, so
//! that what is restored, and what a kept clone goes by, is the text that comes of it. Commands that are nothing but
//! output are left out later, and those that run a program are refused there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::script::{ItemKind, split};
use super::tokens::{TokenKind, tokens};

/// Files may include each other so deep.
const DEPTH: usize = 16;
/// What a text has in it that has to be looked at.
const SIGNS: [&str; 4] = ["\\set", "\\unset", "\\i", "\\el"];

/// A text that is made of one file, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

/// Where a part of a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    /// The first line of the part.
    line: usize,
    path: PathBuf,
    /// The line of the file which that is.
    first: usize,
}

impl Sources {
    /// The file and the line which a line of the text is; `path` where the text is that file.
    pub fn place(&self, path: &Path, line: usize) -> (PathBuf, usize) {
        match self.0.iter().rev().find(|source| source.line <= line) {
            Some(source) => (source.path.clone(), source.first + line - source.line),
            None => (path.to_owned(), line),
        }
    }
}

/// A file that could not be included.
pub(super) struct Unread {
    pub(super) path: PathBuf,
    pub(super) source: std::io::Error,
}

/// Reads an included file as text.
type Read<'r> = &'r dyn Fn(&Path) -> Result<String, std::io::Error>;

/// Does all of it; none where there is nothing to do. `full` is where the file is, `path` what it is called.
pub(super) fn expand(
    text: &str,
    full: &Path,
    path: &Path,
    read: Read<'_>,
) -> Result<Option<(String, Sources)>, Unread> {
    if !SIGNS.iter().any(|sign| text.contains(sign)) {
        return Ok(None);
    }
    // A text that cannot be cut is refused later, with the place.
    let Ok(items) = split(text) else {
        return Ok(None);
    };
    let commands = items.iter().filter(|item| matches!(item.kind, ItemKind::Command | ItemKind::Inside));
    if !commands.into_iter().any(|item| SIGNS.iter().any(|sign| item.text.starts_with(sign))) {
        return Ok(None);
    }
    let base = full.parent().unwrap_or(Path::new("")).to_owned();
    let mut expansion = Expansion { base, ..Expansion::new(read) };
    // What `pg_dump` says of itself stands in comments at the top.
    let top: Vec<&str> = text.lines().take_while(|line| line.starts_with("--") || line.is_empty()).collect();
    if !top.is_empty() {
        expansion.put(path, 1, &top.join("\n"));
    }
    expansion.file(text, full, path, 0)?;
    Ok(Some((expansion.text, Sources(expansion.sources))))
}

struct Expansion<'r> {
    read: Read<'r>,
    /// Where `\i` looks.
    base: PathBuf,
    text: String,
    line: usize,
    sources: Vec<Source>,
    variables: BTreeMap<String, String>,
}

/// One `\if` that is open.
struct Condition {
    /// Whether the branch is taken, some branch was, and what is around it is.
    taken: bool,
    any: bool,
    outer: bool,
}

impl<'r> Expansion<'r> {
    fn new(read: Read<'r>) -> Self {
        Self {
            read,
            base: PathBuf::new(),
            text: String::new(),
            line: 1,
            sources: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    fn put(&mut self, path: &Path, first: usize, text: &str) {
        self.sources.push(Source { line: self.line, path: path.to_owned(), first });
        self.text.push_str(text);
        self.text.push('\n');
        self.line += text.matches('\n').count() + 1;
    }

    fn file(&mut self, text: &str, full: &Path, path: &Path, depth: usize) -> Result<(), Unread> {
        let items = match split(text) {
            Ok(items) => items,
            Err(_) => {
                // It is refused where it is restored, with its line.
                self.put(path, 1, text);
                return Ok(());
            }
        };
        let mut conditions: Vec<Condition> = Vec::new();
        for item in items {
            let active = conditions.last().is_none_or(|condition| condition.taken);
            let (name, rest) = item.text.split_once(char::is_whitespace).unwrap_or((item.text, ""));
            match item.kind {
                ItemKind::Command if self.condition(name, rest, &mut conditions) => {}
                _ if !active => {}
                ItemKind::Command => match name {
                    "\\q" | "\\quit" if depth > 0 => return Ok(()),
                    "\\set" | "\\unset" if rest.contains('`') => self.put(path, item.line, item.text),
                    "\\set" => self.set(rest),
                    "\\unset" => {
                        self.variables.remove(rest.trim());
                    }
                    "\\i" | "\\include" | "\\ir" | "\\include_relative" => {
                        let named = self.words(rest).concat();
                        let from = if name.starts_with("\\ir") || name.ends_with("relative") {
                            full.parent().unwrap_or(Path::new("")).to_owned()
                        } else {
                            self.base.clone()
                        };
                        self.include(&from.join(&named), Path::new(&named), depth)?;
                    }
                    _ => self.put(path, item.line, item.text),
                },
                ItemKind::Inside => self.put(path, item.line, item.text),
                ItemKind::Statement => {
                    let statement = self.substituted(item.text);
                    self.put(path, item.line, &format!("{statement};"));
                }
                ItemKind::Copy(data) => {
                    let statement = self.substituted(item.text);
                    self.put(path, item.line, &format!("{statement};\n{data}\\."));
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, full: &Path, path: &Path, depth: usize) -> Result<(), Unread> {
        let failed = |source| Unread { path: path.to_owned(), source };
        if depth >= DEPTH {
            return Err(failed(std::io::Error::other("the files include each other without end")));
        }
        let text = (self.read)(full).map_err(failed)?;
        self.file(&text, full, path, depth + 1)
    }

    /// `\if` and its kin; `false` for any other command.
    fn condition(&self, name: &str, rest: &str, conditions: &mut Vec<Condition>) -> bool {
        let holds = || truth(&self.words(rest).concat());
        match name {
            "\\if" => {
                let outer = conditions.last().is_none_or(|condition| condition.taken);
                let taken = outer && holds();
                conditions.push(Condition { taken, any: taken, outer });
            }
            "\\elif" => {
                if let Some(condition) = conditions.last_mut() {
                    condition.taken = condition.outer && !condition.any && holds();
                    condition.any |= condition.taken;
                }
            }
            "\\else" => {
                if let Some(condition) = conditions.last_mut() {
                    condition.taken = condition.outer && !condition.any;
                    condition.any = true;
                }
            }
            "\\endif" => drop(conditions.pop()),
            _ => return false,
        }
        true
    }

    fn set(&mut self, rest: &str) {
        let words = self.words(rest);
        if let Some((name, value)) = words.split_first() {
            self.variables.insert(name.clone(), value.concat());
        }
    }

    /// The arguments of a command, unquoted and with variables in them.
    fn words(&self, text: &str) -> Vec<String> {
        let (mut words, mut word) = (Vec::new(), None::<String>);
        let mut rest = text.trim_end_matches(';');
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            if c.is_whitespace() {
                words.extend(word.take());
            } else if c == '\'' || c == '"' {
                let inner = rest.get(1..).unwrap_or_default();
                let mut at = 0;
                while let Some(end) = inner.get(at..).and_then(|tail| tail.find(c)) {
                    at += end + 1;
                    if !inner.get(at..).is_some_and(|tail| tail.starts_with(c)) {
                        break;
                    }
                    at += 1;
                }
                let quoted = inner.get(..at.saturating_sub(1)).unwrap_or_default();
                word.get_or_insert_default().push_str(&quoted.replace(&format!("{c}{c}"), &c.to_string()));
                length += at.max(1).min(inner.len());
            } else if let Some((value, used)) = (c == ':').then(|| self.variable(rest)).flatten() {
                word.get_or_insert_default().push_str(&value);
                length = used;
            } else {
                word.get_or_insert_default().push(c);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        words.extend(word);
        words
    }

    /// The value of `:name`, `:'name'`, `:"name"` or `:{?name}` at the beginning of a text, and how long that is.
    fn variable(&self, text: &str) -> Option<(String, usize)> {
        let after = text.strip_prefix(':')?;
        if let Some(asked) = after.strip_prefix("{?") {
            let end = asked.find('}')?;
            let there = self.variables.contains_key(asked.get(..end)?);
            return Some((if there { "TRUE" } else { "FALSE" }.to_owned(), end + 4));
        }
        let quote = after.chars().next().filter(|c| *c == '\'' || *c == '"');
        let start = usize::from(quote.is_some());
        let name = after.get(start..)?;
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        let value = self.variables.get(name.get(..end)?)?;
        let Some(quote) = quote else {
            return Some((value.clone(), 1 + end));
        };
        name.get(end..)?.starts_with(quote).then_some(())?;
        let doubled = value.replace(quote, &format!("{quote}{quote}"));
        // As psql writes a text with a backslash in it, whatever standard_conforming_strings is.
        let escaped = quote == '\'' && value.contains('\\');
        let text = if escaped {
            format!(" E'{}'", doubled.replace('\\', "\\\\"))
        } else {
            format!("{quote}{doubled}{quote}")
        };
        Some((text, end + 3))
    }

    /// A statement with the values of variables in it, but for quotes and comments.
    fn substituted(&self, statement: &str) -> String {
        if self.variables.is_empty() || !statement.contains(':') {
            return statement.to_owned();
        }
        let mut made = String::with_capacity(statement.len());
        let mut at = 0;
        let mut colon_before = None;
        for token in tokens(statement) {
            if token.range.start < at || token.kind != TokenKind::Sign || token.of(statement) != ":" {
                continue;
            }
            // The second colon of a cast.
            let cast = colon_before == Some(token.range.start);
            colon_before = Some(token.range.end);
            if cast {
                continue;
            }
            let Some((value, length)) =
                statement.get(token.range.start..).and_then(|text| self.variable(text))
            else {
                continue;
            };
            made.push_str(statement.get(at..token.range.start).unwrap_or_default());
            made.push_str(&value);
            at = token.range.start + length;
        }
        made.push_str(statement.get(at..).unwrap_or_default());
        made
    }
}

/// A truth value as psql reads it: `on`, `off`, and the beginnings of `true`, `false`, `yes`, `no`; anything else is
/// none, which psql takes for false.
fn truth(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !text.is_empty()
        && (["true", "yes"].iter().any(|word| word.starts_with(&text)) || text == "on" || text == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> (String, Sources) {
        let read = |path: &Path| match path.to_str() {
            Some("/d/sub/b.sql") => Ok("\\ir c.sql\nSELECT 'b';\n\\q\nSELECT 'not this';\n".to_owned()),
            Some("/d/sub/c.sql") => Ok("SELECT\n :'v';\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        expand(text, Path::new("/d/a.sql"), Path::new("a.sql"), &read).ok().unwrap().unwrap()
    }

    #[test]
    fn variables_are_put_in_where_psql_puts_them() {
        let text = "\\set v 'it''s' x\n\\set n 7\nSELECT :'v', :\"n\", :n::int, a[1:2], ':n', $$:n$$, :unknown -- :n\n;\n\\unset n\nSELECT :n;";
        assert_eq!(
            expanded(text).0,
            "SELECT 'it''sx', \"7\", 7::int, a[1:2], ':n', $$:n$$, :unknown -- :n\n;\nSELECT :n;\n"
                .replace("-- :n\n;", "-- :n;")
        );
    }

    #[test]
    fn conditions_are_followed() {
        let text = "\\set yes on\n\\if :yes\nSELECT 1;\n\\if :{?no}\nSELECT 2;\n\\elif t\nSELECT 3;\n\\else\nSELECT 4;\n\\endif\n\\else\nSELECT 5;\n\\endif\nSELECT 6;";
        assert_eq!(expanded(text).0, "SELECT 1;\nSELECT 3;\nSELECT 6;\n");
    }

    #[test]
    fn included_files_keep_their_places() {
        let (text, sources) = expanded("\\set v w\n\\i sub/b.sql\nSELECT 'a';");
        assert_eq!(text, "SELECT\n 'w';\nSELECT 'b';\nSELECT 'a';\n");
        let place = |line| sources.place(Path::new("a.sql"), line);
        assert_eq!(place(2), ("c.sql".into(), 2));
        assert_eq!(place(3), ("sub/b.sql".into(), 2));
        assert_eq!(place(4), ("a.sql".into(), 3));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let unread = expand("\\i gone.sql", Path::new("/d/a.sql"), Path::new("a.sql"), &read);
        assert_eq!(unread.err().unwrap().path, Path::new("gone.sql"));
        assert!(expand("SELECT '\\set';", Path::new("a"), Path::new("a"), &read).ok().unwrap().is_none());
    }
}
