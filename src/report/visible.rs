//! Texts of a script that only show themselves: a terminal obeys no character of theirs, and a CI server no line.
//!
//! What a script prints is quoted in reports, and a pull request may try to clear the screen, to turn a line around, or to
//! make annotations of its own.

use serde_json::Value;

use super::scripts::Report;

/// The report with every text made visible.
pub(super) fn report(report: &Report) -> Report {
    // A report that cannot be written cannot be shown either; all can.
    let Ok(mut value) = serde_json::to_value(report) else { return report.clone() };
    all(&mut value);
    serde_json::from_value(value).unwrap_or_else(|_| report.clone())
}

fn all(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.chars().any(|c| seen(c) != c) {
                *text = visible(text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(all),
        Value::Object(fields) => fields.values_mut().for_each(all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with control characters as the pictures that Unicode has of them, and without those that turn a line around.
pub fn visible(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(seen).collect()
}

fn seen(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        // The C1 controls; overrides and isolates of the direction (Unicode Standard Annex 9).
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    }
}

/// Lines of which no CI server takes one for a command to itself: GitHub's begin with `::`, whatever space is before them,
/// and those of several others are `##`, a word, and a bracket.
pub fn without_commands(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let plain = anstream::adapter::strip_str(line).to_string();
        let line = if plain.trim_start().starts_with("::") {
            line.replacen("::", ": :", 1)
        } else {
            line.to_owned()
        };
        match line.match_indices("##").find(|(at, _)| is_command(line.get(at + 2..).unwrap_or_default())) {
            Some(_) => safe.push_str(&line.replace("##", "# #")),
            None => safe.push_str(&line),
        }
    }
    safe
}

fn is_command(rest: &str) -> bool {
    rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_obey_nothing() {
        assert_eq!(visible("a\x1b[2J\tb\r\nc\u{202e}d\u{9b}e\x7f"), "a␛[2J\tb\nc\u{fffd}d\u{fffd}e␡");
    }

    #[test]
    fn ci_servers_obey_nothing() {
        let told = "fine :: so\n  ::error file=x::y\n\x1b[1m::add-mask::z\n##vso[task.x]\n# ## heading\na ##[error]b\n";
        let safe = "fine :: so\n  : :error file=x::y\n\x1b[1m: :add-mask::z\n# #vso[task.x]\n# ## heading\na # #[error]b\n";
        assert_eq!(without_commands(told), safe);
    }
}
