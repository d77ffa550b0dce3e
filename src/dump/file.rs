//! A dump file of any format that `pg_dump` and `pg_dumpall` write: plain SQL, also compressed, or an archive.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::encoding::{Undecodable, decode, is_utf16};
use super::{DumpFacts, Sources, archive, psql};

/// Bytes that a dump may have, once it is decompressed: it is held in memory. The largest schemas come to a
/// tenth of it.
pub(super) const MOST: u64 = 1 << 30;

/// A dump that has been read.
#[derive(Debug, Clone)]
pub struct DumpFile {
    /// Where it is, as the user knows it.
    pub path: PathBuf,
    /// What it says.
    pub content: Content,
    /// Where that comes from, if the file includes others.
    pub sources: Sources,
}

/// What a [`DumpFile`] says.
#[derive(Debug, Clone)]
pub enum Content {
    /// SQL, as UTF-8.
    Plain(String),
    /// What `pg_restore` turns into SQL.
    Archive(Archive),
}

/// A dump in custom, tar or directory format.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where it came from.
    pub facts: DumpFacts,
    /// Its files by name. One of custom or tar format is a single file.
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether it is a directory.
    pub directory: bool,
}

/// SQL out of a dump.
#[derive(Debug, Clone)]
pub struct PlainDump {
    /// Where the dump is, as the user knows it.
    pub path: PathBuf,
    /// Its SQL, as UTF-8.
    pub text: String,
    /// Whether `path` is that very text, so that its lines are those of the file.
    pub is_file: bool,
    /// Where it comes from, if the file includes others.
    pub sources: Sources,
}

/// A dump that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be read at all.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A compressed file ends early or is damaged.
    #[error("cannot decompress {}", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has rows by the million, or what comes out of it never ends.
    #[error("{} is larger than {} GiB, which no dump of a schema is", path.display(), MOST >> 30)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is compressed in a way that is not known here.
    #[error("{} is compressed by {program}, which is not known here", path.display())]
    UnknownCompression {
        /// The file.
        path: PathBuf,
        /// What decompresses it.
        program: &'static str,
    },
    /// It is something else than a dump.
    #[error("{} is neither SQL nor an archive of pg_dump", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A directory that is no archive.
    #[error("{} is a directory without a {}, so it is no dump in directory format", path.display(), archive::TOC)]
    NoArchive {
        /// The directory.
        path: PathBuf,
    },
    /// Its bytes are not in the encoding that it names.
    #[error("{}{}: the text is not {encoding}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The line, where it is known.
        line: Option<usize>,
        /// The encoding, as PostgreSQL calls it.
        encoding: String,
    },
}

impl DumpError {
    /// What to type next, where that does not depend on why the file was named.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Compressed { .. } => {
                Some("copy or dump it again: it is damaged, or not all of it is here".to_owned())
            }
            Self::TooLarge { .. } => Some("dump it without its rows: pg_dump --schema-only".to_owned()),
            Self::UnknownCompression { path, program } => {
                Some(format!("decompress it first: {program} -d {}", path.display()))
            }
            Self::Binary { .. } => {
                Some("name what `pg_dump --schema-only` or `pg_dumpall --roles-only` wrote".to_owned())
            }
            Self::Empty { .. } => {
                Some("dump it again: a pg_dump that fails leaves an empty file, and says why".to_owned())
            }
            Self::NoArchive { .. } => {
                Some("name the directory that `pg_dump --format=directory` made".to_owned())
            }
            Self::Encoding { .. } => Some("dump it again with `pg_dump --encoding=UTF8`".to_owned()),
        }
    }
}

impl DumpFile {
    /// Reads a dump from `full`; errors call it by `path`, by which the user knows it.
    ///
    /// # Errors
    /// When it cannot be read, decompressed or decoded.
    pub fn read(full: &Path, path: &Path) -> Result<Self, DumpError> {
        let failed = |source| DumpError::Read { path: path.to_owned(), source };
        if full.is_dir() {
            let content = Content::Archive(directory(full, path)?);
            return Ok(Self { path: path.to_owned(), content, sources: Sources::default() });
        }
        let mut bytes = Vec::new();
        std::fs::File::open(full)
            .and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        let bytes = decompressed(bytes, path)?;
        if bytes.trim_ascii().is_empty() {
            return Err(DumpError::Empty { path: path.to_owned() });
        }
        let content = match archive::head(&bytes).map(archive::facts) {
            Some(facts) => Content::Archive(Archive {
                facts,
                files: vec![("archive".to_owned(), bytes)],
                directory: false,
            }),
            None if !is_utf16(&bytes) && bytes.contains(&0) => {
                return Err(DumpError::Binary { path: path.to_owned() });
            }
            None => {
                let text = decode(bytes).map_err(|error| undecodable(path, error))?;
                let expanded = psql::expand(&text, full, path, &included)
                    .map_err(|unread| DumpError::Read { path: unread.path, source: unread.source })?;
                let (text, sources) = expanded.unwrap_or_else(|| (text, Sources::default()));
                return Ok(Self { path: path.to_owned(), content: Content::Plain(text), sources });
            }
        };
        Ok(Self { path: path.to_owned(), content, sources: Sources::default() })
    }

    /// A plain dump.
    pub fn plain(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), content: Content::Plain(text.into()), sources: Sources::default() }
    }

    /// What it says of where it came from.
    pub fn facts(&self) -> DumpFacts {
        match &self.content {
            Content::Plain(text) => DumpFacts::read(text),
            Content::Archive(archive) => archive.facts.clone(),
        }
    }

    /// Its SQL, where it is SQL.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) => Some(text),
            Content::Archive(_) => None,
        }
    }
}

impl Archive {
    /// What `pg_restore` is to read, once the files are in `directory`.
    pub fn argument(&self, directory: &Path) -> PathBuf {
        match self.files.first() {
            Some((name, _)) if !self.directory => directory.join(name),
            _ => directory.to_owned(),
        }
    }
}

impl PlainDump {
    /// The file and the line that a line of the text is, from 1.
    pub fn place(&self, line: usize) -> (PathBuf, usize) {
        self.sources.place(&self.path, line)
    }

    /// The SQL that `pg_restore` made of an archive.
    ///
    /// # Errors
    /// When it is not in the encoding that it names.
    pub fn of_archive(path: &Path, bytes: Vec<u8>) -> Result<Self, DumpError> {
        let text = decode(bytes).map_err(|error| undecodable(path, error))?;
        Ok(Self { path: path.to_owned(), text, is_file: false, sources: Sources::default() })
    }
}

/// A file that another one includes.
fn included(path: &Path) -> Result<String, std::io::Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    decode(bytes).map_err(|error| std::io::Error::other(format!("the text is not {}", error.encoding)))
}

fn undecodable(path: &Path, error: Undecodable) -> DumpError {
    DumpError::Encoding { path: path.to_owned(), line: error.line, encoding: error.encoding }
}

/// Takes the compression off, if there is one that its first bytes tell.
fn decompressed(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, DumpError> {
    let failed = |source| DumpError::Compressed { path: path.to_owned(), source };
    let unknown = |program| DumpError::UnknownCompression { path: path.to_owned(), program };
    let mut plain = Vec::new();
    match bytes.get(..4).unwrap_or_default() {
        [0x1f, 0x8b, ..] => {
            let decoder = flate2::read::MultiGzDecoder::new(bytes.as_slice());
            decoder.take(MOST + 1).read_to_end(&mut plain).map_err(failed)?;
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut rest = bytes.as_slice();
            // A file may have several frames, one after the other (RFC 8878, 3.1).
            while !rest.is_empty() && plain.len() as u64 <= MOST {
                let decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest)
                    .map_err(|error| failed(std::io::Error::other(error)))?;
                decoder.take(MOST + 1).read_to_end(&mut plain).map_err(failed)?;
            }
        }
        [0x04, 0x22, 0x4d, 0x18] => return Err(unknown("lz4")),
        [b'B', b'Z', b'h', _] => return Err(unknown("bzip2")),
        [0xfd, b'7', b'z', b'X'] => return Err(unknown("xz")),
        _ => plain = bytes,
    }
    if plain.len() as u64 > MOST { Err(DumpError::TooLarge { path: path.to_owned() }) } else { Ok(plain) }
}

/// Reads an archive in directory format.
fn directory(full: &Path, path: &Path) -> Result<Archive, DumpError> {
    let failed = |source| DumpError::Read { path: path.to_owned(), source };
    let toc = full.join(archive::TOC);
    let too_large = || DumpError::TooLarge { path: path.to_owned() };
    if toc.metadata().is_ok_and(|data| data.len() > MOST) {
        return Err(too_large());
    }
    let Ok(head) = std::fs::read(toc) else {
        return Err(DumpError::NoArchive { path: path.to_owned() });
    };
    let mut files = Vec::new();
    let mut left = MOST;
    for entry in std::fs::read_dir(full).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(length) = entry.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
        else {
            continue;
        };
        left = left.checked_sub(length).ok_or_else(too_large)?;
        if name != archive::TOC {
            files.push((name, std::fs::read(entry.path()).map_err(failed)?));
        }
    }
    let facts = archive::facts(&head);
    files.push((archive::TOC.to_owned(), head));
    files.sort();
    Ok(Archive { facts, files, directory: true })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: &[u8]) -> Result<DumpFile, DumpError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        DumpFile::read(file.path(), Path::new("schema.sql"))
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_dumps_are_what_they_were() {
        let gzip = gzip("SELECT 1;");
        assert_eq!(read(&gzip).unwrap().text(), Some("SELECT 1;"));
        let zstd =
            ruzstd::encoding::compress_to_vec(&b"SELECT 2;"[..], ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(read(&zstd).unwrap().text(), Some("SELECT 2;"));
        let twice = [zstd.clone(), zstd].concat();
        assert_eq!(read(&twice).unwrap().text(), Some("SELECT 2;SELECT 2;"));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let gzip = gzip("SELECT 1;");
        let error = read(&gzip[..gzip.len() - 6]).unwrap_err();
        assert_eq!(error.to_string(), "cannot decompress schema.sql");
        assert!(matches!(read(b"BZh9..."), Err(DumpError::UnknownCompression { program: "bzip2", .. })));
    }

    #[test]
    fn what_is_no_dump_is_told_from_a_dump() {
        assert!(matches!(read(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Err(DumpError::Binary { .. })));
        assert!(matches!(read(b" \n"), Err(DumpError::Empty { .. })));
        let utf16: Vec<u8> = "\u{feff}SELECT 'é';".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&utf16).unwrap().text(), Some("SELECT 'é';"));
    }

    #[test]
    fn a_directory_must_have_a_table_of_contents() {
        let directory = tempfile::tempdir().unwrap();
        let read = || DumpFile::read(directory.path(), Path::new("dump"));
        assert!(matches!(read(), Err(DumpError::NoArchive { .. })));
        let toc = std::fs::File::create(directory.path().join("toc.dat")).unwrap();
        // It has no blocks: only its length says so much.
        toc.set_len(MOST + 1).unwrap();
        assert!(matches!(read(), Err(DumpError::TooLarge { .. })));
        std::fs::write(directory.path().join("toc.dat"), b"PGDMP").unwrap();
        let Content::Archive(archive) = read().unwrap().content else { panic!("no archive") };
        assert!(archive.directory);
    }
}
