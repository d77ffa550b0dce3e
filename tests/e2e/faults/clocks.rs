//! Clocks that jump in the middle of a check, and clocks that are wrong: nothing is measured by them.
//!
//! The clock of thirdrun's own process is set by libfaketime, the machine's is left alone. What no clock of a machine
//! does is left out: the monotonic one goes on as ever, and files have the kernel's times.

use std::path::PathBuf;

use libtest_mimic::Failed;

use super::phases::Phase;
use super::site::{Running, Site, cleared, gc};
use super::world::{BINARY, within};
use crate::support::{Backend, READER, finish, same};

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = places.chain([PathBuf::from("/usr/lib")]);
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// The variables that set the clock of a process by a file.
fn by_file(clock: &str) -> Result<Vec<String>, Failed> {
    let library = library().ok_or("libfaketime is not installed")?;
    Ok(vec![
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={clock}"),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
        "NO_FAKE_STAT=1".to_owned(),
    ])
}

/// A check, with a clock that is set to something first and to something else while the script runs.
fn check(backend: Backend, first: &str, then: &str) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = Site::new(world, READER)?;
        site.file("s.sql", "SELECT pg_catalog.pg_sleep(2);\n")?.file("clock", first)?;
        let clock = format!("{}/clock", site.inside());
        for _ in 0..2 {
            // The second time from the clone that was kept the first time.
            site.file("clock", first)?;
            let mut command = world.command(site.inside(), "env");
            command.args(by_file(&clock)?).args([BINARY, "check", "--backend", &backend.to_string()]);
            command.args(["s.sql", "--runs", "2", "--hazards", "none"]);
            let mut running = Running::of(&mut command)?;
            Phase::Run.reached(world, backend, &mut running)?;
            // It has to be written as a whole, as it is read at any time.
            site.file("clock.new", then)?;
            std::fs::rename(site.path("clock.new"), site.path("clock"))?;
            // Whoever has the right time, and whoever has not, leaves a check alone that is at work.
            gc(world, &["--older-than", "0s"]).expect(0, &[])?;
            let mut other = world.command("/", "env");
            finish(other.args(by_file(&clock)?).args([BINARY, "gc"])).expect(0, &[])?;
            let outcome = running.finish()?;
            outcome.expect(0, &["run 2 of"])?;
            same("the verdict", outcome.out.contains("PASS after 2 runs, the automation works"), true)?;
        }
        drop(site);
        cleared(world, &before)
    })
}

/// By a day, into the future.
pub fn the_clock_jumps_ahead(backend: Backend) -> Result<(), Failed> {
    check(backend, "+0d", "+1d")
}

/// By a day, into the past.
pub fn the_clock_jumps_back(backend: Backend) -> Result<(), Failed> {
    check(backend, "+0d", "-1d")
}

/// From the start.
pub fn the_clock_is_ahead(backend: Backend) -> Result<(), Failed> {
    check(backend, "+400d", "+400d")
}

/// From the start.
pub fn the_clock_is_behind(backend: Backend) -> Result<(), Failed> {
    check(backend, "-400d", "-400d")
}
