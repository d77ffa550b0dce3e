//! Who waits for a lock while a script runs, and for whom.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::observations::LockWait;
use crate::postgres::Session;

/// How often the server is asked. A wait that is shorter than this stalls nobody.
const POLL: Duration = Duration::from_millis(5);
/// The last waits among which one that goes on is looked for: more sessions than a sandbox lets in.
const SESSIONS: usize = 1000;
/// Waits that are kept of one run.
const MOST: usize = 10_000;

/// Every session that waits for a lock with those that hold it or come before in its queue (PostgreSQL manual, 9.27,
/// `pg_blocking_pids`).
const WAITING: &str = "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(\
                           waiting.pid, waiting.application_name, waiting.blockers, \
                           (SELECT coalesce(pg_catalog.array_agg(a.application_name ORDER BY a.pid), '{}') \
                            FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (waiting.blockers))) \
                           ORDER BY waiting.pid) \
                       FROM (SELECT pid, application_name, pg_catalog.pg_blocking_pids(pid) AS blockers \
                             FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock') waiting";

/// Who waits, what it calls itself, for whom, and what those call themselves.
type Waiting = (i32, String, Vec<i32>, Vec<String>);

/// When the server was asked, and when it answered: what it said was so between these times, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    asked: f64,
    answered: f64,
}

/// Watches locks during one run.
#[derive(Default)]
pub struct Waits(Mutex<Vec<LockWait>>);

impl Waits {
    /// Looks through a superuser's session until it is dropped, or the server is gone. Times count from `origin`.
    pub async fn watch(&self, session: &Session, origin: Instant) {
        let now = || origin.elapsed().as_secs_f64() * 1e3;
        let mut last = Look::default();
        loop {
            let asked = now();
            let Ok(answer) = session.run(WAITING).await else {
                break;
            };
            let look = Look { asked, answered: now() };
            let text = answer.value.flatten().unwrap_or_default();
            let waiting: Vec<Waiting> = serde_json::from_str(&text).unwrap_or_default();
            self.note(waiting, last, look);
            last = look;
            tokio::time::sleep(POLL).await;
        }
    }

    /// A wait that was there the last time too is the same one.
    fn note(&self, waiting: Vec<Waiting>, last: Look, look: Look) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = look.answered;
        for (backend, application, blockers, blocker_names) in waiting {
            let same = |wait: &&mut LockWait| {
                wait.backend == backend && wait.until_ms >= last.answered && wait.blockers == blockers
            };
            if let Some(wait) = seen.iter_mut().rev().take(SESSIONS).find(same) {
                wait.until_ms = now;
            } else if seen.len() < MOST {
                seen.push(LockWait {
                    backend,
                    application,
                    blockers,
                    blocker_names,
                    from_ms: now,
                    until_ms: now,
                    may_since_ms: last.asked,
                    may_until_ms: None,
                });
            }
        }
        for wait in seen.iter_mut().rev().take(SESSIONS) {
            if wait.until_ms < now {
                wait.may_until_ms.get_or_insert(now);
            }
        }
    }

    /// What was seen, in order.
    pub fn seen(self) -> Vec<LockWait> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lies_between_the_looks_that_did_not_see_it() {
        let waits = Waits::default();
        let looks = [(0.0, 1.0), (10.0, 12.0), (20.0, 23.0), (30.0, 31.0), (40.0, 41.0), (50.0, 51.0)]
            .map(|(asked, answered)| Look { asked, answered });
        let waiting = |blocker: i32| vec![(7, "w".to_owned(), vec![blocker], vec![])];
        waits.note(waiting(8), Look::default(), looks[0]);
        waits.note(vec![], looks[0], looks[1]);
        waits.note(waiting(8), looks[1], looks[2]);
        waits.note(waiting(8), looks[2], looks[3]);
        waits.note(waiting(9), looks[3], looks[4]);
        waits.note(waiting(9), looks[4], looks[5]);
        let seen: Vec<_> = waits
            .seen()
            .into_iter()
            .map(|wait| (wait.blockers, wait.may_since_ms, wait.from_ms, wait.until_ms, wait.may_until_ms))
            .collect();
        assert_eq!(
            seen,
            [
                (vec![8], 0.0, 1.0, 1.0, Some(12.0)),
                (vec![8], 10.0, 23.0, 31.0, Some(41.0)),
                (vec![9], 30.0, 41.0, 51.0, None),
            ]
        );
    }
}
