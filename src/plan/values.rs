//! Values of the rehearsal file that may be written in more than one way.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::workers::RowsExpected;

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de> + From<String>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + From<String>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![T::from(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// Declares a type that is read from scalars, with its JSON Schema.
macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident($inner:ty), $types:tt, $expecting:literal, $parse:path $(, $boolean:path)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Scalar;
                impl Visitor<'_> for Scalar {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map($name).map_err(E::custom)
                    }

                    fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_f64<E: Error>(self, number: f64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }

                    $(fn visit_bool<E: Error>(self, truth: bool) -> Result<$name, E> {
                        self.visit_str($boolean(truth))
                    })?
                }
                deserializer.deserialize_any(Scalar)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $types })
            }
        }
    };
}

scalar!(
    /// The value of a setting, as the server reads it.
    Setting(String), ["string", "number", "boolean"], "a string, a number or a boolean", setting, boolean
);
scalar!(
    /// A text that people also write as a number.
    TextOrNumber(String), ["string", "integer"], "a string or a number", setting
);
scalar!(
    /// A length of time, such as `"500ms"` or `"2m"`.
    Time(Duration), ["string"], "a length of time such as \"500ms\", \"2s\" or \"1m 30s\"", time
);
scalar!(
    /// Rows affected or returned: a number, or `">=n"`.
    Rows(RowsExpected), ["string", "integer"], "a number of rows or \">=n\"", rows
);

fn setting(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn boolean(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// No rehearsal waits longer; clocks cannot tell when some of the times end that could be written.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|_| {
        format!("'{text}' is no length of time; write it like \"500ms\", \"2s\" or \"1m 30s\"")
    })?;
    if time > LONGEST { Err(format!("'{text}' is longer than a week")) } else { Ok(time) }
}

fn rows(text: &str) -> Result<RowsExpected, String> {
    let wrong = || format!("'{text}' is no number of rows; write it like 1 or \">=1\"");
    match text.trim().strip_prefix(">=") {
        Some(least) => least.trim().parse().map(RowsExpected::AtLeast).map_err(|_| wrong()),
        None => text.trim().parse().map(RowsExpected::Exactly).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_times_are_read_as_people_write_them() {
        assert_eq!(rows(">= 3"), Ok(RowsExpected::AtLeast(3)));
        assert_eq!(rows("0"), Ok(RowsExpected::Exactly(0)));
        assert!(rows("-1").is_err());
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(time("soon").unwrap_err().contains("\"500ms\""));
        assert!(time("10").is_err());
        assert_eq!(time("7days"), Ok(LONGEST));
        assert!(time("500000000000years").unwrap_err().contains("longer than a week"));
    }
}
