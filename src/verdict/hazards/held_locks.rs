//! Who would stand if a statement took long: the first run is held with its transaction open after each statement that
//! locks or writes something, in a copy, until every worker stands or passes.
//!
//! What a worker stands behind for a moment only is the ordinary price of a change. It grows where a statement goes
//! through a table as a whole meanwhile, which was seen too: in production that is as long as the table is large.

use super::{Hazard, HazardKind};
use crate::observations::{
    Edit, Experiment, Held, LockMode, Rehearsal, RunObservation, Stander, Statement, TableSize,
};
use crate::verdict::advice;
use crate::verdict::explain::list;

/// Points at which workers are tried, of one rehearsal.
const POINTS: usize = 200;

/// The replay that shows who stands: one that is held at every point.
pub fn of_held_locks(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let wanted = wanted(run);
    let asked = rehearsal.replays.iter().any(|replay| replay.experiment == wanted);
    if asked || wanted.held.is_empty() { Vec::new() } else { vec![wanted] }
}

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    let Some(run) = rehearsal.runs.first() else { return Vec::new() };
    let wanted = wanted(run);
    let Some(replay) = rehearsal.replays.iter().find(|replay| replay.experiment == wanted) else {
        return Vec::new();
    };
    let spans: Vec<Span> =
        transactions(run).into_iter().filter_map(|statements| Span::of(statements, &replay.held)).collect();
    let (long, short): (Vec<Span>, Vec<Span>) = spans.into_iter().partition(|span| !span.works().is_empty());
    let long = long.iter().map(|span| hazard(run, span.first(), span.told(rehearsal)));
    long.chain(told_once(rehearsal, run, &short)).collect()
}

fn hazard(run: &RunObservation, statement: &Statement, message: String) -> Hazard {
    let (kind, index, line) = (HazardKind::HeldLocks, statement.index, statement.line);
    Hazard { kind, run: run.run, statement: Some(index), line, message }
}

fn wanted(run: &RunObservation) -> Experiment {
    Experiment { held: points(run), ..Experiment::of(run.run, Edit::Whole) }
}

/// Statements after which somebody else can stand who did not before: they locked something, or wrote rows.
fn points(run: &RunObservation) -> Vec<u32> {
    let locks = |statement: &&Statement| {
        // The weakest mode conflicts with nothing that workers do (PostgreSQL manual, 13.3.1).
        statement.locks.iter().any(|lock| lock.mode > LockMode::AccessShareLock)
            || (writes_rows(statement) && statement.rows.is_some_and(|rows| rows > 0))
    };
    let statements = run.result.statements.iter().filter(|statement| statement.sqlstate.is_none());
    statements.filter(locks).map(|statement| statement.index).take(POINTS).collect()
}

fn tag(statement: &Statement) -> &str {
    statement.tag.as_deref().and_then(|tag| tag.split(' ').next()).unwrap_or_default()
}

fn writes_rows(statement: &Statement) -> bool {
    ["INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].contains(&tag(statement))
}

/// The statements of each transaction, in the order in which they began.
fn transactions(run: &RunObservation) -> Vec<Vec<&Statement>> {
    let mut all: Vec<(Vec<&Statement>, bool)> = Vec::new();
    for statement in &run.result.statements {
        let session = |one: &&Statement| one.session == statement.session;
        let open = all.iter_mut().find(|(of, open)| *open && of.first().is_some_and(session));
        match open {
            Some((of, open)) => {
                of.push(statement);
                *open = statement.in_transaction;
            }
            None => all.push((vec![statement], statement.in_transaction)),
        }
    }
    all.into_iter().map(|(statements, _)| statements).collect()
}

/// What a statement does to a table as a whole.
struct Work<'a> {
    statement: &'a Statement,
    table: &'a str,
    rewrites: bool,
}

/// A transaction, from the statement on at which the first worker stands.
struct Span<'a> {
    /// At least one.
    statements: Vec<&'a Statement>,
    first: &'a Statement,
    standers: Vec<&'a Stander>,
}

impl<'a> Span<'a> {
    /// None where nobody stands.
    fn of(statements: Vec<&'a Statement>, held: &'a [Held]) -> Option<Self> {
        let mut standers: Vec<&Stander> = Vec::new();
        let mut first = None;
        for statement in &statements {
            for stander in
                held.iter().filter(|held| held.after == statement.index).flat_map(|held| &held.standers)
            {
                first = first.or(Some(*statement));
                if !standers.iter().any(|known| known.worker == stander.worker) {
                    standers.push(stander);
                }
            }
        }
        let first = first?;
        let statements = statements.into_iter().skip_while(|one| one.index < first.index).collect();
        Some(Self { statements, first, standers })
    }

    fn first(&self) -> &'a Statement {
        self.first
    }

    /// The tables that it goes through meanwhile, each told once.
    fn works(&self) -> Vec<Work<'a>> {
        let mut works: Vec<Work> = Vec::new();
        for statement in &self.statements {
            let rewrites = statement.rewrites.iter().map(|table| (table, true));
            let scans =
                statement.scans.iter().filter(|_| goes_through(statement)).map(|table| (table, false));
            for (table, rewrites) in rewrites.chain(scans) {
                if !works.iter().any(|known| known.table == table) {
                    works.push(Work { statement, table, rewrites });
                }
            }
        }
        works
    }

    fn names(&self) -> Vec<&'a str> {
        self.standers.iter().map(|stander| stander.worker.as_str()).collect()
    }

    /// What the workers stand behind.
    fn holds(&self) -> String {
        let mut held: Vec<String> = Vec::new();
        for stander in &self.standers {
            let Some(asked) = &stander.asked else { continue };
            let locks = self.statements.iter().flat_map(|statement| &statement.locks);
            let strongest = locks.filter(|lock| lock.object == asked.object).map(|lock| lock.mode).max();
            held.extend(strongest.map(|mode| match asked.object.as_str() {
                // It has but two modes, which say nothing to whom it matters.
                advisory if advisory.starts_with("advisory lock ") => advisory.to_owned(),
                object => format!("{mode} on {object}"),
            }));
        }
        // Who queues for a row asks for a lock on it, but the table can be used.
        if held.is_empty() || self.standers.iter().any(|stander| stander.asked.is_none()) {
            held.push("rows that it has written".to_owned());
        }
        held.sort();
        held.dedup();
        list(&held.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn told(&self, rehearsal: &Rehearsal) -> String {
        let alone = self.statements.len() == 1 || !self.first.in_transaction;
        let names = self.names();
        let (wait, longer) = if names.len() == 1 { ("waits", "it waits") } else { ("wait", "they wait") };
        let when = if alone {
            format!("as long as {} is under way", numbered(self.first))
        } else {
            format!("from {} on until its transaction ends", numbered(self.first))
        };
        let works = self.works();
        let done: Vec<String> = works
            .iter()
            .map(|work| {
                let who = if alone { "it".to_owned() } else { numbered(work.statement) };
                let size = rehearsal.sizes.get(work.table).map(sized).unwrap_or_default();
                if work.rewrites {
                    format!("{who} writes all of {} anew{size}", work.table)
                } else {
                    format!("{who} reads all of {}{size}", work.table)
                }
            })
            .collect();
        let done = list(&done.iter().map(String::as_str).collect::<Vec<_>>());
        let known = works.iter().any(|work| rehearsal.sizes.contains_key(work.table));
        let grows =
            if known { String::new() } else { format!(": the more rows there are, the longer {longer}") };
        let better = works.iter().find_map(|work| advice::less_locking(&work.statement.sql));
        let apart = "in a transaction of its own it would hold back nobody else";
        let better = match better {
            Some(better) => format!(". {}", better.trim_end_matches('.')),
            None if !alone && works.iter().all(|work| work.statement.index != self.first.index) => {
                format!("; {apart}")
            }
            None => String::new(),
        };
        format!("{} {wait} {when}: it holds {}, and {done}{grows}{better}", list(&names), self.holds())
    }
}

/// Whether a table that a statement reads as a whole here is read so where it is large, too: the planner takes an index
/// for a few rows of many.
fn goes_through(statement: &Statement) -> bool {
    match tag(statement) {
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY" => {
            let words = advice::words(&statement.sql);
            !words.is_empty() && !words.iter().any(|word| ["WHERE", "JOIN", "USING"].contains(&word.as_str()))
        }
        // What is in them nobody has read.
        "DO" | "CALL" => false,
        _ => true,
    }
}

fn sized(size: &TableSize) -> String {
    let bytes = indicatif::HumanBytes(size.bytes);
    match size.rows {
        Some(rows) => {
            format!(" ({} rows, {bytes} where it was captured)", indicatif::HumanCount(rows))
        }
        None => format!(" ({bytes} where it was captured)"),
    }
}

fn numbered(statement: &Statement) -> String {
    let line = statement.line.map(|line| format!(" (line {line})")).unwrap_or_default();
    format!("statement {}{line}", statement.index)
}

/// What is over in a moment: that is told once for all, unless the script gives up by itself where it has to wait, or the
/// run itself has shown what happens then.
fn told_once(rehearsal: &Rehearsal, run: &RunObservation, spans: &[Span]) -> Option<Hazard> {
    let first = spans.first()?.first();
    let shown = |stander: &Stander| {
        let worker = rehearsal.workers.iter().find(|worker| worker.name == stander.worker);
        let stands = worker.map_or(f64::INFINITY, |worker| worker.max_outage_ms);
        run.waits
            .iter()
            .any(|wait| wait.application == stander.worker.as_str() && wait.until_ms - wait.from_ms > stands)
    };
    if spans.iter().flat_map(|span| &span.standers).any(|stander| shown(stander)) {
        return None;
    }
    let bounded = |statement: &Statement| {
        let words = advice::words(&statement.sql);
        statement.index < first.index
            && words.iter().any(|word| word == "SET" || word == "SET_CONFIG")
            && statement.sql.to_lowercase().contains("lock_timeout")
    };
    if run.result.statements.iter().any(bounded) {
        return None;
    }
    let mut names: Vec<&str> = spans.iter().flat_map(Span::names).collect();
    let order = |name: &&str| run.workers.iter().position(|worker| worker.name.as_str() == *name);
    names.sort_by_key(order);
    names.dedup();
    let wait = if names.len() == 1 { "waits" } else { "wait" };
    let more = spans.len() - 1;
    let what = match more {
        0 => numbered(first),
        1 => format!("{} and 1 more", numbered(first)),
        more => format!("{} and {more} more", numbered(first)),
    };
    let (is, it) = if more == 0 { ("is", "it") } else { ("are", "one of them") };
    let message = format!(
        "{} {wait} as long as {what} {is} under way, which is short (it holds {}); but where {it} has to wait itself, for \
         somebody's long query or open transaction, they wait behind it. SET lock_timeout = '1s' before it lets it give up \
         instead",
        list(&names),
        spans.first().map(Span::holds).unwrap_or_default(),
    );
    Some(hazard(run, first, message))
}

#[cfg(test)]
mod tests;
