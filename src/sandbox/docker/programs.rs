//! Programs beside a server in a container: each image and directory has a container of its own in the
//! server's network, in which its programs are started one after another.

mod running;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};

use super::super::{SandboxError, Scope};
use super::confined::{self, confined, in_memory};
use super::engine::Engine;
use super::reach::Reach;
use super::relay::Relay;
use super::wrapper::SCRIPT;
use super::{MOUNT, PORT, engine, image};
use crate::identifiers::{RoleName, Secret};
use crate::postgres::Endpoint;
use crate::programs::{
    Address, BoxFuture, Executable, LaunchError, Launcher, Outcome, Place, Program, passfile,
};

/// Where a program finds its directory.
const DIRECTORY: &str = "/rehearsal";
/// The file with the passwords, in what programs get to see of the sandbox's directory.
const PASSFILE: &str = "pgpass";
/// The same for programs that run as another user: within the sandbox's directory, which nobody else on this machine
/// may enter.
const READABLE: &str = "pgpass-readable";
/// Gives a program that runs as another user a password file of its own, since libpq ignores one that others may read
/// (PostgreSQL manual, 34.16), and becomes the program. Several may start at once.
const OWN_PASSFILE: &str =
    r#"(umask 077 && cat "$0" > "$PGPASSFILE.$$" && mv "$PGPASSFILE.$$" "$PGPASSFILE") && exec "$@""#;
/// Its `HOME`.
const HOME: &str = "/home/thirdrun";
/// Starts programs beside one server.
pub(super) struct DockerLauncher {
    docker: Docker,
    engine: Engine,
    scope: Scope,
    server: String,
    own_image: String,
    address: Address,
    containers: tokio::sync::Mutex<HashMap<Place, String>>,
    /// How many containers were started, which gives each a name of its own.
    started: AtomicUsize,
    /// Ways to ports of the server's container.
    relays: tokio::sync::Mutex<HashMap<u16, Arc<Relay>>>,
    logins: Mutex<Vec<(RoleName, Secret)>>,
}

impl DockerLauncher {
    pub(super) fn new(
        docker: Docker,
        engine: Engine,
        scope: &Scope,
        server: &str,
        host: &str,
        own_image: String,
    ) -> Self {
        Self {
            docker,
            engine,
            scope: scope.clone(),
            server: server.to_owned(),
            own_image,
            address: Address {
                host: host.to_owned(),
                tap: OnceLock::new(),
                port: PORT,
                passfile: format!("{MOUNT}/{PASSFILE}"),
                home: HOME.to_owned(),
                path: String::new(),
            },
            containers: tokio::sync::Mutex::default(),
            started: AtomicUsize::new(0),
            relays: tokio::sync::Mutex::default(),
            logins: Mutex::default(),
        }
    }

    /// What programs get to see of the sandbox's directory.
    pub(super) fn shared(&self) -> PathBuf {
        self.scope.directory().join("programs")
    }

    fn make_shared(&self) -> Result<PathBuf, SandboxError> {
        let shared = self.shared();
        std::fs::create_dir_all(&shared)
            .map_err(SandboxError::io(format!("cannot make {}", shared.display())))?;
        Ok(shared)
    }

    fn write_passfile(&self, logins: &[(RoleName, Secret)]) -> Result<(), SandboxError> {
        use std::io::Write as _;
        let shared = self.make_shared()?;
        for (name, mode) in [(PASSFILE, 0o600), (READABLE, 0o644)] {
            let path = shared.join(name);
            let mut options = std::fs::OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .open(&path)
                .and_then(|mut file| file.write_all(passfile(logins).as_bytes()))
                // Whatever the caller's umask is.
                .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
                .map_err(SandboxError::io("cannot write the password file of the programs"))?;
        }
        *self.logins.lock().unwrap_or_else(PoisonError::into_inner) = logins.to_vec();
        Ok(())
    }

    /// A way to a port, which stays open for as long as this lives.
    async fn relayed(&self, port: u16) -> io::Result<Option<Endpoint>> {
        let mut relays = self.relays.lock().await;
        if let Some(relay) = relays.get(&port) {
            return Ok(Some(relay.endpoint()));
        }
        let opened = Relay::open(&self.docker, &self.server, port, self.scope.directory()).await?;
        let Some(relay) = opened else { return Ok(None) };
        let endpoint = relay.endpoint();
        relays.insert(port, Arc::new(relay));
        Ok(Some(endpoint))
    }

    /// The container of an image and a directory, started when it is first needed.
    async fn container(&self, place: &Place) -> Result<String, SandboxError> {
        let mut containers = self.containers.lock().await;
        if let Some(known) = containers.get(place) {
            return Ok(known.clone());
        }
        let image = match &place.image {
            Some(image) => image::had(&self.docker, image, None, &self.scope).await?,
            None => self.own_image.clone(),
        };
        let shared = self.make_shared()?;
        // Who may read the directory on the machine may read it in the container.
        let (uid, gid) = if self.engine.rootless {
            (0, 0)
        } else {
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        // Where programs may expect to write, in every image.
        let mut writable = confined::volumes(&self.docker, &self.engine, &image).await;
        writable.extend([
            in_memory(&self.engine, "/tmp", 2, ",exec"),
            in_memory(&self.engine, HOME, 2, ""),
            in_memory(&self.engine, "/var/tmp", 1, ""),
            in_memory(&self.engine, "/run", 1, ""),
        ]);
        let host = HostConfig {
            network_mode: Some(format!("container:{}", self.server)),
            mounts: Some(vec![
                self.engine.mount(&place.directory, DIRECTORY, true)?,
                self.engine.mount(&shared, MOUNT, true)?,
            ]),
            tmpfs: Some(writable),
            // Root without capabilities could not read the files of others, as it can on the machine itself.
            cap_add: (uid == 0).then(|| vec!["DAC_OVERRIDE".to_owned()]),
            ..confined(&self.engine)
        };
        let body = ContainerCreateBody {
            image: Some(image),
            user: Some(format!("{uid}:{gid}")),
            entrypoint: Some(Vec::new()),
            cmd: Some(vec!["sleep".to_owned(), "2147483647".to_owned()]),
            working_dir: Some(DIRECTORY.to_owned()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}-programs-{number}", self.scope.name());
        let container = engine::start(&self.docker, &self.scope, &name, body).await?;
        containers.insert(place.clone(), container.clone());
        Ok(container)
    }

    fn command(program: &Program, mark: &str) -> Vec<String> {
        let mut command: Vec<String> =
            ["sh", "-c", SCRIPT, "sh", mark].into_iter().map(str::to_owned).collect();
        if program.user.is_some() {
            command.extend(["sh", "-c", OWN_PASSFILE].map(str::to_owned));
            command.push(format!("{MOUNT}/{READABLE}"));
        }
        match &program.what {
            Executable::Psql(arguments) => {
                command.push("psql".to_owned());
                command.extend(arguments.iter().cloned());
            }
            Executable::File(name, arguments) => {
                command.push(name.clone());
                command.extend(arguments.iter().cloned());
            }
        }
        command
    }

    fn environment(&self, program: &Program) -> Vec<String> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let password = logins.iter().find(|(role, _)| *role == program.role).map(|(_, secret)| secret);
        let variables = self.address.environment(program, password);
        // The image knows better than the machine where its programs are.
        variables
            .into_iter()
            .filter(|(name, _)| name != "PATH")
            .map(|(name, value)| match &program.user {
                Some(user) if name == "PGPASSFILE" => format!("{name}=/tmp/.{PASSFILE}-{user}"),
                _ => format!("{name}={value}"),
            })
            .collect()
    }
}

impl Launcher for DockerLauncher {
    fn passfile(&self) -> PathBuf {
        self.shared().join(PASSFILE)
    }

    fn prepare<'a>(&'a self, places: &'a [Place]) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            for place in places {
                self.container(place).await.map_err(|source| LaunchError {
                    what: format!("a container for {}", show(&place.directory)),
                    source: Box::new(source),
                })?;
            }
            Ok(())
        })
    }

    fn provide<'a>(&'a self, logins: &'a [(RoleName, Secret)]) -> BoxFuture<'a, Result<(), LaunchError>> {
        Box::pin(async move {
            self.write_passfile(logins).map_err(|source| LaunchError {
                what: "the password file of the programs".to_owned(),
                source: Box::new(source),
            })
        })
    }

    fn tap_at(&self, host: String) {
        // There is one tap, and it is put there once.
        let _ = self.address.tap.set(host);
    }

    fn inside<'a>(&'a self, port: u16) -> BoxFuture<'a, Result<Option<Endpoint>, LaunchError>> {
        Box::pin(async move {
            if !Reach::enters(&self.engine) {
                return self.relayed(port).await.map_err(|source| LaunchError {
                    what: format!("a way to port {port} of the sandbox"),
                    source: Box::new(source),
                });
            }
            let process = engine::process(&self.docker, &self.server).await;
            Ok(process.map(|process| Endpoint::Inside { process, port }))
        })
    }

    fn make_way(&self, port: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let relay = self.relays.lock().await.get(&port).cloned();
            if let Some(relay) = relay {
                relay.make_ready().await;
            }
        })
    }

    fn launch<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Outcome, LaunchError>> {
        Box::pin(async move {
            self.run(program).await.map_err(|source| LaunchError {
                what: program.what.name().to_owned(),
                source: Box::new(source),
            })
        })
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
