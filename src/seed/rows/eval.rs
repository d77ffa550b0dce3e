//! Whether an expression holds for a row, as far as that can be told without the server.

use std::borrow::Cow;

use super::expr::Expr;
use super::generate::Row;
use super::kinds::Kind;
use super::model::Column;
use super::scale;

/// What is known of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Truth {
    True,
    False,
    Null,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Whether a predicate holds; none if that cannot be told. NULL does not hold.
pub(super) fn truth(expr: &Expr, columns: &[Column], row: &Row) -> Option<bool> {
    match eval(expr, columns, row) {
        Truth::True => Some(true),
        Truth::False | Truth::Null => Some(false),
        Truth::Unknown => None,
    }
}

/// Whether a check is violated for certain. NULL does not violate it.
pub(super) fn violated(expr: &Expr, columns: &[Column], row: &Row) -> bool {
    eval(expr, columns, row) == Truth::False
}

fn eval(expr: &Expr, columns: &[Column], row: &Row) -> Truth {
    let fold = |parts: &[Expr], strong: Truth, weak: Truth| {
        let mut result = weak;
        for part in parts {
            let value = eval(part, columns, row);
            if value == strong {
                return strong;
            }
            result = match (result, value) {
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (Truth::Null, _) | (_, Truth::Null) => Truth::Null,
                _ => weak,
            };
        }
        result
    };
    match expr {
        Expr::And(parts) => fold(parts, Truth::False, Truth::True),
        Expr::Or(parts) => fold(parts, Truth::True, Truth::False),
        Expr::Not(inner) => match eval(inner, columns, row) {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            other => other,
        },
        Expr::Bool(value) => (*value).into(),
        Expr::Null => Truth::Null,
        Expr::Column(_) => match operand(expr, columns, row) {
            Some((_, Some(value))) => (value == "t" || value == "true").into(),
            Some((_, None)) => Truth::Null,
            None => Truth::Unknown,
        },
        Expr::IsNull(inner, not) => match operand(inner, columns, row) {
            Some((_, value)) => (value.is_none() != *not).into(),
            None => Truth::Unknown,
        },
        Expr::Binary(op, left, right)
            if matches!(op.as_str(), "=" | "<>") && condition(left) && condition(right) =>
        {
            match (eval(left, columns, row), eval(right, columns, row)) {
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (Truth::Null, _) | (_, Truth::Null) => Truth::Null,
                (left, right) => ((left == right) == (op == "=")).into(),
            }
        }
        Expr::Binary(op, left, right) => {
            if computed(left) || computed(right) {
                let (left, right) = (integer(left, columns, row), integer(right, columns, row));
                return match (left, right) {
                    (Some(Some(a)), Some(Some(b))) => order(op, a, b),
                    (Some(_), Some(_)) => Truth::Null,
                    _ => Truth::Unknown,
                };
            }
            compare(op, operand(left, columns, row), operand(right, columns, row))
        }
        Expr::Match(text, pattern, like) => match operand(text, columns, row) {
            Some((Some(Kind::Text(_)) | None, Some(text))) => match pattern.matches(&text) {
                Some(found) => (found == *like).into(),
                None => Truth::Unknown,
            },
            Some((_, None)) => Truth::Null,
            _ => Truth::Unknown,
        },
        Expr::Any(op, left, items, all) => {
            let left = operand(left, columns, row);
            let strong: Truth = (!*all).into();
            let mut result: Truth = (*all).into();
            for item in items {
                match compare(op, left.clone(), operand(item, columns, row)) {
                    value if value == strong => return strong,
                    Truth::True | Truth::False => {}
                    other => result = other,
                }
            }
            result
        }
        _ => Truth::Unknown,
    }
}

/// A column's or a constant's value; columns come with their kind.
type Operand<'a> = Option<(Option<&'a Kind>, Option<Cow<'a, str>>)>;

fn operand<'a>(expr: &'a Expr, columns: &'a [Column], row: &'a Row) -> Operand<'a> {
    match expr {
        Expr::Column(name) => {
            let at = columns.iter().position(|column| column.name == *name)?;
            let column = columns.get(at).filter(|column| !column.generated)?;
            Some((Some(&column.kind.kind), row.get(at)?.as_deref().map(Cow::Borrowed)))
        }
        Expr::Constant(text) => Some((None, Some(Cow::Borrowed(text)))),
        Expr::Bool(value) => Some((None, Some(Cow::Borrowed(if *value { "t" } else { "f" })))),
        Expr::Null => Some((None, None)),
        Expr::Call(name, args) => call(name, args, columns, row),
        _ => None,
    }
}

/// Functions of texts of which nothing has to be known but the text.
fn call<'a>(name: &str, args: &'a [Expr], columns: &'a [Column], row: &'a Row) -> Operand<'a> {
    let (kind, text) = operand(args.first()?, columns, row)?;
    if name == "coalesce" && args.len() == 2 {
        return if text.is_some() { Some((kind, text)) } else { operand(args.get(1)?, columns, row) };
    }
    if args.len() != 1 || !matches!(kind, Some(Kind::Text(_))) {
        return None;
    }
    let change = match name {
        "lower" => |text: Cow<'a, str>| Cow::Owned(text.to_lowercase()),
        "upper" => |text: Cow<'a, str>| Cow::Owned(text.to_uppercase()),
        "btrim" => |text: Cow<'a, str>| Cow::Owned(text.trim_matches(' ').to_owned()),
        _ => return None,
    };
    Some((kind, text.map(change)))
}

/// Whether an expression is a condition by its form.
fn condition(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(..)
            | Expr::Match(..)
            | Expr::Any(..)
            | Expr::Bool(_)
    ) || matches!(expr, Expr::Binary(op, ..) if matches!(op.as_str(), "=" | "<>" | "<" | "<=" | ">" | ">="))
}

fn compare(op: &str, left: Operand<'_>, right: Operand<'_>) -> Truth {
    let (Some((left_kind, left)), Some((right_kind, right))) = (left, right) else {
        return Truth::Unknown;
    };
    let (Some(left), Some(right)) = (left, right) else {
        return Truth::Null;
    };
    let Some(kind) = left_kind.or(right_kind) else {
        return Truth::Unknown;
    };
    if left_kind.is_some_and(|a| right_kind.is_some_and(|b| a != b)) {
        return Truth::Unknown;
    }
    let numbers = scale::read(kind, &left).zip(scale::read(kind, &right));
    let plain = matches!(kind, Kind::Text(_) | Kind::Enum(_) | Kind::Bool | Kind::Uuid);
    match (op, numbers) {
        // A constant with more digits than the column keeps would be cut off here.
        (_, Some(_)) if left.len().max(right.len()) > 26 => Truth::Unknown,
        (op, Some((a, b))) => order(op, a, b),
        ("=", None) if plain => (left == right).into(),
        ("<>", None) if plain => (left != right).into(),
        _ => Truth::Unknown,
    }
}

fn order(op: &str, a: i64, b: i64) -> Truth {
    match op {
        "=" => a == b,
        "<>" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        ">=" => a >= b,
        _ => return Truth::Unknown,
    }
    .into()
}

/// Whether an expression has to be computed before it can be compared.
fn computed(expr: &Expr) -> bool {
    match expr {
        Expr::Binary(op, ..) => matches!(op.as_str(), "+" | "-" | "*" | "/" | "%"),
        Expr::Call(name, _) => matches!(name.as_str(), "length" | "char_length"),
        _ => false,
    }
}

/// The value of an expression of integers; outer none if it is none, inner none for NULL.
fn integer(expr: &Expr, columns: &[Column], row: &Row) -> Option<Option<i64>> {
    match expr {
        Expr::Constant(text) => text.parse().ok().map(Some),
        Expr::Column(_) => match operand(expr, columns, row)? {
            (Some(Kind::Int(_)), Some(text)) => text.parse().ok().map(Some),
            (Some(Kind::Int(_)), None) => Some(None),
            _ => None,
        },
        Expr::Call(name, args) if name == "coalesce" && args.len() == 2 => {
            match integer(args.first()?, columns, row)? {
                Some(number) => Some(Some(number)),
                None => integer(args.get(1)?, columns, row),
            }
        }
        Expr::Call(_, args) if computed(expr) => match operand(args.first()?, columns, row)? {
            (Some(Kind::Text(_)), text) => {
                Some(text.and_then(|text| i64::try_from(text.chars().count()).ok()))
            }
            _ => None,
        },
        Expr::Binary(op, left, right) => {
            let (Some(a), Some(b)) = (integer(left, columns, row)?, integer(right, columns, row)?) else {
                return Some(None);
            };
            match op.as_str() {
                "+" => a.checked_add(b),
                "-" => a.checked_sub(b),
                "*" => a.checked_mul(b),
                "/" => a.checked_div(b),
                "%" => a.checked_rem(b),
                _ => None,
            }
            .map(Some)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::expr::parse;
    use super::*;

    fn holds(text: &str, n: Option<&str>, s: Option<&str>) -> Option<bool> {
        let column = |name: &str, kind: Kind| Column::plain(name, kind.into());
        let columns = [column("n", Kind::Int(99)), column("s", Kind::Text(None))];
        truth(&parse(text), &columns, &vec![n.map(str::to_owned), s.map(str::to_owned)])
    }

    #[test]
    fn predicates_are_told() {
        assert_eq!(holds("(n > 3)", Some("10"), None), Some(true));
        assert_eq!(holds("(n > 3)", None, None), Some(false));
        assert_eq!(holds("((n IS NULL) OR (s = 'a'::text))", Some("1"), Some("b")), Some(false));
        assert_eq!(holds("(s = ANY (ARRAY['a'::text, 'b'::text]))", None, Some("b")), Some(true));
        assert_eq!(holds("(s <> ALL (ARRAY['a'::text, 'b'::text]))", None, Some("b")), Some(false));
        assert_eq!(holds("((n % 3) = 0)", Some("9"), None), Some(true));
        assert_eq!(holds("(length(s) < 3)", None, Some("abc")), Some(false));
        assert_eq!(holds("((n = 1) = (s IS NULL))", Some("1"), Some("x")), Some(false));
        assert_eq!(holds("(s = lower(s))", None, Some("aB")), Some(false));
        assert_eq!(holds("((COALESCE(n, 0) + 1) > 1)", None, None), Some(false));
        assert_eq!(holds("(s !~~ '%a%'::text)", None, Some("bab")), Some(false));
        assert_eq!(holds("(f(n) > 3)", Some("1"), None), None);
    }
}
