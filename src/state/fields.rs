//! Values of catalog columns, read from text.

use super::acl::Acl;

/// A value that can be read from the text of one column; none is NULL.
pub(super) trait Field: Sized {
    fn read(text: Option<&str>) -> Option<Self>;
}

impl Field for bool {
    fn read(text: Option<&str>) -> Option<Self> {
        text.map(|text| text == "t")
    }
}

impl Field for char {
    /// The server writes an empty text for the byte 0.
    fn read(text: Option<&str>) -> Option<Self> {
        text.map(|text| text.chars().next().unwrap_or(' '))
    }
}

macro_rules! parsed {
    ($($type:ty),*) => { $(impl Field for $type {
        fn read(text: Option<&str>) -> Option<Self> {
            text?.parse().ok()
        }
    })* };
}
parsed!(u32, i32, i64, f64);

impl Field for Box<str> {
    fn read(text: Option<&str>) -> Option<Self> {
        text.map(Into::into)
    }
}

/// OIDs, or numbers of columns, of any array type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Oids(pub(super) Vec<u32>);

impl Field for Oids {
    fn read(text: Option<&str>) -> Option<Self> {
        let numbers =
            text?.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().ok()).collect::<Option<_>>().map(Self)
    }
}

/// Texts of an array, which the query gives as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl Field for Texts {
    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(Self::default()),
            Some(text) => serde_json::from_str(text).ok().map(Self),
        }
    }
}

impl Texts {
    /// The `name=value` among them, in their order.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|setting| setting.split_once('='))
    }
}

impl Field for Acl {
    fn read(text: Option<&str>) -> Option<Self> {
        Self::parse(text?)
    }
}

impl<T: Field> Field for Option<T> {
    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(None),
            Some(_) => T::read(text).map(Some),
        }
    }
}
