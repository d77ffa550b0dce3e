//! `thirdrun demo --list`: the library as a table.

use std::fmt::Write as _;

use anstream::stream::IsTerminal as _;
use textwrap::Options;

use super::super::outputs::{self, columns};
use crate::failure::{Exit, Failure};
use crate::library::{self, Break};

/// Columns between two columns of the table.
const GAP: usize = 2;
/// Columns of what breaks.
const BREAKS: usize = 26;
/// The fewest columns for what happened.
const LEAST: usize = 24;

/// Prints it.
pub(super) fn print() -> Result<Exit, Failure> {
    let width = if std::io::stdout().is_terminal() { columns() } else { outputs::WIDTH };
    outputs::print(&table(width)?)?;
    Ok(Exit::Pass)
}

fn table(width: usize) -> Result<String, Failure> {
    let all = library::all();
    let names = all.iter().map(|incident| incident.name.len()).max().unwrap_or_default();
    let line = width.saturating_sub(names + BREAKS + 2 * GAP).max(LEAST);
    let mut text = String::new();
    row(&mut text, names, line, "NAME", "BREAKS", "WHAT HAPPENED");
    for incident in all {
        let story = incident
            .story()
            .ok_or_else(|| Failure::defect(&format!("the story of {} cannot be read", incident.name)))?;
        row(&mut text, names, line, incident.name, &broken(&story.breaks), &story.line);
    }
    text.push_str(
        "\nthirdrun demo NAME rehearses one; --safe rehearses the script that avoids it, --story tells what\nhappened and why, \
         --write DIR writes its files\n",
    );
    Ok(text)
}

/// Who breaks, by run: `run 2: gate, attendance`.
fn broken(breaks: &[Break]) -> String {
    let mut told = String::new();
    let mut run = None;
    for one in breaks {
        if run == Some(one.run) {
            let _ = write!(told, ", {}", one.worker);
        } else {
            let separator = if told.is_empty() { "" } else { "; " };
            let _ = write!(told, "{separator}run {}: {}", one.run, one.worker);
        }
        run = Some(one.run);
    }
    told
}

/// A row, of as many lines as its longest cell needs.
fn row(text: &mut String, names: usize, line: usize, name: &str, breaks: &str, what: &str) {
    let whole = |width| Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let (breaks, what) = (textwrap::wrap(breaks, whole(BREAKS)), textwrap::wrap(what, whole(line)));
    for at in 0..breaks.len().max(what.len()) {
        let cell = |cells: &[std::borrow::Cow<'_, str>]| {
            cells.get(at).map(|cell| cell.to_string()).unwrap_or_default()
        };
        let name = if at == 0 { name } else { "" };
        let shown = format!("{name:names$}{0:GAP$}{1:BREAKS$}{0:GAP$}{2}", "", cell(&breaks), cell(&what));
        let _ = writeln!(text, "{}", shown.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits() {
        let text = table(80).unwrap();
        let rows = text.split("\n\n").next().unwrap();
        assert!(rows.lines().all(|line| line.chars().count() <= 80), "{rows}");
        assert!(rows.lines().nth(1).unwrap().starts_with("founding-outage "), "{rows}");
    }
}
