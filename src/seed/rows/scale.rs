//! Ordered types as whole numbers: bounds, comparisons and neighbours work alike for all of them.
//!
//! Integers stand for themselves, numerics for their last digit, days and seconds for dates and times
//! (since 1970).

use super::kinds::Kind;

/// 2024-01-01, where generated times begin.
pub(super) const EPOCH_DAY: i64 = 19_723;
pub(super) const DAY: i64 = 86_400;
/// Decimals of floating point numbers.
const FLOAT_SCALE: u32 = 3;

/// The values that a column of this kind gets when nothing is demanded; none for kinds without order.
pub(super) fn usual(kind: &Kind) -> Option<(i64, i64)> {
    Some(match kind {
        Kind::Int(_) => (1, 1000),
        Kind::Numeric { whole, scale } => {
            let top = 10_i64.saturating_pow((*whole).min(3) + scale) - 1;
            (top.min(1), top)
        }
        Kind::Float => (1, 1_000_000),
        Kind::Money => (100, 100_000),
        Kind::Date => (EPOCH_DAY, EPOCH_DAY + 365),
        Kind::Time | Kind::TimeTz => (6 * 3600, 22 * 3600),
        Kind::Timestamp | Kind::TimestampTz => (EPOCH_DAY * DAY, (EPOCH_DAY + 365) * DAY),
        Kind::Interval => (60, 10 * DAY),
        _ => return None,
    })
}

/// The values that the type can hold, as far as they are ever used.
pub(super) fn limits(kind: &Kind) -> Option<(i64, i64)> {
    Some(match kind {
        Kind::Int(max) => (-*max, *max),
        Kind::Numeric { whole, scale } => {
            let top = 10_i64.saturating_pow(whole + scale).saturating_sub(1);
            (-top, top)
        }
        Kind::Float | Kind::Money => (-1_000_000_000_000, 1_000_000_000_000),
        Kind::Date => (-DAY * 8, DAY * 8),
        Kind::Time | Kind::TimeTz => (0, DAY - 1),
        Kind::Timestamp | Kind::TimestampTz => (-DAY * DAY * 8, DAY * DAY * 8),
        Kind::Interval => (-DAY * 3650, DAY * 3650),
        _ => return None,
    })
}

/// The number of a value as the server or a check spells it.
pub(super) fn read(kind: &Kind, text: &str) -> Option<i64> {
    let text = text.trim();
    match kind {
        Kind::Int(_) => decimal(text, 0),
        Kind::Numeric { scale, .. } => decimal(text, *scale),
        Kind::Float => decimal(text, FLOAT_SCALE),
        Kind::Money => decimal(&text.replace(['$', ','], ""), 2),
        Kind::Date => day(text.get(..10).unwrap_or(text)),
        Kind::Time | Kind::TimeTz => seconds(text.get(..8).unwrap_or(text)),
        Kind::Timestamp | Kind::TimestampTz => {
            let day = day(text.get(..10)?)?;
            let seconds = text.get(11..19).map_or(Some(0), |time| seconds(time.trim()))?;
            day.checked_mul(DAY)?.checked_add(seconds)
        }
        Kind::Interval => interval(text),
        _ => None,
    }
}

/// The text of a number's value.
pub(super) fn write(kind: &Kind, value: i64) -> String {
    match kind {
        Kind::Numeric { scale, .. } => point(value, *scale),
        Kind::Float => point(value, FLOAT_SCALE),
        Kind::Money => point(value, 2),
        Kind::Date => date_text(value),
        Kind::Time => clock(value.rem_euclid(DAY)),
        Kind::TimeTz => format!("{}+00", clock(value.rem_euclid(DAY))),
        Kind::Timestamp => stamp(value),
        Kind::TimestampTz => format!("{}+00", stamp(value)),
        Kind::Interval => {
            let sign = if value < 0 { "-" } else { "" };
            let whole = value.saturating_abs();
            format!("{sign}{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
        }
        _ => value.to_string(),
    }
}

/// A decimal number times ten to the power of `scale`; further digits are cut off.
fn decimal(text: &str, scale: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit())
    {
        return None;
    }
    let width = usize::try_from(scale).ok()?;
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(width).collect();
    let value: i64 = format!("0{whole}{kept}").parse().ok()?;
    Some(if negative { -value } else { value })
}

fn point(value: i64, scale: u32) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let unit = 10_i64.saturating_pow(scale);
    let sign = if value < 0 { "-" } else { "" };
    let width = usize::try_from(scale).unwrap_or_default();
    format!("{sign}{}.{:0width$}", value.saturating_abs() / unit, value.saturating_abs() % unit)
}

/// Days since 1970 of `YYYY-MM-DD` (days_from_civil of H. Hinnant's "chrono-compatible date algorithms").
fn day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era.checked_mul(146_097)? + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn date_text(days: i64) -> String {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let day = of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn seconds(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)
}

fn clock(value: i64) -> String {
    format!("{:02}:{:02}:{:02}", value / 3600, value / 60 % 60, value % 60)
}

fn stamp(value: i64) -> String {
    format!("{} {}", date_text(value.div_euclid(DAY)), clock(value.rem_euclid(DAY)))
}

/// `1 day 02:00:00` as the server prints it; months count thirty days.
fn interval(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, clock) = match word.strip_prefix('-') {
                Some(clock) => (-1, clock),
                None => (1, word),
            };
            total = total.checked_add(seconds(clock)?.checked_mul(sign)?)?;
        } else {
            let unit = match words.next()?.trim_end_matches('s') {
                "year" => 365 * DAY,
                "mon" | "month" => 30 * DAY,
                "week" => 7 * DAY,
                "day" => DAY,
                "hour" => 3600,
                "minute" | "min" => 60,
                "second" | "sec" => 1,
                _ => return None,
            };
            total = total.checked_add(word.parse::<i64>().ok()?.checked_mul(unit)?)?;
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for days in [-700_000, -1, 0, 59, 60, EPOCH_DAY, 20_000, 47_540] {
            assert_eq!(read(&Kind::Date, &write(&Kind::Date, days)), Some(days), "{days}");
        }
        assert_eq!(write(&Kind::Date, EPOCH_DAY), "2024-01-01");
        assert_eq!(write(&Kind::Date, EPOCH_DAY + 59), "2024-02-29");
        assert_eq!(write(&Kind::TimestampTz, EPOCH_DAY * DAY + 3661), "2024-01-01 01:01:01+00");
        assert_eq!(read(&Kind::TimestampTz, "2024-01-01 01:01:01.5+00"), Some(EPOCH_DAY * DAY + 3661));
        assert_eq!(read(&Kind::Timestamp, "2024-01-01"), Some(EPOCH_DAY * DAY));
    }

    #[test]
    fn decimals_keep_their_scale() {
        let kind = Kind::Numeric { whole: 3, scale: 2 };
        assert_eq!(read(&kind, "-1.5"), Some(-150));
        assert_eq!(read(&kind, "0"), Some(0));
        assert_eq!(read(&kind, "now()"), None);
        assert_eq!(write(&kind, -5), "-0.05");
        assert_eq!(usual(&kind), Some((1, 99_999)));
    }

    #[test]
    fn what_is_beyond_the_scale_has_no_number() {
        for text in ["9223372036854775807:00", "9223372036854775807 years", "9223372036854775807 secs 1 day"]
        {
            assert_eq!(read(&Kind::Interval, text), None, "{text}");
        }
        assert_eq!(write(&Kind::Interval, i64::MIN).len(), "-2562047788015215:30:07".len());
        write(&Kind::Date, i64::MAX);
    }

    #[test]
    fn intervals_are_read_as_the_server_prints_them() {
        assert_eq!(read(&Kind::Interval, "1 day 02:00:00"), Some(DAY + 7200));
        assert_eq!(read(&Kind::Interval, "2 mons"), Some(60 * DAY));
    }
}
