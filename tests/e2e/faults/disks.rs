//! Disks without room: for the sandbox, and for the cache.

use libtest_mimic::Failed;

use super::site::{BOUND, Running, Site, cleared};
use super::world::{BINARY, World, within};
use crate::support::{Backend, Outcome, READER, same};

/// Mounts a disk of so many bytes (`$1`) at a place (`$2`) that only this command sees, and says what is left there of
/// sandboxes.
const SMALL: &str = "mount -t tmpfs -o size=$1 none \"$2\" || exit 99; place=$2; shift 2
\"$@\"; status=$?; ls -A \"$place\" | grep '^thirdrun-'; exit $status";

/// What takes more than 4 GB, which is all that a container gets.
const FILL: &str = "CREATE TABLE public.fill AS SELECT repeat(md5(i::text), 60) AS text FROM generate_series(1, 4000000) i;\n";
/// The same, and `ALTER … STORAGE` keeps it from being compressed.
fn fill(kind: &str) -> String {
    let table = format!(
        "CREATE {kind} TABLE public.fill (text text);\nALTER TABLE public.fill ALTER text SET STORAGE PLAIN;\n"
    );
    let rows = FILL.split_once(" AS SELECT").map(|(_, rows)| rows).unwrap_or_default();
    format!("{table}INSERT INTO public.fill SELECT{rows}")
}

fn with_small_disk(
    site: &Site<'_>,
    backend: Backend,
    size: &str,
    place: &str,
    rest: &[&str],
) -> Result<Outcome, Failed> {
    let mut command = site.world.command(site.inside(), "unshare");
    command.args(["-m", "sh", "-c", SMALL, "sh", size, place, "env", "TMPDIR=/dev/shm", BINARY, "check"]);
    command.args(["s.sql", "--runs", "1", "--backend", &backend.to_string()]).args(rest);
    Running::of(&mut command)?.finish()
}

/// On a local server: less than rows need.
pub fn full_while_seeding(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = Site::new(world, &format!("[data]\nload = ['fill.sql']\n{READER}"))?;
        site.file("fill.sql", &fill("UNLOGGED"))?.file("s.sql", "SELECT 1;\n")?;
        let outcome = match backend {
            Backend::Local => with_small_disk(&site, backend, "150m", "/dev/shm", &[])?,
            // The cluster is in memory, of which it gets so much.
            Backend::Docker => site.start(backend, &["s.sql", "--runs", "1"])?.finish()?,
        };
        let said = match backend {
            Backend::Local => ["No space left on device", "make room there"],
            // That is less than a container gets; where it is not, the kernel kills.
            Backend::Docker => ["error: fill.sql:3: ", "ask for fewer rows"],
        };
        outcome.expect(4, &said)?;
        same("left on the disk", outcome.out.as_str(), "")?;
        drop(site);
        cleared(world, &before)
    })
}

/// The script needs more than there is, in a table that is not logged.
pub fn full_by_the_script(backend: Backend) -> Result<(), Failed> {
    by_the_script(backend, "UNLOGGED")
}

/// The script needs more than there is, and the server's log does, without which it cannot go on.
pub fn full_by_the_log(backend: Backend) -> Result<(), Failed> {
    by_the_script(backend, "")
}

fn by_the_script(backend: Backend, kind: &str) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let site = Site::new(world, &format!("[script]\ntimeout = '100s'\n{READER}"))?;
        site.file("s.sql", &fill(kind))?;
        let outcome = match backend {
            Backend::Local => with_small_disk(&site, backend, "250m", "/dev/shm", &["--no-replay"])?,
            Backend::Docker => site.start(backend, &["s.sql", "--runs", "1", "--no-replay"])?.finish()?,
        };
        outcome.expect(1, &[])?;
        same("the script failed", outcome.out.contains("the script failed in run 1"), true)?;
        same("left on the disk", outcome.out.lines().any(|line| line.starts_with("thirdrun-")), false)?;
        if backend == Backend::Local && !kind.is_empty() {
            let said = ["No space left on device", "could not extend file"];
            same(&outcome.out, said.iter().any(|text| outcome.out.contains(text)), true)?;
        }
        drop(site);
        cleared(world, &before)
    })
}

/// A clone that cannot be kept costs time the next time, nothing else.
pub fn no_room_in_the_cache(backend: Backend) -> Result<(), Failed> {
    within(backend, |world: &mut World| {
        let before = world.things()?;
        let site = Site::new(world, READER)?;
        site.file("s.sql", "SELECT 1;\n")?;
        std::fs::create_dir_all(world.path(super::world::CACHE))?;
        for _ in 0..2 {
            let outcome = with_small_disk(&site, backend, "1m", super::world::CACHE, &["--no-replay"])?;
            outcome.expect(0, &["making the clone", "the clone is not kept: No space left on device"])?;
        }
        drop(site);
        cleared(world, &before)
    })
}

const _: () = assert!(BOUND.as_secs() > 100, "a script that fills a disk may take as long as its timeout");
