//! Privileges, and lists of who has which of them from whom.

use std::fmt;

/// A set of privileges (PostgreSQL manual, 5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Privileges(u16);

/// Each privilege as SQL has it, in the order in which they are told.
const WORDS: [&str; 15] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "EXECUTE",
    "USAGE",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "SET",
    "ALTER SYSTEM",
    "MAINTAIN",
];

impl Privileges {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SELECT: Self = Self(1);
    pub(super) const INSERT: Self = Self(1 << 1);
    pub(super) const UPDATE: Self = Self(1 << 2);
    pub(super) const DELETE: Self = Self(1 << 3);
    pub(super) const TRUNCATE: Self = Self(1 << 4);
    pub(super) const REFERENCES: Self = Self(1 << 5);
    pub(super) const TRIGGER: Self = Self(1 << 6);
    pub(super) const EXECUTE: Self = Self(1 << 7);
    pub(super) const USAGE: Self = Self(1 << 8);
    pub(super) const CREATE: Self = Self(1 << 9);
    pub(super) const CONNECT: Self = Self(1 << 10);
    pub(super) const TEMPORARY: Self = Self(1 << 11);
    pub(super) const SET: Self = Self(1 << 12);
    pub(super) const ALTER_SYSTEM: Self = Self(1 << 13);
    pub(super) const MAINTAIN: Self = Self(1 << 14);

    /// The privilege of that word.
    pub(super) fn word(word: &str) -> Option<Self> {
        WORDS.iter().position(|known| *known == word).map(|at| Self(1 << at))
    }

    /// Each of the set by itself, with its word.
    pub(super) fn each(self) -> impl Iterator<Item = (Self, &'static str)> {
        let mut left = self.0;
        // Asked for every role and every object: it mostly has none.
        std::iter::from_fn(move || {
            let at = left.trailing_zeros();
            let word = WORDS.get(usize::try_from(at).ok()?)?;
            left &= left - 1;
            Some((Self(1 << at), *word))
        })
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of the other set are in this one.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (_, word)) in self.each().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// Kinds of objects that have privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Relation,
    Column,
    Sequence,
    Database,
    Function,
    Language,
    Schema,
    Tablespace,
    Wrapper,
    Server,
    Type,
    Parameter,
    LargeObject,
}

impl Kind {
    /// Every privilege that there is on it; MAINTAIN is new in 17.
    pub(super) fn all(self, version: u32) -> Privileges {
        use Privileges as P;
        let column = P::SELECT.and(P::INSERT).and(P::UPDATE).and(P::REFERENCES);
        match self {
            Self::Column => column,
            Self::Relation => {
                let all = column.and(P::DELETE).and(P::TRUNCATE).and(P::TRIGGER);
                if version >= 17 { all.and(P::MAINTAIN) } else { all }
            }
            Self::Sequence => P::USAGE.and(P::SELECT).and(P::UPDATE),
            Self::Database => P::CREATE.and(P::CONNECT).and(P::TEMPORARY),
            Self::Function => P::EXECUTE,
            Self::Language | Self::Wrapper | Self::Server | Self::Type => P::USAGE,
            Self::Schema => P::USAGE.and(P::CREATE),
            Self::Tablespace => P::CREATE,
            Self::Parameter => P::SET.and(P::ALTER_SYSTEM),
            Self::LargeObject => P::SELECT.and(P::UPDATE),
        }
    }

    /// What everybody has as long as nothing was granted or revoked (PostgreSQL manual, 5.8).
    pub(super) fn public(self) -> Privileges {
        match self {
            Self::Database => Privileges::CONNECT.and(Privileges::TEMPORARY),
            Self::Function => Privileges::EXECUTE,
            Self::Language | Self::Type => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }
}

/// Who stands for everybody in a list of privileges.
pub(super) const PUBLIC: u32 = 0;

/// What one role has from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Grant {
    pub(super) grantee: u32,
    pub(super) grantor: u32,
    pub(super) privileges: Privileges,
    /// Those that it may grant on.
    pub(super) grantable: Privileges,
}

/// A list of privileges, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Acl(pub(super) Vec<Grant>);

impl Acl {
    /// Reads `grantee/grantor/PRIVILEGE*,…`, where the star is the grant option.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut grants: Vec<Grant> = Vec::new();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let mut parts = item.splitn(3, '/');
            let (grantee, grantor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let word = parts.next()?;
            let privilege = Privileges::word(word.trim_end_matches('*'))?;
            let grantable = if word.ends_with('*') { privilege } else { Privileges::NONE };
            match grants.iter_mut().find(|grant| grant.grantee == grantee && grant.grantor == grantor) {
                Some(grant) => {
                    grant.privileges = grant.privileges.and(privilege);
                    grant.grantable = grant.grantable.and(grantable);
                }
                None => grants.push(Grant { grantee, grantor, privileges: privilege, grantable }),
            }
        }
        grants.sort_unstable();
        Some(Self(grants))
    }

    /// What an object has as long as nothing was granted or revoked.
    pub(super) fn default_of(kind: Kind, owner: u32, version: u32) -> Self {
        let mut grants = Vec::with_capacity(2);
        let public = kind.public();
        if !public.is_empty() {
            let none = Privileges::NONE;
            grants.push(Grant { grantee: PUBLIC, grantor: owner, privileges: public, grantable: none });
        }
        if kind != Kind::Column && kind != Kind::Parameter {
            let all = kind.all(version);
            grants.push(Grant {
                grantee: owner,
                grantor: owner,
                privileges: all,
                grantable: Privileges::NONE,
            });
        }
        Self(grants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_told() {
        let acl = Acl::parse("16390/10/SELECT,16390/10/INSERT*,0/10/SELECT").unwrap();
        assert_eq!(acl.0.len(), 2);
        assert_eq!(acl.0[0].grantee, PUBLIC);
        assert_eq!(acl.0[1].privileges.to_string(), "SELECT, INSERT");
        assert_eq!(acl.0[1].grantable, Privileges::INSERT);
        assert_eq!(Acl::parse(""), Some(Acl::default()));
        assert_eq!(Acl::parse("x"), None);
    }

    #[test]
    fn implicit_privileges_are_those_of_the_manual() {
        let acl = Acl::default_of(Kind::Database, 10, 15);
        assert_eq!(acl.0[0].privileges.to_string(), "CONNECT, TEMPORARY");
        assert!(Kind::Relation.all(17).has(Privileges::MAINTAIN));
        assert!(!Kind::Relation.all(16).has(Privileges::MAINTAIN));
    }
}
