//! Writes the files of an incident.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::failure::{Exit, Failure};
use crate::library::{FOUNDING_NAME, Incident, SAFE_SCRIPT};
use crate::plan;

/// Writes an incident to a new directory of the user's.
pub(super) fn to(incident: &Incident, directory: &Path) -> Result<Exit, Failure> {
    if directory.exists() {
        return Err(Failure::said(Exit::Usage, format!("{} exists already", directory.display()))
            .hint("name a new directory: nothing is overwritten"));
    }
    files(incident, directory)?;
    let what = if incident.name == FOUNDING_NAME { "the demo" } else { incident.name };
    let config = directory.join(plan::FILE_NAME);
    anstream::println!(
        "wrote {what} to {}; rehearse it with\n  thirdrun check --config {config}\nand the script that avoids it with\n  \
         thirdrun check --config {config} {}",
        directory.display(),
        directory.join(SAFE_SCRIPT).display(),
        config = config.display(),
    );
    Ok(Exit::Pass)
}

/// Writes the files of an incident into a directory, which is made.
pub(super) fn files(incident: &Incident, directory: &Path) -> Result<(), Failure> {
    let write = || {
        std::fs::create_dir_all(directory)?;
        for (name, content) in incident.files() {
            let path = directory.join(name);
            std::fs::write(&path, content)?;
            // What is bundled has no permissions.
            if content.starts_with(b"#!") {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    };
    write().map_err(|error: std::io::Error| Failure::new(Exit::Environment, &error))
}
