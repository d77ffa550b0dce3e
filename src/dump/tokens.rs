//! The tokens of SQL with their places, so that a text can be changed and everything else of it stays as it was.
//!
//! The rules are those of PostgreSQL's lexer (manual, 4.1) with `standard_conforming_strings` on, as dumps have it.

use std::ops::Range;

/// One token: what it is, and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes.
    pub range: Range<usize>,
}

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A key word or an unquoted identifier.
    Word,
    /// A quoted identifier.
    Quoted,
    /// A string constant of any form, its quotes and prefix with it.
    Text,
    /// A numeric constant.
    Number,
    /// A parameter, `$1`.
    Parameter,
    /// A comment.
    Comment,
    /// Any other character but white space.
    Sign,
}

impl Token {
    /// Its text.
    pub fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default()
    }

    /// Whether it is this key word.
    pub fn is(&self, text: &str, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.of(text).eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this character.
    pub fn is_sign(&self, text: &str, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.of(text) == sign
    }
}

/// The tokens of a text. What never ends goes to the end of the text.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        if is_space(first) {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = token(rest, first);
        // A token has a length, so that this ends.
        let end = at + length.max(first.len_utf8()).min(rest.len());
        tokens.push(Token { kind, range: at..end });
        at = end;
    }
    tokens
}

fn token(rest: &str, first: char) -> (TokenKind, usize) {
    let after = |bytes: usize| rest.get(bytes..).unwrap_or_default();
    match first {
        '-' if rest.starts_with("--") => (TokenKind::Comment, rest.find(['\n', '\r']).unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (TokenKind::Comment, comment(rest)),
        '\'' => (TokenKind::Text, quoted(rest, '\'', false)),
        '"' => (TokenKind::Quoted, quoted(rest, '"', false)),
        'e' | 'E' if after(1).starts_with('\'') => (TokenKind::Text, 1 + quoted(after(1), '\'', true)),
        'b' | 'B' | 'x' | 'X' | 'n' | 'N' if after(1).starts_with('\'') => {
            (TokenKind::Text, 1 + quoted(after(1), '\'', false))
        }
        'u' | 'U' if after(1).starts_with("&'") => (TokenKind::Text, 2 + quoted(after(2), '\'', false)),
        'u' | 'U' if after(1).starts_with("&\"") => (TokenKind::Quoted, 2 + quoted(after(2), '"', false)),
        '$' => match dollar_quoted(rest) {
            Some(length) => (TokenKind::Text, length),
            None => {
                let digits = span(after(1), |c| c.is_ascii_digit());
                (if digits > 0 { TokenKind::Parameter } else { TokenKind::Sign }, 1 + digits)
            }
        },
        c if c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() => {
            (TokenKind::Word, span(rest, |c| is_name(c) || c == '$'))
        }
        c if c.is_ascii_digit() => (TokenKind::Number, span(rest, |c| c.is_ascii_alphanumeric() || c == '.')),
        c => (TokenKind::Sign, c.len_utf8()),
    }
}

/// White space is ASCII's; every character beyond ASCII may be part of a name (PostgreSQL's `scan.l`).
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0B'
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !belongs(c)).unwrap_or(text.len())
}

/// Comments nest.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = text.get(..text.get(1..)?.find('$')? + 2)?;
    let name = tag.trim_matches('$');
    let name_allowed = !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_name);
    if !name_allowed {
        return None;
    }
    let body = text.get(tag.len()..)?;
    Some(body.find(tag).map_or(text.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(TokenKind, &str)> {
        tokens(text).iter().map(|token| (token.kind, token.of(text))).collect()
    }

    #[test]
    fn every_form_of_a_constant_is_one_token() {
        use TokenKind::{Number, Parameter, Text};
        let text = "'it''s' E'a\\'b' U&'\\0041' x'1F' $$a;'b$$ $t$ $$ $t$ $1 12.5e3 'never closed";
        let kinds = all(text);
        let expected = [
            (Text, "'it''s'"),
            (Text, "E'a\\'b'"),
            (Text, "U&'\\0041'"),
            (Text, "x'1F'"),
            (Text, "$$a;'b$$"),
            (Text, "$t$ $$ $t$"),
            (Parameter, "$1"),
            (Number, "12.5e3"),
            (Text, "'never closed"),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn words_comments_and_signs_are_told_apart() {
        use TokenKind::{Comment, Quoted, Sign, Word};
        let text = "Straße.\"a\"\"b\" -- ' \n/* /* ' */ */ e1";
        let expected = [
            (Word, "Straße"),
            (Sign, "."),
            (Quoted, "\"a\"\"b\""),
            (Comment, "-- ' "),
            (Comment, "/* /* ' */ */"),
            (Word, "e1"),
        ];
        assert_eq!(all(text), expected);
    }
}
