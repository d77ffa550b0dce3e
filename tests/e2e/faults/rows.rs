//! Checks that are not alone: at the same time, beside a `gc`, and a hundred of them one after the other.

use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::Failed;
use rustix::process::Signal;

use super::phases::Phase;
use super::site::{Site, cleared, gc, gone, new_things};
use super::tally;
use super::world::{World, within};
use crate::support::{Backend, READER, same};

/// Checks in a row, and after how many the machine is looked at for the first time.
const IN_A_ROW: usize = 100;
const WARM: usize = 10;
/// Checks beside a `gc`.
const BESIDE: usize = 8;
/// The cheapest check.
const CHEAP: [&str; 6] = ["s.sql", "--runs", "1", "--no-replay", "--hazards", "none"];

/// A rehearsal whose clone takes a while to make.
fn slow_to_make(world: &World) -> Result<Site<'_>, Failed> {
    let site = Site::new(world, &format!("[data]\nrows = 100000\n{READER}"))?;
    site.file("s.sql", "SELECT 1;\n")?;
    Ok(site)
}

/// Two want the same clone; the one that makes it is killed, so that the other has to.
pub fn the_one_that_makes_the_clone_is_killed(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = slow_to_make(world)?;
        let mut first = site.start(backend, &CHEAP)?;
        first.until("the clone being made", |said| said.contains("making the clone"))?;
        let mut second = site.start(backend, &CHEAP)?;
        second.until("the other one", |said| said.contains("waiting for another check"))?;
        first.signal(Signal::KILL);
        same("the first", first.finish()?.code, None)?;
        second.finish()?.expect(0, &["making the clone"])?;
        drop(site);
        cleared(world, &before)
    })
}

/// Two want the same clone; the one that waits for it is killed.
pub fn the_one_that_waits_for_the_clone_is_killed(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = slow_to_make(world)?;
        let mut first = site.start(backend, &CHEAP)?;
        first.until("the clone being made", |said| said.contains("making the clone"))?;
        let mut second = site.start(backend, &CHEAP)?;
        second.until("the other one", |said| said.contains("waiting for another check"))?;
        second.signal(Signal::KILL);
        same("the second", second.finish()?.code, None)?;
        first.finish()?.expect(0, &[])?;
        // It was kept all the same.
        let third = site.check(backend, &CHEAP);
        same("made once more", third.expect(0, &[])?.err.contains("making the clone"), false)?;
        drop(site);
        cleared(world, &before)
    })
}

/// The kernel gives the number of a network namespace that is gone to another one: what is left of a dead sandbox may
/// name that of a living one, which is left alone.
pub fn a_namespace_of_that_number_is_somebody_elses(_: Backend) -> Result<(), Failed> {
    within(Backend::Local, |world| {
        let before = world.things()?;
        let site = Phase::Run.site(world)?;
        let mut check = site.start(Backend::Local, &CHEAP)?;
        Phase::Run.reached(world, Backend::Local, &mut check)?;
        let sandboxes = std::fs::read_dir(world.path("/dev/shm"))?.flatten();
        let noted =
            sandboxes.filter_map(|entry| std::fs::read_to_string(entry.path().join("netns")).ok()).next();
        let dead = world.path("/dev/shm/thirdrun-fedcba98");
        std::fs::create_dir(&dead)?;
        std::fs::write(dead.join("lock"), "")?;
        std::fs::write(dead.join("netns"), noted.ok_or("no namespace was noted")?)?;
        gc(world, &[]).expect(0, &[])?;
        same("the dead one is there", dead.exists(), false)?;
        check.finish()?.expect(0, &[])?;
        drop(site);
        cleared(world, &before)
    })
}

/// A `gc` that removes every clone that it may, again and again, while checks make and use them.
pub fn gc_at_the_same_time(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = Site::new(world, READER)?;
        site.file("s.sql", "SELECT 1;\n")?;
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let sweeper = threads.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    gc(world, &["--older-than", "0s"]).expect(0, &[])?;
                }
                Ok::<_, Failed>(())
            });
            let done =
                (0..BESIDE).try_for_each(|_| site.check(backend, &CHEAP).expect(0, &["run 1 of"]).map(drop));
            over.store(true, Ordering::Release);
            sweeper.join().map_err(|_| "it panicked")??;
            done
        })?;
        drop(site);
        cleared(world, &before)
    })
}

/// A hundred checks from the same clone: the same verdict, and nothing piles up.
pub fn a_hundred_in_a_row(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = Site::new(world, READER)?;
        site.file("s.sql", "SELECT 1;\n")?;
        let with_site = world.things()?;
        let mut warm = None;
        for check in 1..=IN_A_ROW {
            let outcome = site.check(backend, &CHEAP);
            outcome.expect(0, &[])?;
            same("the verdict", outcome.out.contains("PASS after 1 run, the automation works"), true)?;
            if check >= WARM && check % WARM == 0 {
                // The engine may still be at something, and a process is seen while it ends.
                let mut left = Vec::new();
                gone(|| {
                    left = new_things(world, &with_site)?;
                    Ok(left.is_empty())
                })?;
                same(&format!("left after check {check}"), left, Vec::new())?;
                let now = Used::by(world)?;
                now.no_more_than(warm.get_or_insert_with(|| now.clone()))?;
            }
        }
        drop(site);
        tally::note(
            &format!("in a row on {backend}"),
            format!("{IN_A_ROW} checks with the same verdict, and nothing piled up"),
        );
        cleared(world, &before)
    })
}

/// What a world has in use.
#[derive(Debug, Clone)]
struct Used {
    descriptors: usize,
    processes: usize,
    mounts: usize,
    /// Bytes in memory-backed file systems: sandboxes, the cache, all of the engine.
    bytes: u64,
}

impl Used {
    fn by(world: &World) -> Result<Self, Failed> {
        let processes = world.processes();
        let of =
            |pid: u32| std::fs::read_dir(world.path(format!("/proc/{pid}/fd"))).map_or(0, Iterator::count);
        let mut bytes = 0;
        for directory in ["/dev/shm", "/tmp", "/run"] {
            let stat = rustix::fs::statvfs(world.path(directory))?;
            bytes += (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
        }
        Ok(Self {
            descriptors: processes.iter().map(|(pid, _)| of(*pid)).sum(),
            processes: processes.len(),
            mounts: std::fs::read_to_string(world.path("/proc/1/mounts"))?.lines().count(),
            bytes,
        })
    }

    /// The engine's own coming and going is allowed, and what its log has taken; what every check left would be more.
    fn no_more_than(&self, warm: &Self) -> Result<(), Failed> {
        let grown = self.descriptors > warm.descriptors + 20
            || self.processes > warm.processes
            || self.mounts > warm.mounts
            || self.bytes > warm.bytes + (4 << 20);
        same(&format!("grown from {warm:?} to {self:?}"), grown, false)
    }
}
