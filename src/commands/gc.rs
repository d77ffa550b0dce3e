//! `thirdrun gc`: removes what killed processes of thirdrun have left behind, and only that.

use crate::cache;
use crate::cli::GcArgs;
use crate::failure::{Exit, Failure};
use crate::sandbox::docker::engine;
use crate::sandbox::leftovers::{self, Dead};

/// Runs `thirdrun gc`.
///
/// # Errors
/// When something cannot be removed.
pub async fn run(args: &GcArgs) -> Result<Exit, Failure> {
    let (verb, dead) = if args.dry_run {
        ("would remove", leftovers::find_dead().await)
    } else {
        let docker = engine::connect().await.ok().map(|(docker, _)| docker);
        ("removed", leftovers::remove_dead(docker.as_ref()).await)
    };
    let old = args.older_than.map(|age| cache::older_than(age.into())).unwrap_or_default();
    for name in &dead.containers {
        anstream::println!("{verb} the container {name}");
    }
    for name in &dead.networks {
        anstream::println!("{verb} the network {name}");
    }
    for directory in &dead.directories {
        anstream::println!("{verb} {}", directory.display());
    }
    for entry in &old {
        let removed =
            args.dry_run || cache::remove(entry).map_err(|error| Failure::new(Exit::Environment, &error))?;
        let verb = if removed { verb } else { "kept, since a check uses it," };
        anstream::println!("{verb} {}", entry.display());
    }
    if dead == Dead::default() && old.is_empty() {
        anstream::println!("nothing to remove");
    }
    Ok(Exit::Pass)
}
