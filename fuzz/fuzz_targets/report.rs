//! Saved reports, and all renderings of them: a whole report with other values in its places, or any text.

#![no_main]

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Number, Value, json};
use thirdrun::report::{Report, github, gitlab, html, human, junit, markdown, sarif};
use thirdrun_fuzz::hypertext;

/// Rehearsals as checks have written them, each shortened.
static BASE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../report.json")).expect("a report"));

const TEXTS: [&str; 22] = [
    "",
    " ",
    "<script>alert(1)</script>",
    "\"><i x=\"",
    "' onload='x",
    "]]>",
    "<!--",
    "-->",
    "&amp;&#60;",
    "```\n<b>",
    "`",
    "``",
    "\\",
    "\\`<b>`",
    "::error::x",
    "%0A::error",
    "\n::error title=x::y\n",
    "\u{1b}[2J\u{7}",
    "\0",
    "\u{fffe}",
    "é\u{202e}x",
    "a\r\nb\u{2028}c",
];
const WORDS: [&str; 24] = [
    "ok",
    "disrupted",
    "latent",
    "broken",
    "pass",
    "fail",
    "inconclusive",
    "error",
    "succeeded",
    "failed",
    "timed_out",
    "worker_broken",
    "worker_latent",
    "worker_disrupted",
    "script_failed",
    "worker_fails_at_baseline",
    "crash_point",
    "held_locks",
    "grows",
    "alternates",
    "shrinks",
    "changes",
    "access_lost",
    "left_out",
];
const NUMBERS: [f64; 8] = [0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 1e308, -1e308];

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() == Some(&b'{') {
        if let Ok(text) = std::str::from_utf8(bytes) {
            check(text, 100);
        }
        return;
    }
    let mut given = Unstructured::new(bytes);
    let mut value = BASE.clone();
    if let Ok(width) = edited(&mut value, &mut given) {
        check(&value.to_string(), width);
    }
});

/// Puts other values into some of its places.
fn edited(value: &mut Value, given: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    let width = usize::from(u8::arbitrary(given)?);
    // One rehearsal alone is another form of a report.
    if given.ratio(7, 8)? {
        let scripts = value["scripts"].as_array().expect("scripts");
        let at = given.choose_index(scripts.len())?;
        if scripts[at]["report"].is_object() {
            *value = scripts[at]["report"].clone();
        }
    }
    let mut count = 0;
    while !given.is_empty() && count < 24 {
        edit(value, given)?;
        count += 1;
    }
    Ok(width)
}

fn edit(value: &mut Value, given: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let at = given.choose_index(members.len())?;
            let key = members.keys().nth(at).cloned().expect("a member");
            if given.ratio(1, 40)? {
                members.remove(&key);
                return Ok(());
            }
            edit(&mut members[&key], given)
        }
        Value::Array(elements) if !elements.is_empty() && given.ratio(7, 8)? => {
            let at = given.choose_index(elements.len())?;
            edit(&mut elements[at], given)
        }
        Value::Array(elements) => {
            match given.int_in_range(0..=3)? {
                0 => elements.clear(),
                1 => elements.push(json!(text(given)?)),
                many => {
                    if let Some(last) = elements.last().cloned() {
                        // Within each other they multiply.
                        let times = if many == 2 { 2 } else { given.int_in_range(0..=16)? };
                        elements.extend(std::iter::repeat_n(last, times));
                    }
                }
            }
            Ok(())
        }
        other => {
            *other = match (&*other, given.int_in_range(0..=7)?) {
                (Value::String(_), 0..=6) => json!(text(given)?),
                (Value::Number(_), 0..=6) => number(given)?,
                (Value::Null, 0..=3) => json!(text(given)?),
                (Value::Null, 4..=6) => number(given)?,
                (Value::Bool(truth), _) => json!(!truth),
                _ => Value::Null,
            };
            Ok(())
        }
    }
}

fn text(given: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match given.int_in_range(0..=3)? {
        0 => (*given.choose(&WORDS)?).to_owned(),
        1 => String::arbitrary(given)?,
        2 => format!("{}{}", given.choose(&TEXTS)?, given.choose(&TEXTS)?),
        _ => format!("{}{}\n{}", String::arbitrary(given)?, given.choose(&TEXTS)?, given.choose(&TEXTS)?),
    })
}

fn number(given: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    Ok(match given.int_in_range(0..=4)? {
        0 => json!(u8::arbitrary(given)?),
        1 => json!(u32::MAX),
        2 => json!(i64::arbitrary(given)?),
        3 => json!(u64::MAX),
        _ => Number::from_f64(*given.choose(&NUMBERS)?).map_or(Value::Null, Value::Number),
    })
}

/// Renders a report in every form, and looks at each.
fn check(text: &str, width: usize) {
    let Ok(report) = Report::read(text) else { return };
    let written = report.json().expect("JSON");
    Report::read(&written).expect("a report that can be read again");
    human::render(&report, width);
    report.scripts.iter().for_each(|entry| drop(human::line(entry)));
    hypertext::page(&html::render(&report).expect("a page"));
    hypertext::markdown(&markdown::render(&report));
    let commands = github::render(&report);
    for line in commands.split('\n').filter(|line| !line.is_empty()) {
        assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{line:?} is no annotation");
        assert!(!line.contains('\r'));
    }
    let quality: Value = serde_json::from_str(&gitlab::render(&report).expect("JSON")).expect("JSON");
    assert!(quality.is_array());
    let scanned: Value = serde_json::from_str(&sarif::render(&report).expect("JSON")).expect("JSON");
    assert_eq!(scanned["version"], "2.1.0");
    let xml = junit::render(&report).expect("XML");
    let mut reader = quick_xml::Reader::from_str(&xml);
    loop {
        match reader.read_event().expect("well-formed XML") {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                let known = ["testsuites", "testsuite", "testcase", "failure", "error", "system-out"];
                let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                assert!(known.contains(&name.as_str()), "an unknown element {name}");
                for attribute in tag.attributes() {
                    attribute
                        .expect("an attribute")
                        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                        .expect("a value");
                }
            }
            _ => {}
        }
    }
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r') || c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(xml.chars().all(allowed), "a character that XML does not have");
}
