//! Workers that nobody has written: what each login role of a clone can do is what its worker does, one step for each
//! thing, each of them rolled back.
//!
//! What a role can do is the server's answer, and every step has been tried as that role. One that cannot be made to
//! work is left out and named. Deliberately not here: who asks for it, and where rows that a table could take come from.

mod held;
mod others;
mod queues;
mod relations;
mod routines;
mod statements;
mod tried;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::identifiers::{RoleName, RunNumber, WorkerName};
use crate::observations::LeftOut;
use crate::postgres::{QueryFailure, Session};

use super::Surroundings;
use super::spec::{SessionKind, StepWork, WorkerSpec};
use statements::Values;
use tried::Trier;

pub use statements::Ran;
pub use written::render;

/// A row that a table could take beside those that it has: the columns that the server does not compute, with their
/// values as text.
pub type SpareRow = Vec<(String, Option<String>)>;

/// Rows that tables could take, by the table's name as SQL has it.
pub type SpareRows = BTreeMap<String, Vec<SpareRow>>;

/// Workers, and what none of them does.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// One for each role that can log in.
    pub workers: Vec<WorkerSpec>,
    /// What could not be made to work.
    pub left_out: Vec<LeftOut>,
}

/// Something that a role can do, and statements that show it, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Duty {
    /// What it is, as in `INSERT on sales.orders`.
    name: String,
    candidates: Vec<Candidate>,
}

impl Duty {
    /// Whether its best statement is one that finds rows.
    fn finds(&self) -> bool {
        self.candidates.first().is_some_and(|candidate| candidate.finds)
    }
}

/// A statement that shows that a role can do something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    sql: String,
    /// What its first row's first column must be, as psql prints it; none: any.
    value: Option<String>,
    /// Whether it is to find rows as long as it finds some at first.
    finds: bool,
}

impl Candidate {
    fn new(sql: String) -> Self {
        Self { sql, value: None, finds: false }
    }

    /// One that finds rows.
    fn finding(sql: String) -> Self {
        Self { finds: true, ..Self::new(sql) }
    }

    /// One that asks the server which privileges are missing. It is for what cannot be done without others noticing.
    fn asking(function: &str, object: &str, privileges: &[&str]) -> Self {
        let object = crate::identifiers::quote_literal(object);
        let sql = format!(
            "SELECT string_agg(p, ', ') FROM unnest('{{{}}}'::text[]) AS p WHERE NOT {function}({object}, p)",
            privileges.join(",")
        );
        Self { value: Some(String::new()), ..Self::new(sql) }
    }
}

/// Where workers come from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Rows that tables could take.
    pub spare: &'a SpareRows,
    /// Statements that roles have run, the most called first. Whoever has some does these, and nothing else.
    pub ran: &'a [Ran],
    /// Whether also they do all that they may.
    pub all: bool,
}

/// Finds out what the login roles do, and makes workers of it. `root` is a superuser's session in the clone's
/// database; nothing of what is tried stays but the positions of sequences.
///
/// # Errors
/// When `root` cannot read the catalogs.
pub async fn derive(
    root: &Session,
    surroundings: &Surroundings,
    sources: Sources<'_>,
) -> Result<Derived, QueryFailure> {
    let held = held::read(root).await?;
    let mut derived = Derived::default();
    let mut values = Values { root, spare: sources.spare, rows: BTreeMap::new(), extremes: BTreeMap::new() };
    for role in &held.roles {
        let mut worker = worker(role);
        let mut trier = Trier::new(&worker, surroundings);
        let ran = sources.ran.iter().filter(|ran| ran.role == role.as_str());
        let (jobs, ran): (Vec<_>, Vec<_>) = ran.partition(|ran| ran.name.is_some());
        let ran = ran.into_iter().filter(|ran| statements::is_work(&ran.query));
        for (number, ran) in (1..).zip(ran) {
            trier.ran(number, ran, &mut values).await;
        }
        // Who does jobs may do more of which nothing is known.
        let all = trier.is_idle() || sources.all;
        for job in jobs {
            trier.ran(0, job, &mut values).await;
        }
        if all {
            let mut duties = relations::duties(role, &held, sources.spare);
            duties.extend(queues::duties(role, &held));
            duties.extend(routines::duties(role, &held));
            duties.extend(others::duties(role, &held));
            for duty in &duties {
                trier.duty(duty).await;
            }
        }
        let (steps, left_out) = trier.end().await;
        derived.left_out.extend(left_out);
        let Some(steps) = steps else { continue };
        worker.timeout += Duration::from_secs(1) * u32::try_from(steps.len() / STEPS).unwrap_or(u32::MAX);
        worker.work = StepWork::Steps(steps);
        derived.workers.push(worker);
    }
    Ok(derived)
}

/// Steps for which an iteration may take a second more.
const STEPS: usize = 100;

/// A worker of a role, each of whose steps leaves no trace.
fn worker(role: &RoleName) -> WorkerSpec {
    WorkerSpec {
        name: WorkerName::new(role.as_str()),
        role: role.clone(),
        session: SessionKind::Keep,
        connections: 1,
        from_run: RunNumber(1),
        reconnect: true,
        on_connect: Vec::new(),
        password: None,
        through: None,
        every: Duration::from_millis(100),
        while_running: true,
        timeout: Duration::from_secs(2),
        max_outage: Duration::from_secs(1),
        transaction: false,
        rollback: true,
        work: StepWork::Steps(Vec::new()),
    }
}
