//! What is going on, on standard error: a live line on a terminal, plain lines otherwise.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::identifiers::RunNumber;
use crate::report::visible;
use crate::workers::Tally;

/// The phases of a rehearsal, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// A server is started.
    Sandbox {
        /// The sandbox's name.
        name: String,
    },
    /// The clone is made.
    Seed,
    /// Workers are made of what the roles can do.
    Derive,
    /// Every worker proves that it works.
    Baseline,
    /// The script runs.
    Run {
        /// Which run.
        run: RunNumber,
        /// Of how many.
        of: usize,
        /// The script.
        script: String,
    },
    /// Every worker proves that it still works.
    After {
        /// The run before.
        run: RunNumber,
        /// Of how many.
        of: usize,
    },
    /// The rehearsal is replayed to find out why.
    Why {
        /// How many replays were made.
        replays: usize,
    },
    /// Everything is removed.
    Removal,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox { name } => write!(f, "starting PostgreSQL in the sandbox {name}"),
            Self::Seed => f.write_str("making the clone"),
            Self::Derive => f.write_str("trying what each role can do, since no worker is written"),
            Self::Baseline => f.write_str("proving that every worker works before the first run"),
            Self::Run { run, of, script } => write!(f, "run {run} of {of}: {script}"),
            Self::After { run, of } => write!(f, "run {run} of {of}: proving that every worker still works"),
            Self::Why { replays: 0 } => f.write_str("finding out why: replaying with statements left out"),
            Self::Why { replays } => write!(f, "finding out why: {replays} replays so far"),
            Self::Removal => f.write_str("removing the sandbox"),
        }
    }
}

/// Shows what is going on.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// Each phase is a line.
    plain: bool,
    /// What is noted is a line.
    notes: bool,
    /// The script, where there are several.
    title: Option<String>,
}

/// Shows what is going on in several rehearsals: on a terminal a live line for each, else a line for each that has ended.
#[derive(Clone)]
pub struct Board {
    lines: Option<MultiProgress>,
    quiet: bool,
    all: usize,
    done: Arc<AtomicUsize>,
}

impl Board {
    /// For so many rehearsals.
    pub fn new(quiet: bool, terminal: bool, all: usize) -> Self {
        let lines = (!quiet && terminal).then(MultiProgress::new);
        Self { lines, quiet, all, done: Arc::default() }
    }

    /// For what concerns all of them.
    pub fn whole(&self) -> Progress {
        Progress { bar: None, plain: false, notes: !self.quiet, title: None }
    }

    /// For one of them.
    pub fn script(&self, title: &str) -> Progress {
        let bar = self.lines.as_ref().map(|lines| {
            let bar = lines.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Progress { notes: !self.quiet && bar.is_none(), bar, plain: false, title: Some(title.to_owned()) }
    }

    /// One has ended, and this is what it came to.
    pub fn done(&self, line: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let line = format!("[{done}/{}] {line}", self.all);
        match &self.lines {
            // Without a terminal, which there was, nobody reads it.
            Some(lines) => drop(lines.println(line)),
            None if self.quiet => {}
            None => anstream::eprintln!("{line}"),
        }
    }

    /// Takes the live lines away.
    pub fn clear(&self) {
        if let Some(lines) = &self.lines {
            // As above.
            let _ = lines.clear();
        }
    }
}

impl Progress {
    /// On a terminal a live line, else plain ones, unless it shall be quiet.
    pub fn new(quiet: bool, terminal: bool) -> Self {
        let bar = (!quiet && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let plain = !quiet && bar.is_none();
        Self { plain, notes: plain, bar, title: None }
    }

    /// A phase begins.
    pub fn phase(&self, phase: &Phase) {
        self.show(phase, None);
    }

    /// Something within a phase takes long.
    pub fn note(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(in_a_line(&self.titled(what)));
        } else if self.notes {
            anstream::eprintln!("thirdrun: {}", in_a_line(&self.titled(what)));
        }
    }

    /// A phase begins in which workers iterate.
    pub fn with_workers(&self, phase: &Phase, workers: usize, tally: Arc<Tally>) {
        self.show(phase, Some((workers, tally)));
    }

    fn show(&self, phase: &Phase, live: Option<(usize, Arc<Tally>)>) {
        if let Some(bar) = &self.bar {
            let template = if live.is_some() { "{spinner} {msg}  {tally}" } else { "{spinner} {msg}" };
            // The template is a constant that the tests of the crate parse.
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(match live {
                Some((workers, tally)) => {
                    style.with_key("tally", move |_: &ProgressState, line: &mut dyn fmt::Write| {
                        let completed = tally.completed.load(Ordering::Relaxed);
                        let failed = tally.failed.load(Ordering::Relaxed);
                        // The line is a string in memory.
                        let _ = write!(line, "{workers} workers, {completed} iterations, {failed} failed");
                    })
                }
                None => style,
            });
            bar.set_message(in_a_line(&self.titled(&phase.to_string())));
        } else if self.plain && !matches!(phase, Phase::After { .. } | Phase::Removal) {
            anstream::eprintln!("thirdrun: {}", in_a_line(&phase.to_string()));
        }
    }

    fn titled(&self, what: &str) -> String {
        self.title.as_ref().map_or_else(|| what.to_owned(), |title| format!("{title}: {what}"))
    }

    /// Takes the live line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A text in which files may be named, and which stays a line whatever they are called.
fn in_a_line(text: &str) -> String {
    visible(text).replace('\n', "\u{240a}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in ["{spinner} {msg}  {tally}", "{spinner} {msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
