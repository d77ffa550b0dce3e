//! The state of a server at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalogs::{Catalog, Tables};
use super::running::Running;

/// A setting as the server's files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSetting {
    pub(super) value: String,
    /// Whether `ALTER SYSTEM` put it there.
    pub(super) altered: bool,
}

/// The server's own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Those in force that are not built in.
    pub(super) in_force: BTreeMap<String, String>,
    /// Those of its files, in force or not.
    pub(super) files: BTreeMap<String, FileSetting>,
}

/// Definitions by catalog and OID.
pub(super) type Definitions = BTreeMap<(Catalog, u32), Arc<str>>;

/// Every fact about a server and one of its databases that could break an automation. A copy costs nothing.
///
/// Two are equal when the same is in their catalogs and settings, by OID: a role that was dropped and made anew is
/// another one. What is running, and where sequences are, does not count.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The major version.
    pub(super) version: u32,
    /// The database.
    pub(super) database: u32,
    pub(super) tables: Tables,
    pub(super) definitions: Arc<Definitions>,
    /// How types are written, by OID and modifier.
    pub(super) type_names: Arc<BTreeMap<(u32, i32), Arc<str>>>,
    /// The last value of each sequence that gave one.
    pub(super) positions: Arc<BTreeMap<u32, i64>>,
    pub(super) settings: Arc<Settings>,
    pub(super) running: Arc<Running>,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.database == other.database
            && self.tables == other.tables
            && self.settings == other.settings
            && (Arc::ptr_eq(&self.definitions, &other.definitions) || self.definitions == other.definitions)
    }
}

impl Snapshot {
    /// How many facts it has, as a measure of its size.
    pub fn facts(&self) -> u64 {
        Catalog::ALL.iter().map(|catalog| self.tables.of(*catalog).count()).sum()
    }

    /// The sequences, by their OIDs, that are not where they were.
    pub fn moved_from<'a>(&'a self, earlier: &'a BTreeMap<u32, i64>) -> impl Iterator<Item = u32> + 'a {
        let moved = self.positions.iter().filter(|(oid, last)| earlier.get(oid) != Some(last));
        moved.map(|(oid, _)| *oid)
    }

    pub(super) fn definition(&self, catalog: Catalog, oid: u32) -> Option<&str> {
        self.definitions.get(&(catalog, oid)).map(|text| &**text)
    }
}
