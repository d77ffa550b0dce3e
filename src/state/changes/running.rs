//! What was left running or lying about.

use super::super::running::Locked;
use super::{Diff, Place};
use crate::identifiers::{quote_literal, written_identifier};
use crate::observations::ChangeKind;

impl Diff<'_> {
    pub(super) fn running(&mut self) {
        let (before, after) = (self.before, self.after);
        let (was, is) = (&before.running, &after.running);
        for (pid, session) in &is.sessions {
            let label = format!("session {pid}");
            let role = after.role(session.role);
            let end = format!("SELECT pg_catalog.pg_terminate_backend({pid})");
            let old = was
                .sessions
                .get(pid)
                .filter(|old| old.role == session.role && old.application == session.application);
            if old.is_none() {
                let detail =
                    format!("{} on database {}: {}", session.application, session.database, session.state);
                self.tell(Place::Left, ChangeKind::SessionLeft, label.clone(), detail)
                    .of(role.clone())
                    .undone_by([end.clone()]);
            }
            if session.in_transaction && !old.is_some_and(|old| old.in_transaction) {
                let detail = if session.has_written { "it has written" } else { "it has written nothing" };
                self.tell(Place::Left, ChangeKind::TransactionLeftOpen, label, detail)
                    .of(role)
                    .undone_by([end]);
            }
        }
        for (pid, what, mode) in is.locks.difference(&was.locks) {
            // That it reads catalogs stands in nobody's way.
            let object = match what {
                Locked::Relation(oid) if after.tables.relations.oid(*oid).is_some_and(|_| *oid >= 16384) => {
                    after.relation_label(*oid)
                }
                Locked::Relation(_) => continue,
                Locked::Advisory(high, low) => format!("advisory lock {high} {low}"),
            };
            let role = is.sessions.get(pid).map(|session| after.role(session.role));
            let end = format!("SELECT pg_catalog.pg_terminate_backend({pid})");
            let detail = format!("{mode}, held by session {pid}");
            self.tell(Place::Left, ChangeKind::LockLeft, object, detail).undone_by([end]).role = role;
        }
        // Those of workers are theirs.
        for (schema, name, owner) in is.temporary.difference(&was.temporary) {
            if is.sessions.values().any(|session| session.role == *owner) {
                let label = format!("temporary table {}", written_identifier(name));
                let role = after.role(*owner);
                let undo = format!(
                    "DROP TABLE IF EXISTS {}.{}",
                    written_identifier(schema),
                    written_identifier(name)
                );
                self.tell(Place::Left, ChangeKind::TemporaryObjectLeft, label, "").of(role).undone_by([undo]);
            }
        }
        for (name, (owner, database)) in
            is.prepared.iter().filter(|(name, _)| !was.prepared.contains_key(*name))
        {
            let name = quote_literal(name);
            let detail = format!("of {owner} in database {database}; its locks stay until it is ended");
            self.tell(
                Place::Left,
                ChangeKind::PreparedTransactionLeft,
                format!("prepared transaction {name}"),
                detail,
            )
            .of(crate::identifiers::RoleName::new(owner))
            .undone_by([format!("ROLLBACK PREPARED {name}")]);
        }
        for (name, (kind, database)) in is.slots.iter().filter(|(name, _)| !was.slots.contains_key(*name)) {
            let undo = format!("SELECT pg_catalog.pg_drop_replication_slot({})", quote_literal(name));
            let database =
                if database.is_empty() { String::new() } else { format!(" of database {database}") };
            let detail = format!("{kind}{database}; the server keeps all WAL from here on for it");
            let label = format!("replication slot {}", written_identifier(name));
            self.tell(Place::Left, ChangeKind::ReplicationSlotLeft, label, detail).undone_by([undo]);
        }
    }
}
