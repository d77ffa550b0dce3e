//! Reads a regular expression (PostgreSQL manual, 9.7.3) as far as texts can be made of it.

use super::{Node, SOME, digits, letters, word};

/// How often something may be repeated: PostgreSQL's own limit (`DUPMAX`).
const REPEATED: u32 = 255;
/// How deep groups may be nested.
const DEPTH: u32 = 50;
/// Parts that a text may have: repetitions of repetitions soon have no end.
const PARTS: usize = 20_000;
/// Characters that a range stands for at most; nobody needs to see more of all there are.
const RANGE: usize = 256;

/// Reads one; none if it has what only a matcher can do, or what makes texts that are too long.
pub(super) fn read(text: &str) -> Option<Node> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, depth: DEPTH };
    let node = reader.either()?;
    (reader.at == chars.len() && parts(&node) <= PARTS).then_some(node)
}

/// How many parts a text of it may have.
fn parts(node: &Node) -> usize {
    match node {
        Node::Seq(all) => all.iter().map(parts).fold(1, usize::saturating_add),
        Node::Either(all) => all.iter().map(parts).max().unwrap_or_default(),
        Node::Repeat(one, _, to) => parts(one).saturating_mul(usize::try_from(*to).unwrap_or(usize::MAX)),
        Node::One(_) => 1,
    }
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    /// How deep it may still go.
    depth: u32,
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

    fn either(&mut self) -> Option<Node> {
        self.depth = self.depth.checked_sub(1)?;
        let mut parts = vec![self.seq()?];
        while self.eat('|') {
            parts.push(self.seq()?);
        }
        self.depth += 1;
        if parts.len() == 1 { parts.pop() } else { Some(Node::Either(parts)) }
    }

    fn seq(&mut self) -> Option<Node> {
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
                '[' => Node::One(self.set()?),
                '.' => Node::One(letters()),
                '\\' => Node::One(escape(self.next()?)?),
                c => Node::One(vec![c]),
            };
            parts.push(self.repeated(one)?);
        }
        Some(Node::Seq(parts))
    }

    fn repeated(&mut self, one: Node) -> Option<Node> {
        let (from, to) = match self.peek() {
            Some('*') => (0, SOME),
            Some('+') => (1, SOME),
            Some('?') => (0, 1),
            Some('{') => {
                let rest = self.chars.get(self.at + 1..)?;
                let length = rest.iter().position(|c| *c == '}')?;
                let inner: String = rest.get(..length)?.iter().collect();
                self.at += length + 1;
                let number = |text: &str| text.parse::<u32>().ok().filter(|times| *times <= REPEATED);
                match inner.split_once(',') {
                    None => {
                        let times = number(&inner)?;
                        (times, times)
                    }
                    Some((from, "")) => {
                        let from = number(from)?;
                        (from, from + SOME)
                    }
                    Some((from, to)) => {
                        let from = number(from)?;
                        (from, number(to)?.clamp(from, from + 16))
                    }
                }
            }
            _ => return Some(one),
        };
        self.at += 1;
        self.eat('?');
        Some(Node::Repeat(Box::new(one), from, to))
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
                let rest = self.chars.get(self.at..)?;
                let length = rest.windows(2).position(|two| two == [':', ']'])?;
                let class: String = rest.get(..length)?.iter().collect();
                self.at += length + 2;
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
                set.extend((c..=self.next()?).take(RANGE));
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
