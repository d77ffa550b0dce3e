//! The extended protocol (53.2.3): prepared statements, portals, and what is executed of them.

use tokio::time::Instant;

use super::expect::{Executing, Expect, Response, Statement, Text};
use super::frames::{put, string};
use super::link::{Begun, CopySkipped, Link, Portal, Verdict};
use super::splice::{Form, Splice};
use super::text::{kept, readable};
use crate::identifiers::quote_identifier;

/// Prepared statements, and portals, that a connection can have known to the tap.
const KNOWN: usize = 10_000;
/// Bytes of their texts.
const TEXTS: usize = 16 << 20;
/// A portal that no client has.
const NO_PORTAL: &[u8] = b"thirdrun: no such portal\0";

impl Link {
    /// Parse: a statement gets a text (53.7).
    pub(super) fn parse(&mut self, message: &[u8]) {
        let body = message.get(5..).unwrap_or_default();
        let (name, rest) = string(body).unwrap_or_default();
        let (text, truncated) = match string(rest) {
            Some((text, _)) => (text, false),
            None => (rest, true),
        };
        let text = kept(&readable(text), truncated);
        self.batch_begins(&text.text);
        self.queue.push_back(Expect::Prepare(text.clone()));
        if name.is_empty() {
            self.unnamed_statement = Some(text);
        } else if self.statements.len() < KNOWN && self.statement_texts + text.text.len() < TEXTS {
            self.statement_texts += text.text.len();
            if let Some(old) = self.statements.insert(name.into(), text) {
                self.statement_texts -= old.text.len();
            }
        }
    }

    /// The first message of a batch, which ends with Sync.
    fn batch_begins(&mut self, text: &str) {
        if !std::mem::replace(&mut self.in_batch, true) {
            self.wrap_batch(text);
        }
    }

    /// Bind: a portal gets a statement (53.7).
    pub(super) fn bind(&mut self, message: &[u8]) {
        let body = message.get(5..).unwrap_or_default();
        let (portal, rest) = string(body).unwrap_or_default();
        let (name, _) = string(rest).unwrap_or_default();
        let known = if name.is_empty() { self.unnamed_statement.as_ref() } else { self.statements.get(name) };
        let text = known.cloned().unwrap_or_else(|| {
            // Made by PREPARE, or forgotten.
            let name = String::from_utf8_lossy(name);
            Text {
                text: format!("EXECUTE {}", quote_identifier(&name)).into(),
                truncated: true,
                masked: false,
            }
        });
        self.batch_begins(&text.text);
        self.queue.push_back(Expect::Prepare(text.clone()));
        let bound = Portal { text, begun: None };
        if portal.is_empty() {
            self.unnamed_portal = Some(bound);
        } else if self.portals.len() < KNOWN || self.portals.contains_key(portal) {
            self.portals.insert(portal.into(), bound);
        }
    }

    /// Close of a statement or a portal (53.7).
    pub(super) fn close(&mut self, message: &[u8]) {
        self.in_batch = true;
        self.queue.push_back(Expect::Short);
        let body = message.get(5..).unwrap_or_default();
        let Some((kind, rest)) = body.split_first() else {
            return;
        };
        let (name, _) = string(rest).unwrap_or_default();
        match (kind, name) {
            (b'S', b"") => self.unnamed_statement = None,
            (b'S', name) => {
                if let Some(old) = self.statements.remove(name) {
                    self.statement_texts -= old.text.len();
                }
            }
            (_, b"") => self.unnamed_portal = None,
            (_, name) => {
                self.portals.remove(name);
            }
        }
    }

    /// Execute: a portal runs, or runs on (53.2.3).
    pub(super) fn execute(&mut self, message: &[u8]) -> Verdict {
        let (name, _) = string(message.get(5..).unwrap_or_default()).unwrap_or_default();
        let portal = if name.is_empty() { self.unnamed_portal.as_ref() } else { self.portals.get(name) };
        let (text, begun) = match portal {
            Some(portal) => (portal.text.clone(), portal.begun),
            // DECLARE CURSOR makes portals too, and the server says of others that there are none.
            None => {
                let name = String::from_utf8_lossy(name);
                let text = format!("FETCH ALL FROM {}", quote_identifier(&name));
                (Text { text: text.into(), truncated: true, masked: false }, None)
            }
        };
        self.in_batch = true;
        let mut statement = match begun {
            Some(begun) if !begun.skipped => {
                let mut statement = Statement::unrecorded(Instant::now());
                (statement.slot, statement.rows) = (begun.slot, begun.rows);
                statement
            }
            Some(_) => {
                let mut statement = Statement::unrecorded(self.answered);
                statement.splice = Some(Splice::of(None, &text.text, Form::Extended));
                statement
            }
            None if self.shared.journal.running() == 0 => Statement::unrecorded(self.answered),
            None => {
                let considered = self.consider(&text, Form::Extended, false);
                if let Some(slot) = considered.cut {
                    self.forget(&considered.statement);
                    return self.cut(slot);
                }
                considered.statement
            }
        };
        let skipped = statement.splice.is_some();
        if begun.is_none() {
            let begun = Begun { slot: statement.slot, rows: 0, skipped };
            self.note_begun(name, begun);
        }
        self.unsynced = true;
        let verdict = match &statement.splice {
            None => Verdict::Pass,
            // Of a portal that is not there, Close is no error and Execute is one (53.2.3).
            Some(Splice::Failed(_) | Splice::Refused(_)) => {
                put(&mut self.scratch, b'E', &[NO_PORTAL, &0_i32.to_be_bytes()]);
                Verdict::Drop
            }
            Some(Splice::Done(_)) => {
                put(&mut self.scratch, b'C', &[b"P", NO_PORTAL]);
                Verdict::Drop
            }
            Some(Splice::CopyIn(..)) => {
                put(&mut self.scratch, b'C', &[b"P", NO_PORTAL]);
                put(&mut self.scratch, b'H', &[]);
                self.copy_skipped = Some(CopySkipped { extended: true, shown: false, ended: None, syncs: 0 });
                Verdict::Drop
            }
        };
        if statement.slot.is_none() {
            statement.response = Response::Off;
        }
        self.queue.push_back(Expect::Execute(Executing { statement, portal: name.into(), copying: false }));
        verdict
    }

    /// What of a portal was executed.
    pub(super) fn note_begun(&mut self, name: &[u8], begun: Begun) {
        let portal = if name.is_empty() { self.unnamed_portal.as_mut() } else { self.portals.get_mut(name) };
        if let Some(portal) = portal {
            portal.begun = Some(begun);
        }
    }
}
