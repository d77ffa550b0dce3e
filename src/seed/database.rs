//! The clone's database: by the dump's own statement where it has one (`pg_dump --create`), so that encoding and
//! locale are the original's. Where the server's spare database is what is wanted, it is renamed, which takes no
//! time. No spare database stays.

use super::{MAINTENANCE_DATABASE, SeedPlan, tablespaces};
use crate::dump::{DatabaseStated, PlainDump, Word, database_stated, split, words_at};
use crate::identifiers::quote_literal;
use crate::observations::Skipped;
use crate::postgres::{QueryFailure, SPARE_DATABASE, Session};

/// Creates the database of a plan, unless it is the one that every server has.
pub(super) async fn create(
    plan: &SeedPlan,
    schema: &[PlainDump],
    root: &Session,
    skipped: &mut Vec<Skipped>,
) -> Result<(), QueryFailure> {
    let name = plan.database.quoted();
    let is_there = plan.database.as_str() == MAINTENANCE_DATABASE;
    let stated = stated(plan, schema);
    let spare = spare(root).await?;
    if let Some(spare) = &spare {
        let fits = stated.as_ref().is_none_or(|(_, stated)| stated.is_had_by(spare));
        if fits && !is_there && plan.database.as_str() != SPARE_DATABASE {
            return root.run(&format!("ALTER DATABASE {SPARE_DATABASE} RENAME TO {name}")).await.map(drop);
        }
        root.run(&format!("DROP DATABASE {SPARE_DATABASE}")).await?;
    }
    if is_there {
        return Ok(());
    }
    if let Some((statement, stated)) = stated {
        for tablespace in tablespaces_of(&statement) {
            tablespaces::make(root, &tablespace, skipped).await?;
        }
        let Err(failure) = root.run(&statement).await else {
            return Ok(());
        };
        // A newer pg_dump says the same of an older server's database in words that this one does not know.
        if !stated.otherwise && root.run(&in_old_words(&name, &stated)).await.is_ok() {
            return Ok(());
        }
        skipped.push(Skipped {
            object: format!("the locale and encoding of the database {}", plan.database),
            error: failure.message,
        });
    }
    let owner = plan.bootstrap.quoted();
    root.run(&format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0")).await.map(drop)
}

/// The statement that creates the original's database, by the name that the clone gives it, and what it says.
fn stated(plan: &SeedPlan, schema: &[PlainDump]) -> Option<(String, DatabaseStated)> {
    let items = schema.iter().flat_map(|dump| split(&dump.text).unwrap_or_default());
    let mut all: Vec<_> = items.filter_map(|item| Some((item.text, database_stated(item.text)?))).collect();
    // The dump of a whole server has several.
    let at = all.iter().position(|(_, stated)| stated.name == plan.database).unwrap_or(0);
    if at >= all.len() {
        return None;
    }
    let (statement, stated) = all.swap_remove(at);
    let (range, _) = words_at(statement).into_iter().nth(2)?;
    let (before, after) = (statement.get(..range.start)?, statement.get(range.end..)?);
    Some((format!("{before}{}{after}", plan.database.quoted()), stated))
}

/// `CREATE DATABASE` as every version understands it.
fn in_old_words(name: &str, stated: &DatabaseStated) -> String {
    let mut statement = format!("CREATE DATABASE {name} TEMPLATE template0");
    for (option, value) in
        [("ENCODING", &stated.encoding), ("LC_COLLATE", &stated.collate), ("LC_CTYPE", &stated.ctype)]
    {
        if let Some(value) = value {
            statement.push_str(&format!(" {option} {}", quote_literal(value)));
        }
    }
    statement
}

/// The tablespaces that a statement names.
fn tablespaces_of(statement: &str) -> Vec<String> {
    let words = words_at(statement);
    let named = words.windows(3).filter_map(|three| match three {
        [(_, tablespace), (_, Word::Sign('=')), (_, name)] if tablespace.is("tablespace") => {
            name.identifier().map(str::to_owned)
        }
        _ => None,
    });
    named.collect()
}

/// What the spare database is like, where the server has one: official images do not.
async fn spare(root: &Session) -> Result<Option<DatabaseStated>, QueryFailure> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype) \
         FROM pg_catalog.pg_database WHERE datname = '{SPARE_DATABASE}'"
    );
    let Some(row) = root.run(&sql).await?.value.flatten() else {
        return Ok(None);
    };
    let (encoding, collate, ctype) = serde_json::from_str(&row).unwrap_or_default();
    Ok(Some(DatabaseStated {
        name: crate::identifiers::DatabaseName::new(SPARE_DATABASE),
        encoding: Some(encoding),
        collate: Some(collate),
        ctype: Some(ctype),
        otherwise: false,
    }))
}
