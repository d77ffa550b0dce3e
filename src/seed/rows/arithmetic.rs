//! Columns that a check ties to others by a sum: `total = price * quantity`.

use super::expr::Expr;
use super::generate::Row;
use super::kinds::Kind;
use super::model::Column;

/// A decimal number: digits, and how many of them stand behind the point.
type Decimal = (i128, u32);

/// Digits behind the point: those of a `numeric` are fewer.
const SCALE: u32 = 1000;

/// Sets the columns that a check says are equal to a computation on others.
pub(super) fn settle(check: &Expr, columns: &[Column], row: &mut Row, free: &dyn Fn(usize) -> bool) {
    match check {
        Expr::And(parts) => parts.iter().for_each(|part| settle(part, columns, row, free)),
        Expr::Binary(op, left, right) if op == "=" => {
            // Whichever side is a column of its own.
            let _set = assign(left, right, columns, row, free) || assign(right, left, columns, row, free);
        }
        _ => {}
    }
}

fn assign(to: &Expr, from: &Expr, columns: &[Column], row: &mut Row, free: &dyn Fn(usize) -> bool) -> bool {
    let (Expr::Column(name), Expr::Binary(..) | Expr::Call(..)) = (to, from) else {
        return false;
    };
    let Some(at) = columns.iter().position(|column| column.name == *name).filter(|at| free(*at)) else {
        return false;
    };
    let Some(value) = value(from, columns, row) else {
        return false;
    };
    if let Some(cell) = row.get_mut(at) {
        *cell = Some(write(value));
    }
    true
}

fn value(expr: &Expr, columns: &[Column], row: &Row) -> Option<Decimal> {
    match expr {
        Expr::Constant(text) => read(text),
        Expr::Column(name) => {
            let at = columns.iter().position(|column| column.name == *name)?;
            let kind = &columns.get(at)?.kind.kind;
            if !matches!(kind, Kind::Int(_) | Kind::Numeric { .. }) {
                return None;
            }
            read(row.get(at)?.as_deref()?)
        }
        Expr::Call(name, args) => {
            let first = value(args.first()?, columns, row);
            match (name.as_str(), args.get(1)) {
                ("round", None) => first.map(|first| round(first, 0)),
                ("round", Some(Expr::Constant(digits))) => {
                    first.and_then(|first| Some(round(first, digits.parse().ok()?)))
                }
                ("coalesce", Some(other)) => first.or_else(|| value(other, columns, row)),
                _ => None,
            }
        }
        Expr::Binary(op, left, right) => {
            let (a, b) = (value(left, columns, row)?, value(right, columns, row)?);
            let scale = a.1.max(b.1);
            match op.as_str() {
                "+" => Some((widen(a, scale)?.checked_add(widen(b, scale)?)?, scale)),
                "-" => Some((widen(a, scale)?.checked_sub(widen(b, scale)?)?, scale)),
                "*" => Some((a.0.checked_mul(b.0)?, scaled(a.1 + b.1)?)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn widen((digits, scale): Decimal, to: u32) -> Option<i128> {
    digits.checked_mul(10_i128.checked_pow(to.checked_sub(scale)?)?)
}

/// Half away from zero, as `round(numeric)` does.
fn round((digits, scale): Decimal, to: u32) -> Decimal {
    if to >= scale {
        return (digits, scale);
    }
    let unit = 10_i128.saturating_pow(scale - to);
    let half = if digits < 0 { -unit / 2 } else { unit / 2 };
    (digits.saturating_add(half) / unit, to)
}

fn read(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, scaled(u32::try_from(fraction.len()).ok()?)?))
}

fn scaled(scale: u32) -> Option<u32> {
    (scale <= SCALE).then_some(scale)
}

fn write((digits, scale): Decimal) -> String {
    let width = usize::try_from(scale).unwrap_or_default();
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!("{:0>1$}", digits.unsigned_abs(), width + 1);
    match text.split_at_checked(text.len() - width) {
        Some((whole, fraction)) if width > 0 => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::expr::parse;
    use super::*;

    #[test]
    fn totals_are_computed() {
        let column = |name: &str| Column {
            not_null: true,
            ..Column::plain(name, Kind::Numeric { whole: 6, scale: 2 }.into())
        };
        let columns = [column("price"), column("n"), column("total")];
        let total = |check: &str| {
            let mut row: Row = vec![Some("2.35".into()), Some("-3".into()), None];
            settle(&parse(check), &columns, &mut row, &|_| true);
            row.pop().flatten()
        };
        assert_eq!(total("(total = (price * n))").as_deref(), Some("-7.05"));
        assert_eq!(total("(total = round((price * n), 1))").as_deref(), Some("-7.1"));
        assert_eq!(total("((price - (n * (2)::numeric)) = total)").as_deref(), Some("8.35"));
        assert_eq!(total("(total > price)"), None);
        // Further behind the point than any numeric goes.
        let tiny = format!("0.{}", "0".repeat(900));
        assert_eq!(total(&format!("(total = (({tiny} * {tiny}) * n))")), None);
        assert_eq!(total(&format!("(total = round({}5.5, 0))", i128::MAX / 10)), None);
    }
}
