//! `[[worker]]` entries that keep running, and those that go through them.

use super::super::error::{PlanError, Source};
use super::super::file::WorkerEntry;
use crate::workers::{CommandWork, Health, ServiceWork, StepWork, WorkerSpec};

/// Refuses what only a service has, where there is none.
pub(super) fn only_of_services(entry: &WorkerEntry, source: &Source) -> Result<(), PlanError> {
    let name = entry.name.as_ref();
    let wrong = |message: String, help: &str| Err(source.at(entry.name.span(), message, help));
    let of_programs = [
        ("keep_running", entry.keep_running.is_some()),
        ("image", entry.image.is_some()),
        ("user", entry.user.is_some()),
    ];
    if entry.command.is_none()
        && let Some((key, _)) = of_programs.iter().find(|(_, written)| *written)
    {
        return wrong(
            format!("worker '{name}' has {key}, but no command"),
            &format!("write command = [\"…\"], or drop {key}"),
        );
    }
    let of_services = [
        ("health", entry.health.is_some()),
        ("port", entry.port.is_some()),
        ("restart", entry.restart.is_some()),
    ];
    if entry.keep_running != Some(true)
        && let Some((key, _)) = of_services.iter().find(|(_, written)| *written)
    {
        return wrong(
            format!("worker '{name}' has {key}, but does not keep running"),
            &format!("write keep_running = true beside its command, or drop {key}"),
        );
    }
    Ok(())
}

/// A service.
pub(super) fn service(
    entry: &WorkerEntry,
    source: &Source,
    command: CommandWork,
) -> Result<StepWork, PlanError> {
    let name = entry.name.as_ref();
    let health = match &entry.health {
        Some(health) if health.0.is_empty() => {
            let message = format!("the health of worker '{name}' is empty");
            return Err(source.at(entry.name.span(), message, "write the program and its arguments"));
        }
        Some(health) => Health::Command(health.0.clone()),
        None => Health::Steps(super::steps(entry, source)?),
    };
    if matches!(&health, Health::Steps(steps) if steps.is_empty()) {
        return Err(source.at(
            entry.name.span(),
            format!("nothing says whether worker '{name}', which keeps running, is healthy"),
            "write health = [\"a program that exits with 0 while it is\"], or sql or [[worker.step]] entries that succeed then",
        ));
    }
    if matches!(health, Health::Command(_)) && !entry.on_connect.is_empty() {
        return Err(source.at(
            entry.name.span(),
            format!("worker '{name}' is a program, which opens its own sessions"),
            "drop on_connect: the program itself must say these statements",
        ));
    }
    let port = entry.port.as_ref().map(|port| *port.as_ref());
    let restart = entry.restart.as_ref().map(|restart| *restart.as_ref());
    if let (Some(_), Some(true), Some(place)) = (port, restart, &entry.restart) {
        return Err(source.at(
            place.span(),
            format!("others go through worker '{name}', and would be cut off whenever it is started anew"),
            "drop restart: its new session is a login of its role",
        ));
    }
    let restart = restart.unwrap_or(port.is_none());
    Ok(StepWork::Service(Box::new(ServiceWork { command, health, port, restart })))
}

/// Whether every worker goes through one that there is.
pub(super) fn ways(
    entries: &[WorkerEntry],
    workers: &[WorkerSpec],
    source: &Source,
) -> Result<(), PlanError> {
    for (entry, worker) in entries.iter().zip(workers) {
        let (Some(through), Some(place)) = (&worker.through, &entry.through) else { continue };
        let name = &worker.name;
        if worker.program().is_some() {
            return Err(source.at(
                place.span(),
                format!("worker '{name}' is a program, which opens its own sessions"),
                "drop through: the program itself must connect there",
            ));
        }
        let ways: Vec<_> = workers.iter().filter(|way| way.port().is_some()).collect();
        let Some(way) = ways.iter().find(|way| way.name == *through) else {
            let known: Vec<_> = ways.iter().map(|way| format!("'{}'", way.name)).collect();
            let help = if known.is_empty() {
                "write a [[worker]] for it, with command, keep_running = true and the port at which it listens".to_owned()
            } else {
                format!("write one of: {}", known.join(", "))
            };
            let message =
                format!("worker '{name}' goes through '{through}', which is no service with a port");
            return Err(source.at(place.span(), message, help));
        };
        if way.from_run > worker.from_run {
            return Err(source.at(
                place.span(),
                format!(
                    "worker '{name}' goes through '{through}', which comes only with run {}",
                    way.from_run
                ),
                "give both the same from_run",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::build::{Overrides, build};

    #[test]
    fn what_does_not_go_together_is_refused_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("schema.sql", "CREATE TABLE t ();\n");
        write("s.sql", "SELECT 1;\n");
        let service = "command = ['./pooler']\nkeep_running = true\n";
        for (worker, said) in [
            ("sql = 'SELECT 1'\nkeep_running = true", "4: worker 'w' has keep_running, but no command"),
            ("sql = 'SELECT 1'\nuser = 'nobody'", "4: worker 'w' has user, but no command"),
            ("command = ['./w']\nport = 6432", "4: worker 'w' has port, but does not keep running"),
            (service, "4: nothing says whether worker 'w', which keeps running, is healthy"),
            (&format!("{service}health = []"), "4: the health of worker 'w' is empty"),
            (
                &format!("{service}health = ['./ask']\nsql = 'SELECT 1'"),
                "4: worker 'w' says in more than one way what it does",
            ),
            (
                &format!("{service}health = ['./ask']\non_connect = ['SELECT 1']"),
                "4: worker 'w' is a program, which opens its own sessions",
            ),
            (
                &format!("{service}sql = 'SELECT 1'\nport = 6432\nrestart = true"),
                "10: others go through worker 'w', and would be cut off whenever it is started anew",
            ),
            (
                "sql = 'SELECT 1'\nthrough = 'w'",
                "7: worker 'w' goes through 'w', which is no service with a port",
            ),
            (
                "command = ['./w']\nthrough = 'pooler'",
                "7: worker 'w' is a program, which opens its own sessions",
            ),
        ] {
            write(
                "thirdrun.toml",
                &format!("[script]\npath = 's.sql'\n[[worker]]\nname = 'w'\nrole = 'r'\n{worker}\n"),
            );
            let error = build(&Overrides::default(), directory.path()).unwrap_err();
            assert_eq!(error.to_string(), format!("thirdrun.toml:{said}"), "{worker}");
        }
        let way = format!(
            "[script]\npath = 's.sql'\n[[worker]]\nname = 'pooler'\nrole = 'r'\n{service}sql = 'SELECT 1'\nport = 6432\n"
        );
        let through = |way_to: &str| {
            format!("[[worker]]\nname = 'w'\nrole = 'r'\nsql = 'SELECT 1'\nthrough = '{way_to}'\n")
        };
        write("thirdrun.toml", &format!("{way}{}", through("poler")));
        let error = build(&Overrides::default(), directory.path()).unwrap_err();
        assert_eq!(error.help(), Some("write one of: 'pooler'"));
        write("thirdrun.toml", &format!("{way}from_run = 2\n{}from_run = 1\n", through("pooler")));
        let error = build(&Overrides::default(), directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("which comes only with run 2"), "{error}");
    }
}
