//! `thirdrun gc`: removes what killed processes of thirdrun have left behind, and only that.

use crate::cache;
use crate::cli::GcArgs;
use crate::failure::{Exit, Failure};
use crate::sandbox::docker::{self, engine};
use crate::sandbox::leftovers::{self, Dead};

/// Runs `thirdrun gc`.
///
/// # Errors
/// When something cannot be removed.
pub async fn run(args: &GcArgs) -> Result<Exit, Failure> {
    let docker = engine::connect().await.ok().map(|(docker, _)| docker);
    let (verb, dead) = if args.dry_run {
        ("would remove", leftovers::find_dead(docker.as_ref()).await)
    } else {
        ("removed", leftovers::remove_dead(docker.as_ref()).await)
    };
    let mut old: Vec<(String, bool)> = Vec::new();
    if let Some(age) = args.older_than.map(Into::into) {
        if let Some(docker) = &docker {
            old = docker::remove_older_clones(docker, age, args.dry_run).await;
        }
        for entry in cache::older_than(age) {
            let removed = args.dry_run
                || cache::remove(&entry).map_err(|error| Failure::new(Exit::Environment, &error))?;
            old.push((entry.display().to_string(), removed));
        }
    }
    for name in &dead.containers {
        anstream::println!("{verb} the container {name}");
    }
    for name in &dead.networks {
        anstream::println!("{verb} the network {name}");
    }
    for directory in &dead.directories {
        anstream::println!("{verb} {}", directory.display());
    }
    for (name, removed) in &old {
        let verb = if *removed { verb } else { "kept, since a check uses it," };
        anstream::println!("{verb} {name}");
    }
    if dead == Dead::default() && old.is_empty() {
        anstream::println!("nothing to remove");
    }
    Ok(Exit::Pass)
}
