//! How many there are of each kind of thing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::acl::Acl;
use super::super::labels::relation_word;
use super::super::snapshot::Snapshot;
use super::super::tables::{Key, Table};
use super::{States, moving, plain};
use crate::observations::{Measure, Series};

/// Columns that a table can have, dropped ones among them (PostgreSQL manual, appendix K).
const COLUMNS: i64 = 1600;

/// Whose things are counted together, as OIDs and a kind.
type Group = (u32, u32, char);

pub(super) fn series(states: &States) -> Vec<Series> {
    let mut found = Vec::new();
    let mut add = |series: Vec<Series>| found.extend(series);
    let relation = |state: &Snapshot, (oid, ..): Group| {
        state.tables.relations.oid(oid).map(|row| state.label_of_relation(row))
    };
    let everywhere = |_: &Snapshot, _: Group| Some("the server".to_owned());
    let database =
        |state: &Snapshot, _: Group| Some(format!("database {}", state.database_name(state.database)));
    let role = |state: &Snapshot, (oid, ..): Group| {
        state.role_row(oid).map(|_| format!("role {}", state.role_sql(oid)))
    };
    let schema = |state: &Snapshot, (oid, ..): Group| {
        state.tables.schemas.oid(oid).map(|_| format!("schema {}", state.schema(oid)))
    };
    let always = (0, 0, ' ');

    add(counted(states, |s| &s.tables.roles, "role", everywhere, |_, _, _| Some(always)));
    add(counted(states, |s| &s.tables.databases, "database", everywhere, |_, _, _| Some(always)));
    add(counted(states, |s| &s.tables.members, "membership", role, |_, (role, ..), _| Some((role, 0, ' '))));
    add(counted(states, |s| &s.tables.schemas, "schema", database, |_, _, _| Some(always)));
    for (kinds, noun) in [(&['r', 'p'][..], 'r'), (&['v'], 'v'), (&['m'], 'm'), (&['S'], 'S'), (&['f'], 'f')]
    {
        add(counted(
            states,
            |s| &s.tables.relations,
            relation_word(noun),
            schema,
            move |_, _, row| kinds.contains(&row.kind).then_some((row.schema, 0, noun)),
        ));
    }
    add(counted(states, |s| &s.tables.functions, "function", schema, |_, _, row| Some((row.schema, 0, ' '))));
    add(counted(states, |s| &s.tables.types, "type", schema, |_, _, row| Some((row.schema, 0, ' '))));
    let mut columns = counted(
        states,
        |s| &s.tables.columns,
        "column",
        relation,
        |state, (oid, ..), _| {
            let kind = state.tables.relations.oid(oid)?.kind;
            matches!(kind, 'r' | 'p' | 'f').then_some((oid, 0, ' '))
        },
    );
    for series in &mut columns {
        series.limit_words = format!("a table can have {COLUMNS} columns, dropped ones among them");
        for reading in series.readings.iter_mut().flatten() {
            reading.limit = Some(COLUMNS);
        }
    }
    add(columns);
    add(counted(
        states,
        |s| &s.tables.inheritance,
        "partition",
        relation,
        |_, _, row| Some((row.parent, 0, ' ')),
    ));
    add(counted(
        states,
        |s| &s.tables.constraints,
        "constraint",
        relation,
        |_, _, row| Some((row.relation, 0, ' ')),
    ));
    add(counted(states, |s| &s.tables.indexes, "index", relation, |_, _, row| Some((row.relation, 0, ' '))));
    add(counted(
        states,
        |s| &s.tables.triggers,
        "trigger",
        relation,
        |_, _, row| (!row.internal).then_some((row.relation, 0, ' ')),
    ));
    add(counted(
        states,
        |s| &s.tables.rules,
        "rule",
        relation,
        |_, _, row| (&*row.name != "_RETURN").then_some((row.relation, 0, ' ')),
    ));
    add(counted(
        states,
        |s| &s.tables.policies,
        "policy",
        relation,
        |_, _, row| Some((row.relation, 0, ' ')),
    ));
    let of_type = |state: &Snapshot, (oid, ..): Group| {
        state.tables.types.oid(oid).map(|_| format!("type {}", state.type_name(oid, -1)))
    };
    add(counted(states, |s| &s.tables.enum_labels, "label", of_type, |_, _, row| Some((row.of, 0, ' '))));
    add(counted(states, |s| &s.tables.event_triggers, "event trigger", database, |_, _, _| Some(always)));
    add(counted(states, |s| &s.tables.publications, "publication", database, |_, _, _| Some(always)));
    add(counted(states, |s| &s.tables.foreign_servers, "foreign server", database, |_, _, _| Some(always)));
    add(grants(states));
    found
}

/// Series of the rows of a catalog, for each group of them that a row came to or went from.
fn counted<'a, R: PartialEq + 'a>(
    states: &States<'a>,
    table: impl Fn(&'a Snapshot) -> &'a Table<R> + Copy,
    noun: &str,
    label: impl Fn(&Snapshot, Group) -> Option<String>,
    group: impl Fn(&Snapshot, Key, &R) -> Option<Group>,
) -> Vec<Series> {
    let mut groups = BTreeSet::new();
    states.touched(table, |state, key, row| groups.extend(group(state, key, row)));
    let Some(last) = states.last().filter(|_| !groups.is_empty()) else { return Vec::new() };
    // Each catalog is gone through once for all groups.
    let mut counts: Vec<BTreeMap<Group, i64>> = Vec::new();
    for state in states.iter() {
        let mut counted = BTreeMap::new();
        for (key, row) in table(state).iter() {
            if let Some(of) = group(state, key, row).filter(|of| groups.contains(of)) {
                *counted.entry(of).or_default() += 1;
            }
        }
        counts.push(counted);
    }
    let mut found = Vec::new();
    for of in groups {
        let Some(object) = label(last, of) else { continue };
        let readings = states.iter().zip(&counts).map(|(state, counts)| {
            let count = counts.get(&of).copied().unwrap_or_default();
            label(state, of).map(|_| plain(count))
        });
        found.extend(moving(Measure::Things, noun, object, readings.collect()));
    }
    found
}

/// How many privileges the lists of objects give.
fn grants(states: &States) -> Vec<Series> {
    let mut found = Vec::new();
    let mut relations = BTreeSet::new();
    states.touched(
        |s| &s.tables.relations,
        |_, (oid, ..), _| {
            relations.insert(oid);
        },
    );
    for oid in relations {
        let Some(object) = states
            .last()
            .and_then(|last| last.tables.relations.oid(oid).map(|row| last.label_of_relation(row)))
        else {
            continue;
        };
        found.extend(states.one(Measure::Things, "grant", object, |state| {
            state.tables.relations.oid(oid).map(|row| plain(privileges(row.acl.as_ref())))
        }));
    }
    let mut functions = BTreeSet::new();
    states.touched(
        |s| &s.tables.functions,
        |_, (oid, ..), _| {
            functions.insert(oid);
        },
    );
    for oid in functions {
        let object = states.last().map(|last| last.function_label(oid)).unwrap_or_default();
        found.extend(states.one(Measure::Things, "grant", object, |state| {
            state.tables.functions.oid(oid).map(|row| plain(privileges(row.acl.as_ref())))
        }));
    }
    let mut schemas = BTreeSet::new();
    states.touched(
        |s| &s.tables.schemas,
        |_, (oid, ..), _| {
            schemas.insert(oid);
        },
    );
    for oid in schemas {
        let object = states.last().map(|last| format!("schema {}", last.schema(oid))).unwrap_or_default();
        found.extend(states.one(Measure::Things, "grant", object, |state| {
            state.tables.schemas.oid(oid).map(|row| plain(privileges(row.acl.as_ref())))
        }));
    }
    let mut defaults = BTreeSet::new();
    states.touched(
        |s| &s.tables.default_privileges,
        |_, _, row| {
            defaults.insert(row.role);
        },
    );
    for role in defaults {
        let object = states.last().map(|last| format!("role {}", last.role_sql(role))).unwrap_or_default();
        found.extend(states.one(Measure::Things, "default privilege", object, |state| {
            let rows = state.tables.default_privileges.iter().filter(|(_, row)| row.role == role);
            Some(plain(rows.map(|(_, row)| privileges(Some(&row.acl))).sum()))
        }));
    }
    found
}

fn privileges(acl: Option<&Acl>) -> i64 {
    let grants = acl.into_iter().flat_map(|acl| &acl.0);
    grants.map(|grant| super::count(grant.privileges.each().count())).sum()
}
