//! What one row's checks and partition demand of each of its columns.

mod placement;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::constants::number;
use super::expr::Expr;
use super::kinds::Type;
use super::model::Column;
use super::pattern::pick;
use super::wish::Wish;

/// What is demanded of a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) columns: Vec<Wish>,
    /// Whether something was chosen by lot, so that another row may demand something else.
    pub(super) drawn: bool,
    /// Comparisons between two columns.
    pub(super) relations: Vec<(usize, String, usize)>,
}

/// What a comparison is about.
enum Subject {
    Value(usize),
    Length(usize),
    Upper(usize),
    Holds(String, usize),
    JsonType(usize),
}

/// Gathers wishes for one row, choosing at random where there is a choice.
pub(super) struct Gatherer<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rng: &'a mut ChaCha8Rng,
    pub(super) wishes: Wishes,
}

impl<'a> Gatherer<'a> {
    /// Begins with nothing demanded.
    pub(super) fn new(columns: &'a [Column], rng: &'a mut ChaCha8Rng) -> Self {
        let wishes = Wishes { columns: vec![Wish::default(); columns.len()], ..Wishes::default() };
        Self { columns, rng, wishes }
    }

    /// Demands that the checks of a domain hold for the column.
    pub(super) fn domain(&mut self, at: usize, domain: &Type) {
        for check in &domain.checks {
            let check = rename(check, self.columns.get(at).map_or("", |c| c.name.as_str()));
            self.demand(&check, true);
        }
    }

    /// Demands that an expression is true, or that it is not.
    pub(super) fn demand(&mut self, expr: &Expr, holds: bool) {
        match (expr, holds) {
            (Expr::And(parts), true) | (Expr::Or(parts), false) => {
                for part in parts {
                    self.demand(part, holds);
                }
            }
            (Expr::Or(parts), true) | (Expr::And(parts), false) => {
                // A value is more worth having than the permission to have none.
                let worthy: Vec<&Expr> =
                    parts.iter().filter(|part| !matches!(part, Expr::IsNull(_, false))).collect();
                let all: Vec<&Expr> = parts.iter().collect();
                self.wishes.drawn = true;
                let of = if worthy.len() == 1 && self.rng.random_range(0..8) > 0 { &worthy } else { &all };
                if let Some(part) = pick(of, self.rng).copied() {
                    self.demand(part, holds);
                }
            }
            (Expr::Not(inner), holds) => self.demand(inner, !holds),
            (Expr::IsNull(inner, not), holds) => {
                if let Some(wish) = self.value(inner) {
                    wish.null = Some(*not != holds);
                }
            }
            (Expr::Column(_), holds) => {
                if let Some(wish) = self.value(expr) {
                    wish.only(vec![if holds { "t" } else { "f" }.to_owned()]);
                }
            }
            (Expr::Match(text, pattern, like), holds) => {
                if let Some(wish) = self.value(text) {
                    if *like == holds { &mut wish.like } else { &mut wish.unlike }.push(pattern.clone());
                }
            }
            (Expr::Any(op, left, items, all), holds) => self.any(op, left, items, *all != holds),
            (Expr::Binary(op, left, right), holds) => self.binary(op, left, right, holds),
            _ => {}
        }
    }

    fn any(&mut self, op: &str, left: &Expr, items: &[Expr], some: bool) {
        let texts: Vec<String> = items.iter().filter_map(text).collect();
        match (op, some) {
            ("=", true) => {
                if let Some(wish) = self.value(left) {
                    wish.only(texts);
                }
            }
            // "= ANY" that shall not hold, and "<> ALL" that shall.
            ("=" | "<>", false) => {
                if let Some(wish) = self.value(left) {
                    wish.none_of.extend(texts);
                }
            }
            (op, true) => {
                self.wishes.drawn = true;
                if let Some(item) = pick(items, self.rng) {
                    self.binary(op, left, item, true);
                }
            }
            _ => {}
        }
    }

    fn value(&mut self, expr: &Expr) -> Option<&mut Wish> {
        match self.subject(expr)? {
            Subject::Value(at) => self.wishes.columns.get_mut(at),
            _ => None,
        }
    }

    fn subject(&self, expr: &Expr) -> Option<Subject> {
        match expr {
            Expr::Column(name) => {
                let at = self.columns.iter().position(|column| column.name == *name)?;
                Some(Subject::Value(at))
            }
            Expr::Call(name, args) => {
                let first = args.first()?;
                let Subject::Value(at) = self.subject(first).or_else(|| {
                    // position('x' in column): the text comes first there.
                    (name == "position").then(|| self.subject(args.get(1)?))?
                })?
                else {
                    return self.subject(first).filter(|_| args.len() == 1);
                };
                match name.as_str() {
                    "length" | "char_length" | "character_length" | "octet_length" | "cardinality"
                    | "array_length" | "jsonb_array_length" | "json_array_length" | "bit_length" => {
                        Some(Subject::Length(at))
                    }
                    "upper" => Some(Subject::Upper(at)),
                    "lower" | "btrim" | "ltrim" | "rtrim" | "coalesce" | "abs" | "round" | "date"
                    | "date_trunc" => Some(Subject::Value(at)),
                    "position" => Some(Subject::Holds(text(first)?, at)),
                    "strpos" => Some(Subject::Holds(text(args.get(1)?)?, at)),
                    "jsonb_typeof" | "json_typeof" => Some(Subject::JsonType(at)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn binary(&mut self, op: &str, left: &Expr, right: &Expr, holds: bool) {
        let Some(op) = (if holds { Some(op) } else { negated(op) }) else {
            return;
        };
        if boolean(left) && boolean(right) && (op == "=" || op == "<>") {
            self.wishes.drawn = true;
            let side = self.rng.random_range(0..2) == 1;
            self.demand(left, side);
            self.demand(right, side == (op == "="));
            return;
        }
        if let Expr::Call(name, args) = left
            && (name == "num_nonnulls" || name == "num_nulls")
        {
            self.count_nulls(args, op, right, name == "num_nulls");
            return;
        }
        if let (Expr::Binary(sign, dividend, divisor), "=") = (left, op)
            && sign == "%"
            && let (Some(divisor), Some(rest)) = (whole(divisor), whole(right))
            && divisor > 0
        {
            if let Some(wish) = self.value(dividend) {
                wish.step = Some((divisor, rest));
            }
            return;
        }
        let (op, subject, other) = match (self.subject(left), self.subject(right)) {
            (Some(Subject::Value(a)), Some(Subject::Value(b))) if a == b => {
                let lower = |expr: &Expr| matches!(expr, Expr::Call(name, _) if name == "lower");
                if let Some(wish) = self.wishes.columns.get_mut(a)
                    && op == "="
                    && lower(left) != lower(right)
                {
                    wish.lower = true;
                }
                return;
            }
            (Some(Subject::Value(a)), Some(Subject::Value(b))) => {
                self.wishes.relations.push((a, op.to_owned(), b));
                return;
            }
            (Some(Subject::Value(b)), Some(Subject::Upper(a)))
            | (Some(Subject::Upper(a)), Some(Subject::Value(b)))
                if a == b && op == "=" =>
            {
                if let Some(wish) = self.wishes.columns.get_mut(a) {
                    wish.upper = true;
                }
                return;
            }
            (Some(subject), None) => (op, subject, right),
            (None, Some(subject)) => (mirrored(op), subject, left),
            _ => return,
        };
        self.compare(op, subject, other);
    }

    fn compare(&mut self, op: &str, subject: Subject, other: &Expr) {
        match subject {
            Subject::Value(at) => {
                let (Some(column), Some(wish)) = (self.columns.get(at), self.wishes.columns.get_mut(at))
                else {
                    return;
                };
                match (op, text(other)) {
                    ("?", Some(key)) => wish.contains.push(key),
                    ("<>", Some(text)) if text.is_empty() => wish.min_length = wish.min_length.max(1),
                    ("<>", Some(text)) => wish.none_of.push(text),
                    ("=", Some(text)) => wish.only(vec![text]),
                    (op, _) => {
                        if let Some(value) = number(&column.kind.kind, other, op) {
                            wish.bound(op, value);
                        }
                    }
                }
            }
            Subject::Length(at) | Subject::Upper(at) => {
                if let Some(wish) = self.wishes.columns.get_mut(at)
                    && let Some(value) = text(other).and_then(|text| text.parse().ok())
                {
                    wish.length(op, value);
                }
            }
            Subject::Holds(part, at) => {
                if let Some(wish) = self.wishes.columns.get_mut(at)
                    && matches!(op, ">" | ">=" | "<>")
                {
                    wish.contains.push(part);
                }
            }
            Subject::JsonType(at) => {
                // What is made when nothing is asked for is an object.
                let example = match text(other).as_deref() {
                    Some("array") => "[\"a\", \"b\"]",
                    Some("string") => "\"word\"",
                    Some("number") => "42",
                    Some("boolean") => "true",
                    _ => return,
                };
                if let Some(wish) = self.wishes.columns.get_mut(at)
                    && op == "="
                {
                    wish.only(vec![example.to_owned()]);
                }
            }
        }
    }

    /// `num_nonnulls(a, b) = 1` and its kin: which columns have values is drawn by lot.
    fn count_nulls(&mut self, args: &[Expr], op: &str, right: &Expr, nulls: bool) {
        let Some(wanted) = text(right).and_then(|text| text.parse::<usize>().ok()) else {
            return;
        };
        let count = match op {
            "=" | "<=" | ">=" => wanted,
            "<" => wanted.saturating_sub(1),
            ">" => wanted.saturating_add(1),
            _ => return,
        };
        self.wishes.drawn = true;
        let mut left: Vec<&Expr> = args.iter().collect();
        for place in 0..args.len() {
            let drawn = left.swap_remove(self.rng.random_range(0..left.len()));
            let chosen = place < count;
            if let Some(wish) = self.value(drawn) {
                wish.null = Some(chosen == nulls);
            }
        }
    }
}

fn rename(expr: &Expr, name: &str) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| rename(part, name)).collect();
    let one = |part: &Expr| Box::new(rename(part, name));
    match expr {
        Expr::Column(column) if column == "VALUE" => Expr::Column(name.to_owned()),
        Expr::And(parts) => Expr::And(all(parts)),
        Expr::Or(parts) => Expr::Or(all(parts)),
        Expr::Not(part) => Expr::Not(one(part)),
        Expr::Binary(op, a, b) => Expr::Binary(op.clone(), one(a), one(b)),
        Expr::Match(a, pattern, like) => Expr::Match(one(a), pattern.clone(), *like),
        Expr::Any(op, a, items, every) => Expr::Any(op.clone(), one(a), all(items), *every),
        Expr::IsNull(part, not) => Expr::IsNull(one(part), *not),
        Expr::Call(function, args) => Expr::Call(function.clone(), all(args)),
        other => other.clone(),
    }
}

fn boolean(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(..)
            | Expr::Match(..)
            | Expr::Any(..)
            | Expr::Binary(..)
    )
}

fn negated(op: &str) -> Option<&str> {
    Some(match op {
        "=" => "<>",
        "<>" => "=",
        "<" => ">=",
        "<=" => ">",
        ">" => "<=",
        ">=" => "<",
        _ => return None,
    })
}

/// The operator with its sides exchanged.
pub(super) fn mirrored(op: &str) -> &str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

fn whole(expr: &Expr) -> Option<i64> {
    text(expr)?.parse().ok()
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Constant(text) => Some(text.clone()),
        Expr::Bool(value) => Some(if *value { "t" } else { "f" }.to_owned()),
        _ => None,
    }
}
