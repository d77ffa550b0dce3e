//! Scripts and the statements in them: how they are cut, what is read out of them, where what was sent is found
//! again, and what of it is masked.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use thirdrun::dump::{self, ItemKind};
use thirdrun::fuzzing;

/// The script is read from a file, as psql reads it.
static SCRIPT: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a directory"));

fuzz_target!(|text: &str| {
    tokens(text);
    pieces(text);
    for escapes in [false, true] {
        query(text, escapes);
    }
    facts(text);
    masks(text);
    origins(text);
});

/// Where a piece of a text is in it.
fn place(text: &str, piece: &str) -> usize {
    let at = (piece.as_ptr() as usize).checked_sub(text.as_ptr() as usize).expect("a piece before its text");
    assert!(at + piece.len() <= text.len(), "a piece beyond its text");
    at
}

fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Tokens lie in the text one after the other, and between them is nothing but white space.
fn tokens(text: &str) {
    let mut end = 0;
    for token in dump::tokens(text) {
        let between = &text[end..token.range.start];
        assert!(
            between.chars().all(|c| c.is_ascii_whitespace() || c == '\x0B'),
            "{between:?} is in no token"
        );
        assert!(!token.range.is_empty() && !token.of(text).is_empty());
        end = token.range.end;
    }
    assert!(text[end..].chars().all(|c| c.is_ascii_whitespace() || c == '\x0B'));
    for (range, _) in dump::words_at(text) {
        assert!(text.get(range).is_some());
    }
}

/// The pieces of a script lie in it one after the other, on the lines that are told; and a statement that is cut out
/// and cut again is the same statement.
fn pieces(text: &str) {
    let Ok(items) = dump::split(text) else { return };
    let mut end = 0;
    for item in &items {
        let at = place(text, item.text);
        assert!(at >= end, "pieces overlap");
        assert_eq!(item.line, line_at(text, at), "{:?}", item.text);
        end = at + item.text.len();
        match item.kind {
            ItemKind::Statement => assert!(!item.text.is_empty()),
            ItemKind::Copy(data) => {
                let data_at = place(text, data);
                assert!(data_at >= end);
                end = data_at + data.len();
            }
            ItemKind::Command => assert!(item.text.starts_with('\\')),
            ItemKind::Inside { command, line } => {
                let command_at = place(text, command);
                assert!(command_at >= end && command.starts_with('\\'));
                assert_eq!(line, line_at(text, command_at));
                end = command_at + command.len();
            }
        }
    }
    // What a backslash means may have been set before, of which a statement alone knows nothing.
    if text.to_ascii_lowercase().contains("standard_conforming_strings") {
        return;
    }
    for item in items.iter().filter(|item| item.kind == ItemKind::Statement) {
        // At the beginning of a file it is no part of a statement.
        if item.text.starts_with('\u{feff}') {
            continue;
        }
        let again = dump::split(item.text).expect("a whole statement can be cut");
        let texts: Vec<_> = again.iter().map(|item| item.text).collect();
        assert_eq!(texts, [item.text]);
    }
}

/// So do the statements of a query string, and each of them is one by itself.
fn query(text: &str, escapes: bool) {
    let mut end = 0;
    let places = dump::statements(text, escapes);
    for (number, place) in places.iter().enumerate() {
        assert!(place.start >= end && place.start <= place.end);
        end = place.end;
        let statement = text.get(place.clone()).expect("a statement in the text");
        // The last one may have no end.
        if number + 1 < places.len() {
            assert!(!statement.is_empty());
            if statement.starts_with('\u{feff}') {
                continue;
            }
            let again = dump::statements(statement, escapes);
            assert!(again.len() == 1 && again.first() == Some(&(0..statement.len())), "{statement:?}");
        }
    }
}

fn facts(text: &str) {
    dump::roles_named(text);
    dump::database_stated(text);
    let _ = dump::databases_stated(text).count();
    dump::stated_password(text);
    if let Some(without) = dump::without_stored_hash(text) {
        // A hash of nothing is a hash.
        assert!(dump::without_stored_hash(&without).is_some());
    }
    let mut variables = dump::Variables::default();
    assert_eq!(variables.substituted(text), text);
    variables.set("v", Some("it's \\ \"v\"".to_owned()));
    variables.substituted(text);
}

/// What is masked stays masked, and a secret where secrets stand is gone.
fn masks(text: &str) {
    let masked = fuzzing::masked_statement(text);
    assert_eq!(fuzzing::masked_statement(&masked), masked, "masked twice is not masked once");
    fuzzing::masked_dump(text);
    let parametrised = fuzzing::parametrised(text);
    // A quotation mark begins a constant, but in a quoted name. Settings of the server's own stay as they are.
    let sets = dump::words(text).first().is_some_and(|word| word.is("set"));
    assert!(sets || text.contains('"') || !parametrised.contains('\''), "{parametrised}");
    fuzzing::without(text, &[("public", "t"), ("-", "EXTENSION x")]);
    let _ = thirdrun::capture::Conninfo::parse(text).map(|known| known.shown());

    // A password behind any statement, which is whole: the tap looks at no more than one.
    const SECRET: &str = "s3cr3t-that-nobody-may-see";
    if text.to_ascii_lowercase().contains("standard_conforming_strings") || text.contains(SECRET) {
        return;
    }
    for item in dump::split(text).unwrap_or_default().iter().filter(|item| item.kind == ItemKind::Statement) {
        let planted = format!("{}\n;ALTER ROLE r PASSWORD '{SECRET}'", item.text);
        let planted = fuzzing::masked_statement(&planted);
        assert!(!planted.contains(SECRET), "{planted}");
    }
}

/// Every statement of a script that is sent as it stands is found where it stands.
fn origins(text: &str) {
    let script: PathBuf = SCRIPT.path().join("script.sql");
    std::fs::write(&script, text).expect("a script");
    thirdrun::runs::files_of(&script);
    let Ok(items) = dump::split(text) else { return };
    // What the tap keeps of a statement has no secrets.
    let sent: Vec<String> = items
        .iter()
        .filter(|item| item.kind == ItemKind::Statement)
        .map(|item| fuzzing::masked_statement(item.text))
        .collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let found = fuzzing::lines_sent(&script, &sent);
    assert_eq!(found.len(), sent.len());
    let only = items.iter().all(|item| item.kind == ItemKind::Statement);
    if only && !text.contains(':') {
        let lines: Vec<_> = items.iter().map(|item| u32::try_from(item.line).ok()).collect();
        assert_eq!(found, lines);
    }
}
