//! Listeners, and the connections that they accepted.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::hold::Holds;
use super::journal::{Journal, Slot};
use super::link::Link;
use super::{Orders, Recording};
use crate::postgres::{Endpoint, Wire};

/// How long a listener rests after it could not accept, as when file descriptors ran out.
const REST: Duration = Duration::from_millis(10);

/// Threads of a tap. One would be kept waiting where the clients and the server have all processors at work.
const THREADS: usize = 2;

/// Relays connections to a server and records their statements. Clones are one and the same tap; when the last one
/// is dropped, its listeners and its connections end.
#[derive(Clone)]
pub struct Tap {
    inner: Arc<Inner>,
    _guard: Arc<Guard>,
}

struct Guard {
    inner: Arc<Inner>,
    /// A thread ends when its one is dropped.
    _threads: Vec<oneshot::Sender<()>>,
}

/// What the tasks of a tap share.
pub(super) struct Inner {
    upstream: Endpoint,
    /// The tap's own threads, each with a runtime of its own. On a runtime of several, each message that comes wakes
    /// another of them to see whether there is more to do, which costs more than passing it on.
    threads: Vec<Handle>,
    /// Where whoever made the tap is at home: boundaries run there.
    pub(super) home: Handle,
    pub(super) journal: Journal,
    pub(super) holds: Arc<Holds>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    listeners: Vec<JoinHandle<()>>,
    connections: HashMap<u64, Connection>,
    accepted: u64,
}

struct Connection {
    /// None until the server has told it.
    backend: Option<i32>,
    /// The run in which it was opened.
    run: u64,
    task: JoinHandle<()>,
}

impl Tap {
    /// A tap that relays to a server, on threads of its own. What is called between statements runs on the runtime
    /// that this is called on.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn new(upstream: Endpoint) -> io::Result<Self> {
        let (mut threads, mut alive) = (Vec::new(), Vec::new());
        for _ in 0..THREADS {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            threads.push(runtime.handle().clone());
            let (sender, end) = oneshot::channel::<()>();
            alive.push(sender);
            std::thread::Builder::new().name("tap".to_owned()).spawn(move || {
                // An error is what tells it that the other side is gone.
                let _ = runtime.block_on(end);
            })?;
        }
        let inner = Arc::new(Inner {
            upstream,
            threads,
            home: Handle::current(),
            journal: Journal::default(),
            holds: Arc::default(),
            tasks: Mutex::new(Tasks::default()),
        });
        let guard = Guard { inner: Arc::clone(&inner), _threads: alive };
        Ok(Self { inner, _guard: Arc::new(guard) })
    }

    #[cfg(test)]
    pub(super) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    /// Accepts the connections of a listener from now on.
    ///
    /// # Errors
    /// When the listener cannot go over to the tap's thread.
    pub fn serve_unix(&self, listener: UnixListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        let thread = self.inner.thread(0);
        let _within = thread.enter();
        let listener = UnixListener::from_std(listener)?;
        let inner = Arc::clone(&self.inner);
        let task = thread.spawn(async move {
            loop {
                match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                    Ok(stream) => inner.connect(|| Ok(Wire::Unix(UnixStream::from_std(stream)?))),
                    Err(_) => tokio::time::sleep(REST).await,
                }
            }
        });
        self.inner.tasks().listeners.push(task);
        Ok(())
    }

    /// Accepts the connections of a listener from now on.
    ///
    /// # Errors
    /// When the listener cannot go over to the tap's thread.
    pub fn serve_tcp(&self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        let thread = self.inner.thread(0);
        let _within = thread.enter();
        let listener = TcpListener::from_std(listener)?;
        let inner = Arc::clone(&self.inner);
        let task = thread.spawn(async move {
            loop {
                match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                    Ok(stream) => {
                        // Slower without, but no less right.
                        let _ = stream.set_nodelay(true);
                        inner.connect(|| Ok(Wire::Tcp(TcpStream::from_std(stream)?)));
                    }
                    Err(_) => tokio::time::sleep(REST).await,
                }
            }
        });
        self.inner.tasks().listeners.push(task);
        Ok(())
    }

    /// A run begins: statements that are sent from now on belong to it, and the orders hold for them. Times count
    /// from `origin`.
    pub fn begin(&self, orders: Orders, origin: Instant) {
        self.inner.journal.begin(orders, origin);
    }

    /// When a statement of the run was last sent or answered; none: there was none.
    pub fn moved(&self) -> Option<Instant> {
        self.inner.journal.moved()
    }

    /// Waits until every boundary that was reached has returned. A client does not wait for the one after its last
    /// statement: it may have ended before.
    pub async fn boundaries_done(&self) {
        self.inner.holds.none().await;
    }

    /// The run ends: what was seen since it began. Connections that are still open stay open and are relayed on,
    /// unrecorded until the next run begins.
    pub fn end(&self) -> Recording {
        self.inner.journal.end()
    }

    /// The process ids of the backends whose connections are open now.
    pub fn backends(&self) -> Vec<i32> {
        let mut backends: Vec<i32> =
            self.inner.tasks().connections.values().filter_map(|connection| connection.backend).collect();
        backends.sort_unstable();
        backends
    }

    /// Ends the listeners and every connection.
    pub async fn close(&self) {
        for task in self.inner.abort() {
            // It was aborted, which is what is waited for.
            let _ = task.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.inner.abort();
    }
}

impl Inner {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abort(&self) -> Vec<JoinHandle<()>> {
        let mut tasks = self.tasks();
        let listeners = std::mem::take(&mut tasks.listeners);
        let connections = std::mem::take(&mut tasks.connections);
        drop(tasks);
        let all: Vec<_> = listeners
            .into_iter()
            .chain(connections.into_values().map(|connection| connection.task))
            .collect();
        all.iter().for_each(JoinHandle::abort);
        all
    }

    /// The thread of a connection.
    fn thread(&self, id: u64) -> &Handle {
        let at = usize::try_from(id).unwrap_or_default() % self.threads.len().max(1);
        self.threads.get(at).unwrap_or(&self.home)
    }

    /// Relays a connection. `client` is called on the thread that it is relayed on.
    fn connect(self: &Arc<Self>, client: impl FnOnce() -> io::Result<Wire> + Send + 'static) {
        if self.journal.is_cut() {
            return;
        }
        let inner = Arc::clone(self);
        let run = self.journal.running();
        let mut tasks = self.tasks();
        tasks.accepted += 1;
        let id = tasks.accepted;
        let task = self.thread(id).spawn(async move {
            let _gone = Gone(Arc::clone(&inner), id);
            // To a client, a server that cannot be reached is one that hangs up.
            if let (Ok(client), Ok(server)) = (client(), Wire::open(&inner.upstream).await) {
                Link::new(inner, id, client, server).relay().await;
            }
        });
        // Under the same lock as the beginning of the task: it cannot be gone before it is here.
        tasks.connections.insert(id, Connection { backend: None, run, task });
    }

    /// The server told a connection's backend.
    pub(super) fn backend_of(&self, id: u64, backend: i32) {
        if let Some(connection) = self.tasks().connections.get_mut(&id) {
            connection.backend = Some(backend);
        }
    }

    /// Cuts a run off, if it is under way: all its connections but one, which ends by itself.
    pub(super) fn cut(&self, id: u64, slot: Slot) {
        let Some(run) = self.journal.cut(slot) else {
            return;
        };
        for (other, connection) in &self.tasks().connections {
            if *other != id && connection.run == run {
                connection.task.abort();
            }
        }
    }
}

/// Takes a connection off the list when its task ends, however it does.
struct Gone(Arc<Inner>, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.tasks().connections.remove(&self.1);
    }
}
