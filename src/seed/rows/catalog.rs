//! Reads what the catalogs say of tables and types.

mod scanned;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::RowsError;
use scanned::Scanned;

/// A table that rows can be put into.
#[derive(Debug, Clone)]
pub(super) struct TableEntry {
    pub(super) oid: i64,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) partitioned: bool,
    /// Whether it may hold rows already.
    pub(super) occupied: bool,
    pub(super) columns: Vec<ColumnEntry>,
    pub(super) uniques: Vec<UniqueEntry>,
    pub(super) foreign_keys: Vec<ForeignKeyEntry>,
    pub(super) checks: Vec<CheckEntry>,
}

#[derive(Debug, Clone)]
pub(super) struct ColumnEntry {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) type_oid: i64,
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    pub(super) default: Option<String>,
    pub(super) sequences: Vec<SequenceEntry>,
}

#[derive(Debug, Clone)]
pub(super) struct SequenceEntry {
    pub(super) oid: i64,
    pub(super) start: i64,
    pub(super) increment: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) last: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct UniqueEntry {
    /// The index's, which is the constraint's where there is one.
    pub(super) name: String,
    /// Column numbers, 0 for an expression.
    pub(super) columns: Vec<i16>,
    pub(super) primary: bool,
    pub(super) expressions: Option<String>,
    pub(super) predicate: Option<String>,
    pub(super) nulls_equal: bool,
}

#[derive(Debug, Clone)]
pub(super) struct ForeignKeyEntry {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) target: i64,
    pub(super) target_name: String,
    pub(super) target_columns: Vec<i16>,
    /// `MATCH FULL`.
    pub(super) full: bool,
}

#[derive(Debug, Clone)]
pub(super) struct CheckEntry {
    pub(super) name: String,
    pub(super) expression: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct TypeEntry {
    pub(super) oid: i64,
    pub(super) name: String,
    /// `typtype`.
    pub(super) kind: String,
    /// `typcategory`.
    pub(super) category: String,
    pub(super) element: i64,
    pub(super) base: i64,
    /// What a domain is of, as SQL names it.
    pub(super) base_name: Option<String>,
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    pub(super) labels: Vec<String>,
    pub(super) subtype: Option<i64>,
    pub(super) fields: Vec<FieldEntry>,
    pub(super) checks: Vec<Option<String>>,
    pub(super) check_names: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct FieldEntry {
    pub(super) type_oid: i64,
    pub(super) modifier: i32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PartitionEntry {
    pub(super) root: i64,
    pub(super) node: i64,
    pub(super) parent: Option<i64>,
    pub(super) leaf: bool,
    /// Whether its rows are on another server.
    pub(super) elsewhere: bool,
    pub(super) bound: Option<String>,
    pub(super) strategy: Option<String>,
    /// Key columns; none for an expression.
    pub(super) keys: Vec<Option<String>>,
}

/// All that is known of the database.
pub(super) struct Catalog {
    pub(super) tables: Vec<TableEntry>,
    pub(super) types: Vec<TypeEntry>,
    pub(super) partitions: Vec<PartitionEntry>,
    /// How many tables there are, partitions among them.
    pub(super) count: u64,
    /// Whether some trigger fires always.
    pub(super) restless: bool,
}

/// How many tables there are, partitions among them.
pub(super) async fn count(client: &Client) -> Result<u64, RowsError> {
    let messages = client.simple_query(include_str!("count.sql")).await.map_err(RowsError::Catalog)?;
    Ok(texts(&messages).next().and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// Carries out what is to come first, and reads everything.
pub(super) async fn read(client: &Client, first: &str) -> Result<Catalog, RowsError> {
    let query = format!("{first}; {}", include_str!("catalog.sql"));
    let messages = client.simple_query(&query).await.map_err(RowsError::Catalog)?;
    let mut scanned = Scanned::read(&messages)?;
    let partitions: Vec<PartitionEntry> = match scanned.partitioned() {
        true => rows(client, include_str!("partitions.sql")).await?,
        false => Vec::new(),
    };
    let (count, restless) = (scanned.count(), scanned.restless);
    let tables = scanned.tables(&partitions);
    let types = types(client, &tables).await?;
    Ok(Catalog { tables, types, partitions, count, restless })
}

/// The types of the columns, and those that they are made of.
async fn types(client: &Client, tables: &[TableEntry]) -> Result<Vec<TypeEntry>, RowsError> {
    let mut types: Vec<TypeEntry> = Vec::new();
    let mut known = BTreeSet::from([0]);
    let columns = tables.iter().flat_map(|table| &table.columns);
    let mut wanted: BTreeSet<i64> = columns.map(|column| column.type_oid).collect();
    loop {
        wanted.retain(|oid| known.insert(*oid));
        if wanted.is_empty() {
            return Ok(types);
        }
        let mut found: Vec<TypeEntry> = Vec::new();
        let mut asked = Vec::new();
        for oid in &wanted {
            match builtin(*oid) {
                Some(entry) => found.push(entry),
                None => asked.push(oid.to_string()),
            }
        }
        if !asked.is_empty() {
            let sql = include_str!("types.sql").replace("{OIDS}", &format!("{{{}}}", asked.join(",")));
            found.extend(rows::<TypeEntry>(client, &sql).await?);
        }
        wanted = found
            .iter()
            .flat_map(|entry| {
                let parts = entry.fields.iter().map(|field| field.type_oid);
                [entry.element, entry.base, entry.subtype.unwrap_or_default()].into_iter().chain(parts)
            })
            .collect();
        known.extend(found.iter().map(|entry| entry.oid));
        types.extend(found);
    }
}

/// A type that every server has under the same number, which saves asking for it.
fn builtin(oid: i64) -> Option<TypeEntry> {
    let known = Type::from_oid(u32::try_from(oid).ok()?)?;
    let number = |part: &Type| i64::from(part.oid());
    let (kind, element, subtype) = match known.kind() {
        Kind::Simple => ("b", 0, None),
        Kind::Array(element) => ("b", number(element), None),
        Kind::Range(subtype) => ("r", 0, Some(number(subtype))),
        Kind::Multirange(subtype) => ("m", 0, Some(number(subtype))),
        _ => return None,
    };
    Some(TypeEntry {
        oid,
        name: known.name().to_owned(),
        kind: kind.to_owned(),
        category: if element == 0 { "" } else { "A" }.to_owned(),
        element,
        base: 0,
        base_name: None,
        modifier: -1,
        not_null: false,
        labels: Vec::new(),
        subtype,
        fields: Vec::new(),
        checks: Vec::new(),
        check_names: Vec::new(),
    })
}

async fn rows<T: DeserializeOwned>(client: &Client, sql: &str) -> Result<Vec<T>, RowsError> {
    let messages = client.simple_query(sql).await.map_err(RowsError::Catalog)?;
    texts(&messages).map(|text| serde_json::from_str(text).map_err(RowsError::Answer)).collect()
}

fn texts(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &str> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) if !row.is_empty() => row.get(0),
        _ => None,
    })
}
