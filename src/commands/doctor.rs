//! `thirdrun doctor`: which backends can be used here, and what mends what is missing.

use crate::cli::DoctorArgs;
use crate::failure::{Exit, Failure};
use crate::sandbox::local;

/// Runs `thirdrun doctor`.
///
/// # Errors
/// When no backend can be used.
pub async fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let installations = local::find_all(args.postgres_bin.as_deref());
    for one in &installations {
        anstream::println!(
            "local    ok       PostgreSQL {} in {}",
            one.major,
            one.bin.display()
        );
    }
    if installations.is_empty() {
        anstream::println!("local    missing  no PostgreSQL server was found");
        return Ok(Exit::Environment);
    }
    Ok(Exit::Pass)
}
