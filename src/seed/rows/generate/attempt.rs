//! One try at one row: foreign keys first, then what is left.

use std::borrow::Cow;
use std::sync::Arc;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::super::arithmetic;
use super::super::kinds::Kind;
use super::super::model::{Column, ForeignKey, Table};
use super::super::order::Step;
use super::super::pattern;
use super::super::scale;
use super::super::values::{self, Purpose};
use super::super::wish::Wish;
use super::super::wishes::{Gatherer, Wishes, mirrored};
use super::{Fitting, Generator, Hints, Known, Refusal, Row, demands};

/// How many rows of a target are looked at for one that fits.
const SCAN: usize = 5000;

/// Tries at a row after which a NULL is better than no row, though it cannot be referenced.
const MISSED: u64 = 10;

/// One try at one row.
pub(super) struct Try<'t, 'a> {
    table: &'a Table,
    known: &'t [Known],
    step: &'t Step,
    hints: &'t Hints,
    attempt: u64,
    number: u64,
    rng: &'t mut ChaCha8Rng,
    settled: Option<&'t Arc<Wishes>>,
    fitting: &'t [Vec<Fitting>],
    wishes: Arc<Wishes>,
    /// Cells that are decided.
    cells: Vec<Option<Option<String>>>,
}

impl<'t, 'a> Try<'t, 'a> {
    pub(super) fn new(
        generator: &'t Generator<'a>,
        step: &'t Step,
        hints: &'t Hints,
        attempt: u64,
        rng: &'t mut ChaCha8Rng,
    ) -> Self {
        static NOTHING: Table = Table::nothing();
        let table: &'a Table = generator.tables.get(step.table).unwrap_or(&NOTHING);
        Self {
            table,
            known: &generator.known,
            step,
            hints,
            attempt,
            number: generator.known.get(step.table).map_or(0, |known| known.next),
            rng,
            settled: generator.settled.get(step.table).and_then(Option::as_ref),
            fitting: generator.fitting.get(step.table).map_or(&[], Vec::as_slice),
            wishes: Arc::default(),
            cells: vec![None; table.columns.len()],
        }
    }

    pub(super) fn row(&mut self) -> Result<Row, Refusal> {
        self.wish()?;
        let table = self.table;
        for (at, column) in table.columns.iter().enumerate() {
            if column.generated {
                self.set(at, None);
            }
        }
        for together in self.fitting {
            let Some(fitting) = pattern::pick(together, self.rng) else { continue };
            for (at, value) in fitting {
                self.set(*at, value.clone());
            }
        }
        let mut own: Vec<&ForeignKey> = Vec::new();
        for (number, key) in table.foreign_keys.iter().enumerate() {
            if !self.reference(number, key)? {
                own.push(key);
            }
        }
        let owned = |at: usize| own.iter().any(|key| key.columns.contains(&at));
        for (at, column) in table.columns.iter().enumerate() {
            if self.cells.get(at).is_some_and(Option::is_none) && !owned(at) {
                let value = self.value(at, column)?;
                self.set(at, value);
            }
        }
        // The first row of a table that must reference itself references itself.
        for key in &own {
            for (column, target) in key.columns.iter().zip(&key.target_columns) {
                let value = self.cells.get(*target).cloned().flatten().flatten();
                self.set(*column, value);
            }
        }
        let mut row: Row = std::mem::take(&mut self.cells).into_iter().map(Option::flatten).collect();
        let free = |at: usize| {
            let keyed = table.foreign_keys.iter().any(|key| key.columns.contains(&at));
            !keyed && table.columns.get(at).is_some_and(|column| !column.generated)
        };
        // What one sum sets, another one may be made of.
        for _ in 0..3 {
            let before = row.clone();
            for check in &table.checks {
                arithmetic::settle(&check.expr, &table.columns, &mut row, &free);
            }
            if row == before {
                break;
            }
        }
        Ok(row)
    }

    fn computed(&self, at: usize) -> bool {
        self.table.columns.get(at).is_some_and(|column| column.generated)
    }

    fn set(&mut self, at: usize, value: Option<String>) {
        if let Some(cell) = self.cells.get_mut(at) {
            *cell = Some(value);
        }
    }

    fn wish(&mut self) -> Result<(), Refusal> {
        let wishes = match self.settled {
            Some(settled) => settled.clone(),
            None => Arc::new(demands(self.table, self.rng)),
        };
        let leaf = match &self.table.leaves {
            // One after the other, so that every partition has its rows.
            Some(leaves) => {
                let turn = usize::try_from(self.number.wrapping_add(self.attempt)).unwrap_or_default();
                let leaf = turn.checked_rem(leaves.len()).and_then(|turn| leaves.get(turn));
                Some(leaf.ok_or(Refusal::NoPartition)?)
            }
            None => None,
        };
        self.wishes = if leaf.is_none() && self.hints.nulls.is_empty() {
            wishes
        } else {
            let mut gatherer = Gatherer::new(&self.table.columns, self.rng);
            gatherer.wishes = Arc::unwrap_or_clone(wishes);
            for bound in leaf.into_iter().flatten() {
                gatherer.partition(bound);
            }
            let mut wishes = gatherer.wishes;
            for at in &self.hints.nulls {
                if let (Some(wish), Some(column)) = (wishes.columns.get_mut(*at), self.table.columns.get(*at))
                {
                    wish.null = Some(!column.not_null);
                }
            }
            Arc::new(wishes)
        };
        Ok(())
    }

    fn wished(&self, at: usize) -> Option<&Wish> {
        self.wishes.columns.get(at)
    }

    /// Decides the columns of a foreign key; `false` if the row must reference itself.
    fn reference(&mut self, number: usize, key: &ForeignKey) -> Result<bool, Refusal> {
        let table = self.table;
        let void = key.voidable(&table.columns);
        let open: Vec<usize> = void
            .iter()
            .copied()
            .filter(|at| self.cells.get(*at).is_none_or(|c| c.as_ref().is_none_or(Option::is_none)))
            .collect();
        if self.step.pending.contains(&number) {
            // What is referenced itself, or part of a key, has a value, for which a target is looked for later.
            for at in &key.columns {
                let stays = table.columns.get(*at).is_some_and(|column| column.referenced || column.keyed);
                if !stays && self.cells.get(*at).is_some_and(Option::is_none) {
                    self.set(*at, None);
                }
            }
            return Ok(true);
        }
        let own = key.target == Some(self.step.table);
        let asked_null =
            key.columns.iter().any(|at| self.wished(*at).is_some_and(|wish| wish.null == Some(true)));
        let asked_value = open.iter().all(|at| self.wished(*at).is_some_and(|wish| wish.null == Some(false)));
        let lot = self.rng.random_range(0..10) < if own { 3 } else { 1 };
        let done = key
            .columns
            .iter()
            .any(|at| matches!(self.cells.get(*at), Some(Some(None))) && !self.computed(*at));
        if done && !key.full {
            return Ok(true);
        }
        let leave =
            self.step.void.contains(&number) || asked_null || (!asked_value && (lot || self.hints.bare));
        if leave && !open.is_empty() {
            self.leave_null(key, &open);
            return Ok(true);
        }
        let alone = table.uniques.iter().any(|unique| {
            unique.predicate.is_none() && unique.columns.iter().all(|at| key.columns.contains(at))
        });
        let decided = key.columns.iter().any(|at| self.cells.get(*at).is_some_and(Option::is_some));
        if own && alone && void.is_empty() && !decided {
            // Each row is referenced once at most, and must reference one: itself.
            return Ok(false);
        }
        if let Some(found) = self.target(key) {
            for (at, value) in key.columns.iter().zip(found) {
                if !self.computed(*at) {
                    self.set(*at, value);
                }
            }
            return Ok(true);
        }
        if !open.is_empty() {
            self.leave_null(key, &open);
            return Ok(true);
        }
        let empty = self.known.get(self.step.table).is_none_or(|known| known.pool.is_empty());
        if own && empty && key.columns.iter().all(|at| self.cells.get(*at).is_some_and(Option::is_none)) {
            return Ok(false);
        }
        Err(Refusal::no_target(key))
    }

    fn leave_null(&mut self, key: &ForeignKey, open: &[usize]) {
        // One NULL is enough, unless the key matches in full; columns that other keys share keep theirs.
        let shared = |at: &usize| {
            let others = self.table.foreign_keys.iter().filter(|other| other.columns != key.columns);
            others.flat_map(|other| &other.columns).any(|column| column == at)
        };
        let mut chosen: Vec<usize> = open.iter().copied().filter(|at| key.full || !shared(at)).collect();
        if chosen.is_empty() {
            chosen = open.to_vec();
        }
        for at in chosen {
            self.set(at, None);
        }
    }

    /// Key values of a row that may be referenced, given what is decided already.
    fn target(&mut self, key: &ForeignKey) -> Option<Row> {
        let target = self.known.get(key.target?)?;
        let pool = &target.pool;
        if pool.is_empty() {
            return None;
        }
        let places: Vec<usize> =
            key.target_columns.iter().map(|at| *target.places.get(*at)?).collect::<Option<_>>()?;
        let alone = self.table.uniques.iter().any(|unique| {
            unique.predicate.is_none() && unique.columns.iter().all(|at| key.columns.contains(at))
        });
        let start = if alone || self.step.circle {
            usize::try_from(self.number.wrapping_add(self.attempt)).ok()? % pool.len()
        } else {
            self.rng.random_range(0..pool.len())
        };
        for offset in 0..pool.len().min(SCAN) {
            let row = pool.get((start + offset) % pool.len())?;
            let fits = key.columns.iter().zip(&places).all(|(at, place)| {
                let (Some(column), Some(wish)) = (self.table.columns.get(*at), self.wished(*at)) else {
                    return false;
                };
                let value = row.get(*place).and_then(Option::as_deref);
                // What the server computes is seen once the row is there.
                if column.generated {
                    return true;
                }
                value.is_some()
                    && wish.allows(&column.kind.kind, value)
                    && !matches!(self.cells.get(*at), Some(Some(decided)) if decided.as_deref() != value)
            });
            if fits {
                return Some(places.iter().map(|place| row.get(*place).cloned().flatten()).collect());
            }
        }
        None
    }

    fn value(&mut self, at: usize, column: &Column) -> Result<Option<String>, Refusal> {
        let wishes = self.wishes.clone();
        let mut wish = wishes.columns.get(at).map_or_else(Cow::default, Cow::Borrowed);
        for (left, op, right) in &wishes.relations {
            if *right == at {
                self.relate(wish.to_mut(), column, mirrored(op), *left);
            }
            if *left == at {
                self.relate(wish.to_mut(), column, op, *right);
            }
        }
        if wish.null == Some(true) {
            return Ok(None);
        }
        let nullable = !column.not_null && wish.null != Some(false);
        let usual_default = column.default.is_some() && !column.unique;
        let missed = (column.referenced || !column.sequences.is_empty()) && self.attempt < MISSED;
        if nullable && !usual_default && !missed && (self.hints.bare || self.rng.random_range(0..10) == 0) {
            return Ok(None);
        }
        if let Some(example) = self.example(at, column, &wish) {
            return Ok(Some(example));
        }
        if let Some(default) = &column.default
            && usual_default
            && wish.allows(&column.kind.kind, Some(default))
            && default.chars().count() >= wish.min_length
            && (self.hints.bare || self.rng.random_range(0..3) == 0)
        {
            return Ok(Some(default.clone()));
        }
        let sequence = column.sequences.first();
        let disjoint = matches!(column.kind.kind, Kind::Range(_) | Kind::Multirange(_));
        // Every other try at a row that repeats a key counts whatever is part of a key.
        let again = self.attempt % 2 == 1 && column.keyed;
        let counted = column.unique || column.spread || sequence.is_some() || disjoint || again;
        let purpose = Purpose {
            look: column.look,
            usual: column.usual,
            spread: column.spread,
            unique: counted.then_some(self.number + self.attempt),
            sequence: sequence.map(|entry| {
                (entry.last.map_or(entry.start, |last| last.saturating_add(entry.increment)), entry.increment)
            }),
        };
        match values::make(&column.kind.kind, &wish, &purpose, self.rng) {
            Some(value) => Ok(Some(value)),
            None if nullable => Ok(None),
            None if self.hints.loose
                && let Some(value) =
                    values::make(&column.kind.kind, &Wish::default(), &purpose, self.rng) =>
            {
                Ok(Some(value))
            }
            None => match &column.default {
                Some(default) => Ok(Some(default.clone())),
                None => {
                    let checks = self.table.checks.iter().filter(|check| check.columns.contains(&at));
                    Err(Refusal::NoValue {
                        column: column.name.clone(),
                        checks: checks.map(|check| check.name.clone()).collect(),
                    })
                }
            },
        }
    }

    /// A value that occurs in a check which failed before.
    fn example(&mut self, at: usize, column: &Column, wish: &Wish) -> Option<String> {
        if self.hints.examples.is_empty() {
            return None;
        }
        let kind = &column.kind.kind;
        let texts =
            self.hints.examples.iter().filter(|(column, _)| *column == at).flat_map(|(_, texts)| texts);
        let fitting: Vec<&String> = texts
            .filter(|text| wish.allows(kind, Some(text)))
            .filter(|text| scale::usual(kind).is_none() || scale::read(kind, text).is_some())
            .collect();
        if fitting.is_empty() || self.rng.random_range(0..2) == 1 {
            return None;
        }
        pattern::pick(&fitting, self.rng).map(|text| (*text).clone())
    }

    /// Narrows a wish by `this op other`, if the other is decided.
    fn relate(&self, wish: &mut Wish, column: &Column, op: &str, other: usize) {
        let Some(Some(Some(value))) = self.cells.get(other) else {
            return;
        };
        let kind = self.table.columns.get(other).map_or(&column.kind.kind, |column| &column.kind.kind);
        match (op, scale::read(kind, value).map(|number| scale::write(kind, number))) {
            ("<>", _) => wish.none_of.push(value.clone()),
            ("=", _) => wish.one_of = Some(vec![value.clone()]),
            (op, Some(text)) => {
                if let Some(number) = scale::read(&column.kind.kind, &text) {
                    wish.bound(op, number);
                }
            }
            _ => {}
        }
    }
}
