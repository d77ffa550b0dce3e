//! What the state after the last run shows, and nobody has met yet: dates and limits of roles, and what was left
//! halfway.
//!
//! Told where the script did it, or where it concerns the role of a worker. What was so before the first run and
//! concerns no worker is the database's own affair.

use super::{Hazard, HazardKind, place};
use crate::identifiers::WorkerName;
use crate::observations::{Change, ChangeKind, Edit, Experiment, Oddity, OddityKind, Rehearsal, Standing};
use crate::verdict::drift::span;
use crate::verdict::explain::list;

/// How soon a date must be that the script has not set itself: 90 days.
const SOON: i64 = 90 * 86_400;

/// Hazards of one kind that are told one by one.
const ALIKE: usize = 3;

/// The hazards that were found.
pub(super) fn found(rehearsal: &Rehearsal) -> Vec<Hazard> {
    let Some(standing) = &rehearsal.course.standing else { return Vec::new() };
    let mut found: Vec<Hazard> = Vec::new();
    let mut kinds: Vec<OddityKind> = standing.oddities.iter().map(|oddity| oddity.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind = standing.oddities.iter().filter(|oddity| oddity.kind == kind);
        let mut told: Vec<Hazard> = of_kind
            .filter_map(|oddity| {
                let about = |change: &Change| oddity.new && change.object == oddity.object;
                Some(hazard(rehearsal, message(rehearsal, standing, oddity)?, about))
            })
            .collect();
        // What holds for a partitioned table holds for each of its partitions.
        let more = told.len().saturating_sub(ALIKE);
        told.truncate(ALIKE);
        if let Some(last) = told.last_mut().filter(|_| more > 0) {
            last.message.push_str(&format!("; so it is with {more} more"));
        }
        found.extend(told);
    }
    for (kind, change) in [
        (OddityKind::TransactionLeft, ChangeKind::TransactionLeftOpen),
        (OddityKind::SessionOfNobody, ChangeKind::SessionLeft),
        (OddityKind::PreparedTransaction, ChangeKind::PreparedTransactionLeft),
        (OddityKind::ReplicationSlot, ChangeKind::ReplicationSlotLeft),
    ] {
        let left: Vec<&Oddity> =
            standing.oddities.iter().filter(|oddity| oddity.kind == kind && oddity.new).collect();
        // Of what is left again and again, it is told once.
        found.extend(left_behind(kind, &left).map(|message| {
            hazard(rehearsal, message, |one| {
                one.kind == change && left.iter().any(|oddity| oddity.object == one.object)
            })
        }));
    }
    found
}

fn hazard(rehearsal: &Rehearsal, message: String, about: impl Fn(&Change) -> bool) -> Hazard {
    let (run, statement, line) = place(rehearsal, about);
    Hazard { kind: HazardKind::Latent, run, statement, line, message }
}

/// What was left running, all of a kind in a sentence. Sessions are told by what they call themselves, since the
/// numbers of processes are others each time.
fn left_behind(kind: OddityKind, left: &[&Oddity]) -> Option<String> {
    let first = left.first()?;
    let one = left.len() == 1;
    let (is, has, its, it) = if one { ("is", "was", "its", "it") } else { ("are", "were", "their", "them") };
    let sessions = || {
        let mut names: Vec<&str> = left.iter().map(|oddity| oddity.detail.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let count = if one { "a session".to_owned() } else { format!("{} sessions", left.len()) };
        format!("{count} ({})", names.join(", "))
    };
    let objects = || {
        let more = left.len() - 1;
        if one { first.object.clone() } else { format!("{} and {more} more", first.object) }
    };
    Some(match kind {
        OddityKind::TransactionLeft => format!(
            "{} {has} left with an open transaction: {its} locks stay, and VACUUM cannot clean up behind {it}, until \
             somebody ends {it}",
            sessions()
        ),
        OddityKind::SessionOfNobody => format!(
            "{} {is} still open, but {its} role is gone: nobody can log in as that to look, and what was open stays open",
            sessions()
        ),
        OddityKind::PreparedTransaction => format!(
            "{} {has} left behind: {its} locks stay, also after a restart, and VACUUM cannot clean up behind {it}, until \
             COMMIT PREPARED or ROLLBACK PREPARED",
            objects()
        ),
        OddityKind::ReplicationSlot => format!(
            "{} {has} left behind: the server keeps all WAL for {it} until somebody reads or drops {it}, and the disk \
             fills",
            objects()
        ),
        _ => return None,
    })
}

fn message(rehearsal: &Rehearsal, standing: &Standing, oddity: &Oddity) -> Option<String> {
    let Oddity { kind, object, detail, .. } = oddity;
    match kind {
        OddityKind::PasswordExpires => password(rehearsal, standing, oddity),
        OddityKind::RoleLimit | OddityKind::DatabaseLimit | OddityKind::ServerLimit => {
            limit(rehearsal, standing, oddity)
        }
        // What follows is only told of what the script did.
        _ if !oddity.new => None,
        OddityKind::SettingNotInForce => Some(format!(
            "{object} is now {detail} in the server's files, but not in force: it comes into force with somebody's next \
             reload or restart, and no run has tried it"
        )),
        OddityKind::InvalidIndex if detail == "partitioned" => Some(format!(
            "{object} is not valid as long as a partition has no index attached to it, and it is used for no query until \
             then; ALTER INDEX … ATTACH PARTITION completes it"
        )),
        OddityKind::InvalidIndex => Some(format!(
            "{object} is not valid, as a CREATE INDEX CONCURRENTLY that failed leaves it: every write keeps it up, no query \
             uses it, and IF NOT EXISTS takes it for the finished one; REINDEX INDEX CONCURRENTLY or DROP INDEX mends it"
        )),
        OddityKind::UnvalidatedConstraint => Some(format!(
            "{object} is NOT VALID: nobody knows whether the rows that were there keep it, and an UPDATE of one that does not \
             fails, whatever it changes; ALTER TABLE … VALIDATE CONSTRAINT tells"
        )),
        OddityKind::TriggersDisabled => Some(format!(
            "{object} is left with disabled triggers ({detail}): what they check or write is no longer checked or written, \
             without an error; ALTER TABLE … ENABLE TRIGGER mends it"
        )),
        OddityKind::EventTriggerDisabled => Some(format!("{object} is left disabled")),
        OddityKind::NoPolicy => Some(format!(
            "{object} has row security and no policy: whoever is granted something on it and is not its owner finds no row \
             and can insert none, without an error for reads"
        )),
        OddityKind::PoliciesWithoutEffect => Some(format!(
            "{object} has policies, but row security is not enabled: they have no effect, and everybody who may read it \
             reads all rows"
        )),
        OddityKind::OutOfReach => Some(format!(
            "{detail} now belong{} to {object}, as which nobody can act but a superuser: no role that can log in is a member \
             of it, so that the next change to {} fails for whoever made the last",
            if detail.contains(',') || detail.contains(" more") { "" } else { "s" },
            if detail.contains(',') || detail.contains(" more") { "them" } else { "it" },
        )),
        OddityKind::DefaultPrivilegesOfAnother => Some(format!(
            "{object} hold only for tables that {} makes itself, which owns none there; those that are there belong to \
             {detail}, and what {detail} makes next is not covered (ALTER DEFAULT PRIVILEGES FOR ROLE says for whom)",
            oddity.role.as_ref().map_or("that role", |role| role.as_str()),
        )),
        OddityKind::NoLongerLogged => Some(format!(
            "{object} is unlogged now: after a crash of the server it is empty, and standbys do not have it"
        )),
        OddityKind::NoAutovacuum => Some(format!(
            "{object} is left without autovacuum: it grows with every update, and its statistics stay as they are"
        )),
        // These are told together.
        OddityKind::TransactionLeft
        | OddityKind::SessionOfNobody
        | OddityKind::PreparedTransaction
        | OddityKind::ReplicationSlot => None,
    }
}

/// The workers of a role that work; none where one does not, of which more is said than that it might not.
fn workers(rehearsal: &Rehearsal, of: impl Fn(&str) -> bool) -> Option<Vec<&WorkerName>> {
    let last = rehearsal.runs.last()?;
    let concerned = rehearsal.workers.iter().filter(|facts| of(facts.role.as_str()));
    let concerned: Vec<_> = concerned.map(|facts| &facts.name).collect();
    let works = |name: &&&WorkerName| {
        last.workers.iter().filter(|worker| worker.name == ***name).all(|worker| worker.works())
    };
    (concerned.iter().filter(works).count() == concerned.len()).then_some(concerned)
}

fn named(workers: &[&WorkerName]) -> String {
    let names: Vec<&str> = workers.iter().map(|name| name.as_str()).collect();
    list(&names)
}

/// The replay that shows what becomes of workers when the passwords of their roles have expired: who is let in
/// without a password does not care. None where there are no such roles, or it was made.
pub fn of_latent(rehearsal: &Rehearsal) -> Vec<Experiment> {
    let asked = |wanted: &Experiment| rehearsal.replays.iter().any(|one| one.experiment == *wanted);
    expiry(rehearsal).into_iter().filter(|wanted| !asked(wanted)).collect()
}

/// The trial of all passwords that expire, each role's after those before it.
fn expiry(rehearsal: &Rehearsal) -> Option<Experiment> {
    let (standing, last) = (rehearsal.course.standing.as_ref()?, rehearsal.runs.last()?);
    let roles = standing.oddities.iter().filter(|oddity| oddity.kind == OddityKind::PasswordExpires);
    let roles = roles.filter(|oddity| {
        expires(rehearsal, standing, oddity).is_some_and(|(workers, _)| !workers.is_empty())
    });
    let repairs: Vec<_> = roles.filter_map(expired).collect();
    let run = last.run;
    (!repairs.is_empty()).then_some(Experiment { repairs, ..Experiment::of(run, Edit::Whole) })
}

/// What makes a password be past its date.
fn expired(oddity: &Oddity) -> Option<Vec<String>> {
    Some(vec![format!("ALTER ROLE {} VALID UNTIL '-infinity'", oddity.role.as_ref()?.quoted())])
}

/// The workers that a date concerns, and the seconds until then; none where it is told to nobody.
fn expires<'a>(
    rehearsal: &'a Rehearsal,
    standing: &Standing,
    oddity: &Oddity,
) -> Option<(Vec<&'a WorkerName>, i64)> {
    let role = oddity.role.as_ref()?.as_str();
    let left = oddity.number? - standing.now;
    let workers = workers(rehearsal, |other| other == role)?;
    let soon = left <= SOON && !workers.is_empty();
    (left > 0 && (oddity.new || soon)).then_some((workers, left))
}

fn password(rehearsal: &Rehearsal, standing: &Standing, oddity: &Oddity) -> Option<String> {
    let (mut workers, left) = expires(rehearsal, standing, oddity)?;
    let role = oddity.role.as_ref()?;
    let wanted = expiry(rehearsal);
    let replay = rehearsal.replays.iter().find(|replay| Some(&replay.experiment) == wanted.as_ref());
    let trial = replay.and_then(|replay| {
        replay
            .trials
            .iter()
            .find(|trial| Some(&trial.sql) == expired(oddity).as_ref() && trial.error.is_none())
    });
    let mut rests = "PostgreSQL asks for the date whenever a password is given";
    if let Some(trial) = trial.filter(|_| !workers.is_empty()) {
        // Whoever got in all the same needs no password.
        let fails =
            |name: &&WorkerName| trial.workers.iter().any(|worker| worker.name == **name && !worker.works());
        workers.retain(fails);
        if workers.is_empty() {
            return None;
        }
        rests = "tried in a copy, with a date that has passed";
    }
    let who = if workers.is_empty() { "whoever logs in as it".to_owned() } else { named(&workers) };
    let set = if oddity.new { ", which the script has set" } else { "" };
    Some(format!(
        "the password of role {role} is valid until {}, {} from now{set}: after that {who} cannot open a new session, \
         while open ones go on ({rests}); ALTER ROLE … VALID UNTIL puts it off",
        oddity.detail,
        span(left),
    ))
}

/// A limit that is lower than what the workers together need, although each by itself found room in the runs.
fn limit(rehearsal: &Rehearsal, standing: &Standing, oddity: &Oddity) -> Option<String> {
    let of = |role: &str| oddity.role.as_ref().is_none_or(|own| own.as_str() == role);
    let workers = workers(rehearsal, of).filter(|workers| !workers.is_empty())?;
    let needed = oddity.role.as_ref().map_or(standing.needs.all, |role| standing.needs.of(role.as_str()));
    let limit = oddity.number?;
    if limit >= needed {
        return None;
    }
    let what = match oddity.kind {
        OddityKind::ServerLimit => oddity.detail.clone(),
        _ => format!("{} has CONNECTION LIMIT {limit}", oddity.object),
    };
    let use_or_uses = if workers.len() == 1 { "uses" } else { "together use" };
    Some(format!(
        "{what}, but {} {use_or_uses} up to {needed} connections at the same time, as when they are deployed anew: whoever \
         comes last is refused (53300)",
        named(&workers),
    ))
}

#[cfg(test)]
mod tests;
