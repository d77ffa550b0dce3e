//! One iteration on one session: its steps, its timeout, and getting the session back into shape.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::spec::{SessionKind, Step, WorkerSpec};
use crate::observations::{Failure, FailureKind};
use crate::postgres::{Endpoint, Login, QueryFailure, Session};

/// How long a cancelled statement may take to end before its session is given up.
const CANCELLED: Duration = Duration::from_secs(10);

/// Opens a session and says the statements that begin it.
pub(super) async fn open(
    endpoint: &Endpoint,
    login: &Login,
    spec: &WorkerSpec,
    limit: Duration,
) -> Result<Session, Failure> {
    let deadline = Instant::now() + limit;
    let opened = timeout_at(deadline, Session::open(endpoint, login)).await;
    let session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(failure)) => return Err(raised(failure, FailureKind::Connect, None)),
        Err(_) => return Err(timed_out("connecting", limit, None)),
    };
    for statement in &spec.on_connect {
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
    let steps = match &spec.work {
        super::StepWork::Steps(steps) => steps.as_slice(),
        super::StepWork::Command(_) => &[],
    };
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
    for (step, number) in steps.iter().zip(1_u32..) {
        let at = Some(number);
        match step {
            Step::Sql { sql, rows, value } => {
                if spec.transaction && !in_transaction {
                    statement(session, "BEGIN", at, deadline, limit).await?;
                    in_transaction = true;
                }
                let answer = statement(session, sql, at, deadline, limit).await?;
                if let Some(wanted) = rows
                    && !wanted.accepts(answer.rows)
                {
                    let message = format!("expected {wanted} rows, got {}", answer.rows);
                    return Err(unexpected(message, at));
                }
                if let Some(wanted) = value {
                    // psql prints NULL as nothing.
                    let got = answer.value.as_ref().map(|value| value.as_deref().unwrap_or_default());
                    if got != Some(wanted) {
                        let got = got.map_or_else(|| "no row".to_owned(), |got| format!("'{got}'"));
                        return Err(unexpected(format!("expected the value '{wanted}', got {got}"), at));
                    }
                }
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
) -> Result<crate::postgres::Answer, Failure> {
    match guarded(session, session.run(sql), deadline).await {
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
    session.cancel().await;
    match tokio::time::timeout(CANCELLED, query).await {
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
