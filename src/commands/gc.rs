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
    let unfinished = match &docker {
        Some(docker) => docker::remove_unfinished_images(docker, args.dry_run).await,
        None => Vec::new(),
    };
    let mut old: Vec<(String, bool)> = Vec::new();
    if let Some(age) = args.older_than.map(Into::into) {
        if let Some(docker) = &docker {
            for image in docker::remove_older_clones(docker, age, args.dry_run).await {
                let kind = if image.packages { "the image with packages" } else { "the clone" };
                old.push((format!("{kind} {}", image.name), image.gone));
            }
        }
        for entry in cache::older_than(age) {
            let removed = args.dry_run
                || cache::remove(&entry).map_err(|error| Failure::new(Exit::Environment, &error))?;
            old.push((format!("{} {}", cache::kind(&entry), entry.display()), removed));
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
    for entry in &dead.unfinished {
        anstream::println!("{verb} {} {}", cache::kind(entry), entry.display());
    }
    for image in &unfinished {
        anstream::println!("{verb} an image that was never finished, {image}");
    }
    for (name, removed) in &old {
        let verb = if *removed { verb } else { "kept, since it is in use," };
        anstream::println!("{verb} {name}");
    }
    if dead == Dead::default() && unfinished.is_empty() && old.is_empty() {
        anstream::println!("nothing to remove");
        if args.older_than.is_none() {
            anstream::println!("(--older-than AGE removes clones that are kept, too: 30d, 0s for all)");
        }
    }
    Ok(Exit::Pass)
}
