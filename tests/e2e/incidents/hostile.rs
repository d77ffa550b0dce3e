//! Bundles from somebody who means no good.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use libtest_mimic::Failed;
use tar::EntryType;
use thirdrun::incident::{Bundle, Entry};

use super::{prints, reproduce};
use crate::support::{Backend, READER, Rehearsal, finish, same};

/// A bundle of a check that failed.
fn honest(backend: Backend) -> Result<(Rehearsal, Bundle), Failed> {
    let rehearsal = Rehearsal::new(READER);
    rehearsal.file("s.sh", "#!/bin/bash\nenv | grep -c A_SECRET_OF_MINE\nexec psql -X -c 'REVOKE SELECT ON public.orders FROM svc_reader'\n");
    rehearsal
        .check(backend, &["s.sh", "--runs", "1", "--save-incident", "i.thirdrun", "--quiet"])
        .expect(1, &[])?;
    let bundle = Bundle::read(&rehearsal.path("i.thirdrun"))?;
    Ok((rehearsal, bundle))
}

/// The rehearsal file with another text in it.
fn changed(bundle: &Bundle, from: &str, to: &str) -> Result<Bundle, Failed> {
    let mut bundle = bundle.clone();
    let file = bundle.files.get_mut(Path::new("thirdrun.toml")).ok_or("no rehearsal file")?;
    let text = String::from_utf8(file.bytes.clone())?;
    same(&text, text.contains(from), true)?;
    *file = Entry::text(text.replace(from, to));
    Ok(bundle)
}

pub fn bundles_are_refused(backend: Backend) -> Result<(), Failed> {
    let (rehearsal, bundle) = honest(backend)?;
    let outside = rehearsal.path("outside.sql");
    std::fs::write(&outside, crate::support::SCHEMA)?;
    let refused = |name: &str, bundle: &Bundle, said: &str| -> Result<(), Failed> {
        let path = rehearsal.path(name);
        bundle.save(&path)?;
        finish(&mut reproduce(backend, &path)).expect(2, &[said]).map(drop)
    };
    let schema = "\"clone/schema.sql\"";
    let absolute = changed(&bundle, schema, &format!("\"{}\"", outside.display()))?;
    refused("absolute.thirdrun", &absolute, "it lies outside of the bundle")?;
    let up = format!("\"{}{}\"", "../".repeat(12), outside.display().to_string().trim_start_matches('/'));
    refused("up.thirdrun", &changed(&bundle, schema, &up)?, "it lies outside of the bundle")?;
    let script = changed(&bundle, "\"scripts/s.sh\"", "\"/bin/true\"")?;
    refused("script.thirdrun", &script, "it lies outside of the bundle")?;
    let mut includes = bundle.clone();
    let text = format!("\\i {}\n", outside.display());
    includes.files.insert("clone/schema.sql".into(), Entry::text(text));
    refused("includes.thirdrun", &includes, "it includes other files")?;
    // And what no bundle of ours has in its archive.
    for (name, kind) in [("../written-outside", EntryType::Regular), ("scripts/link", EntryType::Symlink)] {
        let path = rehearsal.path(&format!("{kind:?}.thirdrun"));
        raw(&path, &rehearsal.path("i.thirdrun"), name, kind)?;
        finish(&mut reproduce(backend, &path))
            .expect(2, &["is refused for its", "thirdrun writes no such bundle"])?;
    }
    let found = |directory: &Path| directory.join("written-outside").exists();
    let near = [Path::new("/dev/shm"), Path::new("/tmp"), Path::new("/"), rehearsal.directory.path()];
    same("something outside", near.into_iter().any(found), false)?;
    std::fs::write(
        rehearsal.path("cut.thirdrun"),
        std::fs::read(rehearsal.path("i.thirdrun"))?.split_at(400).0,
    )?;
    finish(&mut reproduce(backend, &rehearsal.path("cut.thirdrun")))
        .expect(2, &["cannot read the bundle", "copy it again"])
        .map(drop)
}

/// A bundle with one more entry, whose name is as it is.
fn raw(path: &Path, honest: &Path, name: &str, kind: EntryType) -> Result<(), Failed> {
    let mut archive = tar::Builder::new(GzEncoder::new(std::fs::File::create(path)?, Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    if kind == EntryType::Symlink {
        header.as_old_mut().linkname[..4].copy_from_slice(b"/etc");
    }
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, std::io::empty())?;
    let mut known = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(honest)?));
    for entry in known.entries()? {
        let entry = entry?;
        let header = entry.header().clone();
        archive.append(&header, entry)?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// What a bundle's rehearsal file asks for of the environment, it does not get.
pub fn environment(backend: Backend) -> Result<(), Failed> {
    let (rehearsal, bundle) = honest(backend)?;
    let asking = changed(&bundle, "[script]\n", "[script]\nenv = [\"A_SECRET_OF_MINE\"]\n")?;
    let path = rehearsal.path("asking.thirdrun");
    asking.save(&path)?;
    let mut command = reproduce(backend, &path);
    let outcome = finish(command.env("A_SECRET_OF_MINE", "s3cret").args(["--format", "json", "--quiet"]));
    outcome.expect(0, &[])?;
    prints(&outcome, &["\"output_tail\": \"0\\nREVOKE\\n\""])
}
