//! The statements that the roles really run, from `pg_stat_statements`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::client::Client;
use super::constants::parametrised;
use super::facts::{ServerFacts, one, within};
use crate::postgres::conninfo::Conninfo;

const STATEMENTS: &str = include_str!("statements.sql");
/// What a role without `pg_read_all_stats` sees of the statements of others (PostgreSQL manual, F.32.1).
const HIDDEN: &str = "<insufficient privilege>";

/// `statements.json`.
#[derive(Debug, Serialize)]
pub(super) struct Statements {
    /// The server's version.
    postgres: String,
    /// The database that they ran in.
    database: String,
    /// When they were read.
    captured_at: String,
    /// Since when they are counted, where the version tells.
    since: Option<String>,
    /// Statements whose text could not be seen.
    pub(super) hidden: usize,
    /// The others, the most called first.
    pub(super) statements: Vec<Statement>,
}

/// What one role ran.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Statement {
    role: String,
    /// Its constants are parameters.
    query: String,
    calls: u64,
    /// Rows of all calls together.
    rows: u64,
    /// Milliseconds of one call.
    mean_ms: f64,
    /// False: it was run by a function or a trigger.
    toplevel: bool,
}

#[derive(Deserialize)]
struct Answer {
    since: Option<String>,
    rows: Vec<Row>,
}

/// A row of the view. The execution times have the second names in versions of the extension before 1.8, and those
/// before 1.9 count only what a client sent.
#[derive(Deserialize)]
struct Row {
    role: String,
    query: Option<String>,
    calls: u64,
    rows: u64,
    #[serde(alias = "total_time")]
    total_exec_time: f64,
    toplevel: Option<bool>,
}

/// Reads them; none where the extension is not there.
pub(super) async fn read(
    client: &Client,
    from: &Conninfo,
    server: &ServerFacts,
) -> Result<Option<Statements>, CaptureError> {
    let answer: Option<Answer> = one(&client.psql(from, &within(STATEMENTS)).await?)?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let (hidden, statements) = summed(answer.rows);
    Ok(Some(Statements {
        postgres: server.version.clone(),
        database: server.database.clone(),
        captured_at: server.captured_at.clone(),
        since: answer.since,
        hidden,
        statements,
    }))
}

/// Statements that differ in constants only are one.
fn summed(rows: Vec<Row>) -> (usize, Vec<Statement>) {
    let mut hidden = 0;
    // Calls, rows and milliseconds of each.
    let mut sums: BTreeMap<(String, String, bool), (u64, u64, f64)> = BTreeMap::new();
    for row in rows {
        let Some(query) = row.query.filter(|query| query != HIDDEN) else {
            hidden += 1;
            continue;
        };
        let sum = sums.entry((row.role, parametrised(&query), row.toplevel.unwrap_or(true))).or_default();
        *sum = (sum.0 + row.calls, sum.1 + row.rows, sum.2 + row.total_exec_time);
    }
    let statement = |((role, query, toplevel), (calls, rows, ms)): (_, (u64, u64, f64))| {
        // Precise enough up to 2^53 calls.
        let mean_ms = if calls == 0 { 0.0 } else { (ms / calls as f64 * 1000.0).round() / 1000.0 };
        Statement { role, query, calls, rows, mean_ms, toplevel }
    };
    let mut statements: Vec<Statement> = sums.into_iter().map(statement).collect();
    statements.sort_by_key(|statement| std::cmp::Reverse(statement.calls));
    (hidden, statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_differ_in_constants_are_summed() {
        let row = |query: &str, calls: u64| Row {
            role: "svc".to_owned(),
            query: Some(query.to_owned()),
            calls,
            rows: calls,
            total_exec_time: 6.0,
            toplevel: None,
        };
        let rows = vec![row("SET a.b = 'x'", 1), row("SELECT 1", 9), row("SET a.b = 'y'", 2), row(HIDDEN, 1)];
        let (hidden, statements) = summed(rows);
        let told: Vec<_> =
            statements.iter().map(|one| (one.query.as_str(), one.calls, one.rows, one.mean_ms)).collect();
        assert_eq!((hidden, told), (1, vec![("SELECT 1", 9, 9, 0.667), ("SET a.b = $1", 3, 3, 4.0)]));
    }
}
