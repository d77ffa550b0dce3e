//! Whether the state still changes from run to run.

use crate::identifiers::RunNumber;
use crate::observations::{Change, ChangeKind, Rehearsal};

/// Whether changes are more than the same things made anew.
pub fn changes_state(changes: &[Change]) -> bool {
    changes
        .iter()
        .any(|change| !matches!(change.kind, ChangeKind::ObjectRecreated | ChangeKind::RoleRecreated))
}

/// The run after which the state no longer changed; none where it changed to the last, or where only one was made.
pub fn settled(rehearsal: &Rehearsal) -> Option<RunNumber> {
    let last = rehearsal.runs.last()?;
    let first = rehearsal.runs.first()?;
    let changed = rehearsal.runs.iter().rfind(|run| changes_state(&run.changes)).unwrap_or(first);
    (changed.run < last.run).then_some(changed.run)
}
