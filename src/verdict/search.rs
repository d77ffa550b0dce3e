//! Finds the statement of a run that broke a worker, by asking for replays of the run with parts left out.
//!
//! Pure: what is known is given, and either the answer or the next questions come back.

use super::AT_ONCE;
use crate::observations::{Edit, Statement};

/// Statements that are left out one by one when halving has led nowhere.
const ONE_BY_ONE: usize = 32;

/// Where a search stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// These replays would tell more.
    Ask(Vec<Edit>),
    /// This statement did it.
    Found {
        /// Its number in the run.
        statement: u32,
        /// What proves it.
        proof: Proof,
    },
    /// No statement can be named.
    NotFound,
}

/// What proves that a statement broke a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The worker works when the run is made without it.
    WithoutIt,
    /// The worker waited for a lock that the statement held or asked for.
    WaitedForIt,
    /// The worker works when the run is made up to the statement before it, and no longer when up to it; other
    /// statements break it too.
    UpToIt,
}

/// Whether a statement can have changed anything that outlives it: it did not fail, its transaction was not rolled
/// back, and it is none that only steers its session.
fn has_effect(statement: &Statement, rolled_back: bool, all: &[Statement]) -> bool {
    statement.sqlstate.is_none() && !rolled_back && !steers(statement, all)
}

/// Whether a statement of a run only begins or ends transactions, changes its own session, or has the server read what
/// `ALTER SYSTEM` wrote. These are always carried out, so that the others meet what they met.
pub fn steers(statement: &Statement, all: &[Statement]) -> bool {
    statement.tag.as_deref().is_some_and(is_steering)
        || (reloads(statement) && {
            let wrote =
                |one: &&Statement| one.sqlstate.is_none() && one.tag.as_deref() == Some("ALTER SYSTEM");
            all.iter().filter(|one| one.index < statement.index).any(|one| wrote(&one))
        })
}

/// Whether a statement does nothing but have the server read its settings again (PostgreSQL manual, 20.1.2).
fn reloads(statement: &Statement) -> bool {
    let words = super::advice::words(&statement.sql);
    words.iter().any(|word| word == "PG_RELOAD_CONF")
        && words.iter().all(|word| ["SELECT", "PG_CATALOG", "PG_RELOAD_CONF"].contains(&word.as_str()))
}

/// The same of a command tag.
pub fn is_steering(tag: &str) -> bool {
    const TAGS: [&str; 12] = [
        "BEGIN",
        "START",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "RESET",
        "SHOW",
        "DISCARD",
        "LISTEN",
        "UNLISTEN",
    ];
    // `COMMIT PREPARED` and `ROLLBACK PREPARED` change what others see.
    tag.split(' ').next().is_some_and(|first| TAGS.contains(&first)) && !tag.ends_with("PREPARED")
}

/// The statements of a run that can have broken anything, in their order.
pub fn suspects(statements: &[Statement]) -> Vec<u32> {
    let rolled_back = rolled_back(statements);
    statements
        .iter()
        .zip(rolled_back)
        .filter(|(statement, rolled_back)| has_effect(statement, *rolled_back, statements))
        .map(|(statement, _)| statement.index)
        .collect()
}

/// The statements of a run that failed or were rolled back, in their order. Mostly nothing is left of them; but of a
/// `CREATE INDEX CONCURRENTLY` an invalid index is (PostgreSQL manual, CREATE INDEX), of a `DO` what it has committed
/// (43.8), of `setval` its value (9.17), and of `COPY … TO PROGRAM` what the program did.
pub fn undone(statements: &[Statement]) -> Vec<u32> {
    let suspects = suspects(statements);
    let left = statements.iter().filter(|one| !suspects.contains(&one.index) && !steers(one, statements));
    left.map(|statement| statement.index).collect()
}

/// The statement after which the changes of another one are seen: of one that was undone, the end of its transaction.
pub fn seen_after(statements: &[Statement], statement: u32) -> u32 {
    let Some(own) = statements.iter().find(|one| one.index == statement) else { return statement };
    let ends = |one: &&Statement| one.session == own.session && one.index >= statement && !one.in_transaction;
    let end = statements.iter().find(ends).filter(|_| undone(statements).contains(&statement));
    end.map_or(statement, |end| end.index)
}

/// For each statement whether the transaction that it was part of has been undone.
fn rolled_back(statements: &[Statement]) -> Vec<bool> {
    let mut undone = vec![false; statements.len()];
    let mut sessions: Vec<u32> = statements.iter().map(|statement| statement.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    for session in sessions {
        let mut open: Vec<usize> = Vec::new();
        let mut failed = false;
        for (at, statement) in statements.iter().enumerate().filter(|(_, one)| one.session == session) {
            open.push(at);
            failed |= statement.sqlstate.is_some();
            if statement.in_transaction {
                continue;
            }
            let tag = statement.tag.as_deref();
            if open.len() > 1 && (failed || tag == Some("ROLLBACK")) {
                for at in &open {
                    if let Some(undone) = undone.get_mut(*at) {
                        *undone = true;
                    }
                }
            }
            open.clear();
            failed = false;
        }
    }
    undone
}

/// Looks for the statement that broke a worker, first among the suspects, then among what was undone. `works` says
/// whether the worker works when a run is made so, where that is known; after the whole run it does not.
pub fn search(suspects: &[u32], undone: &[u32], works: impl Fn(&Edit) -> Option<bool>) -> Search {
    let first = among(suspects, &works);
    match first {
        Search::Found { statement, proof: Proof::UpToIt } if !undone.is_empty() => {
            // That the worker fails after the whole run may be the doing of what is not carried out here.
            let edit = Edit::UpTo(statement);
            match works(&edit) {
                None => return Search::Ask(vec![edit]),
                Some(false) => return first,
                Some(true) => {}
            }
        }
        Search::NotFound => {}
        Search::Ask(_) | Search::Found { .. } => return first,
    }
    let without = |statement: &u32| Edit::Without(vec![*statement]);
    let undone = undone.get(..ONE_BY_ONE.min(undone.len())).unwrap_or_default();
    for several in undone.chunks(AT_ONCE) {
        // A replay that had to be ended leaves its question open, and the others are answered all the same.
        if let Some(&statement) = several.iter().find(|one| works(&without(one)) == Some(true)) {
            return Search::Found { statement, proof: Proof::WithoutIt };
        }
        let questions: Vec<Edit> = several.iter().map(without).filter(|edit| works(edit).is_none()).collect();
        if !questions.is_empty() {
            return Search::Ask(questions);
        }
    }
    Search::NotFound
}

/// Looks for it among the suspects. That the worker fails after the last of them is not asked for.
fn among(suspects: &[u32], works: &impl Fn(&Edit) -> Option<bool>) -> Search {
    let up_to = |count: usize| {
        let last = count.checked_sub(1).and_then(|at| suspects.get(at));
        Edit::UpTo(last.copied().unwrap_or_default())
    };
    let (mut low, mut high) = (0, suspects.len());
    if high == 0 {
        return Search::NotFound;
    }
    // Halving finds a statement after which it no longer works.
    while high - low > 1 {
        let known: Vec<(usize, bool)> =
            (low + 1..high).filter_map(|count| Some((count, works(&up_to(count))?))).collect();
        if known.is_empty() {
            return Search::Ask(between(low, high).map(up_to).collect());
        }
        if let Some((fails, _)) = known.iter().find(|(_, works)| !works) {
            high = *fails;
        }
        if let Some((still, _)) = known.iter().rev().find(|(count, works)| *works && *count < high) {
            low = *still;
        }
    }
    let Some(&turned) = suspects.get(low) else { return Search::NotFound };
    match works(&Edit::Without(vec![turned])) {
        None => return Search::Ask(vec![Edit::Without(vec![turned])]),
        Some(true) => return Search::Found { statement: turned, proof: Proof::WithoutIt },
        Some(false) => {}
    }
    // It may have worked again in between: the last statement after which it stayed broken.
    let mut last = None;
    for count in (0..suspects.len()).rev().take(ONE_BY_ONE) {
        match works(&up_to(count)) {
            None => {
                let questions = (0..=count).rev().take(AT_ONCE).map(up_to);
                return Search::Ask(questions.filter(|edit| works(edit).is_none()).collect());
            }
            Some(true) => {
                last = suspects.get(count).copied();
                break;
            }
            Some(false) => {}
        }
    }
    let others = suspects.iter().take(ONE_BY_ONE).copied().filter(|other| Some(*other) != last);
    for statement in last.into_iter().chain(others) {
        match works(&Edit::Without(vec![statement])) {
            None => return Search::Ask(vec![Edit::Without(vec![statement])]),
            Some(true) => return Search::Found { statement, proof: Proof::WithoutIt },
            Some(false) => {}
        }
    }
    match last {
        Some(statement) => Search::Found { statement, proof: Proof::UpToIt },
        None => Search::NotFound,
    }
}

/// Numbers that divide the ones between two others evenly.
fn between(low: usize, high: usize) -> impl Iterator<Item = usize> {
    let parts = AT_ONCE + 1;
    let mut all: Vec<usize> = (1..parts)
        .map(|part| low + (high - low) * part / parts)
        .filter(|at| *at > low && *at < high)
        .collect();
    if all.is_empty() {
        all.push(low + 1);
    }
    all.dedup();
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifiers::{RoleName, SqlState};

    /// Answers every question by what the statements do to a worker that works when `state` says so.
    fn found(count: u32, works: impl Fn(&[u32]) -> bool) -> (Search, usize) {
        found_with(count, &[], works)
    }

    /// The same where these were undone.
    fn found_with(count: u32, undone: &[u32], works: impl Fn(&[u32]) -> bool) -> (Search, usize) {
        let all: Vec<u32> = (1..=count).collect();
        let suspects: Vec<u32> = all.iter().copied().filter(|one| !undone.contains(one)).collect();
        let mut known: Vec<(Edit, bool)> = Vec::new();
        for _ in 0..1000 {
            let step = search(&suspects, undone, |edit| {
                known.iter().find(|(asked, _)| asked == edit).map(|(_, so)| *so)
            });
            let Search::Ask(edits) = step else { return (step, known.len()) };
            assert!(!edits.is_empty());
            for edit in edits {
                assert!(known.iter().all(|(asked, _)| *asked != edit), "{edit:?} asked twice");
                let made: Vec<u32> = all
                    .iter()
                    .copied()
                    .filter(|one| match &edit {
                        Edit::Whole | Edit::CutAfter(_) => true,
                        Edit::UpTo(last) => one <= last && suspects.contains(one),
                        Edit::Without(left_out) => !left_out.contains(one),
                    })
                    .collect();
                known.push((edit, works(&made)));
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn one_guilty_statement_is_found_in_few_replays() {
        for guilty in 1..=100 {
            let (search, replays) = found(100, |made| !made.contains(&guilty));
            assert_eq!(search, Search::Found { statement: guilty, proof: Proof::WithoutIt });
            assert!(replays <= 14, "{replays} replays");
        }
    }

    #[test]
    fn of_a_drop_and_what_follows_the_last_turn_counts() {
        // 2 drops the table, 3 makes it again, 4 grants, 6 revokes.
        let works = |made: &[u32]| {
            let mut there = true;
            let mut granted = true;
            for one in made {
                match one {
                    2 => (there, granted) = (false, false),
                    3 if !there => there = true,
                    4 => granted = true,
                    6 => granted = false,
                    _ => {}
                }
            }
            there && granted
        };
        assert_eq!(found(7, works).0, Search::Found { statement: 6, proof: Proof::WithoutIt });
    }

    #[test]
    fn two_that_each_suffice_are_proved_by_what_came_before() {
        let (search, _) = found(9, |made| !made.contains(&3) && !made.contains(&7));
        assert_eq!(search, Search::Found { statement: 3, proof: Proof::UpToIt });
    }

    #[test]
    fn what_no_statement_did_is_not_found() {
        assert_eq!(found(5, |_| false).0, Search::NotFound);
        assert_eq!(found(1, |_| false).0, Search::NotFound);
        assert_eq!(search(&[], &[], |_| None), Search::NotFound);
    }

    #[test]
    fn what_was_undone_is_suspected_when_nothing_else_did_it() {
        let by = |statement| Search::Found { statement, proof: Proof::WithoutIt };
        for guilty in 1..=9 {
            let (search, replays) = found_with(9, &[2, 3, 8], |made| !made.contains(&guilty));
            assert_eq!(search, by(guilty));
            assert!(replays <= 14, "{replays} replays");
        }
        assert_eq!(found_with(1, &[1], |made| made.is_empty()).0, by(1));
        assert_eq!(found_with(9, &[2, 3, 8], |_| false).0, Search::NotFound);
        // Two of the others each suffice: no innocent one is named in their place.
        let works = |made: &[u32]| !made.contains(&2) && !made.contains(&8);
        assert_eq!(found_with(9, &[2, 3, 8], works).0, Search::NotFound);
    }

    fn statement(index: u32, tag: Option<&str>, sqlstate: Option<&str>, in_transaction: bool) -> Statement {
        Statement {
            index,
            session: 1,
            backend: 1,
            role: RoleName::new("r"),
            line: None,
            file: None,
            sql: String::new(),
            sent: None,
            began_ms: 0.0,
            duration_ms: None,
            tag: tag.map(str::to_owned),
            rows: None,
            sqlstate: sqlstate.map(SqlState::new),
            message: None,
            in_transaction,
            locks: Vec::new(),
            scans: Vec::new(),
            rewrites: Vec::new(),
        }
    }

    #[test]
    fn what_failed_or_was_undone_is_not_suspected() {
        let statements = [
            statement(1, Some("GRANT"), None, false),
            statement(2, Some("BEGIN"), None, true),
            statement(3, Some("REVOKE"), None, true),
            statement(4, None, Some("42601"), true),
            statement(5, Some("ROLLBACK"), None, false),
            statement(6, None, Some("42P01"), false),
            statement(7, Some("BEGIN"), None, true),
            statement(8, Some("SET"), None, true),
            statement(9, Some("REVOKE"), None, true),
            statement(10, Some("COMMIT"), None, false),
            statement(11, Some("COMMIT PREPARED"), None, false),
        ];
        assert_eq!(suspects(&statements), [1, 9, 11]);
        assert_eq!(undone(&statements), [3, 4, 6]);
        assert_eq!([1, 3, 4, 6, 9, 99].map(|one| seen_after(&statements, one)), [1, 5, 5, 6, 9, 99]);
    }

    #[test]
    fn a_reload_is_suspected_where_the_run_has_written_no_setting() {
        let reload = |index| Statement {
            sql: "SELECT pg_catalog.pg_reload_conf()".to_owned(),
            ..statement(index, Some("SELECT 1"), None, false)
        };
        assert_eq!(
            suspects(&[reload(1), statement(2, Some("ALTER SYSTEM"), None, false), reload(3)]),
            [1, 2]
        );
        let more = Statement { sql: "SELECT pg_reload_conf(), f()".to_owned(), ..reload(2) };
        assert_eq!(suspects(&[statement(1, Some("ALTER SYSTEM"), None, false), more]), [1, 2]);
    }
}
