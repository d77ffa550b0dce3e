//! Takes the secrets out of one statement that a script sent.
//!
//! Unlike a dump's, its constants may be code (`DO`, `EXECUTE`), connection strings (`dblink`), and passwords that a
//! function puts into place (`format`). What is masked too much costs a reader less than what is masked too little.

use std::borrow::Cow;

use super::{Instead, MASK, SECRET, another, by_mask, is_secret, looks_secret, name, replacement, value};
use crate::dump::{Token, TokenKind, tokens};
use crate::identifiers::quote_literal;
use crate::postgres::conninfo;

/// Code within code is looked at so deep, and masked as a whole below.
const DEPTH: u32 = 4;

/// The statement without its secrets; borrowed where it has none.
pub(crate) fn masked_statement(statement: &str) -> Cow<'_, str> {
    masked(statement, DEPTH, &mut by_mask)
}

/// The statement with something else in the place of each of its secrets, on the same lines.
pub(super) fn disguised_statement<'s>(statement: &'s str, instead: Instead<'_>) -> Cow<'s, str> {
    masked(statement, DEPTH, instead)
}

fn masked<'s>(statement: &'s str, depth: u32, by: Instead<'_>) -> Cow<'s, str> {
    if !may_hold_secrets(statement) {
        return Cow::Borrowed(statement);
    }
    let all = tokens(statement);
    let code: Vec<Token> = all.iter().filter(|token| token.kind != TokenKind::Comment).cloned().collect();
    let mut text = String::with_capacity(statement.len());
    // Up to where the statement is in the text, the first token of the statement at hand, and those that were passed.
    let (mut written, mut first, mut passed) = (0, 0, 0);
    // A constant has announced a password: the ones after it may be that.
    let mut announced = false;
    for token in &all {
        let before = code.get(first..passed).unwrap_or_default();
        if token.kind != TokenKind::Comment {
            passed += 1;
        }
        if token.is_sign(statement, ";") {
            (first, announced) = (passed, false);
            continue;
        }
        let Some(instead) = instead(statement, before, token, announced, depth, by) else {
            announced |= token.kind == TokenKind::Text && announces(token.of(statement));
            continue;
        };
        announced |= token.kind == TokenKind::Text && announces(token.of(statement));
        text.push_str(statement.get(written..token.range.start).unwrap_or_default());
        text.push_str(&instead);
        written = token.range.end;
    }
    if written == 0 {
        return Cow::Borrowed(statement);
    }
    text.push_str(statement.get(written..).unwrap_or_default());
    Cow::Owned(text)
}

/// What stands in the place of a token that is a secret or has one in it.
fn instead(
    statement: &str,
    before: &[Token],
    token: &Token,
    announced: bool,
    depth: u32,
    by: Instead<'_>,
) -> Option<String> {
    let own = token.of(statement);
    match token.kind {
        TokenKind::Comment => {
            let line = own.starts_with("--");
            let lines = "\n".repeat(own.matches('\n').count());
            may_hold_secrets(own)
                .then(|| if line { format!("-- {MASK}") } else { format!("/* {MASK}{lines} */") })
        }
        TokenKind::Text => {
            if announced || is_named_secret(statement, before) {
                return another(own, by);
            }
            if let Some(instead) = replacement(statement, before, own, by) {
                return Some(instead);
            }
            within(own, depth, by)
        }
        // A password that somebody forgot to quote: an error, whose text is shown all the same.
        TokenKind::Quoted | TokenKind::Word | TokenKind::Number => {
            let unquoted = before.last().is_some_and(|word| word.is(statement, "password"))
                && before
                    .first()
                    .is_some_and(|word| word.is(statement, "create") || word.is(statement, "alter"))
                && before.get(1).is_some_and(|word| {
                    ["role", "user", "group"].iter().any(|kind| word.is(statement, kind))
                });
            if unquoted && !token.is(statement, "null") { another(own, by) } else { None }
        }
        TokenKind::Parameter | TokenKind::Sign => None,
    }
}

/// Whether a constant is the value of a setting, an argument or a member with a secret's name: `SET a.token = 'x'`,
/// `set_config('a.token', 'x', …)`, `password => 'x'`.
fn is_named_secret(statement: &str, before: &[Token]) -> bool {
    let [.., named, sign] = before else {
        return false;
    };
    if sign.is_sign(statement, ">") {
        let [.., named, equals, _] = before else {
            return false;
        };
        return equals.is_sign(statement, "=") && is_secret(&name(named.of(statement)));
    }
    match named.kind {
        TokenKind::Text if sign.is_sign(statement, ",") || sign.is_sign(statement, ":") => {
            let named = value(named.of(statement));
            is_secret(&named.to_ascii_lowercase()) && !named.contains(char::is_whitespace)
        }
        TokenKind::Word | TokenKind::Quoted if sign.is_sign(statement, "=") => {
            is_secret(&name(named.of(statement)))
        }
        _ => false,
    }
}

/// Masks what is inside of a constant: code, or a connection string.
fn within(constant: &str, depth: u32, by: Instead<'_>) -> Option<String> {
    if !may_hold_secrets(constant) {
        return None;
    }
    if constant.starts_with('$') {
        let tag = constant.get(..constant.get(1..)?.find('$')? + 2)?;
        let inner = constant.strip_prefix(tag)?;
        let inner = inner.strip_suffix(tag).unwrap_or(inner);
        return match masked(inner, depth.checked_sub(1)?, by) {
            Cow::Owned(inner) => Some(format!("{tag}{inner}{tag}")),
            Cow::Borrowed(_) => None,
        };
    }
    let inner = value(constant);
    if looks_secret(&inner) {
        let masked = conninfo::masked_by(&inner, by);
        return Some(quote_literal(&masked.unwrap_or_else(|| by(&inner))));
    }
    match depth.checked_sub(1) {
        None => another(constant, by),
        Some(depth) => match masked(&inner, depth, by) {
            Cow::Owned(inner) => Some(quote_literal(&inner)),
            Cow::Borrowed(_) => None,
        },
    }
}

/// Whether a constant is code that gets a password from elsewhere: `'ALTER ROLE %I PASSWORD %L'`, `'… PASSWORD '`.
fn announces(constant: &str) -> bool {
    let constant = constant.to_ascii_lowercase();
    constant.split("password").skip(1).any(|after| {
        let after = after.trim_start_matches([' ', '\t', '\n', '\r', '\'', '"']);
        after.is_empty() || after.starts_with(['%', '$'])
    }) && ["role", "user", "alter", "create"].iter().any(|word| constant.contains(word))
}

/// Whether a text has any word in it with which secrets come. Most have none, and are looked at no further.
fn may_hold_secrets(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        matches!(byte | 0x20, b'p' | b's' | b't' | b'c' | b'a' | b'm' | b':')
            && SECRET.iter().chain(&["mapping", "://"]).any(|word| {
                bytes.get(at..at + word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_statements_are_masked() {
        for (statement, expected) in [
            (
                "ALTER ROLE r WITH ENCRYPTED PASSWORD 's3' LOGIN",
                "ALTER ROLE r WITH ENCRYPTED PASSWORD 'masked' LOGIN",
            ),
            ("create user u password $x$s3$x$", "create user u password 'masked'"),
            ("ALTER USER u PASSWORD s3", "ALTER USER u PASSWORD 'masked'"),
            ("ALTER USER u PASSWORD NULL", "ALTER USER u PASSWORD NULL"),
            (
                "CREATE USER MAPPING FOR r SERVER s OPTIONS (user 'u', password 's3')",
                "CREATE USER MAPPING FOR r SERVER s OPTIONS (user 'u', password 'masked')",
            ),
            (
                "ALTER USER MAPPING FOR r SERVER s OPTIONS (SET password 's3')",
                "ALTER USER MAPPING FOR r SERVER s OPTIONS (SET password 'masked')",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=s3' PUBLICATION p",
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=masked' PUBLICATION p",
            ),
            (
                "SELECT * FROM dblink('host=h password=s3', 'SELECT 1') AS t(a int)",
                "SELECT * FROM dblink('host=h password=masked', 'SELECT 1') AS t(a int)",
            ),
            (
                "SELECT dblink_connect('postgresql://u:s3@h/d')",
                "SELECT dblink_connect('postgresql://u@h/d?password=masked')",
            ),
            ("SET app.jwt_secret = 's3'", "SET app.jwt_secret = 'masked'"),
            ("SET LOCAL app.token TO 's3'", "SET LOCAL app.token TO 'masked'"),
            ("ALTER ROLE r SET app.password = 's3'", "ALTER ROLE r SET app.password = 'masked'"),
            (
                "SELECT set_config('app.token', 's3', false)",
                "SELECT set_config('app.token', 'masked', false)",
            ),
            ("CALL make_user('u', password => 's3')", "CALL make_user('u', password => 'masked')"),
            (
                "DO $$BEGIN ALTER ROLE r PASSWORD 's3'; PERFORM 1; END$$",
                "DO $$BEGIN ALTER ROLE r PASSWORD 'masked'; PERFORM 1; END$$",
            ),
            (
                "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''s3'''; END$$",
                "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''masked'''; END$$",
            ),
            (
                "DO $$BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'r', 's3'); PERFORM 'x'; END$$",
                "DO $$BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'masked', 'masked'); PERFORM 'x'; END$$",
            ),
            (
                "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ' || quote_literal('s3'); END$$",
                "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ' || quote_literal('masked'); END$$",
            ),
            ("SELECT 1 -- password s3\n, 2", "SELECT 1 -- masked\n, 2"),
        ] {
            assert_eq!(masked_statement(statement), expected);
        }
    }

    #[test]
    fn everything_else_stays() {
        for statement in [
            "CREATE TABLE users (name text, password text NOT NULL DEFAULT '')",
            "REVOKE ALL ON tokens FROM svc",
            "INSERT INTO notes VALUES ('reset your password', 'today')",
            "SELECT 'it''s', $1, \"a\"\"b\"",
            "COMMENT ON TABLE users IS 'passwords are hashed'",
        ] {
            assert!(
                matches!(masked_statement(statement), Cow::Borrowed(_)),
                "{}",
                masked_statement(statement)
            );
        }
    }

    #[test]
    fn deep_and_long_texts_end() {
        let mut deep = "PASSWORD 's3'".to_owned();
        for _ in 0..8 {
            deep = format!("EXECUTE {}", quote_literal(&deep));
        }
        assert!(!masked_statement(&deep).contains("s3"));
        let long = format!("INSERT INTO t VALUES ('token'){}", ", ('x', 'y')".repeat(80_000));
        assert!(masked_statement(&long).len() > 800_000);
    }
}
