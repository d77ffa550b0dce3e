//! Puts made-up passwords in the place of real ones, the same everywhere: who logs in with one still does, and whoever
//! has the wrong one still has.
//!
//! A saved incident leaves the machine, and must give the same verdict elsewhere: so a secret is not blotted out, but
//! exchanged. Of a stored password the kind is kept, and it fits no password.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex_lite::{Captures, Regex};

use super::is_secret;
use super::statement::disguised_statement;
use crate::dump::{ItemKind, nothing_stored, split, words};

/// Made-up passwords begin with this: no character of theirs means anything in a URL, a shell, a `PGPASSFILE` or SQL.
const PREFIX: &str = "made_up_password_";
/// Values of what has a secret's name that are none (`password_encryption = 'md5'`, `token_required = 'f'`).
const PLAIN: [&str; 17] = [
    "",
    "t",
    "f",
    "true",
    "false",
    "on",
    "off",
    "yes",
    "no",
    "0",
    "1",
    "null",
    "none",
    "default",
    "md5",
    "scram-sha-256",
    "masked",
];
/// Secrets that are too short, or words of everyday, are exchanged only where they stand as secrets.
const LEAST: usize = 6;
const EVERYDAY: [&str; 8] =
    ["password", "postgres", "secret", "public", "default", "database", "username", "select"];

/// Secrets and what stands for each of them.
#[derive(Debug, Default)]
pub(crate) struct Disguise {
    known: BTreeMap<String, String>,
    /// Names of roles and the like, which stay where they are no secrets.
    names: BTreeSet<String>,
    /// psql variables that hold passwords.
    variables: BTreeSet<String>,
    /// How many were made up.
    count: usize,
}

/// Builds an expression of this program's own, which is right.
macro_rules! expression {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($text).ok());
    };
}

// `scheme://user:password@host`
expression!(URL, r#"(://[^\s/:@'"]*:)([^\s/@'"]+)(@)"#);
// `PGPASSWORD=x program`, `export DB_PASSWORD=x`
expression!(
    VARIABLE,
    r#"\b([A-Z][A-Z0-9_]*(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|API_KEY|ACCESS_KEY|PRIVATE_KEY)[A-Z0-9_]*=)(?:"([^"\n]*)"|'([^'\n]*)'|([^\s'"`;&|()<>]+))"#
);
// `host=h password=x`, and the other way round; what commas are between are arguments
expression!(
    PAIR,
    r#"\b((?:host|hostaddr|port|user|dbname)\s*=\s*[^\s'"]*[^\s'",]\s+(?:\w+\s*=\s*[^\s'"]*[^\s'",]\s+)*?password\s*=\s*)(?:'([^'\n]*)'|([^\s'"]*[^\s'",)]))"#
);
expression!(
    FIRST_PAIR,
    r#"\b(password\s*=\s*)([^\s'"]*[^\s'",])(\s+(?:host|hostaddr|port|user|dbname)\s*=)"#
);
// `"db_password": "x"`, `password='x'`
expression!(
    QUOTED,
    r#"(?i)((?:passw|passphrase|pwd|secret|token|credential|api_?key|access_key|private_key)[a-z0-9_.-]*["']?\s*(?:=>|:=|=|:)\s*)(?:"([^"\n]*)"|'([^'\n]*)')"#
);
// `db_password: x`, a line of its own
expression!(
    LINE,
    r#"(?im)^(\s*[a-z0-9_.-]*(?:passw|passphrase|pwd|secret|token|credential|api_?key|access_key|private_key)[a-z0-9_.-]*\s*[:=]\s*)([^\s'"\[{(]+)\s*$"#
);
// `ALTER ROLE r PASSWORD 'x'`, wherever SQL stands
expression!(IN_SQL, r#"(?i)(\bpassword\s+)(?:'([^'\n]*)')"#);
// `\set password x`, `\setenv PGPASSWORD x`
expression!(
    PSQL,
    r#"(?i)(\\set(?:env)?\s+\w*(?:passw|pwd|secret|token)\w*\s+)(?:'([^'\n]*)'|([^\s'"`:\\]+))"#
);
// `PASSWORD :'name'`
expression!(OF_VARIABLE, r#"(?i)\bpassword\s+:['"]?(\w+)"#);
// `\set name x`
expression!(SET, r#"(?m)^(\s*\\set\s+(\w+)\s+)(?:'([^'\n]*)'|([^\s'"`:\\]+))"#);
// What a server stores.
expression!(
    STORED,
    r"\bmd5[0-9a-f]{32}\b|SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+"
);

impl Disguise {
    /// A disguise that leaves these names alone where they are no secrets.
    pub(crate) fn sparing(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), ..Self::default() }
    }

    /// Names that SQL has, too: what is a word of it is no secret there.
    pub(crate) fn spare_words_of(&mut self, sql: &str) {
        let words = words(sql).into_iter().filter_map(|word| word.identifier().map(str::to_owned));
        self.names.extend(words);
    }

    /// Which of psql's variables a script takes a password from.
    pub(crate) fn learn_variables(&mut self, script: &str) {
        if let Some(expression) = OF_VARIABLE.as_ref() {
            let found = expression.captures_iter(script);
            self.variables.extend(found.filter_map(|found| Some(found.get(1)?.as_str().to_owned())));
        }
    }

    /// The value of a setting or a variable, whose name may say that it is a secret.
    pub(crate) fn named(&mut self, name: &str, value: &str) -> String {
        if self.variables.contains(name) || is_secret(&name.to_ascii_lowercase()) {
            return self.stand_in(value);
        }
        self.text(value)
    }

    /// What stands for a secret.
    pub(crate) fn stand_in(&mut self, secret: &str) -> String {
        if let Some(nothing) = nothing_stored(secret) {
            return nothing.to_owned();
        }
        let lower = secret.to_ascii_lowercase();
        if PLAIN.contains(&lower.as_str()) || secret.starts_with(PREFIX) {
            return secret.to_owned();
        }
        if let Some(known) = self.known.get(secret) {
            return known.clone();
        }
        self.count += 1;
        let made = format!("{PREFIX}{}", self.count);
        self.known.insert(secret.to_owned(), made.clone());
        made
    }

    /// How many secrets were exchanged so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// SQL as psql reads it, with its lines where they were.
    pub(crate) fn sql(&mut self, text: &str) -> String {
        let mut made = String::with_capacity(text.len());
        match split(text) {
            Ok(items) => {
                // An item is a part of the text.
                let place = |part: &str| (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                let mut written = 0;
                for item in &items {
                    let at = place(item.text);
                    // Between items there are comments.
                    let between = text.get(written..at).unwrap_or_default();
                    made.push_str(&disguised_statement(between, &mut |secret| self.stand_in(secret)));
                    written = at + item.text.len();
                    match item.kind {
                        ItemKind::Command => made.push_str(item.text),
                        ItemKind::Statement | ItemKind::Copy(_) | ItemKind::Inside { .. } => {
                            made.push_str(&disguised_statement(item.text, &mut |secret| {
                                self.stand_in(secret)
                            }));
                        }
                    }
                    if let ItemKind::Copy(after) | ItemKind::Inside { command: after, .. } = item.kind {
                        // Rows, and what psql reads: neither is SQL.
                        let end = place(after) + after.len();
                        made.push_str(text.get(written..end).unwrap_or_default());
                        written = end;
                    }
                }
                let rest = text.get(written..).unwrap_or_default();
                made.push_str(&disguised_statement(rest, &mut |secret| self.stand_in(secret)));
            }
            Err(_) => made.push_str(&disguised_statement(text, &mut |secret| self.stand_in(secret))),
        }
        self.anywhere(&made)
    }

    /// One statement, or several in a query string.
    pub(crate) fn statement(&mut self, sql: &str) -> String {
        let made = disguised_statement(sql, &mut |secret| self.stand_in(secret)).into_owned();
        self.anywhere(&made)
    }

    /// A text in whatever language.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let made = self.exchanged(&QUOTED, text);
        let made = self.exchanged(&IN_SQL, &made);
        self.anywhere(&made)
    }

    /// A file of settings: there the value of a key needs no quotes.
    pub(crate) fn settings(&mut self, text: &str) -> String {
        let made = self.exchanged(&LINE, text);
        self.text(&made)
    }

    /// What looks the same in every language.
    fn anywhere(&mut self, text: &str) -> String {
        let mut made = self.exchanged(&URL, text);
        for expression in [&VARIABLE, &PAIR, &FIRST_PAIR, &PSQL] {
            made = self.exchanged(expression, &made);
        }
        if !self.variables.is_empty() {
            made = self.variables_set(&made);
        }
        match STORED.as_ref() {
            Some(stored) => {
                let nothing = |found: &Captures<'_>| {
                    let found = found.get(0).map_or("", |found| found.as_str());
                    nothing_stored(found).unwrap_or(found).to_owned()
                };
                stored.replace_all(&made, nothing).into_owned()
            }
            None => made,
        }
    }

    /// The text with what stands for what it sets variables to that hold passwords.
    fn variables_set(&mut self, text: &str) -> String {
        let Some(set) = SET.as_ref() else { return text.to_owned() };
        let replaced = set.replace_all(text, |found: &Captures<'_>| {
            let group = |number: usize| found.get(number).map_or("", |group| group.as_str());
            if !self.variables.contains(group(2)) {
                return group(0).to_owned();
            }
            let value = found.get(3).or(found.get(4)).map_or("", |value| value.as_str());
            format!("{}{}", group(1), self.stand_in(value))
        });
        replaced.into_owned()
    }

    /// The text with what stands for the secrets that an expression finds: behind its first group, in one of the others,
    /// before what follows.
    fn exchanged(&mut self, expression: &LazyLock<Option<Regex>>, text: &str) -> String {
        let Some(expression) = expression.as_ref() else { return text.to_owned() };
        let replaced = expression.replace_all(text, |found: &Captures<'_>| {
            let whole = found.get(0).map_or("", |whole| whole.as_str());
            let Some(before) = found.get(1) else { return whole.to_owned() };
            let Some(secret) = (2..found.len()).find_map(|group| found.get(group)) else {
                return whole.to_owned();
            };
            let value = secret.as_str();
            // What a variable or an argument stands for is not written here.
            if value.contains('$') || value.starts_with(['{', '%', '<', ':']) {
                return whole.to_owned();
            }
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            let is_url = before.as_str().starts_with("://");
            let made = self.stand_in(if is_url { &decoded } else { value });
            let start = secret.start().saturating_sub(found.get(0).map_or(0, |whole| whole.start()));
            let end = start + value.len();
            let (head, tail) = (whole.get(..start).unwrap_or_default(), whole.get(end..).unwrap_or_default());
            format!("{head}{made}{tail}")
        });
        replaced.into_owned()
    }

    /// A text with every secret that is known by now exchanged wherever it stands: all that are no words of everyday.
    pub(crate) fn everywhere(&self, text: &str) -> String {
        let mut made = text.to_owned();
        // Of two that begin alike the longer one first.
        let mut known: Vec<_> = self.known.iter().filter(|(secret, _)| self.is_distinct(secret)).collect();
        known.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        for (secret, stand_in) in known {
            if made.contains(secret.as_str()) {
                made = made.replace(secret.as_str(), stand_in);
            }
        }
        made
    }

    /// Whether bytes that are no text have a secret in them.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        let distinct = self.known.keys().filter(|secret| self.is_distinct(secret));
        distinct.into_iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    }

    fn is_distinct(&self, secret: &str) -> bool {
        secret.len() >= LEAST
            && !self.names.contains(secret)
            && !EVERYDAY.contains(&secret.to_ascii_lowercase().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_same_stand_in_everywhere() {
        let mut disguise = Disguise::sparing(["svc_import".to_owned()]);
        let roles = "CREATE ROLE svc_import LOGIN PASSWORD 'hunter22';\nALTER ROLE a PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$YQ==:Yg==';\n\
                     ALTER ROLE b PASSWORD 'md50123456789abcdef0123456789abcdef';\nCREATE ROLE c PASSWORD 'svc_import';\n";
        let roles = disguise.sql(roles);
        assert!(roles.contains("PASSWORD 'made_up_password_1'"), "{roles}");
        assert!(roles.contains("'SCRAM-SHA-256$4096:AAAA"), "{roles}");
        assert!(roles.contains("'md500000000000000000000000000000000'"), "{roles}");
        assert!(roles.contains("CREATE ROLE c PASSWORD 'made_up_password_2'"), "{roles}");
        let shell =
            "PGPASSWORD=hunter22 psql -U svc_import -c \"ALTER ROLE x PASSWORD 'other one'\"\n# hunter22\n";
        let shell = disguise.text(shell);
        let shell = disguise.everywhere(&shell);
        assert_eq!(
            shell,
            "PGPASSWORD=made_up_password_1 psql -U svc_import -c \"ALTER ROLE x PASSWORD 'made_up_password_3'\"\n\
             # made_up_password_1\n"
        );
        assert_eq!(disguise.count(), 3);
    }

    #[test]
    fn secrets_are_found_in_many_languages() {
        let mut disguise = Disguise::default();
        for text in [
            "url = \"postgres://u:hunter22@h/d\"",
            "connect(password='hunter22')",
            "{\"db_password\": \"hunter22\"}",
            "psycopg.connect(\"host=h user=u password=hunter22 dbname=d\")",
            "DB_PASSWORD=\"hunter22\"",
            "\\setenv PGPASSWORD hunter22",
        ] {
            let made = disguise.text(text);
            assert!(made.contains("made_up_password_1") && !made.contains("hunter22"), "{made}");
        }
        let encoded = disguise.text("postgres://u:a%40b@h/d");
        assert_eq!(
            (encoded.as_str(), disguise.stand_in("a@b")),
            ("postgres://u:made_up_password_2@h/d", "made_up_password_2".to_owned())
        );
    }

    #[test]
    fn files_of_settings_need_no_quotes() {
        let mut disguise = Disguise::default();
        let made = disguise.settings(
            "user: svc\ndb_password: hunter22\nport: 5432\n[a]\npassword=hunter22\nother.token = ${TOKEN}\n",
        );
        assert_eq!(
            made,
            "user: svc\ndb_password: made_up_password_1\nport: 5432\n[a]\npassword=made_up_password_1\nother.token = ${TOKEN}\n"
        );
        assert_eq!(disguise.text("password = other\n"), "password = other\n");
    }

    #[test]
    fn what_is_no_secret_stays() {
        let mut disguise = Disguise::default();
        for text in [
            "password = os.environ[\"PGPASSWORD\"]",
            "PGPASSWORD=$PASS psql",
            "connect(password=password, user=user)",
            "connect(host=host, user=user, password=password)",
            "url = \"postgres://$USER:$PASS@h/d\"",
            "ALTER ROLE r SET password_encryption TO 'md5';",
        ] {
            assert_eq!(disguise.text(text), text);
        }
        let sql = "SET password_encryption = 'md5';\nUPDATE flags SET token_required = 'f';\n\\i more.sql\nCOPY t FROM stdin;\nO'Brien\tpassword\n\\.\nSELECT 1;";
        assert_eq!(disguise.sql(sql), sql);
        assert_eq!(disguise.count(), 0);
    }

    #[test]
    fn variables_that_hold_passwords_are_followed() {
        let mut disguise = Disguise::default();
        let script = "\\set who svc\n\\set pw hunter22\nALTER ROLE :who PASSWORD :'pw';\n";
        disguise.learn_variables(script);
        assert_eq!(disguise.sql(script), script.replace("hunter22", "made_up_password_1"));
        assert_eq!(disguise.named("pw", "hunter22"), "made_up_password_1");
        assert_eq!(disguise.named("who", "hunter22"), "hunter22");
    }

    #[test]
    fn words_of_the_schema_stay() {
        let mut disguise = Disguise::default();
        disguise.spare_words_of("CREATE TABLE orders (id int);");
        let made = disguise.sql("ALTER ROLE a PASSWORD 'orders'; SELECT FROM orders;");
        assert_eq!(
            disguise.everywhere(&made),
            "ALTER ROLE a PASSWORD 'made_up_password_1'; SELECT FROM orders;"
        );
    }

    #[test]
    fn lines_stay_where_they_were() {
        let mut disguise = Disguise::default();
        let sql = "/* the password\n is s3cret */ SELECT 1;\n-- password s3cret\nCOPY t FROM stdin;\nO'Brien -- password\n\\.\nALTER ROLE r\n  PASSWORD 's3cret';\nSELECT 2;\n";
        let made = disguise.sql(sql);
        let made = disguise.everywhere(&made);
        assert_eq!(made.lines().count(), sql.lines().count(), "{made}");
        assert!(!made.contains("s3cret") && made.contains("O'Brien -- password"), "{made}");
    }
}
