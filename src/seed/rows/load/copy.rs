//! The text format of COPY (PostgreSQL manual, COPY, "Text Format").

use super::super::generate::Row;
use super::super::model::Table;

/// Rows in the text format of COPY.
pub(super) fn copy_text(table: &Table, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&table.columns).filter(|(_, column)| !column.generated);
        for (place, (cell, _)) in cells.enumerate() {
            if place > 0 {
                text.push('\t');
            }
            match cell {
                None => text.push_str("\\N"),
                Some(value) => {
                    for c in value.chars() {
                        match c {
                            '\\' => text.push_str("\\\\"),
                            '\t' => text.push_str("\\t"),
                            '\n' => text.push_str("\\n"),
                            '\r' => text.push_str("\\r"),
                            c => text.push(c),
                        }
                    }
                }
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::kinds::Kind;
    use super::super::super::model::Column;
    use super::*;

    #[test]
    fn copy_text_escapes_and_leaves_generated_columns_out() {
        let column = |generated| Column {
            name: "c".into(),
            kind: Kind::Text(None).into(),
            not_null: false,
            generated,
            default: None,
            sequences: Vec::new(),
            unique: false,
        };
        let mut table = Table::nothing();
        table.columns = vec![column(false), column(true), column(false)];
        let rows = [vec![Some("a\\b\tc\n".into()), Some("x".into()), None]];
        assert_eq!(copy_text(&table, &rows), "a\\\\b\\tc\\n\t\\N\n");
    }
}
