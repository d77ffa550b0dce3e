//! The notes of a capture: what is not in it, why, and what would change that.

use super::facts::{Facts, Unseen};
use super::statements::Statements;
use crate::identifiers::quote_identifier;
use crate::secrets::Masked;

/// Names that a list has at most.
const NAMED: usize = 10;

/// What the role could not see, and what would let it.
pub(super) fn unseen(facts: &Facts) -> Option<String> {
    let Unseen { tables, relations, objects } = &facts.unseen;
    if tables.is_empty() {
        return None;
    }
    let names: Vec<_> = tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
    let role = quote_identifier(&facts.server.role);
    let grant = if facts.server.major() >= 14 {
        format!("GRANT pg_read_all_data TO {role}")
    } else {
        format!("GRANT USAGE ON SCHEMA … TO {role} and GRANT SELECT ON ALL TABLES IN SCHEMA … TO {role}")
    };
    let others = relations.len().saturating_sub(tables.len());
    let mut note = format!("left out, since {} may not read them: {}", facts.server.role, listed(&names));
    if others > 0 || !objects.is_empty() {
        note.push_str(", and what depends on them");
        let views: Vec<_> = relations
            .iter()
            .filter(|relation| !tables.contains(relation))
            .map(|relation| format!("{}.{}", relation.schema, relation.name))
            .collect();
        if !views.is_empty() {
            note.push_str(&format!(" ({})", listed(&views)));
        }
    }
    note.push_str(&format!("; {grant} lets it, or capture as a superuser"));
    Some(note)
}

/// What is missing of the statements.
pub(super) fn statements(facts: &Facts, statements: Option<&Statements>) -> Option<String> {
    let Some(statements) = statements else {
        return Some(
            "there is no statements.json: the database does not have the extension pg_stat_statements"
                .to_owned(),
        );
    };
    (statements.hidden > 0 && !facts.server.reads_all_stats).then(|| {
        format!(
            "{} of other roles stayed hidden from {}; GRANT pg_read_all_stats TO {} lets it see them",
            counted(statements.hidden, "statement"),
            facts.server.role,
            quote_identifier(&facts.server.role),
        )
    })
}

/// What became of the secrets in a dump, below a comment of so many lines.
pub(super) fn secrets(name: &str, masked: &Masked, above: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if masked.count > 0 {
        notes.push(format!("{name} has 'masked' in the place of {}", counted(masked.count, "secret")));
    }
    if !masked.suspicious.is_empty() {
        let lines: Vec<_> = masked.suspicious.iter().map(|number| (number + above).to_string()).collect();
        notes.push(format!(
            "{name} may hold a password in a text that is kept as it is, on line {}: look before you pass it on",
            listed(&lines)
        ));
    }
    notes
}

/// That the dump is in a newer dialect than the server's.
pub(super) fn newer_client(client: u32, server: u32) -> Option<String> {
    (client > server).then(|| {
        format!(
            "dumped by pg_dump {client}, which may write what a PostgreSQL {server} cannot restore; the package \
             postgresql-client-{server} has the right one"
        )
    })
}

/// So many of something.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// The first few of many.
fn listed(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", first.join(", ")) } else { first.join(", ") }
}
