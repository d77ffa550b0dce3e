//! Puts rows into tables: whole batches where that works, one by one with other values where it does not.

mod circle;
mod copy;
mod probe;
mod sequences;
mod unreferenced;

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt as _;
use futures_util::future::{join, join_all, join3};
use rand_chacha::ChaCha8Rng;
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement};

use super::generate::{Generator, Hints, Refusal, Row, dice};
use super::model::Table;
use super::order::{Group, Step};
use super::{RowsError, TableWithoutRows};
use crate::identifiers::quote_identifier;
use copy::push_row;

/// Rows of the first COPY of a table, or of one after a failure, and of the others.
const FIRST: u64 = 1000;
const BATCH: u64 = 10_000;
/// Bytes that are sent at once: the server reads them while the next ones are made.
const CHUNK: usize = 64 * 1024;
/// Tries for one row.
const TRIES: u32 = 20;
/// Rows that may fail one after the other before the table is given up.
const FAILURES: u32 = 3;
/// Tries that may fail for every row that is wanted of a batch.
const PATIENCE: u64 = 5;
/// Rows that are read of a table that has some already.
const EXISTING: u32 = 100_000;

/// What has been done since the savepoint is kept, and another one is set.
pub(super) const KEEP: &str = "RELEASE SAVEPOINT thirdrun_rows; SAVEPOINT thirdrun_rows";

/// Loads tables by groups.
pub(super) struct Loader<'c, 'a> {
    pub(super) client: &'c Client,
    pub(super) generator: Generator<'a>,
    pub(super) seed: u64,
    /// Rows wanted, by table.
    pub(super) wanted: Vec<u64>,
    pub(super) inserted: u64,
    pub(super) without: Vec<TableWithoutRows>,
    /// Constraints that nothing could be found for, by table.
    pub(super) defeated: BTreeMap<usize, String>,
    /// COPY of tables whose turn comes soon.
    pub(super) statements: BTreeMap<usize, Statement>,
}

/// Why a table has no (more) rows.
enum Trouble {
    Refused(Refusal),
    Server(Error),
}

impl Trouble {
    fn text(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.to_string(),
            Self::Server(error) => match error.as_db_error() {
                Some(db) => db.message().to_owned(),
                None => error.to_string(),
            },
        }
    }
}

impl Loader<'_, '_> {
    async fn run(&self, sql: &str) -> Result<(), RowsError> {
        self.client.batch_execute(sql).await.map_err(RowsError::Session)
    }

    fn table(&self, at: usize) -> Option<&Table> {
        self.generator.tables.get(at)
    }

    fn dice(&self, at: usize, salt: u64) -> ChaCha8Rng {
        dice(self.seed, self.table(at).map_or("", |table| table.label.as_str()), salt)
    }

    /// Reads the keys of rows that are there already.
    pub(super) async fn read_existing(&mut self, at: usize) -> Result<(), RowsError> {
        let Some(table) = self.table(at) else {
            return Ok(());
        };
        let interesting = self.generator.interesting(at);
        let expressions: Vec<String> = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| match interesting.contains(&at) {
                true => format!("{}::pg_catalog.text", quote_identifier(&column.name)),
                false => "NULL".to_owned(),
            })
            .collect();
        // Ordered by all columns, so that the same rows come in the same order.
        let order = if expressions.is_empty() { "" } else { " ORDER BY " };
        let places: Vec<String> = (1..=expressions.len()).map(|place| place.to_string()).collect();
        let sql = format!(
            "SELECT {} FROM ONLY {}{order}{} LIMIT {EXISTING}",
            expressions.join(", "),
            table.sql,
            places.join(", ")
        );
        let sql = if table.leaves.is_some() { sql.replace("FROM ONLY ", "FROM ") } else { sql };
        let messages = self.client.simple_query(&sql).await.map_err(RowsError::Session)?;
        for message in &messages {
            if let SimpleQueryMessage::Row(row) = message {
                let row: Row = (0..row.len()).map(|place| row.get(place).map(str::to_owned)).collect();
                self.generator.note(at, &row);
            }
        }
        Ok(())
    }

    /// Fills the tables of a group.
    pub(super) async fn group(&mut self, group: &Group) -> Result<(), RowsError> {
        match group.as_slice() {
            [step] if step.pending.is_empty() => self.single(step).await,
            steps => self.circle(steps).await,
        }
    }

    /// Prepares what the tables of some groups need, all of it sent at once, after a statement that sets the savepoint.
    pub(super) async fn prepare_ahead(&mut self, before: &str, groups: &[Group]) -> Result<(), RowsError> {
        let tables: Vec<usize> = groups.iter().flatten().map(|step| step.table).collect();
        let prepared = join_all(tables.iter().map(|at| self.prepare(*at)));
        let (opened, prepared) = join(self.run(before), prepared).await;
        opened?;
        if prepared.iter().any(Result::is_err) {
            // Each fails again when its turn comes, and is then named.
            return self.run("ROLLBACK TO SAVEPOINT thirdrun_rows").await;
        }
        self.statements = tables.into_iter().zip(prepared.into_iter().flatten()).collect();
        Ok(())
    }

    async fn prepare(&self, at: usize) -> Result<Statement, Error> {
        let Some(table) = self.table(at) else {
            return self.client.prepare("SELECT 1").await;
        };
        let columns: Vec<String> = table
            .columns
            .iter()
            .filter(|column| !column.generated)
            .map(|column| quote_identifier(&column.name))
            .collect();
        let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        self.client.prepare(&format!("COPY {}{list} FROM STDIN", table.sql)).await
    }

    async fn copy(&self, at: usize, statement: &Statement, rows: &[Row]) -> Result<(), Error> {
        let mut text = BytesMut::new();
        if let Some(table) = self.table(at) {
            rows.iter().for_each(|row| push_row(table, row, &mut text));
        }
        let mut sink = pin!(self.client.copy_in::<_, Bytes>(statement).await?);
        sink.send(text.freeze()).await?;
        sink.finish().await.map(|_| ())
    }

    /// Makes rows and sends them on the way, counting those that were made before one was refused. What the savepoint
    /// has of earlier ones is kept.
    async fn stream(
        &mut self,
        step: &Step,
        statement: &Statement,
        wanted: u64,
        rng: &mut ChaCha8Rng,
        made: &mut u64,
    ) -> Result<Option<Refusal>, Error> {
        let client = self.client;
        let mut text = BytesMut::with_capacity(CHUNK + 4096);
        // The first rows are made while the server gets ready for them.
        let (kept, sink, refusal) =
            join3(client.batch_execute(KEEP), client.copy_in::<_, Bytes>(statement), async {
                self.chunk(step, wanted, rng, &mut text, made)
            })
            .await;
        kept?;
        let mut refusal = refusal;
        let mut sink = pin!(sink?);
        while refusal.is_none() && *made < wanted {
            sink.send(text.split().freeze()).await?;
            text.reserve(CHUNK + 4096);
            refusal = self.chunk(step, wanted, rng, &mut text, made);
        }
        sink.send(text.freeze()).await?;
        sink.finish().await.map(|_| refusal)
    }

    /// Makes as many rows as are sent at once.
    fn chunk(
        &mut self,
        step: &Step,
        wanted: u64,
        rng: &mut ChaCha8Rng,
        text: &mut BytesMut,
        made: &mut u64,
    ) -> Option<Refusal> {
        while *made < wanted && text.len() < CHUNK {
            match self.generator.row(step, &Hints::default(), rng) {
                Ok(row) => {
                    if let Some(table) = self.generator.tables.get(step.table) {
                        push_row(table, &row, text);
                    }
                    *made += 1;
                }
                Err(refused) => return Some(refused),
            }
        }
        None
    }

    /// Fills one table. A savepoint is open before and after: what one table leaves, the next one keeps.
    async fn single(&mut self, step: &Step) -> Result<(), RowsError> {
        let at = step.table;
        let wanted = self.wanted.get(at).copied().unwrap_or_default();
        let prepared = match self.statements.remove(&at) {
            Some(statement) => Ok(statement),
            None => {
                let (kept, prepared) = join(self.run(KEEP), self.prepare(at)).await;
                kept?;
                prepared
            }
        };
        let (done, trouble) = match prepared {
            Ok(statement) => {
                let (mut done, mut trouble) = self.batches(step, &statement, wanted).await?;
                // The server may know values that nobody here thinks of.
                if done == 0 && wanted > 0 && self.probe(step).await? {
                    (done, trouble) = self.batches(step, &statement, wanted).await?;
                }
                (done, trouble)
            }
            Err(error) => {
                self.run("ROLLBACK TO SAVEPOINT thirdrun_rows").await?;
                (0, Some(Trouble::Server(error)))
            }
        };
        let (done, trouble) = match self.remove_unreferenced(at, done).await? {
            Some(key) if key.1 == 0 => (0, Some(Trouble::Refused(key.0))),
            Some(key) => (key.1, trouble),
            None => (done, trouble),
        };
        self.inserted += done;
        if done == 0 && wanted > 0 {
            let reason = self.reason(at, trouble);
            self.give_up(at, reason);
        }
        if done > 0 && self.generator.reads_again(at) {
            if let Some(known) = self.generator.known.get_mut(at) {
                known.pool.clear();
            }
            self.read_existing(at).await?;
        }
        self.generator.done(at);
        Ok(())
    }

    /// What defeated a table: the constraints that nothing was found for, else what was said last.
    fn reason(&self, at: usize, trouble: Option<Trouble>) -> String {
        let said = trouble.map_or_else(String::new, |trouble| trouble.text());
        match self.defeated.get(&at) {
            Some(names) if !said.contains(names.as_str()) => {
                format!("nothing was found that keeps {names}; {said}")
            }
            _ => said,
        }
    }

    fn give_up(&mut self, at: usize, reason: String) {
        if let Some(table) = self.table(at) {
            self.without.push(TableWithoutRows { table: table.label.clone(), reason });
        }
    }

    async fn batches(
        &mut self,
        step: &Step,
        statement: &Statement,
        wanted: u64,
    ) -> Result<(u64, Option<Trouble>), RowsError> {
        let at = step.table;
        let mut rng = self.dice(at, 0);
        let mut done = 0;
        let mut size = FIRST;
        while done < wanted {
            let mut made = 0;
            self.generator.mark(at);
            let refusal =
                match self.stream(step, statement, size.min(wanted - done), &mut rng, &mut made).await {
                    Ok(refusal) => {
                        done += made;
                        size = BATCH;
                        refusal
                    }
                    Err(error) => {
                        self.run("ROLLBACK TO SAVEPOINT thirdrun_rows").await?;
                        self.generator.forget(at);
                        let singly = made.min(FIRST);
                        let (more, trouble) =
                            self.one_by_one(step, statement, singly, error, &mut rng).await?;
                        done += more;
                        size = FIRST;
                        if trouble.is_some() {
                            return Ok((done, trouble));
                        }
                        None
                    }
                };
            if let Some(refusal) = refusal {
                return Ok((done, Some(Trouble::Refused(refusal))));
            }
        }
        Ok((done, None))
    }

    /// Inserts rows singly; those that the server refuses are tried again with other values.
    async fn one_by_one(
        &mut self,
        step: &Step,
        statement: &Statement,
        wanted: u64,
        error: Error,
        rng: &mut ChaCha8Rng,
    ) -> Result<(u64, Option<Trouble>), RowsError> {
        let at = step.table;
        let mut done = 0;
        let mut failures = 0;
        let mut refused_tries = 0;
        let mut trouble = Trouble::Server(error);
        let mut learned = Hints::default();
        for _ in 0..wanted {
            let mut hints = learned.clone();
            let mut inserted = false;
            for attempt in 0..TRIES {
                if attempt > 0 {
                    self.learn(at, &trouble, attempt, &mut hints);
                }
                self.generator.mark(at);
                let row = match self.generator.row(step, &hints, rng) {
                    Ok(row) => row,
                    Err(refused) => {
                        // What the server said first tells more than what became of later tries.
                        if !matches!(trouble, Trouble::Server(_)) {
                            trouble = Trouble::Refused(refused);
                        }
                        hints = Hints::default();
                        continue;
                    }
                };
                self.run("SAVEPOINT thirdrun_row").await?;
                match self.copy(at, statement, std::slice::from_ref(&row)).await {
                    Ok(()) => {
                        self.run("RELEASE SAVEPOINT thirdrun_row").await?;
                        inserted = true;
                        break;
                    }
                    Err(error) => {
                        self.run("ROLLBACK TO SAVEPOINT thirdrun_row; RELEASE SAVEPOINT thirdrun_row")
                            .await?;
                        refused_tries += 1;
                        self.generator.forget(at);
                        trouble = Trouble::Server(error);
                    }
                }
            }
            if inserted {
                done += 1;
                failures = 0;
                learned = hints;
            } else {
                failures += 1;
                let hopeless = failures >= FAILURES && (done == 0 || failures >= 4 * FAILURES);
                if hopeless || refused_tries > PATIENCE * wanted.max(40) {
                    return Ok((done, Some(trouble)));
                }
            }
        }
        Ok((done, (done == 0).then_some(trouble)))
    }

    /// Draws a lesson from a failed try: first the values that the violated check speaks of, then NULLs.
    fn learn(&self, at: usize, trouble: &Trouble, attempt: u32, hints: &mut Hints) {
        let Some(table) = self.table(at) else { return };
        let violated = match trouble {
            Trouble::Server(error) => error.as_db_error().and_then(|db| db.constraint()),
            Trouble::Refused(_) => None,
        };
        let Some(check) = violated.and_then(|name| table.checks.iter().find(|check| check.name == name))
        else {
            hints.bare = attempt % 4 == 3;
            return;
        };
        if !check.literals.is_empty() {
            hints.examples.retain(|(at, _)| !check.columns.contains(at) || attempt % 2 == 1);
            let more = check.columns.iter().map(|at| (*at, check.literals.clone()));
            hints.examples.extend(more);
        }
        if attempt % 3 == 2 {
            let nullable = |at: &&usize| table.columns.get(**at).is_some_and(|column| !column.not_null);
            hints.nulls.extend(check.columns.iter().filter(nullable).copied());
        }
    }
}

fn count(rows: &[Row]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}
