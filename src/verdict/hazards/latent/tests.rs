use super::*;
use crate::identifiers::RoleName;
use crate::observations::{Course, Needs, Trial};
use crate::verdict::hazards::sample::of_one_run;

const DAY: i64 = 86_400;

fn rehearsal(oddity: Oddity, works: bool) -> Rehearsal {
    let failure = serde_json::json!({ "kind": "connect", "sqlstate": "28P01", "message": "no", "detail": null, "step": null });
    let failure = if works { serde_json::Value::Null } else { failure };
    let needs = Needs { all: 3, roles: vec![(RoleName::new("svc"), 2)] };
    let standing = Some(Standing { now: 1_000 * DAY, oddities: vec![oddity], needs });
    Rehearsal { course: Course { standing, ..Course::default() }, ..of_one_run(&failure, &[]) }
}

fn about(kind: OddityKind, role: &str, number: i64, new: bool) -> Oddity {
    Oddity {
        kind,
        object: format!("role {role}"),
        role: Some(RoleName::new(role)),
        number: Some(number),
        detail: "then".to_owned(),
        new,
    }
}

fn told(oddity: Oddity, works: bool) -> Vec<String> {
    found(&rehearsal(oddity, works)).into_iter().map(|hazard| hazard.message).collect()
}

#[test]
fn a_date_is_told_when_it_is_near_or_the_script_set_it() {
    let date = |role, days: i64, new| about(OddityKind::PasswordExpires, role, (1_000 + days) * DAY, new);
    assert!(told(date("svc", 10, false), true)[0].contains("10 days from now: after that reader cannot"));
    assert!(told(date("svc", 400, true), true)[0].contains("400 days from now, which the script has set"));
    assert!(told(date("other", 10, true), true)[0].contains("whoever logs in as it"));
    for (role, days, new, works) in [
        ("svc", 400, false, true),
        ("other", 10, false, true),
        // It has passed, or the worker is broken already: the runs have told.
        ("svc", -1, true, true),
        ("svc", 10, true, false),
    ] {
        assert_eq!(told(date(role, days, new), works), Vec::<String>::new(), "{role} {days} {new} {works}");
    }
}

#[test]
fn a_date_that_did_no_harm_when_it_was_tried_is_not_told() {
    let date = about(OddityKind::PasswordExpires, "svc", 1_010 * DAY, true);
    for (works, count) in [(true, 0), (false, 1)] {
        let mut seen = rehearsal(date.clone(), true);
        let wanted = of_latent(&seen);
        assert_eq!(wanted.len(), 1);
        let experiment = wanted[0].clone();
        assert_eq!(experiment.repairs, [["ALTER ROLE \"svc\" VALID UNTIL '-infinity'"]]);
        let workers = rehearsal(date.clone(), works).runs[0].workers.clone();
        let trials =
            vec![Trial { sql: experiment.repairs[0].clone(), error: None, workers: workers.clone() }];
        seen.replays.push(crate::observations::Replay {
            experiment,
            workers,
            rerun: None,
            rows: Vec::new(),
            stopped: Vec::new(),
            held: Vec::new(),
            at_once: None,
            trials,
        });
        assert_eq!(of_latent(&seen), []);
        let told = found(&seen);
        assert_eq!(told.len(), count);
        assert!(told.iter().all(|hazard| hazard.message.contains("tried in a copy")));
    }
}

#[test]
fn limits_are_told_when_they_are_below_what_is_needed() {
    let limit = |role, limit, new| about(OddityKind::RoleLimit, role, limit, new);
    assert!(
        told(limit("svc", 1, false), true)[0].contains("has CONNECTION LIMIT 1, but reader uses up to 2")
    );
    assert!(told(limit("svc", 2, true), true).is_empty());
    assert!(told(limit("other", 0, true), true).is_empty());
    assert!(told(limit("svc", 1, true), false).is_empty());
}

#[test]
fn what_was_left_halfway_before_is_not_told() {
    for (new, count) in [(false, 0), (true, 1)] {
        assert_eq!(told(about(OddityKind::InvalidIndex, "x", 0, new), true).len(), count);
        assert_eq!(told(about(OddityKind::ReplicationSlot, "x", 0, new), true).len(), count);
    }
}

#[test]
fn many_of_a_kind_are_told_by_a_few() {
    let mut seen = rehearsal(about(OddityKind::UnvalidatedConstraint, "x", 0, true), true);
    let standing = seen.course.standing.as_mut().unwrap();
    let one = standing.oddities[0].clone();
    standing.oddities = vec![one; 10];
    let told = found(&seen);
    assert_eq!(told.len(), 3);
    assert!(told[2].message.ends_with("so it is with 7 more"));
}
