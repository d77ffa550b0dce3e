//! The image of thirdrun itself, as a runner uses it that has a Docker socket and nothing else.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, IMPORTER, Outcome, Rehearsal, eventually, finish, same, thirdrun};

/// Those that only Docker can be tested with.
pub const DOCKER_TESTS: &[Test] = &[("image::thirdrun_in_a_container", thirdrun_in_a_container)];

/// The image of this test.
const IMAGE: &str = "thirdrun-test-itself";
const DOCKERFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/Dockerfile");
/// What is made of Debian's packages and has their package manager, as the image that users build on has.
const DEBIAN: &str = "DEBIAN=thirdrun-postgres:17";
const SCRIPT: &str = "REVOKE INSERT ON public.orders FROM writers;\n";

/// What `docker` prints.
pub fn docker(arguments: &[&str]) -> Result<String, Failed> {
    let output = Command::new("docker").args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn thirdrun_in_a_container(_: Backend) -> Result<(), Failed> {
    let context = tempfile::tempdir()?;
    let place = context.path().join("target/release");
    std::fs::create_dir_all(&place)?;
    std::fs::copy(env!("CARGO_BIN_EXE_thirdrun"), place.join("thirdrun"))?;
    let context = context.path().display().to_string();
    docker(&[
        "build",
        "-q",
        "--target",
        "given",
        "--build-arg",
        DEBIAN,
        "-t",
        IMAGE,
        "-f",
        DOCKERFILE,
        &context,
    ])?;
    let volumes = docker(&["volume", "ls", "-q"])?;
    let tried = tried();
    docker(&["rmi", "-f", IMAGE])?;
    tried?;
    same("volumes", docker(&["volume", "ls", "-q"])?, volumes)
}

fn tried() -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 1\n{IMPORTER}"));
    rehearsal.file("s.sql", SCRIPT);
    let directory = rehearsal.directory.path();
    // By the same name, and by another one.
    for inside in [directory, Path::new("/elsewhere")] {
        let outcome =
            finish(Command::new("docker").args(run(directory, inside)).args([IMAGE, "check", "s.sql"]));
        outcome.expect(1, &["in the sandbox thirdrun-"])?;
        for text in ["(docker thirdrun-postgres:", "no way out", "REVOKE INSERT", "tried in a copy"] {
            same(&format!("{text}:\n{}", outcome.out), outcome.out.contains(text), true)?;
        }
    }
    let demo = finish(Command::new("docker").args(run(directory, directory)).args([IMAGE, "demo"]));
    demo.expect(1, &[])?;
    only_inside(directory)?;
    killed(&rehearsal)
}

/// The arguments of a `docker run` in which a directory is known as `inside`.
fn run(directory: &Path, inside: &Path) -> Vec<String> {
    let volume = format!("{}:{}", directory.display(), inside.display());
    let inside = inside.display().to_string();
    [
        "run",
        "--rm",
        "-v",
        "/var/run/docker.sock:/var/run/docker.sock",
        "-e",
        "THIRDRUN_NO_CACHE=1",
        "-v",
        &volume,
        "-w",
        &inside,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What is only in the container cannot be given to another one, and it is said how it can.
fn only_inside(directory: &Path) -> Result<(), Failed> {
    let copied = "cp -r . /opt/mine && cd /opt/mine && exec thirdrun check s.sql --backend docker";
    let mut command = Command::new("docker");
    command.args(run(directory, directory)).args(["--entrypoint", "sh", IMAGE, "-c", copied]);
    let outcome: Outcome = finish(&mut command);
    outcome.expect(4, &["does not see /opt/mine", "docker run -v /opt/mine:/opt/mine"]).map(drop)
}

/// A container that is killed in the middle leaves others, which a `gc` of the machine knows.
fn killed(rehearsal: &Rehearsal) -> Result<(), Failed> {
    rehearsal.file("long.sql", "SELECT pg_sleep(500);\n");
    let name = format!("{IMAGE}-{}", std::process::id());
    let directory = rehearsal.directory.path();
    let mut command = Command::new("docker");
    command.args(run(directory, directory)).args(["--name", &name, IMAGE, "check", "long.sql"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut id = String::new();
    eventually("it has a container of its own", || {
        id = docker(&["inspect", "-f", "{{.Id}}", &name]).unwrap_or_default();
        !id.is_empty()
    })?;
    let label = format!("label=thirdrun.container={id}");
    let left = || docker(&["ps", "-aq", "--filter", &label]).unwrap_or_default();
    eventually("it has started others", || left().lines().count() >= 2)?;
    // One that is at work is left alone.
    finish(thirdrun().arg("gc")).expect(0, &[])?;
    same("still there", left().lines().count() >= 2, true)?;
    docker(&["kill", &name])?;
    child.wait()?;
    finish(thirdrun().arg("gc")).expect(0, &[])?;
    // Another test's check may be just removing them.
    eventually("they are gone", || left().is_empty())
}
