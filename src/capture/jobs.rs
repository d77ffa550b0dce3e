//! The jobs that the database itself has somebody do: those of pg_cron and pgAgent.

use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::client::Client;
use super::facts::{ServerFacts, two, within};
use crate::postgres::conninfo::Conninfo;
use crate::secrets::masked_statement;

const JOBS: &str = include_str!("jobs.sql");

/// `jobs.json`.
#[derive(Debug, Serialize)]
pub(super) struct Jobs {
    /// The server's version.
    postgres: String,
    /// The database that they work in.
    database: String,
    /// When they were read.
    captured_at: String,
    pub(super) jobs: Vec<Job>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Job {
    /// `pg_cron` or `pgAgent`.
    source: &'static str,
    name: String,
    /// Who does it; none: that could not be seen.
    pub(super) role: Option<String>,
    /// When, as the source has it.
    schedule: Option<String>,
    /// Its SQL, with secrets masked.
    command: String,
    active: bool,
}

/// A row of `cron.job`.
#[derive(Deserialize)]
struct Cron {
    jobid: i64,
    jobname: Option<String>,
    schedule: String,
    command: String,
    username: String,
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

/// A row of `pgagent.pga_jobstep`, and its job.
#[derive(Deserialize)]
struct AgentStep {
    jobname: String,
    jobenabled: bool,
    jstname: String,
    jstenabled: bool,
    jstcode: String,
    #[serde(default)]
    jstconnstr: String,
    agent: Option<String>,
}

/// Reads them; none where no such extension is there, or has no job.
pub(super) async fn read(
    client: &Client,
    from: &Conninfo,
    server: &ServerFacts,
) -> Result<Option<Jobs>, CaptureError> {
    let (cron, agent): (Vec<Cron>, Vec<AgentStep>) = two(&client.psql(from, &within(JOBS)).await?)?;
    let jobs: Vec<Job> = cron.into_iter().map(of_cron).chain(agent.into_iter().map(of_agent)).collect();
    Ok((!jobs.is_empty()).then(|| Jobs {
        postgres: server.version.clone(),
        database: server.database.clone(),
        captured_at: server.captured_at.clone(),
        jobs,
    }))
}

fn of_cron(job: Cron) -> Job {
    Job {
        source: "pg_cron",
        name: job.jobname.unwrap_or_else(|| job.jobid.to_string()),
        role: Some(job.username),
        schedule: Some(job.schedule),
        command: masked_statement(&job.command).into_owned(),
        active: job.active,
    }
}

fn of_agent(step: AgentStep) -> Job {
    // A step of another server has a connection string, in which there may be a password.
    let mut words = step.jstconnstr.split_whitespace();
    let named = words.find_map(|word| word.strip_prefix("user=")).map(str::to_owned);
    Job {
        source: "pgAgent",
        name: format!("{}, {}", step.jobname, step.jstname),
        role: named.or(step.agent),
        schedule: None,
        command: masked_statement(&step.jstcode).into_owned(),
        active: step.jobenabled && step.jstenabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_without_their_secrets() {
        let cron: Cron = serde_json::from_str(
            r#"{"jobid": 3, "schedule": "0 3 * * *", "command": "ALTER ROLE a PASSWORD 's3cret'", "database": "d",
                "username": "svc", "nodename": "localhost"}"#,
        )
        .unwrap();
        let job = of_cron(cron);
        assert!(!job.command.contains("s3cret"), "{}", job.command);
        assert_eq!((job.name.as_str(), job.role.as_deref(), job.active), ("3", Some("svc"), true));
        let step = |connstr: &str, agent: Option<&str>| {
            of_agent(AgentStep {
                jobname: "j".to_owned(),
                jobenabled: true,
                jstname: "s".to_owned(),
                jstenabled: false,
                jstcode: "SELECT 1".to_owned(),
                jstconnstr: connstr.to_owned(),
                agent: agent.map(str::to_owned),
            })
        };
        assert_eq!(step("", Some("agent")).role.as_deref(), Some("agent"));
        assert_eq!(step("user=other dbname=d password=s3cret", Some("agent")).role.as_deref(), Some("other"));
        assert_eq!((step("", None).role, step("", None).active), (None, false));
    }
}
