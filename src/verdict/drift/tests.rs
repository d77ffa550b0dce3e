use super::*;
use crate::identifiers::RoleName;
use crate::observations::Course;

/// A series with a limit, of the states before the first run and after each.
fn series(measure: Measure, noun: &str, object: &str, values: &[i64], limit: i64) -> Series {
    let reading = |value: &i64| Some(Reading { value: *value, limit: Some(limit) });
    Series {
        measure,
        noun: noun.to_owned(),
        object: object.to_owned(),
        readings: values.iter().map(reading).collect(),
        needed: 0,
        limit_words: String::new(),
    }
}

fn run(number: u32, changes: Vec<Change>) -> RunObservation {
    let json = serde_json::json!({
        "run": number, "script": "s.sql", "role": "postgres", "may_fail": false,
        "result": { "ending": { "exited": 0 }, "duration_ms": 1.0, "output_tail": "", "output_truncated": false, "errors": [] },
        "workers": [], "server_gone": null,
    });
    RunObservation { changes, ..serde_json::from_value(json).unwrap() }
}

fn change(kind: ChangeKind, object: &str) -> Change {
    Change {
        kind,
        object: object.to_owned(),
        role: Some(RoleName::new("r")),
        detail: "NOLOGIN".to_owned(),
        statement: None,
        undo: None,
    }
}

fn rehearsal(runs: Vec<RunObservation>, series: Vec<Series>, returned: Vec<RunNumber>) -> Rehearsal {
    let json = serde_json::json!({
        "sandbox": { "backend": "local", "postgres": "17", "image": null, "isolation": "", "ready_ms": 1.0, "seed_cached": false },
        "clone": { "tables": 0, "roles": 0, "rows": 0, "tables_without_rows": [], "skipped": [] },
        "workers": [], "baseline": [], "runs": [],
    });
    let course = Course { returned, series, ..Course::default() };
    Rehearsal { runs, course, ..serde_json::from_value(json).unwrap() }
}

fn three() -> Vec<RunObservation> {
    (1..=3).map(|number| run(number, vec![change(ChangeKind::ObjectCreated, "table public.t")])).collect()
}

#[test]
fn what_each_run_adds_grows() {
    let counts = series(Measure::Things, "table", "schema public", &[2, 3, 4, 5], 1600);
    let drift = drift(&rehearsal(three(), vec![counts], vec![])).unwrap();
    assert_eq!(drift.how, How::Grows);
    assert_eq!(drift.message, "each run adds 1 table to schema public (3, 4 and 5 after runs 1 to 3)");
    assert_eq!(drift.what[0].values, [3, 4, 5]);
}

#[test]
fn what_only_the_first_run_does_is_no_drift() {
    let counts = series(Measure::Things, "table", "schema public", &[2, 3, 3, 3], 1600);
    let mut runs = three();
    runs[1].changes.clear();
    runs[2].changes.clear();
    assert_eq!(drift(&rehearsal(runs, vec![counts], vec![])), None);
}

#[test]
fn a_direction_that_did_not_hold_is_none() {
    let counts = series(Measure::Things, "table", "schema public", &[2, 3, 2, 4], 1600);
    let drift = drift(&rehearsal(three(), vec![counts], vec![])).unwrap();
    assert_eq!(drift.how, How::Changes);
    assert_eq!(drift.message, "run 3 still changed table public.t (object created: NOLOGIN)");
}

#[test]
fn a_state_that_comes_back_alternates() {
    let drift = drift(&rehearsal(three(), vec![], vec![RunNumber(2), RunNumber(3)])).unwrap();
    assert_eq!(drift.how, How::Alternates);
    assert!(drift.message.contains("run 3 brought back table public.t"), "{}", drift.message);
}

#[test]
fn a_number_that_each_run_lowers_shrinks_and_comes_first() {
    let lowered = series(Measure::Number, "statement_timeout", "role app", &[9000, 8000, 4000, 2000], 0);
    let counts = series(Measure::Things, "grant", "table public.t", &[2, 3, 4, 5], 1600);
    let drift = drift(&rehearsal(three(), vec![counts, lowered], vec![])).unwrap();
    assert_eq!(drift.how, How::Shrinks);
    assert_eq!(
        drift.what[0].message,
        "each run lowers statement_timeout of role app (8000, 4000 and 2000 after runs 1 to 3)"
    );
    assert_eq!(drift.what.len(), 2);
}

#[test]
fn runs_of_different_scripts_say_nothing_of_drift() {
    let mut runs = three();
    runs[2].script = "other.sql".to_owned();
    assert_eq!(drift(&rehearsal(runs, vec![], vec![])), None);
}

#[test]
fn of_one_rerun_nobody_says_that_each_does_it() {
    let counts = series(Measure::Things, "policy", "table public.t", &[0, 1, 2], 1600);
    let drift = drift(&rehearsal(three().into_iter().take(2).collect(), vec![counts], vec![])).unwrap();
    assert_eq!(drift.message, "run 2 again adds 1 policy to table public.t (1 and 2 after runs 1 to 2)");
}

#[test]
fn rows_that_come_back_alternate_where_the_catalogs_have_settled() {
    let mut runs = three();
    runs[1].changes.clear();
    runs[2].changes.clear();
    let mut seen = rehearsal(runs, vec![], vec![]);
    for (hashes, how) in [
        (["1 a", "1 b", "1 a"], Some(How::Alternates)),
        (["1 a", "1 a", "1 a"], None),
        (["1 a", "1 b", "1 c"], None),
    ] {
        seen.course.contents = vec![flags(&hashes)];
        assert_eq!(drift(&seen).map(|drift| drift.how), how);
    }
}

#[test]
fn rows_that_go_round_in_more_than_two_runs_are_told() {
    let mut runs = three();
    runs.push(RunObservation { run: RunNumber(4), ..runs[2].clone() });
    runs.iter_mut().for_each(|run| run.changes.clear());
    let mut seen = rehearsal(runs, vec![], vec![]);
    seen.course.contents = vec![flags(&["1 b", "1 c", "1 a", "1 b"])];
    let round = drift(&seen).unwrap();
    assert_eq!(round.how, How::Alternates);
    assert_eq!(
        round.message,
        "the rows of public.flags go round: after run 4 they are what they were after run 1"
    );
    // One of them could not be read.
    seen.course.contents[0].hashes.remove(1);
    assert_eq!(drift(&seen), None);
}

fn flags(hashes: &[&str]) -> crate::observations::Contents {
    let hashes = (1..).map(RunNumber).zip(hashes.iter().map(|hash| (*hash).to_owned())).collect();
    crate::observations::Contents { table: "public.flags".to_owned(), hashes }
}
