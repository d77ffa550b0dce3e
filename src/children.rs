//! The child processes of this process: those that it started, for which somebody waits, and those that it inherited from
//! programs of a sandbox, of which it takes leave. Whom nobody waits for stays in the table of processes, where a script that
//! starts one after the other would fill it.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Whether every child that this process did not start by way of this module is an inherited one.
static INHERITS: AtomicBool = AtomicBool::new(false);
/// Those that this process started.
static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn started() -> MutexGuard<'static, BTreeSet<u32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on what programs leave behind become children of this process, which ends them and takes leave of them: in a
/// container nobody else might. For a process that starts no child but by way of this module.
pub fn inherit() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    INHERITS.store(true, Ordering::Relaxed);
}

/// Starts a child, for which the caller waits.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    // Before it is known nobody shall wait for it.
    let mut started = started();
    let child = command.spawn()?;
    started.insert(child.id());
    Ok(child)
}

/// The same, for a caller that waits in a future.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_async(command: &mut tokio::process::Command) -> io::Result<tokio::process::Child> {
    let mut started = started();
    let child = command.spawn()?;
    started.extend(child.id());
    Ok(child)
}

/// Takes leave of the inherited ones that have ended.
pub fn take_leave() {
    if INHERITS.load(Ordering::Relaxed) {
        take_leave_of(|_| true);
    }
}

/// Of those that are wanted.
fn take_leave_of(wanted: impl Fn(u32) -> bool) {
    let mut started = started();
    let now = children();
    // Somebody has waited for them, and their numbers may be given to others.
    started.retain(|own| now.contains(own));
    for inherited in now.difference(&started).filter(|pid| wanted(**pid)) {
        if let Some(pid) = i32::try_from(*inherited).ok().and_then(Pid::from_raw) {
            // One that has not ended is left alone.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// The children of all threads of this process (proc_pid_task_children(5)); none where the kernel does not tell.
fn children() -> BTreeSet<u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_inherited_ones_are_waited_for() {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        // Its child is left to this process, and has ended when it can be read that it has.
        let mut shell = Command::new("sh");
        let mut shell = spawn(
            shell.args(["-c", "sleep 0 & echo $!; exec sleep 1000"]).stdout(std::process::Stdio::piped()),
        )
        .unwrap();
        let mut orphan = Command::new("sh");
        let orphan = orphan.args(["-c", "(sleep 0.1; exit 7) & echo $!"]).output().unwrap();
        let orphan: u32 = String::from_utf8(orphan.stdout).unwrap().trim().parse().unwrap();
        let begun = std::time::Instant::now();
        while children().contains(&orphan) && begun.elapsed().as_secs() < 60 {
            take_leave_of(|pid| pid == orphan || pid == shell.id());
            std::thread::yield_now();
        }
        assert!(!children().contains(&orphan));
        shell.kill().unwrap();
        take_leave_of(|pid| pid == shell.id());
        // Still there to be waited for by whoever started it.
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&shell.wait().unwrap()), Some(9));
    }
}
