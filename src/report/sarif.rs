//! SARIF 2.1.0, as code scanning takes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::findings::{Finding, RULES, Severity, findings};
use super::gitlab::fingerprint;
use super::scripts::{Conclusion, Report};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: String,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    name: &'static str,
    short_description: Text,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Place,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
}

/// Renders a report as SARIF.
///
/// # Errors
/// Never in practice: all of it can be written as JSON.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let rules = RULES.iter().map(|rule| Descriptor {
        id: rule.id,
        name: rule.name,
        short_description: Text { text: rule.text.to_owned() },
    });
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver { name: "thirdrun", version: report.thirdrun.clone(), rules: rules.collect() },
            },
            invocations: [Invocation { execution_successful: report.verdict < Conclusion::Error }],
            results: findings(report).into_iter().map(entry).collect(),
        }],
    };
    serde_json::to_string_pretty(&log).map(|text| text + "\n")
}

fn entry(finding: Finding) -> Entry {
    let known = RULES.iter().position(|rule| rule.id == finding.rule.id);
    Entry {
        rule_id: finding.rule.id,
        rule_index: known.unwrap_or_default(),
        level: if finding.severity == Severity::Hazard { "warning" } else { "error" },
        partial_fingerprints: BTreeMap::from([("finding/v1", fingerprint(&finding))]),
        message: Text { text: format!("{}\n{}", finding.title, finding.message) },
        locations: [Location {
            physical_location: Place {
                artifact_location: Artifact { uri: uri(&finding.path) },
                // Where the line is not known, the beginning of the script stands for all of it.
                region: Region { start_line: finding.line.unwrap_or(1) },
            },
        }],
    }
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let text = percent_encoding::utf8_percent_encode(path.trim_start_matches("./"), KEPT).to_string();
    if path.starts_with('/') { format!("file://{text}") } else { text }
}
