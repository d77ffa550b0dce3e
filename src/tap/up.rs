//! What the client sends: statements are entered into the journal and decided about before they go on.

use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use super::expect::{Expect, Part, Parts, Statement, Text};
use super::frames::{put, string, u32_at};
use super::journal::{Arriving, Slot};
use super::link::{Link, Phase, Verdict};
use super::splice::{Form, Splice};
use super::text::{kept, readable};
use super::{Coming, Decision};
use crate::dump::statements;

/// Bytes of a query string that are held until it is complete. Of longer ones the beginning is looked at, and they
/// are one statement.
const QUERY: usize = 8 << 20;
/// Bytes of another message that are looked at: the names are at its front.
const NAMES: usize = 64 << 10;
/// A statement that fails when it is its turn, not before, in whatever state the transaction is.
const FAILING: &str = "SELECT 1/0";

/// How many bytes of a message must be there before it is decided about.
pub(super) fn looked_at(tag: u8) -> usize {
    match tag {
        b'Q' | b'P' => QUERY,
        // A startup packet is limited anyway.
        b'B' | b'E' | b'C' | b'D' | 0 => NAMES,
        b'F' => 9,
        _ => 5,
    }
}

/// A statement as it was entered and decided about.
pub(super) struct Considered {
    pub(super) statement: Statement,
    /// The run is to be cut off before it.
    pub(super) cut: Option<Slot>,
    /// As [`super::Seen::occurrence`].
    pub(super) occurrence: u32,
}

impl Link {
    /// Decides about a message of the client. `message` is its beginning, up to what [`looked_at`] says.
    pub(super) fn client_message(&mut self, tag: u8, message: &mut [u8], total: usize) -> Verdict {
        if self.phase == Phase::Startup {
            return self.startup(message);
        }
        if self.wrap.as_ref().is_some_and(|wrap| !wrap.takes(tag)) {
            return Verdict::Stay;
        }
        let verdict = self.open_message(tag, message, total);
        let ignored = self.ignoring;
        if verdict == Verdict::Pass
            && let Some(wrap) = &mut self.wrap
        {
            wrap.keep(tag, message, total, ignored);
        }
        verdict
    }

    fn open_message(&mut self, tag: u8, message: &mut [u8], total: usize) -> Verdict {
        self.gives_up_skipped_copy(tag);
        if self.discarding {
            if tag != b'S' {
                return if tag == b'X' { Verdict::Pass } else { Verdict::Drop };
            }
            self.discarding = false;
        }
        if matches!(tag, b'd' | b'c' | b'f' | b'S' | b'H') && self.copy_comes() {
            return Verdict::Stay;
        }
        // There is one skipped COPY at a time: what is executed behind one whose data are over waits until its turn has come.
        if tag == b'E'
            && self.copy_skipped.as_ref().is_some_and(|copy| copy.ended.is_some())
            && !self.discarding
        {
            return Verdict::Stay;
        }
        if self.copy_skipped.is_some() && matches!(tag, b'd' | b'c' | b'f' | b'S' | b'H') {
            return self.skipped_copy(tag);
        }
        // After an error in the extended protocol the server ignores everything until Sync (53.2.3).
        if self.ignoring && tag != b'S' {
            return Verdict::Pass;
        }
        match tag {
            b'Q' => return self.query(message, total),
            b'P' => self.parse(message),
            b'B' => self.bind(message),
            b'E' => return self.execute(message),
            b'D' => {
                self.in_batch = true;
                self.queue.push_back(Expect::Short);
            }
            b'C' => self.close(message),
            b'F' => return self.function(message),
            b'S' => {
                self.ignoring = false;
                self.unsynced = false;
                (self.in_batch, self.again) = (false, None);
                self.queue.push_back(Expect::Sync);
            }
            b'c' | b'f' if !self.queue.is_empty() => self.queue.push_back(Expect::CopyEnd),
            _ => {}
        }
        Verdict::Pass
    }

    /// The first packet (53.7, StartupMessage, CancelRequest, SSLRequest, GSSENCRequest).
    fn startup(&mut self, packet: &[u8]) -> Verdict {
        match u32_at(packet, 4) {
            Some(80_877_103 | 80_877_104) => self.phase = Phase::Encryption,
            Some(80_877_102) => self.phase = Phase::Opaque,
            Some(version) if version >> 16 == 3 => {
                let mut rest = packet.get(8..).unwrap_or_default();
                while let Some((key, after)) = string(rest).filter(|(key, _)| !key.is_empty()) {
                    let Some((value, after)) = string(after) else {
                        break;
                    };
                    let value: Arc<str> = String::from_utf8_lossy(value).into();
                    match key {
                        b"user" => self.role = value,
                        b"database" => self.database = value,
                        _ => {}
                    }
                    rest = after;
                }
                if self.database.is_empty() {
                    self.database = Arc::clone(&self.role);
                }
                self.phase = Phase::Open;
                self.queue.push_back(Expect::Startup);
            }
            _ => self.give_up_reading(),
        }
        Verdict::Pass
    }

    /// A simple query (53.2.2).
    fn query(&mut self, message: &mut [u8], total: usize) -> Verdict {
        if self.shared.journal.running() == 0 {
            self.queue.push_back(Expect::Query(Parts::default()));
            return Verdict::Pass;
        }
        let whole = message.len() == total;
        let body = message.get(5..).unwrap_or_default();
        let length = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
        let text = readable(body.get(..length).unwrap_or_default());
        let places = if whole { self.places(&text) } else { std::iter::once(0..text.len()).collect() };
        let mut parts = Parts::default();
        let mut cut = None;
        let mut characters = Characters { text: &text, at: 0, count: 0 };
        for place in &places {
            let part = text.get(place.clone()).unwrap_or_default();
            let considered = self.consider(&kept(part, !whole), Form::Simple, !parts.left.is_empty());
            cut = cut.or(considered.cut);
            parts.left.push_back(Part {
                statement: considered.statement,
                begins: characters.before(place.start),
                place: place.clone(),
                occurrence: considered.occurrence,
            });
        }
        if let Some(slot) = cut {
            for part in &parts.left {
                self.forget(&part.statement);
            }
            return self.cut(slot);
        }
        if whole {
            match self.wrap_query(message, &text, parts) {
                Ok(verdict) => return verdict,
                Err(given_back) => parts = given_back,
            }
        }
        drop(text);
        self.respell(message, length, &places, &parts, whole);
        self.queue.push_back(Expect::Query(parts));
        if self.scratch.is_empty() { Verdict::Pass } else { Verdict::Drop }
    }

    /// Takes what is skipped out of a query string. Blanks keep the positions of errors in the rest.
    fn respell(
        &mut self,
        message: &mut [u8],
        length: usize,
        places: &[Range<usize>],
        parts: &Parts,
        whole: bool,
    ) {
        let skipped = || {
            places
                .iter()
                .zip(&parts.left)
                .filter_map(|(place, part)| Some((place, part.statement.splice.as_ref()?)))
        };
        if skipped().next().is_none() {
            return;
        }
        if whole && skipped().all(|(_, splice)| !matches!(splice, Splice::Failed(_))) {
            for (place, _) in skipped() {
                if let Some(bytes) = message.get_mut(5 + place.start..5 + place.end) {
                    bytes.fill(b' ');
                }
            }
            return;
        }
        let body = message.get(5..).unwrap_or_default();
        let (mut sql, mut from) = (Vec::new(), 0);
        for (place, splice) in skipped() {
            sql.extend_from_slice(body.get(from..place.start).unwrap_or_default());
            if matches!(splice, Splice::Failed(_)) {
                sql.extend_from_slice(FAILING.as_bytes());
            }
            from = place.end;
        }
        sql.extend_from_slice(body.get(from..length).unwrap_or_default());
        sql.push(0);
        put(&mut self.scratch, b'Q', &[&sql]);
    }

    /// Where the statements of a query string are.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let bytes = text.as_bytes();
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
        let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        let inner = bytes.get(..end).unwrap_or_default();
        let start = inner.iter().position(|byte| !blank(byte)).unwrap_or(end);
        let inner = inner.get(start..).unwrap_or_default();
        match inner.first() {
            None => Vec::new(),
            // A comment may be all there is.
            Some(b'-' | b'/') => statements(text, self.escapes),
            Some(_) if inner.contains(&b';') => statements(text, self.escapes),
            Some(_) => std::iter::once(start..end).collect(),
        }
    }

    /// A function call, which large objects still use (53.2.5).
    fn function(&mut self, message: &[u8]) -> Verdict {
        let mut statement = Statement::unrecorded(self.answered);
        if self.shared.journal.running() != 0 {
            let oid = u32_at(message, 5).unwrap_or_default();
            let text =
                Text { text: format!("/* function call */ {oid}").into(), truncated: false, masked: false };
            let considered = self.consider(&text, Form::Function, false);
            if let Some(slot) = considered.cut {
                self.forget(&considered.statement);
                return self.cut(slot);
            }
            statement = considered.statement;
        }
        let verdict = match &statement.splice {
            None => Verdict::Pass,
            Some(Splice::Failed(_)) => {
                put(&mut self.scratch, b'Q', &[FAILING.as_bytes(), b"\0"]);
                Verdict::Drop
            }
            Some(_) => {
                put(&mut self.scratch, b'Q', &[b"\0"]);
                Verdict::Drop
            }
        };
        self.queue.push_back(Expect::Function(statement));
        verdict
    }

    /// Enters a statement and asks what is to become of it.
    pub(super) fn consider(&mut self, text: &Text, form: Form, follows: bool) -> Considered {
        let sent = Instant::now();
        if let Some((slot, occurrence)) = self.again.as_mut().and_then(|again| again.entered.take()) {
            return Considered { statement: Statement::recorded(slot, sent, None), cut: None, occurrence };
        }
        let arriving =
            Arriving { text, role: &self.role, database: &self.database, backend: self.backend, sent };
        let Some(entered) = self.shared.journal.enter(&mut self.seat, arriving) else {
            return Considered { statement: Statement::unrecorded(sent), cut: None, occurrence: 0 };
        };
        let mut splice = None;
        let in_transaction = follows || self.unsynced || self.status != b'I';
        let (index, connection) = (entered.slot.index, self.seat.number);
        let mut cut = None;
        if let Some(decide) = &self.orders().decide {
            let coming = Coming {
                index,
                connection,
                text: &text.text,
                occurrence: entered.occurrence,
                in_transaction,
            };
            match decide(&coming) {
                Decision::Pass => {}
                Decision::Skip(response) => splice = Some(Splice::of(response.as_ref(), &text.text, form)),
                Decision::CutBefore => cut = Some(entered.slot),
            }
        }
        if let Some(wrap) = &mut self.wrap {
            wrap.enters(entered.slot, entered.occurrence);
        }
        let statement = Statement::recorded(entered.slot, sent, splice);
        Considered { statement, cut, occurrence: entered.occurrence }
    }

    /// Ends the run before what was just looked at.
    pub(super) fn cut(&mut self, slot: Slot) -> Verdict {
        self.cutting = true;
        self.shared.cut(self.id, slot);
        Verdict::Stay
    }

    /// The server never comes to a statement.
    pub(super) fn forget(&self, statement: &Statement) {
        if let Some(slot) = statement.slot {
            self.shared.journal.never_reached(slot);
        }
    }
}

/// Counts the characters before a place, for places in order.
struct Characters<'a> {
    text: &'a str,
    at: usize,
    count: u32,
}

impl Characters<'_> {
    fn before(&mut self, place: usize) -> u32 {
        let passed = self.text.get(self.at..place).unwrap_or_default().chars().count();
        self.count = self.count.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.at = place;
        self.count
    }
}
