//! The end of a statement, and of everything that was sent: what is noted, and whether somebody is told.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Next;
use super::expect::{Expect, Statement};
use super::frames::string;
use super::hold::{At, Hold};
use super::journal::{Answered, Outcome};
use super::link::{Last, Link, Verdict};

/// Statements that look at no data: `SET TRANSACTION` is still possible after them.
const LOOKS_AT_NOTHING: [&str; 7] =
    ["BEGIN", "START TRANSACTION", "SET", "RESET", "SAVEPOINT", "COMMIT", "ROLLBACK"];

impl Link {
    /// ReadyForQuery: everything up to here was answered.
    pub(super) fn ready_for_query(&mut self, status: u8) -> Verdict {
        while let Some(expect) = self.queue.front() {
            if expect.is_ready_for_query() {
                break;
            }
            if let Expect::Execute(executing) = expect {
                self.forget(&executing.statement);
            }
            self.queue.pop_front();
        }
        if self.splice_parts(true).is_none() {
            return Verdict::Stay;
        }
        if let Some(Expect::Function(statement)) = self.queue.front_mut()
            && statement.slot.is_some()
        {
            let statement = std::mem::replace(statement, Statement::unrecorded(self.answered));
            self.conclude(statement, Outcome::Done(String::new()), false);
        }
        self.queue.pop_front();
        self.pass_copy_ends();
        self.status = status;
        if self.wrap.is_some() {
            return self.wrapped_ready(status);
        }
        self.swallow = 0;
        if status == b'I' {
            self.has_looked = false;
            if self.queue.is_empty() {
                // Portals end with the transaction (53.2.3).
                self.portals.clear();
            }
        }
        if let Some(last) = &self.last {
            self.shared.journal.settle(last.slot, status != b'I');
            // Drivers close statements right behind the last use: nothing more of the client goes on, and once that
            // is answered the server is idle.
            self.draining = last.due && self.only_trifles_follow();
            if !self.draining {
                self.reach(true);
                self.last = None;
            }
        }
        Verdict::Pass
    }

    pub(super) fn conclude(&mut self, statement: Statement, outcome: Outcome, goes_on: bool) {
        self.conclude_as(statement, outcome, goes_on, false);
    }

    /// Notes the answer of a statement.
    pub(super) fn conclude_as(
        &mut self,
        mut statement: Statement,
        outcome: Outcome,
        goes_on: bool,
        skipped: bool,
    ) {
        let looked = match &outcome {
            Outcome::Done(tag) => !LOOKS_AT_NOTHING.contains(&tag.as_str()),
            Outcome::Failed(_) => true,
        };
        self.has_looked |= looked && !skipped;
        let Some(slot) = statement.slot else {
            return;
        };
        let watched = self.orders().boundary.is_some();
        let (tag, sqlstate, ends_transaction) = match &outcome {
            Outcome::Done(tag) => {
                (watched.then(|| tag.clone()), None, matches!(tag.as_str(), "COMMIT" | "ROLLBACK"))
            }
            Outcome::Failed(complaint) => (None, complaint.sqlstate.clone(), false),
        };
        let now = Instant::now();
        self.shared.journal.answer(
            slot,
            Answered {
                began: statement.sent.max(self.answered),
                ended: now,
                outcome,
                rows_before: statement.rows,
                in_transaction: goes_on && !ends_transaction,
                skipped,
                response: statement.response.take(),
            },
        );
        self.answered = now;
        self.last = Some(Last { slot, tag, sqlstate, due: watched });
    }

    /// A boundary: the client waits while whoever asked for it does what it likes.
    pub(super) fn reach(&mut self, ready: bool) {
        self.reach_as(ready, true);
    }

    /// The boundary while the locks of what would commit by itself are still held: the one after it is yet to come.
    pub(super) fn reach_held(&mut self) {
        self.reach_as(true, false);
    }

    fn reach_as(&mut self, ready: bool, for_good: bool) {
        let (Some(boundary), hold) = (self.orders().boundary.clone(), self.orders().hold) else {
            return;
        };
        let may_look = self.status != b'T' || self.has_looked;
        let idle = ready && self.queue.is_empty() && self.up.body == 0 && may_look;
        let Some(last) =
            self.last.as_mut().filter(|last| last.due && self.shared.journal.is_under_way(last.slot))
        else {
            return;
        };
        last.due = !for_good;
        let (questions, receiver) = mpsc::unbounded_channel();
        let at = At {
            index: last.slot.index,
            connection: self.seat.number,
            backend: self.backend,
            tag: last.tag.clone(),
            sqlstate: last.sqlstate.clone(),
            status: self.status,
            autocommit: self.wrap.as_ref().is_some_and(|wrap| wrap.is_own()),
            idle,
            questions,
        };
        let after = last.slot;
        let held = hold && idle && self.status == b'T';
        // Dropped with the hold, it ends what it runs.
        let mut elsewhere = JoinSet::new();
        let reached = async move {
            if held && boundary.held(&at).await == Next::Cut {
                return Next::Cut;
            }
            if for_good { boundary.reached(at).await } else { Next::Go }
        };
        elsewhere.spawn_on(reached, &self.shared.home);
        let future = Box::pin(async move {
            // Whoever cannot say how the run goes on lets nothing more happen.
            elsewhere.join_next().await.and_then(Result::ok).unwrap_or(Next::Cut)
        });
        let counted = self.shared.holds.one();
        self.hold = Some(Hold { future, questions: receiver, idle, after, _counted: counted });
    }

    /// What is in flight runs nothing, and the server will say that it is ready.
    fn only_trifles_follow(&self) -> bool {
        matches!(self.queue.back(), Some(Expect::Sync))
            && self
                .queue
                .iter()
                .all(|expect| matches!(expect, Expect::Short | Expect::CopyEnd | Expect::Sync))
    }

    /// Nothing but the end of the pipeline is behind what was just answered.
    pub(super) fn only_sync_follows(&self) -> bool {
        let mut behind = self.queue.iter();
        behind
            .find(|expect| !matches!(expect, Expect::Short | Expect::CopyEnd))
            .is_some_and(|expect| matches!(expect, Expect::Sync))
    }

    /// Syncs that came while the server read COPY data were ignored by it (53.2.7).
    pub(super) fn forget_ignored_syncs(&mut self) {
        let end = self.queue.iter().position(|expect| matches!(expect, Expect::CopyEnd));
        let mut at = 0;
        self.queue.retain(|expect| {
            at += 1;
            !(matches!(expect, Expect::Sync) && end.is_none_or(|end| at <= end))
        });
    }
}

/// The command tag of a CommandComplete (53.7).
pub(super) fn command_tag(message: &[u8]) -> String {
    let (tag, _) = string(message.get(5..).unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(tag).into_owned()
}
