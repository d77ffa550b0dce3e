//! The locks that the statements of a run take, read at their boundaries.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::Mutex;

use crate::identifiers::DatabaseName;
use crate::observations::{Lock, LockMode};
use crate::postgres::{QueryFailure, Server, Session};
use crate::state::Ask as _;
use crate::tap::At;

/// What the candidate's own session holds. It is asked itself: what it has just made, nobody else can name.
const HELD: &str = include_str!("held.sql");

/// Names of relations that a transaction which is still open has dropped: others can name them yet.
const NAMES: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname !~ '^pg_(toast|temp)' AND c.oid IN ";

/// Tells what each statement added to the locks of its session.
pub(super) struct Locks {
    server: Server,
    /// What each session held at its last boundary, in the transaction that is open.
    held: Mutex<HashMap<i32, Vec<Lock>>>,
}

impl Locks {
    pub(super) fn new(server: Server) -> Self {
        Self { server, held: Mutex::new(HashMap::new()) }
    }

    /// The locks that a session holds, and those of them that its last statement took.
    pub(super) async fn at(&self, at: &At) -> Result<(Vec<Lock>, Vec<Lock>), QueryFailure> {
        let now = self.read(at).await?;
        let mut held = self.held.lock().await;
        let before = held.insert(at.backend, now.clone()).unwrap_or_default();
        let weaker = |lock: &&Lock| {
            before.iter().find(|known| known.object == lock.object).is_none_or(|known| known.mode < lock.mode)
        };
        let taken = now.iter().filter(weaker).cloned().collect();
        Ok((now, taken))
    }

    /// A transaction is over, and its locks are released.
    pub(super) async fn released(&self, backend: i32) {
        self.held.lock().await.remove(&backend);
    }

    /// The locks of a session, the strongest on each object, by object.
    async fn read(&self, at: &At) -> Result<Vec<Lock>, QueryFailure> {
        let mut strongest: BTreeMap<String, LockMode> = BTreeMap::new();
        let mut add = |object: &str, mode: LockMode| {
            let known = strongest.entry(object.to_owned()).or_insert(mode);
            *known = mode.max(*known);
        };
        let mut nameless: Vec<(String, LockMode)> = Vec::new();
        let mut database = None;
        for row in at.ask(HELD).await? {
            let [Some(mode), object, oid, here] = row.as_slice() else { continue };
            let Some(mode) = LockMode::named(mode) else { continue };
            match (object, oid) {
                (_, Some(oid)) => nameless.push((oid.clone(), mode)),
                (Some(object), None) => add(object, mode),
                (None, None) => {}
            }
            database = here.clone().or(database);
        }
        if let Some(database) = database.filter(|_| !nameless.is_empty()) {
            let oids: Vec<&str> = nameless.iter().map(|(oid, _)| oid.as_str()).collect();
            let names = self.names(&DatabaseName::new(database), &oids).await?;
            for (oid, mode) in &nameless {
                if let Some(name) = names.get(oid) {
                    add(name, *mode);
                }
            }
        }
        Ok(strongest.into_iter().map(|(object, mode)| Lock { mode, object }).collect())
    }

    async fn names(
        &self,
        database: &DatabaseName,
        oids: &[&str],
    ) -> Result<HashMap<String, String>, QueryFailure> {
        let session = Session::open(&self.server.endpoint, &self.server.superuser_login(database)).await?;
        let rows = session.ask(&format!("{NAMES}({})", oids.join(", "))).await;
        session.close().await;
        let pair = |row: Vec<Option<String>>| {
            let mut values = row.into_iter();
            Some((values.next()??, values.next()??))
        };
        Ok(rows?.into_iter().filter_map(pair).collect())
    }
}
