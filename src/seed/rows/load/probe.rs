//! Asks the server which of many candidates keep the checks of a table, where none that was made does.
//!
//! One question about some hundred rows takes less than a COPY of each of them, and what fits is what further rows
//! are made of.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tokio_postgres::SimpleQueryMessage;

use super::super::RowsError;
use super::super::expr;
use super::super::generate::Row;
use super::super::model::Table;
use super::super::order::Step;
use super::Loader;

/// Rows that are asked about at once.
const CANDIDATES: u64 = 600;
/// Questions of as many rows, each with what the one before has come to.
const ROUNDS: u64 = 3;
/// Candidates that are asked about singly where one of them makes a check raise an error.
const SINGLY: usize = 150;
/// Rows that fit, after which no more are asked for.
const ENOUGH: usize = 40;

/// What some columns must keep together.
struct Demand {
    /// The constraints, for people.
    name: String,
    columns: BTreeSet<usize>,
    /// What the server is asked.
    conditions: Vec<String>,
    /// Texts with constants in them that may be of help.
    spoken: Vec<String>,
}

/// Joins demands that share a column: they can only be kept together.
fn together(demands: Vec<Demand>) -> Vec<Demand> {
    let mut groups: Vec<Demand> = Vec::new();
    for mut demand in demands {
        let (shared, apart) =
            groups.into_iter().partition(|group| !group.columns.is_disjoint(&demand.columns));
        groups = apart;
        let shared: Vec<Demand> = shared;
        for group in shared {
            demand.name = format!("{}, {}", group.name, demand.name);
            demand.columns.extend(group.columns);
            demand.conditions.extend(group.conditions);
            demand.spoken.extend(group.spoken);
        }
        groups.push(demand);
    }
    groups
}

impl Loader<'_, '_> {
    /// Finds values that keep the checks and partitions of a table; whether it found some for all of them. The
    /// savepoint of the rows is open before and after.
    pub(super) async fn probe(&mut self, step: &Step) -> Result<bool, RowsError> {
        let Some(table) = self.table(step.table) else {
            return Ok(false);
        };
        let mut demands: Vec<Demand> = table
            .checks
            .iter()
            .map(|check| Demand {
                name: format!("the check {}", check.name),
                columns: check.columns.iter().copied().collect(),
                conditions: vec![check.text.clone()],
                spoken: vec![check.text.clone()],
            })
            .collect();
        // Checks of domains are asked by reading the value.
        demands.extend(table.columns.iter().enumerate().filter(|(_, c)| !c.kind.texts.is_empty()).map(
            |(at, column)| Demand {
                name: format!("the check {} of {}'s domain", column.kind.names.join(", "), column.name),
                columns: BTreeSet::from([at]),
                conditions: Vec::new(),
                spoken: column.kind.texts.clone(),
            },
        ));
        if table.leaves.is_some() {
            demands.extend(self.partitions(table).await?);
        }
        let mut all = true;
        for demand in together(demands) {
            let generated = |at: &usize| {
                let column = self.table(step.table).and_then(|table| table.columns.get(*at));
                column.is_none_or(|column| column.generated)
            };
            if demand.columns.is_empty() || demand.columns.iter().any(generated) {
                continue;
            }
            if !self.fit(step, &demand).await? {
                self.defeated.insert(step.table, demand.name.clone());
                all = false;
            }
        }
        Ok(all)
    }

    /// Finds values for columns that some checks speak of; whether there are any.
    async fn fit(&mut self, step: &Step, demand: &Demand) -> Result<bool, RowsError> {
        let Some(table) = self.table(step.table) else {
            return Ok(false);
        };
        let literals = self.literals(&demand.spoken).await?;
        let names: Vec<(usize, String)> = table
            .columns
            .iter()
            .enumerate()
            .filter(|(at, _)| demand.columns.contains(at))
            .map(|(at, column)| (at, column.name.clone()))
            .collect();
        let conditions = demand.conditions.iter().map(|text| format!("AND ({text}) IS NOT FALSE"));
        let conditions = conditions.collect::<Vec<_>>().join(" ");
        let sql = table.sql.clone();
        let question = |rows: &[Row]| {
            let objects = rows.iter().map(|row| {
                let cell = |at: usize| row.get(at).cloned().flatten().map_or(Value::Null, Value::String);
                Value::Object(names.iter().map(|(at, name)| (name.clone(), cell(*at))).collect::<Map<_, _>>())
            });
            // Escaped as JSON can be, so that no setting of the session has a say in how it is quoted.
            let json = Value::Array(objects.collect()).to_string().replace('\'', "\\u0027");
            format!(
                "SELECT ordinality FROM ROWS FROM (pg_catalog.json_populate_recordset(NULL::{sql}, '{json}')) \
                 WITH ORDINALITY WHERE true {conditions}"
            )
        };
        let mut fitting: Vec<Row> = Vec::new();
        for round in 0..ROUNDS {
            let mut rng = self.dice(step.table, 1000 + round);
            let rows = self.generator.candidates(step, &demand.columns, &literals, CANDIDATES, &mut rng);
            match self.places(&question(&rows)).await? {
                // What is made anyway fits as it is.
                Some(places) if round == 0 && places.len() > rows.len() / 2 => return Ok(true),
                Some(places) => {
                    fitting.extend(places.into_iter().filter_map(|place| rows.get(place).cloned()))
                }
                None => {
                    // From both ends: those that would be made anyway, and those that are drawn.
                    let some = rows.len().saturating_sub(SINGLY / 2);
                    for row in rows.iter().take(SINGLY / 2).chain(rows.iter().skip(some)) {
                        if self
                            .places(&question(std::slice::from_ref(row)))
                            .await?
                            .is_some_and(|p| !p.is_empty())
                        {
                            fitting.push(row.clone());
                        }
                    }
                }
            }
            if fitting.len() >= ENOUGH {
                break;
            }
        }
        self.generator.learn(step.table, &demand.columns, &fitting);
        Ok(!fitting.is_empty())
    }

    /// The places of rows that fit, from 0; none where the server raised an error.
    async fn places(&self, question: &str) -> Result<Option<Vec<usize>>, RowsError> {
        self.run("SAVEPOINT thirdrun_probe").await?;
        let answer = self.client.simple_query(question).await;
        self.run("ROLLBACK TO SAVEPOINT thirdrun_probe; RELEASE SAVEPOINT thirdrun_probe").await?;
        Ok(answer.ok().map(|messages| {
            let place = |text: &str| text.parse::<usize>().ok()?.checked_sub(1);
            first_columns(&messages).filter_map(place).collect()
        }))
    }

    /// What the rows of a partitioned table must keep to find a partition.
    async fn partitions(&self, table: &Table) -> Result<Option<Demand>, RowsError> {
        let query = format!(
            "SELECT pg_catalog.pg_get_partition_constraintdef(relid) \
             FROM pg_catalog.pg_partition_tree('{}') WHERE isleaf",
            table.sql.replace('\'', "''")
        );
        let messages = self.client.simple_query(&query).await.map_err(RowsError::Session)?;
        let bounds: Vec<String> = first_columns(&messages).map(|bound| format!("({bound})")).collect();
        if bounds.is_empty() {
            return Ok(None);
        }
        let names: BTreeSet<String> = bounds.iter().flat_map(|bound| expr::identifiers(bound)).collect();
        let columns = table.columns.iter().enumerate();
        let columns = columns.filter(|(_, column)| names.contains(&column.name)).map(|(at, _)| at).collect();
        let condition = bounds.join(" OR ");
        Ok(Some(Demand {
            name: "the bounds of its partitions".to_owned(),
            columns,
            conditions: vec![condition.clone()],
            spoken: vec![condition],
        }))
    }

    /// The constants of the conditions, and those in the functions that they call.
    async fn literals(&self, conditions: &[String]) -> Result<Vec<String>, RowsError> {
        let mut literals: BTreeSet<String> =
            conditions.iter().flat_map(|text| expr::literals(text)).collect();
        let named: BTreeSet<String> = conditions.iter().flat_map(|text| expr::identifiers(text)).collect();
        let names: Vec<String> = named.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect();
        if !names.is_empty() {
            let query = format!(
                "SELECT prosrc FROM pg_catalog.pg_proc AS p \
                 WHERE p.proname IN ({}) AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace \
                 ORDER BY p.proname, p.oid LIMIT 20",
                names.join(", ")
            );
            let messages = self.client.simple_query(&query).await.map_err(RowsError::Session)?;
            literals.extend(first_columns(&messages).flat_map(expr::literals));
        }
        Ok(literals.into_iter().collect())
    }
}

fn first_columns(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &str> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) if !row.is_empty() => row.get(0),
        _ => None,
    })
}
