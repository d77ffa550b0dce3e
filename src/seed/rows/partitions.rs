//! Where the rows of a partitioned table can go: its leaf partitions and what their bounds demand.

use std::collections::BTreeMap;

use super::catalog::PartitionEntry;

/// What one level of partitioning demands of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    /// The column has one of these values; none is NULL.
    List(usize, Vec<Option<String>>),
    /// The columns are at or above the first bound and below the second one.
    Range(Vec<usize>, Vec<Edge>, Vec<Edge>),
    /// The column has none of these values; none is NULL.
    NotList(usize, Vec<Option<String>>),
    /// The column is in none of these ranges.
    NotRange(usize, Vec<(Edge, Edge)>),
}

/// One value of a range's bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edge {
    Unbounded,
    At(String),
}

/// A leaf partition: what has to hold for a row to go there.
pub(super) type Leaf = Vec<Bound>;

/// The leaves of `root`.
pub(super) fn leaves(root: i64, entries: &[PartitionEntry], names: &BTreeMap<&str, usize>) -> Vec<Leaf> {
    let nodes: BTreeMap<i64, &PartitionEntry> =
        entries.iter().filter(|entry| entry.root == root).map(|entry| (entry.node, entry)).collect();
    let mut leaves = Vec::new();
    for leaf in entries
        .iter()
        .filter(|entry| entry.root == root && entry.leaf && !entry.elsewhere && entry.node != root)
    {
        let mut path = Vec::new();
        let mut node = leaf;
        while let Some(parent) = node.parent.and_then(|oid| nodes.get(&oid)) {
            let keys: Vec<Option<usize>> =
                parent.keys.iter().map(|key| names.get(key.as_deref()?).copied()).collect();
            let strategy = parent.strategy.as_deref();
            match node.bound.as_deref() {
                Some("DEFAULT") | None => {
                    let siblings = nodes.values().filter(|other| other.parent == Some(parent.node));
                    let bounds: Vec<Bound> = siblings
                        .filter_map(|other| bound(other.bound.as_deref()?, strategy, &keys))
                        .collect();
                    path.extend(beyond(&bounds));
                }
                Some(text) => path.extend(bound(text, strategy, &keys)),
            }
            node = parent;
        }
        leaves.push(path);
    }
    leaves
}

/// What is left for the default partition beside these.
fn beyond(bounds: &[Bound]) -> Option<Bound> {
    match bounds.first()? {
        Bound::List(at, _) => {
            let values = bounds.iter().filter_map(|bound| match bound {
                Bound::List(_, values) => Some(values.iter().cloned()),
                _ => None,
            });
            Some(Bound::NotList(*at, values.flatten().collect()))
        }
        Bound::Range(keys, ..) => {
            let edges = bounds.iter().filter_map(|bound| match bound {
                Bound::Range(_, from, to) => Some((from.first()?.clone(), to.first()?.clone())),
                _ => None,
            });
            Some(Bound::NotRange(*keys.first()?, edges.collect()))
        }
        _ => None,
    }
}

fn bound(text: &str, strategy: Option<&str>, keys: &[Option<usize>]) -> Option<Bound> {
    match strategy? {
        "l" => {
            let values = values(text.strip_prefix("FOR VALUES IN ")?)?.0;
            let values = values.into_iter().map(|value| match value {
                Word::Text(text) => Some(text),
                Word::Bare(word) if word == "NULL" => None,
                Word::Bare(word) => Some(word),
            });
            Some(Bound::List((*keys.first()?)?, values.collect()))
        }
        "r" => {
            let (from, rest) = values(text.strip_prefix("FOR VALUES FROM ")?)?;
            let (to, _) = values(rest.trim_start().strip_prefix("TO ")?)?;
            let edges = |words: Vec<Word>| {
                let edge = |word| match word {
                    Word::Bare(word) if word == "MINVALUE" || word == "MAXVALUE" => Edge::Unbounded,
                    Word::Bare(text) | Word::Text(text) => Edge::At(text),
                };
                words.into_iter().map(edge).collect()
            };
            let keys = keys.iter().map_while(|key| *key).collect();
            Some(Bound::Range(keys, edges(from), edges(to)))
        }
        _ => None,
    }
}

enum Word {
    Text(String),
    Bare(String),
}

/// The values in parentheses, and what follows these.
fn values(text: &str) -> Option<(Vec<Word>, &str)> {
    let mut rest = text.trim_start().strip_prefix('(')?;
    let mut values = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix(')') {
            return Some((values, after));
        }
        if let Some(quoted) = rest.strip_prefix('\'') {
            let mut content = String::new();
            let mut chars = quoted.char_indices().peekable();
            loop {
                let (at, c) = chars.next()?;
                if c != '\'' {
                    content.push(c);
                } else if chars.peek().is_some_and(|(_, next)| *next == '\'') {
                    content.push(c);
                    chars.next();
                } else {
                    rest = quoted.get(at + 1..)?;
                    break;
                }
            }
            values.push(Word::Text(content));
        } else {
            let end = rest.find([',', ')'])?;
            let (word, after) = rest.split_at_checked(end)?;
            values.push(Word::Bare(word.trim().to_owned()));
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(node: i64, parent: Option<i64>, bound: Option<&str>, keys: &[&str]) -> PartitionEntry {
        PartitionEntry {
            root: 1,
            node,
            parent,
            leaf: keys.is_empty(),
            elsewhere: false,
            bound: bound.map(str::to_owned),
            strategy: (!keys.is_empty()).then(|| if keys == ["region"] { "l" } else { "r" }.to_owned()),
            keys: keys.iter().map(|key| Some((*key).to_owned())).collect(),
        }
    }

    #[test]
    fn bounds_of_all_levels_hold_for_a_leaf() {
        let names = BTreeMap::from([("region", 0), ("day", 1)]);
        let entries = [
            entry(1, None, None, &["region"]),
            entry(2, Some(1), Some("FOR VALUES IN ('it''s', NULL)"), &["day"]),
            entry(3, Some(2), Some("FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)"), &[]),
            entry(4, Some(1), Some("DEFAULT"), &[]),
        ];
        assert_eq!(
            leaves(1, &entries, &names),
            [
                vec![
                    Bound::Range(vec![1], vec![Edge::At("2024-01-01".into())], vec![Edge::Unbounded]),
                    Bound::List(0, vec![Some("it's".into()), None]),
                ],
                vec![Bound::NotList(0, vec![Some("it's".into()), None])],
            ]
        );
    }

    #[test]
    fn a_default_partition_serves_where_there_is_no_other() {
        let names = BTreeMap::from([("region", 0)]);
        let entries = [entry(1, None, None, &["region"]), entry(4, Some(1), Some("DEFAULT"), &[])];
        assert_eq!(leaves(1, &entries, &names), [Vec::new()]);
    }
}
