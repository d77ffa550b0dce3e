//! Names of things, and the only place that quotes them for SQL.
//!
//! Every layer uses these types; they know nothing of files, servers or containers.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the name as it is, unquoted.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The bare name, for display and comparison; never for building SQL.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A database role, as `pg_roles.rolname` has it.
    RoleName
);
name_type!(
    /// A database, as `pg_database.datname` has it.
    DatabaseName
);
name_type!(
    /// A worker of the rehearsal file.
    WorkerName
);

impl RoleName {
    /// The role as an SQL identifier.
    pub fn quoted(&self) -> String {
        quote_identifier(&self.0)
    }
}

impl WorkerName {
    /// What its sessions call themselves: its name as the server keeps it as an `application_name`, of which it cuts what
    /// is beyond 63 bytes and replaces what is not printable ASCII (PostgreSQL manual, 20.8.2). Of a name that it would
    /// not keep, what is like it and is nobody else's.
    pub fn application(&self) -> String {
        let is_kept = |c: char| matches!(c, ' '..='~');
        if self.0.len() <= 63 && self.0.chars().all(is_kept) {
            return self.0.clone();
        }
        let like: String = self.0.chars().take(54).map(|c| if is_kept(c) { c } else { '?' }).collect();
        let [one, two, three, four, ..] = <[u8; 32]>::from(Sha256::digest(&self.0));
        format!("{like}~{one:02x}{two:02x}{three:02x}{four:02x}")
    }
}

impl DatabaseName {
    /// The database as an SQL identifier.
    pub fn quoted(&self) -> String {
        quote_identifier(&self.0)
    }
}

/// The number of a run, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunNumber(pub u32);

impl fmt::Display for RunNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A five-character SQLSTATE (PostgreSQL manual, appendix A).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SqlState(String);

impl SqlState {
    /// Takes a code as the server or the contract spells it.
    pub fn new(code: impl Into<String>) -> Self {
        Self(code.into())
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says that a connection was lost, refused or ended by the server (PostgreSQL manual, appendix A).
    pub fn is_of_connection(&self) -> bool {
        self.0.starts_with("08") || self.0.starts_with("57P")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password. It is never printed: `Debug` shows stars and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password that somebody gave.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// A fresh password of 128 random bits, safe in a URL and in a `PGPASSFILE`.
    pub fn random() -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(32);
        for byte in rand::random::<[u8; 16]>() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// What the server stores of it for SCRAM. It takes a hash in the place of a password (PostgreSQL manual,
    /// CREATE ROLE), which keeps the password out of its statements.
    pub fn stored_scram(&self) -> String {
        postgres_protocol::password::scram_sha_256(self.0.as_bytes())
    }

    /// What the server stores of it for md5, with which a role's name is mixed.
    pub fn stored_md5(&self, role: &RoleName) -> String {
        postgres_protocol::password::md5(self.0.as_bytes(), role.as_str())
    }

    /// The password itself, for the one place that hands it to a server or a client.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Identifies one sandbox and everything that belongs to it: eight hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(format!("{:08x}", rand::random::<u32>()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Quotes an SQL identifier, always with quotation marks, so that case and keywords are kept
/// (PostgreSQL manual, 4.1.1).
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Words that must be quoted to be a name everywhere: those that any version from 13 to 18 reserves in some place
/// (`pg_get_keywords`; PostgreSQL manual, appendix C).
const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
    boolean both case cast char character check coalesce collate collation column concurrently constraint create \
    cross current_catalog current_date current_role current_schema current_time current_timestamp current_user dec \
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze \
    from full grant greatest group grouping having ilike in initially inner inout int integer intersect interval into \
    is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar \
    json_serialize json_table json_value lateral leading least left like limit localtime localtimestamp merge_action \
    national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps \
    overlay placing position precision primary real references returning right row select session_user setof \
    similar smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat \
    trim true union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat \
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// Names are written by the ten thousand.
fn is_keyword(name: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| KEYWORDS.split_ascii_whitespace().collect());
    SET.contains(name)
}

/// Writes an SQL identifier as a person would: quoted only where it would else be read as another one or not at all.
pub fn written_identifier(name: &str) -> String {
    let plain = |character: char| character == '_' || character.is_ascii_lowercase();
    let mut characters = name.chars();
    if characters.next().is_some_and(plain)
        && characters.all(|character| plain(character) || character.is_ascii_digit())
        && !is_keyword(name)
    {
        name.to_owned()
    } else {
        quote_identifier(name)
    }
}

/// Quotes an SQL string so that it reads the same whatever `standard_conforming_strings` says: a
/// text with backslashes becomes an escape string (PostgreSQL manual, 4.1.2.2).
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The candidate that `wanted` was most likely meant to be, if any comes near.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(wanted, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_hostile_names() {
        assert_eq!(quote_identifier("plain"), "\"plain\"");
        assert_eq!(quote_identifier("a\"; DROP ROLE x; --"), "\"a\"\"; DROP ROLE x; --\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn the_server_keeps_what_workers_call_themselves() {
        let application = |name: &str| WorkerName::new(name).application();
        assert_eq!(application("order importer"), "order importer");
        assert_eq!(application(&"x".repeat(63)), "x".repeat(63));
        let odd =
            ["Zähler", "Zühler", "tab\t", &"x".repeat(64), &"x".repeat(65), &"ä".repeat(70)].map(application);
        for (at, one) in odd.iter().enumerate() {
            assert!(one.len() <= 63 && one.chars().all(|c| matches!(c, ' '..='~')), "{one}");
            assert!(!odd[..at].contains(one), "{one}");
        }
        assert!(odd[0].starts_with("Z?hler~"), "{}", odd[0]);
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for plain in ["orders", "_x1", "public", "svc_import"] {
            assert_eq!(written_identifier(plain), plain);
        }
        for odd in ["Orders", "1x", "user", "table", "a b", "", "xmltable", "all", "ü"] {
            assert_eq!(written_identifier(odd), quote_identifier(odd));
        }
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let secret = Secret::new("s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
        assert_ne!(Secret::random(), Secret::random());
    }

    #[test]
    fn nearest_finds_a_typing_error_and_nothing_far_off() {
        assert_eq!(nearest("shcema", ["schema", "roles"]), Some("schema"));
        assert_eq!(nearest("zzz", ["schema", "roles"]), None);
    }
}
