//! A gathered rehearsal and the parts that it can be made smaller by: workers, runs, statements, rows and settings.

use std::path::{Path, PathBuf};

use super::bundle::{Bundle, Entry};
use super::compare::recorded_of;
use super::error::IncidentError;
use super::save::{Gathered, gather, report};
use crate::dump::{ItemKind, split};
use crate::plan::Plan;
use crate::report::{Document, ResultStatus};
use crate::secrets::Disguise;
use crate::seed::Dumps;

/// An incident that is being made smaller.
#[derive(Clone)]
pub struct Smaller(Gathered);

/// What has several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The runs.
    Runs,
    /// The workers.
    Workers,
    /// The statements of a script.
    Script(PathBuf),
    /// Settings of the server, and lines of `pg_hba.conf`.
    Settings,
    /// Synthetic rows.
    Rows,
    /// The statements of a dump.
    Dump(PathBuf),
}

impl Subject {
    /// What its parts are called, in the plural.
    pub fn parts(&self) -> String {
        match self {
            Self::Runs => "runs".to_owned(),
            Self::Workers => "workers".to_owned(),
            Self::Script(path) | Self::Dump(path) => format!("statements of {}", path.display()),
            Self::Settings => "settings".to_owned(),
            Self::Rows => "kinds of synthetic rows".to_owned(),
        }
    }

    /// Whether the clone hangs on it.
    pub fn is_of_clone(&self) -> bool {
        matches!(self, Self::Settings | Self::Rows | Self::Dump(_))
    }
}

impl Smaller {
    /// A rehearsal that has not been made smaller yet.
    ///
    /// # Errors
    /// When a script cannot be read any more, or there is too much of it.
    pub fn of(plan: &Plan, dumps: &Dumps, document: &Document) -> Result<Self, IncidentError> {
        let mut gathered = gather(plan, dumps, document)?;
        for run in &mut gathered.file.run {
            // Of a candidate it is not known yet.
            run.breaks.clear();
        }
        Ok(Self(gathered))
    }

    /// Everything that has parts, in the order in which it is worth while to leave some out: what makes each rehearsal
    /// shorter, then the scripts, then what the clone is made of.
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![Subject::Workers, Subject::Runs];
        let home = self.0.rehearsal.parent().unwrap_or(Path::new(""));
        let sql =
            |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
        let scripts = self.0.bundle.files.keys().filter(|path| path.starts_with("scripts") && sql(path));
        subjects.extend(scripts.cloned().map(Subject::Script));
        subjects.extend([Subject::Rows, Subject::Settings]);
        let (clone, data) = (&self.0.file.clone, &self.0.file.data);
        for named in data.load.iter().chain(&clone.roles).chain(&clone.schema) {
            subjects.push(Subject::Dump(normal(&home.join(named))));
        }
        subjects.into_iter().filter(|subject| self.count(subject) > 0).collect()
    }

    /// Whether it is of any use still to leave parts of a subject out.
    pub fn uses(&self, subject: &Subject) -> bool {
        let Subject::Script(path) = subject else { return true };
        let scripts: Vec<PathBuf> = self.scripts().map(|(path, _)| path).collect();
        scripts.contains(path) || !scripts.iter().all(|script| self.is_plain(script))
    }

    /// How many parts a subject has.
    pub fn count(&self, subject: &Subject) -> usize {
        let file = &self.0.file;
        match subject {
            Subject::Runs => file.run.len(),
            Subject::Workers => file.worker.len(),
            Subject::Script(path) | Subject::Dump(path) => self.statements(path).len(),
            Subject::Settings => file.clone.settings.len() + file.clone.hba.len(),
            Subject::Rows => usize::from(file.data.rows > 0) + file.data.tables.len(),
        }
    }

    /// The same with only these parts of a subject.
    #[must_use]
    pub fn with(&self, subject: &Subject, kept: &[usize]) -> Self {
        let mut smaller = self.clone();
        let file = &mut smaller.0.file;
        match subject {
            Subject::Runs => {
                retain(&mut file.run, kept, 0);
                let last = u32::try_from(file.run.len()).unwrap_or(u32::MAX);
                for worker in &mut file.worker {
                    worker.from_run = worker.from_run.min(last).max(1);
                }
            }
            Subject::Workers => retain(&mut file.worker, kept, 0),
            Subject::Script(path) | Subject::Dump(path) => {
                let mut statements = smaller.statements(path);
                retain(&mut statements, kept, 0);
                if let Some(entry) = smaller.0.bundle.files.get_mut(path) {
                    *entry = Entry { executable: entry.executable, ..Entry::text(statements.concat()) };
                }
            }
            Subject::Settings => {
                let settings = file.clone.settings.len();
                let mut at = 0..;
                file.clone.settings.retain(|_, _| at.next().is_some_and(|at| kept.contains(&at)));
                retain(&mut file.clone.hba, kept, settings);
            }
            Subject::Rows => {
                let default = usize::from(file.data.rows > 0);
                if default == 1 && !kept.contains(&0) {
                    file.data.rows = 0;
                }
                let mut at = default..;
                file.data.tables.retain(|_, _| at.next().is_some_and(|at| kept.contains(&at)));
            }
        }
        smaller
    }

    /// The same without the runs after this many.
    #[must_use]
    pub fn cut(&self, runs: usize) -> Self {
        self.with(&Subject::Runs, &(0..runs).collect::<Vec<_>>())
    }

    /// Writes it into a directory, and says where the rehearsal file is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn unpack(&self, directory: &Path) -> Result<PathBuf, IncidentError> {
        let mut gathered = self.0.clone();
        gathered.write_file("a candidate");
        gathered.bundle.unpack(directory)?;
        Ok(directory.join(&gathered.rehearsal))
    }

    /// It as a bundle, with what came of it.
    pub fn bundle(&self, document: &Document) -> Bundle {
        let mut gathered = self.0.clone();
        for (run, seen) in gathered.file.run.iter_mut().zip(&document.runs) {
            run.fails = seen.result.status != ResultStatus::Succeeded;
            run.breaks = recorded_of(seen, document).iter().map(|worker| worker.name.to_string()).collect();
        }
        // What no run needs any more.
        let used: Vec<PathBuf> = self.scripts().map(|(path, _)| path).collect();
        let programs = gathered.file.worker.iter().any(|worker| worker.command.is_some());
        let plain = used.iter().all(|path| self.is_plain(path));
        gathered
            .bundle
            .files
            .retain(|path, _| programs || !plain || !path.starts_with("scripts") || used.contains(path));
        gathered
            .write_file("An incident that `thirdrun reproduce --minimize` has made as small as it could.");
        let report = report(document, &mut Disguise::default());
        gathered.bundle.files.insert(gathered.bundle.manifest.report.clone().into(), Entry::text(report));
        gathered.bundle
    }

    /// The texts that a person wants to see: the scripts of the runs, and what the clone is made of.
    pub fn shown(&self) -> Vec<(PathBuf, String)> {
        let mut shown: Vec<(PathBuf, String)> = Vec::new();
        let home = self.0.rehearsal.parent().unwrap_or(Path::new(""));
        let (clone, data) = (&self.0.file.clone, &self.0.file.data);
        let dumps =
            clone.roles.iter().chain(&clone.schema).chain(&data.load).map(|named| normal(&home.join(named)));
        let dumps = dumps.filter_map(|path| Some((path.clone(), self.text(&path)?)));
        for (path, text) in dumps.chain(self.scripts()) {
            if !text.trim().is_empty() && !shown.iter().any(|(known, _)| *known == path) {
                shown.push((path, text));
            }
        }
        shown
    }

    /// The scripts of the runs, in their order.
    fn scripts(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let home = self.0.rehearsal.parent().unwrap_or(Path::new(""));
        self.0.file.run.iter().filter_map(move |run| {
            let path = normal(&home.join(&run.script));
            Some((path.clone(), self.text(&path)?))
        })
    }

    /// Whether a script is SQL that needs no other file.
    fn is_plain(&self, path: &Path) -> bool {
        let text = self.text(path).unwrap_or_default();
        let sql = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
        sql && split(&text).is_ok_and(|items| items.iter().all(|item| item.kind == ItemKind::Statement))
    }

    fn text(&self, path: &Path) -> Option<String> {
        let entry = self.0.bundle.files.get(path)?;
        std::str::from_utf8(&entry.bytes).ok().map(str::to_owned)
    }

    /// The statements of a file, each as text that ends a line. None of what is no SQL.
    fn statements(&self, path: &Path) -> Vec<String> {
        let text = self.text(path).unwrap_or_default();
        let piece = |item: crate::dump::Item<'_>| match item.kind {
            ItemKind::Statement => format!("{}\n", ended(item.text)),
            ItemKind::Copy(data) => format!("{}\n{data}\\.\n", ended(item.text)),
            ItemKind::Command => format!("{}\n", item.text),
            ItemKind::Inside { command, .. } => format!("{}\n{command}\n", item.text),
        };
        split(&text).unwrap_or_default().into_iter().map(piece).collect()
    }
}

/// Keeps the parts with these numbers, of which the first is `from`.
fn retain<T>(parts: &mut Vec<T>, kept: &[usize], from: usize) {
    let mut at = from..;
    parts.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
}

/// A statement with its semicolon, which a comment at its end must not hide.
fn ended(statement: &str) -> String {
    let hidden = statement.lines().next_back().is_some_and(|line| line.contains("--"));
    format!("{statement}{};", if hidden { "\n" } else { "" })
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests;
