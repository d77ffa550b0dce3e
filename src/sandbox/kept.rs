//! Clones that are kept for the next check: what they are called, and who may make one.
//!
//! A clone is kept as the data directory of a server that was stopped: a directory of the cache, or an image.
//! What it takes is known before a script runs, which could otherwise change it.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use super::{SandboxPlan, Scope};
use crate::cache;
use crate::identifiers::{RoleName, Secret};

/// What the names of kept clones begin with.
pub(super) const PREFIX: &str = "seed-";
/// Hexadecimal digits of a key: 128 bits.
const DIGITS: usize = 32;
/// How often it is looked whether another process has finished the same clone.
const POLL: Duration = Duration::from_millis(10);

/// The name of one clone on one kind of server.
#[derive(Debug, Clone)]
pub(super) struct Key(String);

impl Key {
    /// The key of a clone with this fingerprint, on a server that `server` tells from all others.
    pub(super) fn new(fingerprint: &str, plan: &SandboxPlan, server: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [fingerprint, server, &format!("{:?}", plan.settings)] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// Its digits.
    pub(super) fn digits(&self) -> &str {
        &self.0
    }

    /// Where a directory of that clone is cached, if anything is.
    pub(super) fn entry(&self) -> Option<PathBuf> {
        Some(cache::directory()?.join(format!("{PREFIX}{}", self.0)))
    }

    /// The file whose lock is the right to make the clone, and whose time is that of its last use.
    fn lock_file(&self) -> Option<PathBuf> {
        Some(cache::directory()?.join(format!("{PREFIX}{}.lock", self.0)))
    }

    /// Notes that the clone is used now.
    pub(super) fn touch(&self) {
        let file = self.lock_file().and_then(|path| File::options().write(true).open(path).ok());
        // What cannot be noted makes the clone look older than it is, nothing else.
        let _ = file.map(|file| file.set_modified(SystemTime::now()));
    }
}

/// When the clone of these digits was last used, where that was noted.
pub(super) fn last_use(digits: &str) -> Option<SystemTime> {
    std::fs::metadata(Key(digits.to_owned()).lock_file()?).ok()?.modified().ok()
}

/// Whether somebody is making the clone of these digits.
pub(super) fn is_claimed(digits: &str) -> bool {
    let file = Key(digits.to_owned()).lock_file().and_then(|path| File::open(path).ok());
    file.is_some_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// The right to make a clone, which one process at a time has.
pub(super) struct Claim(#[expect(dead_code, reason = "it is held, not read")] File);

/// Takes the right to make a clone, after whoever has it at present; none where nothing can be kept.
pub(super) async fn claim(key: &Key, scope: &Scope) -> Option<Claim> {
    let path = key.lock_file()?;
    cache::make_directory(path.parent()?).ok()?;
    let file = File::options().create(true).append(true).open(path).ok()?;
    let mut told = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(Claim(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if !told {
                    scope.tell("waiting for another check, which makes the same clone");
                    told = true;
                }
                tokio::time::sleep(POLL).await;
            }
            Err(_) => return None,
        }
    }
}

/// A server that was started, and whether its clone is there already.
pub(super) struct Begun<S> {
    /// The server, which may not answer yet.
    pub(super) server: S,
    /// Who can log in to it, and with what password.
    pub(super) login: (RoleName, Secret),
    /// The note that was kept with the clone; none where there is no clone yet.
    pub(super) note: Option<String>,
}

impl<S> Begun<S> {
    /// The same of another kind.
    pub(super) fn map<T>(self, make: impl FnOnce(S) -> T) -> Begun<T> {
        Begun { server: make(self.server), login: self.login, note: self.note }
    }
}
