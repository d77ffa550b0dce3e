//! Constants of checks as places on a scale.

use super::expr::Expr;
use super::kinds::Kind;
use super::scale::{self, DAY, EPOCH_DAY};

/// The place of a constant on the scale. Today is some day after the year in which generated times lie.
pub(super) fn number(kind: &Kind, expr: &Expr, op: &str) -> Option<i64> {
    match expr {
        Expr::Constant(text) => scale::read(kind, text).or_else(|| scale::read(&Kind::Interval, text)),
        Expr::Call(name, _)
            if matches!(
                name.as_str(),
                "now"
                    | "current_date"
                    | "current_timestamp"
                    | "localtimestamp"
                    | "clock_timestamp"
                    | "statement_timestamp"
                    | "transaction_timestamp"
            ) =>
        {
            let day = if op.starts_with('<') { EPOCH_DAY + 365 } else { EPOCH_DAY + 27_394 };
            Some(if *kind == Kind::Date { day } else { day * DAY })
        }
        Expr::Binary(sign, left, right) if sign == "+" || sign == "-" => {
            let base = number(kind, left, op)?;
            let mut step = number(kind, right, op)?;
            if *kind == Kind::Date && step % DAY == 0 {
                step /= DAY;
            }
            if sign == "+" { base.checked_add(step) } else { base.checked_sub(step) }
        }
        _ => None,
    }
}
