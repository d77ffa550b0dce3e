//! A saved incident as one file: a tar archive, compressed by gzip, of plain files with relative names.
//!
//! A bundle may come from anybody. It is read as a whole into memory, within bounds, before anything of it is written; an
//! entry that is no plain file, or would lie outside, refuses the whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::error::IncidentError;

/// The form of bundles that this thirdrun writes and reads.
const VERSION: u32 = 1;
/// Where a bundle says what it is.
const MANIFEST: &str = "incident.json";
/// Bytes that a bundle may have once it is unpacked, and files.
pub(super) const MOST: u64 = 256 << 20;
const FILES: usize = 10_000;
/// What files compressed by gzip begin with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a bundle says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of its form.
    pub incident_version: u32,
    /// The thirdrun that wrote it.
    pub thirdrun: String,
    /// The server's version, to the minor one.
    pub postgres: String,
    /// Where the server ran: `docker` or `local`.
    pub backend: String,
    /// The image, with Docker.
    #[serde(default)]
    pub image: Option<String>,
    /// Its rehearsal file.
    pub rehearsal: String,
    /// The JSON report of the check.
    pub report: String,
    /// What the rehearsal had and the bundle has not, each with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// How many passwords and other secrets have been exchanged for made-up ones.
    #[serde(default)]
    pub exchanged: usize,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether it is a program.
    pub executable: bool,
}

/// A saved incident.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its files by their relative paths, its rehearsal file and the report among them.
    pub files: BTreeMap<PathBuf, Entry>,
}

impl Entry {
    /// A file of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { bytes: text.into().into_bytes(), executable: false }
    }
}

impl Manifest {
    /// One of this thirdrun's.
    pub(super) fn new(postgres: String, backend: String, image: Option<String>) -> Self {
        Self {
            incident_version: VERSION,
            thirdrun: env!("CARGO_PKG_VERSION").to_owned(),
            postgres,
            backend,
            image,
            rehearsal: crate::plan::FILE_NAME.to_owned(),
            report: "report.json".to_owned(),
            left_out: Vec::new(),
            exchanged: 0,
        }
    }
}

impl Bundle {
    /// Whether a file is compressed as bundles are.
    pub fn is_one(path: &Path) -> bool {
        let mut head = [0; 2];
        File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == GZIP
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// When it cannot be read, is none, is a later one, or has something in it that no bundle has.
    pub fn read(path: &Path) -> Result<Self, IncidentError> {
        let unread = |source| IncidentError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        // What does not end, or unpacks to very much, is cut off.
        let limited = GzDecoder::new(file).take(MOST + 1);
        let mut files = BTreeMap::new();
        let mut left = MOST;
        let mut archive = tar::Archive::new(limited);
        for entry in archive.entries().map_err(unread)? {
            let mut entry = entry.map_err(unread)?;
            let name = entry.path().map_err(unread)?.into_owned();
            let refused = |why| IncidentError::Refused { path: path.to_owned(), name: name.clone(), why };
            match entry.header().entry_type() {
                tar::EntryType::Regular => {}
                tar::EntryType::Directory => continue,
                _ => return Err(refused("it is no plain file")),
            }
            let relative = is_inside(&name).ok_or_else(|| refused("it would lie outside of the bundle"))?;
            left = left.checked_sub(entry.size()).ok_or_else(|| refused("the bundle is too large"))?;
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(unread)?;
            if files.len() >= FILES {
                return Err(refused("the bundle has too many files"));
            }
            if files.insert(relative, Entry { bytes, executable }).is_some() {
                return Err(refused("it is there twice"));
            }
        }
        let none = || IncidentError::None { path: path.to_owned() };
        let manifest = files.get(Path::new(MANIFEST)).ok_or_else(none)?;
        let manifest: Manifest = serde_json::from_slice(&manifest.bytes).map_err(|_| none())?;
        if manifest.incident_version > VERSION {
            return Err(IncidentError::Newer { path: path.to_owned(), thirdrun: manifest.thirdrun });
        }
        for named in [&manifest.rehearsal, &manifest.report] {
            if !files.contains_key(Path::new(named)) {
                return Err(none());
            }
        }
        files.remove(Path::new(MANIFEST));
        Ok(Self { manifest, files })
    }

    /// Writes all of it into a directory that is empty or not there yet, as an incident of its own.
    ///
    /// # Errors
    /// As [`Bundle::unpack`].
    pub fn unpack_as_incident(&self, directory: &Path) -> Result<(), IncidentError> {
        let mut whole = self.clone();
        whole.files.insert(MANIFEST.into(), self.manifest_entry());
        whole.unpack(directory)
    }

    /// The rehearsal file of a directory that a bundle was unpacked into; none of any other directory.
    pub fn rehearsal_in(directory: &Path) -> Option<PathBuf> {
        let manifest = fs::read(directory.join(MANIFEST)).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        is_inside(Path::new(&manifest.rehearsal))
    }

    fn manifest_entry(&self) -> Entry {
        // All of it can be written as JSON.
        Entry::text(serde_json::to_string_pretty(&self.manifest).unwrap_or_default() + "\n")
    }

    /// Writes its files into a directory that is empty or not there yet.
    ///
    /// # Errors
    /// When one cannot be written, or is there.
    pub fn unpack(&self, directory: &Path) -> Result<(), IncidentError> {
        for (name, entry) in &self.files {
            let path = directory.join(name);
            let write = || -> std::io::Result<()> {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                let mode = if entry.executable { 0o755 } else { 0o644 };
                let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
                file.write_all(&entry.bytes)
            };
            write().map_err(|source| IncidentError::Write { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Writes it to a new file, as a whole or not at all.
    ///
    /// # Errors
    /// When the file is there, or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), IncidentError> {
        let failed = |source| IncidentError::Write { path: path.to_owned(), source };
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(failed)?;
        self.pack(&mut file).map_err(failed)?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(IncidentError::Exists(path.to_owned()))
            }
            Err(error) => Err(failed(error.error)),
        }
    }

    /// The archive. The same incident gives the same bytes.
    fn pack(&self, out: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
        archive.mode(tar::HeaderMode::Deterministic);
        let manifest = self.manifest_entry();
        let all = std::iter::once((Path::new(MANIFEST), &manifest));
        for (name, entry) in all.chain(self.files.iter().map(|(name, entry)| (name.as_path(), entry))) {
            let mut header = tar::Header::new_gnu();
            header.set_size(entry.bytes.len() as u64);
            header.set_mode(if entry.executable { 0o755 } else { 0o644 });
            header.set_mtime(0);
            archive.append_data(&mut header, name, entry.bytes.as_slice())?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

/// The path, if it stays below where it begins and names every step of it.
fn is_inside(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside).filter(|inside| !inside.as_os_str().is_empty())
}

#[cfg(test)]
mod tests;
