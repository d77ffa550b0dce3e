//! Listeners, and the connections that they accepted.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
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

/// Relays connections to a server and records their statements. Clones are one and the same tap; when the last one
/// is dropped, its listeners and its connections end.
#[derive(Clone)]
pub struct Tap {
    inner: Arc<Inner>,
    _guard: Arc<Guard>,
}

struct Guard {
    inner: Arc<Inner>,
    /// The thread ends when this is dropped.
    _thread: oneshot::Sender<()>,
}

/// What the tasks of a tap share.
pub(super) struct Inner {
    upstream: Endpoint,
    /// The tap's own thread. On a runtime of several, each message that comes wakes another of them to see whether
    /// there is more to do, which costs more than passing it on.
    thread: Handle,
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
    /// A tap that relays to a server, on a thread of its own. What is called between statements runs on the runtime
    /// that this is called on.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn new(upstream: Endpoint) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = runtime.handle().clone();
        let (alive, end) = oneshot::channel::<()>();
        std::thread::Builder::new().name("tap".to_owned()).spawn(move || {
            // An error is what tells it that the other side is gone.
            let _ = runtime.block_on(end);
        })?;
        let inner = Arc::new(Inner {
            upstream,
            thread,
            home: Handle::current(),
            journal: Journal::default(),
            holds: Arc::default(),
            tasks: Mutex::new(Tasks::default()),
        });
        let guard = Guard { inner: Arc::clone(&inner), _thread: alive };
        Ok(Self { inner, _guard: Arc::new(guard) })
    }

    /// What its tasks share.
    pub(super) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    /// Accepts the connections of a listener from now on.
    ///
    /// # Errors
    /// When the listener cannot go over to the tap's thread.
    pub fn serve_unix(&self, listener: UnixListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        let _within = self.inner.thread.enter();
        let listener = UnixListener::from_std(listener)?;
        let inner = Arc::clone(&self.inner);
        let task = self.inner.thread.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => inner.connect(Wire::Unix(stream)),
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
        let _within = self.inner.thread.enter();
        let listener = TcpListener::from_std(listener)?;
        let inner = Arc::clone(&self.inner);
        let task = self.inner.thread.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Slower without, but no less right.
                        let _ = stream.set_nodelay(true);
                        inner.connect(Wire::Tcp(stream));
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

    fn connect(self: &Arc<Self>, client: Wire) {
        if self.journal.is_cut() {
            return;
        }
        let inner = Arc::clone(self);
        let run = self.journal.running();
        let mut tasks = self.tasks();
        tasks.accepted += 1;
        let id = tasks.accepted;
        let task = self.thread.spawn(async move {
            let _gone = Gone(Arc::clone(&inner), id);
            // To a client, a server that cannot be reached is one that hangs up.
            if let Ok(server) = Wire::open(&inner.upstream).await {
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
