//! Bundles: what is in them, what is not, and that they are the same elsewhere.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use libtest_mimic::Failed;
use serde_json::Value;

use super::{differences, prints, reproduce};
use crate::outages;
use crate::support::{Backend, IMPORTER, READER, Rehearsal, finish, same};

/// Checks an outage, which fails, and has the incident saved.
pub fn save(backend: Backend, directory: &Path, bundle: &Path) -> Result<(), Failed> {
    let mut check = outages::check(backend, directory);
    finish(check.arg("--save-incident").arg(bundle)).expect(1, &[]).map(drop)
}

/// Replays a bundle, in which nothing may differ.
pub fn happens_again(backend: Backend, bundle: &Path) -> Result<Value, Failed> {
    let outcome = finish(reproduce(backend, bundle).args(["--format", "json", "--quiet"]));
    let report = outcome.json()?;
    same("differences", differences(&report), Vec::new())?;
    outcome.expect(0, &[])?;
    Ok(report)
}

/// The archive as it is before it is compressed.
fn bytes(bundle: &Path) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(bundle)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn names(bundle: &Path) -> Result<Vec<String>, Failed> {
    let bytes = bytes(bundle)?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries()? {
        names.push(entry?.path()?.display().to_string());
    }
    Ok(names)
}

fn has(bundle: &Path, text: &str) -> Result<bool, Failed> {
    Ok(bytes(bundle)?.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// A script that is run three times and breaks the reader in the second.
pub fn a_check_that_fails_is_saved(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nvars = {{ who = 'svc_reader' }}\n{IMPORTER}{READER}"));
    rehearsal.file("db/run/s.sql", "CREATE TABLE IF NOT EXISTS public.runs (i int);\n\\ir ../more.sql\n");
    rehearsal.file(
        "db/more.sql",
        "SELECT count(*) > 0 AS again FROM public.runs \\gset\n\\if :again\nREVOKE SELECT ON public.orders FROM :who;\n\\endif\n\
         INSERT INTO public.runs VALUES (1);\n",
    );
    let outcome = rehearsal.check(backend, &["db/run/s.sql", "--save-incident", "saved.thirdrun"]);
    // In Docker a script sees its own directory only.
    let (breaks, said) =
        if backend == Backend::Docker { (false, "the script failed") } else { (true, "run 2 broke reader") };
    outcome.expect(1, &["saved the incident", "thirdrun reproduce saved.thirdrun"])?;
    prints(&outcome, &[said])?;
    let bundle = rehearsal.path("saved.thirdrun");
    let names = names(&bundle)?;
    for name in [
        "thirdrun.toml",
        "report.json",
        "clone/schema.sql",
        "clone/roles.sql",
        "scripts/more.sql",
        "scripts/run/s.sql",
    ] {
        same(name, names.iter().any(|known| known == name), true)?;
    }
    let here = rehearsal.directory.path().display().to_string();
    same("a path of this machine", has(&bundle, &here)?, false)?;
    let report = happens_again(backend, &bundle)?;
    same(
        "broken",
        super::super::support::statuses(&report, "reader").contains(&"broken".to_owned()),
        breaks,
    )?;
    // The same again, and nothing is overwritten.
    let before = std::fs::read(&bundle)?;
    let again = rehearsal.check(backend, &["db/run/s.sql", "--save-incident", "saved.thirdrun"]);
    again.expect(2, &["saved.thirdrun exists already", "nothing is overwritten"])?;
    same("the bundle", std::fs::read(&bundle)? == before, true)
}

/// Passwords in every place: the bundle has none of them, and the same worker breaks for the same reason.
pub fn no_password_is_in_a_bundle(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        "load = ['rows.sql']\n[clone]\nhba = ['host all svc_import all md5']\n[script]\nvars = { pw = 'of-a-variable' }\n\
         [[worker]]\nname = 'rotated'\nrole = 'svc_reader'\npassword = 'in-the-clear'\nsql = 'SELECT 1'\n\
         [[worker]]\nname = 'rehashed'\nrole = 'svc_import'\nsql = 'SELECT 1'\n\
         [[worker]]\nname = 'program'\nrole = 'deploy'\npassword = 'deploys-own'\ncommand = ['./log-in']\ntimeout = '10s'\nmax_outage = '60s'\n",
    );
    rehearsal.file(
        "roles.sql",
        "CREATE ROLE shop_owner NOLOGIN;\nCREATE ROLE writers NOLOGIN;\nCREATE ROLE svc_import LOGIN;\n\
         CREATE ROLE svc_reader LOGIN PASSWORD 'in-the-clear';\nCREATE ROLE deploy LOGIN PASSWORD 'deploys-own';\n\
         ALTER ROLE svc_import PASSWORD 'md50123456789abcdef0123456789abcdef';\n\
         CREATE ROLE other LOGIN PASSWORD 'SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVkLWtleQ==:c2VydmVyLWtleQ==';\n\
         GRANT writers TO svc_import;\nGRANT shop_owner TO deploy;\n",
    );
    rehearsal.file("rows.sql", "-- password: of-a-comment\nSELECT 'postgres://u:in-a-url@h/d';\n");
    rehearsal.file(
        "log-in",
        "#!/bin/bash\n[ \"$(cat config.ini)\" = 'pw: deploys-own' ] || exit 8\n\
         PGPASSFILE=/dev/null PGPASSWORD=deploys-own psql -X -c 'SELECT 1' || exit 3\n",
    );
    rehearsal.file("config.ini", "pw: deploys-own\n").file("other.yml", "db_password: of-the-settings\n");
    rehearsal.file(
        "s.sql",
        "ALTER ROLE svc_reader PASSWORD 'of-the-script';\nALTER ROLE other PASSWORD :'pw';\n\
         ALTER ROLE svc_import PASSWORD 'md5fedcba98765432100123456789abcdef';\n\\echo of-the-script\n",
    );
    rehearsal
        .check(backend, &["s.sql", "--runs", "1", "--save-incident", "i.thirdrun", "--quiet"])
        .expect(1, &[])?;
    let bundle = rehearsal.path("i.thirdrun");
    for secret in [
        "in-the-clear",
        "deploys-own",
        "of-a-variable",
        "of-a-comment",
        "in-a-url",
        "of-the-script",
        "of-the-settings",
        "0123456789abcdef0123456789abcdef",
        "fedcba9876543210",
        "c3RvcmVkLWtleQ",
        "c2VydmVyLWtleQ",
    ] {
        same(secret, has(&bundle, secret)?, false)?;
    }
    // The kind of a stored password decides who may log in.
    same("an md5", has(&bundle, "md500000000000000000000000000000000")?, true)?;
    same("a verifier", has(&bundle, "SCRAM-SHA-256$4096:AAAA")?, true)?;
    let report = happens_again(backend, &bundle)?;
    let now = |worker: &str| super::super::support::statuses(&report, worker);
    same("rotated", now("rotated"), vec!["latent".to_owned()])?;
    same("rehashed", now("rehashed"), vec!["latent".to_owned()])?;
    same("program", now("program"), vec!["ok".to_owned()])
}

/// An executable script, and the program of a worker, each with a file beside it.
pub fn programs_have_their_files_beside_them(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(
        "[[worker]]\nname = 'export'\nrole = 'svc_reader'\ncommand = ['bin/export']\ntimeout = '10s'\nmax_outage = '60s'\n",
    );
    rehearsal
        .file("bin/export", "#!/bin/bash\nexec psql -X -v ON_ERROR_STOP=1 -c \"$(cat lib/query.sql)\"\n");
    rehearsal.file("lib/query.sql", "SELECT count(*) FROM public.orders");
    rehearsal.file("migrate/s.sh", "#!/bin/bash\nexec psql -X -f steps/1.sql\n");
    rehearsal.file("migrate/steps/1.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    rehearsal.file("migrate/.git/config", "[core]\n");
    rehearsal.file("lib/.pgpass", "*:*:*:*:x\n");
    // Whoever writes a script may not have files of the machine sent about.
    std::os::unix::fs::symlink("/etc/passwd", rehearsal.path("migrate/steps/link"))?;
    let outcome = rehearsal.check(backend, &["migrate/s.sh", "--runs", "1", "--save-incident", "i.thirdrun"]);
    outcome.expect(1, &["lib/.pgpass: it holds secrets", "migrate/steps/link: it leads elsewhere"])?;
    let bundle = rehearsal.path("i.thirdrun");
    let names = names(&bundle)?;
    let found = |name: &str| names.iter().any(|known| known == name);
    for name in [
        "scripts/thirdrun.toml",
        "scripts/bin/export",
        "scripts/lib/query.sql",
        "scripts/migrate/steps/1.sql",
    ] {
        same(name, found(name), true)?;
    }
    same("what is git's", names.iter().any(|name| name.contains(".git")), false)?;
    same("the dump itself", found("scripts/schema.sql"), false)?;
    happens_again(backend, &bundle).map(drop)
}

/// A bundle in which something was changed says so.
pub fn a_bundle_may_differ(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\nSELECT 1;\n");
    rehearsal
        .check(backend, &["s.sql", "--runs", "1", "--save-incident", "i.thirdrun", "--quiet"])
        .expect(1, &[])?;
    let mut bundle = thirdrun::incident::Bundle::read(&rehearsal.path("i.thirdrun"))?;
    let script = thirdrun::incident::Entry::text("DROP TABLE public.orders;\n");
    bundle.files.insert("scripts/s.sql".into(), script);
    let changed = rehearsal.path("changed.thirdrun");
    bundle.save(&changed)?;
    let outcome = finish(reproduce(backend, &changed).args(["--format", "json"]));
    outcome.expect(1, &["NOT REPRODUCED"])?;
    let messages = differences(&outcome.json()?).join("\n");
    for text in [
        "importer broke in run 1 and was not to: 42P01",
        "reader failed after run 1 with 42501 when it was recorded, and with 42P01 now",
        "another statement is blamed: DROP TABLE public.orders of run 1 now, REVOKE SELECT",
    ] {
        same(&messages, messages.contains(text), true)?;
    }
    Ok(())
}

pub fn only_what_failed_is_saved(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("{IMPORTER}{READER}"));
    rehearsal.file("s.sql", "SELECT 1;\n").file("t.sql", "SELECT 2;\n");
    let files = || std::fs::read_dir(rehearsal.directory.path()).map(Iterator::count);
    let before = files()?;
    let passed = rehearsal.check(backend, &["s.sql", "--runs", "1", "--save-incident", "i.thirdrun"]);
    passed.expect(0, &["the check has passed, so no incident was saved"])?;
    let two = rehearsal.check(backend, &["s.sql", "t.sql", "--save-incident", "i.thirdrun"]);
    two.expect(2, &["--save-incident saves one rehearsal", "name one script"])?;
    let nowhere = rehearsal.check(backend, &["s.sql", "--save-incident", "no/where.thirdrun"]);
    nowhere.expect(2, &["there is no directory no", "make the directory first"])?;
    same("files", files()?, before)
}

/// Rows of the original that the clone does not have are in no bundle either.
pub fn rows_that_are_skipped_are_not_saved(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!("dumped = 'skip'\n{READER}"));
    let schema = format!(
        "{}COPY public.orders (total) FROM stdin;\n4711\n\\.\nINSERT INTO public.orders (total) VALUES (4712);\n",
        crate::support::SCHEMA
    );
    rehearsal.file("schema.sql", &schema).file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n");
    rehearsal
        .check(backend, &["s.sql", "--runs", "1", "--save-incident", "i.thirdrun", "--quiet"])
        .expect(1, &[])?;
    let bundle = rehearsal.path("i.thirdrun");
    same("a row", (has(&bundle, "4711")?, has(&bundle, "4712")?), (false, false))?;
    happens_again(backend, &bundle).map(drop)
}

/// What was saved on the local backend happens again in Docker.
pub fn elsewhere(outage: &str) -> Result<(), Failed> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/outages").join(outage);
    let place = tempfile::tempdir()?;
    let bundle = place.path().join("incident.thirdrun");
    save(Backend::Local, &directory, &bundle)?;
    let report = happens_again(Backend::Docker, &bundle)?;
    same("backend", report["sandbox"]["backend"].as_str(), Some("docker"))?;
    let recorded = report["reproduction"]["recorded_on"].as_str().unwrap_or_default();
    same(recorded, recorded.ends_with(", local"), true)
}
