//! How large the tables of the original are, as `thirdrun capture` has written it down.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::PlanError;
use crate::identifiers::written_identifier;
use crate::observations::TableSize;

/// Where capture puts it, beside the rehearsal file.
pub(super) const FILE_NAME: &str = "sizes.json";

/// What is needed of the file.
#[derive(Deserialize)]
struct Sizes {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    schema: String,
    name: String,
    rows: Option<u64>,
    table_bytes: u64,
}

/// Tables by their names, as an SQL statement has them. `shown` is the file as the user would name it.
pub(super) fn read(path: &Path, shown: &Path) -> Result<BTreeMap<String, TableSize>, PlanError> {
    let wrong = |message: String| PlanError::Usage {
        message,
        help: format!("`thirdrun capture` writes it as {FILE_NAME}; without it nothing is said of sizes"),
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", shown.display())))?;
    parse(&text).map_err(|error| wrong(format!("{} does not tell sizes: {error}", shown.display())))
}

/// Whether a text is one of sizes.
pub(crate) fn tells_sizes(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(text: &str) -> Result<BTreeMap<String, TableSize>, serde_json::Error> {
    let sizes: Sizes = serde_json::from_str(text)?;
    let name =
        |table: &Table| format!("{}.{}", written_identifier(&table.schema), written_identifier(&table.name));
    let size = |table: Table| (name(&table), TableSize { rows: table.rows, bytes: table.table_bytes });
    Ok(sizes.tables.into_iter().map(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_in_sql() {
        let text = r#"{"postgres": "17.6", "tables": [
            {"schema": "public", "name": "Orders", "rows": null, "table_bytes": 8192, "total_bytes": 16384}]}"#;
        let sizes = parse(text).unwrap();
        let expected = TableSize { rows: None, bytes: 8192 };
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [("public.\"Orders\"".to_owned(), expected)]);
        assert!(parse("{}").is_err());
    }
}
