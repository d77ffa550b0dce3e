use super::*;

fn bundle() -> Bundle {
    let mut manifest = Manifest::new("17.2".to_owned(), "local".to_owned(), None);
    manifest.report = "report.json".to_owned();
    let program = Entry { executable: true, ..Entry::text("#!/bin/sh\n") };
    let files =
        [("thirdrun.toml", Entry::text("")), ("report.json", Entry::text("{}")), ("scripts/a/run", program)];
    Bundle { manifest, files: files.into_iter().map(|(name, entry)| (name.into(), entry)).collect() }
}

/// An archive of entries as nobody honest writes them: their names as they are.
fn hostile(entries: &[(&str, tar::EntryType, &[u8])]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut archive = tar::Builder::new(GzEncoder::new(file.reopen().unwrap(), Compression::fast()));
    let manifest = serde_json::to_vec(&bundle().manifest).unwrap();
    let honest = [
        (MANIFEST, tar::EntryType::Regular, manifest.as_slice()),
        ("thirdrun.toml", tar::EntryType::Regular, b""),
        ("report.json", tar::EntryType::Regular, b"{}"),
    ];
    for (name, kind, bytes) in honest.iter().chain(entries) {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o4755);
        if *kind == tar::EntryType::Symlink {
            header.as_old_mut().linkname[..4].copy_from_slice(b"/etc");
        }
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    file
}

#[test]
fn a_bundle_is_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.thirdrun");
    bundle().save(&path).unwrap();
    assert!(Bundle::is_one(&path));
    assert!(matches!(bundle().save(&path), Err(IncidentError::Exists(_))));
    let read = Bundle::read(&path).unwrap();
    assert_eq!((read.files, read.manifest.postgres), (bundle().files, "17.2".to_owned()));
    let again = directory.path().join("b.thirdrun");
    bundle().save(&again).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());
    let target = directory.path().join("unpacked");
    bundle().unpack(&target).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(target.join("scripts/a/run")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
    assert!(matches!(bundle().unpack(&target), Err(IncidentError::Write { .. })));
    // Two files and the directory: nothing of what was being written.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[test]
fn nothing_may_lie_outside() {
    use tar::EntryType::{Regular, Symlink};
    for (name, kind) in [
        ("../out", Regular),
        ("scripts/../../out", Regular),
        ("/tmp/out", Regular),
        ("scripts/link", Symlink),
        ("scripts/hard", tar::EntryType::Link),
        ("scripts/fifo", tar::EntryType::Fifo),
        ("scripts/device", tar::EntryType::Block),
    ] {
        let file = hostile(&[(name, kind, b"")]);
        let error = Bundle::read(file.path()).unwrap_err();
        assert!(matches!(error, IncidentError::Refused { .. }), "{name}: {error}");
    }
    let twice = hostile(&[("a", Regular, b"1"), ("./a", Regular, b"2")]);
    assert!(matches!(Bundle::read(twice.path()), Err(IncidentError::Refused { .. })));
    assert!(Bundle::read(hostile(&[("a/b", Regular, b"1")]).path()).is_ok());
}

#[test]
fn what_unpacks_without_measure_is_refused() {
    let zeros = vec![0; usize::try_from(MOST).unwrap() / 2 + 1];
    let file = hostile(&[("a", tar::EntryType::Regular, &zeros), ("b", tar::EntryType::Regular, &zeros)]);
    assert!(file.as_file().metadata().unwrap().len() < 4 << 20);
    let error = Bundle::read(file.path()).unwrap_err();
    assert!(matches!(error, IncidentError::Refused { .. }), "{error}");
}

#[test]
fn other_files_are_no_bundles() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "SELECT 1;").unwrap();
    assert!(!Bundle::is_one(file.path()));
    let mut gzip = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap();
    assert!(matches!(Bundle::read(file.path()), Err(IncidentError::None { .. })));
    fs::write(file.path(), [0x1f, 0x8b, 8, 0, 1]).unwrap();
    assert!(matches!(Bundle::read(file.path()), Err(IncidentError::Read { .. })));
}
