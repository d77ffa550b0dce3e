//! `kill -9` of thirdrun at a hundred instants, from its start to after its end: whatever it was about to do, `gc` or
//! the next check removes what it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use super::site::{Site, cleared, gc, new_things};
use super::tally;
use super::world::{World, within};
use crate::support::{Backend, READER, same};

/// How many instants.
const INSTANTS: u32 = 100;
/// Every so many of them it is not `gc` that removes what is left, but a check.
const BY_CHECK: u32 = 10;
/// Another one for every instant, and the same ones each time.
const SEED: u64 = 9;

/// A rehearsal that goes through every phase: a clone that nobody has, which is kept, and a cause that is found.
fn site(world: &World) -> Result<Site<'_>, Failed> {
    let site = Site::new(world, READER)?;
    site.file("s.sql", "REVOKE SELECT ON public.orders FROM svc_reader;\n")?;
    Ok(site)
}

const ARGUMENTS: [&str; 5] = ["s.sql", "--runs", "1", "--hazards", "none"];

/// The row.
pub fn kill_9(backend: Backend) -> Result<(), Failed> {
    within(backend, |world| {
        let before = world.things()?;
        let mut measured = Vec::new();
        for _ in 0..3 {
            let (site, begun) = (site(world)?, Instant::now());
            site.check(backend, &ARGUMENTS).expect(1, &[])?;
            measured.push(begun.elapsed());
        }
        measured.sort_unstable();
        let whole = measured[1];
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(SEED);
        let (mut leaving, mut ended, mut again) = (0, 0, 0);
        let mut kinds = BTreeMap::<&str, u32>::new();
        for instant in 0..INSTANTS {
            // One in each hundredth of it.
            let at = whole.mul_f64((f64::from(instant) + random.random::<f64>()) / f64::from(INSTANTS));
            let site = site(world)?;
            let mut check = site.start(backend, &ARGUMENTS)?;
            while check.age() < at && !check.ended()? {
                std::thread::sleep(Duration::from_micros(500));
            }
            check.signal(Signal::KILL);
            let outcome = check.finish()?;
            if outcome.code.is_some() {
                outcome.expect(1, &[])?;
                ended += 1;
            }
            let left = new_things(world, &before)?;
            let left: BTreeSet<_> = left.into_iter().filter(|one| !one.starts_with("/tmp/site-")).collect();
            leaving += u32::from(!left.is_empty());
            for kind in left.iter().map(|one| kind(one)).collect::<BTreeSet<_>>() {
                *kinds.entry(kind).or_default() += 1;
            }
            if instant % BY_CHECK == 0 {
                site.check(backend, &ARGUMENTS).expect(1, &[])?;
            } else {
                gc(world, &[]).expect(0, &[])?;
            }
            drop(site);
            again += u32::from(removed(world, &before, at)?);
        }
        cleared(world, &before)?;
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        let sentence = format!(
            "{INSTANTS} instants over {:.1} s, {ended} after its end, {leaving} left something ({}), gc removed all, {again} times when asked again",
            whole.as_secs_f64(),
            kinds.join(", ")
        );
        tally::note(&format!("kill -9 on {backend}"), sentence);
        Ok(())
    })
}

/// What is left is gone, or goes: of a process that was killed, or of what the engine was doing for the client that is
/// gone, and finished later. Then it takes another `gc`, and it says so.
fn removed(world: &World, before: &BTreeSet<String>, at: Duration) -> Result<bool, Failed> {
    let begun = Instant::now();
    let mut again = false;
    loop {
        let left = new_things(world, before)?;
        if left.is_empty() {
            return Ok(again);
        }
        if begun.elapsed() > Duration::from_secs(10) {
            same(&format!("left after gc, killed at {at:?}"), left.clone(), Vec::new())?;
        }
        if left.iter().any(|one| !one.starts_with("process ")) {
            again = true;
            gc(world, &[]).expect(0, &[])?;
        }
    }
}

/// What kind of thing that is, for people.
fn kind(thing: &str) -> &'static str {
    match thing {
        _ if thing.starts_with("/dev/shm/") => "a directory",
        _ if thing.starts_with("process ") => "processes",
        _ if thing.starts_with("container ") => "containers",
        _ if thing.contains("/new-") => "a half-made clone",
        _ if thing.starts_with("System V") => "shared memory",
        _ if thing.starts_with("image/") || thing.starts_with("containers ") => "layers",
        _ if thing.starts_with("mount ") => "mounts",
        _ => "other things",
    }
}
