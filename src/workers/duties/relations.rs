//! What a role does with tables, views and sequences.

use super::held::{Column, Held, Relation};
use super::{Candidate, Duty, SpareRow, SpareRows};
use crate::identifiers::{RoleName, quote_literal, written_identifier};

/// Columns that are tried in an UPDATE.
const COLUMNS: usize = 4;

/// The duties of a role, by relation.
pub(super) fn duties(role: &RoleName, held: &Held, spare: &SpareRows) -> Vec<Duty> {
    let own = held.relations.iter().filter(|relation| relation.role == role.as_str());
    own.flat_map(|relation| {
        let columns = held.columns.get(&relation.object.key).map_or(&[][..], Vec::as_slice);
        let rows = spare.get(&relation.object.key).map_or(&[][..], Vec::as_slice);
        if relation.kind == "S" { of_sequence(relation) } else { of_table(relation, columns, rows) }
    })
    .collect()
}

fn has(relation: &Relation, privilege: &str) -> bool {
    relation.privileges.iter().any(|held| held == privilege)
}

/// The columns that a privilege is limited to.
fn limited<'a>(relation: &'a Relation, privilege: &str) -> Option<&'a [String]> {
    relation.of_columns.iter().find(|(of, _)| of == privilege).map(|(_, columns)| columns.as_slice())
}

fn list(columns: &[impl AsRef<str>]) -> String {
    columns.iter().map(|name| written_identifier(name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn of_sequence(relation: &Relation) -> Vec<Duty> {
    let object = &relation.object;
    let mut duties = Vec::new();
    if has(relation, "USAGE") {
        let sql = format!("SELECT nextval({})", quote_literal(&object.sql));
        duties.push(Duty {
            name: format!("nextval of {}", object.label),
            candidates: vec![Candidate::new(sql)],
        });
    }
    duties.push(asked(relation, "has_sequence_privilege", &["USAGE", "SELECT", "UPDATE"]));
    duties
}

/// What can only be asked for.
fn asked(relation: &Relation, function: &str, of: &[&str]) -> Duty {
    let privileges: Vec<&str> = of.iter().copied().filter(|one| has(relation, one)).collect();
    Duty {
        name: format!("{} on {}", privileges.join(", "), relation.object.label),
        candidates: vec![Candidate::asking(function, &relation.object.sql, &privileges)],
    }
}

fn of_table(relation: &Relation, columns: &[Column], rows: &[SpareRow]) -> Vec<Duty> {
    let mut duties = Vec::new();
    let mut push = |verb: &str, candidates: Vec<Candidate>| {
        if !candidates.is_empty() {
            duties.push(Duty { name: format!("{verb} on {}", relation.object.label), candidates });
        }
    };
    push("SELECT", selects(relation));
    push("INSERT", inserts(relation, columns, rows));
    push("UPDATE", updates(relation, columns));
    push("DELETE", deletes(relation));
    // A TRUNCATE locks everybody out, and so does what the others are for, while it lasts.
    let rest: &[&str] = match relation.kind.as_str() {
        "r" | "p" => &["TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"],
        "v" | "f" => &["TRIGGER"],
        _ => &["MAINTAIN"],
    };
    if rest.iter().any(|one| has(relation, one)) {
        duties.push(asked(relation, "has_table_privilege", rest));
    }
    duties
}

fn selects(relation: &Relation) -> Vec<Candidate> {
    let table = &relation.object.sql;
    if has(relation, "SELECT") {
        return vec![Candidate::finding(format!("SELECT * FROM {table} LIMIT 1"))];
    }
    let columns = limited(relation, "SELECT");
    columns
        .map(|columns| Candidate::finding(format!("SELECT {} FROM {table} LIMIT 1", list(columns))))
        .into_iter()
        .collect()
}

fn inserts(relation: &Relation, columns: &[Column], rows: &[SpareRow]) -> Vec<Candidate> {
    let table = &relation.object.sql;
    let allowed = limited(relation, "INSERT");
    if allowed.is_none() && !has(relation, "INSERT") {
        return Vec::new();
    }
    let with = |row: &SpareRow, wanted: &dyn Fn(&Column) -> bool| {
        let of = |column: &Column| {
            let (_, value) = row.iter().find(|(name, _)| *name == column.name)?;
            (column.writable && wanted(column)).then(|| (column.name.clone(), value.as_deref()))
        };
        let (names, values): (Vec<_>, Vec<_>) = columns.iter().filter_map(of).unzip();
        if names.is_empty() {
            return Candidate::new(format!("INSERT INTO {table} DEFAULT VALUES"));
        }
        let values: Vec<_> =
            values.into_iter().map(|value| value.map_or_else(|| "NULL".to_owned(), quote_literal)).collect();
        Candidate::new(format!("INSERT INTO {table} ({}) VALUES ({})", list(&names), values.join(", ")))
    };
    let mut candidates = Vec::new();
    if let Some(allowed) = allowed {
        candidates.extend(rows.iter().map(|row| with(row, &|column| allowed.contains(&column.name))));
    } else {
        // What a row must have, so that a column which comes or goes later is no matter; else all of it.
        candidates.extend(rows.iter().map(|row| with(row, &|column| column.required)));
        candidates.extend(rows.iter().map(|row| with(row, &|_| true)));
    }
    // Privileges are looked at whether or not there is a row.
    let names: Vec<&String> = match allowed {
        Some(allowed) => allowed.iter().collect(),
        None => columns.iter().filter(|column| column.writable).map(|column| &column.name).take(1).collect(),
    };
    let nothing = vec!["NULL"; names.len()].join(", ");
    candidates
        .push(Candidate::new(format!("INSERT INTO {table} ({}) SELECT {nothing} WHERE false", list(&names))));
    candidates.dedup();
    candidates
}

/// The first row of a table, for a role that may read it.
fn first_row(relation: &Relation) -> Option<String> {
    let table = &relation.object.sql;
    let is_table = matches!(relation.kind.as_str(), "r" | "p");
    (is_table && has(relation, "SELECT"))
        .then(|| format!("ctid = ANY (ARRAY(SELECT ctid FROM {table} LIMIT 1))"))
}

fn updates(relation: &Relation, columns: &[Column]) -> Vec<Candidate> {
    let table = &relation.object.sql;
    if let Some(allowed) = limited(relation, "UPDATE") {
        let set = |value: &dyn Fn(&str) -> String| {
            let set = allowed.iter().map(|name| written_identifier(name));
            set.map(|name| format!("{name} = {}", value(&name))).collect::<Vec<_>>().join(", ")
        };
        let mut candidates = Vec::new();
        if let Some(first) = first_row(relation) {
            let sql = format!("UPDATE {table} SET {} WHERE {first}", set(&str::to_owned));
            candidates.push(Candidate::finding(sql));
        }
        let sql = format!("UPDATE {table} SET {} WHERE false", set(&|_| "DEFAULT".to_owned()));
        candidates.push(Candidate::new(sql));
        return candidates;
    }
    if !has(relation, "UPDATE") {
        return Vec::new();
    }
    let writable =
        || columns.iter().filter(|column| column.writable).map(|column| written_identifier(&column.name));
    let mut candidates = Vec::new();
    if let Some(first) = first_row(relation) {
        let found =
            |column| Candidate::finding(format!("UPDATE {table} SET {column} = {column} WHERE {first}"));
        candidates.extend(writable().take(COLUMNS).map(found));
    }
    let none = |column| Candidate::new(format!("UPDATE {table} SET {column} = DEFAULT WHERE false"));
    candidates.extend(writable().take(1).map(none));
    candidates
}

fn deletes(relation: &Relation) -> Vec<Candidate> {
    let table = &relation.object.sql;
    if !has(relation, "DELETE") {
        return Vec::new();
    }
    let mut candidates = Vec::new();
    // Of what is referenced a row can seldom go alone, and what goes with it would be locked, too.
    if let Some(first) = first_row(relation).filter(|_| !relation.referenced) {
        candidates.push(Candidate::finding(format!("DELETE FROM {table} WHERE {first}")));
    }
    candidates.push(Candidate::new(format!("DELETE FROM {table} WHERE false")));
    candidates
}
