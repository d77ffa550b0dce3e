//! What no candidate may reach: neither an executable, nor a superuser's `COPY … FROM PROGRAM`, which runs as the server does.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::support::{Backend, READER, Rehearsal, finish, same, thirdrun};

pub const TESTS: &[Test] = &[("hostile::reaches_nothing", reaches_nothing)];

/// Those that only a local server can be tested with.
pub const LOCAL_TESTS: &[Test] =
    &[("hostile::reaches_nothing_of_an_ordinary_user", reaches_nothing_of_an_ordinary_user)];

const ATTACK: &str = include_str!("attack.sh");
const SECRET: &str = "A_SECRET_OF_THE_CALLER";
/// The socket where PostgreSQL would be, on a port that nobody has.
const SOCKET: &str = "/tmp/.s.PGSQL.54399";
/// The user `bin`, whom every Linux has, and as whom nothing else of these tests runs.
const BIN: u32 = 2;

/// The attack, once as an executable and once by the server, and what each said.
const BOTH: &str = "\\set attack `cat attack.sh`\n\
                    CREATE TEMP TABLE said (line text);\nCOPY said FROM PROGRAM :'attack';\n\
                    SELECT 'by the server: ' || line FROM said;\n";

fn reaches_nothing(backend: Backend) -> Result<(), Failed> {
    attack(backend, None)
}

/// One whose processes a script could signal, since they are its own user's.
fn reaches_nothing_of_an_ordinary_user(backend: Backend) -> Result<(), Failed> {
    attack(backend, rustix::process::geteuid().is_root().then_some(BIN))
}

/// Another check, whose script says that it runs and waits to be ended.
struct Other(Child, #[expect(dead_code, reason = "its directory is in use")] Rehearsal);

impl Other {
    fn start(backend: Backend) -> Result<Self, Failed> {
        let rehearsal = Rehearsal::new(&format!("[script]\ntimeout = '500s'\n{READER}"));
        rehearsal.file("s.sh", "#!/bin/bash\nexec sleep 400\n");
        let mut command = rehearsal.command(backend, &["s.sh"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let runs = lines.map_while(Result::ok).any(|line| line.contains("run 1 of"));
        same("the other check runs", runs, true)?;
        Ok(Self(child, rehearsal))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended; then there is nobody to tell.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

fn attack(backend: Backend, user: Option<u32>) -> Result<(), Failed> {
    let other = Other::start(backend)?;
    let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = listener.local_addr()?.port().to_string();
    // Two tests share the socket's name; who comes second finds it there, which is as good.
    let socket = UnixListener::bind(SOCKET);
    let canary = tempfile::Builder::new().prefix("canary").tempfile()?;
    std::fs::set_permissions(canary.path(), std::fs::Permissions::from_mode(0o644))?;
    let path = canary.path().display().to_string();
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 1\n{READER}"));
    let own = rehearsal.directory.path().display().to_string();
    let temporary = std::env::temp_dir().display().to_string();
    let places = ["/", "/etc", "/usr/local/bin", "/root", "/home", "/var/tmp", "/dev/shm", &temporary, &own];
    // Two tests may be at it at once.
    let mark = canary.path().file_name().unwrap_or_default().to_string_lossy().into_owned() + "-was-here";
    let values = [("CANARY", &path), ("PORT", &port), ("MARK", &mark), ("PLACES", &places.join(" "))];
    let text = values.iter().fold(ATTACK.replace("@SECRET@", SECRET), |text, (name, value)| {
        text.replace(&format!("@{name}@"), value)
    });
    rehearsal.file("attack.sh", &text).file("server.sql", BOTH);
    rehearsal.file("program.sh", &format!("#!/bin/sh\n{text}"));
    let binary = tempfile::tempdir()?;
    let mut said = String::new();
    for script in ["program.sh", "server.sql"] {
        let mut command = command(&rehearsal, backend, script, user, binary.path())?;
        // Left open by whoever calls thirdrun.
        rustix::io::fcntl_setfd(canary.as_file().as_fd(), rustix::io::FdFlags::empty())?;
        let outcome = finish(command.env(SECRET, "seen"));
        rustix::io::fcntl_setfd(canary.as_file().as_fd(), rustix::io::FdFlags::CLOEXEC)?;
        outcome.expect(0, &[])?;
        let report: Value = outcome.json()?;
        let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default();
        same(&format!("it was tried by {script}: {tail}"), tail.contains("tried"), true)?;
        said.push_str(tail);
    }
    drop((other, listener));
    if socket.is_ok() {
        std::fs::remove_file(SOCKET)?;
    }
    let made: Vec<_> = places.iter().filter(|place| Path::new(place).join(&mark).exists()).collect();
    same("made a file in", made, Vec::new())?;
    let reached: Vec<_> = said.lines().filter(|line| line.contains("REACHED")).collect();
    same("reached", reached, Vec::new())
}

fn command(
    rehearsal: &Rehearsal,
    backend: Backend,
    script: &str,
    user: Option<u32>,
    place: &Path,
) -> Result<Command, Failed> {
    let arguments = [script, "--no-replay", "--format", "json", "--quiet"];
    let Some(user) = user else { return Ok(rehearsal.command(backend, &arguments)) };
    // The machine's own build may lie where only root can go.
    let binary = place.join("thirdrun");
    if !binary.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_thirdrun"), &binary)?;
        std::os::unix::fs::chown(place, Some(user), Some(user))?;
    }
    let mut command = Command::new(&binary);
    command.envs(thirdrun().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("THIRDRUN_CACHE_DIR", place.join("cache")).env("HOME", place);
    command.arg("check").args(["--backend", &backend.to_string()]).args(arguments);
    command.current_dir(rehearsal.directory.path()).uid(user).gid(user);
    Ok(command)
}
