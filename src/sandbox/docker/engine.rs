//! The engine: connecting, and containers and networks that are known to be ours.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerStateStatusEnum, ContainerSummary, Mount, MountType, Network,
    NetworkCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::super::{SandboxError, Scope, leftovers};
use super::context;
use super::own::Own;

/// The session that a container belongs to.
pub(super) const SESSION: &str = "thirdrun.session";
/// The machine whose thirdrun made it.
pub(super) const HOST: &str = "thirdrun.host";
/// The directory whose lock that thirdrun holds.
pub(super) const DIRECTORY: &str = "thirdrun.directory";
/// The container in which that thirdrun runs, if it does.
pub(super) const CONTAINER: &str = "thirdrun.container";
/// How long the engine may take to answer at all.
const ANSWER: Duration = Duration::from_secs(10);
/// How often the engine is asked to remove a container, and how long is waited between.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);
/// Lines of a log that are shown.
const LOG_LINES: &str = "40";

/// What can be said of an engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its version.
    pub version: String,
    /// The version of its API.
    pub api: String,
    /// The operating system that it runs on, as it calls it.
    pub operating_system: String,
    /// Processors that it has.
    pub cpus: i64,
    /// Bytes of memory that it has.
    pub memory: i64,
    /// Whether it runs without root's rights, so that root in its containers is the user who runs it.
    pub rootless: bool,
    /// The container in which thirdrun itself runs, if that is one of its.
    pub own: Option<Own>,
}

/// Connects to the engine that the `docker` command would talk to.
///
/// # Errors
/// When it does not answer.
pub async fn connect() -> Result<(Docker, Engine), SandboxError> {
    let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
    let docker = Docker::connect_with_host(&context::host()).map_err(failed)?;
    let asked = async {
        let docker = docker.negotiate_version().await?;
        let (version, info) = tokio::try_join!(docker.version(), docker.info())?;
        Ok((docker, version, info))
    };
    let (docker, version, info) = tokio::time::timeout(ANSWER, asked)
        .await
        .map_err(|_| SandboxError::Docker(format!("its engine did not answer within {ANSWER:?}")))?
        .map_err(failed)?;
    let options = info.security_options.unwrap_or_default();
    let own = Own::find(&docker).await;
    let engine = Engine {
        version: version.version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
        operating_system: info.operating_system.unwrap_or_default(),
        cpus: info.ncpu.unwrap_or(1),
        // An engine that does not say it has enough.
        memory: info.mem_total.filter(|bytes| *bytes > 0).unwrap_or(i64::MAX),
        rootless: options.iter().any(|option| option.contains("rootless")),
        own,
    };
    Ok((docker, engine))
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The labels by which `gc` and the next `check` know whose something is.
fn labels(scope: &Scope) -> impl Iterator<Item = (String, String)> {
    let directory = scope.directory().to_string_lossy().into_owned();
    let own = scope.own_container().map(|id| (CONTAINER, id.to_owned()));
    let labels = [(SESSION, scope.id().to_string()), (HOST, host()), (DIRECTORY, directory)];
    labels.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value))
}

/// Asks the engine to make something of a sandbox. Once it is asked for, it is finished or removed by
/// [`remove_session`], even if whoever asked is gone.
async fn make<T: Send + 'static>(
    scope: &Scope,
    made: impl Future<Output = Result<T, bollard::errors::Error>> + Send + 'static,
) -> Result<T, SandboxError> {
    let gate = scope.gate();
    let made = tokio::spawn(async move {
        let _open = gate.read_owned().await;
        made.await
    });
    match made.await {
        Ok(result) => result.map_err(|error| SandboxError::Engine(Box::new(error))),
        Err(error) => Err(SandboxError::Docker(error.to_string())),
    }
}

/// Creates a container of a sandbox, without starting it.
pub(super) async fn create(
    docker: &Docker,
    scope: &Scope,
    name: &str,
    mut body: ContainerCreateBody,
) -> Result<String, SandboxError> {
    // Ours come last: nothing can take their place.
    body.labels.get_or_insert_default().extend(labels(scope));
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let docker = docker.clone();
    let made =
        make(
            scope,
            async move { docker.create_container(Some(options), body).await.map(|created| created.id) },
        );
    made.await.map_err(|error| elsewhere(scope, error))
}

/// Creates and starts a container of a sandbox.
pub(super) async fn start(
    docker: &Docker,
    scope: &Scope,
    name: &str,
    body: ContainerCreateBody,
) -> Result<String, SandboxError> {
    let container = create(docker, scope, name, body).await?;
    let docker = docker.clone();
    let started = make(scope, async move {
        let mut started = docker.start_container(&container, None).await;
        if started.as_ref().is_err_and(is_of_engine) {
            // Nothing of it has run yet. A busy machine now and then loses a process that the runtime begins with.
            started = docker.start_container(&container, None).await;
        }
        if let Err(error) = started {
            // Nobody else knows of it yet.
            remove_one(&docker, &container).await;
            return Err(error);
        }
        Ok(container)
    });
    started.await.map_err(|error| elsewhere(scope, error))
}

/// Whether an error is the engine's own, and not one of what was asked for.
fn is_of_engine(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 500.., .. })
}

/// An engine has no code of its own for a directory that it does not have. What it says then names it, and with
/// nothing else can the sandbox's directory, which has just been made, be wrong.
fn elsewhere(scope: &Scope, error: SandboxError) -> SandboxError {
    let directory = scope.directory().to_owned();
    match error {
        SandboxError::Engine(source) if source.to_string().contains(&*directory.to_string_lossy()) => {
            SandboxError::Elsewhere { directory, source }
        }
        error => error,
    }
}

/// Creates a network of a sandbox.
pub(super) async fn make_network(
    docker: &Docker,
    scope: &Scope,
    mut network: NetworkCreateRequest,
) -> Result<(), SandboxError> {
    network.labels.get_or_insert_default().extend(labels(scope));
    let docker = docker.clone();
    make(scope, async move { docker.create_network(network).await.map(drop) }).await
}

/// Runs a command in a container to its end; says what it printed.
pub(super) async fn output_of(
    docker: &Docker,
    container: &str,
    command: Vec<String>,
) -> Result<Vec<u8>, SandboxError> {
    let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
    let program = command.first().cloned().unwrap_or_default();
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, options).await.map_err(failed)?;
    let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await.map_err(failed)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(piece) = output.next().await {
            match piece.map_err(failed)? {
                LogOutput::StdErr { message } => err.extend_from_slice(&message),
                piece => out.extend_from_slice(&piece.into_bytes()),
            }
        }
    }
    let ended = docker.inspect_exec(&exec.id).await.map_err(failed)?;
    if ended.exit_code == Some(0) {
        return Ok(out);
    }
    Err(SandboxError::Program { program, output: String::from_utf8_lossy(&err).trim().to_owned() })
}

/// The port of this machine at which a container's port is published.
pub(super) async fn published_port(
    docker: &Docker,
    container: &str,
    exposed: &str,
) -> Result<u16, SandboxError> {
    let inspected = docker
        .inspect_container(container, None)
        .await
        .map_err(|error| SandboxError::Engine(Box::new(error)))?;
    let ports = inspected.network_settings.and_then(|settings| settings.ports);
    let bindings = ports.and_then(|mut ports| ports.remove(exposed).flatten());
    bindings
        .and_then(|bindings| bindings.into_iter().find_map(|binding| binding.host_port?.parse().ok()))
        .ok_or_else(|| SandboxError::Docker(format!("it did not publish the port {exposed} of {container}")))
}

/// Whether a container runs.
pub(super) async fn is_running(docker: &Docker, container: &str) -> bool {
    let inspected = docker.inspect_container(container, None).await;
    inspected.is_ok_and(|inspected| inspected.state.and_then(|state| state.running).unwrap_or_default())
}

/// Whether an error says that something is not there.
pub(super) fn is_gone(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })
}

/// Fails when the engine does not answer, or has no such container any more.
pub(super) async fn knows(docker: &Docker, container: &str) -> Result<(), SandboxError> {
    let removed = || SandboxError::Lost("somebody has removed its container".to_owned());
    match docker.inspect_container(container, None).await {
        Ok(inspected) => {
            let status = inspected.state.and_then(|state| state.status);
            let going = [ContainerStateStatusEnum::REMOVING, ContainerStateStatusEnum::DEAD];
            if status.is_some_and(|status| going.contains(&status)) { Err(removed()) } else { Ok(()) }
        }
        Err(error) if is_gone(&error) => Err(removed()),
        Err(error) => Err(SandboxError::Lost(format!("the engine does not answer: {error}"))),
    }
}

/// Whether the engine has a container, whether it runs or not.
pub(super) async fn is_there(docker: &Docker, container: &str) -> bool {
    docker.inspect_container(container, None).await.is_ok()
}

/// The number of a container's first process, as this machine knows it.
pub(super) async fn process(docker: &Docker, container: &str) -> Option<u32> {
    let inspected = docker.inspect_container(container, None).await.ok()?;
    let process = inspected.state?.pid?;
    u32::try_from(process).ok().filter(|process| *process != 0)
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

/// Removes every container and network of a session.
pub async fn remove_session(docker: &Docker, session: &str) {
    let label = format!("{SESSION}={session}");
    let (containers, networks) = tokio::join!(containers(docker, &label), networks(docker, &label));
    remove(docker, &containers, &networks).await;
}

/// The containers and networks of dead sandboxes of this machine, by their names.
pub async fn find_dead(docker: &Docker) -> (Vec<String>, Vec<String>) {
    let (containers, networks) = dead(docker).await;
    (names(&containers), networks.into_iter().filter_map(|network| network.name).collect())
}

/// Removes the containers and networks of dead sandboxes of this machine; says their names.
pub async fn remove_dead(docker: &Docker) -> (Vec<String>, Vec<String>) {
    let (containers, networks) = dead(docker).await;
    remove(docker, &containers, &networks).await;
    (names(&containers), networks.into_iter().filter_map(|network| network.name).collect())
}

async fn dead(docker: &Docker) -> (Vec<ContainerSummary>, Vec<Network>) {
    let (mut containers, mut networks) = tokio::join!(containers(docker, SESSION), networks(docker, SESSION));
    let all = containers.iter().map(|one| one.labels.as_ref());
    let all = all.chain(networks.iter().map(|one| one.labels.as_ref()));
    let mut ended = Vec::new();
    for owner in all.filter_map(|labels| label(labels, CONTAINER)) {
        // Whoever runs in a container that has ended, runs no more.
        if !ended.contains(owner) && !is_running(docker, owner).await {
            ended.push(owner.clone());
        }
    }
    let (host, own) = (host(), Own::find(docker).await.map(|own| own.id));
    let is_dead = |labels: Option<&HashMap<String, String>>| {
        let owner = label(labels, CONTAINER);
        if owner.is_some_and(|owner| ended.contains(owner)) {
            return true;
        }
        // The lock can be looked at only where the directory is.
        owner == own.as_ref()
            && label(labels, HOST) == Some(&host)
            && label(labels, DIRECTORY)
                .is_some_and(|directory| leftovers::is_dead_or_gone(Path::new(directory)))
    };
    containers.retain(|container| is_dead(container.labels.as_ref()));
    networks.retain(|network| is_dead(network.labels.as_ref()));
    (containers, networks)
}

fn label<'a>(labels: Option<&'a HashMap<String, String>>, name: &str) -> Option<&'a String> {
    labels.and_then(|labels| labels.get(name)).filter(|value| !value.is_empty())
}

fn names(containers: &[ContainerSummary]) -> Vec<String> {
    containers.iter().map(name).collect()
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

async fn networks(docker: &Docker, label: &str) -> Vec<Network> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    docker.list_networks(Some(options)).await.unwrap_or_default()
}

async fn remove(docker: &Docker, containers: &[ContainerSummary], networks: &[Network]) {
    let ids = containers.iter().filter_map(|container| container.id.as_ref());
    let removals = ids.map(|id| remove_one(docker, id));
    futures_util::future::join_all(removals).await;
    // Networks last: they cannot be removed while a container is in them.
    for id in networks.iter().filter_map(|network| network.id.as_ref()) {
        let _ = docker.remove_network(id).await;
    }
}

/// Removes a container. The engine refuses while it is busy with it, such as with a start that failed, so that it is
/// asked again; what cannot be removed is found by `gc`.
pub(super) async fn remove_one(docker: &Docker, id: &str) {
    for _ in 0..REMOVALS {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match docker.remove_container(id, Some(options)).await {
            Ok(()) => return,
            // It is gone already, which is what was wanted.
            Err(error) if is_gone(&error) => return,
            Err(_) => tokio::time::sleep(REMOVAL_PAUSE).await,
        }
    }
}

impl Engine {
    /// The container in which thirdrun itself runs, if that is one of its.
    pub fn own_container(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.id.as_str())
    }

    /// A directory of this machine in a container. Unlike a bind by text it is an error where the engine does not
    /// have that directory, as one on another machine does not.
    ///
    /// # Errors
    /// When it is only in the container that thirdrun runs in.
    pub(super) fn mount(&self, source: &Path, target: &str, read_only: bool) -> Result<Mount, SandboxError> {
        let there = match &self.own {
            Some(own) => own.there(source).ok_or_else(|| SandboxError::Inside(source.to_owned()))?,
            None => source.to_owned(),
        };
        Ok(Mount {
            typ: Some(MountType::BIND),
            source: Some(there.to_string_lossy().into_owned()),
            target: Some(target.to_owned()),
            read_only: Some(read_only),
            ..Mount::default()
        })
    }
}
