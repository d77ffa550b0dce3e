//! What a role does with the queues of pgmq, whose functions act with the rights of whoever calls them: each queue is a
//! table `pgmq.q_NAME`, beside the table `pgmq.a_NAME` of what was archived.

use super::held::{Held, Relation};
use super::{Candidate, Duty};
use crate::identifiers::{RoleName, quote_literal};

/// The duties of a role, by queue: those for which it has the privileges, as far as this pgmq has the function.
pub(super) fn duties(role: &RoleName, held: &Held) -> Vec<Duty> {
    let own = || held.relations.iter().filter(|relation| relation.role == role.as_str());
    let has = |relation: &Relation, wanted: &[&str]| {
        wanted.iter().all(|wanted| relation.privileges.iter().any(|privilege| privilege == wanted))
    };
    let mut duties = Vec::new();
    for table in own() {
        let Some(queue) = table.object.label.strip_prefix("pgmq.q_") else { continue };
        let archive = own().find(|table| table.object.label == format!("pgmq.a_{queue}"));
        let archive = archive.filter(|archive| has(archive, &["INSERT", "SELECT"]));
        let (name, of) = (quote_literal(queue), &table.object.sql);
        let first = format!("(SELECT min(msg_id) FROM {of})");
        // Rows of either are made up, so that one may be in both.
        let unarchived = archive.map(|archive| {
            format!(
                "(SELECT min(msg_id) FROM {of} WHERE msg_id NOT IN (SELECT msg_id FROM {}))",
                archive.object.sql
            )
        });
        // What is read or taken is locked for it first, which takes UPDATE.
        let all: [(&str, bool, String); 5] = [
            ("send", has(table, &["INSERT"]), format!("SELECT pgmq.send({name}, '{{}}'::jsonb)")),
            ("read", has(table, &["SELECT", "UPDATE"]), format!("SELECT * FROM pgmq.read({name}, 30, 1)")),
            ("pop", has(table, &["SELECT", "UPDATE", "DELETE"]), format!("SELECT * FROM pgmq.pop({name})")),
            ("delete", has(table, &["SELECT", "DELETE"]), format!("SELECT pgmq.delete({name}, {first})")),
            (
                "archive",
                archive.is_some() && has(table, &["SELECT", "DELETE"]),
                format!("SELECT pgmq.archive({name}, {})", unarchived.unwrap_or(first)),
            ),
        ];
        for (function, may, sql) in all {
            if may && held.queueing.contains(function) {
                let candidates = vec![Candidate::finding(sql.clone()), Candidate::new(sql)];
                duties.push(Duty { name: format!("pgmq.{function} of the queue {queue}"), candidates });
            }
        }
    }
    duties
}
