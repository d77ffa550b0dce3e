//! The clone's database: by the dump's own statement where it has one (`pg_dump --create`), so that encoding and
//! locale are the original's. Where the server's spare database is what is wanted, it is renamed, which takes no
//! time. No spare database stays.

use super::{MAINTENANCE_DATABASE, SeedPlan};
use crate::dump::{DatabaseStated, database_stated, split};
use crate::observations::Skipped;
use crate::postgres::{QueryFailure, SPARE_DATABASE, Session};

/// Creates the database of a plan, unless it is the one that every server has.
pub(super) async fn create(
    plan: &SeedPlan,
    root: &Session,
    skipped: &mut Vec<Skipped>,
) -> Result<(), QueryFailure> {
    let name = plan.database.quoted();
    let is_there = plan.database.as_str() == MAINTENANCE_DATABASE;
    let items = plan.schema.iter().flat_map(|file| split(&file.text).unwrap_or_default());
    let stated = items
        .filter_map(|item| Some((item.text, database_stated(item.text)?)))
        .find(|(_, stated)| stated.name == plan.database);
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
    if let Some((statement, _)) = stated {
        match root.run(statement).await {
            Ok(_) => return Ok(()),
            Err(failure) => skipped.push(Skipped {
                object: format!("the locale and encoding of the database {}", plan.database),
                error: failure.message,
            }),
        }
    }
    let owner = plan.bootstrap.quoted();
    root.run(&format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0")).await.map(drop)
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
