//! `schema.sql` and `roles.sql`: what pg_dump and pg_dumpall write, without what is hidden or secret.

use std::time::Duration;

use super::CaptureError;
use super::client::Client;
use super::facts::{ServerFacts, Unseen};
use super::sections::{Object, without};
use crate::identifiers::quote_identifier;
use crate::postgres::conninfo::Conninfo;
use crate::secrets::{Masked, mask};

/// How long pg_dump waits for a table that somebody has locked.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// A dump, and what its program had to say.
pub(super) struct Dump {
    pub(super) masked: Masked,
    /// The lines of its standard error.
    pub(super) warnings: Vec<String>,
}

/// Dumps the schema, the database with it.
pub(super) async fn schema(
    client: &Client,
    from: &Conninfo,
    server: &ServerFacts,
    unseen: &Unseen,
) -> Result<Dump, CaptureError> {
    let mut arguments = vec!["--schema-only".to_owned(), "--create".to_owned()];
    arguments.extend(unseen.relations.iter().map(excluded));
    let printed = client.pg_dump(from, LOCK_TIMEOUT, &arguments).await?;
    let text = without(&printed.text, &unseen.objects);
    let text: String =
        text.split_inclusive('\n').filter_map(|line| understood(line, server.major())).collect();
    Ok(Dump { masked: mask(&text), warnings: printed.warnings })
}

/// Dumps the planner's statistics with the values of rows in them, which PostgreSQL 18 and newer can.
pub(super) async fn statistics(
    client: &Client,
    from: &Conninfo,
    unseen: &Unseen,
) -> Result<String, CaptureError> {
    let mut arguments = vec!["--statistics-only".to_owned()];
    arguments.extend(unseen.relations.iter().map(excluded));
    Ok(client.pg_dump(from, LOCK_TIMEOUT, &arguments).await?.text)
}

/// Dumps what belongs to no database: roles, tablespaces, privileges on parameters.
pub(super) async fn roles(client: &Client, from: &Conninfo, database: &str) -> Result<Dump, CaptureError> {
    let printed = client.pg_dumpall(from, database).await?;
    Ok(Dump { masked: mask(&printed.text), warnings: printed.warnings })
}

/// A pattern that is exactly this relation (PostgreSQL manual, psql, Patterns).
fn excluded(relation: &Object) -> String {
    format!("--exclude-table={}.{}", quote_identifier(&relation.schema), quote_identifier(&relation.name))
}

/// A line of pg_dump as a server of this version understands it, which an own pg_dump need not be at hand for.
fn understood(line: &str, server: u32) -> Option<String> {
    if server < 17 && line == "SET transaction_timeout = 0;\n" {
        return None;
    }
    if server < 16 && line.starts_with("CREATE SUBSCRIPTION ") {
        return Some(line.replace(", run_as_owner = true", ""));
    }
    if server < 15 && line.starts_with("CREATE DATABASE ") {
        return Some(line.replace(" LOCALE_PROVIDER = libc", ""));
    }
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_an_older_server_could_not_restore_are_adapted() {
        assert_eq!(understood("SET transaction_timeout = 0;\n", 16), None);
        assert_eq!(
            understood("CREATE DATABASE d WITH LOCALE_PROVIDER = libc LOCALE = 'C';\n", 14),
            Some("CREATE DATABASE d WITH LOCALE = 'C';\n".to_owned())
        );
    }
}
