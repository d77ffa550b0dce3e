//! Dump files of every format: read as they are, or refused, in memory that the file's own size bounds.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use thirdrun::dump::{Content, DumpFile, PlainDump, split};

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    // What a dump may include.
    std::fs::write(directory.path().join("a.sql"), "\\set b c\nSELECT :'b';\n\\ir a.sql\n\\i b.sql\n")
        .expect("a file");
    std::fs::write(directory.path().join("b.sql"), "SELECT 1;\n").expect("a file");
    std::fs::create_dir(directory.path().join("archive")).expect("a directory");
    directory
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let directory = DIRECTORY.path();
    // A dump includes what it likes, but here it has its own directory only.
    if bytes.windows(2).any(|pair| pair == b"..")
        || bytes.windows(2).any(|pair| pair[1] == b'/' && !pair[0].is_ascii_alphanumeric())
            && bytes.windows(2).any(|pair| pair == b"\\i" || pair == b"\\c")
    {
        return Corpus::Reject;
    }
    let file = directory.join("dump");
    std::fs::write(&file, bytes).expect("a file");
    if let Ok(dump) = DumpFile::read(&file, Path::new("dump")) {
        read(&dump);
    }
    let file = directory.join("archive").join("toc.dat");
    std::fs::write(&file, bytes).expect("a file");
    let dump = DumpFile::read(&directory.join("archive"), Path::new("archive")).expect("any head is taken");
    read(&dump);
    let _ = PlainDump::of_archive(Path::new("dump"), bytes.to_vec());
    Corpus::Keep
});

fn read(dump: &DumpFile) {
    dump.facts();
    match &dump.content {
        Content::Plain(text) => {
            let lines = split(text).map(|items| items.iter().map(|item| item.line).collect::<Vec<_>>());
            for line in lines.unwrap_or_else(|error| vec![error.line]) {
                let (_, line) = dump.sources.place(&dump.path, line);
                assert!(line >= 1);
            }
        }
        Content::Archive(archive) => {
            archive.argument(Path::new("directory"));
        }
    }
}
