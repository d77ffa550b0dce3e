//! What the statements of a run lock, and which tables they go through as a whole, read at their boundaries.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::Mutex;

use super::ask::ask;
use crate::identifiers::DatabaseName;
use crate::observations::{Lock, LockMode};
use crate::postgres::{Login, QueryFailure, Server};
use crate::state::Ask;
use crate::tap::At;
use crate::verdict;

/// What the candidate's own session holds. It is asked itself: what it has just made, nobody else can name.
const HELD: &str = include_str!("locks.sql");

/// Where a session that counts is told to add up at the end of its transaction, which it else does now and then: a
/// statement would be taken for the one before it.
const TOLD: &str = "-- and told";

/// The first version that can be told so.
const TELLS: u32 = 15;

/// Names of relations that a transaction which is still open has dropped: others can name them yet.
const NAMES: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname !~ '^pg_(toast|temp)' AND c.oid IN ";

/// The file of every table that is there: a table that is written anew has another one (PostgreSQL manual, 73.1).
const FILES: &str = "SELECT oid, pg_catalog.pg_relation_filenode(oid) FROM pg_catalog.pg_class \
                     WHERE relkind IN ('r', 'm') AND oid >= 16384";

/// What a statement took and went through.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// Locks that its session did not hold before.
    pub(super) locks: Vec<Lock>,
    /// Tables that were there before the run, which it read as a whole.
    pub(super) scans: Vec<String>,
    /// Tables that were there before the run, which it wrote anew.
    pub(super) rewrites: Vec<String>,
}

/// Tells what each statement added to the locks of its session, and to what that session has read and written.
pub(super) struct Locks {
    server: Server,
    query: String,
    /// A session whose locks were read begins to count anew with its next transaction.
    tells: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What each session held at its last boundary, in the transaction that is open.
    open: HashMap<i32, Open>,
    /// What each session has counted so far.
    counts: HashMap<i32, Counts>,
    /// The files of the tables that were there before the run.
    files: HashMap<String, String>,
}

/// How often a session has read each table as a whole.
#[derive(Default)]
struct Counts {
    known: HashMap<String, u64>,
    /// There was a statement at which nobody has looked: what the next one finds may be that one's.
    missed: bool,
}

/// What is known of a transaction.
#[derive(Default)]
struct Open {
    held: Vec<Lock>,
    /// Files that it has made.
    files: HashMap<String, String>,
}

/// What a session says of itself.
#[derive(Default)]
struct Now {
    held: Vec<Lock>,
    tables: Vec<Table>,
}

/// A table that a session has locked.
struct Table {
    name: String,
    oid: String,
    file: Option<String>,
    scans: u64,
}

impl Locks {
    /// For one run that comes, on a server of this major version; files of tables are read by this login.
    pub(super) async fn new(server: Server, login: &Login, major: u32) -> Self {
        let tells = major >= TELLS;
        let told = if tells { ", pg_catalog.pg_stat_force_next_flush()" } else { "" };
        let files = ask(&server, login, async |session| session.ask(FILES).await).await;
        // Where they cannot be read, nothing is said of them.
        let files = pairs(files.unwrap_or_default());
        let seen = Mutex::new(Seen { files, ..Seen::default() });
        Self { server, query: HELD.replace(TOLD, told), tells, seen }
    }

    /// What the last statement of a session took and went through.
    pub(super) async fn at(&self, at: &At) -> Result<Taken, QueryFailure> {
        let now = self.read(at).await?;
        let mut seen = self.seen.lock().await;
        let Seen { open, counts, files } = &mut *seen;
        let open = open.entry(at.backend).or_default();
        let counts = counts.entry(at.backend).or_default();
        let missed = std::mem::take(&mut counts.missed);
        let before = std::mem::replace(&mut open.held, now.held);
        let weaker = |lock: &&Lock| {
            before.iter().find(|known| known.object == lock.object).is_none_or(|known| known.mode < lock.mode)
        };
        let mut taken =
            Taken { locks: open.held.iter().filter(weaker).cloned().collect(), ..Taken::default() };
        for table in now.tables {
            let known = counts.known.insert(table.oid.clone(), table.scans).unwrap_or_default();
            // What it has told the server meanwhile counts no more.
            let known = if table.scans < known { 0 } else { known };
            let Some(first) = files.get(&table.oid) else { continue };
            if table.scans > known && !missed {
                taken.scans.push(table.name.clone());
            }
            let Some(file) = table.file else { continue };
            let old = open.files.insert(table.oid, file.clone());
            // An empty file is made at once.
            if old.as_ref().unwrap_or(first) != &file && at.tag.as_deref() != Some("TRUNCATE TABLE") {
                taken.rewrites.push(table.name);
            }
        }
        for tables in [&mut taken.scans, &mut taken.rewrites] {
            tables.sort_unstable();
            tables.dedup();
        }
        Ok(taken)
    }

    /// A transaction is over: its locks are released, and its files are those of the tables if it was not undone.
    pub(super) async fn released(&self, at: &At) {
        let mut seen = self.seen.lock().await;
        let open = seen.open.remove(&at.backend);
        let counts = seen.counts.entry(at.backend).or_default();
        let Some(open) = open else {
            // What only steers its session has read no table.
            counts.missed |= !at.tag.as_deref().is_some_and(verdict::is_steering);
            return;
        };
        if self.tells {
            counts.known.clear();
        }
        if at.sqlstate.is_none() && at.tag.as_deref() != Some("ROLLBACK") {
            seen.files.extend(open.files);
        }
    }

    /// The locks of a session, the strongest on each object, by object; and the tables among these.
    async fn read(&self, at: &At) -> Result<Now, QueryFailure> {
        let mut strongest: BTreeMap<String, LockMode> = BTreeMap::new();
        let mut add = |object: &str, mode: LockMode| {
            let known = strongest.entry(object.to_owned()).or_insert(mode);
            *known = mode.max(*known);
        };
        let mut now = Now::default();
        let mut nameless: Vec<(String, LockMode)> = Vec::new();
        let mut database = None;
        for row in at.ask(&self.query).await? {
            let [Some(mode), object, oid, here, table, file, scans, ..] = row.as_slice() else { continue };
            let Some(mode) = LockMode::named(mode) else { continue };
            match (object, oid) {
                (_, Some(oid)) => nameless.push((oid.clone(), mode)),
                (Some(object), None) => add(object, mode),
                (None, None) => {}
            }
            if let (Some(name), Some(oid)) = (object, table) {
                let scans = scans.as_ref().and_then(|scans| scans.parse().ok()).unwrap_or_default();
                let same = now.tables.iter().any(|other| other.oid == *oid);
                if !same {
                    now.tables.push(Table {
                        name: name.clone(),
                        oid: oid.clone(),
                        file: file.clone(),
                        scans,
                    });
                }
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
        now.held = strongest.into_iter().map(|(object, mode)| Lock { mode, object }).collect();
        Ok(now)
    }

    async fn names(
        &self,
        database: &DatabaseName,
        oids: &[&str],
    ) -> Result<HashMap<String, String>, QueryFailure> {
        let query = format!("{NAMES}({})", oids.join(", "));
        let login = self.server.superuser_login(database);
        ask(&self.server, &login, async |session| session.ask(&query).await).await.map(pairs)
    }
}

fn pairs(rows: Vec<Vec<Option<String>>>) -> HashMap<String, String> {
    let pair = |row: Vec<Option<String>>| {
        let mut values = row.into_iter();
        Some((values.next()??, values.next()??))
    };
    rows.into_iter().filter_map(pair).collect()
}
