//! What a role does with schemas and the rest, and the roles that it becomes.

use super::held::Held;
use super::{Candidate, Duty};
use crate::identifiers::{RoleName, written_identifier};

/// The duties of a role.
pub(super) fn duties(role: &RoleName, held: &Held) -> Vec<Duty> {
    let own = held.others.iter().filter(|other| other.role == role.as_str());
    let asked = own.map(|other| {
        let privileges: Vec<&str> = other.privileges.iter().map(String::as_str).collect();
        let function = format!("has_{}_privilege", other.kind);
        // Types are written as SQL has them.
        Duty {
            name: format!("{} on the {} {}", privileges.join(", "), other.kind.replace('_', " "), other.name),
            candidates: vec![Candidate::asking(&function, &other.name, &privileges)],
        }
    });
    let groups = held.members.iter().filter(|(member, _)| member == role.as_str());
    let becomes = groups.map(|(_, group)| Duty {
        name: format!("membership in {group}"),
        candidates: vec![Candidate::new(format!("SET LOCAL ROLE {}", written_identifier(group)))],
    });
    asked.chain(becomes).collect()
}
