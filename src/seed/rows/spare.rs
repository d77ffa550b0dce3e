//! Rows that the tables of a filled clone could take beside those that they have.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::generate::{Generator, Hints, dice};
use super::load::Loader;
use super::order::Step;
use super::{BEGIN, RowsError, catalog, folded, model};

/// A row: the columns that the server does not compute, with their values as text.
pub type SpareRow = Vec<(String, Option<String>)>;

/// Apart from the rows that are there, which are drawn without.
const SALT: u64 = 0x7370_6172;

/// Makes so many rows for each table, by the table's name as SQL has it, which keep its constraints beside the rows
/// that are there. Nothing is inserted. A table for which that does not succeed has none.
///
/// # Errors
/// When the session fails.
pub async fn spare(
    client: &Client,
    seed: u64,
    count: usize,
) -> Result<BTreeMap<String, Vec<SpareRow>>, RowsError> {
    let rows = spare_within(client, seed, count).await;
    client.batch_execute("ROLLBACK").await.map_err(RowsError::Session)?;
    rows
}

async fn spare_within(
    client: &Client,
    seed: u64,
    count: usize,
) -> Result<BTreeMap<String, Vec<SpareRow>>, RowsError> {
    let mut catalog = catalog::read(client, BEGIN).await?;
    folded::simplify(client, &mut catalog).await?;
    let model = model::build(catalog);
    let mut loader = Loader {
        client,
        generator: Generator::new(&model),
        seed,
        wanted: vec![0; model.len()],
        inserted: 0,
        without: Vec::new(),
        defeated: BTreeMap::new(),
        statements: BTreeMap::new(),
    };
    for at in 0..model.len() {
        loader.read_existing(at).await?;
    }
    let mut spare = BTreeMap::new();
    for (at, table) in model.iter().enumerate() {
        let step = Step { table: at, void: Vec::new(), pending: Vec::new(), circle: false };
        let mut rng = dice(seed, &table.label, SALT);
        let made = (0..count).map_while(|_| loader.generator.row(&step, &Hints::default(), &mut rng).ok());
        let rows: Vec<SpareRow> = made
            .map(|row| {
                let cells = table.columns.iter().zip(row).filter(|(column, _)| !column.generated);
                cells.map(|(column, cell)| (column.name.clone(), cell)).collect()
            })
            .collect();
        spare.insert(table.sql.clone(), rows);
    }
    Ok(spare)
}
