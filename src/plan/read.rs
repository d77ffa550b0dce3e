//! Finding and parsing the rehearsal file, and reading the files that it names.

use std::path::{Path, PathBuf};

use super::error::{PlanError, Source, unreadable};
use super::file::RehearsalFile;
use crate::dump::DumpFile;

/// The name of a rehearsal file.
pub const FILE_NAME: &str = "thirdrun.toml";

/// The rehearsal file of this directory or of the nearest parent that has one.
pub fn find(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().map(|parent| parent.join(FILE_NAME)).find(|path| path.is_file())
}

/// Reads a rehearsal file.
///
/// # Errors
/// When it cannot be read or does not have the shape of one.
pub fn read(path: &Path) -> Result<(Source, RehearsalFile), PlanError> {
    let text =
        std::fs::read_to_string(path).map_err(unreadable(path, "name the rehearsal file with --config"))?;
    let source = Source { path: path.to_owned(), text: text.into() };
    let file = parse(&source)?;
    Ok((source, file))
}

pub(super) fn parse(source: &Source) -> Result<RehearsalFile, PlanError> {
    toml::from_str(&source.text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        match unknown_key(error.message()) {
            Some((key, known)) => {
                // The span of an unknown key is the key itself, or its whole table's header.
                let span = key_within(&source.text, span, &key);
                let message = format!("unknown key '{key}'");
                source.unknown(span, message, &key, known.iter().map(String::as_str), "the keys here are")
            }
            None => PlanError::Place {
                source_text: source.clone(),
                span,
                message: error.message().to_owned(),
                help: None,
                instead: None,
            },
        }
    })
}

/// The key and the known ones, out of serde's message for an unknown field
/// (`serde::de::Error::unknown_field`): the only form in which it tells them.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    let key = names.next()?;
    Some((key, names.collect()))
}

fn key_within(text: &str, span: std::ops::Range<usize>, key: &str) -> std::ops::Range<usize> {
    match text.get(span.clone()).and_then(|part| part.find(key)) {
        Some(at) => span.start + at..span.start + at + key.len(),
        None => span,
    }
}

/// Reads a dump; errors call it by the path that the user knows it by.
pub(super) fn dump(full: &Path, path: &Path, help: &str) -> Result<DumpFile, PlanError> {
    DumpFile::read(full, path).map_err(|error| {
        let help = error.help().unwrap_or_else(|| help.to_owned());
        PlanError::Dump { error, help }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> PlanError {
        parse(&Source { path: "thirdrun.toml".into(), text: text.into() }).unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one_and_its_place() {
        let error = error("[clone]\nschema = \"a.sql\"\n\n[script]\ntimeuot = \"3s\"\n");
        assert_eq!(error.to_string(), "thirdrun.toml:5: unknown key 'timeuot'");
        assert_eq!(error.help(), Some("did you mean 'timeout'?"));
        assert!(error.snippet(false).unwrap().contains("5 | timeuot = \"3s\""), "{:?}", error.snippet(false));
    }

    #[test]
    fn an_unknown_section_and_an_unknown_key_of_a_worker_are_found() {
        assert_eq!(error("[clones]\n").to_string(), "thirdrun.toml:1: unknown key 'clones'");
        let text = "[[worker]]\nname = \"a\"\nrole = \"b\"\nsql = \"SELECT 1\"\nsesion = \"keep\"\n";
        assert_eq!(error(text).help(), Some("did you mean 'session'?"));
    }

    #[test]
    fn values_of_the_wrong_kind_are_shown_in_their_place() {
        let error = error("[script]\ntimeout = 5\n");
        assert!(error.to_string().starts_with("thirdrun.toml:2: "), "{error}");
        assert!(error.to_string().contains("length of time"), "{error}");
    }
}
