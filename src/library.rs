//! The library of outages: incidents that are bundled, each a rehearsal with its story, to be read and to be run.

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::identifiers::WorkerName;
use crate::verdict::Status;

/// The outage of which thirdrun was made.
static FOUNDING: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/founding-outage");
/// A directory for each of the others.
static LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/library");

/// The name of the outage of which thirdrun was made.
pub const FOUNDING_NAME: &str = "founding-outage";
/// The script of an incident that reaches the same aim and breaks nothing.
pub const SAFE_SCRIPT: &str = "safe.sql";

/// An incident of the library.
#[derive(Debug, Clone, Copy)]
pub struct Incident {
    /// Its name.
    pub name: &'static str,
    files: &'static Dir<'static>,
}

/// What is to be known of an incident: its `story.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Its title.
    pub title: String,
    /// What happened, in a line.
    pub line: String,
    /// The class of outages that it belongs to.
    pub class: String,
    /// Whom it breaks.
    pub breaks: Vec<Break>,
}

/// A worker that an incident breaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// The worker.
    pub worker: WorkerName,
    /// The run that breaks it.
    pub run: u32,
    /// How it is after that run.
    pub status: Status,
    /// The server's code of its failure; none where no error is raised.
    pub sqlstate: Option<String>,
    /// The statement that does it.
    pub culprit: String,
    /// What mends it, as thirdrun finds it.
    pub repair: Option<String>,
    /// Words by which thirdrun explains it, or says how the script avoids it.
    pub says: Option<String>,
    /// Why thirdrun finds nothing that mends it.
    pub no_repair: Option<String>,
}

/// Every incident: the founding outage, then the others by their names.
pub fn all() -> Vec<Incident> {
    let named = |files: &'static Dir<'static>| Some(Incident { name: files.path().to_str()?, files });
    let mut all: Vec<Incident> = LIBRARY.dirs().filter_map(named).collect();
    all.sort_by_key(|incident| incident.name);
    all.insert(0, Incident { name: FOUNDING_NAME, files: &FOUNDING });
    all
}

impl Incident {
    /// What is to be known of it; none where its `story.toml` is not what it should be.
    pub fn story(&self) -> Option<Story> {
        toml::from_str(self.text("story.toml")?).ok()
    }

    /// What happened, for somebody who reads it.
    pub fn told(&self) -> Option<&'static str> {
        self.text("README.md")
    }

    fn text(&self, file: &str) -> Option<&'static str> {
        self.files.get_file(self.files.path().join(file))?.contents_utf8()
    }

    /// Its files, each with its name and its content.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        self.files.files().filter_map(|file| Some((file.path().file_name()?.to_str()?, file.contents())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_incident_has_what_belongs_to_one() {
        let all = all();
        assert!(all.len() > 12, "{all:?}");
        for incident in all {
            let story = incident.story().unwrap_or_else(|| panic!("{}: no story", incident.name));
            assert!(!story.breaks.is_empty(), "{}", incident.name);
            for file in ["thirdrun.toml", "schema.sql", "roles.sql", SAFE_SCRIPT, "README.md"] {
                assert!(incident.files().any(|(name, _)| name == file), "{}: no {file}", incident.name);
            }
            for broken in story.breaks {
                let told = (broken.repair.is_some(), broken.no_repair.is_some());
                assert!(
                    matches!(told, (true, false) | (false, true)),
                    "{}: a repair, or why none",
                    incident.name
                );
            }
        }
    }
}
