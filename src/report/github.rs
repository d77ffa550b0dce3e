//! Annotations for GitHub Actions: workflow commands that put a finding beside the line of the script.

use std::fmt::Write as _;

use super::findings::{Finding, Severity, findings};
use super::scripts::Report;

/// GitHub shows ten annotations of each level for a step: the worst come first.
const SHOWN: usize = 10;

/// Renders a report as workflow commands, one a line.
pub fn render(report: &Report) -> String {
    let (hazards, errors): (Vec<_>, Vec<_>) =
        findings(report).into_iter().partition(|finding| finding.severity == Severity::Hazard);
    let mut text = String::new();
    for (level, findings) in [("error", errors), ("warning", hazards)] {
        let more = findings.len().saturating_sub(SHOWN);
        // The last place is for how many are not shown.
        let shown = if more > 0 { SHOWN - 1 } else { SHOWN };
        for finding in findings.iter().take(shown) {
            command(&mut text, level, finding);
        }
        if more > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "::{level} title=thirdrun::and {} more, which the job summary tells",
                more + 1
            );
        }
    }
    text
}

fn command(text: &mut String, level: &str, finding: &Finding) {
    let line = finding.line.map(|line| format!(",line={line}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "::{level} file={}{line},title={}::{}",
        property(&finding.path),
        property(&finding.title),
        data(&finding.message)
    );
}

/// What workflow commands need escaped in their message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What they need escaped in a property besides.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_is_read_as_a_command() {
        assert_eq!(data("50 %\n::error::x"), "50 %25%0A::error::x");
        assert_eq!(property("a,b:c"), "a%2Cb%3Ac");
    }
}
