//! What a role does with functions and procedures.

use super::held::{Held, Routine};
use super::{Candidate, Duty};
use crate::identifiers::RoleName;

/// The duties of a role, by function.
pub(super) fn duties(role: &RoleName, held: &Held) -> Vec<Duty> {
    let own = held.routines.iter().filter(|routine| routine.role == role.as_str());
    own.map(|routine| Duty {
        name: format!("EXECUTE on {}", routine.signature),
        candidates: candidates(routine),
    })
    .collect()
}

/// A function that changes nothing is called. One that may is only planned and begun: privileges are looked at, and its
/// name and arguments resolved, whether or not there is a row to call it for.
fn candidates(routine: &Routine) -> Vec<Candidate> {
    let asked = Candidate::asking("has_function_privilege", &routine.signature, &["EXECUTE"]);
    if routine.procedure {
        return vec![asked];
    }
    let call = |argument: &dyn Fn(&String) -> String| {
        let last = routine.types.len().checked_sub(1).filter(|_| routine.variadic);
        let arguments = routine.types.iter().enumerate().map(|(at, name)| {
            let spread = if Some(at) == last { "VARIADIC " } else { "" };
            format!("{spread}{}", argument(name))
        });
        format!("SELECT {}({})", routine.object.sql, arguments.collect::<Vec<_>>().join(", "))
    };
    // Of a constant the server would know the result before it looks at privileges.
    let begun = Candidate::new(format!("{} WHERE false", call(&|name| format!("(SELECT NULL::{name})"))));
    if routine.volatile {
        return vec![begun, asked];
    }
    vec![Candidate::new(call(&|name| format!("(SELECT NULL::{name})"))), begun, asked]
}
