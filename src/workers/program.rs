//! A program of a worker, run to its end.

use std::time::Duration;

use super::Surroundings;
use super::spec::{CommandWork, WorkerSpec};
use crate::observations::{Ending, Failure, FailureKind};
use crate::programs::{Captured, Executable, LaunchError, Outcome, Program, Until};

/// A program as a worker runs it, with its connection variables and under its name.
pub(super) fn program(
    surroundings: &Surroundings,
    spec: &WorkerSpec,
    command: &CommandWork,
    argv: &[String],
    until: Until,
) -> Program {
    let mut argv = argv.iter().cloned();
    Program {
        what: Executable::File(argv.next().unwrap_or_default(), argv.collect()),
        directory: command.directory.clone(),
        role: spec.role.clone(),
        database: surroundings.database.clone(),
        env: Vec::new(),
        image: command.image.clone(),
        user: command.user.clone(),
        application: Some(spec.name.application()),
        until,
        tapped: false,
    }
}

/// Runs one to its end: exit 0 is success. With how long it took until it began.
pub(super) async fn run(
    surroundings: &Surroundings,
    spec: &WorkerSpec,
    command: &CommandWork,
    argv: &[String],
    limit: Duration,
) -> (Result<(), Failure>, Duration) {
    let program = program(surroundings, spec, command, argv, Until::Timeout(limit));
    let ended = surroundings.launcher.launch(&program).await;
    let starting = ended.as_ref().map_or(Duration::ZERO, |outcome| outcome.starting);
    let result = match ended {
        Ok(Outcome { ending: Ending::Exited(0), .. }) => Ok(()),
        Ok(Outcome { ending: Ending::TimedOut, .. }) => {
            let message = format!("timed out after {}", humantime::format_duration(limit));
            Err(failed(FailureKind::TimedOut, message))
        }
        ended => Err(failed(FailureKind::Command, how(&ended))),
    };
    (result, starting)
}

pub(super) fn failed(kind: FailureKind, message: String) -> Failure {
    Failure { kind, sqlstate: None, message, detail: None, step: Some(1) }
}

/// How a program ended, and the last that it said.
pub(super) fn how(ended: &Result<Outcome, LaunchError>) -> String {
    match ended {
        Err(error) => format!("{error}: {}", error.source),
        Ok(outcome) => {
            let how = match outcome.ending {
                Ending::Exited(status) => format!("exited with status {status}"),
                Ending::Signalled(signal) => format!("was killed by signal {signal}"),
                Ending::TimedOut => "timed out".to_owned(),
            };
            last_line(&outcome.output).map_or(how.clone(), |said| format!("{how}: {said}"))
        }
    }
}

/// The last line that a program printed.
pub(super) fn last_line(output: &Captured) -> Option<String> {
    let tail = output.tail();
    tail.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}
