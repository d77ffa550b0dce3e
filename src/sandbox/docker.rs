//! The Docker backend: a server in a container without any network, reached through its unix socket in a
//! directory that is mounted into it. Programs run in containers that share the server's network
//! namespace, in which 127.0.0.1:5432 is the sandbox and nothing else exists.
//!
//! The only user of bollard.

pub mod engine;
mod image;
mod programs;
mod wrapper;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};

use super::{SUPERUSER, SandboxError, SandboxPlan, Scope, hba_text};
use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::postgres::{Endpoint, Login, Server, Session};
use crate::programs::Launcher;

/// The port in the name of the socket, and the one in the containers' network.
const PORT: u16 = 5432;
/// Where the directory with the socket and the configuration is mounted.
const MOUNT: &str = "/run/thirdrun";
/// Where the cluster is, in memory.
const MEMORY: &str = "/var/lib/thirdrun";
/// Bytes of memory that a container may use; what it has in memory-backed file systems counts.
const MEMORY_LIMIT: i64 = 4 << 30;
/// Processes and threads that a container may have.
const PIDS_LIMIT: i64 = 1024;
/// How long a changed `pg_hba.conf` may take to hold.
const RELOADED: Duration = Duration::from_secs(10);

/// Makes the cluster and becomes the server. An image of ours has a cluster ready.
const START: &str = r#"set -e
umask 077
mkdir -p "$1"
if [ "$2" = postgres ] && [ -d /usr/local/share/thirdrun/cluster ]; then
  cp -R /usr/local/share/thirdrun/cluster/. "$1"
else
  initdb -D "$1" -U "$2" -A trust -E UTF8 --locale=C.UTF-8 --no-sync --wal-segsize=1 >&2 ||
    { rm -rf "$1"; initdb -D "$1" -U "$2" -A trust -E UTF8 --locale=C --no-sync --wal-segsize=1 >&2; }
fi
data=$1
shift 2
exec postgres -D "$data" "$@"
"#;

/// Chooses the image of a server, and pulls it where the engine does not have it.
pub(super) async fn choose_image(docker: &Docker, plan: &SandboxPlan) -> Result<String, SandboxError> {
    image::choose(docker, plan).await
}

/// The images for servers that an engine has.
pub async fn images(docker: &Docker) -> Vec<String> {
    image::present(docker).await
}

/// A server in a container.
pub(super) struct DockerServer {
    docker: Docker,
    container: String,
    image: String,
    shared: PathBuf,
    launcher: Arc<programs::DockerLauncher>,
}

impl DockerServer {
    /// Starts the server, which may not answer yet.
    pub(super) async fn start(
        docker: &Docker,
        image: String,
        plan: &SandboxPlan,
        scope: &Scope,
    ) -> Result<Self, SandboxError> {
        let shared = scope.directory().join("shared");
        let mode =
            |path: &PathBuf, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        // The server runs as a user that only its image knows. The sandbox's directory is closed to
        // everybody else, so that this one inside of it may be open.
        std::fs::create_dir(&shared)
            .and_then(|()| mode(&shared, 0o777))
            .and_then(|()| {
                let hba = shared.join("pg_hba.conf");
                std::fs::write(&hba, first_hba(&plan.bootstrap))?;
                mode(&hba, 0o644)
            })
            .map_err(SandboxError::io(format!("cannot prepare {}", shared.display())))?;
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", PORT.to_string()),
            ("unix_socket_directories", MOUNT.to_owned()),
            ("hba_file", format!("{MOUNT}/pg_hba.conf")),
            // As in the local backend.
            ("fsync", "off".to_owned()),
            ("full_page_writes", "off".to_owned()),
            ("lc_messages", "C".to_owned()),
            ("shared_buffers", "64MB".to_owned()),
        ];
        let mut command: Vec<String> = ["sh", "-c", START, "sh"].into_iter().map(str::to_owned).collect();
        command.extend([format!("{MEMORY}/data"), plan.bootstrap.to_string()]);
        let users = plan.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in own.into_iter().chain(users) {
            command.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let body = ContainerCreateBody {
            image: Some(image.clone()),
            user: Some("postgres".to_owned()),
            entrypoint: Some(Vec::new()),
            cmd: Some(command),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                binds: Some(vec![format!("{}:{MOUNT}", shared.display())]),
                tmpfs: Some(HashMap::from([(MEMORY.to_owned(), "mode=1777".to_owned())])),
                shm_size: Some(256 << 20),
                ..confined()
            }),
            ..ContainerCreateBody::default()
        };
        let container = engine::start(docker, scope, &scope.name(), body).await?;
        let launcher =
            Arc::new(programs::DockerLauncher::new(docker.clone(), scope, &container, image.clone()));
        Ok(Self { docker: docker.clone(), container, image, shared, launcher })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix { directory: self.shared.clone(), port: PORT }
    }

    pub(super) fn image(&self) -> &str {
        &self.image
    }

    pub(super) fn launcher(&self) -> Arc<dyn Launcher> {
        Arc::clone(&self.launcher) as Arc<dyn Launcher>
    }

    pub(super) fn isolation(&self) -> String {
        "containers without a network, no way out".to_owned()
    }

    /// Puts the real authentication into force: until now the owner of the catalogs could log in through
    /// the unix socket without a password.
    pub(super) async fn lock(
        &self,
        plan: &SandboxPlan,
        server: &Server,
        session: &Session,
    ) -> Result<(), SandboxError> {
        std::fs::write(self.shared.join("pg_hba.conf"), hba_text(&plan.hba))
            .map_err(SandboxError::io("cannot write pg_hba.conf"))?;
        session.run("SELECT pg_catalog.pg_reload_conf()").await.map_err(SandboxError::Setup)?;
        let without_password = Login {
            role: server.superuser.clone(),
            password: Secret::new(""),
            database: DatabaseName::new("postgres"),
            application: "thirdrun".to_owned(),
        };
        let begun = tokio::time::Instant::now();
        while let Ok(open) = Session::open(&server.endpoint, &without_password).await {
            open.close().await;
            if begun.elapsed() > RELOADED {
                return Err(SandboxError::Docker("the server does not take its pg_hba.conf".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Whether the container still runs.
    pub(super) async fn alive(&self) -> bool {
        engine::is_running(&self.docker, &self.container).await
    }

    /// The end of the server's log.
    pub(super) async fn log_tail(&self) -> String {
        engine::log_tail(&self.docker, &self.container).await
    }
}

/// Until thirdrun has a password: its own logins, through the socket that only it can reach, and no other.
fn first_hba(bootstrap: &RoleName) -> String {
    format!("local all {} trust\nlocal all {SUPERUSER} trust\n", bootstrap.quoted())
}

/// What every container of a sandbox is denied.
fn confined() -> HostConfig {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    HostConfig {
        memory: Some(MEMORY_LIMIT),
        memory_swap: Some(MEMORY_LIMIT),
        pids_limit: Some(PIDS_LIMIT),
        nano_cpus: i64::try_from(processors.min(2)).ok().map(|count| count * 1_000_000_000),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        // Takes leave of the children that nobody waits for.
        init: Some(true),
        ..HostConfig::default()
    }
}
