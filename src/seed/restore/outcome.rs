//! What a statement that failed comes to: an error, something to note, or nothing.

use super::error::statement_error;
use super::{RestoreError, Restoring, UNDEFINED_OBJECT, called};
use crate::dump::{Item, Word, words};
use crate::observations::Skipped;
use crate::postgres::QueryFailure;

/// SQLSTATE `duplicate_object`: among others, a role that exists already.
const DUPLICATE_OBJECT: &str = "42710";
/// SQLSTATE `duplicate_schema`.
const DUPLICATE_SCHEMA: &str = "42P06";
/// SQLSTATE `invalid_catalog_name`: a database that does not exist.
const NO_DATABASE: &str = "3D000";
/// SQLSTATEs of a role that cannot be dropped, since the server needs it or one is it:
/// `dependent_objects_still_exist`, `object_in_use`.
const STILL_NEEDED: [&str; 2] = ["2BP01", "55006"];
/// SQLSTATEs of an extension or a language whose files are not installed: `feature_not_supported`,
/// `undefined_file`.
const NO_FILES: [&str; 2] = ["0A000", "58P01"];
/// SQLSTATEs of something that is not there: an object, table, function, column, schema; or whose type is only
/// announced (`wrong_object_type`).
const NOT_THERE: [&str; 6] = [UNDEFINED_OBJECT, "42P01", "42883", "42703", "3F000", "42809"];

impl Restoring<'_, '_> {
    /// Judges a statement that failed.
    pub(super) fn failed(&mut self, item: &Item<'_>, failure: QueryFailure) -> Result<(), RestoreError> {
        let words = words(item.text);
        let code = failure.sqlstate.as_str();
        let not_there = NOT_THERE.contains(&code);
        let is_there = is_in_every_database(&words) && [DUPLICATE_OBJECT, DUPLICATE_SCHEMA].contains(&code);
        if is_there || self.is_bootstrap_again(&words, code) || (drops(&words) && not_there) {
            return Ok(());
        }
        match self.left_out(item, &words, code) {
            Some(object) => self.restore.skipped.push(Skipped { object, error: failure.message }),
            None => return Err(statement_error(self.dump, Some(item), failure)),
        }
        Ok(())
    }

    /// What the clone can do without, by what it is called.
    fn left_out(&mut self, item: &Item<'_>, words: &[Word], code: &str) -> Option<String> {
        if code == NO_DATABASE {
            return Some(called(item));
        }
        if code == UNDEFINED_OBJECT
            && let Some(setting) = setting(words)
        {
            return Some(format!("setting {setting}"));
        }
        if self.restore.skip_missing_extensions
            && NO_FILES.contains(&code)
            && let Some(what) = missing(words)
        {
            self.incomplete = true;
            return Some(what);
        }
        (self.incomplete && NOT_THERE.contains(&code)).then(|| called(item))
    }

    /// `CREATE ROLE postgres;` of `pg_dumpall`, and its `DROP ROLE postgres;`, where that role owns the catalogs.
    fn is_bootstrap_again(&self, words: &[Word], code: &str) -> bool {
        let [verb, role, rest @ ..] = words else {
            return false;
        };
        let named = rest.iter().any(|word| word.identifier() == Some(self.restore.bootstrap.as_str()));
        named
            && (role.is("role") || role.is("user"))
            && ((verb.is("create") && code == DUPLICATE_OBJECT)
                || (verb.is("drop") && STILL_NEEDED.contains(&code)))
    }
}

/// Whether a statement creates what every new database has: the schema `public`, the language `plpgsql`.
fn is_in_every_database(words: &[Word]) -> bool {
    let creates = words.first().is_some_and(|word| word.is("create"));
    let schema =
        matches!(words, [_, schema, name, ..] if schema.is("schema") && name.identifier() == Some("public"));
    let language = missing(words).is_some_and(|what| what.ends_with(" plpgsql"));
    creates && (schema || language)
}

/// Whether a statement takes something away, as `pg_dump --clean` does before it makes it anew.
fn drops(words: &[Word]) -> bool {
    let first = |keyword: &str| words.first().is_some_and(|word| word.is(keyword));
    first("drop") || (first("alter") && words.iter().any(|word| word.is("drop")))
}

/// The setting that a statement sets for a session, a role or a database.
fn setting(words: &[Word]) -> Option<&str> {
    let has_settings =
        |word: &Word| ["role", "user", "database", "system"].iter().any(|keyword| word.is(keyword));
    let at = match words {
        [set, ..] if set.is("set") => 0,
        [alter, object, ..] if alter.is("alter") && has_settings(object) => {
            words.iter().position(|word| word.is("set"))?
        }
        _ => return None,
    };
    let mut rest = words.iter().skip(at + 1).skip_while(|word| word.is("session") || word.is("local"));
    rest.next().and_then(Word::identifier)
}

/// The extension or language that a statement creates.
fn missing(words: &[Word]) -> Option<String> {
    let (create, rest) = words.split_first()?;
    let at = rest.iter().position(|word| word.is("extension") || word.is("language"))?;
    // `CREATE FUNCTION … LANGUAGE x` comes here too, and makes no language.
    let makes =
        |word: &Word| ["or", "replace", "trusted", "procedural"].iter().any(|keyword| word.is(keyword));
    if !create.is("create") || !rest.iter().take(at).all(makes) {
        return None;
    }
    let passed = |word: &&Word| ["if", "not", "exists"].iter().any(|keyword| word.is(keyword));
    let name = rest.iter().skip(at + 1).find(|word| !passed(word))?.identifier()?;
    Some(format!("{} {name}", rest.get(at)?.identifier()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_wherever_they_are_set() {
        let of = |statement: &str| setting(&words(statement)).map(str::to_owned);
        assert_eq!(of("SET transaction_timeout = 0").as_deref(), Some("transaction_timeout"));
        assert_eq!(of("ALTER ROLE a IN DATABASE b SET x TO 'y'").as_deref(), Some("x"));
        assert_eq!(of("ALTER DATABASE b SET \"a.b\" TO 'y'").as_deref(), Some("a.b"));
        assert_eq!(of("ALTER TABLE a SET SCHEMA b"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |statement: &str| missing(&words(statement));
        let postgis = "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA a";
        assert_eq!(of(postgis).as_deref(), Some("extension postgis"));
        let perl = "CREATE OR REPLACE PROCEDURAL LANGUAGE plperl";
        assert_eq!(of(perl).as_deref(), Some("language plperl"));
        assert_eq!(of("CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS ''"), None);
        for there in ["CREATE SCHEMA public", "CREATE LANGUAGE plpgsql", "CREATE EXTENSION plpgsql"] {
            assert!(is_in_every_database(&words(there)), "{there}");
        }
        assert!(!is_in_every_database(&words("CREATE SCHEMA publicity")));
    }
}
