//! The one document of a check: a rehearsal for each script, on each version of PostgreSQL that was asked for.

use serde::{Deserialize, Serialize};

use super::document::{Document, REPORT_VERSION};
use super::reproduction::Reproduction;
use crate::verdict::Outcome;

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub report_version: u32,
    /// The thirdrun that wrote it.
    pub thirdrun: String,
    /// The worst of its scripts.
    pub verdict: Conclusion,
    /// Every script, in the order in which they were named.
    pub scripts: Vec<ScriptEntry>,
}

/// One script on one version of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptEntry {
    /// The script as the user named it; of an incident, its rehearsal file.
    pub script: String,
    /// The major version, where several were asked for.
    pub postgres: Option<u32>,
    /// What became of it.
    pub verdict: Conclusion,
    /// The rehearsal; null: there was none.
    pub report: Option<Document>,
    /// Why there was none.
    pub error: Option<Trouble>,
}

/// What becomes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Every automation works.
    Pass,
    /// An automation was broken, or a script failed.
    Fail,
    /// A worker does not work even before the first run.
    Inconclusive,
    /// There was no rehearsal.
    Error,
}

impl From<Outcome> for Conclusion {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Fail => Self::Fail,
            Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

/// Why a script was not rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What thirdrun exits with for it.
    pub exit_code: u8,
    /// What went wrong.
    pub message: String,
    /// Why, each the cause of the one before.
    pub causes: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

/// A text that is no report.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON, or not that of a report.
    #[error("it is no report of thirdrun")]
    Json(#[from] serde_json::Error),
    /// It was written by a later thirdrun.
    #[error("it is of version {0}, and this thirdrun reads version {REPORT_VERSION}")]
    Version(u64),
}

impl Report {
    /// A report of these scripts.
    pub fn new(scripts: Vec<ScriptEntry>) -> Self {
        let worst = scripts.iter().map(|script| script.verdict).max();
        Self {
            report_version: REPORT_VERSION,
            thirdrun: env!("CARGO_PKG_VERSION").to_owned(),
            verdict: worst.unwrap_or(Conclusion::Pass),
            scripts,
        }
    }

    /// Reads what [`Report::json`] has written.
    ///
    /// # Errors
    /// When it is nothing that thirdrun has written, or a later one has.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let version = value.get("report_version").and_then(serde_json::Value::as_u64);
        if let Some(version) = version.filter(|version| *version > u64::from(REPORT_VERSION)) {
            return Err(Unreadable::Version(version));
        }
        if value.get("scripts").is_some() {
            return Ok(serde_json::from_value(value)?);
        }
        let mut document: Document = serde_json::from_value(value)?;
        if document.script.is_empty() {
            // An earlier thirdrun has named it with the runs only.
            document.script = document.runs.first().map(|run| run.script.clone()).unwrap_or_default();
        }
        Ok(Self { thirdrun: document.thirdrun.clone(), ..Self::new(vec![ScriptEntry::of(document, None)]) })
    }

    /// As JSON, with a final newline: a single rehearsal is the document itself.
    ///
    /// # Errors
    /// Never in practice: all of it can be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let text = match self.scripts.as_slice() {
            [ScriptEntry { report: Some(document), .. }] => serde_json::to_string_pretty(document),
            _ => serde_json::to_string_pretty(self),
        };
        text.map(|text| text + "\n")
    }

    /// Whether an incident happened again, where the report is of one that was replayed.
    pub fn reproduction(&self) -> Option<&Reproduction> {
        match self.scripts.as_slice() {
            [ScriptEntry { report: Some(document), .. }] => document.reproduction.as_ref(),
            _ => None,
        }
    }

    /// How many scripts came to this.
    pub fn count(&self, conclusion: Conclusion) -> usize {
        self.scripts.iter().filter(|script| script.verdict == conclusion).count()
    }
}

impl ScriptEntry {
    /// A script that was rehearsed.
    pub fn of(document: Document, postgres: Option<u32>) -> Self {
        Self {
            script: document.script.clone(),
            postgres,
            verdict: document.verdict.into(),
            report: Some(document),
            error: None,
        }
    }

    /// A script that was not.
    pub fn failed(script: String, postgres: Option<u32>, trouble: Trouble) -> Self {
        Self { script, postgres, verdict: Conclusion::Error, report: None, error: Some(trouble) }
    }

    /// The script, and the version where there are several.
    pub fn title(&self) -> String {
        match self.postgres {
            Some(major) => format!("{} on PostgreSQL {major}", self.script),
            None => self.script.clone(),
        }
    }
}
