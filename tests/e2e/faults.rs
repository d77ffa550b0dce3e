//! Faults: what befalls a check from outside, in each of its phases. Every one ends in bounded time with the right
//! exit code, tells what happened, leaves nothing behind that `gc` does not find, and touches nothing of anybody
//! else's.
//!
//! Each check has a world of its own (`faults/world.rs`), which only root can make; elsewhere all of this is counted
//! as ignored, and the reason is printed.

mod clocks;
mod disks;
mod engine;
mod foreign;
mod kills;
mod phases;
mod rows;
mod site;
mod table;
mod tally;
mod world;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::Test;
use crate::support::{Backend, Machine};
use crate::trial::trial;

/// A fault: its name, where it makes sense, whether this machine has what it needs, and what it does there.
pub struct Row {
    name: String,
    on: &'static [Backend],
    can: bool,
    test: std::sync::Arc<dyn Fn(Backend) -> Result<(), Failed> + Send + Sync>,
}

/// Faults that are no row of the table; those that take longest come first.
const SINGLE: &[Test] = &[
    ("kill_9_at_a_hundred_instants", kills::kill_9),
    ("a_hundred_in_a_row", rows::a_hundred_in_a_row),
    ("the_one_that_makes_the_clone_is_killed", rows::the_one_that_makes_the_clone_is_killed),
    ("the_one_that_waits_for_the_clone_is_killed", rows::the_one_that_waits_for_the_clone_is_killed),
    ("gc_at_the_same_time", rows::gc_at_the_same_time),
    ("the_disk_is_full_while_seeding", disks::full_while_seeding),
    ("the_disk_is_full_by_the_script", disks::full_by_the_script),
    ("the_disk_is_full_by_the_log", disks::full_by_the_log),
];

/// Those of directories and processes that only a local server has on this machine.
const LOCAL: &[Test] = &[
    ("no_room_in_the_cache", disks::no_room_in_the_cache),
    ("a_namespace_of_that_number_is_somebody_elses", rows::a_namespace_of_that_number_is_somebody_elses),
];

/// Those that need libfaketime.
const CLOCKS: &[Test] = &[
    ("the_clock_jumps_ahead", clocks::the_clock_jumps_ahead),
    ("the_clock_jumps_back", clocks::the_clock_jumps_back),
    ("the_clock_is_ahead", clocks::the_clock_is_ahead),
    ("the_clock_is_behind", clocks::the_clock_is_behind),
];

/// One trial for each fault on each backend where it makes sense.
pub fn trials(machine: &Machine, arguments: &Arguments) -> Vec<Trial> {
    let rows = all();
    let asked = |backend: Backend| {
        let named = |name: &String| {
            let name = full_name(backend, name);
            arguments.filter.as_ref().is_none_or(|filter| name.contains(filter))
        };
        !arguments.list && rows.iter().any(|row| named(&row.name))
    };
    let can = |backend: Backend| {
        let can = match backend {
            // It takes a while to find out.
            _ if !machine.has(backend) || !asked(backend) => return machine.has(backend),
            Backend::Local => world::can(),
            Backend::Docker => world::can().and_then(|()| world::can_engine()),
        };
        if let Err(why) = &can {
            eprintln!("skipped: every fault on {backend}: {why}");
        }
        can.is_ok()
    };
    if clocks::library().is_none() && Backend::ALL.into_iter().any(asked) {
        eprintln!("skipped: every fault of a clock: libfaketime is not here (Debian's package faketime)");
    }
    let can = Backend::ALL.map(|backend| (backend, can(backend)));
    let mut trials = Vec::new();
    for row in &rows {
        for (backend, can) in can {
            if row.on.contains(&backend) {
                let (test, counted) = (row.test.clone(), row.name.clone());
                let test = move || tally::counted(backend, &counted, test(backend));
                trials.push(trial(full_name(backend, &row.name), can && row.can, test));
            }
        }
    }
    trials
}

/// Every row.
fn all() -> Vec<Row> {
    let single = |(name, test): &Test, can: bool| Row {
        name: (*name).to_owned(),
        on: &Backend::ALL,
        can,
        test: std::sync::Arc::new(*test),
    };
    let has_clocks = clocks::library().is_some();
    let slow = SINGLE.iter().map(|test| single(test, true));
    let local = LOCAL.iter().map(|test| Row { on: &[Backend::Local], ..single(test, true) });
    slow.chain(local).chain(table::rows()).chain(CLOCKS.iter().map(|test| single(test, has_clocks))).collect()
}

fn full_name(backend: Backend, name: &str) -> String {
    format!("{backend}::faults::{name}")
}

/// Prints what was counted, and ends what the faults had.
pub fn end() {
    for line in tally::lines() {
        eprintln!("{line}");
    }
    world::end();
}
