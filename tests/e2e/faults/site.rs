//! A rehearsal in a world, a check of it that is under way, and what has to be so when it has ended.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};

use super::world::{BINARY, CACHE, World, child_of, write};
use crate::support::{Backend, Outcome, ROLES, SCHEMA, finish, same};

/// How long a check may take, whatever befalls it: the longest that it waits for anything by itself is a minute.
pub const BOUND: Duration = Duration::from_secs(150);

/// Tells the dumps of sites from each other, so that no clone of another one is found.
static SITES: AtomicU32 = AtomicU32::new(0);

/// The directory of one rehearsal.
pub struct Site<'w> {
    pub world: &'w World,
    directory: String,
}

impl<'w> Site<'w> {
    /// The shop, with this as the rehearsal file.
    pub fn new(world: &'w World, file: &str) -> Result<Self, Failed> {
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let directory = format!("/tmp/site-{number}");
        std::fs::create_dir(world.path(&directory))?;
        let site = Self { world, directory };
        let file =
            if file.contains("[data]") { file.to_owned() } else { format!("[data]\nrows = 0\n{file}") };
        site.file("thirdrun.toml", &file)?;
        site.file("schema.sql", &format!("-- {number}\n{SCHEMA}"))?;
        site.file("roles.sql", ROLES)?;
        Ok(site)
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) -> Result<&Self, Failed> {
        write(&self.path(name), text)?;
        Ok(self)
    }

    /// A path in it, as this process reaches it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.world.path(&self.directory).join(name)
    }

    /// Its directory, as the world knows it.
    pub fn inside(&self) -> &str {
        &self.directory
    }

    /// The command `thirdrun check`.
    pub fn command(&self, backend: Backend, arguments: &[&str]) -> Command {
        let mut command = self.world.command(&self.directory, BINARY);
        command.args(["check", "--backend", &backend.to_string()]).args(arguments);
        command
    }

    /// Runs it to its end.
    pub fn check(&self, backend: Backend, arguments: &[&str]) -> Outcome {
        finish(&mut self.command(backend, arguments))
    }

    /// Starts it.
    pub fn start(&self, backend: Backend, arguments: &[&str]) -> Result<Running, Failed> {
        Running::of(&mut self.command(backend, arguments))
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.path(""));
    }
}

/// A check that is under way.
pub struct Running {
    nsenter: Child,
    /// thirdrun itself.
    process: Pid,
    begun: Instant,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a command of a world.
    pub fn of(command: &mut Command) -> Result<Self, Failed> {
        let begun = Instant::now();
        let mut nsenter = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (out, err) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let mut readers = Vec::new();
        if let Some(stdout) = nsenter.stdout.take() {
            readers.push(read(stdout, Arc::clone(&out)));
        }
        if let Some(stderr) = nsenter.stderr.take() {
            readers.push(read(stderr, Arc::clone(&err)));
        }
        let process = child_of(nsenter.id()).and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let process = process.ok_or_else(|| format!("it ended at once: {}", text(&err)))?;
        Ok(Self { nsenter, process, begun, out, err, readers })
    }

    /// What it has said on standard error until now.
    pub fn said(&self) -> String {
        text(&self.err)
    }

    /// How long it has been under way.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits until something is so. A check that ends before misses its fault.
    pub fn until(&mut self, what: &str, mut so: impl FnMut(&str) -> bool) -> Result<(), Failed> {
        while !so(&self.said()) {
            if self.nsenter.try_wait()?.is_some() || self.begun.elapsed() > BOUND {
                return Err(format!("{what} was never seen:\n{}\n{}", text(&self.out), self.said()).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Sends it a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.process, signal);
    }

    /// Stops it where it is.
    pub fn freeze(&self) -> Result<(), Failed> {
        self.signal(Signal::STOP);
        let nsenter = format!("/proc/{}/stat", self.nsenter.id());
        let begun = Instant::now();
        // nsenter stops itself after its child.
        while !std::fs::read_to_string(&nsenter)?.contains(" T ") {
            if begun.elapsed() > BOUND {
                return Err(format!("it cannot be stopped: {}", self.said()).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let nsenter = Pid::from_raw(self.nsenter.id().cast_signed());
        let _ = nsenter.map(|nsenter| kill_process(nsenter, Signal::CONT));
        self.signal(Signal::CONT);
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Result<bool, Failed> {
        Ok(self.nsenter.try_wait()?.is_some())
    }

    /// Waits until it has ended, which it has to in time.
    pub fn finish(mut self) -> Result<Outcome, Failed> {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.nsenter.try_wait()? {
                break status;
            }
            if begun.elapsed() > BOUND {
                self.signal(Signal::KILL);
                return Err(format!("it hung:\n{}\n{}", text(&self.out), self.said()).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // What it left may still have its standard error.
        let code = status.code();
        for reader in self.readers {
            if code.is_some() {
                reader.join().map_err(|_| "a reader panicked")?;
            }
        }
        Ok(Outcome { code, out: text(&self.out), err: text(&self.err) })
    }
}

fn text(of: &Mutex<String>) -> String {
    of.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn read(mut from: impl std::io::Read + Send + 'static, to: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let piece = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
            to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&piece);
        }
    })
}

/// What is new in a world since it looked like this, and is not in the cache, which is to stay.
pub fn new_things(world: &World, before: &BTreeSet<String>) -> Result<Vec<String>, Failed> {
    let kept = |one: &String| {
        let in_cache = one.starts_with(&format!("{CACHE}/")) && !one.starts_with(&format!("{CACHE}/new-"));
        // The image of a clone that is kept, with its layer.
        in_cache
            || one == CACHE
            || one.contains(" thirdrun-seed:")
            || one.starts_with("image/overlay2/layerdb/sha256 ")
    };
    Ok(world.things()?.into_iter().filter(|one| !before.contains(one) && !kept(one)).collect())
}

/// Runs `thirdrun gc`.
pub fn gc(world: &World, arguments: &[&str]) -> Outcome {
    finish(world.command("/", BINARY).arg("gc").args(arguments))
}

/// `gc` removes what a check left, `gc --older-than 0s` the caches, and neither anything else: the world is as it
/// was before.
pub fn cleared(world: &World, before: &BTreeSet<String>) -> Result<(), Failed> {
    gc(world, &[]).expect(0, &[])?;
    let mut left = Vec::new();
    // A process that was killed is there a moment longer, and an engine may have been at something for a client
    // that is gone, which then has to be removed by another `gc`.
    gone(|| {
        left = new_things(world, before)?;
        if left.iter().any(|one| !one.starts_with("process ")) {
            gc(world, &[]).expect(0, &[])?;
        }
        Ok(left.is_empty())
    })?;
    same("left after gc", left, Vec::new())?;
    gc(world, &["--older-than", "0s"]).expect(0, &[])?;
    let mut left = Vec::new();
    gone(|| {
        let things = world.things()?;
        left = things.difference(before).filter(|one| *one != CACHE).cloned().collect();
        Ok(left.is_empty())
    })?;
    same("left after gc --older-than 0s", left, Vec::new())?;
    world.foreign_untouched()
}

/// Waits until something is so; what is not after a while is told by what comes then.
pub fn gone(mut so: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let begun = Instant::now();
    while !so()? && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
