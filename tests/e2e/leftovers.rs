//! Nothing is left behind: not by success, failure or a signal; and what `kill -9` leaves is found.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};

use crate::Test;
use crate::support::{Backend, READER, Rehearsal, eventually, finish, same, thirdrun};

pub const TESTS: &[Test] = &[
    ("leftovers::signals_end_it_cleanly", signals_end_it_cleanly),
    ("leftovers::a_killed_check_is_cleared_by_gc", a_killed_check_is_cleared_by_gc),
    ("leftovers::a_killed_check_is_cleared_by_the_next", a_killed_check_is_cleared_by_the_next),
    ("leftovers::a_check_at_work_is_left_alone", a_check_at_work_is_left_alone),
];

/// A check whose script tells when it runs, and then sleeps.
struct AtWork {
    rehearsal: Rehearsal,
    child: Child,
    sandbox: String,
}

impl AtWork {
    fn start(backend: Backend) -> Result<Self, Failed> {
        let rehearsal = Rehearsal::new(&format!("[script]\ntimeout = '500s'\n{READER}"));
        // A process in a session of its own is no part of the script's process group.
        rehearsal.file("s.sh", "#!/bin/bash\nsetsid sleep 300 &\nexec sleep 300\n");
        let mut command = rehearsal.command(backend, &["s.sh"]);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut sandbox = String::new();
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if let Some((_, name)) = line.split_once("in the sandbox ") {
                sandbox = name.trim().to_owned();
            }
            if line.contains("run 1 of") {
                break;
            }
        }
        same(&sandbox, sandbox.starts_with("thirdrun-"), true)?;
        Ok(Self { rehearsal, child, sandbox })
    }

    fn signal(&self, signal: Signal) -> Result<(), Failed> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Processes, containers and directories of the sandbox.
    fn left(&self) -> Vec<String> {
        let mut found: Vec<_> =
            crate::support::leftovers().into_iter().filter(|one| one.contains(&self.sandbox)).collect();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let path = entry.path();
            let about = ["environ", "cmdline"].iter().any(|file| {
                std::fs::read(path.join(file))
                    .is_ok_and(|text| String::from_utf8_lossy(&text).contains(&self.sandbox))
            });
            if about {
                found.push(path.display().to_string());
            }
        }
        found
    }

    fn wait_and_expect_nothing(mut self, code: i32) -> Result<(), Failed> {
        let status = self.child.wait()?;
        same("exit", status.code(), Some(code))?;
        same("left", self.left(), Vec::new())
    }
}

fn signals_end_it_cleanly(backend: Backend) -> Result<(), Failed> {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let work = AtWork::start(backend)?;
        same("there is something", work.left().is_empty(), false)?;
        work.signal(signal)?;
        work.wait_and_expect_nothing(130)?;
    }
    Ok(())
}

fn killed(backend: Backend) -> Result<AtWork, Failed> {
    let mut work = AtWork::start(backend)?;
    work.signal(Signal::KILL)?;
    work.child.wait()?;
    Ok(work)
}

fn a_killed_check_is_cleared_by_gc(backend: Backend) -> Result<(), Failed> {
    let work = killed(backend)?;
    // Another test may be faster: every check removes what dead ones have left.
    finish(thirdrun().arg("gc")).expect(0, &[])?;
    eventually("everything is gone", || work.left().is_empty())
}

fn a_killed_check_is_cleared_by_the_next(backend: Backend) -> Result<(), Failed> {
    let work = killed(backend)?;
    work.rehearsal.file("s.sql", "SELECT 1;\n").check(backend, &["s.sql", "--runs", "1"]).expect(0, &[])?;
    eventually("everything is gone", || work.left().is_empty())
}

fn a_check_at_work_is_left_alone(backend: Backend) -> Result<(), Failed> {
    let work = AtWork::start(backend)?;
    finish(thirdrun().arg("gc")).expect(0, &[])?;
    same("still there", work.left().is_empty(), false)?;
    work.signal(Signal::TERM)?;
    work.wait_and_expect_nothing(130)
}
