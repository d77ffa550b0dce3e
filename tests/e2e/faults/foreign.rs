//! What is not ours: things that look like thirdrun's and belong to somebody else.

use libtest_mimic::Failed;

use super::engine::{Engine, IMAGE};
use super::world::{World, write};
use crate::support::same;

/// Directories and files; the name of a sandbox is one of eight hexadecimal digits, with a lock inside.
const DIRECTORIES: [&str; 4] = [
    "/tmp/thirdrun-notours",
    "/tmp/thirdrun-0123abcd",
    "/dev/shm/thirdrun-0123abcd",
    "/dev/shm/thirdrun-notours",
];
/// A file that bears a sandbox's name.
const FILE: &str = "/dev/shm/thirdrun-89abcdef";
/// A process whose command line begins like something of ours.
const PROCESS: &str = "thirdrun-0123abcd-notours";

/// They, and how the engine knows its own.
#[derive(Default)]
pub struct Things {
    in_engine: Vec<String>,
}

impl Things {
    /// Puts them into a world.
    pub fn put(world: &World) -> Result<Self, String> {
        for directory in DIRECTORIES {
            std::fs::create_dir(world.path(directory)).map_err(|error| error.to_string())?;
            write(&world.path(directory).join("mine"), "mine\n").map_err(|error| error.to_string())?;
        }
        write(&world.path(FILE), "mine\n").map_err(|error| error.to_string())?;
        world.shell(&format!("setsid bash -c 'exec -a {PROCESS} sleep 2147483647' >/dev/null 2>&1 &"))?;
        let there = || world.processes().iter().any(|(_, line)| line.starts_with(PROCESS));
        crate::support::eventually(PROCESS, there).map_err(|failed| format!("{:?}", failed.message()))?;
        let in_engine = match &world.engine {
            Some(engine) => in_engine(engine)?,
            None => Vec::new(),
        };
        Ok(Self { in_engine })
    }

    /// Fails unless they are as they were.
    pub fn untouched(&self, world: &World) -> Result<(), Failed> {
        for directory in DIRECTORIES {
            let text = std::fs::read_to_string(world.path(directory).join("mine")).ok();
            same(directory, text.as_deref(), Some("mine\n"))?;
        }
        same(FILE, std::fs::read_to_string(world.path(FILE)).ok().as_deref(), Some("mine\n"))?;
        same(PROCESS, world.processes().iter().any(|(_, line)| line.starts_with(PROCESS)), true)?;
        if let Some(engine) = &world.engine {
            let there = engine.things()?;
            let gone: Vec<_> = self.in_engine.iter().filter(|one| !there.contains(*one)).collect();
            same("what somebody else had in the engine and is gone", gone, Vec::new())?;
        }
        Ok(())
    }
}

/// Everything is in the engine before thirdrun comes is somebody else's.
fn in_engine(engine: &Engine) -> Result<Vec<String>, String> {
    engine.said(&["volume", "create", "thirdrun-notours"])?;
    engine.said(&["network", "create", "--label", "thirdrun=notours", "thirdrun-notours"])?;
    let sleeping = |name: &str, labels: &[&str], more: &[&str]| {
        let labels: Vec<_> = labels.iter().flat_map(|label| ["--label", label]).collect();
        let run = ["run", "--detach", "--network=none", "--entrypoint=sleep", "--name", name];
        let arguments: Vec<_> = run.into_iter().chain(labels).chain(more.iter().copied()).collect();
        engine.said(&[arguments.as_slice(), &[IMAGE, "2147483647"]].concat())
    };
    sleeping("thirdrun-0123abcd", &[], &["--volume=/anonymous"])?;
    sleeping("notours", &["thirdrun=yes", "com.example.session=0123abcd"], &[])?;
    // Of a thirdrun on another machine, which uses the same engine.
    let labels = ["thirdrun.session=0123abcd", "thirdrun.host=elsewhere", "thirdrun.directory=/tmp/gone"];
    sleeping("thirdrun-89abcdef", &labels, &[])?;
    // A second image of that name leaves the first one without.
    for text in ["ENV A=1", "ENV A=2"] {
        engine.said(&["commit", "--change", text, "notours", "thirdrun-notours:1"])?;
    }
    Ok(engine.things()?.into_iter().collect())
}
