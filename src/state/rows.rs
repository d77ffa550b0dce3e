//! The rows of a clone's tables around a statement: which of them it changed, and what takes that back.

use std::collections::BTreeMap;

use super::Ask;
use crate::identifiers::{quote_literal, written_identifier};
use crate::observations::RowsChanged;
use crate::postgres::QueryFailure;

/// Rows of a table that are read at all; of more it is only known that something changed.
const ROWS: u64 = 1000;
/// Rows that are kept of all tables together.
const ALL_ROWS: u64 = 50_000;
/// Tables that one query counts.
const BATCH: usize = 100;
/// Rows that are taken back one by one, and statements that take back what became of all tables together: more is
/// nothing that one types.
const FEW: usize = 5;
/// Rows that one statement names by their keys.
const NAMED: usize = 20;

/// Ordinary tables, partitions among them, that are neither the system's nor temporary: name, columns that can be
/// written, those of its key, and whether one of them takes no value but the next. The schema of an extension's own tables
/// is not asked for.
const TABLES: &str = "SELECT pg_catalog.format('%I', n.nspname), pg_catalog.format('%I', c.relname), \
     (SELECT pg_catalog.string_agg(a.attname, E'\\x01' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), \
     (SELECT pg_catalog.string_agg(a.attname, E'\\x01' ORDER BY a.attnum) FROM pg_catalog.pg_index i \
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) \
      WHERE i.indrelid = c.oid AND i.indisprimary), \
     EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity = 'a' AND NOT a.attisdropped) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     ORDER BY 1, 2";

/// What tables hold at one moment.
#[derive(Debug, Clone, Default)]
pub struct Contents(BTreeMap<String, Table>);

#[derive(Debug, Clone, Default)]
struct Table {
    columns: Vec<String>,
    key: Vec<String>,
    /// It has a column that is GENERATED ALWAYS AS IDENTITY.
    always: bool,
    count: u64,
    /// The same for the same rows in any order.
    sum: String,
    /// None: there were too many.
    rows: Option<Vec<Row>>,
}

type Row = Vec<Option<String>>;

impl Contents {
    /// Reads what tables hold: counts of all, and the rows of those that are small. With `before`, only the rows of
    /// those that are other than they were.
    ///
    /// # Errors
    /// What the server says, as when the role that asks may not read a table.
    pub async fn read(by: &impl Ask, before: Option<&Self>) -> Result<Self, QueryFailure> {
        let mut all = BTreeMap::new();
        for row in by.ask(TABLES).await? {
            let [Some(schema), Some(name), columns, key, always] = row.as_slice() else { continue };
            let names = |list: &Option<String>| -> Vec<String> {
                list.iter().flat_map(|list| list.split('\u{1}')).map(str::to_owned).collect()
            };
            let always = always.as_deref() == Some("t");
            let table = Table { columns: names(columns), key: names(key), always, ..Table::default() };
            all.insert(format!("{schema}.{name}"), table);
        }
        let names: Vec<String> = all.keys().cloned().collect();
        for batch in names.chunks(BATCH) {
            let one = |name: &String| {
                format!(
                    "SELECT {}, pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(\"thirdrun row\"::pg_catalog.text, 0)) \
                     FROM ONLY {name} AS \"thirdrun row\"",
                    quote_literal(name)
                )
            };
            let counted = by.ask(&batch.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")).await?;
            for row in counted {
                let [Some(name), Some(count), sum] = row.as_slice() else { continue };
                if let Some(table) = all.get_mut(name) {
                    table.count = count.parse().unwrap_or(u64::MAX);
                    table.sum = sum.clone().unwrap_or_default();
                }
            }
        }
        let mut left = ALL_ROWS;
        for (name, table) in &mut all {
            let wanted = before.is_none_or(|before| {
                before.0.get(name).is_some_and(|known| known.rows.is_some() && !known.is_same(table))
            });
            if wanted && table.count <= ROWS.min(left) && !table.columns.is_empty() {
                left -= table.count;
                table.rows =
                    Some(by.ask(&format!("SELECT {} FROM ONLY {name}", listed(&table.columns))).await?);
            }
        }
        Ok(Self(all))
    }

    /// What became of the rows of each table that is there before and after.
    pub fn changed(&self, after: &Self) -> Vec<RowsChanged> {
        let mut changed = Vec::new();
        for (name, before) in &self.0 {
            let Some(after) = after.0.get(name).filter(|after| !before.is_same(after)) else { continue };
            changed.push(compare(name, before, after));
        }
        // Many small repairs are no small repair.
        if changed.iter().map(|one| one.undo.len()).sum::<usize>() > FEW {
            for one in &mut changed {
                one.undo.clear();
            }
        }
        changed
    }
}

impl Table {
    fn is_same(&self, other: &Self) -> bool {
        (self.count, &self.sum) == (other.count, &other.sum)
    }

    /// The values of a row that tell it from others.
    fn key_of<'a>(&self, row: &'a Row) -> Vec<&'a Option<String>> {
        let is_key = |name: &String| self.key.is_empty() || self.key.contains(name);
        self.columns.iter().zip(row).filter(|(name, _)| is_key(name)).map(|(_, value)| value).collect()
    }

    /// The condition that finds a row.
    fn condition(&self, row: &Row) -> String {
        let is_key = |name: &String| self.key.is_empty() || self.key.contains(name);
        let parts: Vec<String> = self
            .columns
            .iter()
            .zip(row)
            .filter(|(name, _)| is_key(name))
            .map(|(name, value)| equals(name, value))
            .collect();
        parts.join(" AND ")
    }
}

fn listed(columns: &[String]) -> String {
    columns.iter().map(|name| written_identifier(name)).collect::<Vec<_>>().join(", ")
}

fn compare(name: &str, before: &Table, after: &Table) -> RowsChanged {
    let mut changed = RowsChanged {
        table: name.to_owned(),
        before: before.count,
        after: after.count,
        updated: None,
        values: Vec::new(),
        undo: Vec::new(),
    };
    let (Some(old), Some(new)) = (&before.rows, &after.rows) else { return changed };
    if before.columns != after.columns {
        return changed;
    }
    let mut gone: Vec<&Row> = only_in(old, new);
    let mut come: Vec<&Row> = only_in(new, old);
    let mut pairs: Vec<(&Row, &Row)> = Vec::new();
    if before.key.is_empty() {
        // Without a key, what is one row less and one more is taken for the same row.
        if let ([one], [other]) = (gone.as_slice(), come.as_slice()) {
            pairs.push((*one, *other));
        }
    } else {
        for one in &gone {
            let key = before.key_of(one);
            pairs.extend(come.iter().find(|other| before.key_of(other) == key).map(|other| (*one, *other)));
        }
    }
    gone.retain(|row| !pairs.iter().any(|(one, _)| one == row));
    come.retain(|row| !pairs.iter().any(|(_, other)| other == row));
    changed.updated = u64::try_from(pairs.len()).ok();
    let deeds = deeds(before, &pairs);
    if deeds.len() + gone.len() + come.len() > FEW {
        return changed;
    }
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    for (differing, rows) in &deeds {
        let told: Vec<String> = differing
            .iter()
            .map(|(column, old, new)| format!("{column} from {} to {}", shown(old), shown(new)))
            .collect();
        changed.values.push(told.join(", "));
        let Some(found) = found_by(before, rows) else {
            changed.undo.clear();
            return changed;
        };
        let set: Vec<String> = differing
            .iter()
            .map(|(column, old, _)| format!("{} = {}", written_identifier(column), literal(old)))
            .collect();
        changed.undo.push(format!("UPDATE {name} SET {} WHERE {found}", set.join(", ")));
    }
    for row in come {
        changed.undo.push(format!("DELETE FROM {name} WHERE {}", before.condition(row)));
    }
    if !gone.is_empty() {
        let of = |row: &&Row| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(", "));
        changed.undo.push(format!(
            "INSERT INTO {name} ({}){} VALUES {}",
            listed(&before.columns),
            if before.always { " OVERRIDING SYSTEM VALUE" } else { "" },
            gone.iter().map(of).collect::<Vec<_>>().join(", ")
        ));
    }
    changed
}

/// A column, and a value before and after.
type Differing<'a> = Vec<(&'a str, &'a Option<String>, &'a Option<String>)>;

/// What was done to rows, each the same to how many of them.
fn deeds<'a>(table: &'a Table, pairs: &[(&'a Row, &'a Row)]) -> Vec<(Differing<'a>, Vec<&'a Row>)> {
    let mut deeds: Vec<(Differing, Vec<&Row>)> = Vec::new();
    for (one, other) in pairs {
        let columns = table.columns.iter().zip(one.iter().zip(other.iter()));
        let differing: Differing = columns
            .filter(|(_, (old, new))| old != new)
            .map(|(column, (old, new))| (column.as_str(), old, new))
            .collect();
        match deeds.iter_mut().find(|(known, _)| *known == differing) {
            Some((_, rows)) => rows.push(other),
            None => deeds.push((differing, vec![other])),
        }
    }
    deeds
}

/// The condition that finds the rows to which the same was done: by their key. What they are now does not tell them from
/// rows that were so before, of which production may have some where the clone has none.
fn found_by(table: &Table, rows: &[&Row]) -> Option<String> {
    if let [row] = rows {
        return Some(table.condition(row));
    }
    let [key] = table.key.as_slice() else { return None };
    let values: Option<Vec<String>> =
        rows.iter().map(|row| Some(literal(table.key_of(row).first().copied()?))).collect();
    values
        .filter(|values| values.len() <= NAMED)
        .map(|values| format!("{} IN ({})", written_identifier(key), values.join(", ")))
}

fn equals(column: &str, value: &Option<String>) -> String {
    match value {
        Some(value) => format!("{} = {}", written_identifier(column), quote_literal(value)),
        None => format!("{} IS NULL", written_identifier(column)),
    }
}

fn literal(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| "NULL".to_owned(), |value| quote_literal(value))
}

/// The rows of one list that another does not have; rows may be there several times.
fn only_in<'a>(one: &'a [Row], other: &[Row]) -> Vec<&'a Row> {
    let mut counts: BTreeMap<&Row, usize> = BTreeMap::new();
    for row in other {
        *counts.entry(row).or_default() += 1;
    }
    one.iter()
        .filter(|row| match counts.get_mut(row) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(key: &[&str], rows: &[[&str; 2]]) -> Contents {
        let rows: Vec<Row> =
            rows.iter().map(|row| row.iter().map(|value| Some((*value).to_owned())).collect()).collect();
        let table = Table {
            columns: vec!["name".to_owned(), "on".to_owned()],
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            always: false,
            count: rows.len() as u64,
            sum: format!("{rows:?}"),
            rows: Some(rows),
        };
        Contents(BTreeMap::from([("public.flags".to_owned(), table)]))
    }

    fn undone(key: &[&str], before: &[[&str; 2]], after: &[[&str; 2]]) -> Vec<String> {
        contents(key, before).changed(&contents(key, after)).into_iter().flat_map(|one| one.undo).collect()
    }

    #[test]
    fn what_one_row_was_is_put_back() {
        let before = [["a", "t"], ["b", "it's"]];
        assert_eq!(
            undone(&["name"], &before, &[["a", "f"], ["b", "it's"]]),
            ["UPDATE public.flags SET \"on\" = 't' WHERE name = 'a'"]
        );
        assert_eq!(
            undone(&["name"], &before, &[["a", "t"]]),
            ["INSERT INTO public.flags (name, \"on\") VALUES ('b', 'it''s')"]
        );
        assert_eq!(undone(&["name"], &before[..1], &before), ["DELETE FROM public.flags WHERE name = 'b'"]);
    }

    #[test]
    fn without_a_key_all_values_find_the_row() {
        assert_eq!(
            undone(&[], &[["a", "t"], ["a", "t"]], &[["a", "t"], ["a", "f"]]),
            ["UPDATE public.flags SET \"on\" = 't' WHERE name = 'a' AND \"on\" = 'f'"]
        );
    }

    #[test]
    fn the_same_done_to_many_rows_is_one_statement() {
        let names: Vec<String> = (0..30).map(|at| at.to_string()).collect();
        let of = |names: &[String], on| -> Vec<[String; 2]> {
            names.iter().map(|name| [name.clone(), str::to_owned(on)]).collect()
        };
        let undone = |before: &[[String; 2]], after: &[[String; 2]]| {
            let both = [before, after].map(|rows| {
                let rows: Vec<[&str; 2]> =
                    rows.iter().map(|row| [row[0].as_str(), row[1].as_str()]).collect();
                contents(&["name"], &rows)
            });
            let changed = both[0].changed(&both[1]).remove(0);
            assert_eq!(changed.values, ["on from t to f"]);
            changed.undo
        };
        assert_eq!(
            undone(&of(&names[..3], "t"), &of(&names[..3], "f")),
            ["UPDATE public.flags SET \"on\" = 't' WHERE name IN ('0', '1', '2')"]
        );
        assert_eq!(undone(&of(&names, "t"), &of(&names, "f")), Vec::<String>::new());
    }

    #[test]
    fn many_rows_are_not_put_back_one_by_one() {
        let names: Vec<String> = (0..6).map(|at| at.to_string()).collect();
        let before: Vec<[&str; 2]> = names.iter().map(|name| [name.as_str(), "t"]).collect();
        let changed = contents(&["name"], &before).changed(&contents(&["name"], &[]));
        assert_eq!((changed[0].before, changed[0].after, changed[0].updated), (6, 0, Some(0)));
        assert_eq!(changed[0].undo, Vec::<String>::new());
        assert_eq!(contents(&["name"], &before).changed(&contents(&["name"], &before)), []);
    }
}
