//! Looks for dumps in a directory, for `thirdrun init`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Directories below the one that is searched.
const DEPTH: usize = 2;
/// Entries that are looked at: whose directory has more of them has its dumps elsewhere.
const ENTRIES: usize = 20_000;
/// Bytes of a file that tell what it is.
const HEAD: u64 = 16 << 10;
/// What `pg_dump` writes at the top (its source, pg_backup_archiver.c), `pg_dumpall`, and into the file of an archive.
const DUMP: &str = "-- PostgreSQL database dump";
const CLUSTER: &str = "-- PostgreSQL database cluster dump";
const ARCHIVE: &[u8] = b"PGDMP";

/// Dumps, by their paths from the directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of a schema; one that is called so first.
    pub schemas: Vec<PathBuf>,
    /// Of the roles; one that is called so first.
    pub roles: Vec<PathBuf>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Schema,
    Roles,
}

/// Looks for dumps. What cannot be read is passed over.
pub fn dumps(directory: &Path) -> Found {
    let mut found = Found::default();
    let mut left = ENTRIES;
    search(directory, Path::new(""), DEPTH, &mut left, &mut found);
    // The way that they are ordinarily called, and near before far.
    let rank = |path: &PathBuf, name: &str| {
        let called = path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case(name));
        (!called, path.components().count(), path.clone())
    };
    found.schemas.sort_by_key(|path| rank(path, "schema"));
    found.roles.sort_by_key(|path| rank(path, "roles"));
    found
}

fn search(base: &Path, below: &Path, depth: usize, left: &mut usize, found: &mut Found) {
    let Ok(entries) = fs::read_dir(base.join(below)) else { return };
    for entry in entries.flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        let path = below.join(&name);
        let full = base.join(&path);
        // Links are not followed: they may lead anywhere.
        let Ok(kind) = entry.file_type() else { continue };
        if hidden || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            if full.join("toc.dat").is_file() {
                found.schemas.push(path);
            } else if depth > 0 && !["target", "node_modules", "vendor"].iter().any(|other| name == *other) {
                search(base, &path, depth - 1, left, found);
            }
        } else if kind.is_file() {
            match sort(&full) {
                Some(Sort::Schema) => found.schemas.push(path),
                Some(Sort::Roles) => found.roles.push(path),
                None => {}
            }
        }
    }
}

fn sort(full: &Path) -> Option<Sort> {
    const KNOWN: [&str; 9] = ["sql", "dump", "dmp", "pgdump", "backup", "tar", "gz", "zst", "lz4"];
    let extension = full.extension()?.to_str()?.to_ascii_lowercase();
    if !KNOWN.contains(&extension.as_str()) {
        return None;
    }
    let mut head = Vec::new();
    fs::File::open(full).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let is_tar = head.starts_with(b"toc.dat\0") && head.get(257..262) == Some(b"ustar");
    if head.starts_with(ARCHIVE) || is_tar {
        return Some(Sort::Schema);
    }
    let text = if ["gz", "zst"].contains(&extension.as_str()) {
        crate::dump::DumpFile::read(full, full).ok()?.text()?.chars().take(4096).collect()
    } else {
        String::from_utf8_lossy(&head).into_owned()
    };
    let stem = full.file_stem()?.to_string_lossy().to_ascii_lowercase();
    // That of a whole server has both; without a database in it only the roles.
    if text.contains(CLUSTER) || stem == "roles" {
        return Some(Sort::Roles);
    }
    (text.contains(DUMP) || stem == "schema").then_some(Sort::Schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_known_by_what_is_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("db/structure.sql", b"--\n-- PostgreSQL database dump\n--\n");
        write("db/schema.sql", b"CREATE TABLE t ();\n");
        write("all.sql", b"--\n-- PostgreSQL database cluster dump\n--\n");
        write("nightly.dump", b"PGDMP\x01\x0e");
        write("dir/toc.dat", b"PGDMP");
        write("db/migrate/1.sql", b"GRANT SELECT ON t TO a;\n");
        write("notes.txt", b"-- PostgreSQL database dump\n");
        write("a/b/c/d.sql", b"-- PostgreSQL database dump\n");
        let found = dumps(directory.path());
        let schemas = ["db/schema.sql", "dir", "nightly.dump", "db/structure.sql"].map(PathBuf::from);
        assert_eq!(found, Found { schemas: schemas.into(), roles: vec!["all.sql".into()] });
    }
}
