//! The phases of a check in which a fault comes, and how it is known that one is under way.
//!
//! Each is made long by something that takes long in it: a statement that sleeps, many rows, a worker that takes
//! its time. A sleep is ended by the fault, so that it costs nothing.

use libtest_mimic::Failed;

use super::site::{Running, Site};
use super::world::World;
use crate::support::Backend;

/// When the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The server was started and answers nobody yet.
    Starting,
    /// The schema is being restored.
    Schema,
    /// Synthetic rows are being written.
    Rows,
    /// The clone is being kept.
    Keeping,
    /// Workers prove that they work.
    Baseline,
    /// The script runs.
    Run,
    /// The script has run, and workers prove that they still work.
    After,
    /// The rehearsal is replayed to find out why a worker is broken.
    Replay,
}

/// A worker that reads on a new session.
fn reader(step: &str, rest: &str) -> String {
    format!(
        "[[worker]]\nname = 'reader'\nrole = 'svc_reader'\nsession = 'fresh'\nevery = '20ms'\ntimeout = '30s'\n\
         max_outage = '60s'\nsql = '{step}'\n{rest}\n"
    )
}

const READ: &str = "SELECT count(*) FROM public.orders";
/// Long enough that a fault comes before its end, on a slow machine too, and no longer than a check may wait.
const LONG: &str = "SELECT pg_catalog.pg_sleep(8)";
const TAKES_ITS_TIME: &str = "SELECT pg_catalog.pg_sleep(1.5)";

impl Phase {
    /// When, as part of a row's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "while_it_starts",
            Self::Schema => "while_the_schema_is_restored",
            Self::Rows => "while_rows_are_made",
            Self::Keeping => "while_the_clone_is_kept",
            Self::Baseline => "before_the_first_run",
            Self::Run => "in_a_run",
            Self::After => "after_a_run",
            Self::Replay => "in_a_replay",
        }
    }

    /// A rehearsal in which this phase is long.
    pub fn site(self, world: &World) -> Result<Site<'_>, Failed> {
        let site = match self {
            Self::Starting | Self::Schema | Self::Run => Site::new(world, &reader(READ, ""))?,
            Self::Rows => Site::new(world, &format!("[data]\nrows = 400000\n{}", reader(READ, "")))?,
            Self::Keeping => Site::new(world, &format!("[data]\nrows = 200000\n{}", reader(READ, "")))?,
            Self::Baseline => Site::new(world, &reader(TAKES_ITS_TIME, ""))?,
            Self::After => Site::new(world, &reader(TAKES_ITS_TIME, "while_running = false"))?,
            Self::Replay => Site::new(world, &reader(READ, "while_running = false"))?,
        };
        if self == Self::Schema {
            let schema = std::fs::read_to_string(site.path("schema.sql"))?;
            site.file("schema.sql", &format!("{schema}{LONG};\n"))?;
        }
        let script = match self {
            Self::Run => LONG,
            Self::Replay => "REVOKE SELECT ON public.orders FROM svc_reader",
            _ => "SELECT 1",
        };
        site.file("s.sql", &format!("{script};\n"))?;
        Ok(site)
    }

    /// Waits until it is under way.
    pub fn reached(self, world: &World, backend: Backend, check: &mut Running) -> Result<(), Failed> {
        let own = || postmasters(world).first().map(|first| world.children(*first)).unwrap_or_default();
        let busy = |what: &str| {
            own().iter().any(|(_, line)| line.starts_with("postgres: thirdrun ") && line.contains(what))
        };
        let at_work = |role: &str| {
            let role = format!("postgres: {role} ");
            own().iter().any(|(_, line)| line.starts_with(&role) && line.ends_with(" SELECT"))
        };
        check.until(&format!("{self:?}"), |said| match self {
            Self::Starting => !postmasters(world).is_empty(),
            Self::Schema => said.contains("making the clone") && at_work("thirdrun"),
            Self::Rows => said.contains("making the clone") && (busy(" COPY") || busy(" INSERT")),
            Self::Keeping => said.contains("making the clone") && keeping(world, backend),
            Self::Baseline => said.contains("works before the first run") && at_work("svc_reader"),
            Self::Run => said.contains("run 1 of") && at_work("postgres"),
            Self::After => said.contains("run 1 of") && at_work("svc_reader"),
            Self::Replay => said.contains("finding out why") && postmasters(world).len() > 1,
        })
    }
}

/// The servers of the world, the oldest first: that is the rehearsal's own, the others have traces and replays.
pub fn postmasters(world: &World) -> Vec<u32> {
    let is_one = |line: &str| {
        let program = line.split(' ').next().unwrap_or_default();
        program.rsplit('/').next() == Some("postgres") && line.contains(" listen_addresses=")
    };
    let mut found: Vec<_> =
        world.processes().into_iter().filter(|(_, line)| is_one(line)).map(|(pid, _)| pid).collect();
    found.sort_unstable();
    found
}

/// The server was stopped for its clone to be kept, and what is copied is there.
fn keeping(world: &World, backend: Backend) -> bool {
    match backend {
        Backend::Docker => world
            .processes()
            .iter()
            .any(|(_, line)| line.starts_with("tar -C ") && line.contains("/clone.tar")),
        Backend::Local => {
            let sandboxes = std::fs::read_dir(world.path("/dev/shm")).into_iter().flatten().flatten();
            sandboxes.map(|entry| entry.path()).any(|path| path.join("aside/data").exists())
        }
    }
}
