//! Publications, and what they publish.

use super::super::catalogs::{Catalog, Publication};
use super::super::snapshot::Snapshot;
use super::super::tables::{Difference, differences};
use super::server::Plain as _;
use super::{ALTERED, Diff, Pair, Place, from_to};
use crate::identifiers::written_identifier;
use crate::observations::ChangeKind;

/// What a publication publishes of each table.
fn publishes(row: &Publication) -> String {
    let each =
        [(row.insert, "insert"), (row.update, "update"), (row.delete, "delete"), (row.truncate, "truncate")];
    each.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// The statement that makes a publication anew; none where it filters rows or columns.
pub(super) fn again(state: &Snapshot, row: &Publication) -> Option<String> {
    let ((oid, ..), _) = state.tables.publications.iter().find(|(_, other)| other.name == row.name)?;
    let mut parts = Vec::new();
    for (_, part) in state.tables.publication_tables.iter().filter(|(_, part)| part.publication == oid) {
        if part.definition.is_some() {
            return None;
        }
        parts.push(format!("TABLE {}", state.relation_sql(part.relation)));
    }
    let schemas = state.tables.publication_schemas.iter().filter(|(_, part)| part.publication == oid);
    parts.extend(schemas.map(|(_, part)| format!("TABLES IN SCHEMA {}", state.schema(part.schema))));
    if row.all_tables {
        parts.push("ALL TABLES".to_owned());
    }
    let what = if parts.is_empty() { String::new() } else { format!(" FOR {}", parts.join(", ")) };
    let root = if row.via_root { ", publish_via_partition_root = true" } else { "" };
    let name = written_identifier(&row.name);
    Some(format!("CREATE PUBLICATION {name}{what} WITH (publish = '{}'{root})", publishes(row)))
}

impl Diff<'_> {
    pub(super) fn publication(&mut self, was: &Publication, is: &Publication) {
        let (label, name) = (is.object().label(self.after), written_identifier(&is.name));
        if publishes(was) != publishes(is) {
            let undo = format!("ALTER PUBLICATION {name} SET (publish = '{}')", publishes(was));
            let detail = format!("publishes {}", from_to(publishes(was), publishes(is)));
            self.tell(Place::Changed(ALTERED), ChangeKind::PublicationChanged, label.clone(), detail)
                .undone_by([undo]);
        }
        if was.via_root != is.via_root {
            let undo =
                format!("ALTER PUBLICATION {name} SET (publish_via_partition_root = {})", was.via_root);
            let detail = format!("publish_via_partition_root {}", from_to(was.via_root, is.via_root));
            self.tell(Place::Changed(ALTERED), ChangeKind::PublicationChanged, label, detail)
                .undone_by([undo]);
        }
    }

    pub(super) fn publication_parts(&mut self) {
        let (before, after) = (self.before, self.after);
        let pairs = self.pairs(
            Catalog::PublicationTable,
            &before.tables.publication_tables,
            &after.tables.publication_tables,
            |_, _, row, _| Some(format!("{} {}", row.publication, row.relation)),
        );
        for pair in pairs {
            let (publication, relation, added) = match pair {
                Pair::Created(_, row) => (row.publication, row.relation, true),
                Pair::Dropped(_, row) => (row.publication, row.relation, false),
                Pair::Recreated(_, was, _, row) if was == row => continue,
                Pair::Changed(_, _, row) | Pair::Recreated(_, _, _, row) => {
                    if let Some(of) = after.tables.publications.oid(row.publication) {
                        let detail = format!("{} with another filter", after.relation_label(row.relation));
                        self.tell(
                            Place::Changed(ALTERED),
                            ChangeKind::PublicationChanged,
                            of.object().label(after),
                            detail,
                        );
                    }
                    continue;
                }
            };
            let now = (self.now(Catalog::Publication, publication), self.now(Catalog::Relation, relation));
            if let (Some(publication), Some(relation)) = now
                && let Some(of) = after.tables.publications.oid(publication)
                && before.tables.has(Catalog::Publication, publication)
            {
                let (label, name) = (of.object().label(after), written_identifier(&of.name));
                let table = after.relation_sql(relation);
                let verb = if added { "DROP" } else { "ADD" };
                let undo = format!("ALTER PUBLICATION {name} {verb} TABLE {table}");
                let detail = format!("{} {table}", if added { "with table" } else { "no longer with table" });
                self.tell(Place::Changed(ALTERED), ChangeKind::PublicationChanged, label, detail)
                    .undone_by([undo]);
            }
        }
        for difference in differences(&before.tables.publication_schemas, &after.tables.publication_schemas) {
            let (publication, schema, added) = match difference {
                Difference::Added(_, row) => (row.publication, row.schema, true),
                Difference::Removed(_, row) => (row.publication, row.schema, false),
                Difference::Changed(..) => continue,
            };
            if let Some(of) = after.tables.publications.oid(publication)
                && before.tables.has(Catalog::Publication, publication)
                && after.tables.has(Catalog::Schema, schema)
            {
                let (label, name) = (of.object().label(after), written_identifier(&of.name));
                let schema = after.schema(schema);
                let verb = if added { "DROP" } else { "ADD" };
                let undo = format!("ALTER PUBLICATION {name} {verb} TABLES IN SCHEMA {schema}");
                let detail =
                    format!("{} {schema}", if added { "with schema" } else { "no longer with schema" });
                self.tell(Place::Changed(ALTERED), ChangeKind::PublicationChanged, label, detail)
                    .undone_by([undo]);
            }
        }
    }
}
