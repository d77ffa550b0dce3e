//! Objects of a sort: whoever can do something with one of them can do it with all.

use std::collections::HashMap;

use super::acl::{Acl, Kind, Privileges};
use super::objects::Guarded;
use super::reach::Reach;

/// What of an object decides about access to it: its kind, its owner, its grants, and whether it is PostgreSQL's own.
type Sort<'a> = (Kind, u32, &'a Option<Acl>, bool);

/// The sorts of some objects. A thousand tables have a few between them.
pub(super) struct Sorts {
    of: Vec<usize>,
    count: usize,
}

impl Sorts {
    pub(super) fn new<'a>(objects: impl Iterator<Item = &'a Guarded<'a>>) -> Self {
        let mut known: HashMap<Sort, usize> = HashMap::new();
        let sort = |object: &'a Guarded<'a>| {
            let next = known.len();
            *known.entry((object.kind, object.owner, object.acl, object.is_own())).or_insert(next)
        };
        let of = objects.map(sort).collect();
        Self { of, count: known.len() }
    }
}

/// What one role can do with objects of each sort, found out once.
pub(super) struct Access<'a> {
    sorts: &'a Sorts,
    version: u32,
    reach: &'a Reach,
    known: Vec<Option<Privileges>>,
}

impl<'a> Access<'a> {
    pub(super) fn new(sorts: &'a Sorts, version: u32, reach: &'a Reach) -> Self {
        Self { sorts, version, reach, known: vec![None; sorts.count] }
    }

    /// The sort of the object at that place.
    pub(super) fn sort(&self, at: usize) -> usize {
        self.sorts.of.get(at).copied().unwrap_or(usize::MAX)
    }

    /// What the role can do with the object at that place.
    pub(super) fn of(&mut self, at: usize, object: &Guarded) -> Privileges {
        let sort = self.sort(at);
        if let Some(Some(known)) = self.known.get(sort) {
            return *known;
        }
        let access = object.access(self.reach, self.version);
        if let Some(slot) = self.known.get_mut(sort) {
            *slot = Some(access);
        }
        access
    }
}
