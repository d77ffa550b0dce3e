//! The text format of COPY (PostgreSQL manual, COPY, "Text Format").

use bytes::{BufMut as _, BytesMut};

use super::super::generate::Row;
use super::super::model::Table;

/// Writes one row.
pub(super) fn push_row(table: &Table, row: &Row, text: &mut BytesMut) {
    let cells = row.iter().zip(&table.columns).filter(|(_, column)| !column.generated);
    for (place, (cell, _)) in cells.enumerate() {
        if place > 0 {
            text.put_u8(b'\t');
        }
        let Some(value) = cell else {
            text.put_slice(b"\\N");
            continue;
        };
        let mut rest = value.as_str();
        while let Some(at) = rest.find(['\\', '\t', '\n', '\r']) {
            let (plain, special) = rest.split_at(at);
            text.put_slice(plain.as_bytes());
            text.put_slice(match special.as_bytes().first() {
                Some(b'\t') => b"\\t",
                Some(b'\n') => b"\\n",
                Some(b'\r') => b"\\r",
                _ => b"\\\\",
            });
            rest = special.get(1..).unwrap_or_default();
        }
        text.put_slice(rest.as_bytes());
    }
    text.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::super::kinds::Kind;
    use super::super::super::model::Column;
    use super::*;

    #[test]
    fn copy_text_escapes_and_leaves_generated_columns_out() {
        let column = |generated| Column { generated, ..Column::plain("c", Kind::Text(None).into()) };
        let mut table = Table::nothing();
        table.columns = vec![column(false), column(true), column(false)];
        let mut text = BytesMut::new();
        push_row(&table, &vec![Some("a\\b\tc\n".into()), Some("x".into()), None], &mut text);
        assert_eq!(text, "a\\\\b\\tc\\n\t\\N\n");
    }
}
