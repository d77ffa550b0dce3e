//! The words of one statement: enough to see which roles it names, never more.

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
    let mut words = Vec::new();
    let mut chars = statement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' => {
                let mut text = String::new();
                while let Some(inner) = chars.next() {
                    if inner == c {
                        if chars.peek() == Some(&c) {
                            chars.next();
                        } else {
                            break;
                        }
                    }
                    text.push(inner);
                }
                words.push(if c == '"' { Word::Quoted(text) } else { Word::Text(text) });
            }
            '-' if chars.peek() == Some(&'-') => {
                for inner in chars.by_ref() {
                    if inner == '\n' {
                        break;
                    }
                }
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word: String = c.to_lowercase().collect();
                while let Some(inner) =
                    chars.next_if(|inner| inner.is_alphanumeric() || *inner == '_' || *inner == '$')
                {
                    word.extend(inner.to_lowercase());
                }
                words.push(Word::Bare(word));
            }
            c if c.is_whitespace() => {}
            c => words.push(Word::Sign(c)),
        }
    }
    words
}
