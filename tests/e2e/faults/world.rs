//! A world of its own for a fault: processes, mounts, network and a Docker engine that nobody else has.
//!
//! Whatever is there that was not there before is thirdrun's, and has to be gone after `gc`: nothing need be
//! told from the things of other tests. When the world's first process ends, the kernel ends all others, and
//! with them go all mounts; the shared engine of the machine is never touched.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::Failed;

use super::engine::Engine;
use super::foreign;
use crate::support::Backend;

/// What the world's first process does: everything that is written goes into memory, and it stays until its
/// standard input ends, which is when the tests end, however they do. Bash takes leave of orphans.
const FIRST: &str = "set -e
mount -t tmpfs -o mode=1777,size=8g none /dev/shm
mount -t tmpfs -o mode=1777 none /tmp
mount -t tmpfs -o mode=755 none /run
mkdir -m 1777 /run/lock
mkdir /run/mount
mkdir /run/bin /tmp/home
ip link set lo up || true
echo ready
read -r _ || true";

/// The binary under test, in a world.
pub const BINARY: &str = "/run/bin/thirdrun";
/// The cache of a world.
pub const CACHE: &str = "/tmp/cache";

/// A world.
pub struct World {
    unshare: Child,
    /// Its end ends the world.
    _stdin: ChildStdin,
    /// The first process, as this machine knows it.
    init: u32,
    /// Its engine, where the machine has one.
    pub engine: Option<Engine>,
    /// What is somebody else's in it.
    foreign: foreign::Things,
}

/// Worlds that are free. A trial takes one, or makes one.
static FREE: Mutex<Vec<World>> = Mutex::new(Vec::new());
static MADE: AtomicU32 = AtomicU32::new(0);

/// Whether worlds can be made here; if not, why.
pub fn can() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can make a world of its own for them".to_owned());
    }
    World::make(false).map(drop)
}

/// Whether a world can have an engine here; if not, why.
pub fn can_engine() -> Result<(), String> {
    let there = Command::new("dockerd").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err("dockerd is not in PATH, so that none can be started for them".to_owned());
    }
    let world = World::make(true)?;
    give_back(world);
    Ok(())
}

/// Does something in a world that nobody else uses meanwhile.
pub fn within<T>(backend: Backend, work: impl FnOnce(&mut World) -> Result<T, Failed>) -> Result<T, Failed> {
    let mut free = FREE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let fits = |world: &World| backend == Backend::Local || world.engine.is_some();
    let taken = free.iter().position(fits).map(|at| free.swap_remove(at));
    drop(free);
    let mut world = match taken {
        Some(world) => world,
        None => World::make(backend == Backend::Docker)?,
    };
    let done = work(&mut world);
    if done.is_ok() {
        give_back(world);
    }
    done
}

fn give_back(world: World) {
    FREE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(world);
}

/// Ends all worlds.
pub fn end() {
    FREE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
}

impl World {
    fn make(with_engine: bool) -> Result<Self, String> {
        let said = |what: &str| format!("a world of its own cannot be made: {what}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "bash", "-c", FIRST]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut unshare = command.spawn().map_err(|error| said(&error.to_string()))?;
        let (stdin, stdout) = (unshare.stdin.take(), unshare.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(said("no pipes")) };
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        if read.is_err() || line != "ready\n" {
            drop(stdin);
            let output = unshare.wait_with_output().map_err(|error| said(&error.to_string()))?;
            return Err(said(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let init = child_of(unshare.id()).ok_or_else(|| said("its first process is not there"))?;
        let mut world =
            Self { unshare, _stdin: stdin, init, engine: None, foreign: foreign::Things::default() };
        std::fs::copy(env!("CARGO_BIN_EXE_thirdrun"), world.path(BINARY))
            .map_err(|e| said(&e.to_string()))?;
        if with_engine {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let name = format!("thirdrun-faults-{}-{number}", std::process::id());
            world.engine = Some(Engine::start(&world, &name)?);
        }
        world.foreign = foreign::Things::put(&world)?;
        Ok(world)
    }

    /// A path of the world, as this process reaches it.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new(&format!("/proc/{}/root", self.init)).join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// A program in the world, in a directory of it.
    pub fn command(&self, directory: &str, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "-m", "-p", "-n", "-i", "-u", "env", "-i", "-C"]);
        command.args([directory, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["HOME=/tmp/home", &format!("THIRDRUN_CACHE_DIR={CACHE}"), "TMPDIR=/tmp"]);
        command.arg(format!("DOCKER_HOST=unix://{}", super::engine::SOCKET));
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a line of shell in the world; says what it printed.
    pub fn shell(&self, line: &str) -> Result<String, String> {
        let output = self.command("/tmp", "bash").args(["-c", line]).output();
        let output = output.map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The processes of the world but its first one, by number, and their command lines. Zombies have none.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.path("/proc")).into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // It may have ended meanwhile.
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if pid != 1 {
                found.push((pid, line.trim_end().to_owned()));
            }
        }
        found
    }

    /// The children of a process of the world.
    pub fn children(&self, of: u32) -> Vec<(u32, String)> {
        let parent = |pid: u32| {
            let stat = std::fs::read_to_string(self.path(format!("/proc/{pid}/stat"))).ok()?;
            // Its name, in parentheses, may have any characters; then come its state and its parent.
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
        };
        self.processes().into_iter().filter(|(pid, _)| parent(*pid) == Some(of)).collect()
    }

    /// Sends a signal to processes of the world. Those that have ended meanwhile do not count.
    pub fn signal(&self, signal: &str, pids: &[u32]) -> Result<(), String> {
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        self.shell(&format!("kill -{signal} {} 2>/dev/null || true", pids.join(" "))).map(drop)
    }

    /// Everything that a sandbox could have left in it.
    pub fn things(&self) -> Result<BTreeSet<String>, String> {
        let mut things = BTreeSet::new();
        for directory in ["/dev/shm", "/tmp", "/run", "/run/lock", CACHE] {
            for entry in std::fs::read_dir(self.path(directory)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                // The engine has its containerd write its stacks when that does not answer in time.
                if !(name.starts_with("containerd.") && name.ends_with(".stacks.log")) {
                    things.insert(format!("{directory}/{name}"));
                }
            }
        }
        // The engine comes and goes, and one that is killed while it starts a container may itself forget what it has
        // begun with. What runs in a container is seen all the same.
        let of_engine = |line: &str| {
            let program = line.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-untar"].contains(&name)
                || line == "runc init"
        };
        let processes = self.processes().into_iter().filter(|(_, line)| !of_engine(line));
        things.extend(processes.map(|(pid, line)| format!("process {pid}: {line}")));
        let mounts =
            std::fs::read_to_string(format!("/proc/{}/mounts", self.init)).map_err(|e| e.to_string())?;
        things.extend(
            mounts.lines().filter(|line| !line.contains("/engine/")).map(|line| format!("mount {line}")),
        );
        // Shared memory, semaphores and queues belong to nobody when their process is killed.
        for line in self.shell("cd /proc/sysvipc && tail -qn +2 shm sem msg")?.lines() {
            let id: Vec<_> = line.split_whitespace().take(2).collect();
            things.insert(format!("System V {}", id.join(" ")));
        }
        if let Some(engine) = &self.engine {
            things.extend(engine.things()?);
        }
        Ok(things)
    }

    /// Fails unless all that is somebody else's is as it was.
    pub fn foreign_untouched(&self) -> Result<(), Failed> {
        self.foreign.untouched(self)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let engine = self.engine.take();
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        if let Some(engine) = engine {
            engine.forget();
        }
    }
}

/// The only child of a process, as this machine knows it, once it has one.
pub fn child_of(pid: u32) -> Option<u32> {
    let mut found = None;
    let looked = crate::support::eventually("a child", || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        found = text.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
        found.is_some() || !Path::new(&format!("/proc/{pid}")).exists()
    });
    looked.ok()?;
    found
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
    let mut file =
        std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
