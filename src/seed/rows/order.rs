//! In which order tables are filled, so that what a row references is there before it.

use super::model::Table;

/// One table's turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) table: usize,
    /// Foreign keys that stay NULL, since their target comes later.
    pub(super) void: Vec<usize>,
    /// Foreign keys that are filled in once the rows of the whole group are made.
    pub(super) pending: Vec<usize>,
    /// Whether it is one of several tables that are made together, so that all rows of each had better be referenced.
    pub(super) circle: bool,
}

/// Tables that are made together: one, or a circle of references that no NULL can break.
pub(super) type Group = Vec<Step>;

/// Orders the tables of which rows are wanted.
pub(super) fn groups(tables: &[Table], wanted: &[usize]) -> Vec<Group> {
    let mut left: Vec<usize> = wanted.to_vec();
    let mut groups: Vec<Group> = Vec::new();
    let mut open: Group = Vec::new();
    let mut awaited: Vec<usize> = Vec::new();
    while !left.is_empty() {
        let missing: Vec<(usize, Vec<usize>, Vec<usize>)> =
            left.iter().map(|at| missing(tables, *at, &left)).collect();
        let Some((table, void, pending)) =
            missing.into_iter().min_by_key(|(_, void, pending)| (pending.len(), void.len()))
        else {
            break;
        };
        left.retain(|at| *at != table);
        awaited.retain(|at| *at != table);
        let keys = tables.get(table).map_or(&[][..], |table| table.foreign_keys.as_slice());
        awaited.extend(pending.iter().filter_map(|key| keys.get(*key)?.target));
        open.push(Step { table, void, pending, circle: false });
        if awaited.is_empty() {
            let circle = open.len() > 1;
            open.iter_mut().for_each(|step| step.circle = circle);
            groups.push(std::mem::take(&mut open));
        }
    }
    groups
}

/// The foreign keys of a table whose targets are yet to come: those that may be NULL, and the others.
fn missing(tables: &[Table], at: usize, left: &[usize]) -> (usize, Vec<usize>, Vec<usize>) {
    let (mut void, mut pending) = (Vec::new(), Vec::new());
    if let Some(table) = tables.get(at) {
        for (number, key) in table.foreign_keys.iter().enumerate() {
            if key.target.is_some_and(|target| target != at && left.contains(&target)) {
                if key.voidable(&table.columns).is_empty() {
                    pending.push(number);
                } else {
                    void.push(number);
                }
            }
        }
    }
    (at, void, pending)
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Kind;
    use super::super::model::{Column, ForeignKey};
    use super::*;

    /// A table with references to others, each with whether it may be NULL.
    fn table(references: &[(usize, bool)]) -> Table {
        let columns = references
            .iter()
            .map(|(_, nullable)| Column { not_null: !nullable, ..Column::plain("c", Kind::Bool.into()) });
        let keys = references.iter().enumerate().map(|(at, (target, _))| ForeignKey {
            name: String::new(),
            columns: vec![at],
            target: Some(*target),
            target_name: String::new(),
            target_columns: vec![0],
            full: false,
        });
        Table {
            label: String::new(),
            sql: String::new(),
            occupied: false,
            columns: columns.collect(),
            uniques: Vec::new(),
            foreign_keys: keys.collect(),
            checks: Vec::new(),
            leaves: None,
        }
    }

    fn order(tables: &[Table]) -> Vec<Vec<usize>> {
        let wanted: Vec<usize> = (0..tables.len()).collect();
        groups(tables, &wanted).iter().map(|group| group.iter().map(|step| step.table).collect()).collect()
    }

    #[test]
    fn what_is_referenced_comes_first() {
        let tables = [table(&[(1, false), (0, false)]), table(&[(2, true)]), table(&[])];
        assert_eq!(order(&tables), [vec![2], vec![1], vec![0]]);
    }

    #[test]
    fn a_circle_is_broken_where_null_may_stand_or_made_together() {
        let tables = [table(&[(1, false)]), table(&[(0, true)])];
        assert_eq!(order(&tables), [vec![1], vec![0]]);
        let tables = [table(&[(1, false)]), table(&[(0, false)]), table(&[(0, false)])];
        assert_eq!(order(&tables), [vec![0, 1], vec![2]]);
    }
}
