//! `[[worker]]` entries, validated.

mod services;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::error::{PlanError, Source};
use super::file::{StepEntry, WorkerEntry};
use crate::identifiers::{RoleName, RunNumber, Secret, WorkerName};
use crate::workers::{CommandWork, SessionKind, Step, StepWork, WorkerSpec};

/// Makes the workers of a file. `directory` is the file's.
pub(super) fn workers(
    entries: &[WorkerEntry],
    source: &Source,
    directory: &Path,
    runs: u32,
) -> Result<Vec<WorkerSpec>, PlanError> {
    let mut workers: Vec<WorkerSpec> = Vec::new();
    for entry in entries {
        let worker = worker(entry, source, directory, runs)?;
        if workers.iter().any(|known| known.name == worker.name) {
            return Err(source.at(
                entry.name.span(),
                format!("there are two workers named '{}'", worker.name),
                "give one of them another name: reports tell workers apart by it",
            ));
        }
        workers.push(worker);
    }
    services::ways(entries, &workers, source)?;
    Ok(workers)
}

/// The passwords that workers name, one for a role.
pub(super) fn passwords(
    entries: &[WorkerEntry],
    source: &Source,
) -> Result<BTreeMap<RoleName, Secret>, PlanError> {
    let mut passwords: BTreeMap<RoleName, Secret> = BTreeMap::new();
    for entry in entries {
        let Some(password) = &entry.password else {
            continue;
        };
        let role = RoleName::new(entry.role.as_ref());
        let secret = Secret::new(password);
        if passwords.get(&role).is_some_and(|known| *known != secret) {
            return Err(source.at(
                entry.name.span(),
                format!("workers name different passwords for the role '{role}'"),
                "a role has one password: name the same in each of its workers",
            ));
        }
        passwords.insert(role, secret);
    }
    Ok(passwords)
}

fn worker(
    entry: &WorkerEntry,
    source: &Source,
    directory: &Path,
    runs: u32,
) -> Result<WorkerSpec, PlanError> {
    let name = entry.name.as_ref();
    if name.trim().is_empty() {
        return Err(source.at(entry.name.span(), "a worker needs a name", "reports call it by that name"));
    }
    let connections = entry.connections.as_ref().map_or(1, |connections| *connections.as_ref());
    if let Some(place) = &entry.connections
        && (connections == 0 || entry.session != Some(SessionKind::Pool))
    {
        let (message, help) = if connections == 0 {
            ("a pool needs a connection", "write connections = 1 or more")
        } else {
            ("only a pool has several connections", "write session = \"pool\" beside it")
        };
        return Err(source.at(place.span(), message, help));
    }
    let from_run = entry.from_run.as_ref().map_or(1, |from| *from.as_ref());
    if let Some(place) = &entry.from_run
        && (from_run == 0 || from_run > runs)
    {
        return Err(source.at(
            place.span(),
            format!("worker '{name}' would be judged from run {from_run} on, but the runs are 1 to {runs}"),
            format!("write a number from 1 to {runs}, or make more runs"),
        ));
    }
    let time = |time: &Option<super::values::Time>, default: u64| {
        time.as_ref().map_or(Duration::from_millis(default), |time| time.0)
    };
    Ok(WorkerSpec {
        name: WorkerName::new(name),
        role: RoleName::new(entry.role.as_ref()),
        session: entry.session.unwrap_or_default(),
        connections,
        from_run: RunNumber(from_run),
        reconnect: entry.reconnect.unwrap_or(true),
        on_connect: entry.on_connect.clone(),
        password: entry.password.as_ref().map(Secret::new),
        through: entry.through.as_ref().map(|through| WorkerName::new(through.as_ref())),
        every: time(&entry.every, 100),
        while_running: entry.while_running.unwrap_or(true),
        timeout: time(&entry.timeout, 2_000),
        max_outage: time(&entry.max_outage, 1_000),
        transaction: entry.transaction.unwrap_or(true),
        rollback: entry.rollback.unwrap_or(false),
        work: work(entry, source, directory)?,
    })
}

fn work(entry: &WorkerEntry, source: &Source, directory: &Path) -> Result<StepWork, PlanError> {
    let name = entry.name.as_ref();
    let at_name = |message: String, help: &str| Err(source.at(entry.name.span(), message, help));
    let short = entry.sql.is_some();
    let keeps_running = entry.keep_running == Some(true);
    let program =
        usize::from(entry.command.is_some() && !keeps_running) + usize::from(entry.health.is_some());
    let ways = usize::from(short) + program + usize::from(!entry.step.is_empty());
    if ways > 1 {
        return at_name(
            format!("worker '{name}' says in more than one way what it does"),
            if keeps_running {
                "write one of: health, sql, or [[worker.step]] entries"
            } else {
                "write one of: sql, command, or [[worker.step]] entries"
            },
        );
    }
    if !short && (entry.rows.is_some() || entry.value.is_some()) {
        return at_name(
            format!("worker '{name}' expects rows or a value, but has no sql of its own"),
            "write rows and value beside the sql of the step that they belong to",
        );
    }
    services::only_of_services(entry, source)?;
    if let Some(command) = &entry.command {
        if command.0.is_empty() {
            return at_name(
                format!("the command of worker '{name}' is empty"),
                "write the program and its arguments",
            );
        }
        let command = CommandWork {
            argv: command.0.clone(),
            directory: directory.to_owned(),
            image: entry.image.clone(),
            user: entry.user.clone(),
        };
        if keeps_running {
            return services::service(entry, source, command);
        }
        if !entry.on_connect.is_empty() {
            return at_name(
                format!("worker '{name}' is a program, which opens its own sessions"),
                "drop on_connect: the program itself must say these statements",
            );
        }
        return Ok(StepWork::Command(command));
    }
    if !short && entry.step.is_empty() {
        return at_name(
            format!("worker '{name}' does nothing"),
            "write sql = \"…\", command = [\"…\"] or [[worker.step]] entries",
        );
    }
    steps(entry, source).map(StepWork::Steps)
}

/// The steps of an entry: its short form, or its own entries.
fn steps(entry: &WorkerEntry, source: &Source) -> Result<Vec<Step>, PlanError> {
    if let Some(sql) = &entry.sql {
        return Ok(vec![Step::Sql {
            name: None,
            sql: sql.clone(),
            rows: entry.rows.as_ref().map(|rows| rows.0),
            value: entry.value.as_ref().map(|value| value.0.clone()),
        }]);
    }
    entry.step.iter().map(|entry| step(entry, source)).collect()
}

fn step(entry: &Spanned<StepEntry>, source: &Source) -> Result<Step, PlanError> {
    let step = entry.as_ref();
    // The span of an entry is that of its header and body; the first line of it is enough to see.
    let span = first_line(source, entry.span());
    let wrong = |message: &str, help: &str| Err(source.at(span.clone(), message, help));
    match (&step.sql, &step.notify, step.pause.as_ref()) {
        (Some(sql), None, None) => Ok(Step::Sql {
            name: step.name.clone(),
            sql: sql.clone(),
            rows: step.rows.as_ref().map(|rows| rows.0),
            value: step.value.as_ref().map(|value| value.0.clone()),
        }),
        _ if step.name.is_some() || step.rows.is_some() || step.value.is_some() => {
            wrong("only a step with sql has a name, rows or a value", "drop them, or write sql")
        }
        (None, Some(channel), None) => Ok(Step::Notify { channel: channel.clone() }),
        (None, None, Some(time)) => Ok(Step::Pause(time.0)),
        (None, None, None) => wrong(
            "this step does nothing",
            "write one of: sql = \"…\", notify = \"channel\", pause = \"300ms\"",
        ),
        _ => wrong("this step does more than one thing", "make a [[worker.step]] of each"),
    }
}

fn first_line(source: &Source, span: Range<usize>) -> Range<usize> {
    let text = source.text.get(span.clone()).unwrap_or_default();
    let length = text.find('\n').unwrap_or(text.len());
    span.start..span.start + length
}
