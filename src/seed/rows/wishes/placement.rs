//! What the bounds of a partition demand.

use super::super::partitions::{Bound, Edge};
use super::super::scale;
use super::Gatherer;

impl Gatherer<'_> {
    /// Demands that the row goes to this partition.
    pub(in super::super) fn partition(&mut self, bound: &Bound) {
        match bound {
            Bound::List(at, values) => {
                let texts: Vec<String> = values.iter().flatten().cloned().collect();
                let Some(wish) = self.wishes.columns.get_mut(*at) else {
                    return;
                };
                if texts.is_empty() {
                    wish.null = Some(true);
                } else {
                    wish.null = Some(false);
                    wish.only(texts);
                }
            }
            Bound::NotList(at, values) => {
                if let Some(wish) = self.wishes.columns.get_mut(*at) {
                    wish.none_of.extend(values.iter().flatten().cloned());
                    if values.iter().any(Option::is_none) {
                        wish.null = Some(false);
                    }
                }
            }
            Bound::NotRange(at, ranges) => self.outside(*at, ranges),
            Bound::Range(keys, from, to) => {
                // Once a column lies strictly inside, those behind it are free.
                let (mut at_from, mut at_to) = (true, true);
                for (place, at) in keys.iter().enumerate() {
                    let (Some(column), Some(wish)) =
                        (self.columns.get(*at), self.wishes.columns.get_mut(*at))
                    else {
                        return;
                    };
                    wish.null = Some(false);
                    let kind = &column.kind.kind;
                    let edge = |edges: &[Edge]| match edges.get(place) {
                        Some(Edge::At(text)) => Some(text.clone()),
                        _ => None,
                    };
                    let (lo, hi) = (edge(from).filter(|_| at_from), edge(to).filter(|_| at_to));
                    if lo.is_some() && lo == hi {
                        wish.only(lo.into_iter().collect());
                        continue;
                    }
                    let last = place + 1 == keys.len();
                    let read = |text: &Option<String>| scale::read(kind, text.as_deref()?);
                    match (read(&lo), read(&hi)) {
                        (Some(a), Some(b)) if !last && b - a < 2 => {
                            wish.bound("=", a);
                            at_to = false;
                            continue;
                        }
                        (a, b) => {
                            if let Some(a) = a {
                                wish.bound(if last { ">=" } else { ">" }, a);
                            } else if scale::usual(kind).is_none() {
                                wish.prefix = lo;
                            }
                            if let Some(b) = b {
                                wish.bound("<", b);
                            }
                        }
                    }
                    (at_from, at_to) = (false, false);
                }
            }
        }
    }

    /// Demands a value above all ranges or, if one of them has no end, below all.
    fn outside(&mut self, at: usize, ranges: &[(Edge, Edge)]) {
        let (Some(column), Some(wish)) = (self.columns.get(at), self.wishes.columns.get_mut(at)) else {
            return;
        };
        wish.null = Some(false);
        let kind = &column.kind.kind;
        let texts = |edge: fn(&(Edge, Edge)) -> &Edge| -> Option<Vec<&String>> {
            ranges
                .iter()
                .map(|range| match edge(range) {
                    Edge::At(text) => Some(text),
                    Edge::Unbounded => None,
                })
                .collect()
        };
        if scale::usual(kind).is_none() {
            wish.prefix = texts(|range| &range.1).and_then(|texts| texts.into_iter().max().cloned());
            return;
        }
        let read =
            |texts: Vec<&String>| texts.into_iter().filter_map(|text| scale::read(kind, text)).collect();
        let ends: Option<Vec<i64>> = texts(|range| &range.1).map(read);
        let begins: Option<Vec<i64>> = texts(|range| &range.0).map(read);
        if let Some(end) = ends.and_then(|ends| ends.into_iter().max()) {
            wish.bound(">=", end);
        } else if let Some(begin) = begins.and_then(|begins| begins.into_iter().min()) {
            wish.bound("<", begin);
        }
    }
}
