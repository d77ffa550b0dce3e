//! Rows: those that each run adds again, as the server's answers to its statements say, and those that each run puts
//! back.
//!
//! What is added cannot be counted in the table: the workers write too. What a function writes nobody is told.

use std::collections::{BTreeMap, BTreeSet};

use super::words::listed;
use super::{Drifting, How};
use crate::dump::{Token, TokenKind, tokens};
use crate::observations::{Contents, RunObservation, Statement};
use crate::verdict::search::suspects;

/// Tables into which every one of the runs inserts more than it deletes.
pub(super) fn growing(runs: &[RunObservation]) -> Vec<Drifting> {
    let added: Vec<BTreeMap<String, i64>> = runs.iter().map(added).collect();
    let Some(last) = added.last() else { return Vec::new() };
    let mut found = Vec::new();
    for table in last.keys() {
        let values: Vec<i64> = added.iter().map(|run| run.get(table).copied().unwrap_or_default()).collect();
        if values.iter().any(|count| *count <= 0) {
            continue;
        }
        let even = values.windows(2).all(|pair| pair.first() == pair.last());
        let rows = match values.first() {
            Some(1) if even => "1 row".to_owned(),
            Some(count) if even => format!("{count} rows"),
            _ => format!("rows ({})", listed(&values)),
        };
        found.push(Drifting {
            how: How::Grows,
            noun: "row".to_owned(),
            object: format!("table {table}"),
            values,
            limit: None,
            message: format!("each run inserts {rows} into {table} again"),
        });
    }
    found
}

/// Tables whose rows are after the last run what they were some runs before, and in none of those between.
pub(super) fn alternating(contents: &[Contents], runs: &[RunObservation]) -> Vec<Drifting> {
    let mut found = Vec::new();
    for table in contents {
        let after = |run: &RunObservation| {
            table.hashes.iter().find(|(number, _)| *number == run.run).map(|(_, hash)| hash)
        };
        let Some((last, earlier)) = runs.split_last() else { continue };
        // Where one is not known, nobody knows how long the way back is.
        let known: Vec<_> = earlier.iter().rev().map_while(|run| Some((run.run, after(run)?))).collect();
        let same = known.iter().position(|(_, hash)| Some(*hash) == after(last));
        let Some((before, steps)) = same.and_then(|at| Some((known.get(at)?.0, at + 1))) else { continue };
        let (rows, last) = (format!("the rows of {}", table.table), last.run);
        let message = match steps {
            // Nothing was changed.
            0 | 1 => continue,
            2 => format!(
                "each run undoes what the one before it did to {rows}: after run {last} they are what they were after run \
                 {before}"
            ),
            _ => format!("{rows} go round: after run {last} they are what they were after run {before}"),
        };
        found.push(Drifting {
            how: How::Alternates,
            noun: "rows".to_owned(),
            object: format!("table {}", table.table),
            values: Vec::new(),
            limit: None,
            message,
        });
    }
    found
}

/// The tables that a run's statements wrote rows to, as they name them.
pub fn written(statements: &[Statement]) -> BTreeSet<String> {
    let effective = suspects(statements);
    let statements = statements.iter().filter(|one| effective.contains(&one.index));
    let wrote = statements.filter(|statement| statement.rows.is_some_and(|rows| rows > 0));
    wrote
        .filter_map(|statement| {
            let text = statement.sent.as_deref().unwrap_or(&statement.sql);
            Some(target(statement, text)?.0)
        })
        .collect()
}

/// Rows that a run inserted into each table, less those that it deleted. Tables that it made or emptied do not count.
fn added(run: &RunObservation) -> BTreeMap<String, i64> {
    let statements = &run.result.statements;
    let effective = suspects(statements);
    let mut added: BTreeMap<String, i64> = BTreeMap::new();
    let mut others = BTreeSet::new();
    for statement in statements.iter().filter(|one| effective.contains(&one.index)) {
        let text = statement.sent.as_deref().unwrap_or(&statement.sql);
        match (target(statement, text), statement.rows.and_then(|rows| i64::try_from(rows).ok())) {
            (Some((table, sign)), Some(rows)) => *added.entry(table).or_default() += sign * rows,
            _ if makes_anew(statement, text) => others.extend(names(text)),
            _ => {}
        }
    }
    added.retain(|table, _| !others.contains(last_part(table)));
    added
}

/// The table that rows are put into, or taken from, and how many rows more one row makes it.
fn target(statement: &Statement, text: &str) -> Option<(String, i64)> {
    let tokens: Vec<Token> =
        tokens(text).into_iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let after = |words: &[&str]| {
        let found = tokens
            .windows(words.len())
            .position(|some| some.iter().zip(words).all(|(token, word)| token.is(text, word)))?;
        let rest = tokens.get(found + words.len()..)?;
        let only = usize::from(rest.first().is_some_and(|token| token.is(text, "only")));
        name(text, rest.get(only..)?)
    };
    let tag = statement.tag.as_deref()?;
    let copies_in = || tokens.iter().any(|token| token.is(text, "from"));
    match tag.split(' ').next()? {
        "INSERT" => Some((after(&["insert", "into"])?, 1)),
        "COPY" if copies_in() => Some((after(&["copy"])?, 1)),
        "DELETE" => Some((after(&["delete", "from"])?, -1)),
        "UPDATE" => Some((after(&["update"])?, 0)),
        _ => None,
    }
}

/// A name, perhaps with a schema, as it is written but for the case of what is not quoted.
fn name(text: &str, tokens: &[Token]) -> Option<String> {
    let mut name = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let part = match token.kind {
            TokenKind::Word => token.of(text).to_lowercase(),
            TokenKind::Quoted => token.of(text).to_owned(),
            _ if at % 2 == 1 && token.is_sign(text, ".") => ".".to_owned(),
            _ => break,
        };
        if at % 2 == 1 && part != "." {
            break;
        }
        name.push_str(&part);
    }
    (!name.is_empty()).then_some(name)
}

/// Whether a statement empties a table, drops it, or makes one that lasts no longer than its session.
fn makes_anew(statement: &Statement, text: &str) -> bool {
    let tag = statement.tag.as_deref().unwrap_or_default();
    let temporary = || tokens(text).iter().any(|token| token.is(text, "temp") || token.is(text, "temporary"));
    tag.starts_with("TRUNCATE") || tag.starts_with("DROP") || temporary()
}

/// Every name in a statement.
fn names(text: &str) -> Vec<String> {
    let named = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::Quoted);
    tokens(text)
        .iter()
        .filter(|token| named(token))
        .map(|token| match token.kind {
            TokenKind::Word => token.of(text).to_lowercase(),
            _ => token.of(text).to_owned(),
        })
        .collect()
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
