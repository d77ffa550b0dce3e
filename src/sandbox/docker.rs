//! The Docker backend: a server in a container that reaches nothing, and that only thirdrun reaches.
//! Programs run in containers that share the server's network namespace, in which 127.0.0.1:5432 is the
//! sandbox.
//!
//! The only user of bollard.

mod clones;
mod confined;
mod context;
pub mod engine;
mod image;
pub(super) mod own;
mod packages;
mod programs;
mod reach;
mod relay;
mod wrapper;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};

use super::kept::{Begun, Claim, Key};
use super::{SandboxError, SandboxPlan, Scope, conf_text, door, fixed_settings, hba_text};
use crate::dump::Archive;
use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::postgres::{Endpoint, Login, SUPERUSER, Server, Session};
use crate::programs::Launcher;
use crate::tap::Tap;
use clones::Found;
pub use clones::{remove_older as remove_older_clones, remove_unfinished as remove_unfinished_images};
use confined::{confined, in_memory};
use engine::Engine;
pub use image::{MAJORS, built_by};
pub use reach::Reach;
pub(crate) use wrapper::unmarked;

/// The port in the name of the socket, and the one in the containers' network.
const PORT: u16 = 5432;
/// Where the directory with the socket and the configuration is mounted.
const MOUNT: &str = "/run/thirdrun";
/// Where the cluster is, in memory.
const MEMORY: &str = "/var/lib/thirdrun";
/// What the server does before anybody can log in, in the directory of the configuration.
const FIRST: &str = "first.sql";
/// How long a changed `pg_hba.conf` may take to hold.
const RELOADED: Duration = Duration::from_secs(10);

/// What the server's container runs.
const START: &str = include_str!("docker/start.sh");
/// Ends the server in good order (PostgreSQL manual, 18.5). Its own session says it, since only the server knows its
/// process number.
const STOP: &str = "COPY (SELECT) TO PROGRAM 'kill -INT $(head -n 1 postmaster.pid)'";
/// The file in which the container says that its copy is made, in the directory of the configuration, and the copy.
const COPY: &str = "copy";
const CLONE: &str = "clone.tar";
/// How long a server may take to stop and to be copied.
const COPIED: Duration = Duration::from_secs(300);

/// Chooses the image of a server, pulls it where the engine does not have it, and installs the packages that are
/// wanted into a copy of it.
pub(super) async fn choose_image(
    docker: &Docker,
    plan: &SandboxPlan,
    scope: &Scope,
) -> Result<String, SandboxError> {
    let image = image::choose(docker, plan, scope).await?;
    packages::with(docker, image, &plan.packages, scope).await
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
    reach: Reach,
    /// Whether thirdrun may enter the container's network.
    enters: bool,
    address: Option<SocketAddr>,
    launcher: Arc<programs::DockerLauncher>,
    /// What the clone will be called that is kept, by whoever has the right to.
    to_keep: Option<(Key, Claim)>,
    /// An image of the clone that is being made.
    keeping: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl DockerServer {
    /// Starts the server, which may not answer yet, with the clone of this fingerprint where one was kept.
    pub(super) async fn start(
        (docker, engine): &(Docker, Engine),
        image: String,
        plan: &SandboxPlan,
        clone: Option<&str>,
        scope: &Scope,
    ) -> Result<Begun<Self>, SandboxError> {
        let reach = plan.reach.unwrap_or_else(|| Reach::of(engine));
        let found = clones::find(docker, &image, plan, clone, scope).await?;
        let role = match &found {
            Found::Kept { .. } => RoleName::new(SUPERUSER),
            Found::ToKeep(..) | Found::Nothing => plan.bootstrap.clone(),
        };
        let shared = scope.directory().join("shared");
        let password = configuration(&shared, plan, &role, reach)
            .map_err(SandboxError::io(format!("cannot prepare {}", shared.display())))?;
        let keep = if matches!(found, Found::ToKeep(..)) { "keep" } else { "" };
        let mut command: Vec<String> = ["sh", "-c", START, "sh"].into_iter().map(str::to_owned).collect();
        command.extend([format!("{MEMORY}/data"), plan.bootstrap.to_string()]);
        command.extend([MOUNT.to_owned(), keep.to_owned()]);
        command.extend(fixed_settings(reach.listen(engine), PORT, MOUNT));
        command.extend(["-c".to_owned(), format!("hba_file={MOUNT}/pg_hba.conf")]);
        let mut writable = confined::volumes(docker, engine, &image).await;
        writable.extend([in_memory(engine, MEMORY, 6, ""), in_memory(engine, "/tmp", 1, "")]);
        let mut host = HostConfig {
            mounts: Some(vec![engine.mount(&shared, MOUNT, false)?]),
            tmpfs: Some(writable),
            shm_size: Some(256 << 20),
            ..confined(engine)
        };
        reach.connect(docker, scope, &mut host).await?;
        let (note, to_keep, server_image) = match found {
            Found::Kept { image, note } => (Some(note), None, image),
            Found::ToKeep(key, claim) => (None, Some((key, claim)), image.clone()),
            Found::Nothing => (None, None, image.clone()),
        };
        let body = ContainerCreateBody {
            image: Some(server_image),
            user: Some("postgres".to_owned()),
            entrypoint: Some(Vec::new()),
            cmd: Some(command),
            exposed_ports: Some(vec![reach::exposed()]),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let container = engine::start(docker, scope, &scope.name(), body).await?;
        let address = reach.address(docker, &container).await?;
        let launcher = Arc::new(programs::DockerLauncher::new(
            docker.clone(),
            engine.clone(),
            scope,
            &container,
            reach.host(engine),
            image.clone(),
        ));
        let docker = docker.clone();
        let server = Self {
            docker,
            enters: Reach::enters(engine),
            container,
            image,
            shared,
            reach,
            address,
            launcher,
            to_keep,
            keeping: tokio::sync::Mutex::default(),
        };
        Ok(Begun { server, login: (role, password), note })
    }

    /// Keeps the clone, if that is wanted: has the server stop, be copied and start again, and then makes an image
    /// with the copy meanwhile. `session` is a superuser's, the last one. Says whether it did.
    pub(super) async fn keep(
        &mut self,
        session: Session,
        note: String,
        scope: &Scope,
    ) -> Result<bool, SandboxError> {
        let Some((key, claim)) = self.to_keep.take() else {
            return Ok(false);
        };
        // It has done its work, and would undo what came after.
        let _ = std::fs::remove_file(self.shared.join(FIRST));
        // It ends this session too, mostly before it is answered.
        let _ = session.run(STOP).await;
        session.close().await;
        let copied = self.copied().await?;
        if !copied {
            scope.tell("the clone is not kept: there is no room for it in the container");
            return Ok(true);
        }
        let (docker, image, scope) = (self.docker.clone(), self.image.clone(), scope.clone());
        let copy = self.shared.join(CLONE);
        let keeping = tokio::spawn(async move {
            let _claim = claim;
            match clones::keep(&docker, &scope, &image, &copy, (&key, &note)).await {
                Ok(()) => clones::bound(&docker).await,
                Err(error) => scope.tell(&format!("the clone is not kept: {error}")),
            }
            // It is in memory, and wanted no more.
            let _ = std::fs::remove_file(copy);
        });
        *self.keeping.lock().await = Some(keeping);
        Ok(true)
    }

    /// Whether [`DockerServer::keep`] has something to do.
    pub(super) fn keeps(&self) -> bool {
        self.to_keep.is_some()
    }

    /// Waits until the container says what became of the copy.
    async fn copied(&self) -> Result<bool, SandboxError> {
        let begun = tokio::time::Instant::now();
        loop {
            match std::fs::read_to_string(self.shared.join(COPY)) {
                Ok(said) if said.ends_with('\n') => return Ok(said == "copied\n"),
                _ if begun.elapsed() > COPIED => {
                    return Err(SandboxError::Docker(format!("its server did not stop within {COPIED:?}")));
                }
                _ if !self.alive().await => {
                    let output = self.log_tail().await;
                    return Err(SandboxError::Program { program: "postgres".to_owned(), output });
                }
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Waits until the clone is kept, after which a script may run. From then on nothing new can be put into the
    /// directory that the server shares with this machine: its socket is there.
    pub(super) async fn kept(&self) {
        if let Some(keeping) = self.keeping.lock().await.take() {
            // Its only error is a panic, after which nothing is kept.
            let _ = keeping.await;
        }
        // It is ours; what cannot be set lets a script fill it, within the limits of the container.
        let _ = std::fs::set_permissions(&self.shared, std::fs::Permissions::from_mode(0o755));
    }

    /// What the container's `pg_restore` makes of an archive, which is put into the directory that it shares.
    pub(super) async fn pg_restore(
        &self,
        archive: &Archive,
        arguments: &[&str],
    ) -> Result<Vec<u8>, SandboxError> {
        const NAME: &str = "archive";
        let place = self.shared.join(NAME);
        let mode =
            |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        let mut written = std::fs::create_dir(&place).and_then(|()| mode(&place, 0o755));
        for (name, bytes) in &archive.files {
            let path = place.join(name);
            written = written.and_then(|()| std::fs::write(&path, bytes)).and_then(|()| mode(&path, 0o644));
        }
        written.map_err(SandboxError::io("cannot write an archive"))?;
        let mut command = vec!["pg_restore".to_owned()];
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let argument = archive.argument(&Path::new(MOUNT).join(NAME));
        command.push(argument.to_string_lossy().into_owned());
        let output = engine::output_of(&self.docker, &self.container, command).await;
        // What cannot be removed goes with the whole directory.
        let _ = std::fs::remove_dir_all(&place);
        output
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        match self.address {
            Some(address) => Endpoint::Tcp(address),
            None => Endpoint::Unix { directory: self.shared.clone(), port: PORT },
        }
    }

    pub(super) fn image(&self) -> &str {
        &self.image
    }

    pub(super) fn launcher(&self) -> Arc<dyn Launcher> {
        Arc::clone(&self.launcher) as Arc<dyn Launcher>
    }

    /// Lets scripts find the tap: where they would find the server, where thirdrun can listen there, and else at a
    /// unix socket in the directory that programs see. Says whether they can reach one at all.
    pub(super) async fn serve(&self, tap: &Tap) -> std::io::Result<bool> {
        if self.reach == Reach::Port {
            return Ok(false);
        }
        tap.serve_unix(door::unix(&self.launcher.shared(), PORT)?)?;
        let listener = match engine::process(&self.docker, &self.container).await {
            Some(server) if self.enters => door::tcp(server, PORT).ok(),
            _ => None,
        };
        let host = match listener {
            Some(listener) => {
                tap.serve_tcp(listener)?;
                door::HOST
            }
            None => MOUNT,
        };
        self.launcher.tap_at(host.to_owned());
        Ok(true)
    }

    pub(super) fn isolation(&self) -> String {
        self.reach.isolation().to_owned()
    }

    /// Puts the real authentication into force: through its socket the owner of the catalogs could until now
    /// log in without a password.
    pub(super) async fn lock(
        &self,
        plan: &SandboxPlan,
        server: &Server,
        session: &Session,
    ) -> Result<(), SandboxError> {
        if self.reach == Reach::Port {
            return Ok(());
        }
        std::fs::write(self.shared.join("pg_hba.conf"), hba_text(&plan.hba))
            .map_err(SandboxError::io("cannot write pg_hba.conf"))?;
        session.run("SELECT pg_catalog.pg_reload_conf()").await.map_err(SandboxError::Setup)?;
        let without_password = Login {
            role: server.superuser.clone(),
            password: Secret::new(""),
            database: DatabaseName::new("postgres"),
            application: "thirdrun".to_owned(),
            options: None,
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

    /// Fails when the engine does not answer, or has no such container any more.
    pub(super) async fn reached(&self) -> Result<(), SandboxError> {
        engine::knows(&self.docker, &self.container).await
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

/// Writes what the server reads when it starts, and says the password with which a superuser can log in.
fn configuration(
    shared: &Path,
    plan: &SandboxPlan,
    role: &RoleName,
    reach: Reach,
) -> std::io::Result<Secret> {
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    let write = |name: &str, text: &str| {
        let path = shared.join(name);
        std::fs::write(&path, text)?;
        mode(&path, 0o644)
    };
    // The server runs as a user that only its image knows. The sandbox's directory is closed to everybody
    // else, so that this one inside of it may be open.
    std::fs::create_dir(shared)?;
    mode(shared, 0o777)?;
    write("settings.conf", &conf_text(&plan.settings))?;
    match reach {
        // Only thirdrun can reach the socket. Until it has made itself a password it asks for none.
        Reach::Socket => {
            write("pg_hba.conf", &first_hba(&plan.bootstrap))?;
            Ok(Secret::new(""))
        }
        // Everybody on this machine can reach the port: nobody ever gets in without a password.
        Reach::Port => {
            let password = Secret::random();
            let role = role.quoted();
            write(FIRST, &format!("ALTER ROLE {role} PASSWORD '{}'\n", password.stored_scram()))?;
            write("pg_hba.conf", &hba_text(&plan.hba))?;
            Ok(password)
        }
    }
}

/// Until thirdrun has a password: its own logins, through the socket that only it can reach, and no other.
fn first_hba(bootstrap: &RoleName) -> String {
    format!("local all {} trust\nlocal all {SUPERUSER} trust\n", bootstrap.quoted())
}
