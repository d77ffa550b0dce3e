//! How long texts are, how far sequences are, and numbers and moments that somebody set.

use std::collections::{BTreeMap, BTreeSet};

use super::super::catalogs::{Catalog, Sequence};
use super::super::snapshot::Snapshot;
use super::{Reading, States, count, plain};
use crate::identifiers::written_identifier;
use crate::observations::{Measure, Series};

/// What a type of whole numbers holds at most (PostgreSQL manual, 8.1), by its OID.
const WHOLE: [(u32, i64, &str); 2] = [(21, 32_767, "smallint"), (23, 2_147_483_647, "integer")];
/// OIDs of the types whose modifier is their width and 4: `varchar(n)` and `char(n)`.
const WIDE: [u32; 2] = [1043, 1042];

pub(super) fn series(states: &States, moved: impl Fn(u32) -> bool) -> Vec<Series> {
    let mut found = settings(states);
    found.extend(defaults(states));
    found.extend(definitions(states));
    found.extend(widths(states));
    found.extend(positions(states, moved));
    found.extend(expiries(states));
    found
}

/// Settings of roles, of databases and of the server.
fn settings(states: &States) -> Vec<Series> {
    let mut keys = BTreeSet::new();
    states.touched(
        |s| &s.tables.role_settings,
        |_, key, row| {
            keys.extend(row.settings.settings().map(|(name, _)| (key, name.to_owned())));
        },
    );
    let mut found = Vec::new();
    for (key, name) in keys {
        let Some(last) = states.last() else { continue };
        let object = match key {
            (0, 0, _) => "every role".to_owned(),
            (database, 0, _) => format!("database {}", last.database_name(database)),
            (0, role, _) => format!("role {}", last.role_sql(role)),
            (database, role, _) => {
                format!("role {} in database {}", last.role_sql(role), last.database_name(database))
            }
        };
        let value = |state: &Snapshot| {
            let row = state.tables.role_settings.get(key)?;
            row.settings.settings().find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
        };
        found.extend(setting(states, &name, object, value));
    }
    let mut names = BTreeSet::new();
    for state in states.iter() {
        names.extend(state.settings.files.keys().cloned());
    }
    for name in names {
        let value = |state: &Snapshot| state.settings.files.get(&name).map(|setting| setting.value.clone());
        found.extend(setting(states, &name, "the server".to_owned(), value));
    }
    found
}

/// A setting as a number where it always was one, else by its length.
fn setting(
    states: &States,
    name: &str,
    object: String,
    value: impl Fn(&Snapshot) -> Option<String>,
) -> Option<Series> {
    let numeric = states.iter().skip(1).filter_map(&value).all(|value| number(&value).is_some());
    if !numeric {
        return states.one(Measure::Length, name, object, |state| {
            value(state).map(|value| plain(count(value.chars().count())))
        });
    }
    // 0 switches a timeout off; a share of memory or a count of processes has a least of its own.
    let least = name.ends_with("_timeout").then_some(0);
    let series = states.one(Measure::Number, name, object, |state| {
        Some(Reading { value: number(&value(state)?)?, limit: least })
    });
    series.map(|series| Series { limit_words: "0 switches it off".to_owned(), ..series })
}

/// A number with a unit of time as milliseconds, with one of memory as kilobytes, else as it is (PostgreSQL manual,
/// 20.1.1).
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '-').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: i64 = digits.parse().ok()?;
    let factor = match unit.trim() {
        "" | "ms" | "kB" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "MB" => 1_024,
        "GB" => 1_024 * 1_024,
        "TB" => 1_024 * 1_024 * 1_024,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn defaults(states: &States) -> Vec<Series> {
    let mut columns = BTreeSet::new();
    states.touched(
        |s| &s.tables.defaults,
        |_, _, row| {
            columns.insert((row.relation, row.column));
        },
    );
    let mut found = Vec::new();
    for (relation, column) in columns {
        let Some(last) = states.last() else { continue };
        let object =
            format!("column {} of {}", last.column_name(relation, column), last.relation_label(relation));
        found.extend(states.one(Measure::Length, "default", object, |state| {
            let mut rows = state.tables.defaults.iter();
            let ((oid, ..), _) = rows.find(|(_, row)| (row.relation, row.column) == (relation, column))?;
            let text = state.definition(Catalog::ColumnDefault, oid)?;
            Some(plain(count(text.chars().count())))
        }));
    }
    found
}

/// Views and functions.
fn definitions(states: &States) -> Vec<Series> {
    let (mut functions, mut views) = (BTreeMap::new(), BTreeMap::new());
    states.touched(
        |s| &s.tables.functions,
        |state, (oid, ..), _| {
            functions.insert(oid, state.function_label(oid));
        },
    );
    states.touched(
        |s| &s.tables.rules,
        |state, _, row| {
            if &*row.name == "_RETURN" {
                views.insert(row.relation, state.relation_label(row.relation));
            }
        },
    );
    let mut found: Vec<Series> = functions
        .into_iter()
        .filter_map(|(oid, object)| {
            states.one(Measure::Length, "definition", object, |state| {
                state.definition(Catalog::Function, oid).map(|text| plain(count(text.chars().count())))
            })
        })
        .collect();
    // A view that is replaced has another rule.
    found.extend(views.into_iter().filter_map(|(relation, object)| {
        states.one(Measure::Length, "definition", object, |state| {
            let mut rules = state.tables.rules.iter();
            let ((oid, ..), _) =
                rules.find(|(_, row)| row.relation == relation && &*row.name == "_RETURN")?;
            state.definition(Catalog::Rule, oid).map(|text| plain(count(text.chars().count())))
        })
    }));
    found
}

fn widths(states: &States) -> Vec<Series> {
    let mut columns = BTreeSet::new();
    states.touched(
        |s| &s.tables.columns,
        |_, key, row| {
            if WIDE.contains(&row.type_oid) && !row.dropped {
                columns.insert(key);
            }
        },
    );
    let mut found = Vec::new();
    for key in columns {
        let Some(last) = states.last() else { continue };
        let object = format!("column {} of {}", last.column_name(key.0, key.1), last.relation_label(key.0));
        let series = states.one(Measure::Number, "width", object, |state| {
            let row = state.tables.columns.get(key)?;
            let width = i64::from(row.modifier) - 4;
            (WIDE.contains(&row.type_oid) && width > 0).then_some(Reading { value: width, limit: Some(0) })
        });
        found.extend(
            series.map(|series| Series {
                limit_words: "a column cannot be narrower than 1".to_owned(),
                ..series
            }),
        );
    }
    found
}

fn positions(states: &States, moved: impl Fn(u32) -> bool) -> Vec<Series> {
    let Some(last) = states.last() else { return Vec::new() };
    let mut found = Vec::new();
    let moves = |oid: &u32| {
        let mut seen = states.iter().skip(1).map(|state| state.positions.get(oid));
        let first = seen.next();
        seen.any(|position| Some(position) != first)
    };
    for oid in last.positions.keys().copied().filter(|oid| moves(oid) && !moved(*oid)) {
        let Some(row) = last.tables.sequences.oid(oid) else { continue };
        let (most, words) = end(last, oid, row);
        let series = states.one(Measure::Position, "sequence", last.relation_label(oid), |state| {
            let row = state.tables.sequences.oid(oid)?;
            let value = *state.positions.get(&oid)?;
            let (most, _) = end(state, oid, row);
            // One that counts downwards is told as if it counted upwards.
            let turn = |number: i64| if row.increment < 0 { number.saturating_neg() } else { number };
            Some(Reading { value: turn(value), limit: (!row.cycle).then_some(turn(most)) })
        });
        found.extend(series.map(|series| Series { limit_words: format!("{words} {most}"), ..series }));
    }
    found
}

/// The last value that a sequence can give and its column can hold.
fn end(state: &Snapshot, oid: u32, row: &Sequence) -> (i64, String) {
    if row.increment < 0 {
        return (row.min, "its MINVALUE is".to_owned());
    }
    // 1259 is pg_class.
    let owner = state.tables.belongings.between((1259, oid, 0), (1259, oid, u32::MAX)).find_map(
        |((_, _, relation), belonging)| {
            let column = u32::try_from(belonging.column).ok()?;
            let of = state.tables.columns.get((relation, column, 0))?;
            let (_, most, name) = WHOLE.iter().find(|(oid, ..)| *oid == of.type_oid)?;
            let words = format!(
                "column {} of {} is {name}, up to",
                written_identifier(&of.name),
                state.relation_label(relation)
            );
            Some((*most, words))
        },
    );
    match owner {
        Some((most, words)) if most < row.max => (most, words),
        _ => (row.max, "its MAXVALUE is".to_owned()),
    }
}

/// Until when passwords are valid.
fn expiries(states: &States) -> Vec<Series> {
    let mut roles = BTreeSet::new();
    states.touched(
        |s| &s.tables.roles,
        |_, (oid, ..), _| {
            roles.insert(oid);
        },
    );
    let mut found = Vec::new();
    for oid in roles {
        let Some(last) = states.last() else { continue };
        let object = format!("role {}", last.role_sql(oid));
        let now = last.running.now;
        let series = states.one(Measure::Moment, "VALID UNTIL", object, |state| {
            let until = moment(state.role_row(oid)?.valid_until.as_deref()?)?;
            Some(Reading { value: until, limit: Some(now) })
        });
        found.extend(series.map(|series| Series { limit_words: "that is before now".to_owned(), ..series }));
    }
    found
}

/// Seconds since 1970 of a time in UTC as roles are read with it: `2026-01-31 12:00:00.000000+00`; none for
/// `infinity`.
pub(in crate::state) fn moment(text: &str) -> Option<i64> {
    let mut numbers =
        text.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse::<i64>().ok());
    let mut next = || numbers.next().flatten();
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    // Days of a year that begins in March, whose leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_since_1970() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00.000000+00", 0),
            ("2000-02-29 12:00:00.000000+00", 951_825_600),
            ("2026-11-27 08:52:06.500000+00", 1_795_769_526),
        ] {
            assert_eq!(moment(text), Some(seconds), "{text}");
        }
        assert_eq!(moment("infinity"), None);
    }

    #[test]
    fn settings_are_numbers_with_units() {
        assert_eq!(number("8s"), Some(8_000));
        assert_eq!(number("4000"), Some(4_000));
        assert_eq!(number("64MB"), Some(65_536));
        assert_eq!(number("public, sales"), None);
        assert_eq!(number("on"), None);
    }
}
