//! Which objects workers were denied: an error message gives a name without its schema.

use super::ask::ask;
use crate::identifiers::{WorkerName, quote_literal};
use crate::observations::{Denied, WorkerObservation};
use crate::postgres::{Login, Server};
use crate::state::Ask as _;

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

/// Objects of one kind of name, as GRANT names them (PostgreSQL manual, GRANT).
fn query(kind: &str, name: &str) -> Option<String> {
    let name = quote_literal(name);
    let relation = |kinds: &str, word: &str| {
        format!(
            "SELECT pg_catalog.format('{word} %I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = {name} AND c.relkind IN ({kinds}) AND n.nspname !~ '^pg_toast' ORDER BY 1"
        )
    };
    match kind {
        "table" | "view" | "materialized view" | "foreign table" => {
            Some(relation("'r', 'p', 'v', 'm', 'f'", "TABLE"))
        }
        "sequence" => Some(relation("'S'", "SEQUENCE")),
        "function" | "procedure" | "aggregate" => Some(format!(
            "SELECT pg_catalog.format('ROUTINE %s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc p \
             WHERE p.proname = {name} ORDER BY 1"
        )),
        "schema" => Some(format!("SELECT pg_catalog.format('SCHEMA %I', {name}::pg_catalog.text)")),
        "database" => Some(format!("SELECT pg_catalog.format('DATABASE %I', {name}::pg_catalog.text)")),
        _ => None,
    }
}

/// The objects that these workers were denied.
pub(super) async fn denied(workers: &[WorkerObservation], server: &Server, login: &Login) -> Vec<Denied> {
    let said: Vec<(&WorkerName, String)> = workers
        .iter()
        .filter_map(|worker| {
            let probes = worker.existing_session.iter().chain([&worker.new_session]);
            let mut failures = probes.filter_map(|probe| probe.failure.as_ref());
            let failure = failures
                .find(|failure| failure.sqlstate.as_ref().is_some_and(|code| code.as_str() == DENIED))?;
            // Messages are in English in a sandbox, whatever the original's are.
            let (kind, name) = failure.message.strip_prefix("permission denied for ")?.rsplit_once(' ')?;
            Some((&worker.name, query(kind, name.trim_matches('"'))?))
        })
        .collect();
    if said.is_empty() {
        return Vec::new();
    }
    let mut denied = Vec::new();
    // What was answered until then is worth keeping.
    let _ = ask(server, login, async |session| {
        for (worker, query) in said {
            for row in session.ask(&query).await.unwrap_or_default() {
                let object = row.into_iter().next().flatten();
                denied.extend(object.map(|object| Denied { worker: worker.clone(), object }));
            }
        }
        Ok(())
    })
    .await;
    denied
}
