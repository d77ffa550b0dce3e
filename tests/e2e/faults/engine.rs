//! A Docker engine of a world's own, which may be stopped and started again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::world::World;

/// Where it listens.
pub const SOCKET: &str = "/run/docker.sock";
/// Where everything of it is, in memory.
const ROOT: &str = "/tmp/engine";
/// The image of the rehearsals.
pub const IMAGE: &str = "thirdrun-postgres:17";
/// How long it may take to come up, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine.
pub struct Engine {
    process: Child,
    name: String,
    /// Where it listens, as this process reaches it.
    host: String,
    root: PathBuf,
}

impl Engine {
    /// Starts one, and loads the image into it that the machine's own engine has.
    pub fn start(world: &World, name: &str) -> Result<Self, String> {
        let process = spawn(world, name)?;
        let host = format!("unix://{}", world.path(SOCKET).display());
        let mut engine = Self { process, name: name.to_owned(), host, root: world.path(ROOT) };
        engine.wait_until_up()?;
        let save = Command::new("docker").args(["save", IMAGE]).stdout(Stdio::piped()).spawn();
        let mut save = save.map_err(|error| error.to_string())?;
        let mut load = engine.docker(&["load", "--quiet"]);
        let from = save.stdout.take().ok_or("no pipe")?;
        let loaded = load.stdin(from).output().map_err(|error| error.to_string())?;
        let saved = save.wait().map_err(|error| error.to_string())?;
        if !saved.success() || !loaded.status.success() {
            engine.forget();
            return Err(format!("{IMAGE} cannot be loaded: {}", String::from_utf8_lossy(&loaded.stderr)));
        }
        Ok(engine)
    }

    /// The command `docker` for it.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(&self.host).args(arguments).stdin(Stdio::null());
        command
    }

    /// What `docker` prints.
    pub fn said(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.docker(arguments).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends it in good order, which ends all of its containers, or at once, which leaves them.
    pub fn stop(&mut self, world: &World, signal: &str) -> Result<(), String> {
        let begins = |(pid, line): (u32, String)| line.starts_with("dockerd ").then_some(pid);
        let pids: Vec<u32> = world.processes().into_iter().filter_map(begins).collect();
        world.signal(signal, &pids)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.process.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("the engine did not end within {PATIENCE:?}"))
    }

    /// Starts it again, if it does not run.
    pub fn start_again(&mut self, world: &World) -> Result<(), String> {
        if self.process.try_wait().map_err(|error| error.to_string())?.is_some() {
            self.process = spawn(world, &self.name)?;
        }
        self.wait_until_up()
    }

    fn wait_until_up(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.said(&["version"]).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("dockerd ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the engine did not come up within {PATIENCE:?}"))
    }

    /// Everything in it: what it lists, and the layers that it has on disk.
    pub fn things(&self) -> Result<BTreeSet<String>, String> {
        let mut things = BTreeSet::new();
        for (kind, arguments) in [
            ("container", ["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}"].as_slice()),
            ("network", &["network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"]),
            ("volume", &["volume", "ls", "--format", "{{.Name}}"]),
            ("image", &["images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]),
        ] {
            things.extend(self.said(arguments)?.lines().map(|line| format!("{kind} {line}")));
        }
        for kind in ["image/overlay2/layerdb/sha256", "image/overlay2/layerdb/mounts", "containers"] {
            for entry in std::fs::read_dir(self.root.join(kind)).into_iter().flatten().flatten() {
                things.insert(format!("{kind} {}", entry.file_name().to_string_lossy()));
            }
        }
        Ok(things)
    }

    /// Removes what outlives the world: control groups.
    pub fn forget(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let groups = controllers.map(|entry| entry.path().join(&self.name));
        for group in groups.chain([Path::new("/sys/fs/cgroup").join(&self.name)]) {
            let begun = Instant::now();
            // Its processes were killed and may take a moment.
            while group.exists() && begun.elapsed() < Duration::from_secs(5) {
                for inner in std::fs::read_dir(&group).into_iter().flatten().flatten() {
                    // Files go with their directory.
                    let _ = std::fs::remove_dir(inner.path());
                }
                let _ = std::fs::remove_dir(&group);
            }
        }
    }
}

/// With a network of nothing but loopback, as the world has none either.
fn spawn(world: &World, name: &str) -> Result<Child, String> {
    super::world::write(&world.path("/run/daemon.json"), "{}\n").map_err(|error| error.to_string())?;
    let log = world.path("/run/dockerd.log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(|e| e.to_string())?;
    let mut command = world.command("/", "dockerd");
    command.args(["--config-file", "/run/daemon.json", "--host", &format!("unix://{SOCKET}")]);
    command.args(["--data-root", ROOT, "--exec-root", "/run/docker", "--pidfile", "/run/dockerd.pid"]);
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=1"]);
    command.args(["--storage-driver=overlay2", &format!("--cgroup-parent=/{name}")]);
    command.stdout(Stdio::null()).stderr(log).spawn().map_err(|error| error.to_string())
}
