//! Which dumps, version, packages and facts of the original a clone is made of: as the flags say, else the rehearsal file,
//! else the files beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::build::{Builder, short};
use super::error::PlanError;
use super::read::dump;
use super::sizes;
use super::statements;
use super::values::OneOrMany;
use crate::dump::{DumpError, DumpFile};
use crate::observations::TableSize;
use crate::workers::duties::Ran;

impl Builder<'_> {
    /// The major version that is asked for, else the one that the dump comes from.
    pub(super) fn wanted_major(&self, said: Option<u32>) -> Result<Option<u32>, PlanError> {
        match (self.overrides.postgres, &self.file.clone.postgres) {
            (Some(major), _) => Ok(Some(major)),
            (None, Some(stated)) => self.major(stated.as_ref().0.as_str(), stated.span()).map(Some),
            (None, None) => Ok(said),
        }
    }

    /// The sizes that the file names, else those beside it that were captured with its schema.
    pub(super) fn sizes(&self) -> Result<BTreeMap<String, TableSize>, PlanError> {
        if let Some(stated) = &self.file.clone.sizes {
            let full = self.stated(stated.as_ref(), stated.span())?;
            return sizes::read(&full, &short(&full, self.directory));
        }
        let full = self.base.join(sizes::FILE_NAME);
        let beside = self.overrides.schema.is_empty() && full.exists();
        if beside { sizes::read(&full, &short(&full, self.directory)) } else { Ok(BTreeMap::new()) }
    }

    /// The statements that the command line names, else those beside the rehearsal file that were captured with its schema;
    /// and its jobs.
    pub(super) fn statements(&self) -> Result<Vec<Ran>, PlanError> {
        let beside = |name: &str| {
            let full = self.base.join(name);
            let is_of_it = self.overrides.schema.is_empty() || self.overrides.no_config;
            (is_of_it && full.exists()).then_some(full)
        };
        let mut ran = match (&self.overrides.statements, beside(statements::FILE_NAME)) {
            (Some(named), _) => statements::read(&self.directory.join(named), named)?,
            (None, Some(full)) => statements::read(&full, &short(&full, self.directory))?,
            (None, None) => Vec::new(),
        };
        if let Some(full) = beside(statements::JOBS) {
            ran.extend(statements::jobs(&full, &short(&full, self.directory))?);
        }
        Ok(ran)
    }

    /// Where a file is that the rehearsal file names.
    fn stated(&self, path: &Path, span: Range<usize>) -> Result<PathBuf, PlanError> {
        let full = self.base.join(path);
        if full.exists() {
            return Ok(full);
        }
        let help = "paths are relative to the rehearsal file";
        Err(self.source.at(span, format!("there is no file {}", full.display()), help))
    }

    /// The dumps that a flag names, else the file, else the default where it exists.
    pub(super) fn dumps(
        &self,
        flagged: &[PathBuf],
        flag: &str,
        stated: Option<&Spanned<OneOrMany<PathBuf>>>,
        default: Option<&str>,
        required: bool,
    ) -> Result<Vec<DumpFile>, PlanError> {
        // Nobody has to have roles, or rows to load; but whose schema is empty has lost it.
        let dump = |full: &Path, path: &Path, help: &str| match dump(full, path, help) {
            Err(PlanError::Dump { error: DumpError::Empty { .. }, .. }) if !required => {
                Ok(DumpFile::plain(path, ""))
            }
            read => read,
        };
        if !flagged.is_empty() {
            let help = format!("{flag} names a file that pg_dump or pg_dumpall wrote");
            return flagged.iter().map(|path| dump(&self.directory.join(path), path, &help)).collect();
        }
        if let Some(stated) = stated {
            let read = |path: &PathBuf| {
                let full = self.stated(path, stated.span())?;
                dump(&full, &short(&full, self.directory), "its permissions must let you read it")
            };
            return stated.as_ref().0.iter().map(read).collect();
        }
        let Some(default) = default else {
            return Ok(Vec::new());
        };
        let path = self.base.join(default);
        if required || path.exists() {
            let help = "write it with `pg_dump --schema-only`, or name it with --schema";
            return Ok(vec![dump(&path, &short(&path, self.directory), help)?]);
        }
        Ok(Vec::new())
    }

    pub(super) fn packages(&self) -> Result<Vec<String>, PlanError> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:~=_".contains(c))
        };
        let checked = |stated: &Spanned<String>| {
            let name = stated.as_ref();
            if is_name(name) {
                return Ok(name.clone());
            }
            Err(self.source.at(
                stated.span(),
                format!("'{name}' is no name of a package"),
                "write it like \"postgresql-17-postgis-3\"",
            ))
        };
        self.file.clone.packages.iter().map(checked).collect()
    }

    fn major(&self, text: &str, span: Range<usize>) -> Result<u32, PlanError> {
        text.parse().map_err(|_| {
            self.source.at(
                span,
                format!("'{text}' is no major version of PostgreSQL"),
                "write it like \"17\"",
            )
        })
    }
}

/// Every version restores the dumps of older ones, and none those of newer ones (PostgreSQL manual, pg_dump).
pub(super) fn newer_only(schema: &[DumpFile], wanted: Option<u32>) -> Result<(), PlanError> {
    for file in schema {
        if let (Some(original), Some(wanted)) = (file.facts().major, wanted)
            && original > wanted
        {
            return Err(PlanError::OlderServer { path: file.path.clone(), original, wanted });
        }
    }
    Ok(())
}
