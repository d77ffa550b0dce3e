//! Who waits for a lock while a script runs, and for whom.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::identifiers::{RoleName, WorkerName};
use crate::observations::{Awaited, LockMode, LockWait, Statement};
use crate::postgres::Session;

/// How often the server is asked. A wait that is shorter than this stalls nobody.
const POLL: Duration = Duration::from_millis(5);
/// The last waits among which one that goes on is looked for: more sessions than a sandbox lets in.
const SESSIONS: usize = 1000;
/// Waits that are kept of one run.
const MOST: usize = 10_000;

/// Every session that waits for a lock with those that hold it or come before in its queue (PostgreSQL manual, 9.27,
/// `pg_blocking_pids`), and what lock it has asked for. Who waits for a row waits for the transaction that holds it, in
/// most cases with a lock on the row in hand (54.12).
const WAITING: &str = "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(\
                           waiting.pid, waiting.application_name, waiting.usename, \
                           (SELECT pg_catalog.json_build_array(\
                                l.mode, \
                                l.locktype, \
                                coalesce(l.relation, \
                                         (SELECT held.relation FROM pg_catalog.pg_locks held \
                                          WHERE held.pid = waiting.pid AND held.locktype = 'tuple' LIMIT 1))::pg_catalog.int8, \
                                CASE l.objsubid \
                                    WHEN 1 THEN pg_catalog.concat('advisory lock ', \
                                        (l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8) \
                                    ELSE pg_catalog.concat('advisory lock (', l.classid, ', ', l.objid, ')') \
                                END) \
                            FROM pg_catalog.pg_locks l WHERE l.pid = waiting.pid AND NOT l.granted LIMIT 1), \
                           waiting.blockers, \
                           (SELECT coalesce(pg_catalog.array_agg(a.application_name ORDER BY a.pid), '{}') \
                            FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (waiting.blockers))) \
                           ORDER BY waiting.pid) \
                       FROM (SELECT pid, application_name, usename, pg_catalog.pg_blocking_pids(pid) AS blockers \
                             FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock') waiting";

/// Who waits, what it calls itself, its role, what it has asked for, for whom it waits, and what those call themselves.
type Waiting = (i32, String, Option<String>, Option<Asked>, Vec<i32>, Vec<String>);

/// A lock that was not granted: its mode, its type, the OID of the relation, and its name if it is an advisory one
/// (PostgreSQL manual, 54.12).
type Asked = (String, String, Option<u32>, Option<String>);

/// Whose the sessions at the server are.
pub struct Whose {
    applications: Vec<(String, WorkerName)>,
    programs: Vec<(RoleName, WorkerName)>,
}

impl Whose {
    /// Sessions of these workers, with the role as which one starts programs, if it does.
    pub fn new(workers: impl Iterator<Item = (WorkerName, Option<RoleName>)>) -> Self {
        let mut whose = Self { applications: Vec::new(), programs: Vec::new() };
        for (worker, role) in workers {
            whose.applications.push((worker.application(), worker.clone()));
            whose.programs.extend(role.map(|role| (role, worker)));
        }
        whose
    }

    fn named(&self, application: &str) -> Option<&WorkerName> {
        self.applications.iter().find(|(own, _)| own == application).map(|(_, worker)| worker)
    }

    /// Many programs give themselves a name of their own. They are known by their role, if only one worker starts programs
    /// as that.
    fn of_program(&self, role: Option<&str>) -> Option<&WorkerName> {
        let mut own = self.programs.iter().filter(|(own, _)| Some(own.as_str()) == role);
        let (_, worker) = own.next()?;
        own.next().is_none().then_some(worker)
    }
}

/// When the server was asked, and when it answered: what it said was so between these times, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    asked: f64,
    answered: f64,
}

/// Watches locks during one run.
#[derive(Default)]
pub struct Waits(Mutex<Vec<Seen>>);

struct Seen {
    wait: LockWait,
    role: Option<String>,
    asked: Option<Asked>,
}

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
        for (backend, application, role, asked, blockers, blocker_names) in waiting {
            let same = |Seen { wait, .. }: &&mut Seen| {
                wait.backend == backend && wait.until_ms >= last.answered && wait.blockers == blockers
            };
            if let Some(Seen { wait, .. }) = seen.iter_mut().rev().take(SESSIONS).find(same) {
                wait.until_ms = now;
            } else if seen.len() < MOST {
                let wait = LockWait {
                    backend,
                    application,
                    awaited: None,
                    blockers,
                    blocker_names,
                    from_ms: now,
                    until_ms: now,
                    may_since_ms: last.asked,
                    may_until_ms: None,
                };
                seen.push(Seen { wait, role, asked });
            }
        }
        for Seen { wait, .. } in seen.iter_mut().rev().take(SESSIONS) {
            if wait.until_ms < now {
                wait.may_until_ms.get_or_insert(now);
            }
        }
    }

    /// The OIDs of the relations of which somebody has waited for a lock.
    pub fn relations(&self) -> BTreeSet<u32> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter_map(|Seen { asked, .. }| asked.as_ref()?.2).collect()
    }

    /// What was seen, in order. Sessions that have sent these statements are the script's. `names` are those of relations.
    pub fn seen(
        self,
        whose: &Whose,
        statements: &[Statement],
        names: &BTreeMap<u32, String>,
    ) -> Vec<LockWait> {
        let scripts: HashSet<i32> = statements.iter().map(|statement| statement.backend).collect();
        let seen = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let own = |Seen { mut wait, role, asked }: Seen| {
            wait.awaited = asked.and_then(|asked| awaited(asked, names));
            if let Some(worker) = whose.named(&wait.application) {
                wait.application = worker.to_string();
            } else if !scripts.contains(&wait.backend)
                && let Some(worker) = whose.of_program(role.as_deref())
            {
                wait.application = worker.to_string();
            }
            for name in &mut wait.blocker_names {
                if let Some(worker) = whose.named(name) {
                    *name = worker.to_string();
                }
            }
            wait
        };
        seen.into_iter().map(own).collect()
    }
}

/// None of what has no name. A lock on a row is not one on its table.
fn awaited((mode, kind, relation, advisory): Asked, names: &BTreeMap<u32, String>) -> Option<Awaited> {
    let relation = || names.get(&relation?).cloned();
    let (mode, object) = match kind.as_str() {
        "relation" => (Some(LockMode::named(&mode)?), relation()?),
        "advisory" => (Some(LockMode::named(&mode)?), advisory?),
        "transactionid" | "tuple" => (None, relation()?),
        _ => return None,
    };
    Some(Awaited { mode, object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lies_between_the_looks_that_did_not_see_it() {
        let waits = Waits::default();
        let looks = [(0.0, 1.0), (10.0, 12.0), (20.0, 23.0), (30.0, 31.0), (40.0, 41.0), (50.0, 51.0)]
            .map(|(asked, answered)| Look { asked, answered });
        let waiting = |blocker: i32| vec![(7, "w".to_owned(), None, None, vec![blocker], vec![])];
        waits.note(waiting(8), Look::default(), looks[0]);
        waits.note(vec![], looks[0], looks[1]);
        waits.note(waiting(8), looks[1], looks[2]);
        waits.note(waiting(8), looks[2], looks[3]);
        waits.note(waiting(9), looks[3], looks[4]);
        waits.note(waiting(9), looks[4], looks[5]);
        let seen: Vec<_> = waits
            .seen(&Whose::new(std::iter::empty()), &[], &BTreeMap::new())
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

    #[test]
    fn a_session_is_its_workers_whatever_it_calls_itself() {
        let worker = |name: &str, role: Option<&str>| (WorkerName::new(name), role.map(RoleName::new));
        let workers = [
            worker("Zähler", None),
            worker("program", Some("svc")),
            worker("one of two", Some("shared")),
            worker("other of two", Some("shared")),
        ];
        let whose = Whose::new(workers.into_iter());
        let statement = serde_json::json!({
            "index": 1, "session": 1, "backend": 9, "role": "svc", "line": 1, "file": null, "sql": "LOCK t", "sent": null,
            "began_ms": 0.0, "duration_ms": 1.0, "tag": null, "rows": null, "sqlstate": null, "message": null,
            "in_transaction": false,
        });
        let statements = [serde_json::from_value(statement).unwrap()];
        let called = |backend: i32, application: &str, role: &str| {
            let waits = Waits::default();
            let blocker = WorkerName::new("Zähler").application();
            let waiting =
                (backend, application.to_owned(), Some(role.to_owned()), None, vec![1], vec![blocker]);
            waits.note(vec![waiting], Look::default(), Look::default());
            let [wait] = &waits.seen(&whose, &statements, &BTreeMap::new())[..] else { panic!("one") };
            assert_eq!(wait.blocker_names, ["Zähler"]);
            wait.application.clone()
        };
        assert_eq!(called(8, &WorkerName::new("Zähler").application(), "svc"), "Zähler");
        assert_eq!(called(8, "program", "svc"), "program");
        assert_eq!(called(8, "PostgreSQL JDBC Driver", "svc"), "program");
        // The script runs as the same role.
        assert_eq!(called(9, "psql", "svc"), "psql");
        assert_eq!(called(8, "psql", "shared"), "psql");
        assert_eq!(called(8, "psql", "nobody"), "psql");
    }

    #[test]
    fn what_is_waited_for_has_the_name_of_its_relation() {
        let names = BTreeMap::from([(16400, "public.orders".to_owned())]);
        let told = |mode: &str, kind: &str, relation: Option<u32>, advisory: &str| {
            let asked = (mode.to_owned(), kind.to_owned(), relation, Some(advisory.to_owned()));
            awaited(asked, &names).map(|awaited| (awaited.mode, awaited.object))
        };
        let orders = |mode: Option<LockMode>| Some((mode, "public.orders".to_owned()));
        assert_eq!(told("RowShareLock", "relation", Some(16400), "x"), orders(Some(LockMode::RowShareLock)));
        assert_eq!(told("ShareLock", "transactionid", Some(16400), "x"), orders(None));
        assert_eq!(told("ExclusiveLock", "tuple", Some(16400), "x"), orders(None));
        assert_eq!(told("ShareLock", "transactionid", None, "x"), None);
        // It is gone.
        assert_eq!(told("RowShareLock", "relation", Some(16401), "x"), None);
        let advisory = Some((Some(LockMode::ExclusiveLock), "advisory lock 1".to_owned()));
        assert_eq!(told("ExclusiveLock", "advisory", None, "advisory lock 1"), advisory);
        assert_eq!(told("ExclusiveLock", "extend", Some(16400), "x"), None);
    }
}
