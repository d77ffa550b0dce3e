//! Splits a deparsed expression into tokens.

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// An identifier: quoted, or in lower case as the server prints it.
    Name(String),
    /// A keyword: the server prints those in capitals, or as `true` and `false`.
    Word(String),
    Text(String),
    Number(String),
    /// Parentheses, brackets, comma, dot, `::`.
    Symbol(String),
    Operator(String),
}

const OPERATOR: &str = "+-*/<>=~!@#%^&|`?";

/// The tokens of an expression.
pub(super) fn split(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = one(rest, first);
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    tokens
}

fn one(rest: &str, first: char) -> (Token, usize) {
    let run = |accept: &dyn Fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
    let upto = |length: usize| rest.get(..length).unwrap_or_default().to_owned();
    match first {
        '\'' => {
            let (text, length) = quoted(rest, '\'');
            (Token::Text(text), length)
        }
        'E' if rest.starts_with("E'") => {
            let (text, length) = quoted(rest.get(1..).unwrap_or_default(), '\'');
            (Token::Text(text.replace("\\\\", "\\")), length + 1)
        }
        'B' if rest.starts_with("B'") => {
            let (text, length) = quoted(rest.get(1..).unwrap_or_default(), '\'');
            (Token::Text(text), length + 1)
        }
        '"' => {
            let (name, length) = quoted(rest, '"');
            (Token::Name(name), length)
        }
        c if c.is_ascii_digit() => {
            let length = run(&|c| c.is_ascii_alphanumeric() || c == '.');
            (Token::Number(upto(length)), length)
        }
        c if c.is_alphabetic() || c == '_' => {
            let length = run(&|c| c.is_alphanumeric() || c == '_' || c == '$');
            let word = upto(length);
            let token = match word.as_str() {
                "true" | "false" => Token::Word(word.to_uppercase()),
                _ if word.chars().any(char::is_lowercase) => Token::Name(word),
                _ if word.chars().all(|c| c.is_uppercase() || c == '_') && word != "_" => Token::Word(word),
                _ => Token::Name(word),
            };
            (token, length)
        }
        ':' if rest.starts_with("::") => (Token::Symbol("::".to_owned()), 2),
        c if OPERATOR.contains(c) => {
            let length = run(&|c| OPERATOR.contains(c));
            (Token::Operator(upto(length)), length)
        }
        c => (Token::Symbol(c.to_string()), c.len_utf8()),
    }
}

/// A quoted text with doubled quotation marks inside, and its length in the source.
fn quoted(text: &str, mark: char) -> (String, usize) {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != mark {
            content.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == mark) {
            content.push(mark);
            chars.next();
        } else {
            return (content, at + 1);
        }
    }
    (content, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_token_is_told_apart() {
        assert_eq!(
            split("a_1 >= E'x\\\\d' AND \"B\"::text[] <> 'é''s'"),
            vec![
                Token::Name("a_1".into()),
                Token::Operator(">=".into()),
                Token::Text("x\\d".into()),
                Token::Word("AND".into()),
                Token::Name("B".into()),
                Token::Symbol("::".into()),
                Token::Name("text".into()),
                Token::Symbol("[".into()),
                Token::Symbol("]".into()),
                Token::Operator("<>".into()),
                Token::Text("é's".into()),
            ]
        );
    }
}
