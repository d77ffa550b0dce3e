//! Texts that match a regular expression or a LIKE pattern.

mod reader;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use regex_lite::Regex;

/// A pattern: texts can be held against it, and made of it.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// What it is written as.
    source: String,
    /// Whether a text matches; none where that cannot be told here.
    matcher: Option<Regex>,
    /// What matching texts are made of; none if it has what only a matcher can do, such as looking ahead.
    node: Option<Node>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Seq(Vec<Node>),
    Either(Vec<Node>),
    Repeat(Box<Node>, u32, u32),
    One(Vec<char>),
}

/// How often at most what may come again without end comes again.
const SOME: u32 = 6;

impl Pattern {
    /// The pattern on the right of an operator that matches; `!~` and its kin are told by the caller.
    pub(super) fn of(operator: &str, text: &str) -> Option<Self> {
        let fold = if operator.ends_with('*') { "(?i)" } else { "" };
        let (source, node) = match operator.trim_start_matches('!').trim_end_matches('*') {
            "~" => {
                let text = as_elsewhere(text);
                (format!("{fold}{text}"), reader::read(&text))
            }
            "~~" => (format!("(?s){fold}^(?:{})$", like_as_regex(text)), Some(like(text))),
            _ => return None,
        };
        Some(Self { matcher: Regex::new(&source).ok(), source, node })
    }

    /// Whether a text matches; none if that cannot be told.
    pub(super) fn matches(&self, text: &str) -> Option<bool> {
        self.matcher.as_ref().map(|matcher| matcher.is_match(text))
    }

    /// A text that matches; with a number, another one than those of other numbers, as far as there are others.
    pub(super) fn sample(&self, number: Option<u64>, rng: &mut ChaCha8Rng) -> Option<String> {
        let node = self.node.as_ref()?;
        let mut text = String::new();
        match number {
            // The number's digits, each to the base of as many ways as there are to go on.
            Some(mut n) => node.write(
                &mut |ways| {
                    let base = u64::try_from(ways).unwrap_or(1).max(1);
                    let digit = usize::try_from(n % base).unwrap_or_default();
                    n /= base;
                    digit
                },
                &mut text,
            ),
            None => node.write(&mut |ways| rng.random_range(0..ways.max(1)), &mut text),
        }
        Some(text)
    }
}

impl Node {
    fn write(&self, choose: &mut dyn FnMut(usize) -> usize, text: &mut String) {
        match self {
            Self::Seq(parts) => parts.iter().for_each(|part| part.write(choose, text)),
            Self::Either(parts) => {
                if let Some(part) = parts.get(choose(parts.len())) {
                    part.write(choose, text);
                }
            }
            Self::Repeat(part, from, to) => {
                let ways = usize::try_from(to - from).unwrap_or_default() + 1;
                let times = usize::try_from(*from).unwrap_or_default() + choose(ways);
                for _ in 0..times {
                    part.write(choose, text);
                }
            }
            Self::One(chars) => text.extend(chars.get(choose(chars.len()))),
        }
    }
}

/// PostgreSQL's own escapes (its manual, 9.7.3.3) as other engines write them.
fn as_elsewhere(text: &str) -> String {
    let mut other = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            other.push(c);
            continue;
        }
        match chars.next() {
            Some('A') => other.push('^'),
            Some('Z') => other.push('$'),
            Some('m' | 'M' | 'y') => other.push_str("\\b"),
            Some(next) => other.extend(['\\', next]),
            None => other.push('\\'),
        }
    }
    other
}

/// Reads a LIKE pattern.
fn like(text: &str) -> Node {
    let mut parts = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Node::Repeat(Box::new(Node::One(letters())), 1, SOME),
            '_' => Node::One(letters()),
            '\\' => Node::One(chars.next().into_iter().collect()),
            c => Node::One(vec![c]),
        });
    }
    Node::Seq(parts)
}

fn like_as_regex(text: &str) -> String {
    let mut regex = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => regex.extend(chars.next().map(|c| regex_lite::escape(&c.to_string()))),
            c => regex.push_str(&regex_lite::escape(&c.to_string())),
        }
    }
    regex
}

/// One of them.
pub(super) fn pick<'a, T>(of: &'a [T], rng: &mut ChaCha8Rng) -> Option<&'a T> {
    if of.is_empty() { None } else { of.get(rng.random_range(0..of.len())) }
}

fn letters() -> Vec<char> {
    ('a'..='z').collect()
}

fn digits() -> Vec<char> {
    ('0'..='9').collect()
}

fn word() -> Vec<char> {
    letters().into_iter().chain(digits()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    fn sample(pattern: &Pattern) -> String {
        pattern.sample(None, &mut ChaCha8Rng::seed_from_u64(7)).unwrap()
    }

    #[test]
    fn texts_match_their_pattern() {
        for text in ["^[A-Z]{3}-\\d{4}$", "^[^@\\s]+@[[:alnum:].-]+\\.(com|org)$", "[[:alnum:]_]"] {
            let pattern = Pattern::of("~", text).unwrap();
            let found = sample(&pattern);
            assert_eq!(pattern.matches(&found), Some(true), "{found}");
        }
        let pattern = Pattern::of("~~", "ab%z_").unwrap();
        assert!(sample(&pattern).starts_with("ab"));
        assert_eq!(pattern.matches("abz"), Some(false));
        assert_eq!(Pattern::of("~*", "^a$").unwrap().matches("A"), Some(true));
    }

    #[test]
    fn numbers_tell_texts_of_a_pattern_apart() {
        let pattern = Pattern::of("~", "^[A-Z]{2}\\d$").unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(7);
        let texts: HashSet<_> = (0..6760).map(|n| pattern.sample(Some(n), rng).unwrap()).collect();
        assert_eq!(texts.len(), 6760);
    }

    #[test]
    fn what_only_a_matcher_can_do_is_left_alone() {
        for text in ["^(?!x)y", "(a)\\1", "(a"] {
            assert_eq!(reader::read(text), None);
        }
    }

    #[test]
    fn what_makes_texts_without_end_is_left_alone() {
        let nested = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        let long =
            ["a{4294967295}", "a{4294967295,}", "a{4294967290,4294967295}", "((a{200}){200}){200}", "a{3"];
        for text in long.into_iter().chain([nested.as_str()]) {
            assert_eq!(reader::read(text), None);
        }
        let all = "[\u{1}-\u{10ffff}]".repeat(1000);
        let Some(Node::Seq(parts)) = reader::read(&all) else { panic!("no pattern") };
        assert!(parts.iter().all(|part| matches!(part, Node::One(chars) if chars.len() <= 256)));
    }
}
