//! GitLab's code quality report: a list of findings with a fingerprint each, by which GitLab tells old ones from new.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::findings::{Finding, Severity, findings};
use super::scripts::Report;

#[derive(Serialize)]
struct Entry {
    description: String,
    check_name: &'static str,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

/// Renders a report as the JSON of a code quality report.
///
/// # Errors
/// Never in practice: all of it can be written as JSON.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let entries: Vec<Entry> = findings(report).into_iter().map(entry).collect();
    serde_json::to_string_pretty(&entries).map(|text| text + "\n")
}

fn entry(finding: Finding) -> Entry {
    Entry {
        fingerprint: fingerprint(&finding),
        description: format!("{}: {}", finding.title, finding.message.replace('\n', " ")),
        check_name: finding.rule.id,
        severity: match finding.severity {
            Severity::Broken => "blocker",
            Severity::Critical => "critical",
            Severity::Major => "major",
            Severity::Hazard => "minor",
        },
        location: Location { path: finding.path, lines: Lines { begin: finding.line.unwrap_or(1) } },
    }
}

/// Of what stays the same when lines are inserted above.
pub(super) fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    let parts = [finding.rule.id, finding.path.as_str(), finding.title.as_str()];
    for part in parts.into_iter().chain(finding.about.iter().map(String::as_str)) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(32);
    digits
}
