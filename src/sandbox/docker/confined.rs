//! What every container of a sandbox is denied: rights, a file system that can be written to, and more than its share of
//! memory, processes and disk. What it writes goes into memory, which counts, so that nothing of a script ever lies on
//! the engine's disk but the end of a log.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};

use super::engine::Engine;

/// Bytes of memory that a container may use; what it has in memory-backed file systems counts.
const MEMORY: i64 = 4 << 30;
/// Processes and threads that a container may have.
const PIDS: i64 = 1024;
/// Processors that a container may use.
const CPUS: i64 = 2;
/// Bytes of one file: those of PostgreSQL's own end at 1 GiB (manual, 73.1).
const FILE: i64 = 2 << 30;
/// What the engine keeps of a container's log.
const LOG: &str = "16m";

/// What every container of a sandbox is denied.
pub(super) fn confined(engine: &Engine) -> HostConfig {
    let limit = |name: &str, most: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    };
    let log = [("max-size", LOG), ("max-file", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfig {
        memory: Some(memory(engine)),
        memory_swap: Some(memory(engine)),
        pids_limit: Some(PIDS),
        nano_cpus: Some(engine.cpus.clamp(1, CPUS) * 1_000_000_000),
        ulimits: Some(vec![limit("fsize", FILE), limit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log.into()) }),
        cap_drop: Some(vec!["ALL".to_owned()]),
        // Without SELinux's labels, which would keep a container from the directories that are mounted into
        // it unless those were labelled anew: they may be the user's own.
        security_opt: Some(vec!["no-new-privileges".to_owned(), "label=disable".to_owned()]),
        readonly_rootfs: Some(true),
        // Takes leave of the children that nobody waits for.
        init: Some(true),
        ..HostConfig::default()
    }
}

/// Half of what the engine's machine has, at most [`MEMORY`]: there are two containers, and the machine's own work.
fn memory(engine: &Engine) -> i64 {
    MEMORY.min(engine.memory / 2)
}

/// A file system in memory that may have this many eighths of the container's memory, whoever writes there.
pub(super) fn in_memory(engine: &Engine, path: &str, eighths: i64, options: &str) -> (String, String) {
    let size = memory(engine) / 8 * eighths;
    (path.to_owned(), format!("mode=1777,size={size}{options}"))
}

/// The volumes that an image declares, which would lie on the engine's disk: they are in memory instead.
pub(super) async fn volumes(docker: &Docker, engine: &Engine, image: &str) -> HashMap<String, String> {
    let inspected = docker.inspect_image(image).await;
    let declared = inspected.ok().and_then(|image| image.config?.volumes).unwrap_or_default();
    declared.iter().map(|path| in_memory(engine, path, 1, "")).collect()
}
