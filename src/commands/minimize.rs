//! `thirdrun reproduce --minimize`: the smallest incident in which the same worker still breaks.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anstream::stream::IsTerminal as _;

use super::contain::contain;
use super::outputs::Outputs;
use crate::cli::RunningArgs;
use crate::failure::{Exit, Failure};
use crate::incident::{Bundle, IncidentError, Recorded, Reduction, Smaller, Subject, Target, reproduction};
use crate::plan::{self, HazardName, Hazards, Overrides, Plan};
use crate::progress::Progress;
use crate::rehearsal::{dumps, rehearse};
use crate::report::{Document, Report, ScriptEntry, document, visible};
use crate::sandbox::Scope;
use crate::verdict::{Outcome, judge};

/// What is to be made smaller, and how.
pub(super) struct Minimize<'a> {
    /// The incident as the user named it.
    pub(super) incident: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) recorded: &'a Recorded,
    /// Where and how candidates are rehearsed.
    pub(super) overrides: Overrides,
    /// Where the result goes; none: it is only shown.
    pub(super) out: Option<&'a Path>,
    /// Rehearsals that may be made.
    pub(super) most: usize,
    pub(super) running: &'a RunningArgs,
}

/// The smallest incident so far, and what came of it.
type Smallest = Mutex<Option<(Smaller, Document)>>;

/// Makes an incident smaller, shows what is left, and writes it where that was asked for.
///
/// # Errors
/// Whatever keeps it from a verdict. What was found before an interruption is written all the same.
pub(super) async fn minimize(wanted: Minimize<'_>, scope: Scope, outputs: &Outputs) -> Result<Exit, Failure> {
    if let Some(out) = wanted.out {
        can_be_written(out)?;
    }
    let terminal = std::io::stderr().is_terminal();
    let progress = Progress::new(wanted.running.quiet, terminal);
    let smallest = Smallest::default();
    let work = async {
        let searching =
            Search { wanted: &wanted, scope: &scope, progress: &progress, made: 0, smallest: &smallest };
        searching.run(outputs).await
    };
    let result = contain(scope.clone(), &progress, work, async |exit| exit).await;
    let interrupted = matches!(&result, Err(failure) if failure.exit == Exit::Interrupted);
    let found = smallest.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let (true, Some(out), Some((smaller, document))) = (interrupted, wanted.out, found) {
        write(&smaller.bundle(&document), out)?;
        anstream::eprintln!("the smallest incident that was found until then is in {}", out.display());
    }
    result
}

/// One search.
struct Search<'a> {
    wanted: &'a Minimize<'a>,
    scope: &'a Scope,
    progress: &'a Progress,
    /// Rehearsals so far.
    made: usize,
    smallest: &'a Smallest,
}

impl Search<'_> {
    async fn run(mut self, outputs: &Outputs) -> Result<Exit, Failure> {
        let wanted = self.wanted;
        self.progress.note("rehearsing the incident as it was recorded");
        let (whole, seen) = match self.whole(outputs).await? {
            Ok(found) => found,
            Err(exit) => return Ok(exit),
        };
        let (target, runs) = Target::of(&seen).ok_or_else(|| {
            Failure::said(
                Exit::Usage,
                format!("nothing goes wrong in {}, so nothing can be made smaller", wanted.incident),
            )
        })?;
        self.progress.note(&format!("looking for the least in which {target}"));
        let mut at_hand = whole.cut(runs);
        let mut removed: Vec<(String, usize, usize)> = Vec::new();
        if !self.holds(&at_hand, &target, true).await? {
            let message =
                format!("{target} in {} only sometimes, so it cannot be made smaller", wanted.incident);
            return Err(
                Failure::said(Exit::Fail, message).hint("reproduce it a few times, and look what differs")
            );
        }
        for subject in at_hand.subjects() {
            if !at_hand.uses(&subject) {
                continue;
            }
            let before =
                if subject == Subject::Runs { whole.count(&subject) } else { at_hand.count(&subject) };
            at_hand = self.reduced(at_hand, &subject, &target).await?;
            let left = at_hand.count(&subject);
            let what = subject.parts();
            self.progress.note(&format!("{what}: {left} of {before} left, after {} rehearsals", self.made));
            removed.push((what, before, left));
        }
        self.finished(&at_hand, &target, &removed, outputs).await
    }

    /// The incident as it is, gathered, and what came of it; where it does not happen again, which is told then, the exit
    /// code.
    async fn whole(&mut self, outputs: &Outputs) -> Result<Result<(Smaller, Document), Exit>, Failure> {
        let wanted = self.wanted;
        let mut plan = wanted.plan.clone();
        (plan.replay, plan.hazards) = (false, Hazards::NONE);
        let scope = self.scope.child()?;
        let rehearsed = rehearse(&plan, &scope, &Progress::new(true, false)).await?;
        self.made += 1;
        let verdict = judge(&rehearsed.observations);
        let mut document = document(wanted.incident, &rehearsed.observations, &verdict);
        let inconclusive = document.verdict == Outcome::Inconclusive;
        let again = reproduction(wanted.incident, wanted.recorded, &document);
        if inconclusive || !again.happened_again {
            document.reproduction = Some(again).filter(|_| !inconclusive);
            self.progress.clear();
            outputs.write(&Report::new(vec![ScriptEntry::of(document, None)]))?;
            scope.close().await;
            return Ok(Err(if inconclusive { Exit::Inconclusive } else { Exit::Fail }));
        }
        let dumps = dumps(&plan, &rehearsed.sandbox, &scope).await?;
        scope.close().await;
        Ok(Ok((Smaller::of(&plan, &dumps, &document)?, document)))
    }

    /// With as few parts of a subject as it takes.
    async fn reduced(
        &mut self,
        from: Smaller,
        subject: &Subject,
        target: &Target,
    ) -> Result<Smaller, Failure> {
        let mut reduction = Reduction::of(from.count(subject));
        let mut best = from.clone();
        while self.made < self.wanted.most {
            let Some(kept) = reduction.question() else { break };
            let candidate = from.with(subject, kept);
            if self.wanted.running.quiet || std::io::stderr().is_terminal() {
                self.progress.note(&format!(
                    "rehearsal {} of at most {}: {}, {} tried",
                    self.made + 1,
                    self.wanted.most,
                    subject.parts(),
                    kept.len()
                ));
            }
            let still = self.holds(&candidate, target, !subject.is_of_clone()).await?;
            reduction.answer(still);
            if still {
                best = candidate;
            }
        }
        Ok(best)
    }

    /// Whether it still happens in a candidate.
    async fn holds(&mut self, candidate: &Smaller, target: &Target, cache: bool) -> Result<bool, Failure> {
        self.made += 1;
        let scope = self.scope.child()?;
        let tried = self.tried(candidate, &scope, cache).await;
        scope.close().await;
        match tried {
            Ok(document) => {
                let met = target.is_met(&document);
                if met {
                    let found = Some((candidate.clone(), document));
                    *self.smallest.lock().unwrap_or_else(PoisonError::into_inner) = found;
                }
                Ok(met)
            }
            // What cannot be restored, or lacks a role, is no incident any more.
            Err(failure) if matches!(failure.exit, Exit::Environment | Exit::Usage) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Rehearses a candidate, as quickly as that can be done.
    async fn tried(&self, candidate: &Smaller, scope: &Scope, cache: bool) -> Result<Document, Failure> {
        let mut plan = self.planned(candidate, scope, true)?;
        // Clones of candidates are not worth keeping.
        plan.cache &= cache;
        let rehearsed = rehearse(&plan, scope, &Progress::new(true, false)).await?;
        let verdict = judge(&rehearsed.observations);
        Ok(document(self.wanted.incident, &rehearsed.observations, &verdict))
    }

    fn planned(&self, candidate: &Smaller, scope: &Scope, quick: bool) -> Result<Plan, Failure> {
        let place = scope.directory().join("candidate");
        let config = candidate.unpack(&place)?;
        let mut overrides = Overrides { config: Some(config), ..self.wanted.overrides.clone() };
        if quick {
            overrides.no_replay = true;
            overrides.hazards = vec![HazardName::None];
        }
        let mut plan = plan::build(&overrides, &place)?;
        for run in &mut plan.runs {
            // Whether a script fails is looked at where that is what it is about.
            run.may_fail = true;
        }
        Ok(plan)
    }

    /// Rehearses the result once more, as any check, and shows it.
    async fn finished(
        &mut self,
        result: &Smaller,
        target: &Target,
        removed: &[(String, usize, usize)],
        outputs: &Outputs,
    ) -> Result<Exit, Failure> {
        self.progress.note("rehearsing the result once more, as a whole check");
        let scope = self.scope.child()?;
        let plan = self.planned(result, &scope, false)?;
        let rehearsed = rehearse(&plan, &scope, &Progress::new(true, false)).await;
        scope.close().await;
        let rehearsed = rehearsed?;
        let verdict = judge(&rehearsed.observations);
        let document = document(self.wanted.incident, &rehearsed.observations, &verdict);
        self.progress.clear();
        if !target.is_met(&document) {
            outputs.write(&Report::new(vec![ScriptEntry::of(document, None)]))?;
            let message = format!("{target} in what is left only sometimes, so nothing was written");
            return Err(Failure::said(Exit::Fail, message).hint("say the same again: moments decide it"));
        }
        let bundle = result.bundle(&document);
        outputs.write(&Report::new(vec![ScriptEntry::of(document, None)]))?;
        if !self.wanted.running.quiet {
            let mut text = told(result, target, removed, self.made);
            if self.made >= self.wanted.most {
                text.push_str(
                    "\nthe rehearsals are used up: with more of them (--max-rehearsals) less may be left\n",
                );
            }
            if outputs.has_standard() { anstream::eprint!("{text}") } else { anstream::print!("{text}") }
        }
        if let Some(out) = self.wanted.out {
            write(&bundle, out)?;
            if !self.wanted.running.quiet {
                anstream::eprintln!("it is in {}; replay it with\n  thirdrun reproduce {0}", out.display());
            }
        }
        Ok(Exit::Pass)
    }
}

/// What is left, and how much was left out.
fn told(result: &Smaller, target: &Target, removed: &[(String, usize, usize)], made: usize) -> String {
    let mut text = format!("\nthe least in which {target}, after {made} rehearsals:\n");
    for (what, before, left) in removed {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {what}: {left} of {before}");
    }
    for (path, content) in result.shown() {
        let _ = writeln!(text, "\n{}", path.display());
        for line in visible(&content).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// Makes sure, before anything is rehearsed, that the result can be written.
fn can_be_written(out: &Path) -> Result<(), Failure> {
    super::incident::can_be_saved(out)
}

/// Writes a bundle where the name ends so, else a new directory.
fn write(bundle: &Bundle, out: &Path) -> Result<(), Failure> {
    if out.extension().is_some_and(|extension| extension == "thirdrun") {
        return Ok(bundle.save(out)?);
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| IncidentError::Write { path: out.to_owned(), source };
    // It is there as a whole or not at all.
    let beside = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(failed)?;
    bundle.unpack_as_incident(beside.path())?;
    if out.symlink_metadata().is_ok() {
        return Err(IncidentError::Exists(PathBuf::from(out)).into());
    }
    std::fs::rename(beside.path(), out).map_err(failed)?;
    // It has another name now.
    let _ = beside.keep();
    Ok(())
}
