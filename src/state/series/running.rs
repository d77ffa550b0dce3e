//! What is left running, against what the server has room for.

use std::collections::BTreeSet;

use super::super::snapshot::Snapshot;
use super::{Reading, States, count};
use crate::observations::{Measure, Needs, Series};

pub(super) fn series(states: &States, needs: &Needs) -> Vec<Series> {
    let mut found = Vec::new();
    let Some(last) = states.last() else { return found };
    let limit = |state: &Snapshot, name: &str| state.running.limits.get(name).copied();
    let sessions = states.one(Measure::Sessions, "session", "the server".to_owned(), |state| {
        Some(Reading { value: count(state.running.sessions.len()), limit: capacity(state) })
    });
    found.extend(sessions.map(|series| Series {
        needed: needs.all,
        limit_words: capacity_words(last),
        ..series
    }));
    found.extend(of_roles(states, last, needs));
    found.extend(of_database(states, last, needs));
    for (noun, setting) in
        [("replication slot", "max_replication_slots"), ("prepared transaction", "max_prepared_transactions")]
    {
        let series = states.one(Measure::Things, noun, "the server".to_owned(), |state| {
            let running = &state.running;
            let all = if noun == "replication slot" { running.slots.len() } else { running.prepared.len() };
            Some(Reading { value: count(all), limit: limit(state, setting) })
        });
        let most = limit(last, setting).unwrap_or_default();
        found.extend(series.map(|series| Series { limit_words: format!("{setting} = {most}"), ..series }));
    }
    // The table of locks has room for so many (PostgreSQL manual, 20.12).
    let table = |state: &Snapshot| {
        let each = limit(state, "max_locks_per_transaction")?;
        let transactions =
            limit(state, "max_connections")?.checked_add(limit(state, "max_prepared_transactions")?)?;
        each.checked_mul(transactions)
    };
    let locks = states.one(Measure::Things, "lock", "the server".to_owned(), |state| {
        Some(Reading { value: count(state.running.locks.len()), limit: table(state) })
    });
    found.extend(locks.map(|series| Series {
        limit_words:
            "max_locks_per_transaction for each of max_connections and max_prepared_transactions".to_owned(),
        ..series
    }));
    found
}

/// Connections that ordinary roles can have (PostgreSQL manual, 20.3).
pub(in crate::state) fn capacity(state: &Snapshot) -> Option<i64> {
    let limit = |name: &str| state.running.limits.get(name).copied();
    let reserved = limit("superuser_reserved_connections").unwrap_or_default()
        + limit("reserved_connections").unwrap_or_default();
    Some(limit("max_connections")? - reserved)
}

/// Where that comes from.
pub(in crate::state) fn capacity_words(state: &Snapshot) -> String {
    let all = state.running.limits.get("max_connections").copied().unwrap_or_default();
    format!("max_connections = {all}, {} of them for ordinary roles", capacity(state).unwrap_or_default())
}

/// A role's sessions against its own limit, which does not hold for superusers.
fn of_roles(states: &States, last: &Snapshot, needs: &Needs) -> Vec<Series> {
    let mut roles = BTreeSet::new();
    states.touched(
        |s| &s.tables.roles,
        |_, (oid, ..), _| {
            roles.insert(oid);
        },
    );
    for state in states.iter() {
        roles.extend(state.running.sessions.values().map(|session| session.role));
    }
    let mut found = Vec::new();
    for oid in roles {
        let Some(row) = last.role_row(oid).filter(|row| row.connection_limit >= 0 && !row.superuser) else {
            continue;
        };
        let object = format!("role {}", last.role_sql(oid));
        let series = states.one(Measure::Sessions, "session", object, |state| {
            let left = state.running.sessions.values().filter(|session| session.role == oid).count();
            let limit = i64::from(state.role_row(oid)?.connection_limit);
            Some(Reading { value: count(left), limit: (limit >= 0).then_some(limit) })
        });
        // Of a role that no worker has, somebody will want to log in.
        let needed = needs.of(&row.name).max(i64::from(row.login));
        let limit_words = format!("CONNECTION LIMIT {} of the role", row.connection_limit);
        found.extend(series.map(|series| Series { needed, limit_words, ..series }));
    }
    found
}

fn of_database(states: &States, last: &Snapshot, needs: &Needs) -> Option<Series> {
    let oid = last.database;
    let row = last.tables.databases.oid(oid).filter(|row| row.connection_limit >= 0)?;
    let object = format!("database {}", last.database_name(oid));
    let series = states.one(Measure::Sessions, "session", object, |state| {
        let row = state.tables.databases.oid(oid)?;
        let left = state.running.sessions.values().filter(|session| *session.database == *row.name).count();
        let limit = i64::from(row.connection_limit);
        Some(Reading { value: count(left), limit: (limit >= 0).then_some(limit) })
    })?;
    let limit_words = format!("CONNECTION LIMIT {} of the database", row.connection_limit);
    Some(Series { needed: needs.all.max(1), limit_words, ..series })
}
