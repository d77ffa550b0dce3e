//! Sandboxes by themselves, through the library: what no script or rehearsal file can bring about.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use thirdrun::commands::contain::contain;
use thirdrun::failure::{Exit, Failure};
use thirdrun::identifiers::{DatabaseName, RoleName, Secret};
use thirdrun::observations::Ending;
use thirdrun::postgres::{Endpoint, Login, Session};
use thirdrun::programs::{Executable, Program, Until};
use thirdrun::progress::Progress;
use thirdrun::sandbox::docker::Reach;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};

use crate::Test;
use crate::support::{Backend, READER, Rehearsal, SCHEMA, finish, leftovers, same};

pub const TESTS: &[Test] = &[
    ("sandboxes::a_panic_leaves_nothing_behind", a_panic_leaves_nothing_behind),
    ("sandboxes::a_kept_one_can_be_entered", a_kept_one_can_be_entered),
];

/// Those that only Docker can be tested with.
pub const DOCKER_TESTS: &[Test] = &[
    ("sandboxes::an_engine_in_a_virtual_machine_is_reached_through_a_port", reached_through_a_port),
    ("sandboxes::packages_of_extensions_are_installed", packages_of_extensions_are_installed),
    ("sandboxes::a_container_that_cannot_start_is_removed", a_container_that_cannot_start_is_removed),
    ("sandboxes::a_script_has_its_limit_of_memory", a_script_has_its_limit_of_memory),
    ("sandboxes::images_that_are_there_are_not_built", images_that_are_there_are_not_built),
    ("sandboxes::an_image_that_was_never_finished_is_removed", an_image_that_was_never_finished),
];

/// Those that only a local server can be tested with.
pub const LOCAL_TESTS: &[Test] = &[
    ("sandboxes::an_ordinary_user_needs_no_rights", ordinary_user),
    ("sandboxes::a_full_disk_is_told", a_full_disk_is_told),
];

fn plan(backend: Backend, reach: Option<Reach>) -> SandboxPlan {
    SandboxPlan {
        backend: match backend {
            Backend::Local => BackendChoice::Local,
            Backend::Docker => BackendChoice::Docker,
        },
        reach,
        ..SandboxPlan::default()
    }
}

fn wait<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work))
}

fn of(name: &str) -> Vec<String> {
    leftovers().into_iter().filter(|one| one.contains(name)).collect()
}

fn a_panic_leaves_nothing_behind(backend: Backend) -> Result<(), Failed> {
    let scope = Scope::create()?;
    let name = scope.name();
    let plan = plan(backend, None);
    let progress = Progress::new(true, false);
    let work = async {
        let sandbox = Sandbox::start(&plan, None, &scope, &[]).await?;
        let there = !of(&name).is_empty() && sandbox.log_if_gone().await.is_none();
        assert!(!there, "this panic is wanted");
        Ok::<(), Failure>(())
    };
    let result = wait(contain(scope.clone(), &progress, work, std::future::ready))?;
    same("exit", result.map_err(|failure| failure.exit), Err(Exit::Defect))?;
    same("left", of(&name), Vec::new())
}

fn ordinary_user(backend: Backend) -> Result<(), Failed> {
    // The user `daemon`, whom every Linux has, and as whom nothing else of these tests runs.
    const DAEMON: u32 = 1;
    let root = rustix::process::geteuid().is_root();
    let directory = tempfile::tempdir()?;
    let binary = directory.path().join("thirdrun");
    std::fs::copy(env!("CARGO_BIN_EXE_thirdrun"), &binary)?;
    if root {
        std::os::unix::fs::chown(directory.path(), Some(DAEMON), Some(DAEMON))?;
    }
    // The first one makes its cluster, the second one takes it out of the cache.
    for _ in 0..2 {
        let mut command = Command::new(&binary);
        command.args(["demo", "--quiet", "--backend", &backend.to_string()]);
        command.env("THIRDRUN_CACHE_DIR", directory.path().join("cache")).current_dir("/");
        if root {
            command.uid(DAEMON).gid(DAEMON);
        }
        finish(&mut command).expect(1, &[])?;
    }
    let of_daemon = |path: &String| std::fs::metadata(path).is_ok_and(|meta| root && meta.uid() == DAEMON);
    same("left", leftovers().into_iter().filter(of_daemon).collect(), Vec::<String>::new())
}

/// What a thirdrun sees that has so little room that some rows fill it.
const FULL: &str = "mount -t tmpfs -o size=100m none /dev/shm || exit 99\n\
                    \"$@\"; status=$?; ls -A /dev/shm; exit $status";

fn a_full_disk_is_told(backend: Backend) -> Result<(), Failed> {
    let can = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: only root can make a small disk");
        return Ok(());
    }
    let rehearsal = Rehearsal::new("");
    rehearsal.file("thirdrun.toml", &format!("[data]\nrows = 3000000\n{READER}")).file("s.sql", "SELECT 1;");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", FULL, "sh", env!("CARGO_BIN_EXE_thirdrun"), "check", "s.sql"]);
    command.args(["--backend", &backend.to_string()]).current_dir(rehearsal.path(""));
    command.env("TMPDIR", "/dev/shm").env("THIRDRUN_NO_CACHE", "1");
    let outcome = finish(&mut command);
    outcome.expect(4, &["No space left on device", "make room there"])?;
    same("left on the disk", outcome.out.as_str(), "")
}

/// An image in which nothing is, not even a shell.
fn a_container_that_cannot_start_is_removed(backend: Backend) -> Result<(), Failed> {
    let image = "thirdrun-test-of-nothing:17";
    let import = format!("tar -cf - --files-from /dev/null | docker import - {image}");
    same("docker import", Command::new("sh").args(["-c", &import]).output()?.status.success(), true)?;
    let containers = || {
        let output =
            Command::new("docker").args(["ps", "-aq", "--filter", &format!("ancestor={image}")]).output()?;
        Ok::<_, Failed>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let rehearsal = Rehearsal::new(&format!("[clone]\nimage = '{image}'\n{READER}"));
    let outcome = rehearsal.file("s.sql", "SELECT 1;").check(backend, &["s.sql"]);
    let left = containers();
    Command::new("docker").args(["rmi", image]).output()?;
    outcome.expect(4, &["thirdrun doctor"])?;
    same("containers", left?, String::new())
}

fn a_script_has_its_limit_of_memory(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    // tail keeps all that it may have to show.
    let greedy = "#!/bin/bash\nhead -c 6G /dev/zero | tail -c 6G >/dev/null\nexit ${PIPESTATUS[1]}\n";
    rehearsal.file("s.sh", greedy);
    let report = rehearsal.verdict(backend, &["s.sh", "--runs", "1"], 1)?;
    let tail = report["runs"][0]["result"]["output_tail"].as_str().unwrap_or_default().to_owned();
    same(&tail, tail.contains("Killed"), true)?;
    same("the worker", report["runs"][0]["workers"][0]["status"].as_str(), Some("ok"))
}

fn a_kept_one_can_be_entered(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    let mut command = rehearsal.command(backend, &["s.sql", "--runs", "1", "--as", "deploy", "--keep"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let told = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let way = told.map_while(Result::ok).find(|line| line.contains("PGPASSFILE="));
    let entered = way.map(|way| {
        let line = format!("{way} -XAtc 'SELECT current_user'");
        finish(Command::new("sh").args(["-c", &line]))
    });
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or("no process")?;
    kill_process(pid, Signal::INT)?;
    // The result of the check, not that it was interrupted: it was waiting for that.
    same("exit", child.wait()?.code(), Some(1))?;
    same("entered", entered.map(|outcome| outcome.out), Some("deploy\n".to_owned()))
}

fn reached_through_a_port(backend: Backend) -> Result<(), Failed> {
    let scope = Scope::create()?;
    let plan = plan(backend, Some(Reach::Port));
    let result = wait(async {
        let result = use_port(&plan, &scope).await;
        scope.close().await;
        result
    })?;
    result?;
    same("left", of(&scope.name()), Vec::new())
}

async fn use_port(plan: &SandboxPlan, scope: &Scope) -> Result<(), Failed> {
    let sandbox = Sandbox::start(plan, None, scope, &[]).await.map_err(|error| format!("{error:?}"))?;
    let server = sandbox.server();
    let Endpoint::Tcp(address) = server.endpoint else {
        return Err(format!("reached at {:?}", server.endpoint).into());
    };
    same("the address is this machine's own", address.ip().is_loopback(), true)?;
    let listens = std::fs::read_to_string("/proc/net/tcp")?;
    let open = format!("00000000:{:04X} 00000000:0000 0A", address.port());
    same("the port is open to others", listens.contains(&open), false)?;
    let database = DatabaseName::new("postgres");
    for role in ["postgres", "thirdrun"] {
        let nobody = Login {
            role: RoleName::new(role),
            password: Secret::new(""),
            database: database.clone(),
            application: String::new(),
            options: None,
        };
        let refused = Session::open(&server.endpoint, &nobody).await.err();
        same(role, refused.map(|failure| failure.sqlstate.to_string()), Some("28P01".to_owned()))?;
    }
    let session = Session::open(&server.endpoint, &server.superuser_login(&database)).await?;
    session.run("CREATE ROLE svc LOGIN PASSWORD 'known'").await?;
    session.close().await;
    let launcher = sandbox.launcher();
    launcher.provide(&[(RoleName::new("svc"), Secret::new("known"))]).await?;
    let directory = tempfile::tempdir()?;
    let arguments = ["-X", "-c", "SELECT current_user"].map(str::to_owned).to_vec();
    let program = Program {
        what: Executable::Psql(arguments),
        directory: directory.path().to_owned(),
        role: RoleName::new("svc"),
        database: database.clone(),
        env: Vec::new(),
        image: None,
        user: None,
        application: None,
        until: Until::Timeout(Duration::from_secs(60)),
        tapped: false,
    };
    let outcome = launcher.launch(&program).await?;
    same("psql", (outcome.ending, outcome.output.tail().contains("svc")), (Ending::Exited(0), true))
}

fn images_that_are_there_are_not_built(_: Backend) -> Result<(), Failed> {
    // Asked by name: a list may fail while another test removes an image.
    let images = || {
        let names = [13, 15, 17, 18].map(|major| format!("thirdrun-postgres:{major}"));
        let asked = Command::new("docker").args(["image", "inspect", "-f", "{{.Id}}"]).args(names).output();
        asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let before = images()?;
    let outcome = finish(crate::support::thirdrun().args(["doctor", "--fix"]));
    outcome.expect(0, &[])?;
    let said = ["the images are up to date", "there are images, so that none needs to be built"];
    same("said", said.iter().any(|text| outcome.out.contains(text)), true)?;
    same("images", images()?, before)
}

/// The engine was interrupted before it gave the image its name.
fn an_image_that_was_never_finished(_: Backend) -> Result<(), Failed> {
    for label in ["thirdrun.seed", "thirdrun.packages"] {
        let import = format!("tar -cf - --files-from /dev/null | docker import -c 'LABEL {label}=0' -");
        let made = Command::new("sh").args(["-c", &import]).output()?;
        let id = String::from_utf8(made.stdout)?.trim().to_owned();
        same("docker import", (made.status.success(), id.starts_with("sha256:")), (true, true))?;
        // Another test may be installing packages.
        crate::support::eventually(&format!("{label} removed"), || {
            finish(crate::support::thirdrun().arg("gc"));
            let left = Command::new("docker").args(["image", "inspect", &id]).output();
            left.is_ok_and(|left| !left.status.success())
        })?;
    }
    Ok(())
}

/// Needs the archive of the image's own distribution, from which `images/build` makes it.
fn packages_of_extensions_are_installed(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    let file = |packages: &str| {
        format!("[clone]\npostgres = '15'\npackages = ['{packages}']\n[data]\nrows = 3\n{READER}")
    };
    let schema = format!("CREATE EXTENSION ip4r;\nCREATE TABLE public.nets (net ip4r);\n{SCHEMA}");
    rehearsal
        .file("schema.sql", &schema)
        .file("s.sql", "SELECT 1;")
        .file("thirdrun.toml", &file("postgresql-15-no-such-extension"));
    let said = ["postgresql-15-no-such-extension could not be installed", "Unable to locate package"];
    rehearsal.check(backend, &["s.sql"]).expect(4, &said)?;
    rehearsal.file("thirdrun.toml", &file("postgresql-15-ip4r"));
    let outcome = rehearsal.check(backend, &["s.sql", "--runs", "1"]);
    let noted = outcome.expect(0, &[])?.err.contains("installing postgresql-15-ip4r");
    let again = rehearsal.check(backend, &["s.sql", "--runs", "1"]);
    let noted_again = again.expect(0, &[])?.err.contains("installing postgresql-15-ip4r");
    let images = Command::new("docker")
        .args(["images", "-q", "--filter", "label=thirdrun.packages=postgresql-15-ip4r"])
        .output()?;
    for image in String::from_utf8(images.stdout)?.lines() {
        Command::new("docker").args(["rmi", image]).output()?;
    }
    same("installed, and found again", (noted, noted_again), (true, false))
}
