//! What psql does with a file before a server sees any of it: variables, conditions, and files that it includes.
//!
//! Schema files that people write have `\set`, `\i` and `\if` in them. All of that is done when the file is read, so
//! that what is restored, and what a kept clone goes by, is the text that comes of it. Commands that are nothing but
//! output are left out later, and those that run a program are refused there.

use std::path::{Path, PathBuf};

use super::file::MOST;
use super::script::{Item, ItemKind, split};
use super::tokens::tokens;
use super::variables::Variables;

/// Files may include each other so deep.
const DEPTH: usize = 16;
/// How many files may be included in all: each may include many, which include many.
const FILES: usize = 10_000;
/// Bytes that the value of a variable may have, and those that all variables may come to: a few lines that double one
/// would never end.
const VALUE: usize = 64 << 10;
const VALUES: usize = 64 << 20;
/// What a text has in it that has to be looked at.
const SIGNS: [&str; 5] = ["\\set", "\\unset", "\\i", "\\el", "\\copy"];

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
    /// Whether nothing of it comes from another file than `path`.
    pub fn are_only(&self, path: &Path) -> bool {
        self.0.iter().all(|source| source.path == path)
    }

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
    let commands =
        items.iter().filter(|item| matches!(item.kind, ItemKind::Command | ItemKind::Inside { .. }));
    if !commands.into_iter().any(|item| SIGNS.iter().any(|sign| item.text.starts_with(sign))) {
        return Ok(None);
    }
    let base = full.parent().unwrap_or(Path::new("")).to_owned();
    let mut expansion = Expansion { base, ..Expansion::new(read) };
    // What `pg_dump` says of itself stands in comments at the top.
    let top: Vec<&str> = text.lines().take_while(|line| line.starts_with("--") || line.is_empty()).collect();
    if !top.is_empty() {
        expansion.put(path, 1, &top.join("\n"))?;
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
    variables: Variables,
    /// Whether the server is asked for some variable, which is not known before.
    asked: bool,
    /// How many files may still be included, and bytes of variables put in.
    files: usize,
    values: usize,
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
            variables: Variables::default(),
            asked: false,
            files: FILES,
            values: VALUES,
        }
    }

    fn put(&mut self, path: &Path, first: usize, text: &str) -> Result<(), Unread> {
        if (self.text.len() + text.len()) as u64 > MOST {
            return Err(endless(path, "what it includes is too much"));
        }
        self.sources.push(Source { line: self.line, path: path.to_owned(), first });
        self.text.push_str(text);
        self.text.push('\n');
        self.line += text.matches('\n').count() + 1;
        Ok(())
    }

    /// A statement with the values of variables in it.
    fn substituted(&mut self, path: &Path, statement: &str) -> Result<String, Unread> {
        let made = self.variables.substituted_within(statement, self.values);
        let made = made.ok_or_else(|| endless(path, "its variables come to too much"))?;
        self.values = self.values.saturating_sub(made.len().saturating_sub(statement.len()));
        Ok(made)
    }

    fn file(&mut self, text: &str, full: &Path, path: &Path, depth: usize) -> Result<(), Unread> {
        let items = match split(text) {
            Ok(items) => items,
            Err(_) => {
                // It is refused where it is restored, with its line.
                return self.put(path, 1, text);
            }
        };
        let mut conditions: Vec<Condition> = Vec::new();
        for item in items {
            let active = conditions.last().is_none_or(|condition| condition.taken);
            let (name, rest) = item.text.split_once(char::is_whitespace).unwrap_or((item.text, ""));
            match item.kind {
                // What only the server knows cannot decide what is read.
                ItemKind::Command if active && self.hangs_on_server(name, rest) => {
                    return self.put(path, item.line, item.text);
                }
                ItemKind::Command if self.condition(name, rest, &mut conditions) => {}
                _ if !active => {}
                ItemKind::Command => match name {
                    "\\q" | "\\quit" if depth > 0 => return Ok(()),
                    "\\set" | "\\unset" if rest.contains('`') => self.put(path, item.line, item.text)?,
                    "\\set" => self.set(path, rest)?,
                    "\\unset" => {
                        self.variables.set(rest.trim(), None);
                    }
                    "\\i" | "\\include" | "\\ir" | "\\include_relative" => {
                        let named = self.words(path, rest)?.concat();
                        let from = if name.starts_with("\\ir") || name.ends_with("relative") {
                            full.parent().unwrap_or(Path::new("")).to_owned()
                        } else {
                            self.base.clone()
                        };
                        self.include(&from.join(&named), Path::new(&named), depth)?;
                    }
                    "\\copy" => self.copy(rest, path, &item)?,
                    _ => self.put(path, item.line, item.text)?,
                },
                ItemKind::Inside { command, .. } => {
                    let statement = self.substituted(path, item.text)?;
                    self.asked |= command.starts_with("\\gset");
                    self.put(path, item.line, &format!("{statement} {command}"))?;
                }
                ItemKind::Statement => {
                    let statement = self.substituted(path, item.text)?;
                    self.put(path, item.line, &format!("{statement};"))?;
                }
                ItemKind::Copy(data) => {
                    let statement = self.substituted(path, item.text)?;
                    self.put(path, item.line, &format!("{statement};\n{data}\\."))?;
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, full: &Path, path: &Path, depth: usize) -> Result<(), Unread> {
        let failed = |source| Unread { path: path.to_owned(), source };
        if depth >= DEPTH || self.files == 0 {
            return Err(endless(path, "the files include each other without end"));
        }
        self.files -= 1;
        let text = (self.read)(full).map_err(failed)?;
        self.file(&text, full, path, depth + 1)
    }

    /// `\copy table FROM 'file'`, as a `COPY` with the data of the file; any other one stays as it is, and is refused
    /// later.
    fn copy(&mut self, rest: &str, path: &Path, item: &Item<'_>) -> Result<(), Unread> {
        let Some((statement, file)) = copied_file(rest) else {
            return self.put(path, item.line, item.text);
        };
        let failed = |source| Unread { path: PathBuf::from(&file), source };
        let data = (self.read)(&self.base.join(&file)).map_err(failed)?;
        let end = if data.is_empty() || data.ends_with('\n') { "" } else { "\n" };
        self.put(path, item.line, &format!("{statement};\n{data}{end}\\."))
    }

    /// `\if` and its kin; `false` for any other command.
    fn condition(&self, name: &str, rest: &str, conditions: &mut Vec<Condition>) -> bool {
        let holds = || truth(&self.variables.words(rest, VALUE).unwrap_or_default().concat());
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

    /// Whether a command has a variable in it that only the server can give.
    fn hangs_on_server(&self, name: &str, rest: &str) -> bool {
        let reads = ["\\set", "\\if", "\\elif", "\\i", "\\ir", "\\include", "\\include_relative"];
        let unknown = |word: &String| word.starts_with(':') || word.starts_with("FALSE");
        self.asked
            && reads.contains(&name)
            && rest.contains(':')
            && self.variables.words(rest, VALUE).unwrap_or_default().iter().any(unknown)
    }

    fn set(&mut self, path: &Path, rest: &str) -> Result<(), Unread> {
        let words = self.words(path, rest)?;
        if let Some((name, value)) = words.split_first() {
            let value = value.concat();
            let left = self.values.checked_sub(value.len());
            self.values = left.ok_or_else(|| endless(path, "its variables come to too much"))?;
            self.variables.set(name.clone(), Some(value));
        }
        Ok(())
    }

    /// The arguments of a command.
    fn words(&self, path: &Path, rest: &str) -> Result<Vec<String>, Unread> {
        self.variables.words(rest, VALUE).ok_or_else(|| endless(path, "a variable comes to too much"))
    }
}

/// A few lines can come to more than there is room for.
fn endless(path: &Path, why: &str) -> Unread {
    Unread { path: path.to_owned(), source: std::io::Error::other(why.to_owned()) }
}

/// The `COPY` that a `\copy` of a file comes to, and the file; none of a program, of psql's own input, or of output.
fn copied_file(rest: &str) -> Option<(String, String)> {
    let tokens = tokens(rest);
    let from = tokens.iter().position(|token| token.is(rest, "from"))?;
    let source = tokens.get(from + 1)?;
    let named = source.of(rest);
    let file = match named.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')) {
        Some(inner) => (inner.replace("''", "'"), source.range.end),
        None => {
            let bare = rest.get(source.range.start..)?.split_whitespace().next()?;
            (bare.to_owned(), source.range.start + bare.len())
        }
    };
    let (file, end) = file;
    let other = ["stdin", "pstdin", "program"].iter().any(|word| named.eq_ignore_ascii_case(word));
    let options = rest.get(end..)?.trim_end().trim_end_matches(';');
    if other || options.to_ascii_lowercase().contains("binary") {
        return None;
    }
    Some((format!("COPY {} FROM STDIN{options}", rest.get(..tokens.get(from)?.range.start)?.trim()), file))
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
    fn variables_and_files_that_grow_without_end_are_refused() {
        let read = |_: &Path| Ok("\\ir a.sql\n".repeat(10));
        let refused = |text: &str| {
            let made = expand(text, Path::new("/d/a.sql"), Path::new("a.sql"), &read);
            made.err().unwrap().source.to_string()
        };
        let doubled = format!("\\set v 0123456789\n{}SELECT 1;", "\\set v :v:v\n".repeat(60));
        assert_eq!(refused(&doubled), "a variable comes to too much");
        let put_in = format!("\\set v {}\nSELECT {};", "x".repeat(60_000), ":v, ".repeat(2000));
        assert_eq!(refused(&put_in), "its variables come to too much");
        assert_eq!(refused("\\ir a.sql\n"), "the files include each other without end");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let unread = expand("\\i gone.sql", Path::new("/d/a.sql"), Path::new("a.sql"), &read);
        assert_eq!(unread.err().unwrap().path, Path::new("gone.sql"));
        assert!(expand("SELECT '\\set';", Path::new("a"), Path::new("a"), &read).ok().unwrap().is_none());
    }
}
