//! `thirdrun doctor --fix` on an engine that has no image.
//!
//! That engine is the real one behind a socket which gives our images, and their label, other names, so that tests
//! which run at the same time keep theirs. What packages make of an image is seen when `make images` builds them;
//! here a program that only looks like mmdebstrap is found first.

use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::Test;
use crate::support::{Backend, Outcome, finish, same, thirdrun};

pub const DOCKER_TESTS: &[Test] = &[("doctor::missing_images_are_built", missing_images_are_built)];

/// What requests are rewritten to: names of the same length.
const NAMES: [(&str, &str); 3] = [
    ("thirdrun-postgres", "thirdrun-doctored"),
    ("thirdrun.image", "thirdrun.fixed"),
    ("images/postgres", "images/nostgres"),
];
const MAJORS: [u32; 4] = [13, 15, 17, 18];
/// Makes a root file system of one file, where the last but one of its arguments says.
const MMDEBSTRAP: &str = "#!/bin/bash\n[ ! -e \"$0.fails\" ] || { echo no such suite; exit 1; }\n\
     tar -cf \"${@: -2:1}\" -C \"$(dirname \"$0\")\" mmdebstrap\n";
const APT_GET: &str = "#!/bin/bash\n[ \"$1\" != indextargets ] || echo file:/nowhere/debian\n";

fn missing_images_are_built(_: Backend) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket)?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that is gone needs no answer.
            std::thread::spawn(move || serve(client));
        }
    });
    for (name, text) in [("mmdebstrap", MMDEBSTRAP), ("apt-get", APT_GET)] {
        let file = directory.path().join(name);
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    }
    remove_images();
    let done = fixed(directory.path());
    remove_images();
    done
}

fn fixed(directory: &Path) -> Result<(), Failed> {
    if !rustix::process::geteuid().is_root() {
        return doctor(directory).expect(4, &["can only be built by root", "doctor --fix"]).map(drop);
    }
    let fails = directory.join("mmdebstrap.fails");
    std::fs::write(&fails, "")?;
    let failed = doctor(directory);
    failed.expect(
        4,
        &["thirdrun-postgres:13 could not be built", "no such suite", "the images could not be built"],
    )?;
    std::fs::remove_file(fails)?;
    let there = doctor(directory);
    there.expect(0, &[])?;
    let all = "thirdrun-postgres:18, thirdrun-postgres:17, thirdrun-postgres:15, thirdrun-postgres:13";
    same("to be built", there.out.contains(all), true)?;
    for major in MAJORS {
        same("built", there.out.contains(&format!("thirdrun-postgres:{major} built in")), true)?;
    }
    docker(&["rmi", "thirdrun-doctored:15"]);
    let one = doctor(directory);
    one.expect(0, &[])?;
    same("the missing one", one.out.lines().any(|line| line.ends_with(" each: thirdrun-postgres:15")), true)?;
    let none = doctor(directory);
    none.expect(0, &[])?;
    same("up to date", none.out.contains("the images are up to date"), true)
}

fn doctor(directory: &Path) -> Outcome {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = thirdrun();
    command.args(["doctor", "--fix"]);
    command.env("DOCKER_HOST", format!("unix://{}", directory.join("docker.sock").display()));
    command.env("PATH", format!("{}:{path}", directory.display()));
    finish(&mut command)
}

fn remove_images() {
    let names = MAJORS.map(|major| format!("thirdrun-doctored:{major}"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    docker(&[&["rmi"], names.as_slice()].concat());
}

/// Asks the real engine, which may have nothing to do.
fn docker(arguments: &[&str]) {
    let _ = Command::new("docker").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn serve(mut client: UnixStream) -> std::io::Result<()> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let real =
        host.strip_prefix("unix://").map_or_else(|| PathBuf::from("/var/run/docker.sock"), PathBuf::from);
    let mut engine = UnixStream::connect(real)?;
    let (mut back, mut answers) = (client.try_clone()?, engine.try_clone()?);
    std::thread::spawn(move || {
        let copied = std::io::copy(&mut answers, &mut back);
        back.shutdown(std::net::Shutdown::Write).and(copied.map(drop))
    });
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return engine.shutdown(std::net::Shutdown::Write);
        }
        let piece = &mut buffer[..count];
        for (from, to) in NAMES {
            let mut at = 0;
            while let Some(found) =
                piece[at..].windows(from.len()).position(|window| window == from.as_bytes())
            {
                at += found;
                piece[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        engine.write_all(piece)?;
    }
}
