//! The few facts of a dump that are needed before, or beside, restoring it.

use crate::identifiers::{DatabaseName, RoleName};

use super::script::split;
use super::words::{Word, words, words_at};

/// What a dump says of where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpFacts {
    /// Major version of the server that was dumped.
    pub major: Option<u32>,
    /// The database, where the dump names it (`pg_dump --create`).
    pub database: Option<DatabaseName>,
}

impl DumpFacts {
    /// Reads them from the text of a plain dump. The version is in a comment that `pg_dump` writes at
    /// the top, `-- Dumped from database version 15.18 (…)`.
    pub fn read(text: &str) -> Self {
        let major = text
            .lines()
            .take(60)
            .find_map(|line| line.strip_prefix("-- Dumped from database version "))
            .and_then(major_of);
        // The dump of a whole server makes those anew that every server has (`pg_dumpall --clean`).
        let stated: Vec<_> = databases_stated(text).collect();
        let own = stated.iter().find(|name| !every_server_has(name.as_str()));
        Self { major, database: own.or(stated.first()).cloned() }
    }
}

/// Whether `initdb` makes a database of this name (PostgreSQL manual, 22.3).
pub fn every_server_has(database: &str) -> bool {
    ["postgres", "template0", "template1"].contains(&database)
}

/// The databases that a dump creates: that of a whole server has several.
pub fn databases_stated(text: &str) -> impl Iterator<Item = DatabaseName> {
    // The texts of functions and comments have lines that look the same. Of a dump that has lost its end the whole
    // is a loss; that is found later.
    let items = if text.contains("CREATE DATABASE ") { split(text) } else { Ok(Vec::new()) };
    let items = items.unwrap_or_default().into_iter();
    items.filter_map(|item| database_stated(item.text)).map(|stated| stated.name)
}

/// The major version in a text like `15.18 (Debian …)`.
pub(super) fn major_of(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What a statement that creates a database says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStated {
    /// Its name.
    pub name: DatabaseName,
    /// `ENCODING`.
    pub encoding: Option<String>,
    /// `LC_COLLATE`, or `LOCALE`.
    pub collate: Option<String>,
    /// `LC_CTYPE`, or `LOCALE`.
    pub ctype: Option<String>,
    /// Whether it says anything else than that and that the template is `template0`.
    pub otherwise: bool,
}

impl DatabaseStated {
    /// Whether a database is all that the statement asks for, but for its name.
    pub fn is_had_by(&self, database: &Self) -> bool {
        let fits = |wanted: &Option<String>, had: &Option<String>| wanted.is_none() || wanted == had;
        !self.otherwise
            && fits(&self.encoding, &database.encoding)
            && fits(&self.collate, &database.collate)
            && fits(&self.ctype, &database.ctype)
    }
}

/// Reads `CREATE DATABASE`, as `pg_dump --create` writes it.
pub fn database_stated(statement: &str) -> Option<DatabaseStated> {
    let words = words(statement);
    let [create, database, name, rest @ ..] = words.as_slice() else {
        return None;
    };
    if !(create.is("create") && database.is("database")) {
        return None;
    }
    let mut stated = DatabaseStated {
        name: DatabaseName::new(name.identifier()?),
        encoding: None,
        collate: None,
        ctype: None,
        otherwise: false,
    };
    let rest = rest.strip_prefix(&[Word::Bare("with".to_owned())]).unwrap_or(rest);
    for option in rest.chunks(3) {
        let [Word::Bare(key), Word::Sign('='), value] = option else {
            stated.otherwise = true;
            break;
        };
        let text = match value {
            Word::Text(text) | Word::Bare(text) | Word::Quoted(text) => text.clone(),
            Word::Number(_) | Word::Sign(_) => String::new(),
        };
        match key.as_str() {
            "encoding" => stated.encoding = Some(text),
            "lc_collate" => stated.collate = Some(text),
            "lc_ctype" => stated.ctype = Some(text),
            "locale" => (stated.collate, stated.ctype) = (Some(text.clone()), Some(text)),
            "template" if text == "template0" => {}
            "locale_provider" if text == "libc" => {}
            _ => stated.otherwise = true,
        }
    }
    Some(stated)
}

/// The password that a statement gives to a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedPassword {
    /// The role.
    pub role: RoleName,
    /// The clear text; none when the statement stores a hash or removes the password.
    pub clear: Option<String>,
}

/// Reads the password out of `CREATE` or `ALTER` `ROLE`, `USER` or `GROUP`.
pub fn stated_password(statement: &str) -> Option<StatedPassword> {
    let words = words(statement);
    let [verb, object, role, ..] = words.as_slice() else {
        return None;
    };
    if !(verb.is("create") || verb.is("alter")) || !(object.is("role") || object.is("user")) {
        return None;
    }
    let role = RoleName::new(role.identifier()?);
    let at = words.iter().position(|word| word.is("password"))?;
    let clear = match words.get(at + 1)? {
        Word::Text(text) if !is_hash(text) => Some(text.clone()),
        _ => None,
    };
    Some(StatedPassword { role, clear })
}

/// The statement with a hash of nothing in the place of the one that it stores for a role, of the same kind; none
/// where it stores no hash. Those of the original have no business in a clone: every role gets a password of its own.
pub fn without_stored_hash(statement: &str) -> Option<String> {
    stated_password(statement).filter(|stated| stated.clear.is_none())?;
    let words = words_at(statement);
    let at = words.iter().position(|(_, word)| word.is("password"))? + 1;
    let (range, Word::Text(hash)) = words.get(at)? else {
        return None;
    };
    let nothing = nothing_stored(hash)?;
    let (before, after) = (statement.get(..range.start)?, statement.get(range.end..)?);
    Some(format!("{before}'{nothing}'{after}"))
}

/// What stores nothing, of the kind of a stored password; none where a text is no such.
pub fn nothing_stored(text: &str) -> Option<&'static str> {
    is_hash(text).then_some(if text.starts_with("md5") { NO_MD5 } else { NO_SCRAM })
}

/// Stored passwords of both kinds that no password fits.
const NO_MD5: &str = "md500000000000000000000000000000000";
const NO_SCRAM: &str = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$\
                        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Whether PostgreSQL takes the text for an already hashed password (`get_password_type` in its
/// `src/backend/libpq/crypt.c`).
fn is_hash(text: &str) -> bool {
    let md5 =
        text.len() == 35 && text.starts_with("md5") && text.chars().skip(3).all(|c| c.is_ascii_hexdigit());
    md5 || text.starts_with("SCRAM-SHA-256$")
}

/// The roles that a statement of a schema names, in every place where the grammar has a role.
pub fn roles_named(statement: &str) -> Vec<RoleName> {
    let words = words(statement);
    let mut roles = Vec::new();
    let keyword_at = |at: usize, keyword: &str| words.get(at).is_some_and(|word| word.is(keyword));
    let starts = |keyword: &str| keyword_at(0, keyword);
    let role_statement =
        ["grant", "revoke", "alter", "create", "set", "reassign", "comment"].iter().any(|verb| starts(verb));
    if !role_statement {
        return roles;
    }
    let role_keyword = |at: usize| keyword_at(at, "role") || keyword_at(at, "user");
    for at in 0..words.len() {
        let begins_list = (keyword_at(at, "to") && {
            // `ALTER … OWNER TO`, `GRANT … TO`, `CREATE POLICY … TO`; not `RENAME TO`, `SET x TO`.
            starts("grant")
                || (at > 0 && keyword_at(at - 1, "owner"))
                || (keyword_at(1, "policy") && (starts("create") || starts("alter")))
                || (starts("alter") && keyword_at(1, "default"))
        }) || (keyword_at(at, "from") && (starts("revoke") || keyword_at(1, "default")))
            || (keyword_at(at, "authorization") && !keyword_at(at.saturating_sub(1), "reset"))
            || (keyword_at(at, "role") && at > 0 && keyword_at(at - 1, "for"))
            || (keyword_at(at, "user") && at > 0 && keyword_at(at - 1, "for"))
            || (keyword_at(at, "for") && keyword_at(1, "user") && keyword_at(2, "mapping"))
            || (keyword_at(at, "by") && at > 0 && keyword_at(at - 1, "granted"))
            || (at == 1 && starts("alter") && role_keyword(at) && !keyword_at(2, "mapping"))
            || (at == 1 && starts("set") && keyword_at(at, "role"))
            || (at == 2 && starts("comment") && role_keyword(at));
        if !begins_list {
            continue;
        }
        let mut next = at + 1;
        while let Some(word) = words.get(next) {
            if word.is("group") {
                next += 1;
                continue;
            }
            match word {
                Word::Quoted(name) => roles.push(RoleName::new(name)),
                Word::Bare(name) if !is_special(name) => roles.push(RoleName::new(name)),
                // `SET SESSION AUTHORIZATION 'name'`
                Word::Text(name) if keyword_at(at, "authorization") => roles.push(RoleName::new(name)),
                _ => {}
            }
            if words.get(next + 1) != Some(&Word::Sign(',')) {
                break;
            }
            next += 2;
        }
    }
    roles.sort();
    roles.dedup();
    roles
}

/// Words that stand for a role without being its name (PostgreSQL manual, GRANT), and the keyword that
/// may follow `FOR` in their place.
fn is_special(word: &str) -> bool {
    matches!(
        word,
        "public"
            | "current_user"
            | "session_user"
            | "current_role"
            | "default"
            | "user"
            | "role"
            | "all"
            | "none"
            | "to"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(statement: &str) -> Vec<String> {
        roles_named(statement).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn roles_are_found_wherever_the_grammar_has_them() {
        assert_eq!(named("ALTER TABLE public.t OWNER TO app_owner"), ["app_owner"]);
        assert_eq!(named("GRANT SELECT ON TABLE public.t TO a, \"B c\" WITH GRANT OPTION"), ["B c", "a"]);
        assert_eq!(named("GRANT g TO m WITH ADMIN OPTION GRANTED BY postgres"), ["m", "postgres"]);
        assert_eq!(named("REVOKE ALL ON SCHEMA s FROM PUBLIC, x"), ["x"]);
        assert_eq!(
            named("ALTER DEFAULT PRIVILEGES FOR ROLE deploy IN SCHEMA s GRANT SELECT ON TABLES TO r"),
            ["deploy", "r"]
        );
        assert_eq!(named("CREATE POLICY p ON t FOR SELECT TO tenant USING (true)"), ["tenant"]);
        assert_eq!(named("SET SESSION AUTHORIZATION team_lead"), ["team_lead"]);
        assert_eq!(named("CREATE SCHEMA s AUTHORIZATION boss"), ["boss"]);
        assert_eq!(named("ALTER ROLE svc IN DATABASE a SET search_path TO 'b'"), ["svc"]);
        assert_eq!(named("ALTER USER MAPPING FOR m SERVER s OPTIONS (a 'b')"), ["m"]);
        assert_eq!(named("COMMENT ON ROLE r IS 'to x'"), ["r"]);
        assert_eq!(named("SET ROLE boss"), ["boss"]);
    }

    #[test]
    fn names_that_are_no_roles_are_left_alone() {
        assert!(named("ALTER TABLE t RENAME TO u").is_empty());
        assert!(named("CREATE VIEW v AS SELECT 1 FROM t").is_empty());
        assert!(named("SET search_path TO public").is_empty());
        assert!(named("ALTER ROLE ALL SET work_mem TO '5MB'").is_empty());
        assert!(named("SET ROLE NONE").is_empty());
        let body = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN GRANT a TO b; END$$";
        assert!(named(body).is_empty());
    }

    #[test]
    fn passwords_in_the_clear_are_told_from_hashes() {
        let stated = stated_password("ALTER ROLE a WITH LOGIN PASSWORD 'r3''port' VALID UNTIL 'infinity'");
        assert_eq!(stated.unwrap().clear.as_deref(), Some("r3'port"));
        let hash = "CREATE ROLE a PASSWORD 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
        assert_eq!(stated_password(hash).unwrap().clear, None);
        assert_eq!(stated_password("ALTER ROLE a SET work_mem TO '1MB'"), None);
    }

    #[test]
    fn hashes_of_the_original_are_replaced_by_some_of_their_kind() {
        let md5 = "ALTER ROLE a WITH LOGIN PASSWORD 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' VALID UNTIL 'x'";
        let wanted = format!("ALTER ROLE a WITH LOGIN PASSWORD '{NO_MD5}' VALID UNTIL 'x'");
        assert_eq!(without_stored_hash(md5), Some(wanted));
        let scram = "CREATE ROLE a PASSWORD 'SCRAM-SHA-256$4096:a$b:c'";
        assert_eq!(without_stored_hash(scram), Some(format!("CREATE ROLE a PASSWORD '{NO_SCRAM}'")));
        assert_eq!(without_stored_hash("CREATE ROLE a PASSWORD 'in the clear'"), None);
        assert_eq!(without_stored_hash("ALTER ROLE a PASSWORD NULL"), None);
    }

    #[test]
    fn a_database_is_known_by_what_creates_it() {
        let spare = DatabaseStated {
            name: DatabaseName::new("spare"),
            encoding: Some("UTF8".to_owned()),
            collate: Some("C.UTF-8".to_owned()),
            ctype: Some("C.UTF-8".to_owned()),
            otherwise: false,
        };
        let fits = |statement: &str| database_stated(statement).map(|stated| stated.is_had_by(&spare));
        let dumped = "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8'";
        for (rest, wanted) in [
            ("", true),
            (" LOCALE = 'C.UTF-8'", true),
            (" LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8'", true),
            (" LC_COLLATE = 'C.UTF-8' LC_CTYPE = 'C.UTF-8'", true),
            (" LC_COLLATE = 'C.UTF-8' LC_CTYPE = 'de_DE.UTF-8'", false),
            (" LOCALE = 'en_US.UTF-8'", false),
            (" LOCALE_PROVIDER = icu LOCALE = 'C.UTF-8'", false),
            (" IS_TEMPLATE = true", false),
            (" CONNECTION LIMIT = 5", false),
        ] {
            assert_eq!(fits(&format!("{dumped}{rest}")), Some(wanted), "{rest}");
        }
        assert_eq!(fits("CREATE DATABASE a"), Some(true));
        assert_eq!(fits("CREATE TABLE a (i int)"), None);
    }

    #[test]
    fn the_version_and_the_database_are_read() {
        let text = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 16.4 (Debian 16.4-1)\nCREATE DATABASE \"My App\" WITH TEMPLATE = template0;\n";
        let facts = DumpFacts::read(text);
        assert_eq!(facts.major, Some(16));
        assert_eq!(facts.database, Some(DatabaseName::new("My App")));
        let whole = "CREATE DATABASE template1;\n\\connect template1\nCREATE DATABASE shop;\n";
        assert_eq!(DumpFacts::read(whole).database, Some(DatabaseName::new("shop")));
        let body = "COMMENT ON TABLE t IS '\nCREATE DATABASE b;\n';\n";
        assert_eq!(DumpFacts::read(body).database, None);
    }
}
