//! Whether a worker stands: one iteration of it, until it is over or waits for a lock.

use std::time::Duration;

use super::crew::Crew;
use super::worker::Worker;
use crate::identifiers::{WorkerName, quote_literal};
use crate::observations::{Failure, Lock, LockMode, Stander};
use crate::postgres::Session;
use crate::state::Ask as _;

/// How often the server is asked whether it waits.
const POLL: Duration = Duration::from_millis(2);

/// The server processes of a worker that wait for a lock of somebody's, with what each asks for. Who waits for a row
/// waits for the transaction that has written it, in most cases with a lock on the row in hand (PostgreSQL manual, 54.12
/// and 9.27).
const WAITING: &str = "SELECT a.pid, l.mode, \
                              CASE WHEN l.locktype = 'advisory' AND l.objsubid = 1 THEN \
                                  pg_catalog.concat('advisory lock ', \
                                      (l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8) \
                              WHEN l.locktype = 'advisory' THEN \
                                  pg_catalog.concat('advisory lock (', l.classid, ', ', l.objid, ')') \
                              ELSE \
                                  (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
                                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                                   WHERE c.oid = l.relation) \
                              END \
                       FROM pg_catalog.pg_stat_activity a \
                       JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND NOT l.granted \
                       WHERE a.wait_event_type = 'Lock' AND EXISTS ( \
                           SELECT FROM pg_catalog.pg_stat_activity b \
                           WHERE b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid)) AND b.backend_type = 'client backend') \
                         AND a.application_name = ";

impl Crew {
    /// The workers that stand, in the file's order: each is tried alone, and what it waits for is cancelled as soon as
    /// it is seen. `watch` is a superuser's session.
    pub async fn standers(&mut self, watch: &Session) -> Vec<Stander> {
        let mut standers = Vec::new();
        for worker in self.at_work() {
            let name = worker.spec.name.clone();
            if let Some(asked) = worker.stands(watch).await {
                standers.push(Stander { worker: name, asked });
            }
        }
        standers
    }
}

impl Worker {
    /// None: it passes. What it asked for, where that is known.
    async fn stands(&mut self, watch: &Session) -> Option<Option<Lock>> {
        let name = self.spec.name.clone();
        let mut stands = None;
        let mut iteration = std::pin::pin!(self.next_iteration(0));
        loop {
            tokio::select! {
                biased;
                result = &mut iteration => {
                    let gave_up = result.is_err_and(|failure| is_of_lock(&failure));
                    return stands.or(gave_up.then_some(None));
                }
                () = tokio::time::sleep(POLL) => {}
            }
            // Where the server does not answer, the iteration will tell.
            for (backend, asked) in waiting(watch, &name).await.unwrap_or_default() {
                stands.get_or_insert(asked);
                let _ = watch.run(&format!("SELECT pg_catalog.pg_cancel_backend({backend})")).await;
            }
        }
    }
}

async fn waiting(
    watch: &Session,
    name: &WorkerName,
) -> Result<Vec<(String, Option<Lock>)>, crate::postgres::QueryFailure> {
    let rows = watch.ask(&format!("{WAITING}{}", quote_literal(&name.application()))).await?;
    let process = |row: Vec<Option<String>>| {
        let [Some(process), mode, object] = row.as_slice() else { return None };
        let mode = mode.as_ref().and_then(|mode| LockMode::named(mode));
        let lock = mode.zip(object.clone()).map(|(mode, object)| Lock { mode, object });
        Some((process.clone(), lock))
    };
    Ok(rows.into_iter().filter_map(process).collect())
}

/// `lock_not_available` (PostgreSQL manual, appendix A) is what a worker with a `lock_timeout` gets; one that ran out of
/// its own time was stopped by nothing else here.
fn is_of_lock(failure: &Failure) -> bool {
    failure.is_of_time() || failure.sqlstate.as_ref().is_some_and(|code| code.as_str() == "55P03")
}
