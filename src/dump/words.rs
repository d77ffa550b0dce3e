//! The words of one statement: enough to see which roles it names, never more.

use std::ops::Range;

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// An unquoted word, folded to lower case as PostgreSQL does (manual, 4.1.1).
    Bare(String),
    /// A quoted identifier, unquoted.
    Quoted(String),
    /// A string constant, unquoted.
    Text(String),
    /// Any other single character.
    Sign(char),
}

impl Word {
    /// The identifier that the word is, if it is one.
    pub fn identifier(&self) -> Option<&str> {
        match self {
            Self::Bare(name) | Self::Quoted(name) => Some(name),
            Self::Text(_) | Self::Sign(_) => None,
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
    let mut words = Vec::new();
    let mut chars = statement.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let word = match c {
            '"' | '\'' => {
                let mut text = String::new();
                while let Some((_, inner)) = chars.next() {
                    if inner == c && chars.next_if(|(_, next)| *next == c).is_none() {
                        break;
                    }
                    text.push(inner);
                }
                if c == '"' { Word::Quoted(text) } else { Word::Text(text) }
            }
            '-' if chars.peek().is_some_and(|(_, next)| *next == '-') => {
                while chars.next_if(|(_, inner)| *inner != '\n').is_some() {}
                continue;
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word: String = c.to_lowercase().collect();
                let is_part = |inner: char| inner.is_alphanumeric() || inner == '_' || inner == '$';
                while let Some((_, inner)) = chars.next_if(|(_, inner)| is_part(*inner)) {
                    word.extend(inner.to_lowercase());
                }
                Word::Bare(word)
            }
            c if c.is_whitespace() => continue,
            c => Word::Sign(c),
        };
        let end = chars.peek().map_or(statement.len(), |(at, _)| *at);
        words.push((start..end, word));
    }
    words
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
}
