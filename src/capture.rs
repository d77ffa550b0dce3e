//! Captures a live database: what a clone of it needs, and nothing else.
//!
//! It only reads: its own queries run in a read-only transaction with timeouts, and pg_dump and pg_dumpall on
//! sessions that are read-only by default. No row is read; passwords are neither asked for nor written. What the
//! role may not see is left out, and said. Deliberately not here: what the workers are.

mod client;
mod constants;
mod directory;
mod dumps;
mod error;
mod facts;
mod jobs;
mod notes;
mod rehearsal;
mod sections;
mod statements;

pub(crate) use constants::parametrised;
pub(crate) use sections::without_named as without;

use std::path::PathBuf;
use std::time::Duration;

pub use crate::postgres::conninfo::{Conninfo, ConninfoError};
pub use error::CaptureError;

use client::Client;
use directory::Target;
use facts::Facts;
use notes::counted;
use rehearsal::line;

/// The rehearsal file, as `check` looks for it.
const REHEARSAL: &str = "thirdrun.toml";

/// What is to be captured, and where to.
#[derive(Debug, Clone)]
pub struct Request {
    /// The database, as psql's `-d` takes it.
    pub from: String,
    /// The new directory.
    pub out: PathBuf,
    /// Where the client programs are, if not where they are looked for.
    pub postgres_bin: Option<PathBuf>,
    /// Whether the planner's statistics may hold values of rows.
    pub sample_values: bool,
    /// When all is given up.
    pub timeout: Duration,
}

/// What was captured.
#[derive(Debug)]
pub struct Captured {
    /// The database.
    pub database: String,
    /// The server's version.
    pub version: String,
    /// The files, and what is in each.
    pub files: Vec<(&'static str, String)>,
    /// What was not captured, and what would have been needed for it.
    pub notes: Vec<String>,
}

/// Captures a database. `tell` hears what is being done.
///
/// # Errors
/// Nothing is written then, not even in part.
pub async fn capture(request: &Request, tell: impl Fn(&str)) -> Result<Captured, CaptureError> {
    let from = Conninfo::parse(&request.from).map_err(CaptureError::From)?;
    let target = Target::claim(&request.out)?;
    let clients = client::find(request.postgres_bin.as_deref());
    let newest = clients.first().ok_or_else(|| CaptureError::NoClient(request.postgres_bin.clone()))?;
    let work = async {
        tell("asking the server what there is and what can be read");
        let facts = facts::read(newest, &from).await?;
        if facts.server.major() < 13 {
            return Err(CaptureError::TooOld(facts.server.version));
        }
        let client = client::for_server(&clients, facts.server.major())?;
        let read = read(client, &from, request, &facts, &tell).await?;
        Ok((facts, read))
    };
    let (facts, read) = tokio::time::timeout(request.timeout, work)
        .await
        .map_err(|_| CaptureError::Deadline(request.timeout))??;
    let captured = Captured {
        database: facts.server.database.clone(),
        version: facts.server.version.clone(),
        files: read.files.iter().map(|file| (file.name, file.what.clone())).collect(),
        notes: read.notes,
    };
    let mut files: Vec<(&str, String)> = read.files.into_iter().map(|file| (file.name, file.text)).collect();
    files.push((REHEARSAL, rehearsal::render(&captured, &facts)));
    target.write(&files)?;
    Ok(captured)
}

/// One file of a capture.
struct File {
    name: &'static str,
    what: String,
    text: String,
}

struct Read {
    files: Vec<File>,
    notes: Vec<String>,
}

async fn read(
    client: &Client,
    from: &Conninfo,
    request: &Request,
    facts: &Facts,
    tell: impl Fn(&str),
) -> Result<Read, CaptureError> {
    let server = &facts.server;
    let mut notes = Vec::from_iter(notes::unseen(facts));
    tell("reading what pg_stat_statements has");
    // They come before the dumps, whose own statements would be among them. A clone is possible without.
    let statements = match statements::read(client, from, server).await {
        Ok(statements) => {
            notes.extend(notes::statements(facts, statements.as_ref()));
            statements
        }
        Err(error) => {
            notes.push(format!(
                "there is no statements.json, since pg_stat_statements could not be read: {error}"
            ));
            None
        }
    };
    // A clone is possible without.
    let jobs = jobs::read(client, from, server).await.unwrap_or_else(|error| {
        notes.push(format!(
            "there is no jobs.json, since the jobs of the database could not be read: {error}"
        ));
        None
    });
    tell(&format!("dumping the roles and the schema with pg_dump {}", client.major));
    let roles = dumps::roles(client, from, &server.database).await?;
    let schema = dumps::schema(client, from, server, &facts.unseen).await?;
    notes.extend(notes::newer_client(client.major, server.major()));
    notes.extend(roles.warnings.iter().chain(&schema.warnings).map(|said| format!("said by {said}")));
    for (name, masked) in [("roles.sql", &roles.masked), ("schema.sql", &schema.masked)] {
        notes.extend(notes::secrets(name, masked, HEADER_LINES));
    }
    let mut files = vec![
        File {
            name: "schema.sql",
            what: format!(
                "{} and all that belongs to them, without a row",
                counted(facts.kept().count(), "table")
            ),
            text: headed(&schema.masked.text, facts),
        },
        File {
            name: "roles.sql",
            what: format!(
                "{} with their memberships and settings, without a password",
                counted(server.roles, "role")
            ),
            text: headed(&roles.masked.text, facts),
        },
        File {
            name: "sizes.json",
            what: "rows and bytes of the tables, as the server's statistics have them".to_owned(),
            text: pretty(&serde_json::json!({
                "postgres": server.version,
                "database": server.database,
                "captured_at": server.captured_at,
                "tables": facts.tables,
            }))?,
        },
    ];
    if let Some(statements) = statements {
        files.push(File {
            name: "statements.json",
            what: format!(
                "{} that the roles ran, with parameters for their constants",
                counted(statements.statements.len(), "statement")
            ),
            text: pretty(&statements)?,
        });
    }
    if let Some(jobs) = jobs {
        let unknown = jobs.jobs.iter().filter(|job| job.role.is_none()).count();
        if unknown > 0 {
            notes.push(format!(
                "of {} nobody could be seen who does them: name the role in jobs.json",
                counted(unknown, "job")
            ));
        }
        files.push(File {
            name: "jobs.json",
            what: format!("{} of pg_cron and pgAgent, as they stand there", counted(jobs.jobs.len(), "job")),
            text: pretty(&jobs)?,
        });
    }
    if let Some(statistics) = &facts.statistics {
        let (what, text) = if request.sample_values {
            tell("dumping the planner's statistics");
            let text = dumps::statistics(client, from, &facts.unseen).await?;
            ("the planner's statistics, with VALUES OF ROWS in them", text)
        } else {
            ("the planner's statistics, without the values in them", statistics.join("\n") + "\n")
        };
        files.push(File { name: "statistics.sql", what: what.to_owned(), text });
    } else if request.sample_values {
        notes.push(format!(
            "--sample-values has no effect: PostgreSQL {} cannot restore the planner's statistics, 18 is the first \
             version that can",
            server.major()
        ));
    }
    Ok(Read { files, notes })
}

/// Lines of the comment above each dump.
const HEADER_LINES: usize = 3;

fn headed(dump: &str, facts: &Facts) -> String {
    let server = &facts.server;
    let left_out = if facts.unseen.tables.is_empty() {
        "Nothing of it was hidden from that role.".to_owned()
    } else {
        format!(
            "{} of it stayed hidden from that role: see {REHEARSAL}.",
            counted(facts.unseen.tables.len(), "table")
        )
    };
    format!(
        "-- Captured by thirdrun {} from the database {} as the role {}, {}.\n-- {left_out}\n\n{dump}",
        env!("CARGO_PKG_VERSION"),
        line(&server.database),
        line(&server.role),
        server.captured_at,
    )
}

fn pretty(document: &impl serde::Serialize) -> Result<String, CaptureError> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(CaptureError::Answer)
}
