//! The statements that roles have run, as `thirdrun capture`, `pg_stat_statements` or a server's log has them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::PlanError;
use crate::capture::parametrised;
use crate::workers::duties::Ran;

/// Where capture puts them, beside the rehearsal file.
pub(super) const FILE_NAME: &str = "statements.json";
/// Fields of a line of `csvlog`: the role, and the message (PostgreSQL manual, 19.8.4).
const CSV_LOG: (usize, usize) = (1, 13);

/// What is needed of capture's file.
#[derive(Deserialize)]
struct Captured {
    statements: Vec<Row>,
}

/// A row of it, or of `pg_stat_statements` as CSV.
#[derive(Deserialize)]
struct Row {
    #[serde(alias = "rolname", alias = "usename", alias = "user")]
    role: String,
    query: String,
    #[serde(default = "once")]
    calls: u64,
    #[serde(default = "yes", deserialize_with = "truth")]
    toplevel: bool,
}

fn once() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// A boolean as JSON has it, or as psql prints it.
fn truth<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Bool(bool),
        Text(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::Bool(truth) => truth,
        Either::Text(text) => !matches!(text.as_str(), "f" | "false" | "off" | "0"),
    })
}

/// A line of `jsonlog`.
#[derive(Deserialize)]
struct Logged {
    user: Option<String>,
    #[serde(default)]
    message: String,
}

/// Where capture puts the jobs of pg_cron and pgAgent.
pub(super) const JOBS: &str = "jobs.json";

/// What is needed of it.
#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    name: String,
    role: Option<String>,
    command: String,
    #[serde(default = "yes")]
    active: bool,
}

/// The jobs of a file that somebody does.
pub(super) fn jobs(path: &Path, shown: &Path) -> Result<Vec<Ran>, PlanError> {
    let wrong = |message: String| PlanError::Usage {
        message,
        help: format!("`thirdrun capture` writes it as {JOBS}; without it nothing is known of jobs"),
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", shown.display())))?;
    let read: Jobs = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("{} does not tell jobs: {error}", shown.display())))?;
    let done = read.jobs.into_iter().filter(|job| job.active);
    let ran = done.filter_map(|job| {
        let name = Some(format!("job {}", job.name));
        Some(Ran { role: job.role?, name, query: job.command, calls: 0 })
    });
    Ok(ran.collect())
}

/// The statements of a file, the most called first. `shown` is the file as the user would name it.
pub(super) fn read(path: &Path, shown: &Path) -> Result<Vec<Ran>, PlanError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", shown.display())))?;
    let ran = parse(&text).map_err(|error| wrong(format!("{}: {error}", shown.display())))?;
    if ran.is_empty() {
        return Err(wrong(format!("{} has no statement of any role", shown.display())));
    }
    Ok(ran)
}

fn wrong(message: String) -> PlanError {
    PlanError::Usage {
        message,
        help: format!(
            "it may be {FILE_NAME} of `thirdrun capture`, CSV with the columns role, query and calls (as \
             `\\copy (SELECT r.rolname AS role, s.query, s.calls FROM pg_stat_statements s JOIN pg_roles r ON r.oid = \
             s.userid) TO 'statements.csv' CSV HEADER` writes it), or a server's log in csvlog or jsonlog format"
        ),
    }
}

fn parse(text: &str) -> Result<Vec<Ran>, String> {
    let first = text.trim_start();
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut add = |role: String, query: String, calls: u64| {
        *sums.entry((role, query)).or_default() += calls;
    };
    let rows = |rows: Vec<Row>| rows.into_iter().filter(|row| row.toplevel);
    if let Ok(captured) = serde_json::from_str::<Captured>(text) {
        rows(captured.statements).for_each(|row| add(row.role, row.query, row.calls));
    } else if first.starts_with('{') {
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let logged: Logged = serde_json::from_str(line)
                .map_err(|error| format!("line {number}: no line of jsonlog: {error}"))?;
            if let (Some(role), Some(query)) = (logged.user, logged_statement(&logged.message)) {
                add(role, parametrised(query), 1);
            }
        }
    } else {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut records = reader.records().enumerate();
        let header = match records.next() {
            Some((_, Ok(record))) => record,
            Some((_, Err(error))) => return Err(error.to_string()),
            None => return Ok(Vec::new()),
        };
        let has_header = header.iter().any(|field| field == "query");
        let log = |record: &csv::StringRecord| {
            let (role, message) = (record.get(CSV_LOG.0)?, record.get(CSV_LOG.1)?);
            Some((role.to_owned(), parametrised(logged_statement(message)?)))
        };
        if !has_header && header.len() <= CSV_LOG.1 {
            return Err("it is no format that is known here".to_owned());
        }
        if !has_header && let Some((role, query)) = log(&header) {
            add(role, query, 1);
        }
        for (_, record) in records {
            let record = record.map_err(|error| error.to_string())?;
            if has_header {
                let row: Row = record.deserialize(Some(&header)).map_err(|error| error.to_string())?;
                if row.toplevel {
                    add(row.role, row.query, row.calls);
                }
            } else if let Some((role, query)) = log(&record) {
                add(role, query, 1);
            }
        }
    }
    let mut ran: Vec<Ran> =
        sums.into_iter().map(|((role, query), calls)| Ran { role, name: None, query, calls }).collect();
    ran.sort_by_key(|one| std::cmp::Reverse(one.calls));
    Ok(ran)
}

/// The statement in a message of `log_statement` or `log_min_duration_statement`.
fn logged_statement(message: &str) -> Option<&str> {
    let message = match message.strip_prefix("duration: ") {
        Some(rest) => rest.split_once("  ")?.1,
        None => message,
    };
    if let Some(statement) = message.strip_prefix("statement: ") {
        return Some(statement);
    }
    // `execute NAME: …`; parse and bind are of the same statement.
    let (_, statement) = message.strip_prefix("execute ")?.split_once(": ")?;
    Some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, String, u64)> {
        parse(text).unwrap().into_iter().map(|one| (one.role, one.query, one.calls)).collect()
    }

    fn one(role: &str, query: &str, calls: u64) -> (String, String, u64) {
        (role.to_owned(), query.to_owned(), calls)
    }

    #[test]
    fn statements_are_read_in_every_format() {
        let captured = r#"{"postgres": "17.6", "statements": [
            {"role": "a", "query": "SELECT $1", "calls": 2, "toplevel": true},
            {"role": "a", "query": "inner", "calls": 9, "toplevel": false}]}"#;
        assert_eq!(told(captured), [one("a", "SELECT $1", 2)]);
        let csv = "rolname,calls,query,toplevel\na,3,\"SELECT \"\"x\"\", $1\",t\nb,4,SELECT 1,f\n";
        assert_eq!(told(csv), [one("a", "SELECT \"x\", $1", 3)]);
        let json = concat!(
            r#"{"timestamp":"t","user":"a","message":"statement: SELECT 4711"}"#,
            "\n",
            r#"{"user":"a","message":"duration: 1.2 ms  execute s1: SELECT 4712"}"#,
            "\n",
            r#"{"message":"checkpoint starting"}"#
        );
        assert_eq!(told(json), [one("a", "SELECT $1", 2)]);
        let line =
            |message: &str| format!("t,a,db,1,,s,1,SELECT,t,v,0,LOG,00000,\"{message}\",,,,,,,,,psql,b\n");
        let log = line("execute <unnamed>: DELETE FROM t WHERE a = $1") + &line("disconnection: x");
        assert_eq!(told(&log), [one("a", "DELETE FROM t WHERE a = $1", 1)]);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(parse("2026-01-01 LOG:  statement: SELECT 1\n").is_err());
        assert!(parse("{\"a\": 1}\nx").is_err());
    }
}
