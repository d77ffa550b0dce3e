//! What a statement that failed comes to: an error, something to note, or nothing.

use super::error::statement_error;
use super::{INVALID_VALUE, RestoreError, Restoring, UNDEFINED_OBJECT, called};
use crate::dump::{Item, ItemKind, Word, words};
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
/// SQLSTATE `in_failed_sql_transaction`.
const ABORTED: &str = "25P02";
/// SQLSTATE `syntax_error`: among others, a parameter of a subscription that an older server does not know.
const SYNTAX: &str = "42601";
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
        let first_drops = item.line < self.drops_until && replaces_view(&words);
        let is_gone = (drops(&words) || first_drops) && not_there;
        if is_gone {
            if self.by_hand {
                // psql goes on, and so do those who run such a file.
                let error = failure.message.clone();
                self.restore.skipped.push(Skipped { object: called(item), error });
            }
            self.not_dropped = Some(statement_error(self.dump, Some(item), failure));
            return Ok(());
        }
        if is_there || self.is_bootstrap_again(&words, code) {
            return Ok(());
        }
        // In a transaction it takes everything after it along.
        if code == ABORTED
            && let Some(error) = self.not_dropped.take()
        {
            return Err(error);
        }
        // Those that `pg_dump` begins with say nothing of the clone.
        if not_there && words.first().is_some_and(|set| set.is("set")) && is_timeout(&words) {
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
        if [UNDEFINED_OBJECT, INVALID_VALUE].contains(&code)
            && let Some(setting) = setting(words)
        {
            return Some(format!("setting {setting}"));
        }
        if code == INVALID_VALUE && alters_options(words) {
            return Some(called(item));
        }
        if [UNDEFINED_OBJECT, SYNTAX].contains(&code)
            && words.iter().take(3).any(|word| word.is("subscription"))
        {
            let creates = words.first().is_some_and(|word| word.is("create"));
            let name = words.get(2).and_then(Word::identifier).unwrap_or_default();
            return Some(if creates { format!("subscription {name}") } else { called(item) });
        }
        // One whose files are there may need a library that the server was not started with.
        let extension = words.iter().take(2).map(Word::identifier).eq([Some("create"), Some("extension")]);
        if self.restore.skip_missing_extensions
            && (extension || NO_FILES.contains(&code))
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

/// The line on which a dump begins to make what it has dropped before (`pg_dump --clean`); 0 where it drops nothing.
pub(super) fn drops_until(items: &[Item<'_>]) -> usize {
    let mut any = false;
    for item in items {
        if item.kind == ItemKind::Command {
            continue;
        }
        let words = words(item.text);
        let passed = words.first().is_some_and(|word| word.is("set") || word.is("select"));
        any |= drops(&words);
        if !passed && !drops(&words) && !replaces_view(&words) {
            return if any { item.line } else { 0 };
        }
    }
    0
}

/// `CREATE OR REPLACE VIEW`, which takes the place of a `DROP` where things need each other in a circle: what needs
/// the view goes first, and the view is dropped after it.
fn replaces_view(words: &[Word]) -> bool {
    let wanted = ["create", "or", "replace", "view"];
    words.len() > wanted.len() && words.iter().zip(wanted).all(|(word, wanted)| word.is(wanted))
}

/// Whether a statement changes the options in parentheses of an object or a column.
fn alters_options(words: &[Word]) -> bool {
    let is_set = |pair: &[Word]| matches!(pair, [set, Word::Sign('(')] if set.is("set"));
    words.first().is_some_and(|word| word.is("alter")) && words.windows(2).any(is_set)
}

/// Whether a statement sets one of the times after which a server gives up.
fn is_timeout(words: &[Word]) -> bool {
    setting(words).is_some_and(|name| name.ends_with("_timeout"))
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
    // `SET ROLE` and `SET SESSION AUTHORIZATION` are no settings.
    rest.next().and_then(Word::identifier).filter(|name| !["role", "authorization"].contains(name))
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
    use crate::dump::split;

    #[test]
    fn settings_are_found_wherever_they_are_set() {
        let of = |statement: &str| setting(&words(statement)).map(str::to_owned);
        assert_eq!(of("SET transaction_timeout = 0").as_deref(), Some("transaction_timeout"));
        assert_eq!(of("ALTER ROLE a IN DATABASE b SET x TO 'y'").as_deref(), Some("x"));
        assert_eq!(of("ALTER DATABASE b SET \"a.b\" TO 'y'").as_deref(), Some("a.b"));
        assert_eq!(of("ALTER TABLE a SET SCHEMA b"), None);
    }

    #[test]
    fn drops_are_what_a_dump_begins_with() {
        let until = |text: &str| drops_until(&split(text).unwrap());
        let clean = "SET a = 1;\nDROP TABLE a;\nCREATE OR REPLACE VIEW b AS SELECT 1;\n\\connect c\nDROP VIEW b;\n\
                     CREATE TABLE a ();\nCREATE OR REPLACE VIEW b AS SELECT 1;";
        assert_eq!(until(clean), 6);
        assert_eq!(until("CREATE OR REPLACE VIEW b AS SELECT 1;\nCREATE TABLE a ();"), 0);
    }

    #[test]
    fn becoming_a_role_is_no_setting() {
        assert_eq!(setting(&words("SET SESSION AUTHORIZATION 'a'")), None);
        assert_eq!(setting(&words("SET LOCAL ROLE a")), None);
        assert!(alters_options(&words("ALTER TABLE ONLY a ALTER COLUMN b SET (c=1)")));
        assert!(!alters_options(&words("ALTER TABLE a SET SCHEMA b")));
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
