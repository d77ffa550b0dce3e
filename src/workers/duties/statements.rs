//! Workers from the statements that roles really run, as `pg_stat_statements` or a server's log has them: their parameters
//! get values of rows that the clone has, so that they find some.

mod parameters;

use std::collections::BTreeMap;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::{Kind, Type};

use super::{Candidate, Duty, SpareRow, SpareRows};
use crate::identifiers::{quote_identifier, quote_literal};
use crate::postgres::Session;
use parameters::{Parameter, Place, read};

/// A statement that a role runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The role.
    pub role: String,
    /// What it is called, as a job is; none: by how often it ran.
    pub name: Option<String>,
    /// Its text, with `$1` and so on for what differs from call to call.
    pub query: String,
    /// How often.
    pub calls: u64,
}

/// Where values come from.
pub(super) struct Values<'a> {
    /// A superuser's session.
    pub(super) root: &'a Session,
    pub(super) spare: &'a SpareRows,
    /// A row of each table that was asked for.
    pub(super) rows: BTreeMap<String, Option<SpareRow>>,
    /// The least and the greatest value of columns that are compared by `<` or `>`.
    pub(super) extremes: BTreeMap<(String, String), [Option<String>; 2]>,
}

/// What is left of a statement for a step: one that looks at rows or changes them, or calls something.
pub(super) fn is_work(query: &str) -> bool {
    const WORK: [&str; 8] = ["select", "with", "insert", "update", "delete", "merge", "call", "values"];
    let words = crate::dump::words(query);
    let first = words.iter().find(|word| word.identifier().is_some());
    first.is_some_and(|word| WORK.iter().any(|work| word.is(work)))
}

impl Values<'_> {
    /// What the most called statement, second most and so on come to. `session` is the role's own.
    pub(super) async fn duty(&mut self, session: &Session, number: usize, ran: &Ran) -> Result<Duty, String> {
        let text = typed(&ran.query);
        let read = read(&text);
        let name = ran.name.clone().unwrap_or_else(|| format!("statement {number}, {} calls", ran.calls));
        if read.parameters.is_empty() {
            return Ok(Duty { name, candidates: vec![Candidate::finding(text)] });
        }
        let prepared = session.client().prepare(&text).await;
        let prepared = prepared.map_err(|error| crate::postgres::QueryFailure::of(&error).message)?;
        let mut known = BTreeMap::new();
        for table in &read.tables {
            if let Some(sql) = resolved(session, table).await {
                self.look(&sql).await;
                known.insert(table.clone(), sql);
            }
        }
        for parameter in &read.parameters {
            if let Place::Compared { table, column, order: Some(_) } = &parameter.place {
                for sql in known.iter().filter(|(name, _)| table.as_ref().is_none_or(|table| table == *name))
                {
                    self.look_at_extremes(sql.1, column).await;
                }
            }
        }
        let most = self.spare.values().map(Vec::len).max().unwrap_or(0).max(2);
        let mut candidates: Vec<Candidate> = (0..most)
            .map(|row| {
                let value = |parameter: &Parameter| self.value(parameter, &known, prepared.params(), row);
                Candidate::finding(filled(&text, &read.parameters, &value))
            })
            .collect();
        let nothing = |parameter: &Parameter| format!("NULL{}", cast(parameter, prepared.params()));
        candidates.push(Candidate::finding(filled(&text, &read.parameters, &nothing)));
        candidates.dedup();
        Ok(Duty { name, candidates })
    }

    /// Has a row of a table.
    async fn look(&mut self, table: &str) {
        if self.rows.contains_key(table) {
            return;
        }
        let sql = format!("SELECT * FROM {table} LIMIT 1");
        let messages = self.root.client().simple_query(&sql).await.unwrap_or_default();
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let columns = row.columns().iter().enumerate();
                let cell = |(at, column): (usize, &tokio_postgres::SimpleColumn)| {
                    (column.name().to_owned(), row.get(at).map(str::to_owned))
                };
                Some(columns.map(cell).collect())
            }
            _ => None,
        });
        self.rows.insert(table.to_owned(), row);
    }

    /// Has the least and the greatest value of a column.
    async fn look_at_extremes(&mut self, table: &str, column: &str) {
        let key = (table.to_owned(), column.to_owned());
        if self.extremes.contains_key(&key) {
            return;
        }
        let name = quote_identifier(column);
        let sql = format!("SELECT min({name}), max({name}) FROM {table}");
        // Not every type has them.
        let messages = self.root.client().simple_query(&sql).await.unwrap_or_default();
        let found = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some([0, 1].map(|at| row.get(at).map(str::to_owned))),
            _ => None,
        });
        self.extremes.insert(key, found.unwrap_or_default());
    }

    /// A value for a parameter, as SQL has it. `known` are tables by the name that the statement has for them.
    fn value(
        &self,
        parameter: &Parameter,
        known: &BTreeMap<String, String>,
        types: &[Type],
        row: usize,
    ) -> String {
        let cell = |table: &Option<String>, column: &str, anew: bool| {
            let tables: Vec<&String> = match table {
                Some(table) => known.get(table).into_iter().collect(),
                None => known.values().collect(),
            };
            let there = || tables.iter().filter_map(|table| self.rows.get(*table)?.as_ref());
            let spare = || tables.iter().filter_map(|table| self.spare.get(*table)?.get(row));
            let find =
                |row: &SpareRow| row.iter().find(|(name, _)| name == column).map(|(_, value)| value.clone());
            let (first, second) = (spare().find_map(find), there().find_map(find));
            if anew { first.or(second) } else { second }
        };
        let found = match &parameter.place {
            // Beyond what is there, where the row's own value has found nothing.
            Place::Compared { table, column, order: Some(order) } if row > 0 => {
                let beyond = |of: &String| {
                    let [least, greatest] = self.extremes.get(&(of.clone(), column.clone()))?;
                    if order.is_gt() { greatest.clone() } else { least.clone() }
                };
                let of = known.iter().filter(|(name, _)| table.as_ref().is_none_or(|table| table == *name));
                of.map(|(_, sql)| sql).find_map(beyond).map(Some).or_else(|| cell(table, column, false))
            }
            Place::Compared { table, column, .. } => cell(table, column, false),
            Place::Inserted { table, column } => cell(&Some(table.clone()), column, true),
            Place::Count => Some(Some("10".to_owned())),
            Place::Unknown => None,
        };
        let kind = types.get(parameter.number.saturating_sub(1));
        let value = match found {
            Some(value) => value,
            None => kind.and_then(plain),
        };
        let is_array = kind.is_some_and(|kind| matches!(kind.kind(), Kind::Array(_)));
        let value = match value {
            Some(value) if is_array && !value.starts_with('{') => {
                Some(format!("{{\"{}\"}}", value.replace('\\', "\\\\").replace('"', "\\\"")))
            }
            value => value,
        };
        let literal = value.map_or_else(|| "NULL".to_owned(), |value| quote_literal(&value));
        format!("{literal}{}", cast(parameter, types))
    }
}

/// The table that a role means by a name.
async fn resolved(session: &Session, name: &str) -> Option<String> {
    let sql = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE c.oid = pg_catalog.to_regclass({})",
        quote_literal(name)
    );
    session.run(&sql).await.ok()?.value.flatten()
}

/// The type of a parameter, as a cast.
fn cast(parameter: &Parameter, types: &[Type]) -> String {
    let Some(kind) = types.get(parameter.number.saturating_sub(1)) else { return String::new() };
    let name = kind.name();
    match kind.schema() {
        // Unquoted it would be another one (PostgreSQL manual, 8.3).
        "pg_catalog" if name == "char" => "::\"char\"".to_owned(),
        "pg_catalog" => format!("::{name}"),
        schema => format!("::{}.{}", quote_identifier(schema), quote_identifier(name)),
    }
}

/// A value of a type of which no more is known.
fn plain(kind: &Type) -> Option<String> {
    let text = match kind.kind() {
        Kind::Array(_) => "{}",
        Kind::Enum(labels) => labels.first()?,
        Kind::Domain(base) => return plain(base),
        Kind::Simple => match *kind {
            Type::BOOL => "t",
            Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::NUMERIC
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::OID => "1",
            Type::DATE => "2026-01-01",
            Type::TIMESTAMP | Type::TIMESTAMPTZ => "2026-01-01 12:00:00",
            Type::TIME => "12:00:00",
            Type::INTERVAL => "1 hour",
            Type::JSON | Type::JSONB => "{}",
            Type::UUID => "00000000-0000-4000-8000-000000000000",
            Type::INET => "192.0.2.1",
            Type::BYTEA => "\\x00",
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => "a",
            _ => return None,
        },
        _ => return None,
    };
    Some(text.to_owned())
}

/// The statement with a text for each parameter.
fn filled(text: &str, parameters: &[Parameter], value: &dyn Fn(&Parameter) -> String) -> String {
    let mut first: BTreeMap<usize, String> = BTreeMap::new();
    for parameter in parameters {
        let known = !matches!(parameter.place, Place::Unknown);
        if known && !first.contains_key(&parameter.number) {
            first.insert(parameter.number, value(parameter));
        }
    }
    let (mut sql, mut from) = (String::new(), 0);
    for parameter in parameters {
        sql.push_str(text.get(from..parameter.range.start).unwrap_or_default());
        match first.get(&parameter.number) {
            Some(value) => sql.push_str(value),
            None => sql.push_str(&value(parameter)),
        }
        from = parameter.range.end;
    }
    sql.push_str(text.get(from..).unwrap_or_default());
    sql
}

/// `interval $1` as `$1::interval`: a constant of that form had a parameter put into its place, which is no SQL.
fn typed(query: &str) -> String {
    const TYPES: [&str; 10] =
        ["interval", "date", "time", "timestamp", "timestamptz", "json", "jsonb", "uuid", "inet", "bytea"];
    let words = crate::dump::words_at(query);
    let (mut text, mut from) = (String::new(), 0);
    for pair in words.windows(2) {
        let [(kind, word), (parameter, number)] = pair else { continue };
        let is_parameter = query.get(parameter.clone()).is_some_and(|text| text.starts_with('$'));
        let is_type = TYPES.iter().any(|name| word.is(name));
        if is_type && is_parameter && matches!(number, crate::dump::Word::Number(_)) {
            text.push_str(query.get(from..kind.start).unwrap_or_default());
            text.push_str(query.get(parameter.clone()).unwrap_or_default());
            text.push_str("::");
            text.push_str(query.get(kind.clone()).unwrap_or_default());
            from = parameter.end;
        }
    }
    text.push_str(query.get(from..).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_that_lost_their_type_have_it_again() {
        assert_eq!(typed("SELECT now() - interval $1, date $2"), "SELECT now() - $1::interval, $2::date");
        assert_eq!(typed("SELECT a FROM t WHERE date = $1"), "SELECT a FROM t WHERE date = $1");
    }

    #[test]
    fn only_what_touches_rows_is_work() {
        for query in
            ["SELECT 1", "/* x */ with a as (select 1) insert into t select 1", "(SELECT 1) UNION SELECT 2"]
        {
            assert!(is_work(query), "{query}");
        }
        for query in ["BEGIN", "SET a = 1", "DEALLOCATE ALL", "", "VACUUM t", "CREATE TABLE t ()"] {
            assert!(!is_work(query), "{query}");
        }
    }
}
