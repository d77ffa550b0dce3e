//! Tables that reference each other in a circle without a NULL anywhere.

use std::collections::BTreeMap;

use super::super::RowsError;
use super::super::generate::{Hints, Refusal, Row};
use super::super::model::ForeignKey;
use super::super::order::Step;
use super::{Loader, Trouble, count};

impl Loader<'_, '_> {
    /// Fills tables that reference each other in a circle: all rows are made before any is loaded.
    pub(super) async fn circle(&mut self, steps: &[Step]) -> Result<(), RowsError> {
        let mut trouble = Trouble::Refused(Refusal::Untried);
        for salt in 0..3 {
            self.run("SAVEPOINT thirdrun_circle").await?;
            let mut made: Vec<(usize, Vec<Row>)> = Vec::new();
            let outcome = self.try_circle(steps, salt, &mut made).await;
            match outcome {
                Ok(()) => {
                    self.run("RELEASE SAVEPOINT thirdrun_circle").await?;
                    steps.iter().for_each(|step| self.generator.done(step.table));
                    self.inserted += made.iter().map(|(_, rows)| count(rows)).sum::<u64>();
                    return Ok(());
                }
                Err(found) => {
                    self.run("ROLLBACK TO SAVEPOINT thirdrun_circle; RELEASE SAVEPOINT thirdrun_circle")
                        .await?;
                    made.iter().for_each(|(at, _)| self.generator.forget(*at));
                    trouble = found;
                }
            }
        }
        for step in steps {
            self.give_up(step.table, format!("it is part of a circle of references: {}", trouble.text()));
        }
        Ok(())
    }

    async fn try_circle(
        &mut self,
        steps: &[Step],
        salt: u64,
        made: &mut Vec<(usize, Vec<Row>)>,
    ) -> Result<(), Trouble> {
        for step in steps {
            let mut rng = self.dice(step.table, salt);
            self.generator.mark(step.table);
            let mut rows = Vec::new();
            let mut refusal = Refusal::Untried;
            for _ in 0..self.wanted.get(step.table).copied().unwrap_or_default() {
                match self.generator.row(step, &Hints::default(), &mut rng) {
                    Ok(row) => rows.push(row),
                    Err(refused) => {
                        refusal = refused;
                        break;
                    }
                }
            }
            let empty = rows.is_empty();
            made.push((step.table, rows));
            if empty {
                return Err(Trouble::Refused(refusal));
            }
        }
        for (step, (at, rows)) in steps.iter().zip(made.iter_mut()) {
            let Some(table) = self.generator.tables.get(*at) else {
                continue;
            };
            for key in step.pending.iter().filter_map(|key| table.foreign_keys.get(*key)) {
                self.settle(key, rows).map_err(Trouble::Refused)?;
            }
        }
        for (at, rows) in made.iter() {
            let statement = match self.statements.remove(at) {
                Some(statement) => statement,
                None => self.prepare(*at).await.map_err(Trouble::Server)?,
            };
            self.copy(*at, &statement, rows).await.map_err(Trouble::Server)?;
        }
        Ok(())
    }

    /// Fills in a foreign key that was left open: row by row, so that unique ones stay unique.
    fn settle(&self, key: &ForeignKey, rows: &mut [Row]) -> Result<(), Refusal> {
        let known = key.target.and_then(|at| self.generator.known.get(at));
        let known = known.ok_or_else(|| Refusal::no_target(key))?;
        let place = |from: &usize| known.places.get(*from).copied().flatten();
        let places: Option<Vec<usize>> = key.target_columns.iter().map(place).collect();
        let places = places.ok_or_else(|| Refusal::no_target(key))?;
        // Targets by what the row has already of the key: all of it, a part, or nothing.
        let decided: Vec<bool> = key
            .columns
            .iter()
            .map(|at| rows.iter().any(|row| row.get(*at).is_some_and(Option::is_some)))
            .collect();
        let part = |cells: &mut dyn Iterator<Item = Option<String>>| -> Vec<Option<String>> {
            cells.zip(&decided).filter(|(_, decided)| **decided).map(|(cell, _)| cell).collect()
        };
        let mut targets: BTreeMap<Vec<Option<String>>, Vec<&Row>> = BTreeMap::new();
        for target in &known.pool {
            let found = part(&mut places.iter().map(|place| target.get(*place).cloned().flatten()));
            targets.entry(found).or_default().push(target);
        }
        for (number, row) in rows.iter_mut().enumerate() {
            let wanted = part(&mut key.columns.iter().map(|at| row.get(*at).cloned().flatten()));
            let target = targets.get(&wanted).and_then(|fitting| fitting.get(number % fitting.len().max(1)));
            let target = target.ok_or_else(|| Refusal::no_target(key))?;
            for (column, place) in key.columns.iter().zip(&places) {
                if let (Some(cell), Some(value)) = (row.get_mut(*column), target.get(*place)) {
                    cell.clone_from(value);
                }
            }
        }
        Ok(())
    }
}
