//! Makes rows that keep the constraints of their table, out of what is known of all tables so far.

mod attempt;
mod candidates;
mod keys;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::model::{ForeignKey, Table};
use super::order::Step;
use super::wishes::{Gatherer, Wishes};
use attempt::Try;
use keys::{Hashes, key};

/// A row, column by column; none is NULL.
pub(crate) type Row = Vec<Option<String>>;

/// Why no row could be made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// The table that a row would have to reference has none.
    NoTarget {
        table: String,
        /// The foreign key.
        key: String,
    },
    /// Nothing fits the column.
    NoValue {
        column: String,
        /// The checks that speak of it.
        checks: Vec<String>,
    },
    /// Every row that was tried is against this check.
    Against(String),
    /// Every row that was tried repeats another one's key of this index.
    Taken(String),
    /// No row was tried.
    Untried,
    /// The partitioned table has no partition.
    NoPartition,
}

impl Refusal {
    /// Nothing in a table can be referenced by this key.
    pub(super) fn no_target(key: &ForeignKey) -> Self {
        Self::NoTarget { table: key.target_name.clone(), key: key.name.clone() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTarget { table, key } => {
                write!(f, "its rows must reference {table}, which has none that fit (foreign key {key})")
            }
            Self::NoValue { column, checks } if checks.is_empty() => {
                write!(f, "no value could be made for its column {column}")
            }
            Self::NoValue { column, checks } => {
                write!(f, "no value could be made for its column {column} (check {})", checks.join(", "))
            }
            Self::Against(check) => write!(f, "no row could be made that keeps the check {check}"),
            Self::Taken(index) => write!(f, "every row that was tried repeats a unique key ({index})"),
            Self::Untried => f.write_str("no row was tried"),
            Self::NoPartition => f.write_str("it has no partition on this server"),
        }
    }
}

/// What is known of a table's rows.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Rows that may be referenced: the columns that something references.
    pub(super) pool: Vec<Row>,
    /// Where in these rows each column is.
    pub(super) places: Vec<Option<usize>>,
    /// The keys taken, for every unique key.
    taken: Vec<HashSet<u64, Hashes>>,
    /// What has come since the latest mark.
    since: Since,
    /// The number of the next row.
    next: u64,
    /// The largest and smallest number in each column that a sequence feeds.
    pub(super) fed: Vec<Option<(i64, i64)>>,
}

/// What is needed to forget rows again without having kept them.
#[derive(Debug, Default)]
struct Since {
    /// Keys taken, by unique key.
    keys: Vec<(usize, u64)>,
    /// What there was before.
    next: u64,
    pool: usize,
    fed: Vec<Option<(i64, i64)>>,
}

/// What failed tries have taught.
#[derive(Debug, Clone, Default)]
pub(super) struct Hints {
    /// Columns that had better be NULL.
    pub(super) nulls: BTreeSet<usize>,
    /// Values that occur in a check which failed, for the columns it speaks of.
    pub(super) examples: Vec<(usize, Vec<String>)>,
    /// Whether every column without a default is to be left NULL where it may.
    pub(super) bare: bool,
    /// Whether any value of a column's type will do where none is known that it should have.
    pub(super) loose: bool,
}

/// Makes rows.
pub(super) struct Generator<'a> {
    pub(super) tables: &'a [Table],
    pub(super) known: Vec<Known>,
    /// Columns of each table that some foreign key references.
    referenced: Vec<BTreeSet<usize>>,
    /// What the checks of each table demand, where that leaves nothing to chance.
    settled: Vec<Option<Arc<Wishes>>>,
    /// For each table, values that go together with what the checks demand, as far as the server was asked.
    fitting: Vec<Vec<Vec<Fitting>>>,
}

/// Columns with their values.
type Fitting = Vec<(usize, Option<String>)>;

/// Rows of a table that may be referenced. Those beyond are as good, but not worth the memory.
const POOL: usize = 200_000;

/// How often a row is tried before it is given up, not asking the server.
const TRIES: u64 = 200;

impl<'a> Generator<'a> {
    pub(super) fn new(tables: &'a [Table]) -> Self {
        let mut referenced = vec![BTreeSet::new(); tables.len()];
        for key in tables.iter().flat_map(|table| &table.foreign_keys) {
            if let Some(columns) = key.target.and_then(|at| referenced.get_mut(at)) {
                columns.extend(key.target_columns.iter().copied());
            }
        }
        let known = tables
            .iter()
            .zip(&referenced)
            .map(|(table, referenced)| Known {
                places: (0..table.columns.len())
                    .map(|at| referenced.iter().position(|column| *column == at))
                    .collect(),
                taken: vec![HashSet::default(); table.uniques.len()],
                fed: vec![None; table.columns.len()],
                ..Known::default()
            })
            .collect();
        let settled = tables
            .iter()
            .map(|table| {
                let wishes = demands(table, &mut dice(0, "", 0));
                (!wishes.drawn).then(|| Arc::new(wishes))
            })
            .collect();
        Self { tables, known, referenced, settled, fitting: vec![Vec::new(); tables.len()] }
    }

    /// The columns whose values must be known of rows that are there already.
    pub(super) fn interesting(&self, at: usize) -> BTreeSet<usize> {
        let mut columns = self.referenced.get(at).cloned().unwrap_or_default();
        if let Some(table) = self.tables.get(at) {
            columns.extend(table.uniques.iter().flat_map(|unique| unique.columns.iter().copied()));
            columns.extend((0..table.columns.len()).filter(|column| fed(table, *column)));
        }
        columns
    }

    /// Whether the server has a say in what can be referenced: where it computes a column that is, or one of a
    /// foreign key, so that some rows did not stay.
    pub(super) fn reads_again(&self, at: usize) -> bool {
        let (Some(table), Some(columns)) = (self.tables.get(at), self.referenced.get(at)) else {
            return false;
        };
        let generated = |column: &usize| table.columns.get(*column).is_some_and(|column| column.generated);
        let keyed = || table.foreign_keys.iter().any(|key| key.columns.iter().any(generated));
        !columns.is_empty() && (columns.iter().any(generated) || keyed())
    }

    /// Takes note of a row that exists, or is about to.
    pub(super) fn note(&mut self, at: usize, row: &Row) {
        let (Some(table), Some(known), Some(referenced)) =
            (self.tables.get(at), self.known.get_mut(at), self.referenced.get(at))
        else {
            return;
        };
        for (number, (unique, taken)) in table.uniques.iter().zip(&mut known.taken).enumerate() {
            if let Some(key) = key(table, unique, row)
                && taken.insert(key)
            {
                known.since.keys.push((number, key));
            }
        }
        if !referenced.is_empty() && known.pool.len() < POOL {
            known.pool.push(referenced.iter().map(|at| row.get(*at).cloned().flatten()).collect());
        }
        for (column, cell) in row.iter().enumerate().filter(|(column, _)| fed(table, *column)) {
            if let (Some(number), Some(seen)) =
                (cell.as_deref().and_then(|text| text.parse::<i64>().ok()), known.fed.get_mut(column))
            {
                let (low, high) = seen.unwrap_or((number, number));
                *seen = Some((low.min(number), high.max(number)));
            }
        }
        known.next += 1;
    }

    /// Sets a mark: what comes from here on can be forgotten again.
    pub(super) fn mark(&mut self, at: usize) {
        if let Some(known) = self.known.get_mut(at) {
            known.since.keys.clear();
            known.since.next = known.next;
            known.since.pool = known.pool.len();
            known.since.fed.clone_from(&known.fed);
        }
    }

    /// Forgets the rows since the mark, since they could not be inserted.
    pub(super) fn forget(&mut self, at: usize) {
        if let Some(known) = self.known.get_mut(at) {
            for (number, key) in known.since.keys.drain(..) {
                if let Some(taken) = known.taken.get_mut(number) {
                    taken.remove(&key);
                }
            }
            known.next = known.since.next;
            known.pool.truncate(known.since.pool);
            known.fed.clone_from(&known.since.fed);
        }
    }

    /// Forgets what only the making of further rows of this table would need.
    pub(super) fn done(&mut self, at: usize) {
        if let Some(known) = self.known.get_mut(at) {
            known.taken.iter_mut().for_each(|taken| *taken = HashSet::default());
            known.since = Since::default();
        }
    }

    /// Makes one more row and takes note of it.
    pub(super) fn row(&mut self, step: &Step, hints: &Hints, rng: &mut ChaCha8Rng) -> Result<Row, Refusal> {
        let mut refusal = Refusal::Untried;
        let mut made = false;
        for attempt in 0..TRIES {
            match Try::new(self, step, hints, attempt, rng).row() {
                Ok(row) => {
                    let against = self.violates(step.table, &row).or_else(|| self.collides(step.table, &row));
                    let Some(against) = against else {
                        self.note(step.table, &row);
                        return Ok(row);
                    };
                    made = true;
                    refusal = against;
                }
                Err(other) => {
                    refusal = other;
                    if attempt >= 20 && !made {
                        break;
                    }
                }
            }
        }
        Err(refusal)
    }

    fn violates(&self, at: usize, row: &Row) -> Option<Refusal> {
        let table = self.tables.get(at)?;
        let mut checks = table.checks.iter();
        checks
            .find(|check| super::eval::violated(&check.expr, &table.columns, row))
            .map(|check| Refusal::Against(check.name.clone()))
    }

    fn collides(&self, at: usize, row: &Row) -> Option<Refusal> {
        let (table, known) = (self.tables.get(at)?, self.known.get(at)?);
        let mut keys = table.uniques.iter().zip(&known.taken);
        keys.find(|(unique, taken)| key(table, unique, row).is_some_and(|key| taken.contains(&key)))
            .map(|(unique, _)| Refusal::Taken(unique.name.clone()))
    }
}

/// The random numbers of one table, the same whatever other tables there are.
pub(super) fn dice(seed: u64, table: &str, salt: u64) -> ChaCha8Rng {
    // FNV-1a (RFC 9923), which is the same on every machine and in every version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in table.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut bytes = [0; 32];
    let words = [seed, hash, salt, 0].map(u64::to_le_bytes);
    for (place, byte) in bytes.iter_mut().zip(words.iter().flatten()) {
        *place = *byte;
    }
    ChaCha8Rng::from_seed(bytes)
}

fn fed(table: &Table, column: usize) -> bool {
    table.columns.get(column).is_some_and(|column| !column.sequences.is_empty())
}

/// What the checks of a table and of its domains demand of a row.
fn demands(table: &Table, rng: &mut ChaCha8Rng) -> Wishes {
    let mut gatherer = Gatherer::new(&table.columns, rng);
    for (at, column) in table.columns.iter().enumerate() {
        gatherer.domain(at, &column.kind);
    }
    for check in &table.checks {
        gatherer.demand(&check.expr, true);
    }
    let mut wishes = gatherer.wishes;
    for (wish, column) in wishes.columns.iter_mut().zip(&table.columns) {
        if column.not_null {
            wish.null = Some(false);
        }
    }
    wishes
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn dice_depend_on_seed_and_table_alone() {
        let roll = |seed, table| dice(seed, table, 0).next_u64();
        assert_eq!(roll(1, "public.a"), roll(1, "public.a"));
        assert_ne!(roll(1, "public.a"), roll(2, "public.a"));
        assert_ne!(roll(1, "public.a"), roll(1, "public.b"));
    }
}
