//! Takes the constants out of statements that `pg_stat_statements` has kept.
//!
//! It replaces those of queries by parameters itself (PostgreSQL manual, F.32), but not those of most utility
//! statements, nor where it lost the beginning of a query. Constants may be passwords and rows, so that they
//! become parameters here. Comments go too: frameworks put values into them.

use crate::dump::{Token, TokenKind, tokens};

/// Digits of a number that stays: positions, limits and the like, which are nobody's data.
const SHORT: usize = 2;

/// A statement in which every constant is a parameter.
pub(crate) fn parametrised(statement: &str) -> String {
    let tokens: Vec<Token> =
        tokens(statement).into_iter().filter(|token| token.kind != TokenKind::Comment).collect();
    if sets_plain_setting(statement, &tokens) {
        return joined(statement, &tokens, |_, _| None);
    }
    let known = tokens.iter().filter(|token| token.kind == TokenKind::Parameter);
    let numbers = known.filter_map(|token| token.of(statement).get(1..)?.parse::<u32>().ok());
    let mut next = numbers.max().unwrap_or_default();
    joined(statement, &tokens, |at, token| {
        let constant = match token.kind {
            TokenKind::Text => true,
            TokenKind::Number => {
                token.range.len() > SHORT
                    && !is_type_modifier(statement, tokens.get(..at).unwrap_or_default())
            }
            TokenKind::Word
            | TokenKind::Quoted
            | TokenKind::Parameter
            | TokenKind::Comment
            | TokenKind::Sign => false,
        };
        constant.then(|| {
            next += 1;
            format!("${next}")
        })
    })
}

/// `SET` of one of the server's own settings: those tell how a client works. Settings with a dot are the
/// application's, and hold what it likes.
fn sets_plain_setting(statement: &str, tokens: &[Token]) -> bool {
    tokens.first().is_some_and(|token| token.is(statement, "set"))
        && !tokens.iter().any(|token| token.is_sign(statement, "."))
        && !tokens.iter().any(|token| token.is(statement, "password"))
}

/// Whether a number after these is within the parentheses of `::numeric(10,2)`.
fn is_type_modifier(statement: &str, before: &[Token]) -> bool {
    let sign =
        |token: &Token, signs: &str| token.kind == TokenKind::Sign && signs.contains(token.of(statement));
    let within = |token: &&Token| token.kind == TokenKind::Number || sign(token, ",");
    let mut back = before.iter().rev().skip_while(within);
    back.next().is_some_and(|token| sign(token, "("))
        && back.next().is_some_and(|token| token.kind == TokenKind::Word)
        && back.find(|token| token.kind != TokenKind::Word).is_some_and(|token| sign(token, ":"))
}

/// The statement with other texts for some of its tokens, in one line.
fn joined(
    statement: &str,
    tokens: &[Token],
    mut instead: impl FnMut(usize, &Token) -> Option<String>,
) -> String {
    let mut text = String::with_capacity(statement.len());
    let mut end = 0;
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 && token.range.start > end {
            text.push(' ');
        }
        end = token.range.end;
        match instead(at, token) {
            Some(other) => text.push_str(&other),
            None => text.push_str(token.of(statement)),
        }
    }
    text.trim_end_matches(';').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_become_parameters() {
        for (statement, expected) in [
            (
                "SELECT *\n  FROM t /* user='alice' */ WHERE a = $1 AND b = 'x' -- c\n LIMIT 10;",
                "SELECT * FROM t WHERE a = $1 AND b = $2 LIMIT 10",
            ),
            ("ALTER ROLE r PASSWORD 's3cret'", "ALTER ROLE r PASSWORD $1"),
            ("DO $$BEGIN PERFORM 'x'; END$$", "DO $1"),
            ("SELECT $1::numeric(100,2), 4711", "SELECT $1::numeric(100,2), $2"),
            ("SELECT a::character varying(255) FROM t", "SELECT a::character varying(255) FROM t"),
            ("SELECT f(4711)", "SELECT f($1)"),
            ("SET lock_timeout = '1500ms'", "SET lock_timeout = '1500ms'"),
            ("SET LOCAL app.user_id = '4711'", "SET LOCAL app.user_id = $1"),
            ("NOTIFY orders_changed, 'alice'", "NOTIFY orders_changed, $1"),
        ] {
            assert_eq!(parametrised(statement), expected);
        }
    }
}
