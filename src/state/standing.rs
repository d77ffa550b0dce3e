//! What a state shows that may harm somebody later: limits and dates of roles, and things that were left halfway.

mod objects;
mod owners;

use std::collections::BTreeSet;

use super::series::{capacity, capacity_words, moment};
use super::snapshot::{Settings, Snapshot};
use crate::identifiers::{RoleName, quote_literal, written_identifier};
use crate::observations::{Needs, Oddity, OddityKind, Standing};

/// What the state after the last run shows, and whether that was so before the first.
pub fn standing(before: &Snapshot, after: &Snapshot, needs: Needs) -> Standing {
    let mut oddities = oddities(after);
    let known = self::oddities(before);
    for oddity in &mut oddities {
        oddity.new = !known.contains(oddity);
    }
    oddities.extend(objects::made_worse(before, after));
    oddities.extend(owners::out_of_reach(before, after));
    oddities.extend(owners::default_privileges_of_another(before, after));
    oddities.extend(not_in_force(before, after));
    Standing { now: after.running.now, oddities, needs }
}

fn oddity(kind: OddityKind, object: String) -> Oddity {
    Oddity { kind, object, role: None, number: None, detail: String::new(), new: false }
}

/// What can be said of a state without knowing any other.
fn oddities(state: &Snapshot) -> Vec<Oddity> {
    let mut found = roles(state);
    if let Some(row) = state.tables.databases.oid(state.database).filter(|row| row.connection_limit >= 0) {
        found.push(Oddity {
            number: Some(row.connection_limit.into()),
            ..oddity(OddityKind::DatabaseLimit, format!("database {}", state.database_name(state.database)))
        });
    }
    if let Some(capacity) = capacity(state) {
        found.push(Oddity {
            number: Some(capacity),
            detail: capacity_words(state),
            ..oddity(OddityKind::ServerLimit, "setting max_connections".to_owned())
        });
    }
    found.extend(objects::halfway(state));
    found.extend(left(state));
    found
}

fn roles(state: &Snapshot) -> Vec<Oddity> {
    let mut found = Vec::new();
    for ((oid, ..), row) in state.tables.roles.iter().filter(|(_, row)| row.login) {
        let object = format!("role {}", state.role_sql(oid));
        let role = Some(RoleName::new(&*row.name));
        if let Some(until) = &row.valid_until
            && let Some(moment) = moment(until)
        {
            let number = Some(moment);
            let detail = until.split('.').next().unwrap_or_default().to_owned();
            let kind = OddityKind::PasswordExpires;
            found.push(Oddity { role: role.clone(), number, detail, ..oddity(kind, object.clone()) });
        }
        // It does not hold for superusers (PostgreSQL manual, CREATE ROLE).
        if row.connection_limit >= 0 && !row.superuser {
            let number = Some(row.connection_limit.into());
            found.push(Oddity { role, number, ..oddity(OddityKind::RoleLimit, object) });
        }
    }
    found
}

/// What was left running that does more harm the longer it stays.
fn left(state: &Snapshot) -> Vec<Oddity> {
    let mut found = Vec::new();
    for (pid, session) in &state.running.sessions {
        let object = format!("session {pid}");
        let role = Some(state.role(session.role));
        if state.role_row(session.role).is_none() {
            found.push(Oddity {
                detail: session.application.clone(),
                ..oddity(OddityKind::SessionOfNobody, object.clone())
            });
        }
        if session.in_transaction {
            let detail = session.application.clone();
            found.push(Oddity { role, detail, ..oddity(OddityKind::TransactionLeft, object) });
        }
    }
    for name in state.running.prepared.keys() {
        found.push(oddity(
            OddityKind::PreparedTransaction,
            format!("prepared transaction {}", quote_literal(name)),
        ));
    }
    for name in state.running.slots.keys() {
        found.push(oddity(
            OddityKind::ReplicationSlot,
            format!("replication slot {}", written_identifier(name)),
        ));
    }
    found
}

/// Settings of the server's files that have changed and are not what the server goes by.
fn not_in_force(before: &Snapshot, after: &Snapshot) -> Vec<Oddity> {
    let (was, is) = (&before.settings, &after.settings);
    let names: BTreeSet<_> = was.files.keys().chain(is.files.keys()).collect();
    let value =
        |settings: &Settings, name: &String| settings.files.get(name).map(|setting| setting.value.clone());
    let pending = names.into_iter().filter(|name| {
        let now = value(is, name);
        now != value(was, name)
            && was.in_force.get(*name) == is.in_force.get(*name)
            && (now.is_none() || now.as_ref() != is.in_force.get(*name))
    });
    pending
        .map(|name| Oddity {
            detail: is
                .files
                .get(name)
                .map_or_else(|| "its default".to_owned(), |setting| setting.value.clone()),
            new: true,
            ..oddity(OddityKind::SettingNotInForce, format!("setting {name}"))
        })
        .collect()
}
