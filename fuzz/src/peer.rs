//! A server's side of the protocol (PostgreSQL manual, chapter 53), as far as the tap looks at it: what it answers to
//! messages, and the status of its transaction. It runs nothing: what a statement does is told by its first word.

use std::collections::HashMap;

use thirdrun::dump::statements;

/// What it is in the midst of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Startup,
    Ready,
    /// It reads COPY data; whether an Execute began it.
    Copying(bool),
    /// After an error it ignores everything until Sync.
    Ignoring,
}

struct Portal {
    sql: Vec<u8>,
    /// Rows that are left of a query.
    rows: u32,
    done: bool,
}

/// One connection.
pub struct Peer {
    inbox: Vec<u8>,
    out: Vec<u8>,
    mode: Mode,
    /// As ReadyForQuery tells it.
    status: u8,
    statements: HashMap<Vec<u8>, Vec<u8>>,
    portals: HashMap<Vec<u8>, Portal>,
    /// The client has sent COPY data before it was asked for them, or something else where it was (53.2.6): no driver
    /// does.
    pub violated: bool,
    /// Something was executed since the last Sync: what cannot be in a transaction block cannot follow on it
    /// (`PreventInTransactionBlock` in PostgreSQL's `xact.c`).
    pipelined: bool,
}

/// An error: its code, and where it is in the query string.
struct Failed(&'static str, usize);

enum Done {
    Complete(String),
    Copies,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            inbox: Vec::new(),
            out: Vec::new(),
            mode: Mode::Startup,
            status: b'I',
            statements: HashMap::new(),
            portals: HashMap::new(),
            violated: false,
            pipelined: false,
        }
    }
}

/// A message.
pub fn message(tag: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[tag], length.to_be_bytes().as_slice(), &body].concat()
}

/// A packet that begins a connection.
pub fn startup() -> Vec<u8> {
    b"\0\0\0\x1b\0\x03\0\0user\0u\0database\0d\0\0".to_vec()
}

/// The messages of a stream, as tags and bodies. All of it must be messages.
pub fn messages(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes")) as usize;
        all.push((bytes[0], &bytes[5..=length]));
        bytes = &bytes[length + 1..];
    }
    all
}

fn string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

fn word(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql);
    // Past comments, which are nothing to a server.
    let tokens = thirdrun::dump::words(&text);
    tokens.first().and_then(|word| word.identifier()).unwrap_or_default().to_ascii_uppercase()
}

fn is_control(word: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK"].contains(&word)
}

impl Peer {
    /// Takes what has come, and returns what it answers.
    pub fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.inbox.extend_from_slice(bytes);
        loop {
            let head = if self.mode == Mode::Startup { 0 } else { 1 };
            let Some(length) = self.inbox.get(head..head + 4) else { break };
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + head;
            if self.inbox.len() < length {
                break;
            }
            let message: Vec<u8> = self.inbox.drain(..length).collect();
            if self.mode == Mode::Startup {
                self.put(b'R', &[&[0; 4]]);
                self.put(b'S', &[b"standard_conforming_strings\0on\0"]);
                self.put(b'K', &[b"\0\0\0\x2a\0\0\0\x01"]);
                self.mode = Mode::Ready;
                self.ready();
            } else {
                self.message(message[0], &message[5..]);
            }
        }
        std::mem::take(&mut self.out)
    }

    /// As [`Peer::answer`], of what a client sends before it hears any of the answer.
    pub fn hears(&mut self, turn: &[u8]) -> Vec<u8> {
        let mut asked = self.copies();
        if self.mode != Mode::Startup {
            for (tag, _) in messages(turn) {
                self.violated |= matches!(tag, b'd' | b'c' | b'f') && !asked;
                asked &= !matches!(tag, b'c' | b'f');
            }
        }
        self.answer(turn)
    }

    /// Whether it waits for the rest of COPY data.
    pub fn copies(&self) -> bool {
        matches!(self.mode, Mode::Copying(_))
    }

    fn put(&mut self, tag: u8, body: &[&[u8]]) {
        self.out.extend(message(tag, body));
    }

    /// ReadyForQuery. What belongs to a transaction that has ended is gone.
    fn ready(&mut self) {
        self.pipelined = false;
        if self.status == b'I' {
            self.portals.clear();
        }
        self.put(b'Z', &[&[self.status]]);
    }

    fn fail(&mut self, Failed(code, position): Failed) {
        if self.status == b'T' {
            self.status = b'E';
        }
        self.portals.clear();
        let fields = format!("SERROR\0VERROR\0C{code}\0Mno\0P{}\0\0", position + 1);
        self.put(b'E', &[fields.as_bytes()]);
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        let data = matches!(tag, b'd' | b'c' | b'f');
        self.violated |= match self.mode {
            Mode::Copying(_) => !data && !matches!(tag, b'S' | b'H'),
            _ => data,
        };
        match (self.mode, tag) {
            (Mode::Ignoring, b'S') | (Mode::Ready, b'S') => {
                self.mode = Mode::Ready;
                self.ready();
            }
            (Mode::Ignoring, _) | (Mode::Copying(_), b'S' | b'H' | b'd') => {}
            (Mode::Copying(extended), _) => {
                self.mode = Mode::Ready;
                if tag == b'c' {
                    self.put(b'C', &[b"COPY 1\0"]);
                } else {
                    self.fail(Failed(if tag == b'f' { "57014" } else { "08P01" }, 0));
                    if extended {
                        self.mode = Mode::Ignoring;
                    }
                }
                if !extended {
                    self.ready();
                }
            }
            (_, b'Q') => self.query(string(body).0),
            (_, b'F') => {
                if self.status == b'E' {
                    self.fail(Failed("25P02", 0));
                } else {
                    self.put(b'V', &[&(-1_i32).to_be_bytes()]);
                }
                self.ready();
            }
            (_, b'P' | b'B' | b'D' | b'E' | b'C') => {
                if let Err(failed) = self.extended(tag, body) {
                    self.fail(failed);
                    self.mode = Mode::Ignoring;
                }
            }
            _ => {}
        }
    }

    fn query(&mut self, sql: &[u8]) {
        // One byte stays one byte, whatever the text is.
        let text: String =
            sql.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
        let places = statements(&text, false);
        if places.is_empty() {
            self.put(b'I', &[]);
        }
        let several = places.len() > 1;
        for place in places {
            let statement = &sql[place.clone()];
            match self.run(statement, several || self.pipelined) {
                Ok(done) => {
                    if word(statement) == "SELECT" {
                        self.put(b'T', &[b"\0\0"]);
                        self.put(b'D', &[b"\0\0"]);
                    }
                    match done {
                        Done::Complete(tag) => self.put(b'C', &[tag.as_bytes(), b"\0"]),
                        // What follows a COPY in a string is left alone: no candidate here has it.
                        Done::Copies => {
                            self.put(b'G', &[&[0; 3]]);
                            self.mode = Mode::Copying(false);
                            return;
                        }
                    }
                }
                Err(Failed(code, _)) => {
                    self.fail(Failed(code, String::from_utf8_lossy(&sql[..place.start]).chars().count()));
                    break;
                }
            }
        }
        self.ready();
    }

    /// What a statement comes to. `block`: it is one of several, which are one transaction.
    fn run(&mut self, sql: &[u8], block: bool) -> Result<Done, Failed> {
        let word = word(sql);
        if self.status == b'E' && !["COMMIT", "ROLLBACK"].contains(&word.as_str()) {
            return Err(Failed("25P02", 0));
        }
        match word.as_str() {
            "BEGIN" => self.status = b'T',
            "COMMIT" => {
                let failed = std::mem::replace(&mut self.status, b'I') == b'E';
                return Ok(Done::Complete(if failed { "ROLLBACK" } else { "COMMIT" }.to_owned()));
            }
            "ROLLBACK" => self.status = b'I',
            "VACUUM" if block || self.status == b'T' => return Err(Failed("25001", 0)),
            "FAIL" => return Err(Failed("42P01", 0)),
            "SELECT" if sql.ends_with(b"/0") => return Err(Failed("22012", 0)),
            "SELECT" => return Ok(Done::Complete("SELECT 1".to_owned())),
            "COPY" => return Ok(Done::Copies),
            _ => {}
        }
        Ok(Done::Complete(word))
    }

    fn refuses(&self, sql: &[u8]) -> Result<(), Failed> {
        let word = word(sql);
        if self.status == b'E' && !word.is_empty() && !is_control(&word) {
            Err(Failed("25P02", 0))
        } else {
            Ok(())
        }
    }

    fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), Failed> {
        let (first, rest) = string(body);
        match tag {
            b'P' => {
                let (sql, _) = string(rest);
                self.refuses(sql)?;
                if !first.is_empty() && self.statements.contains_key(first) {
                    return Err(Failed("42P05", 0));
                }
                self.statements.insert(first.to_vec(), sql.to_vec());
                self.put(b'1', &[]);
            }
            b'B' => {
                let (name, _) = string(rest);
                let sql = self.statements.get(name).cloned().ok_or(Failed("26000", 0))?;
                self.refuses(&sql)?;
                if !first.is_empty() && self.portals.contains_key(first) {
                    return Err(Failed("42P03", 0));
                }
                self.portals.insert(first.to_vec(), Portal { sql, rows: 2, done: false });
                self.put(b'2', &[]);
            }
            b'D' => {
                let (name, known) = (string(&body[1..]).0, body[0]);
                let sql = if known == b'S' {
                    let sql = self.statements.get(name).cloned().ok_or(Failed("26000", 0))?;
                    self.put(b't', &[b"\0\0"]);
                    sql
                } else {
                    self.portals.get(name).map(|portal| portal.sql.clone()).ok_or(Failed("34000", 0))?
                };
                if word(&sql) == "SELECT" { self.put(b'T', &[b"\0\0"]) } else { self.put(b'n', &[]) }
            }
            b'C' => {
                let name = string(&body[1..]).0;
                if body[0] == b'S' {
                    self.statements.remove(name);
                } else {
                    self.portals.remove(name);
                }
                self.put(b'3', &[]);
            }
            _ => {
                let most = u32::from_be_bytes(rest[..4].try_into().expect("four bytes"));
                let mut portal = self.portals.remove(first).ok_or(Failed("34000", 0))?;
                let (query, done) = (word(&portal.sql) == "SELECT", portal.done);
                if done && !query {
                    return Err(Failed("55000", 0));
                }
                if portal.sql.iter().all(u8::is_ascii_whitespace) {
                    self.put(b'I', &[]);
                    self.portals.insert(first.to_vec(), portal);
                    return Ok(());
                }
                let complete = self.run(&portal.sql, self.pipelined)?;
                self.pipelined = true;
                portal.done = true;
                if query {
                    let rows = if most == 0 { portal.rows } else { most.min(portal.rows) };
                    (0..rows).for_each(|_| self.put(b'D', &[b"\0\0"]));
                    portal.rows -= rows;
                    if portal.rows > 0 {
                        self.put(b's', &[]);
                    } else {
                        self.put(b'C', &[format!("SELECT {rows}\0").as_bytes()]);
                    }
                } else {
                    match complete {
                        Done::Complete(tag) => self.put(b'C', &[tag.as_bytes(), b"\0"]),
                        Done::Copies => {
                            self.put(b'G', &[&[0; 3]]);
                            self.mode = Mode::Copying(true);
                        }
                    }
                }
                if self.status == b'I' && is_control(&word(&portal.sql)) {
                    self.portals.clear();
                } else {
                    self.portals.insert(first.to_vec(), portal);
                }
            }
        }
        Ok(())
    }
}
