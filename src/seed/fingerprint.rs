//! What makes one clone the same as another.

use sha2::{Digest as _, Sha256};

use super::{DumpFile, SeedPlan};
use crate::dump::Content;

/// Changes whenever the same plan makes another clone than before.
const KIND: &str = "thirdrun clone 2";

impl SeedPlan {
    /// A text that is the same for two plans exactly when their clones are: a hash of the dumps and of everything
    /// else that the clone is made of. Passwords are not: every sandbox sets its own.
    pub fn fingerprint(&self) -> String {
        let mut hash = Parts(Sha256::new());
        hash.part(KIND.as_bytes());
        hash.part(env!("CARGO_PKG_VERSION").as_bytes());
        for (kind, files) in [("schema", &self.schema), ("roles", &self.roles), ("load", &self.load)] {
            hash.part(kind.as_bytes());
            files.iter().for_each(|file| hash.file(file));
        }
        hash.part(self.database.as_str().as_bytes());
        hash.part(self.bootstrap.as_str().as_bytes());
        hash.part(format!("{:?}", self.rows).as_bytes());
        hash.part(format!("{:?} {}", self.in_dump, self.skip_missing_extensions).as_bytes());
        hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

struct Parts(Sha256);

impl Parts {
    /// Takes in a part with its length, so that nothing can move from one part to the next unseen.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn file(&mut self, file: &DumpFile) {
        match &file.content {
            Content::Plain(text) => self.part(text.as_bytes()),
            Content::Archive(archive) => {
                for (name, bytes) in &archive.files {
                    self.part(name.as_bytes());
                    self.part(bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::identifiers::{DatabaseName, RoleName, Secret};
    use crate::seed::{DataInDump, rows::RowsPlan};

    fn plan() -> SeedPlan {
        SeedPlan {
            schema: vec![DumpFile::plain("a.sql", "SELECT 1"), DumpFile::plain("b.sql", "SELECT 2")],
            roles: Vec::new(),
            database: DatabaseName::new("app"),
            bootstrap: RoleName::new("postgres"),
            rows: RowsPlan { rows: 100, seed: 1, tables: BTreeMap::new() },
            load: Vec::new(),
            in_dump: DataInDump::Refuse,
            skip_missing_extensions: false,
            passwords: BTreeMap::new(),
        }
    }

    #[test]
    fn whatever_changes_the_clone_changes_the_fingerprint() {
        let same = plan().fingerprint();
        let mut others = vec![plan(), plan(), plan(), plan(), plan()];
        others[0].schema[0] = DumpFile::plain("a.sql", "SELECT 1S");
        others[1].rows.seed = 2;
        others[2].rows.tables.insert("a.b".to_owned(), 5);
        others[3].database = DatabaseName::new("other");
        others[4].roles = vec![others[4].schema.pop().unwrap()];
        for other in &others {
            assert_ne!(other.fingerprint(), same);
        }
    }

    #[test]
    fn names_of_files_and_passwords_do_not() {
        let mut other = plan();
        other.schema[0].path = "elsewhere.sql".into();
        other.passwords.insert(RoleName::new("a"), Secret::new("b"));
        assert_eq!(other.fingerprint(), plan().fingerprint());
    }
}
