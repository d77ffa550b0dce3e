//! The text of every question that is asked.

use std::collections::BTreeSet;

use super::catalogs::Catalog;
use super::tables::Key;
use crate::identifiers::quote_literal;

pub(super) const PRELUDE: &str = include_str!("sql/prelude.sql");
/// What the next transaction will be, and the oldest one whose changes may not have been seen (PostgreSQL manual,
/// 9.27.9).
pub(super) const CLOCK: &str = "SELECT 'clock', pg_catalog.age('3'::pg_catalog.xid), pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())";
const RUNNING: &str = include_str!("sql/running.sql");
pub(super) const SETTINGS: &str = include_str!("sql/settings.sql");

/// Where every sequence is, asked at a time when nobody has locked one.
pub const POSITIONS: &str = "SELECT c.oid, pg_catalog.pg_sequence_last_value(c.oid) FROM pg_catalog.pg_class AS c \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't'";

/// How long a definition is waited for whose table somebody has locked.
const PATIENCE: &str = "SELECT 'path', pg_catalog.set_config('lock_timeout', '200ms', true)";

/// Which rows of a catalog are asked for.
pub(super) enum Which<'a> {
    All,
    /// Written by that transaction or a later one.
    Since(u32),
    These(&'a [Key]),
}

/// The query of a catalog for a version: its list of columns, and what stands behind.
fn parts(catalog: Catalog, version: u32) -> (String, String) {
    let mut list = String::new();
    let mut from = String::new();
    let mut behind = false;
    for line in catalog.sql().lines().filter(|line| !line.starts_with("--") && *line != "SELECT") {
        let (line, mark) = line.split_once(" -- ").unwrap_or((line, ""));
        let wanted = match (mark.strip_prefix('<'), mark.strip_suffix('+')) {
            (Some(below), _) => below.parse().is_ok_and(|below: u32| version < below),
            (_, Some(least)) => least.parse().is_ok_and(|least: u32| version >= least),
            _ => true,
        };
        behind |= line.starts_with("FROM ");
        if wanted {
            let part = if behind { &mut from } else { &mut list };
            part.push_str(line.trim());
            part.push(' ');
        }
    }
    (list, from)
}

/// The list of columns with the text of `{acl COLUMN}`, and that column.
fn with_acls(list: &str) -> (String, Option<&str>) {
    let parts = list.split_once("{acl ").and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (column, after))) => (format!("{before}x.told{after}"), Some(column)),
        None => (list.to_owned(), None),
    }
}

/// Joins each list of privileges as the text that [`super::acl::Acl::parse`] reads; NULL stays NULL. A thousand tables
/// have a few lists between them, so that each list is taken apart once: `OFFSET 0` keeps the planner from doing it for
/// every row.
fn join_acls(column: &str, from: &str) -> String {
    let (tables, condition) = from.split_once("WHERE ").unwrap_or((from, "true"));
    format!(
        "{tables}LEFT JOIN (SELECT d.acl, coalesce((SELECT pg_catalog.string_agg(a.grantee || '/' || a.grantor || '/' \
         || a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ',') \
         FROM pg_catalog.aclexplode(d.acl) AS a), '') AS told \
         FROM (SELECT DISTINCT {column} AS acl {from} AND {column} IS NOT NULL) AS d OFFSET 0) AS x ON x.acl = {column} \
         WHERE {condition}"
    )
}

/// The three parts of a key; those that a catalog does not need are 0.
fn keys(catalog: Catalog) -> String {
    let mut keys = catalog.keys().to_vec();
    keys.resize(3, "0");
    keys.join(", ")
}

/// Rows: the catalog's name, xmin, the key, and then the columns.
pub(super) fn rows(catalog: Catalog, version: u32, which: &Which) -> String {
    let (list, from) = parts(catalog, version);
    let condition = match which {
        Which::All => String::new(),
        Which::Since(oldest) => format!("AND {}", fresh(*oldest)),
        Which::These(wanted) => {
            let wanted: Vec<_> = wanted.iter().map(|(a, b, c)| format!("({a}, {b}, {c})")).collect();
            format!("AND ({}) IN ({})", keys(catalog), wanted.join(", "))
        }
    };
    let from = format!("{from}{condition}");
    let (list, acl) = with_acls(&list);
    let from = acl.map_or(from.clone(), |column| join_acls(column, &from));
    format!("SELECT '{}', t.xmin, {}, {list}{from}", catalog.name(), keys(catalog))
}

/// Roles from where everybody may read them.
pub(super) fn public_roles() -> String {
    let text: Vec<_> = include_str!("sql/roles_public.sql")
        .lines()
        .filter(|line| !line.starts_with("--") && *line != "SELECT")
        .collect();
    format!("SELECT 'roles', 0, t.oid, 0, 0, {}", text.join(" "))
}

/// Count and sums of a catalog's rows, and how many of them that transaction or a later one has written: one look at
/// each catalog tells whether more must be asked.
pub(super) fn fingerprint(catalog: Catalog, version: u32, since: u32) -> String {
    let (_, from) = parts(catalog, version);
    let sum: Vec<_> = catalog.keys().iter().map(|key| format!("{key}::pg_catalog.int8")).collect();
    let (name, sum, fresh) = (catalog.name(), sum.join(" + "), fresh(since));
    let sums = format!("pg_catalog.count(*), pg_catalog.sum({sum}), pg_catalog.sum(pg_catalog.age(t.xmin))");
    match (catalog.summed_below(), catalog.keys().first(), from.split_once("WHERE ")) {
        // Most of the time goes into the one look at all rows, which therefore asks for nothing else.
        (below, Some(key), Some((table, _))) if below < u32::MAX => format!(
            "SELECT 'fingerprint', '{name}', s.*, (SELECT pg_catalog.count(*) {table}WHERE {fresh}) \
             FROM (SELECT {sums} {from}AND {key} < {below}) AS s"
        ),
        _ => format!(
            "SELECT 'fingerprint', '{name}', {sums}, pg_catalog.count(*) FILTER (WHERE {fresh}) {from}"
        ),
    }
}

/// Whether a row was written by that transaction or a later one. The subquery is carried out once, not for every row.
fn fresh(since: u32) -> String {
    format!("pg_catalog.age(t.xmin) <= (SELECT pg_catalog.age('{since}'::pg_catalog.xid))")
}

/// Every key of a catalog with its xmin.
pub(super) fn all_keys(catalog: Catalog, version: u32) -> String {
    let (_, from) = parts(catalog, version);
    let keys = keys(catalog).replace(", ", ", ' ', ");
    format!(
        "SELECT 'keys', '{}', pg_catalog.string_agg(pg_catalog.concat(t.xmin, ' ', {keys}), ',') {from}",
        catalog.name()
    )
}

/// What is running, but for sessions of these applications.
pub(super) fn running(known: &[String]) -> String {
    let known: Vec<_> = known.iter().map(|name| quote_literal(name)).collect();
    RUNNING.replace("{known}", &format!("ARRAY[{}]::pg_catalog.text[]", known.join(", ")))
}

/// The catalogs whose rows have a definition as text: how it is had, and whether that could wait for a lock (the
/// server opens the tables that are named in an expression or a query).
pub(super) const DEFINED: &[(Catalog, bool, &str)] = &[
    (
        Catalog::Relation,
        true,
        "pg_catalog.pg_get_expr(t.relpartbound, t.oid) FROM pg_catalog.pg_class AS t WHERE t.relispartition",
    ),
    (
        Catalog::ColumnDefault,
        true,
        "pg_catalog.pg_get_expr(t.adbin, t.adrelid) FROM pg_catalog.pg_attrdef AS t WHERE true",
    ),
    (
        Catalog::Constraint,
        false,
        "pg_catalog.pg_get_constraintdef(t.oid) FROM pg_catalog.pg_constraint AS t WHERE t.oid >= 16384",
    ),
    (
        Catalog::Index,
        false,
        "pg_catalog.pg_get_indexdef(t.indexrelid) FROM pg_catalog.pg_index AS t WHERE t.indexrelid >= 16384",
    ),
    (
        Catalog::Trigger,
        false,
        "pg_catalog.pg_get_triggerdef(t.oid) FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal",
    ),
    (
        Catalog::Rule,
        true,
        "CASE WHEN t.rulename = '_RETURN' THEN pg_catalog.pg_get_viewdef(t.ev_class) ELSE pg_catalog.pg_get_ruledef(t.oid) END \
         FROM pg_catalog.pg_rewrite AS t WHERE t.oid >= 16384",
    ),
    (
        Catalog::Policy,
        true,
        "pg_catalog.concat(' USING (' || pg_catalog.pg_get_expr(t.polqual, t.polrelid) || ')', \
         ' WITH CHECK (' || pg_catalog.pg_get_expr(t.polwithcheck, t.polrelid) || ')') FROM pg_catalog.pg_policy AS t WHERE true",
    ),
    (
        Catalog::Function,
        true,
        "pg_catalog.pg_get_functiondef(t.oid) FROM pg_catalog.pg_proc AS t WHERE t.prokind <> 'a' AND t.oid >= 16384",
    ),
];

/// Definitions of all rows of a catalog; or of some, and of those that depend on some tables and functions or on the
/// types of these tables' rows (PostgreSQL manual, 52.18). 1247 is pg_type, 1255 is pg_proc, 1259 is pg_class.
pub(super) fn definitions(
    catalog: Catalog,
    text: &str,
    which: Option<(&BTreeSet<u32>, &BTreeSet<u32>)>,
) -> String {
    let key = catalog.keys().first().copied().unwrap_or("t.oid");
    // No object has the OID 0.
    let list = |oids: &BTreeSet<u32>| {
        std::iter::once(0)
            .chain(oids.iter().copied())
            .map(|oid| oid.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let condition = match which {
        None => String::new(),
        Some((some, renamed)) if renamed.is_empty() => format!(" AND {key} IN ({})", list(some)),
        Some((some, renamed)) => {
            let (some, renamed) = (list(some), list(renamed));
            format!(
                " AND {key} = ANY (ARRAY(SELECT d.objid FROM pg_catalog.pg_depend AS d \
                 WHERE d.refclassid IN (1247, 1255, 1259) AND (d.refobjid IN ({renamed}) OR d.refobjid IN \
                 (SELECT c.reltype FROM pg_catalog.pg_class AS c WHERE c.oid IN ({renamed}))) \
                 UNION SELECT pg_catalog.unnest(ARRAY[{some}]::pg_catalog.oid[])))"
            )
        }
    };
    format!("SELECT 'definition', '{}', {key}, {text}{condition}", catalog.name())
}

/// How types are written (PostgreSQL manual, 9.27.4).
pub(super) fn type_names(types: &[(u32, i32)]) -> String {
    let types: Vec<_> = types.iter().map(|(oid, modifier)| format!("({oid}, {modifier})")).collect();
    format!(
        "SELECT 'type', t.oid, t.modifier, pg_catalog.format_type(t.oid::pg_catalog.oid, t.modifier) \
         FROM (VALUES {}) AS t (oid, modifier)",
        types.join(", ")
    )
}

/// Where some sequences are. The server locks each until the statement has ended, so that many are asked for in
/// several statements.
pub(super) fn positions(from: usize, count: Option<usize>) -> String {
    let count = count.map_or_else(|| "ALL".to_owned(), |count| count.to_string());
    format!(
        "{PATIENCE}; SELECT 'position', s.oid, pg_catalog.pg_sequence_last_value(s.oid) FROM (\
         SELECT t.oid FROM pg_catalog.pg_class AS t WHERE t.relkind = 'S' AND t.relpersistence <> 't' \
         ORDER BY t.oid OFFSET {from} LIMIT {count}) AS s"
    )
}

/// Puts statements into one query string in which only PostgreSQL's own names are found without a schema. A path
/// that is given is put back, for the connection may be in the middle of somebody's transaction.
pub(super) fn framed(statements: &[String], path: Option<&str>, patient: bool) -> String {
    let mut all = vec!["SELECT 'path', pg_catalog.set_config('search_path', 'pg_catalog', true)".to_owned()];
    if patient {
        all.push(PATIENCE.to_owned());
    }
    all.extend(statements.iter().cloned());
    if let Some(path) = path {
        all.push(format!(
            "SELECT 'path', pg_catalog.set_config('search_path', {}, true)",
            quote_literal(path)
        ));
    }
    all.join(";\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_has_its_parts_for_every_version() {
        for catalog in Catalog::ALL {
            for version in [13, 14, 15, 16, 17, 18] {
                let sql = rows(*catalog, version, &Which::All);
                assert!(sql.contains(" FROM pg_catalog.pg_") && sql.contains(" WHERE "), "{sql}");
                assert!(!sql.contains("--") && !sql.contains("{acl"), "{sql}");
            }
        }
    }

    #[test]
    fn lines_are_chosen_by_version() {
        assert!(rows(Catalog::Member, 16, &Which::All).contains("t.inherit_option, t.set_option FROM"));
        assert!(rows(Catalog::Member, 13, &Which::All).contains("NULL, NULL FROM"));
        assert!(rows(Catalog::Constraint, 17, &Which::All).contains("true, pg_catalog.hash"));
    }
}
