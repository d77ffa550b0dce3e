//! Tries the statements of duties as the role that has them.

use super::super::iteration::apart;
use super::super::spec::{RowsExpected, Step, WorkerSpec};
use super::super::{Surroundings, iteration};
use super::statements::{Ran, Values};
use super::{Candidate, Duty};
use crate::observations::LeftOut;
use crate::postgres::Session;

/// How long a statement that is tried may take.
const LIMIT: &str = "SET statement_timeout = '2s'";

/// Tries duties of one role, one after the other.
pub(super) struct Trier<'a> {
    worker: &'a WorkerSpec,
    surroundings: &'a Surroundings,
    session: Option<Session>,
    steps: Vec<Step>,
    left_out: Vec<LeftOut>,
    /// It cannot even log in.
    out: bool,
}

impl<'a> Trier<'a> {
    pub(super) fn new(worker: &'a WorkerSpec, surroundings: &'a Surroundings) -> Self {
        Self { worker, surroundings, session: None, steps: Vec::new(), left_out: Vec::new(), out: false }
    }

    /// Whether nothing has worked so far.
    pub(super) fn is_idle(&self) -> bool {
        self.steps.is_empty()
    }

    fn leave_out(&mut self, what: &str, error: String) {
        self.left_out.push(LeftOut { role: self.worker.role.clone(), what: what.to_owned(), error });
    }

    /// The session, opened again where what was tried has ended it. None: the role cannot log in.
    async fn session(&mut self) -> Option<Session> {
        if self.out {
            return None;
        }
        if let Some(open) = self.session.take().filter(|open| open.cut_off().is_none()) {
            return Some(open);
        }
        match open(self.worker, self.surroundings).await {
            Ok(open) => Some(open),
            Err(error) => {
                self.leave_out("logging in", error);
                self.out = true;
                None
            }
        }
    }

    /// Finds the first statement of a duty that works.
    pub(super) async fn duty(&mut self, duty: &Duty) {
        let Some(session) = self.session().await else { return };
        match tried(&session, duty).await {
            Ok(step) => self.steps.push(step),
            Err(error) => self.leave_out(&duty.name, error),
        }
        self.session = Some(session);
    }

    /// The same for a statement that the role has run.
    pub(super) async fn ran(&mut self, number: usize, ran: &Ran, values: &mut Values<'_>) {
        let Some(session) = self.session().await else { return };
        let duty = values.duty(&session, number, ran).await;
        self.session = Some(session);
        match duty {
            Ok(duty) => self.duty(&duty).await,
            Err(error) => self.leave_out(&format!("statement {number}: {}", ran.query), error),
        }
    }

    /// The steps, at least that of logging in; none where that cannot be. And what was left out.
    pub(super) async fn end(mut self) -> (Option<Vec<Step>>, Vec<LeftOut>) {
        let Some(session) = self.session().await else { return (None, self.left_out) };
        session.close().await;
        if self.steps.is_empty() {
            let (name, sql) = (Some("logging in".to_owned()), "SELECT 1".to_owned());
            self.steps.push(Step::Sql { name, sql, rows: None, value: None });
        }
        (Some(self.steps), self.left_out)
    }
}

async fn open(worker: &WorkerSpec, surroundings: &Surroundings) -> Result<Session, String> {
    let login = surroundings.login(worker);
    let opened = iteration::open(&surroundings.endpoint, &login, &worker.on_connect, worker.timeout).await;
    let session = opened.map_err(|failure| failure.message)?;
    session.run(LIMIT).await.map_err(|failure| failure.message)?;
    Ok(session)
}

/// The first statement that works and finds rows where it is to; else the first that works; else what is said of the first.
async fn tried(session: &Session, duty: &Duty) -> Result<Step, String> {
    let (mut said, mut works) = (None, None);
    for candidate in &duty.candidates {
        match attempt(session, candidate).await {
            Ok(rows) => {
                let found = rows.is_some() || !candidate.finds;
                let step = || Step::Sql {
                    name: Some(duty.name.clone()),
                    sql: candidate.sql.clone(),
                    rows,
                    value: candidate.value.clone(),
                };
                if found && candidate.finds == duty.finds() {
                    return Ok(step());
                }
                works = works.or_else(|| Some(step()));
            }
            Err(error) => said = said.or(Some(error)),
        }
    }
    works.ok_or_else(|| said.unwrap_or_else(|| "there is no statement for it".to_owned()))
}

/// Tries a statement: the rows that it is to find from then on.
async fn attempt(session: &Session, candidate: &Candidate) -> Result<Option<RowsExpected>, String> {
    let answer = apart(session, &candidate.sql).await.map_err(|failure| failure.message)?;
    if let Some(wanted) = &candidate.value {
        let got = answer.value.flatten().unwrap_or_default();
        if got != *wanted {
            return Err(format!("the server says '{got}' and not '{wanted}'"));
        }
    }
    Ok((candidate.finds && answer.rows > 0).then_some(RowsExpected::AtLeast(1)))
}
