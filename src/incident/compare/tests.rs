use serde_json::json;

use super::*;
use crate::incident::sample::{Seen, document};
use crate::verdict::Outcome;

fn recorded(runs: &[(Option<bool>, &[&str])]) -> Recorded {
    let run = |((fails, breaks), number): (&(Option<bool>, &[&str]), u32)| RecordedRun {
        run: RunNumber(number),
        fails: *fails,
        breaks: breaks.iter().map(|name| WorkerName::new(*name)).collect(),
    };
    Recorded { runs: runs.iter().zip(1..).map(run).collect(), report: None }
}

fn messages(recorded: &Recorded, seen: &Document) -> Vec<String> {
    compare(recorded, seen).into_iter().map(|difference| difference.message).collect()
}

const OK: Seen<'_> = ("importer", "ok", None);
const BROKEN: Seen<'_> = ("importer", "broken", Some("42501"));
const LATENT: Seen<'_> = ("importer", "latent", Some("42501"));

#[test]
fn exactly_what_was_recorded_is_no_difference() {
    let seen = document(&[("failed", &[OK]), ("succeeded", &[LATENT]), ("succeeded", &[BROKEN])]);
    let no = Some(false);
    assert!(compare(&recorded(&[(Some(true), &[]), (no, &["importer"]), (no, &[])]), &seen).is_empty());
    // One that is broken still may be named again.
    let again = recorded(&[(None, &[]), (no, &["importer"]), (no, &["importer"])]);
    assert!(compare(&again, &seen).is_empty());
}

#[test]
fn what_does_not_happen_and_what_else_happens_is_said() {
    let seen = document(&[("succeeded", &[OK]), ("failed", &[BROKEN]), ("succeeded", &[OK])]);
    let no = Some(false);
    let wanted = recorded(&[(Some(true), &[]), (no, &[]), (no, &["importer"])]);
    assert_eq!(
        messages(&wanted, &seen),
        [
            "run 1 was to fail and did not",
            "run 2 failed and was not to",
            "importer broke in run 2 and was not to: 42501 no",
            "importer was to break in run 3 and did not: it works",
        ]
    );
}

#[test]
fn one_that_breaks_again_after_it_has_recovered_breaks_anew() {
    let seen = document(&[("succeeded", &[BROKEN]), ("succeeded", &[OK]), ("succeeded", &[BROKEN])]);
    let wanted = recorded(&[(None, &["importer"]), (None, &[]), (None, &[])]);
    assert_eq!(messages(&wanted, &seen), ["importer broke in run 3 and was not to: 42501 no"]);
}

#[test]
fn disrupted_counts_where_the_check_fails_for_it() {
    let mut seen = document(&[("succeeded", &[("importer", "disrupted", None)])]);
    let wanted = recorded(&[(None, &["importer"])]);
    assert_eq!(
        messages(&wanted, &seen),
        ["importer was to break in run 1 and did not: it was only disrupted, within what it allows"]
    );
    let reason = json!({ "kind": "worker_disrupted", "worker": "importer", "run": 1, "message": "" });
    seen.reasons.push(serde_json::from_value(reason).unwrap());
    assert!(compare(&wanted, &seen).is_empty());
    // Nothing says that this one was the script's doing, until a lock does.
    assert!(compare(&recorded(&[(None, &[])]), &seen).is_empty());
    assert_eq!(recorded_of(&seen.runs[0], &seen).len(), 1);
    let wait = json!({ "who": "importer", "waits_for": ["psql"], "from_ms": 1.0, "until_ms": 2.0 });
    seen.runs[0].waits.push(serde_json::from_value(wait).unwrap());
    assert_eq!(
        messages(&recorded(&[(None, &[])]), &seen),
        ["importer stalled longer than it allows in run 1, and was not to"]
    );
}

#[test]
fn a_run_that_was_not_made_is_a_difference_where_something_was_to_come_of_it() {
    let seen = document(&[("succeeded", &[OK])]);
    assert!(compare(&recorded(&[(None, &[]), (Some(false), &[])]), &seen).is_empty());
    let wanted = recorded(&[(None, &[]), (None, &["importer"])]);
    assert_eq!(messages(&wanted, &seen), ["run 2 was not made, since the server was gone in run 1"]);
}

#[test]
fn with_a_report_statuses_and_codes_are_compared() {
    let report = |workers: &[Seen<'_>]| document(&[("failed", workers)]);
    let wanted = |workers: &[Seen<'_>]| Recorded {
        report: Some(report(workers)),
        ..recorded(&[(Some(true), &["importer"])])
    };
    assert!(compare(&wanted(&[BROKEN]), &report(&[BROKEN])).is_empty());
    assert_eq!(
        messages(&wanted(&[BROKEN]), &report(&[LATENT])),
        ["importer was broken after run 1 when it was recorded, and is latent now"]
    );
    assert_eq!(
        messages(&wanted(&[BROKEN]), &report(&[("importer", "broken", None)])),
        ["importer failed after run 1 with 42501 when it was recorded, and with no SQLSTATE now"]
    );
    // How a lost connection reaches a client is a matter of moments.
    let (cut, closed) = (("importer", "broken", Some("57P01")), ("importer", "broken", Some("08006")));
    assert!(compare(&wanted(&[cut]), &report(&[closed])).is_empty());
    assert_eq!(
        messages(&wanted(&[BROKEN, ("other", "ok", None)]), &report(&[BROKEN])),
        ["other was at work in run 1 when it was recorded, and is not now"]
    );
    assert_eq!(
        messages(&wanted(&[BROKEN]), &document(&[("timed_out", &[BROKEN])])),
        ["run 1 failed when it was recorded, and was killed at its timeout now"]
    );
}

#[test]
fn another_culprit_is_a_difference_where_both_reports_name_one() {
    let with = |sql: Option<&str>| {
        let mut document = document(&[("succeeded", &[BROKEN])]);
        let cause = json!({ "run": 1, "statement": 1, "line": 1, "sql": sql, "explanation": "" });
        document.runs[0].workers[0].cause = serde_json::from_value(cause).unwrap();
        document
    };
    let wanted = Recorded { report: Some(with(Some("REVOKE  x"))), ..recorded(&[(None, &["importer"])]) };
    assert!(compare(&wanted, &with(Some("REVOKE x"))).is_empty());
    assert!(compare(&wanted, &with(None)).is_empty());
    let differences = compare(&wanted, &with(Some("REVOKE y")));
    assert_eq!(differences.iter().map(|one| one.kind).collect::<Vec<_>>(), [DifferenceKind::Culprit]);
    assert_eq!(reproduction("i", &wanted, &with(None)).recorded_on.unwrap(), "PostgreSQL 17.2, local");
    assert_eq!(with(None).verdict, Outcome::Fail);
}
