//! Checks that are written in a way nobody here understands, as the server's planner simplifies them.
//!
//! The planner computes what is constant (`to_timestamp(1377734400)`) and puts the bodies of SQL functions in the
//! place of their calls, and EXPLAIN shows what it has come to (PostgreSQL's source, `eval_const_expressions`). So
//! the server is asked about those checks that have such things in them, and only about those.

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::RowsError;
use super::catalog::Catalog;
use super::expr::{self, Expr};
use crate::identifiers::quote_identifier;

/// Functions of which rows can be made to fit a call, or which the time of the day computes.
const UNDERSTOOD: &[&str] = &[
    "length",
    "char_length",
    "character_length",
    "octet_length",
    "cardinality",
    "array_length",
    "jsonb_array_length",
    "json_array_length",
    "bit_length",
    "upper",
    "lower",
    "btrim",
    "ltrim",
    "rtrim",
    "coalesce",
    "abs",
    "round",
    "date",
    "date_trunc",
    "position",
    "strpos",
    "jsonb_typeof",
    "json_typeof",
    "num_nulls",
    "num_nonnulls",
    "now",
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
];

/// Puts simpler expressions in the place of those that are not understood, where the server knows some.
pub(super) async fn simplify(client: &Client, catalog: &mut Catalog) -> Result<(), RowsError> {
    let mut places: Vec<&mut String> = Vec::new();
    let mut queries = Vec::new();
    for table in &mut catalog.tables {
        // Rows of the table's type that nobody has stored: no index and no constraint of the table meddles.
        let from = format!(
            "pg_catalog.unnest(NULL::{}.{}[])",
            quote_identifier(&table.schema),
            quote_identifier(&table.name)
        );
        for text in table.checks.iter_mut().filter_map(|check| check.expression.as_mut()) {
            if opaque(&expr::parse(text)) {
                queries.push(explain(&from, text));
                places.push(text);
            }
        }
    }
    for entry in &mut catalog.types {
        let Some(base) = entry.base_name.as_deref() else { continue };
        let from = format!("pg_catalog.unnest(NULL::{base}[]) AS of_domain (\"VALUE\")");
        for text in entry.checks.iter_mut().flatten() {
            if opaque(&expr::parse(text)) {
                // VALUE is a word of the grammar in checks of domains, and a name here.
                queries.push(explain(&from, &named_value(text)));
                places.push(text);
            }
        }
    }
    if queries.is_empty() {
        return Ok(());
    }
    client.batch_execute("SAVEPOINT thirdrun_fold").await.map_err(RowsError::Session)?;
    let answers = match client.simple_query(&queries.join(";")).await {
        Ok(messages) => filters(&messages),
        Err(_) => one_by_one(client, &queries).await?,
    };
    client
        .batch_execute("ROLLBACK TO SAVEPOINT thirdrun_fold; RELEASE SAVEPOINT thirdrun_fold")
        .await
        .map_err(RowsError::Session)?;
    for (place, answer) in places.into_iter().zip(answers) {
        if let Some(answer) = answer {
            *place = answer;
        }
    }
    Ok(())
}

/// An expression that computes an error (`1 / 0`) would take the answers of all others with it.
async fn one_by_one(client: &Client, queries: &[String]) -> Result<Vec<Option<String>>, RowsError> {
    let mut answers = Vec::new();
    for query in queries {
        client.batch_execute("ROLLBACK TO SAVEPOINT thirdrun_fold").await.map_err(RowsError::Session)?;
        let answer = client.simple_query(query).await;
        answers.push(answer.ok().and_then(|messages| filters(&messages).into_iter().next().flatten()));
    }
    Ok(answers)
}

fn explain(from: &str, check: &str) -> String {
    format!("EXPLAIN (COSTS OFF, FORMAT JSON) SELECT FROM {from} WHERE {check}")
}

/// What each plan filters by, in the order of the queries.
fn filters(messages: &[SimpleQueryMessage]) -> Vec<Option<String>> {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) if !row.is_empty() => row.get(0),
        _ => None,
    });
    rows.map(|text| {
        let explained: Value = serde_json::from_str(text).ok()?;
        let plan = explained.get(0)?.get("Plan")?;
        match (plan.get("Filter"), plan.get("One-Time Filter")) {
            (Some(filter), None) => Some(filter.as_str()?.to_owned()),
            _ => None,
        }
    })
    .collect()
}

fn named_value(check: &str) -> String {
    let mut text = String::with_capacity(check.len() + 8);
    let mut rest = check;
    while let Some(at) = rest.find("VALUE") {
        let (before, after) = rest.split_at(at);
        let after = after.get("VALUE".len()..).unwrap_or_default();
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '$';
        text.push_str(before);
        if before.ends_with(part_of_word) || after.starts_with(part_of_word) {
            text.push_str("VALUE");
        } else {
            text.push_str("\"VALUE\"");
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Whether something in an expression is not understood, or has to be computed by the server first.
fn opaque(expr: &Expr) -> bool {
    match expr {
        Expr::Other => true,
        Expr::Call(name, args) => !UNDERSTOOD.contains(&name.as_str()) || args.iter().any(opaque),
        Expr::And(parts) | Expr::Or(parts) | Expr::Array(parts) => parts.iter().any(opaque),
        Expr::Not(inner) | Expr::IsNull(inner, _) | Expr::Match(inner, ..) => opaque(inner),
        Expr::Binary(_, left, right) => {
            let constant = |expr: &Expr| matches!(expr, Expr::Constant(_));
            opaque(left) || opaque(right) || (constant(left) && constant(right))
        }
        Expr::Any(_, left, items, _) => opaque(left) || items.iter().any(opaque),
        Expr::Column(_) | Expr::Constant(_) | Expr::Bool(_) | Expr::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_understood_is_asked_about() {
        let asked = |text: &str| opaque(&expr::parse(text));
        assert!(asked("(made < to_timestamp((1377734400)::double precision))"));
        assert!(asked("public.is_even(n)"));
        assert!(asked("(price < ((10)::numeric * (2)::numeric))"));
        assert!(!asked("((length(name) > 3) AND (status = ANY (ARRAY['a'::text])) AND (born < now()))"));
    }

    #[test]
    fn the_value_of_a_domain_becomes_a_name() {
        assert_eq!(named_value("((VALUE > f(VALUE)) AND VALUED)"), "((\"VALUE\" > f(\"VALUE\")) AND VALUED)");
    }
}
