//! The table of faults that come in a phase: how each is brought about, when, and what has to come of it.

use std::sync::Arc;

use libtest_mimic::Failed;

use super::Row;
use super::phases::{Phase, postmasters};
use super::site::{Running, cleared, gone, new_things};
use super::world::{self, World};
use crate::support::Backend;
use How::{EngineKilled, EngineRestarted, EngineStopped, ProcessKilled, ProgramsKilled, ProgramsRemoved};
use How::{ServerContainerKilled, ServerContainerRemoved, ServerKilled};
use Phase::{After, Baseline, Keeping, Replay, Rows, Run, Schema, Starting};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The server gets SIGKILL.
    ServerKilled,
    /// One of the server's processes gets SIGKILL: it ends all others and recovers.
    ProcessKilled,
    /// `docker kill` of the server's container.
    ServerContainerKilled,
    /// `docker rm -f` of it.
    ServerContainerRemoved,
    /// `docker kill` of the container in which scripts run.
    ProgramsKilled,
    /// `docker rm -f` of it.
    ProgramsRemoved,
    /// The engine is told to stop, which ends all of its containers.
    EngineStopped,
    /// The engine is killed, which leaves its containers running.
    EngineKilled,
    /// The engine is told to stop, and is started again at once.
    EngineRestarted,
}

/// A fault in a phase.
#[derive(Debug, Clone, Copy)]
struct Fault {
    how: How,
    phase: Phase,
    on: &'static [Backend],
    /// The exit codes that are right; more than one where it is chance whether thirdrun notices.
    codes: &'static [i32],
    /// What has to be said, on either stream.
    said: &'static [&'static str],
}

const fn both(how: How, phase: Phase, codes: &'static [i32], said: &'static [&'static str]) -> Fault {
    Fault { how, phase, on: &Backend::ALL, codes, said }
}

const fn docker(how: How, phase: Phase, codes: &'static [i32], said: &'static [&'static str]) -> Fault {
    Fault { how, phase, on: &[Backend::Docker], codes, said }
}

/// What is told where the server is gone.
const ENDED: &[&str] = &["the server itself has ended; the end of its log", "say the same again"];
const CRASHED: &[&str] = &["was terminated by signal 9"];
const UNREADY: &[&str] = &["the sandbox's server did not become ready", "say the same again"];
/// It may have become ready by the time that it is struck.
const STARTING: &[&str] = &["the end of its log", "say the same again"];
const BEFORE: &str = "the sandbox's server was lost before the first run";
/// No statement is blamed for what came from outside.
const NOBODY: &str = "Which statement of s.sql did it was not found";
const IN_RUN: &[&str] =
    &["the database server itself ended in this run", "the script failed in run 1", NOBODY];
const AFTER: &[&str] = &["the database server itself ended in this run", "FAIL run 1 broke reader", NOBODY];
/// The verdict stands, and the cause is found in other copies than those that were lost.
const CAUSE: &[&str] = &["FAIL run 1 broke reader", "| REVOKE SELECT ON public.orders FROM svc_reader"];
/// The verdict stands.
const VERDICT: &[&str] = &["FAIL run 1 broke reader"];
const REMOVED: &[&str] = &["somebody has removed its container", "`thirdrun gc` removes"];
const LOST: &[&str] = &["say the same again once `docker version` answers"];

/// All of them.
#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    both(ServerKilled, Starting, &[4], STARTING),
    both(ServerKilled, Schema, &[4], ENDED),
    both(ServerKilled, Rows, &[4], ENDED),
    both(ServerKilled, Keeping, &[4], UNREADY),
    both(ServerKilled, Baseline, &[4], &[BEFORE, "the server itself has ended"]),
    both(ServerKilled, Run, &[1], IN_RUN),
    both(ServerKilled, After, &[1], AFTER),
    both(ServerKilled, Replay, &[1], CAUSE),
    both(ProcessKilled, Starting, &[0, 4], &[]),
    both(ProcessKilled, Schema, &[4], CRASHED),
    both(ProcessKilled, Rows, &[4], CRASHED),
    both(ProcessKilled, Baseline, &[4], &[BEFORE, "was terminated by signal 9"]),
    both(ProcessKilled, Run, &[1], &["connection to server was lost", "FAIL the script failed in run 1"]),
    both(ProcessKilled, After, &[1], &["FAIL run 1 broke reader", NOBODY]),
    both(ProcessKilled, Replay, &[1], CAUSE),
    docker(ServerContainerKilled, Starting, &[4], STARTING),
    docker(ServerContainerKilled, Schema, &[4], ENDED),
    docker(ServerContainerKilled, Rows, &[4], ENDED),
    docker(ServerContainerKilled, Keeping, &[4], ENDED),
    docker(ServerContainerKilled, Baseline, &[4], &[BEFORE, "the server itself has ended"]),
    docker(ServerContainerKilled, Run, &[1], IN_RUN),
    docker(ServerContainerKilled, After, &[1], AFTER),
    docker(ServerContainerKilled, Replay, &[1], CAUSE),
    docker(ServerContainerRemoved, Starting, &[4], REMOVED),
    docker(ServerContainerRemoved, Schema, &[4], REMOVED),
    docker(ServerContainerRemoved, Keeping, &[4], REMOVED),
    docker(ServerContainerRemoved, Baseline, &[4], REMOVED),
    docker(ServerContainerRemoved, Run, &[4], REMOVED),
    docker(ServerContainerRemoved, After, &[4], REMOVED),
    docker(ServerContainerRemoved, Replay, &[1], CAUSE),
    docker(ProgramsKilled, Baseline, &[0], &["PASS after 1 run"]),
    docker(ProgramsKilled, Run, &[1], &["was killed by signal 9", "FAIL the script failed in run 1"]),
    docker(ProgramsKilled, After, &[0], &["PASS after 1 run"]),
    docker(ProgramsKilled, Replay, &[1], VERDICT),
    docker(ProgramsRemoved, Baseline, &[0], &["PASS after 1 run"]),
    docker(ProgramsRemoved, Run, &[1], &["was killed by signal 9", "FAIL the script failed in run 1"]),
    docker(ProgramsRemoved, Replay, &[1], VERDICT),
    docker(EngineStopped, Starting, &[4], LOST),
    docker(EngineStopped, Rows, &[4], LOST),
    docker(EngineStopped, Keeping, &[4], LOST),
    docker(EngineStopped, Baseline, &[4], LOST),
    docker(EngineStopped, Run, &[4], LOST),
    docker(EngineStopped, After, &[4], LOST),
    docker(EngineStopped, Replay, &[1], VERDICT),
    docker(EngineKilled, Schema, &[4], LOST),
    docker(EngineKilled, Baseline, &[4], LOST),
    docker(EngineKilled, Run, &[4], LOST),
    docker(EngineKilled, After, &[4], LOST),
    docker(EngineKilled, Replay, &[1], VERDICT),
    docker(EngineRestarted, Schema, &[4], &["say the same again"]),
    docker(EngineRestarted, Baseline, &[4], &["say the same again"]),
    docker(EngineRestarted, Run, &[4], &["say the same again"]),
    // An engine that is back at once leaves a server that has ended in the run.
    docker(EngineRestarted, After, &[1, 4], &[]),
    docker(EngineRestarted, Replay, &[1], VERDICT),
];

impl How {
    /// What happened, as part of a row's name.
    const fn name(self) -> &'static str {
        match self {
            ServerKilled => "the_server_is_killed",
            ProcessKilled => "a_process_of_the_server_is_killed",
            ServerContainerKilled => "the_servers_container_is_killed",
            ServerContainerRemoved => "the_servers_container_is_removed",
            ProgramsKilled => "the_programs_container_is_killed",
            ProgramsRemoved => "the_programs_container_is_removed",
            EngineStopped => "the_engine_is_stopped",
            EngineKilled => "the_engine_is_killed",
            EngineRestarted => "the_engine_is_restarted",
        }
    }
}

/// The rows of the table.
pub fn rows() -> Vec<Row> {
    let row = |fault: &Fault| -> Row {
        let fault = *fault;
        let test = move |backend| world::within(backend, |world| carry_out(fault, backend, world));
        let name = format!("{}_{}", fault.how.name(), fault.phase.name());
        Row { name, on: fault.on, can: true, test: Arc::new(test) }
    };
    FAULTS.iter().map(row).collect()
}

fn carry_out(fault: Fault, backend: Backend, world: &mut World) -> Result<(), Failed> {
    let before = world.things()?;
    let mut engine = world.engine.take();
    let outcome = befallen(fault, backend, world, engine.as_mut());
    // An engine that was stopped is started again, so that all that is in it can be seen.
    if let Some(engine) = &mut engine {
        engine.start_again(world)?;
    }
    world.engine = engine;
    let outcome = outcome?;
    if !outcome.code.is_some_and(|code| fault.codes.contains(&code)) {
        let wanted = fault.codes;
        return Err(
            format!("exit {:?}, wanted {wanted:?}\n{}\n{}", outcome.code, outcome.out, outcome.err).into()
        );
    }
    for text in fault.said {
        if !outcome.err.contains(text) && !outcome.out.contains(text) {
            return Err(format!("it does not say {text:?}:\n{}\n{}", outcome.out, outcome.err).into());
        }
    }
    if std::env::var_os("FAULTS_SHOW").is_some() {
        eprintln!(
            "=== {backend} {:?} {:?}: {:?}\n{}\n{}",
            fault.how, fault.phase, outcome.code, outcome.out, outcome.err
        );
    }
    if !matches!(fault.how, EngineStopped | EngineKilled | EngineRestarted) {
        // A check that ends by itself needs no gc.
        let mut left = Vec::new();
        gone(|| {
            // The engine may be about to drop what nobody waits for any more.
            left = new_things(world, &before)?;
            Ok(left.is_empty())
        })?;
        crate::support::same("left by the check itself", left, Vec::new())?;
    }
    cleared(world, &before)
}

fn befallen(
    fault: Fault,
    backend: Backend,
    world: &World,
    engine: Option<&mut super::engine::Engine>,
) -> Result<crate::support::Outcome, Failed> {
    let site = fault.phase.site(world)?;
    let mut check = site.start(backend, &["s.sql", "--runs", "1"])?;
    fault.phase.reached(world, backend, &mut check)?;
    // A start may be over before it is struck.
    let frozen = fault.phase == Starting;
    if frozen {
        check.freeze()?;
    }
    let struck = strike(fault, world, engine, &mut check);
    if frozen {
        check.thaw();
    }
    struck?;
    check.finish()
}

/// Brings the fault about.
fn strike(
    fault: Fault,
    world: &World,
    engine: Option<&mut super::engine::Engine>,
    check: &mut Running,
) -> Result<(), Failed> {
    match (fault.how, engine) {
        (ServerKilled, _) => {
            let servers = || struck(fault.phase, postmasters(world));
            // While a clone is kept there is none for a moment.
            check.until("a server", |_| !servers().is_empty())?;
            Ok(world.signal("KILL", &servers())?)
        }
        (ProcessKilled, _) => {
            let wanted = victim(fault.phase);
            let victims = || {
                let servers = struck(fault.phase, postmasters(world)).into_iter();
                let all = servers.flat_map(|server| world.children(server));
                all.filter(|(_, line)| line.starts_with(wanted)).map(|(pid, _)| pid).collect::<Vec<_>>()
            };
            check.until(wanted, |_| !victims().is_empty())?;
            Ok(world.signal("KILL", &victims())?)
        }
        (ServerContainerKilled | ServerContainerRemoved | ProgramsKilled | ProgramsRemoved, Some(engine)) => {
            let programs = matches!(fault.how, ProgramsKilled | ProgramsRemoved);
            let containers = || containers(engine, programs, fault.phase == Replay);
            check.until("a container", |_| containers().is_ok_and(|all| !all.is_empty()))?;
            let verb: &[&str] = match fault.how {
                ServerContainerKilled | ProgramsKilled => &["kill"],
                _ => &["rm", "--force"],
            };
            let all = containers()?;
            let names: Vec<_> = all.iter().map(String::as_str).collect();
            // One may be gone by itself.
            let _ = engine.said(&[verb, &names].concat());
            Ok(())
        }
        (EngineStopped, Some(engine)) => Ok(engine.stop(world, "TERM")?),
        (EngineKilled, Some(engine)) => Ok(engine.stop(world, "KILL")?),
        (EngineRestarted, Some(engine)) => {
            engine.stop(world, "TERM")?;
            Ok(engine.start_again(world)?)
        }
        (_, None) => Err("there is no engine".into()),
    }
}

/// Of the servers those that a fault strikes: the rehearsal's own, or all others where it has done its work.
fn struck(phase: Phase, servers: Vec<u32>) -> Vec<u32> {
    let (own, others) = servers.split_at(servers.len().min(1));
    if phase == Replay { others.to_vec() } else { own.to_vec() }
}

/// How the command line of the process begins that is killed.
fn victim(phase: Phase) -> &'static str {
    match phase {
        Schema | Rows => "postgres: thirdrun ",
        Baseline | After => "postgres: svc_reader ",
        Run => "postgres: postgres ",
        Starting | Keeping | Replay => "postgres: checkpointer",
    }
}

/// The containers of sandboxes, the newest first: servers, or those in which programs run. Of a replay not those of
/// the rehearsal itself, which are the oldest.
fn containers(engine: &super::engine::Engine, programs: bool, replay: bool) -> Result<Vec<String>, Failed> {
    let listed = engine.said(&["ps", "--filter", "label=thirdrun.session", "--format", "{{.Names}}"])?;
    let foreign = |name: &str| name.starts_with("thirdrun-0123abcd") || name.starts_with("thirdrun-89abcdef");
    let wanted = |name: &&str| name.contains("-programs-") == programs && !foreign(name);
    let mut all: Vec<_> = listed.lines().filter(wanted).map(str::to_owned).collect();
    if replay {
        all.pop();
    }
    Ok(all)
}
