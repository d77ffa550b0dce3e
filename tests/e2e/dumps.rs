//! Dumps as pg_dump and pg_dumpall of every version write them: what they say is what the clone is.
//!
//! Each image of `images/` makes a database of many kinds of objects, dumps it with its own programs, and is
//! then the sandbox in which the clone is dumped again, by the script.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use libtest_mimic::Failed;

use crate::support::{Backend, READER, Rehearsal};

/// The versions of `images/build`.
const MAJORS: [u32; 4] = [13, 15, 17, 18];
/// Stands between two dumps on standard output.
const CUT: &str = "==== cut ====\n";

/// Makes the original in a container and writes its dumps to standard output.
const ORIGINAL: &str = r#"set -e
data=/tmp/data
initdb -D "$data" -U postgres -A trust --locale=C.UTF-8 -E UTF8 --no-sync >/dev/null
pg_ctl -D "$data" -o "-c listen_addresses= -c unix_socket_directories=/tmp -c wal_level=logical" -w start >/dev/null
export PGHOST=/tmp PGUSER=postgres
createdb shop
psql -X -q -v ON_ERROR_STOP=1 -d shop -f - >/dev/null
pg_dump --schema-only $1 shop
echo "==== cut ===="
pg_dumpall $2
if [ -n "${3:-}" ]; then echo "==== cut ===="; pg_dump --schema-only --format=custom shop | base64; fi
pg_ctl -D "$data" -m immediate stop >/dev/null
"#;

/// Dumps the clone again and compares it with the files that it was made of. `\restrict` has a random word,
/// and thirdrun's own superuser is there too.
const SCRIPT: &str = r#"#!/bin/bash
set -u
status=0
same() { # FILE COMMAND...
  local file=$1
  shift
  diff <(grep -vE '^\\(un)?restrict' "$file") <("$@" | grep -vE '^\\(un)?restrict|^(CREATE|ALTER) ROLE thirdrun\b') || status=1
}
same schema.sql pg_dump --schema-only DUMP_OPTIONS shop
same roles.sql pg_dumpall --no-role-passwords DUMPALL_OPTIONS
exit $status
"#;

/// Restores the same file with psql, beside the clone, and compares what became of both.
const AS_PSQL_DOES: &str = r#"#!/bin/bash
dump() { pg_dump --schema-only "$1" | grep -vE '^\\(un)?restrict'; }
createdb --template template0 by_psql
psql -X -q -d by_psql -f schema.sql >/dev/null 2>&1
diff <(dump by_psql) <(dump shop)
"#;

/// The same of an archive, with pg_restore.
const AS_PG_RESTORE_DOES: &str = r#"#!/bin/bash
dump() { pg_dump --schema-only "$1" | grep -vE '^\\(un)?restrict'; }
createdb --template template0 by_pg_restore
pg_restore -d by_pg_restore schema.dump >/dev/null 2>&1
diff <(dump by_pg_restore) <(dump shop)
"#;

/// What every version dumps of the same database, made once.
static ORIGINALS: [OnceLock<Result<Original, String>>; MAJORS.len()] =
    [const { OnceLock::new() }; MAJORS.len()];

/// The dumps of one version.
struct Original {
    plain: String,
    custom: Vec<u8>,
    roles: String,
}

/// Dumps of older servers that are restored into newer ones: from, by which options, into.
const INTO_NEWER: [(u32, &str, u32); 3] = [
    (13, "--clean", 18),
    (15, "--no-privileges --quote-all-identifiers", 17),
    (17, "--clean --if-exists", 18),
];

/// A test that is made of a row of a table.
type Made = Box<dyn Fn() -> Result<(), Failed> + Send>;

/// A test for each version and each way of dumping.
pub fn all() -> Vec<(String, Made)> {
    let ways = [("alone", "", "--roles-only"), ("create", "--create", "--globals-only")];
    let mut tests: Vec<(String, Made)> = Vec::new();
    for major in MAJORS {
        for (name, dump, dumpall) in ways {
            let test = move || restored_exactly(major, dump, dumpall);
            tests.push((format!("dumps::version_{major}_{name}"), Box::new(test)));
        }
    }
    for (from, dump, into) in INTO_NEWER {
        let test = move || restored_into(into, from, dump);
        tests.push((format!("dumps::version_{from}_into_{into}"), Box::new(test)));
    }
    for (at, from) in MAJORS.into_iter().enumerate() {
        for into in MAJORS.into_iter().filter(|into| *into >= from) {
            // A plain one into the same version is compared with the original itself, above.
            if into > from {
                let plain = move || plain_into(at, into);
                tests.push((format!("dumps::plain_{from}_into_{into}"), Box::new(plain)));
            }
            let custom = move || custom_into(at, into);
            tests.push((format!("dumps::custom_{from}_into_{into}"), Box::new(custom)));
        }
    }
    tests
}

fn plain_into(at: usize, into: u32) -> Result<(), Failed> {
    let original = kept(at)?;
    let flags = ["--postgres", &into.to_string()];
    rehearsed(&original.plain, &original.roles, AS_PSQL_DOES, into, &flags)
}

fn custom_into(at: usize, into: u32) -> Result<(), Failed> {
    let original = kept(at)?;
    let flags = ["--postgres", &into.to_string(), "--schema", "schema.dump"];
    let rehearsal = Rehearsal::new("");
    std::fs::write(rehearsal.path("schema.dump"), &original.custom)?;
    rehearsed_in(&rehearsal, &original.roles, AS_PG_RESTORE_DOES, into, &flags)
}

fn kept(at: usize) -> Result<&'static Original, Failed> {
    let made = ORIGINALS[at].get_or_init(|| {
        let (plain, rest) =
            original(MAJORS[at], "", "--roles-only", true).map_err(|failed| format!("{failed:?}"))?;
        let (roles, custom) = rest.split_once(CUT).ok_or("no archive")?;
        let custom = decoded(custom).map_err(|error| error.to_string())?;
        Ok(Original { plain, custom, roles: roles.to_owned() })
    });
    made.as_ref().map_err(|error| error.clone().into())
}

fn decoded(base64: &str) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let text = base64.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| std::io::ErrorKind::Other)??;
    Ok(output.stdout)
}

fn restored_exactly(major: u32, dump: &str, dumpall: &str) -> Result<(), Failed> {
    let (schema, roles) = original(major, dump, dumpall, false)?;
    let script = SCRIPT.replace("DUMP_OPTIONS", dump).replace("DUMPALL_OPTIONS", dumpall);
    rehearsed(&schema, &roles, &script, major, &[])
}

fn restored_into(major: u32, from: u32, dump: &str) -> Result<(), Failed> {
    let (schema, roles) = original(from, dump, "--roles-only", false)?;
    rehearsed(&schema, &roles, AS_PSQL_DOES, major, &["--postgres", &major.to_string()])
}

fn rehearsed(schema: &str, roles: &str, script: &str, major: u32, flags: &[&str]) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new("");
    rehearsal.file("schema.sql", schema);
    rehearsed_in(&rehearsal, roles, script, major, flags)
}

fn rehearsed_in(
    rehearsal: &Rehearsal,
    roles: &str,
    script: &str,
    major: u32,
    flags: &[&str],
) -> Result<(), Failed> {
    rehearsal.file("roles.sql", roles).file("s.sh", script).file(
        "thirdrun.toml",
        &format!(
            "[clone]\ndatabase = 'shop'\nsettings = {{ wal_level = 'logical' }}\n[data]\nrows = 3\n{}",
            READER.replace("SELECT count(*) FROM public.orders", "SELECT 1")
        ),
    );
    let report = rehearsal.verdict(Backend::Docker, &[&["s.sh", "--runs", "1"], flags].concat(), 0)?;
    let version = report["sandbox"]["postgres"].as_str().unwrap_or_default().to_owned();
    crate::support::same("the version", version.split('.').next(), Some(major.to_string().as_str()))
}

/// The dumps of the original: schema and roles, after which the archive comes where it is wanted.
fn original(major: u32, dump: &str, dumpall: &str, archive: bool) -> Result<(String, String), Failed> {
    let image = format!("thirdrun-postgres:{major}");
    let mut child = Command::new("docker")
        .args(["run", "--rm", "-i", "--network", "none", "--user", "postgres", &image])
        .args(["sh", "-c", ORIGINAL, "sh", dump, &format!("--no-role-passwords {dumpall}")])
        // The archive, too, for those who want it.
        .args(archive.then_some("archive"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    input.write_all(concat!(include_str!("dumps/roles.sql"), include_str!("dumps/schema.sql")).as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    let parts = text.split_once(CUT);
    let (schema, roles) = parts.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((schema.to_owned(), roles.to_owned()))
}
