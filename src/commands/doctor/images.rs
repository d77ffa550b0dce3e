//! `thirdrun doctor --fix`: builds the images of `images/build`, which is part of this program.

use std::process::Stdio;

use sha2::{Digest as _, Sha256};

use crate::commands::contain::contain;
use crate::failure::{Exit, Failure};
use crate::progress::Progress;
use crate::sandbox::Scope;
use crate::sandbox::docker::{Docker, MAJORS, built_by, images};

/// The script that builds them.
const BUILD: &str = include_str!("../../../images/build");
/// Digits of the script's hash with which it labels what it has built.
const DIGITS: usize = 16;
/// What it builds with.
const MMDEBSTRAP: &str = "mmdebstrap";

/// Builds the images where there are none, and those anew that another version of the script has built. Says first
/// what it will do.
///
/// # Errors
/// When it may not, or when the script fails.
pub(super) async fn build(docker: &Docker) -> Result<(), Failure> {
    let mut hash: String = Sha256::digest(BUILD).iter().map(|byte| format!("{byte:02x}")).collect();
    hash.truncate(DIGITS);
    let there = images(docker).await;
    let mut wanted = Vec::new();
    let mut own = false;
    for major in MAJORS.into_iter().rev() {
        let built = built_by(docker, major).await;
        own |= built.is_some();
        if built.as_deref() != Some(hash.as_str()) {
            wanted.push(major.to_string());
        }
    }
    if wanted.is_empty() {
        anstream::println!("the images are up to date: {}", there.join(", "));
        return Ok(());
    }
    if !own && !there.is_empty() {
        anstream::println!("there are images, so that none needs to be built: {}", there.join(", "));
        return Ok(());
    }
    anstream::println!(
        "to be built from Debian's packages with {MMDEBSTRAP}, in some minutes and with some 400 MB each: \
         thirdrun-postgres:{}",
        wanted.join(", thirdrun-postgres:")
    );
    may_build()?;
    let scope = Scope::create()?;
    let script = scope.directory().join("build");
    std::fs::write(&script, BUILD).map_err(|error| Failure::new(Exit::Environment, &error))?;
    let progress = Progress::new(true, false);
    let work = async {
        let mut command = tokio::process::Command::new("bash");
        command.arg(&script).args(&wanted).stdin(Stdio::null()).kill_on_drop(true);
        let status = command.status().await.map_err(|error| Failure::new(Exit::Environment, &error))?;
        if status.success() {
            return Ok(());
        }
        let failure = Failure::said(Exit::Environment, "the images could not be built; why is said above");
        Err(failure.hint("docker pull postgres:17 gets the official image instead"))
    };
    contain(scope.clone(), &progress, work, std::future::ready).await
}

/// Whether this user and this machine can build images; else what to type.
fn may_build() -> Result<(), Failure> {
    let root = rustix::process::geteuid().is_root();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = std::env::split_paths(&path).any(|directory| directory.join(MMDEBSTRAP).is_file());
    if root && has {
        return Ok(());
    }
    let sudo = if root { "" } else { "sudo " };
    let program =
        std::env::current_exe().map_or_else(|_| "thirdrun".to_owned(), |exe| exe.display().to_string());
    let missing = match (root, has) {
        (false, true) => "the images can only be built by root".to_owned(),
        (true, _) => format!("{MMDEBSTRAP} is missing, with which the images are built"),
        (false, false) => format!("the images can only be built by root, and {MMDEBSTRAP} is missing"),
    };
    let failure = Failure::said(Exit::Environment, missing);
    let failure = if has {
        failure
    } else {
        failure.hint(format!("{sudo}apt-get install {MMDEBSTRAP} debian-archive-keyring"))
    };
    Err(failure
        .hint(format!("{sudo}{program} doctor --fix"))
        .hint("or get an image: docker pull postgres:17"))
}
