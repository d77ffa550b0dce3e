//! The runs of a plan: which script, how often, by whom.

use std::time::Duration;

use toml::Spanned;

use super::build::{Builder, texts};
use super::error::PlanError;
use super::file::RunEntry;
use crate::identifiers::{DatabaseName, RoleName, RunNumber, WorkerName};
use crate::runs::RunSpec;
use crate::workers::WorkerSpec;

/// Runs that are made at most of one script.
const MOST: u32 = 10_000;

impl Builder<'_> {
    /// The runs: the command line's script so many times, else those of the file; and how many are made in any case.
    pub(super) fn runs(&self) -> Result<(Vec<RunSpec>, usize), PlanError> {
        let section = &self.file.script;
        if self.overrides.scriptless {
            return Ok((Vec::new(), 0));
        }
        if self.overrides.script.is_none() && !self.file.run.is_empty() {
            let all = self.file.run.len();
            let wanted = self.overrides.runs.map_or(all, |runs| usize::try_from(runs).unwrap_or(usize::MAX));
            if wanted > all {
                return Err(PlanError::Usage {
                    message: format!("the rehearsal file lists {all} runs, so {wanted} cannot be made"),
                    help: "add [[run]] entries, or name a script to run it so many times".to_owned(),
                });
            }
            let runs = self.file.run.iter().take(wanted).zip(1..);
            let runs: Vec<_> =
                runs.map(|(entry, number)| self.run(number, entry)).collect::<Result<_, _>>()?;
            let sure = runs.len();
            return Ok((runs, sure));
        }
        let stated = |value: &Option<Spanned<u32>>, name: &str| match value {
            Some(runs) if *runs.as_ref() == 0 => {
                Err(self.source.at(runs.span(), "a rehearsal needs a run", format!("write {name} = 3")))
            }
            Some(runs) if *runs.as_ref() > MOST => {
                let help = format!("write {name} = {MOST} or less");
                Err(self.source.at(runs.span(), "so many runs are never made", help))
            }
            Some(runs) => Ok(Some(*runs.as_ref())),
            None => Ok(None),
        };
        if [self.overrides.runs, self.overrides.max_runs].into_iter().flatten().any(|runs| runs > MOST) {
            return Err(PlanError::Usage {
                message: "so many runs are never made".to_owned(),
                help: format!("name {MOST} or less with --runs and --max-runs"),
            });
        }
        let (runs, most) = (stated(&section.runs, "runs")?, stated(&section.max_runs, "max_runs")?);
        let sure = self.overrides.runs.or(runs).unwrap_or(3);
        // Whoever says on the command line how often means it so.
        let most = self.overrides.max_runs.or(if self.overrides.runs.is_some() { Some(sure) } else { most });
        let most = most.unwrap_or(5).max(sure);
        let entry = RunEntry::default();
        let runs: Vec<_> = (1..=most).map(|number| self.run(number, &entry)).collect::<Result<_, _>>()?;
        Ok((runs, usize::try_from(sure).unwrap_or(usize::MAX)))
    }

    fn run(&self, number: u32, entry: &RunEntry) -> Result<RunSpec, PlanError> {
        let section = &self.file.script;
        let (script, shown) = match (&self.overrides.script, &entry.script, &section.path) {
            (Some(path), _, _) => (self.directory.join(path), path.clone()),
            (None, Some(stated), _) | (None, None, Some(stated)) => {
                let full = self.base.join(stated.as_ref());
                if !full.is_file() {
                    return Err(self.source.at(
                        stated.span(),
                        format!("there is no script {}", full.display()),
                        "paths are relative to the rehearsal file",
                    ));
                }
                (full, stated.as_ref().clone())
            }
            (None, None, None) => {
                return Err(PlanError::Usage {
                    message: "there is no script to run".to_owned(),
                    help: "name it: `thirdrun check SCRIPT`, or as path under [script]".to_owned(),
                });
            }
        };
        let script = script
            .canonicalize()
            .map_err(super::error::unreadable(&shown, "name a script: a .sql file or an executable"))?;
        let role = self.overrides.role.as_ref().or(entry.role.as_ref()).or(section.role.as_ref());
        let mut vars = texts(&section.vars);
        vars.extend(texts(&entry.vars));
        let env = section.env.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
        let spec = RunSpec {
            number: RunNumber(number),
            script,
            shown: shown.to_string_lossy().into_owned(),
            role: RoleName::new(role.map_or("postgres", String::as_str)),
            database: section.database.as_ref().map(DatabaseName::new),
            vars,
            on_error: section.on_error.unwrap_or_default(),
            timeout: entry
                .timeout
                .as_ref()
                .or(section.timeout.as_ref())
                .map_or(Duration::from_secs(60), |t| t.0),
            env: env.collect(),
            image: section.image.clone(),
            may_fail: section.allow_failure || entry.fails == Some(true),
            fails: entry.fails.or((!section.allow_failure).then_some(false)),
            breaks: entry.breaks.iter().map(|name| WorkerName::new(name.as_ref())).collect(),
        };
        let executable = rustix::fs::access(&spec.script, rustix::fs::Access::EXEC_OK).is_ok();
        if !spec.is_sql() && !executable {
            return Err(PlanError::Usage {
                message: format!("{} is neither a .sql file nor executable", spec.shown),
                help: format!("make it executable: chmod +x {}", spec.shown),
            });
        }
        Ok(spec)
    }

    /// Workers that are derived are known only when there is a clone.
    pub(super) fn check_breaks(&self, workers: &[WorkerSpec]) -> Result<(), PlanError> {
        if workers.is_empty() {
            return Ok(());
        }
        for stated in self.file.run.iter().flat_map(|run| &run.breaks) {
            if !workers.iter().any(|worker| worker.name.as_str() == stated.as_ref()) {
                return Err(self.source.unknown(
                    stated.span(),
                    format!("there is no worker '{}'", stated.as_ref()),
                    stated.as_ref(),
                    workers.iter().map(|worker| worker.name.as_str()),
                    "the workers are",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Overrides, build};

    #[test]
    fn runs_without_measure_are_refused_in_their_place() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("schema.sql", "CREATE TABLE t ();\n");
        write("s.sql", "SELECT 1;\n");
        write("thirdrun.toml", "[script]\npath = \"s.sql\"\nmax_runs = 4294967295\n");
        let error = |overrides: &Overrides| build(overrides, directory.path()).unwrap_err();
        assert_eq!(error(&Overrides::default()).to_string(), "thirdrun.toml:3: so many runs are never made");
        write("thirdrun.toml", "[script]\npath = \"s.sql\"\n");
        let many = Overrides { runs: Some(u32::MAX), ..Overrides::default() };
        assert_eq!(error(&many).to_string(), "so many runs are never made");
    }
}
