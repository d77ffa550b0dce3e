//! One iteration on one session: its steps, its timeout, and getting the session back into shape.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::spec::{SessionKind, Step, WorkerSpec};
use crate::observations::{Failure, FailureKind};
use crate::postgres::{Answer, Endpoint, Login, QueryFailure, Sent, Session};

/// How long a cancelled statement may take to end before its session is given up.
const CANCELLED: Duration = Duration::from_secs(10);
/// How long until it is cancelled once more.
const AGAIN: Duration = Duration::from_millis(200);
/// Steps that are sent before the first of them is answered.
const AHEAD: usize = 31;

/// Opens a session and says the statements that begin it.
pub(super) async fn open(
    endpoint: &Endpoint,
    login: &Login,
    on_connect: &[String],
    limit: Duration,
) -> Result<Session, Failure> {
    let deadline = Instant::now() + limit;
    let opened = timeout_at(deadline, Session::open(endpoint, login)).await;
    let session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(failure)) => return Err(raised(failure, FailureKind::Connect, None)),
        Err(_) => return Err(timed_out("connecting", limit, None)),
    };
    for statement in on_connect {
        let failure = match guarded(&session, session.run(statement), deadline).await {
            Some(Ok(_)) => continue,
            Some(Err(failure)) => raised(failure, FailureKind::OnConnect, None),
            None => timed_out("on_connect", limit, None),
        };
        session.close().await;
        return Err(failure);
    }
    Ok(session)
}

/// One iteration. A failed one is rolled back, and the session stays unless it is gone.
pub(super) async fn iterate(
    session: &mut Session,
    spec: &WorkerSpec,
    limit: Duration,
) -> Result<(), Failure> {
    let steps = spec.steps();
    let deadline = Instant::now() + limit;
    let mut result = steps_of(session, spec, steps, deadline, limit).await;
    let still_there = result.as_ref().err().is_none_or(|failure| failure.kind != FailureKind::CutOff);
    if result.is_err() && still_there {
        // What the iteration failed with is worth more than what the rollback may add.
        let _ = tidy(session, "ROLLBACK").await;
    }
    if spec.session == SessionKind::Pool && session.cut_off().is_none() {
        // What a session pooler says when its client is done (PgBouncer's server_reset_query).
        result = result.and(tidy(session, "DISCARD ALL").await);
    }
    result
}

async fn tidy(session: &Session, statement: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + CANCELLED;
    match guarded(session, session.run(statement), deadline).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(failure)) => Err(raised(failure, FailureKind::Statement, None)),
        None => Err(timed_out(statement, CANCELLED, None)),
    }
}

async fn steps_of(
    session: &mut Session,
    spec: &WorkerSpec,
    steps: &[Step],
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    if steps.iter().any(|step| matches!(step, Step::Notify { .. })) {
        // A notification that came before does not count: after an answer every earlier one is here.
        statement(session, "", None, deadline, limit).await?;
        session.forget_notifications();
    }
    let end = if spec.rollback { "ROLLBACK" } else { "COMMIT" };
    let mut in_transaction = false;
    let mut left = steps.iter().zip(1_u32..);
    while let Some((step, number)) = left.next() {
        let at = Some(number);
        match step {
            Step::Sql { .. } if spec.rollback && !spec.transaction => {
                let is_sql = |(step, _): &(&Step, u32)| matches!(step, Step::Sql { .. });
                let more = left.clone().take_while(is_sql).take(AHEAD);
                let some: Vec<(&Step, u32)> = std::iter::once((step, number)).chain(more).collect();
                left.by_ref().take(some.len() - 1).for_each(drop);
                apart_ahead(session, &some, deadline, limit).await?;
            }
            Step::Sql { sql, .. } => {
                if spec.transaction && !in_transaction {
                    statement(session, "BEGIN", at, deadline, limit).await?;
                    in_transaction = true;
                }
                let answer = statement(session, sql, at, deadline, limit).await?;
                expected(step, &answer, at)?;
            }
            Step::Notify { channel } => {
                if in_transaction {
                    // Within a transaction no notification is delivered (PostgreSQL manual, NOTIFY).
                    statement(session, end, at, deadline, limit).await?;
                    in_transaction = false;
                }
                let arrived = async {
                    while let Some(notification) = session.next_notification().await {
                        if notification.channel == *channel {
                            return true;
                        }
                    }
                    false
                };
                match timeout_at(deadline, arrived).await {
                    Ok(true) => {}
                    Ok(false) => {
                        let failure = session.cut_off();
                        return Err(failure.map_or_else(
                            || unexpected("the session ended".to_owned(), at),
                            |failure| raised(failure, FailureKind::CutOff, at),
                        ));
                    }
                    Err(_) => {
                        return Err(timed_out(&format!("no notification came on {channel}"), limit, at));
                    }
                }
            }
            Step::Pause(time) => {
                if timeout_at(deadline, tokio::time::sleep(*time)).await.is_err() {
                    return Err(timed_out("pause", limit, at));
                }
            }
        }
    }
    if in_transaction {
        let last = u32::try_from(steps.len()).ok();
        statement(session, end, last, deadline, limit).await?;
    }
    Ok(())
}

async fn statement(
    session: &Session,
    sql: &str,
    step: Option<u32>,
    deadline: Instant,
    limit: Duration,
) -> Result<Answer, Failure> {
    answered(session, session.run(sql), || step, deadline, limit).await
}

/// A query string that was sent as a transaction of its own, which is rolled back.
struct Apart([Sent; 3]);

impl Apart {
    async fn send(session: &Session, sql: &str) -> Result<Self, QueryFailure> {
        Ok(Self([session.send("BEGIN").await?, session.send(sql).await?, session.send("ROLLBACK").await?]))
    }

    async fn answer(self, session: &Session) -> Result<Answer, QueryFailure> {
        let [begun, sent, ended] = self.0;
        session.answer(begun).await?;
        let answer = session.answer(sent).await;
        session.answer(ended).await?;
        answer
    }
}

/// Runs a query string as a transaction of its own, which is rolled back.
pub(super) async fn apart(session: &Session, sql: &str) -> Result<Answer, QueryFailure> {
    Apart::send(session, sql).await?.answer(session).await
}

/// Runs steps as transactions of their own, which are rolled back. All are sent at once: there may be thousands, and
/// whether a later one is carried out after one that fails makes no difference to anybody.
async fn apart_ahead(
    session: &Session,
    steps: &[(&Step, u32)],
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    let reached = AtomicU32::new(steps.first().map_or(1, |(_, number)| *number));
    let run = async {
        let mut sent = Vec::new();
        for (step, number) in steps {
            if let Step::Sql { sql, .. } = step {
                sent.push((*step, *number, Apart::send(session, sql).await?));
            }
        }
        let mut failed = Ok(());
        for (step, number, apart) in sent {
            if failed.is_ok() {
                reached.store(number, Ordering::Relaxed);
            }
            let result = match apart.answer(session).await {
                Ok(answer) => expected(step, &answer, Some(number)),
                Err(failure) => Err(raised(failure, FailureKind::Statement, Some(number))),
            };
            failed = failed.and(result);
        }
        Ok(failed)
    };
    answered(session, run, || Some(reached.load(Ordering::Relaxed)), deadline, limit).await?
}

/// Whether a step was answered with what it expects.
fn expected(step: &Step, answer: &Answer, at: Option<u32>) -> Result<(), Failure> {
    let Step::Sql { rows, value, .. } = step else { return Ok(()) };
    if let Some(wanted) = rows
        && !wanted.accepts(answer.rows)
    {
        return Err(unexpected(format!("expected {wanted}, got {}", answer.rows), at));
    }
    if let Some(wanted) = value {
        // psql prints NULL as nothing.
        let got = answer.value.as_ref().map(|value| value.as_deref().unwrap_or_default());
        if got != Some(wanted) {
            let got = got.map_or_else(|| "no row".to_owned(), |got| format!("'{got}'"));
            return Err(unexpected(format!("expected the value '{wanted}', got {got}"), at));
        }
    }
    Ok(())
}

/// Waits for an answer until the deadline; `step` says what was being answered then.
async fn answered<T>(
    session: &Session,
    query: impl Future<Output = Result<T, QueryFailure>>,
    step: impl Fn() -> Option<u32>,
    deadline: Instant,
    limit: Duration,
) -> Result<T, Failure> {
    let result = guarded(session, query, deadline).await;
    let step = step();
    match result {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(failure)) => Err(raised(failure, FailureKind::Statement, step)),
        None if session.cut_off().is_some() => Err(Failure {
            kind: FailureKind::CutOff,
            ..timed_out("the statement could not be cancelled", limit, step)
        }),
        None => Err(timed_out("the statement was cancelled", limit, step)),
    }
}

/// Runs a query; at the deadline cancels it and waits until it has ended. None: it ran out of time.
async fn guarded<T>(
    session: &Session,
    query: impl Future<Output = Result<T, QueryFailure>>,
    deadline: Instant,
) -> Option<Result<T, QueryFailure>> {
    let mut query = std::pin::pin!(query);
    if let Ok(result) = timeout_at(deadline, &mut query).await {
        return Some(result);
    }
    let ended = async {
        loop {
            // Of what was sent ahead each is cancelled when its turn comes.
            session.cancel().await;
            if let Ok(result) = tokio::time::timeout(AGAIN, &mut query).await {
                return result;
            }
        }
    };
    match tokio::time::timeout(CANCELLED, ended).await {
        // It ended, by the cancellation or just before it: it has taken too long all the same. But a
        // session that was cut off meanwhile has another story.
        Ok(Err(failure)) if failure.cut_off => Some(Err(failure)),
        Ok(_) | Err(_) => None,
    }
}

fn raised(failure: QueryFailure, kind: FailureKind, step: Option<u32>) -> Failure {
    let kind = if failure.cut_off && kind != FailureKind::Connect { FailureKind::CutOff } else { kind };
    Failure { kind, sqlstate: Some(failure.sqlstate), message: failure.message, detail: failure.detail, step }
}

fn unexpected(message: String, step: Option<u32>) -> Failure {
    Failure { kind: FailureKind::Unexpected, sqlstate: None, message, detail: None, step }
}

fn timed_out(what: &str, limit: Duration, step: Option<u32>) -> Failure {
    let message = format!("timed out after {}: {what}", humantime::format_duration(limit));
    Failure { kind: FailureKind::TimedOut, sqlstate: None, message, detail: None, step }
}

/// The failure of a session that is gone.
pub(super) fn cut_off(failure: QueryFailure) -> Failure {
    raised(failure, FailureKind::CutOff, None)
}
