//! Reads the state again and again, each time only what may have changed.
//!
//! A row of a catalog tells by its `xmin` which transaction wrote it (PostgreSQL manual, 5.6), so only rows of
//! transactions that had not ended at the previous reading are sent again, where a catalog has any. Rows that are
//! gone, and rows that a rollback brought back, are noticed by counts and sums over each catalog; only where these
//! differ are its keys compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ask::Ask;
use super::catalogs::{Catalog, Tables};
use super::definitions;
use super::query::{self, Which};
use super::running::Running;
use super::snapshot::{FileSetting, Settings, Snapshot};
use super::tables::{AnyTable as _, Fingerprint, Key};
use crate::identifiers::SqlState;
use crate::postgres::QueryFailure;

pub(super) type Rows = Vec<Vec<Option<String>>>;

/// Sequences beyond which a second session asks for their positions.
const TWO_SESSIONS: u64 = 250;

/// How many rows are asked for by their keys; for more, all of the catalog is read.
const BY_KEY: usize = 1000;

/// Holds the state as of the last reading. A copy goes on from there by itself.
#[derive(Debug, Clone)]
pub struct Watcher {
    known: Vec<String>,
    held: Arc<Snapshot>,
    /// The oldest transaction whose changes the last reading may not have seen; none before the first.
    since: Option<u32>,
    /// Definitions that could not be read yet.
    missing: definitions::Missing,
}

/// What is known before the catalogs are asked.
struct Prelude {
    version: u32,
    database: u32,
    /// The path to put back, on a connection that is not ours.
    path: Option<String>,
    /// Catalogs that may not be read.
    forbidden: Vec<Catalog>,
}

impl Watcher {
    /// One that has read nothing yet. Sessions of `known_applications` are not told as left behind.
    pub fn new(known_applications: Vec<String>) -> Self {
        Self {
            known: known_applications,
            held: Arc::default(),
            since: None,
            missing: definitions::Missing::default(),
        }
    }

    /// Whether there are so many sequences that a second session saves time: each that is new to a session costs one
    /// some 20 µs.
    pub fn wants_two_sessions(&self) -> bool {
        self.held.tables.sequences.count() > TWO_SESSIONS
    }

    /// The state as of the last reading.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.held)
    }

    /// Reads the state. The first time, and on another database than before, that is everything.
    ///
    /// `restricted` says that the connection is somebody else's, perhaps in the middle of a transaction: nothing is
    /// asked then that its role may not read or that could wait for a lock, and nothing of the session is changed.
    /// What is not read stays as it was: definitions of views and functions, sequences' positions, what is running,
    /// settings of the server, and passwords unless its role is a superuser.
    /// What a copy has read inside a transaction holds as long as that is not rolled back, also to a savepoint:
    /// then go on with the one from before.
    ///
    /// # Errors
    /// When the server raises one or is gone; the state held stays as it was.
    pub async fn refresh<A: Ask>(
        &mut self,
        asker: &A,
        restricted: bool,
    ) -> Result<Arc<Snapshot>, QueryFailure> {
        let prelude = self.prelude(asker, restricted).await?;
        if prelude.version != self.held.version || prelude.database != self.held.database {
            self.held = Arc::default();
            self.since = None;
        }
        let sequences = self.held.tables.sequences.count();
        // Asked with the first question: the server has the answer to it when that to the others is read.
        let at_once =
            async { if restricted || sequences == 0 { None } else { positions(asker, sequences).await } };
        let (read, mut at) = tokio::join!(self.catalogs(asker, &prelude, restricted), at_once);
        let (mut next, missing, clock) = read?;
        if !restricted && sequences == 0 {
            at = positions(asker, next.tables.sequences.count()).await;
        }
        if let Some(positions) = at {
            next.positions = Arc::new(positions);
        }
        self.missing = missing;
        self.since = Some(clock);
        self.held = Arc::new(next);
        Ok(self.snapshot())
    }

    /// Reads what is in the catalogs: the next state, which definitions of it are missing, and the oldest transaction
    /// that may not have been seen.
    async fn catalogs<A: Ask>(
        &self,
        asker: &A,
        prelude: &Prelude,
        restricted: bool,
    ) -> Result<(Snapshot, definitions::Missing, u32), QueryFailure> {
        let mut next =
            Snapshot { version: prelude.version, database: prelude.database, ..(*self.held).clone() };
        let clock = self.read(asker, prelude, restricted, &mut next).await?;
        // The first reading wants everything, which `None` of what is held says by itself.
        let mut missing = self.missing.clone();
        missing.note(&self.held, &next);
        let texts = definitions::Reader {
            path: prelude.path.as_deref(),
            restricted,
            touched: next.tables.touched(&self.held.tables),
        };
        texts.read(asker, &mut missing, &mut next).await?;
        Ok((next, missing, clock))
    }

    async fn prelude<A: Ask>(&self, asker: &A, restricted: bool) -> Result<Prelude, QueryFailure> {
        if !restricted && self.since.is_some() {
            // Ours: neither its database nor what it may read changes.
            let (version, database) = (self.held.version, self.held.database);
            return Ok(Prelude { version, database, path: None, forbidden: Vec::new() });
        }
        let rows = asker.ask(query::PRELUDE).await?;
        let value = |at: usize| rows.first().and_then(|row| row.get(at)).and_then(Option::as_deref);
        let number = |at: usize| value(at).and_then(|text| text.parse::<u32>().ok());
        let (Some(version), Some(database)) = (number(0), number(1)) else {
            return Err(unreadable("prelude"));
        };
        let guarded = [Catalog::Role, Catalog::Subscription, Catalog::UserMapping];
        let forbidden = (3..)
            .zip(guarded)
            .filter(|(at, _)| value(*at) != Some("t"))
            .map(|(_, catalog)| catalog)
            .collect();
        let path = if restricted { value(2).map(str::to_owned) } else { None };
        Ok(Prelude { version: version / 10_000, database, path, forbidden })
    }

    /// Reads the rows of all catalogs, and gives back the oldest transaction that may not have been seen.
    async fn read<A: Ask>(
        &self,
        asker: &A,
        prelude: &Prelude,
        restricted: bool,
        next: &mut Snapshot,
    ) -> Result<u32, QueryFailure> {
        let version = prelude.version;
        let catalogs: Vec<_> = Catalog::ALL
            .iter()
            .copied()
            .filter(|catalog| catalog.exists(version) && !prelude.forbidden.contains(catalog))
            .collect();
        let path = prelude.path.as_deref();
        let mut statements = vec![query::CLOCK.to_owned()];
        for catalog in &catalogs {
            match self.since {
                None => statements.push(query::rows(*catalog, version, &Which::All)),
                Some(since) => statements.push(query::fingerprint(*catalog, version, since)),
            }
        }
        if prelude.forbidden.contains(&Catalog::Role) {
            statements.push(query::public_roles());
        }
        if !restricted {
            statements.push(query::running(&self.known));
            statements.push(query::SETTINGS.to_owned());
        }
        let mut answer = Answer::default();
        answer.take(asker.ask(&query::framed(&statements, path, false)).await?, &mut next.tables)?;
        let Some((now, oldest)) = answer.clock else { return Err(unreadable("clock")) };
        if !restricted {
            next.running = Arc::new(std::mem::take(&mut answer.running));
            next.settings = Arc::new(std::mem::take(&mut answer.settings));
        }
        if !answer.roles.is_empty() {
            merge_roles(&mut next.tables, &answer.roles);
        }
        if let Some(since) = self.since {
            if !answer.fresh.is_empty() {
                let rows = |catalog: &Catalog| query::rows(*catalog, version, &Which::Since(since));
                let statements: Vec<_> = answer.fresh.iter().map(rows).collect();
                let rows = asker.ask(&query::framed(&statements, path, false)).await?;
                Answer::default().take(rows, &mut next.tables)?;
            }
            // Columns go with their tables, which is known without reading 30,000 keys.
            let (columns, others): (Vec<_>, Vec<_>) =
                catalogs.iter().copied().partition(|catalog| *catalog == Catalog::Column);
            for group in [others, columns] {
                let wrong = wrong(&group, &answer.fingerprints, &next.tables, now);
                mend(asker, path, version, &wrong, &mut next.tables).await?;
                for (oid, ..) in self.held.tables.relations.gone_in(&next.tables.relations) {
                    let keys: Vec<_> = next.tables.columns.of(oid).map(|(key, _)| key).collect();
                    next.tables.columns.forget(&keys);
                }
            }
        }
        Ok(oldest)
    }
}

pub(super) fn unreadable(what: &str) -> QueryFailure {
    QueryFailure {
        sqlstate: SqlState::new("XX000"),
        message: format!("the answer about {what} is not what PostgreSQL's catalogs have"),
        detail: None,
        hint: None,
        position: None,
        cut_off: false,
    }
}

/// What an answer had besides rows of catalogs.
#[derive(Default)]
struct Answer {
    clock: Option<(u32, u32)>,
    fingerprints: BTreeMap<Catalog, Fingerprint>,
    /// Those with rows that were written since.
    fresh: Vec<Catalog>,
    keys: BTreeMap<Catalog, BTreeMap<Key, u32>>,
    running: Running,
    settings: Settings,
    /// Roles without passwords.
    roles: Rows,
}

impl Answer {
    /// Takes each row to where it belongs, those of catalogs into `tables`.
    fn take(&mut self, rows: Rows, tables: &mut Tables) -> Result<(), QueryFailure> {
        for row in rows {
            let text = |at: usize| row.get(at).and_then(Option::as_deref);
            let number = |at: usize| text(at).and_then(|text| text.parse::<u32>().ok());
            let sum = |at: usize| text(at).and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
            let key = |at: usize| Some((number(at)?, number(at + 1)?, number(at + 2)?));
            let tag = text(0).unwrap_or_default();
            match tag {
                "path" => {}
                // `age` counts from the next transaction; 3 is the first there is.
                "clock" => {
                    let next = sum(1) + 3;
                    let oldest = text(2).and_then(|oldest| oldest.parse::<u64>().ok());
                    let oldest =
                        oldest.map(|oldest| u32::try_from(oldest & u64::from(u32::MAX)).unwrap_or_default());
                    self.clock = u32::try_from(next).ok().zip(oldest);
                }
                "fingerprint" => {
                    if let Some(catalog) = text(1).and_then(Catalog::named) {
                        let sums = Fingerprint { count: sum(2), keys: sum(3), ages: sum(4) };
                        self.fingerprints.insert(catalog, sums);
                        if sum(5) > 0 {
                            self.fresh.push(catalog);
                        }
                    }
                }
                "keys" => {
                    let Some(catalog) = text(1).and_then(Catalog::named) else { return Err(unreadable(tag)) };
                    // Without any rows there is no list.
                    let items = text(2).unwrap_or_default().split(',').filter(|item| !item.is_empty());
                    let keys: Option<BTreeMap<_, _>> = items.map(listed_key).collect();
                    self.keys.insert(catalog, keys.ok_or_else(|| unreadable(tag))?);
                }
                "setting" => {
                    self.settings.in_force.insert(
                        text(1).unwrap_or_default().to_owned(),
                        text(2).unwrap_or_default().to_owned(),
                    );
                }
                "file_setting" => {
                    let value = text(2).unwrap_or_default().to_owned();
                    let altered = text(3) == Some("t");
                    let name = text(1).unwrap_or_default().to_owned();
                    self.settings.files.insert(name, FileSetting { value, altered });
                }
                "roles" if number(1) == Some(0) => self.roles.push(row),
                _ if self.running.take(&row) => {}
                tag => {
                    let Some(catalog) = Catalog::named(tag) else { return Err(unreadable(tag)) };
                    let (Some(xmin), Some(key)) = (number(1), key(2)) else { return Err(unreadable(tag)) };
                    let values = row.get(5..).unwrap_or_default();
                    if tables.of_mut(catalog).put(key, xmin, values).is_none() {
                        return Err(unreadable(tag));
                    }
                }
            }
        }
        Ok(())
    }
}

/// `xmin` and the three parts of a key.
fn listed_key(item: &str) -> Option<(Key, u32)> {
    let mut numbers = item.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    let xmin = next()?;
    Some(((next()?, next()?, next()?), xmin))
}

/// The catalogs that are not what the server has.
fn wrong(
    catalogs: &[Catalog],
    server: &BTreeMap<Catalog, Fingerprint>,
    tables: &Tables,
    next: u32,
) -> Vec<Catalog> {
    let differs = |catalog: &Catalog| {
        server.get(catalog) != Some(&tables.of(*catalog).fingerprint(catalog.summed_below(), next))
    };
    catalogs.iter().copied().filter(differs).collect()
}

/// Forgets rows that are gone, and reads those that are there again although they were not written anew.
async fn mend<A: Ask>(
    asker: &A,
    path: Option<&str>,
    version: u32,
    wrong: &[Catalog],
    tables: &mut Tables,
) -> Result<(), QueryFailure> {
    if wrong.is_empty() {
        return Ok(());
    }
    let statements: Vec<_> = wrong.iter().map(|catalog| query::all_keys(*catalog, version)).collect();
    let mut answer = Answer::default();
    answer.take(asker.ask(&query::framed(&statements, path, false)).await?, tables)?;
    let mut statements = Vec::new();
    for catalog in wrong {
        let there = answer.keys.remove(catalog).unwrap_or_default();
        let held: BTreeMap<_, _> = tables.of(*catalog).keys().into_iter().collect();
        let gone: Vec<_> = held.keys().filter(|key| !there.contains_key(key)).copied().collect();
        tables.of_mut(*catalog).forget(&gone);
        let other: Vec<_> =
            there.iter().filter(|(key, xmin)| held.get(key) != Some(xmin)).map(|(key, _)| *key).collect();
        if !other.is_empty() {
            let which = if other.len() > BY_KEY { Which::All } else { Which::These(&other) };
            statements.push(query::rows(*catalog, version, &which));
        }
    }
    if statements.is_empty() {
        return Ok(());
    }
    Answer::default().take(asker.ask(&query::framed(&statements, path, false)).await?, tables)
}

/// Takes roles as everybody may see them; what is known of their passwords stays.
fn merge_roles(tables: &mut Tables, rows: &Rows) {
    let mut there = BTreeSet::new();
    for row in rows {
        let Some(oid) = row.get(2).and_then(Option::as_deref).and_then(|oid| oid.parse().ok()) else {
            continue;
        };
        there.insert((oid, 0, 0));
        let mut values = row.get(5..).unwrap_or_default().to_vec();
        let password = tables.roles.oid(oid).and_then(|role| role.password.as_deref()).map(str::to_owned);
        if let Some(last) = values.last_mut() {
            *last = password;
        }
        // Its transaction is not known: the sums tell the next full reading to look again.
        let xmin = tables.roles.keys().into_iter().find(|(key, _)| key.0 == oid).map_or(0, |(_, xmin)| xmin);
        let changed = tables.roles.put((oid, 0, 0), xmin, &values);
        if changed == Some(true) && xmin != 0 {
            tables.roles.put((oid, 0, 0), 0, &values);
        }
    }
    let gone: Vec<_> =
        tables.roles.keys().into_iter().map(|(key, _)| key).filter(|key| !there.contains(key)).collect();
    tables.roles.forget(&gone);
}

/// How many sequences one statement asks for.
const SEQUENCES: usize = 1000;

/// Reads where sequences are, of which there were so many. One that somebody has locked keeps the others of its
/// statement from being read; then all stay where they were.
async fn positions<A: Ask>(asker: &A, count: u64) -> Option<BTreeMap<u32, i64>> {
    let count = usize::try_from(count).unwrap_or_default();
    let mut positions = BTreeMap::new();
    if count == 0 {
        return Some(positions);
    }
    let mut from = 0;
    loop {
        let last = from + SEQUENCES >= count;
        let sql = query::positions(from, (!last).then_some(SEQUENCES));
        from += SEQUENCES;
        for row in asker.ask_beside(&sql).await.ok()? {
            let number = |at: usize| row.get(at).and_then(Option::as_deref);
            if let (Some("position"), Some(oid), Some(value)) = (
                number(0),
                number(1).and_then(|oid| oid.parse::<u32>().ok()),
                number(2).and_then(|value| value.parse::<i64>().ok()),
            ) {
                positions.insert(oid, value);
            }
        }
        if last {
            return Some(positions);
        }
    }
}
