//! What a column's type is, seen from who has to write a value of it.

use std::collections::BTreeMap;

use super::catalog::TypeEntry;
use super::expr::{self, Expr};

/// A type's nature.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Bool,
    /// The largest value.
    Int(i64),
    /// Digits before and after the point.
    Numeric {
        whole: u32,
        scale: u32,
    },
    Float,
    Money,
    /// At most so many characters.
    Text(Option<usize>),
    /// Exactly so many.
    Char(usize),
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Bytea,
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    /// So many bits.
    Bit(usize),
    /// Any value of these types is as good as another; see `odd`.
    Odd(&'static str),
    Enum(Vec<String>),
    Array(Box<Type>),
    Range(Box<Kind>),
    Multirange(Box<Kind>),
    Composite(Vec<Type>),
    /// A type that only its extension knows.
    Unknown,
}

/// A type with what its domains demand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) not_null: bool,
    /// Checks of domains, about the column `VALUE`.
    pub(super) checks: Vec<Expr>,
    /// The same as the server writes them.
    pub(super) texts: Vec<String>,
    /// Their names.
    pub(super) names: Vec<String>,
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        Self { kind, not_null: false, checks: Vec::new(), texts: Vec::new(), names: Vec::new() }
    }
}

/// The types of the database by their number.
pub(super) struct Types(BTreeMap<i64, TypeEntry>);

/// How deep types may be nested before they are given up.
const DEPTH: u32 = 12;

impl Types {
    /// Takes what the catalog says.
    pub(super) fn new(entries: Vec<TypeEntry>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.oid, entry)).collect())
    }

    /// What a column of this type is.
    pub(super) fn resolve(&self, oid: i64, modifier: i32) -> Type {
        self.at(oid, modifier, DEPTH)
    }

    fn at(&self, oid: i64, modifier: i32, depth: u32) -> Type {
        let (Some(entry), Some(depth)) = (self.0.get(&oid), depth.checked_sub(1)) else {
            return Kind::Unknown.into();
        };
        match entry.kind.as_str() {
            "d" => {
                let mut base = self.at(entry.base, entry.modifier, depth);
                base.not_null |= entry.not_null;
                base.checks.extend(entry.checks.iter().flatten().map(|text| expr::parse(text)));
                base.texts.extend(entry.checks.iter().flatten().cloned());
                base.names.extend(entry.check_names.iter().cloned());
                base
            }
            "e" => Kind::Enum(entry.labels.clone()).into(),
            "r" => self.subtype(entry, depth, Kind::Range),
            "m" => self.subtype(entry, depth, Kind::Multirange),
            "c" => Kind::Composite(
                entry.fields.iter().map(|field| self.at(field.type_oid, field.modifier, depth)).collect(),
            )
            .into(),
            _ if entry.category == "A" && entry.element != 0 => {
                Kind::Array(Box::new(self.at(entry.element, modifier, depth))).into()
            }
            _ => base_kind(&entry.name, modifier).into(),
        }
    }

    fn subtype(&self, entry: &TypeEntry, depth: u32, wrap: fn(Box<Kind>) -> Kind) -> Type {
        match entry.subtype {
            Some(subtype) => wrap(Box::new(self.at(subtype, -1, depth).kind)).into(),
            None => Kind::Unknown.into(),
        }
    }
}

fn base_kind(name: &str, modifier: i32) -> Kind {
    let length =
        |offset: i32| usize::try_from(modifier.saturating_sub(offset)).ok().filter(|_| modifier >= offset);
    match name {
        "bool" => Kind::Bool,
        "int2" => Kind::Int(i64::from(i16::MAX)),
        "int4" => Kind::Int(i64::from(i32::MAX)),
        "int8" => Kind::Int(i64::MAX),
        "oid" | "xid" | "xid8" | "cid" => Kind::Int(i64::from(i32::MAX)),
        "numeric" => numeric(modifier),
        "float4" | "float8" => Kind::Float,
        "money" => Kind::Money,
        "text" | "citext" => Kind::Text(None),
        "name" => Kind::Text(Some(63)),
        "char" => Kind::Text(Some(1)),
        "varchar" => Kind::Text(length(4)),
        "bpchar" => length(4).map_or(Kind::Text(None), Kind::Char),
        "date" => Kind::Date,
        "time" => Kind::Time,
        "timetz" => Kind::TimeTz,
        "timestamp" => Kind::Timestamp,
        "timestamptz" => Kind::TimestampTz,
        "interval" => Kind::Interval,
        "uuid" => Kind::Uuid,
        "json" | "jsonb" => Kind::Json,
        "bytea" => Kind::Bytea,
        "inet" => Kind::Inet,
        "cidr" => Kind::Cidr,
        "macaddr" => Kind::MacAddr,
        "macaddr8" => Kind::MacAddr8,
        "bit" => Kind::Bit(length(0).unwrap_or(1)),
        "varbit" => Kind::Bit(length(0).unwrap_or(8).min(16)),
        "xml" => Kind::Odd("xml"),
        "tsvector" => Kind::Odd("tsvector"),
        "tsquery" => Kind::Odd("tsquery"),
        "point" => Kind::Odd("point"),
        "line" => Kind::Odd("line"),
        "lseg" => Kind::Odd("lseg"),
        "box" => Kind::Odd("box"),
        "path" => Kind::Odd("path"),
        "polygon" => Kind::Odd("polygon"),
        "circle" => Kind::Odd("circle"),
        "hstore" => Kind::Odd("hstore"),
        "ltree" => Kind::Odd("ltree"),
        "lquery" | "ltxtquery" => Kind::Odd("word"),
        "pg_lsn" => Kind::Odd("pg_lsn"),
        "seg" => Kind::Odd("seg"),
        "isbn" | "isbn13" => Kind::Odd("isbn"),
        "ean13" => Kind::Odd("ean13"),
        "aclitem" => Kind::Odd("aclitem"),
        "oidvector" | "int2vector" => Kind::Odd("vector of numbers"),
        "lo" => Kind::Int(i64::from(i32::MAX)),
        "txid_snapshot" | "pg_snapshot" => Kind::Odd("snapshot"),
        "tid" => Kind::Odd("tid"),
        "cube" => Kind::Odd("cube"),
        "geometry" | "geography" => Kind::Odd("geometry"),
        "vector" | "halfvec" => Kind::Odd("vector"),
        "jsonpath" => Kind::Odd("jsonpath"),
        "regclass" | "regtype" | "regproc" | "regprocedure" | "regrole" | "regnamespace" | "regconfig"
        | "regdictionary" | "regoper" | "regoperator" | "regcollation" => Kind::Odd("zero"),
        _ => Kind::Unknown,
    }
}

/// `numeric(p, s)`: its modifier holds both (`numeric_typmod_precision` in the server's source).
fn numeric(modifier: i32) -> Kind {
    if modifier < 4 {
        return Kind::Numeric { whole: 6, scale: 2 };
    }
    let precision = ((modifier - 4) >> 16) & 0xffff;
    let scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    let whole = (precision - scale).clamp(0, 12);
    Kind::Numeric {
        whole: u32::try_from(whole).unwrap_or_default(),
        scale: u32::try_from(scale.clamp(0, 4)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_read() {
        // numeric(5,2), varchar(10), char(3), bit(4)
        assert_eq!(base_kind("numeric", (5 << 16 | 2) + 4), Kind::Numeric { whole: 3, scale: 2 });
        assert_eq!(base_kind("varchar", 14), Kind::Text(Some(10)));
        assert_eq!(base_kind("varchar", -1), Kind::Text(None));
        assert_eq!(base_kind("bpchar", 7), Kind::Char(3));
        assert_eq!(base_kind("bit", 4), Kind::Bit(4));
    }

    #[test]
    fn a_domain_over_a_domain_has_the_checks_of_both() {
        let entry = |oid, kind: &str, base, check: &str| TypeEntry {
            oid,
            name: if kind == "b" { "int4" } else { "d" }.to_owned(),
            kind: kind.to_owned(),
            category: "N".to_owned(),
            element: 0,
            base,
            base_name: None,
            modifier: -1,
            not_null: oid == 3,
            labels: Vec::new(),
            subtype: None,
            fields: Vec::new(),
            checks: vec![Some(check.to_owned())],
            check_names: Vec::new(),
        };
        let types = Types::new(vec![
            entry(1, "b", 0, ""),
            entry(2, "d", 1, "(VALUE > 0)"),
            entry(3, "d", 2, "(VALUE < 9)"),
        ]);
        let found = types.resolve(3, -1);
        assert_eq!(found.kind, Kind::Int(i64::from(i32::MAX)));
        assert_eq!(found.checks.len(), 2);
        assert!(found.not_null);
    }
}
