//! Where the parameters of a statement stand: which column each is compared with, or goes into. It is a guess from the
//! words alone, and a wrong one costs no more than a step that finds no row.

use std::cmp::Ordering;
use std::ops::Range;

use crate::dump::{Word, words_at};
use crate::identifiers::written_identifier;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// From 1.
    pub(super) number: usize,
    /// The bytes that it takes.
    pub(super) range: Range<usize>,
    pub(super) place: Place,
}

/// What a parameter is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It is compared with a column, or takes its place in an UPDATE.
    Compared {
        /// The table, as the statement names it; none: one of them.
        table: Option<String>,
        column: String,
        /// Whether it is to be more, or less, than what is there.
        order: Option<Ordering>,
    },
    /// It goes into a column of a new row.
    Inserted { table: String, column: String },
    /// It says how many rows.
    Count,
    /// Not known.
    Unknown,
}

/// The parameters of a statement, and its tables as it names them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) parameters: Vec<Parameter>,
    pub(super) tables: Vec<String>,
}

/// Reads a statement.
pub(super) fn read(text: &str) -> Read {
    let words: Vec<(Range<usize>, Word)> = words_at(text);
    let statement = Statement { words: &words };
    let named = statement.tables();
    let inserted = statement.inserted();
    let parameters = words.iter().enumerate().filter_map(|(at, (range, word))| {
        let Word::Number(number) = word else { return None };
        let number = number.strip_prefix('$')?.parse().ok()?;
        let place = inserted.iter().find(|(place, _)| *place == at).map(|(_, place)| place.clone());
        let place = place.unwrap_or_else(|| statement.place(at, &named));
        Some(Parameter { number, range: range.clone(), place })
    });
    let parameters = parameters.collect();
    let mut tables: Vec<String> = named.into_iter().map(|(_, table)| table).collect();
    tables.sort();
    tables.dedup();
    Read { parameters, tables }
}

/// Words that no table is called without quotes, as far as they follow one.
const NO_ALIAS: [&str; 29] = [
    "where",
    "set",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "on",
    "using",
    "group",
    "order",
    "limit",
    "values",
    "select",
    "returning",
    "union",
    "for",
    "default",
    "tablesample",
    "window",
    "having",
    "fetch",
    "offset",
    "intersect",
    "except",
    "when",
    "with",
];

struct Statement<'a> {
    words: &'a [(Range<usize>, Word)],
}

impl Statement<'_> {
    fn word(&self, at: usize) -> Option<&Word> {
        self.words.get(at).map(|(_, word)| word)
    }

    fn is(&self, at: usize, keyword: &str) -> bool {
        self.word(at).is_some_and(|word| word.is(keyword))
    }

    fn is_sign(&self, at: usize, signs: &str) -> bool {
        matches!(self.word(at), Some(Word::Sign(sign)) if signs.contains(*sign))
    }

    fn identifier(&self, at: usize) -> Option<&str> {
        self.word(at)?.identifier()
    }

    /// A name with its schema, and the word behind it.
    fn name(&self, at: usize) -> Option<(String, usize)> {
        let first = self.identifier(at)?;
        if self.is_sign(at + 1, ".")
            && let Some(second) = self.identifier(at + 2)
        {
            return Some((format!("{}.{}", written_identifier(first), written_identifier(second)), at + 3));
        }
        Some((written_identifier(first), at + 1))
    }

    /// Tables by the names that columns are qualified with.
    fn tables(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for at in 0..self.words.len() {
            let opens = ["from", "join", "update", "into", "using"].iter().any(|word| self.is(at, word));
            if !opens {
                continue;
            }
            let mut next = at + 1;
            loop {
                if self.is(next, "only") || self.is(next, "lateral") {
                    next += 1;
                }
                let Some((table, after)) = self.name(next) else { break };
                next = after;
                if self.is(next, "as") {
                    next += 1;
                }
                let alias = self.identifier(next).filter(|word| !NO_ALIAS.contains(word)).map(str::to_owned);
                if alias.is_some() {
                    next += 1;
                }
                let bare = table.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
                found.push((alias.unwrap_or(bare), table));
                if !self.is_sign(next, ",") {
                    break;
                }
                next += 1;
            }
        }
        found
    }

    /// The parameters that are values of `INSERT INTO t (a, b) VALUES ($1, $2)`, by their places among the words.
    fn inserted(&self) -> Vec<(usize, Place)> {
        let mut found = Vec::new();
        let Some(into) = (0..self.words.len()).find(|at| self.is(*at, "insert") && self.is(at + 1, "into"))
        else {
            return found;
        };
        let Some((table, mut at)) = self.name(into + 2) else { return found };
        if self.is(at, "as") {
            at += 2;
        }
        let mut columns = Vec::new();
        if !self.is_sign(at, "(") {
            return found;
        }
        at += 1;
        while let Some(column) = self.identifier(at) {
            columns.push(column.to_owned());
            at += 1;
            if !self.is_sign(at, ",") {
                break;
            }
            at += 1;
        }
        let Some(values) = (at..self.words.len()).find(|at| self.is(*at, "values")) else { return found };
        let (mut depth, mut column) = (0_usize, 0);
        for at in values + 1..self.words.len() {
            match self.word(at) {
                Some(Word::Sign('(')) => {
                    depth += 1;
                    if depth == 1 {
                        column = 0;
                    }
                }
                Some(Word::Sign(')')) => depth = depth.saturating_sub(1),
                Some(Word::Sign(',')) if depth == 1 => column += 1,
                Some(Word::Sign(',')) => {}
                Some(Word::Number(_)) if depth > 0 => {
                    if let Some(name) = columns.get(column) {
                        let place = Place::Inserted { table: table.clone(), column: name.clone() };
                        found.push((at, place));
                    }
                }
                // ON CONFLICT, RETURNING.
                Some(Word::Bare(_)) if depth == 0 => break,
                _ => {}
            }
        }
        found
    }

    /// What a parameter is compared with: what stands before it, or behind it.
    fn place(&self, at: usize, named: &[(String, String)]) -> Place {
        let Some(before) = at.checked_sub(1) else { return Place::Unknown };
        if ["limit", "offset", "first", "next"].iter().any(|word| self.is(before, word)) {
            return Place::Count;
        }
        let column = self.left_of(before).or_else(|| self.right_of(at + 1));
        let Some((qualifier, column)) = column else { return Place::Unknown };
        let table = qualifier.and_then(|alias| {
            let found = named.iter().find(|(name, _)| *name == alias);
            found.map(|(_, table)| table.clone())
        });
        Place::Compared { table, column, order: self.order(at) }
    }

    /// What a parameter must be to find a row, where it is compared by `<` or `>`.
    fn order(&self, at: usize) -> Option<Ordering> {
        let less = |at: usize| self.is_sign(at, "<") && !self.is_sign(at + 1, ">");
        let more =
            |at: usize| self.is_sign(at, ">") && !at.checked_sub(1).is_some_and(|at| self.is_sign(at, "<"));
        let before = [at.checked_sub(1), at.checked_sub(2)];
        let before = |is: &dyn Fn(usize) -> bool| before.iter().flatten().any(|at| is(*at));
        if before(&less) || more(at + 1) {
            Some(Ordering::Greater)
        } else if before(&more) || less(at + 1) {
            Some(Ordering::Less)
        } else {
            None
        }
    }

    /// The column whose comparison ends at a word: `a =`, `a IN (`, `a = ANY (`, `a BETWEEN $1 AND`.
    fn left_of(&self, mut at: usize) -> Option<(Option<String>, String)> {
        // The first of a list.
        while self.is_sign(at, ",")
            && matches!(self.word(at.checked_sub(1)?), Some(Word::Number(_) | Word::Text(_)))
        {
            at = at.checked_sub(2)?;
        }
        if self.is(at, "and") && self.is(at.checked_sub(2)?, "between") {
            at = at.checked_sub(2)?;
        }
        let mut compared = false;
        loop {
            let keyword =
                ["in", "any", "all", "some", "like", "ilike", "between", "not", "symmetric", "array"];
            if self.is_sign(at, "=<>!~*|&@#%^?") || keyword.iter().any(|word| self.is(at, word)) {
                compared = true;
            } else if !self.is_sign(at, "([") {
                break;
            }
            at = at.checked_sub(1)?;
        }
        if compared { self.column_ending(at) } else { None }
    }

    fn column_ending(&self, at: usize) -> Option<(Option<String>, String)> {
        let column = self.identifier(at)?.to_owned();
        let qualifier = match at.checked_sub(2) {
            Some(before) if self.is_sign(at - 1, ".") => self.identifier(before).map(str::to_owned),
            _ => None,
        };
        Some((qualifier, column))
    }

    /// The column that a comparison goes on with: `= a`.
    fn right_of(&self, mut at: usize) -> Option<(Option<String>, String)> {
        // A cast.
        if self.is_sign(at, ":") && self.is_sign(at + 1, ":") {
            at += 3;
        }
        let begun = at;
        while self.is_sign(at, "=<>!~*") {
            at += 1;
        }
        if at == begun {
            return None;
        }
        let first = self.identifier(at)?.to_owned();
        if self.is_sign(at + 1, ".") {
            return Some((Some(first), self.identifier(at + 2)?.to_owned()));
        }
        Some((None, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        let told = |place: &Place| match place {
            Place::Compared { table, column, .. } => match table {
                Some(table) => format!("{table}.{column}"),
                None => column.clone(),
            },
            Place::Inserted { table, column } => format!("new {table}.{column}"),
            Place::Count => "count".to_owned(),
            Place::Unknown => "?".to_owned(),
        };
        read(text).parameters.iter().map(|parameter| told(&parameter.place)).collect()
    }

    #[test]
    fn parameters_find_their_columns() {
        for (text, expected) in [
            ("SELECT * FROM sales.orders AS o WHERE o.id = $1 LIMIT $2", vec!["sales.orders.id", "count"]),
            ("SELECT a FROM t WHERE b IN ($1, $2) AND c BETWEEN $3 AND $4", vec!["b", "b", "c", "c"]),
            ("SELECT a FROM t, u x WHERE $1::int4 < x.b AND t.a = ANY ($2)", vec!["u.b", "t.a"]),
            ("UPDATE t SET a = $1, b = b + $2 WHERE id = $3", vec!["a", "?", "id"]),
            (
                "INSERT INTO t (a, b) VALUES ($1, lower($2)), ($3, $4) ON CONFLICT (a) DO UPDATE SET b = $5",
                vec!["new t.a", "new t.b", "new t.a", "new t.b", "b"],
            ),
            ("SELECT f($1), count(*) FROM t WHERE name NOT ILIKE $2", vec!["?", "name"]),
            ("DELETE FROM \"T\" USING u WHERE \"T\".\"A\" = $1", vec!["\"T\".A"]),
        ] {
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn comparisons_tell_which_side_finds_rows() {
        let orders = |text: &str| -> Vec<Option<Ordering>> {
            let order = |place: &Place| match place {
                Place::Compared { order, .. } => *order,
                _ => None,
            };
            read(text).parameters.iter().map(|parameter| order(&parameter.place)).collect()
        };
        let (more, less) = (Some(Ordering::Greater), Some(Ordering::Less));
        assert_eq!(orders("SELECT 1 FROM t WHERE a < $1 AND b >= $2 AND c = $3"), [more, less, None]);
        assert_eq!(orders("SELECT 1 FROM t WHERE $1 < a AND $2 > b AND c <> $3"), [less, more, None]);
    }

    #[test]
    fn tables_are_named_as_they_stand() {
        let text = "SELECT * FROM only a.b JOIN c AS d USING (x) WHERE extract(day FROM f) > 1";
        assert_eq!(read(text).tables, ["a.b", "c", "f"]);
    }
}
