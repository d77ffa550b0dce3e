//! `thirdrun gc`: removes what killed processes of thirdrun have left behind, and only that.

use crate::cli::GcArgs;
use crate::failure::{Exit, Failure};
use crate::sandbox::leftovers;

/// Runs `thirdrun gc`.
///
/// # Errors
/// When something cannot be removed.
pub async fn run(args: &GcArgs) -> Result<Exit, Failure> {
    let (verb, found) = if args.dry_run {
        ("would remove", leftovers::find_dead())
    } else {
        let removed = tokio::task::spawn_blocking(leftovers::remove_dead).await?;
        ("removed", removed.directories)
    };
    for directory in &found {
        anstream::println!("{verb} {}", directory.display());
    }
    if found.is_empty() {
        anstream::println!("nothing to remove");
    }
    Ok(Exit::Pass)
}
