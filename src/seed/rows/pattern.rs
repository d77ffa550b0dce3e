//! Texts that match a regular expression or a LIKE pattern.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// A pattern that texts can be made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    Seq(Vec<Pattern>),
    Either(Vec<Pattern>),
    Repeat(Box<Pattern>, u32, u32),
    One(Vec<char>),
}

/// How often at most what may come again without end comes again.
const SOME: u32 = 6;

impl Pattern {
    /// Reads a regular expression; none if it has what only a matcher can do, such as looking ahead.
    pub(super) fn regex(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0 };
        let pattern = reader.either()?;
        (reader.at == chars.len()).then_some(pattern)
    }

    /// Reads a LIKE pattern.
    pub(super) fn like(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '%' => Self::Repeat(Box::new(Self::One(letters())), 1, SOME),
                '_' => Self::One(letters()),
                '\\' => Self::One(chars.next().into_iter().collect()),
                c => Self::One(vec![c]),
            });
        }
        Self::Seq(parts)
    }

    /// A text that matches.
    pub(super) fn sample(&self, rng: &mut ChaCha8Rng) -> String {
        let mut text = String::new();
        self.write(rng, &mut text);
        text
    }

    fn write(&self, rng: &mut ChaCha8Rng, text: &mut String) {
        match self {
            Self::Seq(parts) => parts.iter().for_each(|part| part.write(rng, text)),
            Self::Either(parts) => {
                if let Some(part) = pick(parts, rng) {
                    part.write(rng, text);
                }
            }
            Self::Repeat(part, from, to) => {
                for _ in 0..rng.random_range(*from..=*to) {
                    part.write(rng, text);
                }
            }
            Self::One(chars) => text.extend(pick(chars, rng)),
        }
    }
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

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Option<Pattern> {
        let mut parts = vec![self.seq()?];
        while self.eat('|') {
            parts.push(self.seq()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Pattern::Either(parts)) }
    }

    fn seq(&mut self) -> Option<Pattern> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            self.at += 1;
            let one = match c {
                '^' | '$' => continue,
                '(' => {
                    if self.eat('?') && !self.eat(':') {
                        return None;
                    }
                    let inner = self.either()?;
                    self.eat(')').then_some(inner)?
                }
                '[' => Pattern::One(self.set()?),
                '.' => Pattern::One(letters()),
                '\\' => Pattern::One(escape(self.next()?)?),
                c => Pattern::One(vec![c]),
            };
            parts.push(self.repeated(one)?);
        }
        Some(Pattern::Seq(parts))
    }

    fn repeated(&mut self, one: Pattern) -> Option<Pattern> {
        let (from, to) = match self.peek() {
            Some('*') => (0, SOME),
            Some('+') => (1, SOME),
            Some('?') => (0, 1),
            Some('{') => {
                let rest: String = self.chars.get(self.at + 1..)?.iter().collect();
                let inner = rest.split('}').next()?;
                self.at += inner.chars().count() + 1;
                match inner.split_once(',') {
                    None => {
                        let times = inner.parse().ok()?;
                        (times, times)
                    }
                    Some((from, "")) => {
                        let from = from.parse().ok()?;
                        (from, from + SOME)
                    }
                    Some((from, to)) => {
                        let from: u32 = from.parse().ok()?;
                        (from, to.parse::<u32>().ok()?.clamp(from, from + 16))
                    }
                }
            }
            _ => return Some(one),
        };
        self.at += 1;
        self.eat('?');
        Some(Pattern::Repeat(Box::new(one), from, to))
    }

    fn set(&mut self) -> Option<Vec<char>> {
        let negated = self.eat('^');
        let mut set: Vec<char> = Vec::new();
        let mut first = true;
        loop {
            let c = self.next()?;
            if c == ']' && !first {
                break;
            }
            first = false;
            if c == '[' && self.eat(':') {
                let rest: String = self.chars.get(self.at..)?.iter().collect();
                let class = rest.split(":]").next()?.to_owned();
                self.at += class.len() + 2;
                set.extend(match class.as_str() {
                    "alpha" | "lower" => letters(),
                    "upper" => ('A'..='Z').collect(),
                    "digit" => digits(),
                    "alnum" => word(),
                    "xdigit" => "0123456789abcdef".chars().collect(),
                    "space" | "blank" => vec![' '],
                    "punct" => vec!['-', '.'],
                    _ => return None,
                });
            } else if c == '\\' {
                set.extend(escape(self.next()?)?);
            } else if self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']') {
                self.at += 1;
                set.extend(c..=self.next()?);
            } else {
                set.push(c);
            }
        }
        if negated {
            set = word().into_iter().filter(|c| !set.contains(c)).collect();
        }
        (!set.is_empty()).then_some(set)
    }
}

fn escape(c: char) -> Option<Vec<char>> {
    Some(match c {
        'd' => digits(),
        'w' => word(),
        's' => vec![' '],
        'S' => letters(),
        'D' => letters(),
        'A' | 'Z' | 'b' | 'B' | 'm' | 'M' | 'y' | 'Y' | 'W' => return None,
        c if c.is_ascii_digit() => return None,
        c => vec![c],
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn sample(pattern: &Pattern) -> String {
        pattern.sample(&mut ChaCha8Rng::seed_from_u64(7))
    }

    #[test]
    fn texts_match_their_pattern() {
        let code = sample(&Pattern::regex("^[A-Z]{3}-\\d{4}$").unwrap());
        let (left, right) = code.split_once('-').unwrap();
        assert!(left.len() == 3 && left.chars().all(|c| c.is_ascii_uppercase()));
        assert!(right.len() == 4 && right.chars().all(|c| c.is_ascii_digit()));
        let mail = sample(&Pattern::regex("^[^@\\s]+@[[:alnum:].-]+\\.(com|org)$").unwrap());
        assert!(mail.contains('@') && (mail.ends_with(".com") || mail.ends_with(".org")));
        assert!(sample(&Pattern::like("ab%z_")).starts_with("ab"));
    }

    #[test]
    fn what_only_a_matcher_can_do_is_left_alone() {
        assert_eq!(Pattern::regex("^(?!x)y"), None);
        assert_eq!(Pattern::regex("(a)\\1"), None);
        assert_eq!(Pattern::regex("(a"), None);
    }
}
