//! Saving incidents and opening them.

use std::path::Path;

use crate::failure::{Exit, Failure};
use crate::incident::{self, Bundle, IncidentError, Recorded};
use crate::plan::{self, Overrides, Plan};
use crate::rehearsal::dumps;
use crate::report::{Document, Report};
use crate::sandbox::{Sandbox, Scope};
use crate::verdict::Outcome;
use crate::workers::WorkerSpec;

/// Makes sure, before anything is rehearsed, that a bundle can be written.
pub(super) fn can_be_saved(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(IncidentError::Exists(path.to_owned()).into());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if directory.is_dir() {
        return Ok(());
    }
    let message =
        format!("{} cannot be written: there is no directory {}", path.display(), directory.display());
    Err(Failure::said(Exit::Usage, message).hint("make the directory first"))
}

/// Writes the bundle of a check that failed, while its sandbox is still there to read archives.
pub(super) async fn save(
    path: &Path,
    plan: &Plan,
    document: &Document,
    sandbox: &Sandbox,
    scope: &Scope,
    quiet: bool,
) -> Result<(), Failure> {
    let why_not = match document.verdict {
        Outcome::Fail => None,
        Outcome::Pass => Some("the check has passed"),
        Outcome::Inconclusive => Some("nothing was run"),
    };
    if let Some(why_not) = why_not {
        if !quiet {
            anstream::eprintln!("thirdrun: {why_not}, so no incident was saved");
        }
        return Ok(());
    }
    let dumps = dumps(plan, sandbox, scope).await?;
    let bundle = incident::bundle(plan, &dumps, document)?;
    bundle.save(path)?;
    if !quiet {
        let secrets = match bundle.manifest.exchanged {
            0 => String::new(),
            1 => ", with a made-up password for the one in it".to_owned(),
            count => format!(", with made-up passwords for the {count} in it"),
        };
        anstream::eprintln!(
            "saved the incident{secrets}; replay it, here or elsewhere, with\n  thirdrun reproduce {}",
            path.display()
        );
        lacks(&bundle);
    }
    Ok(())
}

/// Says what a bundle does not have.
fn lacks(bundle: &Bundle) {
    for what in &bundle.manifest.left_out {
        anstream::eprintln!("note: the bundle lacks {}", crate::report::visible(what));
    }
}

/// Unpacks a bundle into a directory and plans it. `overrides` say where and how.
pub(super) fn open(
    path: &Path,
    shown: &Path,
    directory: &Path,
    overrides: Overrides,
    quiet: bool,
) -> Result<(Plan, Recorded), Failure> {
    let bundle = Bundle::read(path)?;
    bundle.unpack(directory)?;
    if !quiet {
        lacks(&bundle);
    }
    let config = directory.join(&bundle.manifest.rehearsal);
    let mut plan = plan::build(&Overrides { config: Some(config), ..overrides }, directory)?;
    confined(&plan, directory, shown)?;
    let report = recorded(&bundle, shown)?;
    for run in &mut plan.runs {
        // It is somebody else's script, and this environment may hold secrets.
        run.env.clear();
        let then = report.runs.iter().find(|then| then.run == run.number);
        run.may_fail = then.map_or(run.may_fail, |then| then.result.may_fail);
    }
    Ok((plan, Recorded::of_report(report)))
}

/// The report in a bundle.
fn recorded(bundle: &Bundle, shown: &Path) -> Result<Document, Failure> {
    let path = || shown.to_owned();
    let entry = bundle.files.get(Path::new(&bundle.manifest.report));
    let bytes = entry.map(|entry| entry.bytes.as_slice()).unwrap_or_default();
    let report = Report::read(&String::from_utf8_lossy(bytes))
        .map_err(|source| IncidentError::Report { path: path(), source })?;
    let document = report.scripts.into_iter().find_map(|entry| entry.report);
    Ok(document.ok_or_else(|| IncidentError::None { path: path() })?)
}

/// Fails unless everything that a plan names lies in the bundle: whoever wrote it knows what there is on this machine.
fn confined(plan: &Plan, directory: &Path, shown: &Path) -> Result<(), Failure> {
    let inside = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let programs = plan.workers.iter().filter_map(WorkerSpec::program).map(|command| &command.directory);
    let named = plan.files.iter().chain(plan.runs.iter().map(|run| &run.script)).chain(programs);
    let refused =
        |name: &Path, why| IncidentError::Refused { path: shown.to_owned(), name: name.to_owned(), why };
    for path in named {
        if !path.canonicalize().is_ok_and(|path| path.starts_with(&inside)) {
            return Err(refused(path, "it lies outside of the bundle").into());
        }
    }
    for dump in plan.seed.schema.iter().chain(&plan.seed.roles).chain(&plan.seed.load) {
        if !dump.sources.are_only(&dump.path) {
            return Err(refused(&dump.path, "it includes other files").into());
        }
    }
    Ok(())
}
