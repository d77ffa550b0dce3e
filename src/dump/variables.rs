//! psql's variables: where a script has `:name`, `:'name'`, `:"name"` or `:{?name}`.

use std::collections::BTreeMap;

use super::tokens::{TokenKind, tokens};

/// Variables with their values.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a variable, or unsets it where there is no value.
    pub fn set(&mut self, name: impl Into<String>, value: Option<String>) {
        match value {
            Some(value) => drop(self.0.insert(name.into(), value)),
            None => drop(self.0.remove(&name.into())),
        }
    }

    /// The arguments of a command, unquoted and with variables in them; none where the variables come to more than
    /// `most` bytes.
    pub(super) fn words(&self, text: &str, most: usize) -> Option<Vec<String>> {
        let (mut words, mut word) = (Vec::new(), None::<String>);
        let mut left = most;
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
                left = left.checked_sub(value.len())?;
                word.get_or_insert_default().push_str(&value);
                length = used;
            } else {
                word.get_or_insert_default().push(c);
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        words.extend(word);
        Some(words)
    }

    /// The value of `:name`, `:'name'`, `:"name"` or `:{?name}` at the beginning of a text, and how long that is.
    fn variable(&self, text: &str) -> Option<(String, usize)> {
        let after = text.strip_prefix(':')?;
        if let Some(asked) = after.strip_prefix("{?") {
            let end = asked.find('}')?;
            let there = self.0.contains_key(asked.get(..end)?);
            return Some((if there { "TRUE" } else { "FALSE" }.to_owned(), end + 4));
        }
        let quote = after.chars().next().filter(|c| *c == '\'' || *c == '"');
        let start = usize::from(quote.is_some());
        let name = after.get(start..)?;
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        let value = self.0.get(name.get(..end)?)?;
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
    pub fn substituted(&self, statement: &str) -> String {
        // It has room for all that there can be.
        self.substituted_within(statement, usize::MAX).unwrap_or_default()
    }

    /// The same; none where the variables come to more than `most` bytes.
    pub(super) fn substituted_within(&self, statement: &str, most: usize) -> Option<String> {
        if self.0.is_empty() || !statement.contains(':') {
            return Some(statement.to_owned());
        }
        let mut left = most;
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
            left = left.checked_sub(value.len())?;
            made.push_str(statement.get(at..token.range.start).unwrap_or_default());
            made.push_str(&value);
            at = token.range.start + length;
        }
        made.push_str(statement.get(at..).unwrap_or_default());
        Some(made)
    }
}
