//! A way to a port of a container whose network thirdrun may not enter: each connection to a socket of its own is passed
//! on by a program that the engine starts in the container.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::engine;
use crate::postgres::Endpoint;

/// Says a line when it has begun, and once it is told one passes bytes on between its standard streams and a port of the
/// container, until either side ends. Images of PostgreSQL have bash: the entry point of the official ones is written in
/// it.
const SCRIPT: &str = "echo; read -r && exec 3<>\"/dev/tcp/127.0.0.1/$0\" 4<&0 || exit 1; \
    cat <&4 >&3 & cat <&3 & wait -n; kill $(jobs -p)";
/// The directory of the sockets, in the sandbox's own.
const DIRECTORY: &str = "through";

/// A socket of thirdrun's own that leads to a port of a container, for as long as this lives.
pub(super) struct Relay {
    endpoint: Endpoint,
    ways: Ways,
    _connections: JoinSet<()>,
}

impl Relay {
    /// Listens; none where the container has no bash.
    ///
    /// # Errors
    /// When there is no place for the socket.
    pub(super) async fn open(
        docker: &Docker,
        container: &str,
        port: u16,
        sandbox: &Path,
    ) -> io::Result<Option<Self>> {
        let asked = ["bash", "-c", "type cat"].map(str::to_owned).to_vec();
        if engine::output_of(docker, container, asked).await.is_err() {
            return Ok(None);
        }
        let directory = sandbox.join(DIRECTORY);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let endpoint = Endpoint::Unix { directory, port };
        let listener = UnixListener::bind(endpoint.socket_file().unwrap_or_default())?;
        let ways =
            Ways { docker: docker.clone(), container: container.to_owned(), port, ready: Arc::default() };
        let made = ways.clone();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                let made = made.clone();
                // To a client, a port that cannot be reached is one that hangs up.
                open.spawn(async move {
                    if let Some(way) = made.take().await {
                        way.pass_on(client).await;
                    }
                });
            }
        });
        Ok(Some(Self { endpoint, ways, _connections: connections }))
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Has a way ready for the next connection, where one can be made.
    pub(super) async fn make_ready(&self) {
        if let Some(way) = self.ways.make().await {
            self.ways.ready.lock().unwrap_or_else(PoisonError::into_inner).push(way);
        }
    }
}

/// Ways to one port of one container.
#[derive(Clone)]
struct Ways {
    docker: Docker,
    container: String,
    port: u16,
    /// Those that were made ahead.
    ready: Arc<Mutex<Vec<Way>>>,
}

/// A program in the container that has begun and waits to be told to connect.
struct Way {
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

impl Ways {
    /// One that is ready, or a new one.
    async fn take(&self) -> Option<Way> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match ready {
            Some(way) => Some(way),
            None => self.make().await,
        }
    }

    async fn make(&self) -> Option<Way> {
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(["bash", "-c", SCRIPT, &self.port.to_string()].map(str::to_owned).to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(&self.container, options).await.ok()?;
        let started = self.docker.start_exec(&exec.id, None::<StartExecOptions>).await.ok()?;
        let StartExecResults::Attached { mut output, input } = started else { return None };
        loop {
            match output.next().await? {
                Ok(LogOutput::StdOut { .. }) => return Some(Way { output, input }),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Way {
    /// One connection, until either side ends.
    async fn pass_on(self, client: UnixStream) {
        let Self { mut output, mut input } = self;
        let (mut from_client, mut to_client) = split(client);
        let up = async {
            if input.write_all(b"\n").await.is_ok() {
                let _ = copy(&mut from_client, &mut input).await;
            }
            // It tells the program that the client has gone, which then ends.
            let _ = input.shutdown().await;
        };
        let down = async {
            while let Some(Ok(piece)) = output.next().await {
                let LogOutput::StdOut { message } = piece else { continue };
                if to_client.write_all(&message).await.is_err() {
                    return;
                }
            }
        };
        // What a client sends ends before what it is answered.
        tokio::select! {
            () = down => {}
            () = async { up.await; std::future::pending().await } => {}
        }
    }
}
