//! Tablespaces of the original: their directories are not here, so that they lie in the server's own.

use crate::identifiers::quote_identifier;
use crate::observations::Skipped;
use crate::postgres::{QueryFailure, Session};

/// Makes a tablespace in place unless it is there. Every version from 13 on knows how in its present minor
/// release (PostgreSQL manual, 20.17, `allow_in_place_tablespaces`).
///
/// # Errors
/// When the server refuses.
pub(super) async fn make(
    session: &Session,
    name: &str,
    skipped: &mut Vec<Skipped>,
) -> Result<(), QueryFailure> {
    let there = format!(
        "SELECT FROM pg_catalog.pg_tablespace WHERE spcname = {}",
        crate::identifiers::quote_literal(name)
    );
    if session.run(&there).await?.rows > 0 {
        return Ok(());
    }
    session.run("SET allow_in_place_tablespaces = on").await?;
    session.run(&format!("CREATE TABLESPACE {} LOCATION ''", quote_identifier(name))).await?;
    skipped.push(Skipped {
        object: format!("the location of tablespace {name}"),
        error: "it lies in the sandbox's own directory".to_owned(),
    });
    Ok(())
}
