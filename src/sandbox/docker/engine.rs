//! The engine: connecting, and containers that are known to be ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerSummary};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::super::{SandboxError, Scope, leftovers};

/// The session that a container belongs to.
const SESSION: &str = "thirdrun.session";
/// The machine whose thirdrun made it.
const HOST: &str = "thirdrun.host";
/// The directory whose lock that thirdrun holds.
const DIRECTORY: &str = "thirdrun.directory";
/// How long the engine may take to answer at all.
const ANSWER: Duration = Duration::from_secs(10);
/// Lines of a log that are shown.
const LOG_LINES: &str = "40";

/// What can be said of an engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its version.
    pub version: String,
    /// The version of its API.
    pub api: String,
}

/// Connects to the engine of `DOCKER_HOST`, or of the usual socket.
///
/// # Errors
/// When it does not answer.
pub async fn connect() -> Result<(Docker, Engine), SandboxError> {
    let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
    let docker = Docker::connect_with_defaults().map_err(failed)?;
    let negotiated = async {
        let docker = docker.negotiate_version().await?;
        let version = docker.version().await?;
        Ok((docker, version))
    };
    let (docker, version) = tokio::time::timeout(ANSWER, negotiated)
        .await
        .map_err(|_| SandboxError::Docker(format!("its engine did not answer within {ANSWER:?}")))?
        .map_err(failed)?;
    let engine =
        Engine { version: version.version.unwrap_or_default(), api: version.api_version.unwrap_or_default() };
    Ok((docker, engine))
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Creates and starts a container of a sandbox. Once it is asked for, it is finished or removed by
/// [`remove_session`], even if whoever asked is gone.
pub(super) async fn start(
    docker: &Docker,
    scope: &Scope,
    name: &str,
    mut body: ContainerCreateBody,
) -> Result<String, SandboxError> {
    // Ours come last: nothing can take their place.
    body.labels.get_or_insert_default().extend([
        (SESSION.to_owned(), scope.id().to_string()),
        (HOST.to_owned(), host()),
        (DIRECTORY.to_owned(), scope.directory().to_string_lossy().into_owned()),
    ]);
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let (docker, gate) = (docker.clone(), scope.gate());
    let started = tokio::spawn(async move {
        let _open = gate.read_owned().await;
        let created = docker.create_container(Some(options), body).await?;
        docker.start_container(&created.id, None).await?;
        Ok::<_, bollard::errors::Error>(created.id)
    });
    match started.await {
        Ok(result) => result.map_err(|error| SandboxError::Engine(Box::new(error))),
        Err(error) => Err(SandboxError::Docker(error.to_string())),
    }
}

/// Whether a container runs.
pub(super) async fn is_running(docker: &Docker, container: &str) -> bool {
    let inspected = docker.inspect_container(container, None).await;
    inspected.is_ok_and(|inspected| inspected.state.and_then(|state| state.running).unwrap_or_default())
}

/// The end of a container's log.
pub(super) async fn log_tail(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LOG_LINES).build();
    let mut log = String::new();
    let mut lines = std::pin::pin!(docker.logs(container, Some(options)));
    while let Some(Ok(line)) = lines.next().await {
        log.push_str(&line.to_string());
    }
    log
}

/// Removes every container of a session.
pub async fn remove_session(docker: &Docker, session: &str) {
    let ours = containers(docker, &format!("{SESSION}={session}")).await;
    remove(docker, &ours).await;
}

/// The containers of dead sandboxes of this machine, by their names.
pub async fn find_dead(docker: &Docker) -> Vec<String> {
    dead(docker).await.iter().map(name).collect()
}

/// Removes the containers of dead sandboxes of this machine; says their names.
pub async fn remove_dead(docker: &Docker) -> Vec<String> {
    let dead = dead(docker).await;
    remove(docker, &dead).await;
    dead.iter().map(name).collect()
}

async fn dead(docker: &Docker) -> Vec<ContainerSummary> {
    let mut found = containers(docker, SESSION).await;
    let host = host();
    found.retain(|container| {
        let label = |key: &str| container.labels.as_ref().and_then(|labels| labels.get(key));
        label(HOST) == Some(&host)
            && label(DIRECTORY).is_some_and(|directory| leftovers::is_dead_or_gone(Path::new(directory)))
    });
    found
}

fn name(container: &ContainerSummary) -> String {
    let name = container.names.as_ref().and_then(|names| names.first()).or(container.id.as_ref());
    name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

async fn containers(docker: &Docker, label: &str) -> Vec<ContainerSummary> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    // An engine that cannot list has nothing that could be removed either.
    docker.list_containers(Some(options)).await.unwrap_or_default()
}

async fn remove(docker: &Docker, containers: &[ContainerSummary]) {
    let removals = containers.iter().filter_map(|container| container.id.as_ref()).map(|id| async move {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        // It may be gone already, which is what was wanted; what cannot be removed is found by `gc`.
        let _ = docker.remove_container(id, Some(options)).await;
    });
    futures_util::future::join_all(removals).await;
}

/// A bind mount, if the path can be said in one: a colon ends it.
pub(super) fn bind(source: &Path, target: &str, mode: &str) -> Result<String, SandboxError> {
    let source: PathBuf = source.to_owned();
    let text = source.to_string_lossy();
    if text.contains(':') {
        return Err(SandboxError::Docker(format!("{text} cannot be mounted: its name has a colon")));
    }
    Ok(format!("{text}:{target}:{mode}"))
}
