//! Takes the secrets out of dumps and statements: what authenticates somebody somewhere is no part of a clone, and of
//! no report.
//!
//! Passwords of roles are not dumped at all; but user mappings, servers, subscriptions and settings hold secrets
//! of their own. The bodies of functions and views are the schema itself and stay as they are: where one of them
//! seems to hold a password, that is said.

mod disguise;
mod statement;

pub(crate) use disguise::Disguise;
pub(crate) use statement::masked_statement;

use crate::dump::{Token, TokenKind, Word, tokens, words};
use crate::identifiers::quote_literal;
use crate::postgres::conninfo;

/// What stands in the place of a secret.
const MASK: &str = "masked";
/// Options of user mappings that name somebody and authenticate nobody (PostgreSQL manual, F.38.1 for
/// `postgres_fdw`).
const HARMLESS: [&str; 5] = ["user", "username", "user_name", "password_required", "dbname"];
/// What the names of secrets have in them.
const SECRET: [&str; 10] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
];

/// A text without its secrets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Masked {
    /// The text.
    pub(crate) text: String,
    /// How many secrets were taken out.
    pub(crate) count: usize,
    /// Lines, from 1, on which something stays that may be a password.
    pub(crate) suspicious: Vec<usize>,
}

/// Masks every secret of a dump.
pub(crate) fn mask(dump: &str) -> Masked {
    let tokens: Vec<Token> =
        tokens(dump).into_iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut masked = Masked { text: String::with_capacity(dump.len()), count: 0, suspicious: Vec::new() };
    // Up to where the dump is in the text, that part's lines, and the first token of the statement.
    let (mut written, mut lines, mut statement) = (0, 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        if token.is_sign(dump, ";") {
            statement = at + 1;
        }
        if token.kind != TokenKind::Text {
            continue;
        }
        let between = dump.get(written..token.range.start).unwrap_or_default();
        masked.text.push_str(between);
        lines += newlines(between);
        written = token.range.end;
        let text = token.of(dump);
        let before = tokens.get(statement..at).unwrap_or_default();
        if let Some(instead) = replacement(dump, before, text, &mut by_mask) {
            masked.text.push_str(&instead);
            masked.count += 1;
            continue;
        }
        let suspicious = text.lines().zip(lines + 1..).filter(|(line, _)| looks_secret(line));
        masked.suspicious.extend(suspicious.map(|(_, number)| number));
        masked.text.push_str(text);
        lines += newlines(text);
    }
    masked.text.push_str(dump.get(written..).unwrap_or_default());
    masked
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Says what stands in the place of a secret: itself where it is none after all.
type Instead<'i> = &'i mut dyn FnMut(&str) -> String;

/// Every secret is the same word.
fn by_mask(_: &str) -> String {
    MASK.to_owned()
}

/// A constant with another value; none where that is its own.
fn another(constant: &str, instead: Instead<'_>) -> Option<String> {
    let value = match words(constant).into_iter().next() {
        Some(Word::Text(value)) => value,
        // Somebody forgot to quote it.
        _ => constant.to_owned(),
    };
    Some(instead(&value)).filter(|other| *other != value).map(|other| quote_literal(&other))
}

/// What stands in the place of a string constant that is a secret. `before` is the statement up to it.
fn replacement(dump: &str, before: &[Token], constant: &str, instead: Instead<'_>) -> Option<String> {
    let previous = before.last()?;
    if previous.is(dump, "connection") {
        return conninfo::masked_by(&value(constant), instead).map(|text| quote_literal(&text));
    }
    let name = match previous.kind {
        // `SET name TO 'value'`
        TokenKind::Word if previous.is(dump, "to") => set_name(dump, before)?,
        TokenKind::Word | TokenKind::Quoted => name(previous.of(dump)),
        TokenKind::Text | TokenKind::Number | TokenKind::Parameter | TokenKind::Comment | TokenKind::Sign => {
            return None;
        }
    };
    if HARMLESS.contains(&name.as_str()) {
        return None;
    }
    let second = |keyword: &str| before.get(1).is_some_and(|token| token.is(dump, keyword));
    let options = || before.iter().any(|token| token.is(dump, "options"));
    // CREATE USER MAPPING, SERVER, FOREIGN TABLE, FOREIGN DATA WRAPPER
    let mapping = second("user") && options();
    let foreign = (second("server") || second("foreign")) && options();
    let secret = is_secret(&name) || mapping || foreign && looks_secret(constant);
    if secret { another(constant, instead) } else { None }
}

/// The setting of `SET name TO`.
fn set_name(dump: &str, before: &[Token]) -> Option<String> {
    let set = before.iter().rposition(|token| token.is(dump, "set"))?;
    let names = before.get(set + 1..before.len().saturating_sub(1))?;
    Some(names.iter().map(|token| name(token.of(dump))).collect())
}

fn name(identifier: &str) -> String {
    identifier.trim_matches('"').to_ascii_lowercase()
}

/// The text of a plain or an escape string.
fn value(literal: &str) -> String {
    let quoted = literal.trim_start_matches(['e', 'E']);
    let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(quoted);
    let inner = inner.replace("''", "'");
    if literal.starts_with('\'') { inner } else { inner.replace("\\\\", "\\").replace("\\'", "'") }
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|word| name.contains(word))
}

/// Whether a text has something like `password=…` or `scheme://user:password@host` in it.
fn looks_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let assigned = ["password=", "pwd=", "passwd="].iter().any(|key| {
        text.split(key)
            .skip(1)
            .any(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || "\"{".contains(c)))
    });
    let in_url = text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', ' ', '\'']).next().unwrap_or_default();
        authority
            .split_once('@')
            .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
    });
    assigned || in_url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_everything_else_stays() {
        for (dump, expected) in [
            (
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (\n    password 's',\n    \"user\" 'u',\n    keytab 'k'\n);",
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (\n    password 'masked',\n    \"user\" 'u',\n    keytab 'masked'\n);",
            ),
            (
                "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', api_key 'k', dsn 'a;PWD=x');",
                "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', api_key 'masked', dsn 'masked');",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=''x y''' PUBLICATION p WITH (slot_name = 'n');",
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=masked' PUBLICATION p WITH (slot_name = 'n');",
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=''never closed' PUBLICATION p;",
                "CREATE SUBSCRIPTION s CONNECTION 'masked' PUBLICATION p;",
            ),
            (
                "ALTER DATABASE d SET \"app.jwt_secret\" TO 'x';\nALTER ROLE r SET app.token TO 'x';\nALTER ROLE r SET work_mem TO '4MB';",
                "ALTER DATABASE d SET \"app.jwt_secret\" TO 'masked';\nALTER ROLE r SET app.token TO 'masked';\nALTER ROLE r SET work_mem TO '4MB';",
            ),
            ("ALTER ROLE r WITH PASSWORD 'SCRAM-SHA-256$x';", "ALTER ROLE r WITH PASSWORD 'masked';"),
            (
                "COMMENT ON COLUMN t.password IS 'hashed';\nCREATE TABLE t (password text DEFAULT 'none'::text);",
                "COMMENT ON COLUMN t.password IS 'hashed';\nCREATE TABLE t (password text DEFAULT 'none'::text);",
            ),
        ] {
            assert_eq!(mask(dump).text, expected);
        }
    }

    #[test]
    fn what_stays_and_may_be_a_password_is_pointed_at() {
        let dump = "SELECT 1;\nCREATE FUNCTION f() AS $$\nSELECT dblink('host=h password=x');\n\
                    IF new.password = crypt('a') THEN\n$$;\nCREATE VIEW v AS SELECT 'ftp://u:p@h/'::text;";
        let masked = mask(dump);
        assert_eq!((masked.text.as_str(), masked.count), (dump, 0));
        assert_eq!(masked.suspicious, [3, 6]);
    }
}
