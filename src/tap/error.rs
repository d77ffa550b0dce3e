//! Errors of the server: whose they are, and what is not run because of them.

use super::expect::{Expect, Part, Parts, Statement, Text};
use super::frames::{Complaint, complaint, put};
use super::journal::{Arriving, Outcome};
use super::link::{Link, Verdict};

impl Link {
    /// An ErrorResponse.
    pub(super) fn error(&mut self, message: &[u8]) -> Verdict {
        let mut complaint = complaint(message.get(5..).unwrap_or_default());
        match self.queue.front_mut() {
            Some(Expect::Query(_)) => {
                if self.splice_parts(false).is_none() {
                    return Verdict::Stay;
                }
                let Some(Expect::Query(parts)) = self.queue.front_mut() else {
                    return Verdict::Pass;
                };
                if self.wrap.as_mut().is_some_and(|wrap| wrap.is_misplaced(&complaint)) {
                    (parts.failed, parts.refused) = (true, true);
                    parts.left.clear();
                    return Verdict::Drop;
                }
                let (part, rest) = failed_part(parts, &mut complaint);
                parts.failed = true;
                if std::mem::take(&mut parts.copying) {
                    self.forget_ignored_syncs();
                }
                if let Some(wrap) = self.wrap.as_ref().filter(|_| complaint.unparsed) {
                    // The server refuses a whole query string before it begins with it.
                    let own = part.as_ref().and_then(|part| part.statement.slot);
                    wrap.before(own).for_each(|slot| self.shared.journal.never_reached(slot));
                }
                rest.iter().for_each(|part| self.forget(&part.statement));
                match part {
                    Some(part) => self.fail(part.statement, message, complaint),
                    None => Verdict::Pass,
                }
            }
            Some(Expect::Function(statement)) => {
                let statement = std::mem::replace(statement, Statement::unrecorded(self.answered));
                self.fail(statement, message, complaint)
            }
            Some(Expect::Execute(_)) => {
                let Some(Expect::Execute(executing)) = self.queue.pop_front() else {
                    return Verdict::Pass;
                };
                if executing.copying {
                    self.forget_ignored_syncs();
                }
                let misplaced = self.wrap.as_mut().is_some_and(|wrap| wrap.is_misplaced(&complaint));
                let verdict = if misplaced {
                    Verdict::Drop
                } else {
                    self.fail(executing.statement, message, complaint)
                };
                self.skip_to_sync();
                verdict
            }
            Some(Expect::Prepare(_)) => {
                let Some(Expect::Prepare(text)) = self.queue.pop_front() else {
                    return Verdict::Pass;
                };
                self.fail_to_prepare(Some(text), message, complaint);
                Verdict::Pass
            }
            Some(Expect::Short) => {
                self.queue.pop_front();
                self.fail_to_prepare(None, message, complaint);
                Verdict::Pass
            }
            // What was deferred to the end of the transaction.
            Some(Expect::Sync) => {
                if let Some(last) = &mut self.last {
                    last.tag = None;
                    last.sqlstate.clone_from(&complaint.sqlstate);
                    self.shared.journal.fail(last.slot, complaint);
                }
                Verdict::Pass
            }
            Some(Expect::Startup | Expect::CopyEnd | Expect::Ask(_) | Expect::Own(_)) | None => Verdict::Pass,
        }
    }

    /// A statement failed, or one that was skipped fails as it did before.
    fn fail(&mut self, mut statement: Statement, message: &[u8], complaint: Complaint) -> Verdict {
        // A session that ends is no failure that was asked for.
        if statement.splice.is_some() && !complaint.fatal {
            self.give(statement, false);
            return Verdict::Drop;
        }
        statement.response.keep(message);
        self.conclude(statement, Outcome::Failed(complaint), false);
        Verdict::Pass
    }

    /// A statement could not be prepared: it is the one that would have been executed next.
    fn fail_to_prepare(&mut self, text: Option<Text>, message: &[u8], complaint: Complaint) {
        let sent = self.answered;
        let next = self.queue.iter_mut().find_map(|expect| match expect {
            Expect::Execute(executing) => {
                Some(Some(std::mem::replace(&mut executing.statement, Statement::unrecorded(sent))))
            }
            Expect::Sync => Some(None),
            _ => None,
        });
        let mut statement = next.flatten();
        if statement.is_none()
            && let Some(text) = text
        {
            let arriving = Arriving {
                text: &text,
                role: &self.role,
                database: &self.database,
                backend: self.backend,
                sent,
            };
            statement = self
                .shared
                .journal
                .enter(&mut self.seat, arriving)
                .map(|entered| Statement::recorded(entered.slot, sent, None));
        }
        if let Some(mut statement) = statement {
            statement.splice = None;
            statement.response.keep(message);
            self.conclude(statement, Outcome::Failed(complaint), false);
        }
        self.skip_to_sync();
    }

    /// After an error the server reads on at the next Sync (53.2.3).
    fn skip_to_sync(&mut self) {
        while let Some(expect) = self.queue.front() {
            match expect {
                Expect::Sync => return,
                Expect::Execute(executing) => self.forget(&executing.statement),
                Expect::Query(parts) => parts.left.iter().for_each(|part| self.forget(&part.statement)),
                Expect::Function(statement) => self.forget(statement),
                Expect::Startup
                | Expect::Prepare(_)
                | Expect::Short
                | Expect::CopyEnd
                | Expect::Ask(_)
                | Expect::Own(_) => {}
            }
            self.queue.pop_front();
        }
        self.unsynced = false;
        // The server never came to a COPY that was to be skipped, and waits for the Sync that it would have ignored.
        if let Some(copy) = self.copy_skipped.take_if(|copy| copy.extended)
            && copy.syncs > 0
        {
            let mut sync = Vec::new();
            put(&mut sync, b'S', &[]);
            self.send_up(&sync);
            self.queue.push_back(Expect::Sync);
            return;
        }
        self.ignoring = true;
        if let Some(wrap) = &mut self.wrap {
            wrap.reopens();
        }
    }
}

/// The part of a query string that an error belongs to, with the error's position in it, and the parts after it.
fn failed_part(parts: &mut Parts, complaint: &mut Complaint) -> (Option<Part>, Vec<Part>) {
    let mut before = Vec::new();
    // A text that cannot be parsed fails as a whole, before its first statement runs.
    if let Some(position) = complaint.position {
        while parts.left.get(1).is_some_and(|next| next.begins < position) {
            before.extend(parts.left.pop_front());
        }
    }
    let part = parts.left.pop_front();
    if let (Some(part), Some(position)) = (&part, &mut complaint.position) {
        *position = position.saturating_sub(part.begins);
    }
    before.extend(parts.left.drain(..));
    (part, before)
}
