//! Workers as entries of a rehearsal file, for people to read and edit.

use std::fmt::Write as _;

use super::super::spec::{RowsExpected, Step, StepWork, WorkerSpec};
use crate::observations::LeftOut;

/// Writes `[[worker]]` entries, and what was left out as comments.
pub fn render(workers: &[WorkerSpec], left_out: &[LeftOut]) -> String {
    let mut text = String::new();
    for worker in workers {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = entry(&mut text, worker);
        for out in left_out.iter().filter(|out| out.role == worker.role) {
            let _ = writeln!(text, "# Left out: {}: {}", line(&out.what), line(&out.error));
        }
    }
    let without = left_out.iter().filter(|out| workers.iter().all(|worker| worker.role != out.role));
    for out in without {
        let _ = writeln!(
            text,
            "\n# No worker for {}: {}: {}",
            line(out.role.as_str()),
            line(&out.what),
            line(&out.error)
        );
    }
    text
}

fn entry(text: &mut String, worker: &WorkerSpec) -> std::fmt::Result {
    writeln!(text, "[[worker]]")?;
    writeln!(text, "name        = {}", string(worker.name.as_str()))?;
    writeln!(text, "role        = {}", string(worker.role.as_str()))?;
    writeln!(text, "timeout     = {}", string(&humantime::format_duration(worker.timeout).to_string()))?;
    writeln!(text, "transaction = {}   # each step is a transaction of its own,", worker.transaction)?;
    writeln!(text, "rollback    = {}    # and leaves no trace", worker.rollback)?;
    let StepWork::Steps(steps) = &worker.work else { return Ok(()) };
    for step in steps {
        let Step::Sql { name, sql, rows, value } = step else { continue };
        writeln!(text, "[[worker.step]]")?;
        if let Some(name) = name {
            writeln!(text, "name = {}", string(name))?;
        }
        writeln!(text, "sql = {}", string(sql))?;
        match rows {
            Some(RowsExpected::AtLeast(rows)) => writeln!(text, "rows = \">={rows}\"")?,
            Some(RowsExpected::Exactly(rows)) => writeln!(text, "rows = {rows}")?,
            None => {}
        }
        if let Some(value) = value {
            writeln!(text, "value = {}", string(value))?;
        }
    }
    Ok(())
}

/// A text as TOML has it.
fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A text that stays on its line.
fn line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
