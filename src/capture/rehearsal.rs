//! The rehearsal file of a capture: a clone that is complete, and the place where the workers go.

use std::fmt::Write as _;

use super::Captured;
use super::facts::{Example, Facts, TableSize};

/// Tables whose sizes are written into the file.
const LARGEST: usize = 20;
/// Columns of its comments.
const WIDTH: usize = 118;

/// `thirdrun.toml`.
pub(super) fn render(captured: &Captured, facts: &Facts) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, captured, facts);
    text
}

fn write_all(text: &mut String, captured: &Captured, facts: &Facts) -> std::fmt::Result {
    let server = &facts.server;
    writeln!(
        text,
        "# The database {} of a PostgreSQL {} as the role {} saw it at {}, captured by thirdrun {}.\n#",
        line(&server.database),
        server.version,
        line(&server.role),
        server.captured_at,
        env!("CARGO_PKG_VERSION"),
    )?;
    let width = captured.files.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, what) in &captured.files {
        writeln!(text, "# {name:width$}  {what}")?;
    }
    for note in &captured.notes {
        writeln!(text, "#\n# Note: {}", wrapped(&line(note)))?;
    }
    writeln!(
        text,
        "\n[clone]\nschema   = \"schema.sql\"\nroles    = \"roles.sql\"\nsizes    = \"sizes.json\""
    )?;
    writeln!(text, "database = {}\npostgres = \"{}\"", string(&server.database), server.major())?;
    if !server.settings.is_empty() {
        let settings: Vec<_> = server
            .settings
            .iter()
            .map(|(name, value)| format!("{} = {}", string(name), string(value)))
            .collect();
        writeln!(text, "settings = {{ {} }}", settings.join(", "))?;
    }
    if !server.extensions.is_empty() {
        writeln!(text, "# Extensions: {}.", line(&server.extensions.join(", ")))?;
        writeln!(
            text,
            "# extensions = \"skip-missing\"   # where the sandbox's server does not have them all"
        )?;
    }
    data(text, facts)?;
    worker(text, facts.example.as_ref())
}

fn data(text: &mut String, facts: &Facts) -> std::fmt::Result {
    writeln!(text, "\n[data]\nrows = 100   # synthetic rows of each table")?;
    let mut largest: Vec<(&TableSize, u64)> =
        facts.kept().filter_map(|table| Some((table, table.rows?))).collect();
    largest.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    largest.truncate(LARGEST);
    if let Some((first, rows)) = largest.first() {
        writeln!(text, "# The largest tables there, in rows and bytes with their indexes:")?;
        let name = |table: &TableSize| line(&format!("{}.{}", table.schema, table.name));
        let width = largest.iter().map(|(table, _)| name(table).chars().count()).max().unwrap_or_default();
        for (table, rows) in &largest {
            writeln!(text, "#   {:width$}  {rows:>12}  {:>14}", name(table), table.total_bytes)?;
        }
        let some = (*rows).min(5_000);
        writeln!(text, "# tables = {{ {} = {some} }}", string(&format!("{}.{}", first.schema, first.name)))?;
    }
    if facts.statistics.is_some() {
        writeln!(
            text,
            "# load = [\"statistics.sql\"]   # the planner's statistics, instead of those of the synthetic rows"
        )?;
    }
    Ok(())
}

fn worker(text: &mut String, example: Option<&Example>) -> std::fmt::Result {
    writeln!(
        text,
        "\n# Each of your automations: the role it logs in as, what it does, and what must come of it. `thirdrun check SCRIPT`\n\
         # then says which of them the script breaks. While none is written it makes one of each role that can log in, of what that\n\
         # role has run or may do; `thirdrun workers` writes these down, to begin from. An example:"
    )?;
    let (role, table) = match example {
        Some(example) => (example.role.as_str(), example.table.as_str()),
        None => ("some_role", "some_table"),
    };
    let sql = format!("SELECT count(*) FROM {table}");
    writeln!(text, "#\n# [[worker]]\n# name = \"reader\"\n# role = {}", string(role))?;
    writeln!(text, "# sql  = {}\n# rows = 1", string(&sql))
}

/// A comment over as many lines as it needs.
fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    let mut width = "# Note: ".len();
    for word in text.split(' ') {
        let length = word.chars().count() + 1;
        if width + length > WIDTH && !wrapped.is_empty() {
            wrapped.push_str("\n# ");
            width = 2;
        } else if !wrapped.is_empty() {
            wrapped.push(' ');
        }
        wrapped.push_str(word);
        width += length;
    }
    wrapped
}

/// A TOML string in one line.
fn string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// A text that cannot end the comment it stands in.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let name = "a\"\\\n[data]\u{7f}";
        let read: toml::Table = toml::from_str(&format!("name = {}", string(name))).unwrap();
        assert_eq!(read.get("name").and_then(toml::Value::as_str), Some(name));
        assert_eq!(line("a\n[data]"), "a [data]");
    }
}
