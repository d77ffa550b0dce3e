//! What became of rows, in words.

use super::words::{self, counted};
use crate::observations::{RowsChanged, Statement};
use crate::verdict::repair::names;

/// Tables of which more is told than their name.
const TOLD: usize = 2;

/// What a statement did to rows; none where that is not known. Tables that the worker names come first.
pub(super) fn told(rows: &[RowsChanged], statement: &Statement, steps: &str) -> Option<String> {
    let mut rows: Vec<&RowsChanged> = rows.iter().collect();
    rows.sort_by_key(|one| !names(steps, &one.table));
    let (emptied, changed): (Vec<&RowsChanged>, Vec<&RowsChanged>) =
        rows.into_iter().partition(|one| one.after == 0);
    let mut sentences = Vec::new();
    if !emptied.is_empty() {
        let tables: Vec<String> =
            emptied.iter().map(|one| format!("{} ({})", one.table, counted(one.before, "row"))).collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        sentences.push(format!("It empties {}.", words::several(&tables)));
        if tables.len() > 1 && statement.tag.as_deref().is_some_and(|tag| tag.starts_with("TRUNCATE")) {
            sentences.push(
                "TRUNCATE … CASCADE empties every table, too, whose foreign keys lead to the one it names."
                    .to_owned(),
            );
        }
    }
    sentences.extend(changed.iter().take(TOLD).map(|one| told_of(one)));
    match changed.len().checked_sub(TOLD) {
        Some(1) => sentences.push("It changes rows of one more table.".to_owned()),
        Some(more) if more > 1 => sentences.push(format!("It changes rows of {more} more tables.")),
        _ => {}
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

fn told_of(rows: &RowsChanged) -> String {
    let table = &rows.table;
    let updated = rows.updated.unwrap_or_default();
    if rows.before > rows.after {
        return format!(
            "It takes {} of {} from {table}.",
            rows.before - rows.after,
            counted(rows.before, "row")
        );
    }
    if rows.after > rows.before {
        return format!("It puts {} into {table}.", counted(rows.after - rows.before, "row"));
    }
    let values: Vec<&str> = rows.values.iter().map(String::as_str).filter(|told| told.len() < 80).collect();
    let what = if updated == 0 { "rows".to_owned() } else { counted(updated, "row") };
    if values.is_empty() {
        format!("It changes {what} of {table}.")
    } else {
        format!("It changes {what} of {table}: {}.", values.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_changed_is_told() {
        let rows = RowsChanged {
            table: "public.flags".to_owned(),
            before: 3,
            after: 3,
            updated: Some(1),
            values: vec!["enabled from t to f".to_owned()],
            undo: vec![],
        };
        assert_eq!(told_of(&rows), "It changes 1 row of public.flags: enabled from t to f.");
        assert_eq!(
            told_of(&RowsChanged { after: 1, ..rows.clone() }),
            "It takes 2 of 3 rows from public.flags."
        );
        assert_eq!(told_of(&RowsChanged { after: 4, ..rows }), "It puts 1 row into public.flags.");
    }
}
