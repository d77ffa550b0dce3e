//! Sequences go on where the rows end.

use std::collections::BTreeMap;

use super::Loader;

impl Loader<'_, '_> {
    /// Statements that move sequences past the numbers that rows have now.
    pub(in super::super) fn sequences(&self) -> Vec<String> {
        let mut calls = BTreeMap::new();
        for (table, known) in self.generator.tables.iter().zip(&self.generator.known) {
            for (column, fed) in table.columns.iter().zip(&known.fed) {
                let Some((low, high)) = *fed else { continue };
                for sequence in &column.sequences {
                    let reached = if sequence.increment > 0 { high } else { low };
                    let ahead = |a: i64, b: i64| {
                        if sequence.increment > 0 { a.max(b) } else { a.min(b) }
                    };
                    let reached = sequence.last.map_or(reached, |last| ahead(last, reached));
                    if (sequence.min..=sequence.max).contains(&reached) {
                        let target = calls.entry(sequence.oid).or_insert(reached);
                        *target = ahead(*target, reached);
                    }
                }
            }
        }
        let calls: Vec<String> = calls
            .iter()
            .map(|(oid, value)| {
                format!("pg_catalog.setval({oid}::pg_catalog.oid::pg_catalog.regclass, {value})")
            })
            .collect();
        calls.chunks(500).map(|some| format!("SELECT {}", some.join(", "))).collect()
    }
}
