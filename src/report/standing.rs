//! How a worker is at this moment, in a line.

use super::human::{BAD, GOOD, UNEASY};
use super::visible::visible;
use crate::observations::{Failure, Probe, WorkerObservation};
use crate::verdict::{Status, standing_of};

/// Characters of an error that are shown.
const SHOWN: usize = 160;

/// Renders how a worker is, with ANSI styles. `steps` are its steps in a few words each.
pub fn standing(seen: &WorkerObservation, steps: &[String]) -> String {
    let (word, style) = match standing_of(seen) {
        Status::Ok | Status::Disrupted => return format!("{GOOD}ok{GOOD:#}"),
        Status::Latent => ("LATENT", UNEASY.bold()),
        Status::Broken => ("BROKEN", BAD),
    };
    let failing = |probe: &Probe| probe.failure.clone();
    let existing = seen.existing_session.as_ref().and_then(failing);
    let failure = existing.or_else(|| failing(&seen.new_session));
    let what = failure.map(|failure| told(&failure, steps)).unwrap_or_default();
    let where_ = match (&seen.existing_session, seen.new_session.ok()) {
        (Some(held), false) if held.ok() => "a new session fails: ",
        (Some(_), true) => "the session that it has fails: ",
        _ => "",
    };
    format!("{style}{word}{style:#}  {where_}{what}")
}

fn told(failure: &Failure, steps: &[String]) -> String {
    let code = failure.sqlstate.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
    let at = failure.step.and_then(|step| usize::try_from(step).ok()?.checked_sub(1));
    let step = at.and_then(|at| steps.get(at)).map(|step| format!(" at: {step}")).unwrap_or_default();
    let text = visible(&format!("{code}{}{step}", failure.message)).replace('\n', " ");
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifiers::{SqlState, WorkerName};
    use crate::observations::FailureKind;

    fn probe(failed: bool) -> Probe {
        let failure = failed.then(|| Failure {
            kind: FailureKind::Statement,
            sqlstate: Some(SqlState::new("42501")),
            message: "permission\ndenied".to_owned(),
            detail: None,
            step: Some(2),
        });
        Probe { failure, duration_ms: 1.0, reopened: false }
    }

    #[test]
    fn a_line_tells_which_session_fails_and_why() {
        let seen = |existing: Option<bool>, new: bool| WorkerObservation {
            name: WorkerName::new("w"),
            while_running: None,
            existing_session: existing.map(probe),
            new_session: probe(new),
        };
        let steps = ["BEGIN".to_owned(), "SELECT a".to_owned()];
        let line =
            |existing, new| anstream::adapter::strip_str(&standing(&seen(existing, new), &steps)).to_string();
        let what = "42501 permission denied at: SELECT a";
        assert_eq!(line(Some(false), false), "ok");
        assert_eq!(line(Some(false), true), format!("LATENT  a new session fails: {what}"));
        assert_eq!(line(Some(true), true), format!("BROKEN  {what}"));
        assert_eq!(line(Some(true), false), format!("BROKEN  the session that it has fails: {what}"));
        assert_eq!(line(None, true), format!("BROKEN  {what}"));
    }
}
