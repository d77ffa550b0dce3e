//! The words of one statement: enough to see which roles it names, never more.

use std::ops::Range;

use super::tokens::{Token, TokenKind, tokens};

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// An unquoted word, folded to lower case as PostgreSQL does in UTF8, which is ASCII's only (manual, 4.1.1).
    Bare(String),
    /// A quoted identifier, unquoted.
    Quoted(String),
    /// A string constant of any form, unquoted.
    Text(String),
    /// A numeric constant or a parameter.
    Number(String),
    /// Any other single character.
    Sign(char),
}

impl Word {
    /// The identifier that the word is, if it is one.
    pub fn identifier(&self) -> Option<&str> {
        match self {
            Self::Bare(name) | Self::Quoted(name) => Some(name),
            Self::Text(_) | Self::Number(_) | Self::Sign(_) => None,
        }
    }

    /// Whether it is this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Bare(word) if word == keyword)
    }
}

/// The words of a statement, in order; comments are passed over.
pub fn words(statement: &str) -> Vec<Word> {
    words_at(statement).into_iter().map(|(_, word)| word).collect()
}

/// The words of a statement with the bytes that each takes.
pub fn words_at(statement: &str) -> Vec<(Range<usize>, Word)> {
    let tokens = tokens(statement).into_iter();
    tokens.filter_map(|token| Some((token.range.clone(), word(&token, statement)?))).collect()
}

fn word(token: &Token, statement: &str) -> Option<Word> {
    let text = token.of(statement);
    Some(match token.kind {
        TokenKind::Word => Word::Bare(text.to_ascii_lowercase()),
        TokenKind::Quoted => Word::Quoted(within(text, '"').replace("\"\"", "\"")),
        TokenKind::Text if text.starts_with('$') => {
            let tag = text.get(1..).and_then(|rest| rest.find('$')).map_or(0, |at| at + 2);
            let end = text.len().saturating_sub(tag);
            Word::Text(text.get(tag..end).unwrap_or_default().to_owned())
        }
        TokenKind::Text => {
            let inner = within(text, '\'').replace("''", "'");
            Word::Text(if text.starts_with(['e', 'E']) { unescaped(&inner) } else { inner })
        }
        TokenKind::Number | TokenKind::Parameter => Word::Number(text.to_owned()),
        TokenKind::Comment => return None,
        TokenKind::Sign => Word::Sign(text.chars().next()?),
    })
}

/// What stands between the first and the last quote.
fn within(text: &str, quote: char) -> &str {
    let inner = text.split_once(quote).map_or("", |(_, inner)| inner);
    inner.strip_suffix(quote).unwrap_or(inner)
}

/// The escapes of C's kind that texts have (PostgreSQL manual, 4.1.2.2), but for those that name a character by its
/// number: nothing that is looked for here is written with them.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('n')) => '\n',
            (_, Some('t')) => '\t',
            (_, Some('r')) => '\r',
            (_, Some(other)) => other,
            (c, None) => c,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_place() {
        let statement = "ALTER DATABASE \"my \"\"app\" -- é\nSET x TO 'a''b'";
        let words = words_at(statement);
        let texts: Vec<_> = words.iter().map(|(range, _)| &statement[range.clone()]).collect();
        assert_eq!(texts, ["ALTER", "DATABASE", "\"my \"\"app\"", "SET", "x", "TO", "'a''b'"]);
        assert_eq!(words[2].1, Word::Quoted("my \"app".to_owned()));
        assert_eq!(words[6].1, Word::Text("a'b".to_owned()));
    }

    #[test]
    fn texts_of_every_form_are_unquoted() {
        let text = |text: &str| Word::Text(text.to_owned());
        let all = words("'a''b' E'c\\'d\\\\' $$e'f$$ $x$ $$ $x$ /* ' */ ÉA 100");
        let wanted = [
            text("a'b"),
            text("c'd\\"),
            text("e'f"),
            text(" $$ "),
            Word::Bare("Éa".to_owned()),
            Word::Number("100".to_owned()),
        ];
        assert_eq!(all, wanted);
    }
}
