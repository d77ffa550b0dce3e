//! Which roles' privileges a role has: its own, and those of the roles that it is a member of and inherits from.

use std::collections::{HashMap, VecDeque};

use super::snapshot::Snapshot;

/// Memberships of a state, by member.
pub(super) struct Memberships<'a> {
    state: &'a Snapshot,
    /// The roles that each member inherits from.
    of: HashMap<u32, Vec<u32>>,
}

/// The roles whose privileges one role has, each with the one it has them through; its own is there with itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) role: u32,
    pub(super) superuser: bool,
    pub(super) bypass_rls: bool,
    /// Sorted: a role is looked for here for every grant on every object.
    through: Vec<(u32, u32)>,
    /// What predefined roles give (PostgreSQL manual, 21.5).
    pub(super) reads_all: Option<u32>,
    pub(super) writes_all: Option<u32>,
    pub(super) maintains_all: Option<u32>,
}

impl<'a> Memberships<'a> {
    pub(super) fn new(state: &'a Snapshot) -> Self {
        let mut of: HashMap<u32, Vec<u32>> = HashMap::new();
        for ((role, member, _), row) in state.tables.members.iter() {
            // Until 15 a role inherits from all or from none (PostgreSQL manual, CREATE ROLE).
            let inherits =
                row.inherit.unwrap_or_else(|| state.role_row(member).is_some_and(|member| member.inherit));
            if inherits {
                of.entry(member).or_default().push(role);
            }
        }
        // Whoever owns the database is a member of pg_database_owner without a row (PostgreSQL manual, 21.5).
        let owner = state.tables.databases.oid(state.database).map(|database| database.owner);
        if let (Some(owner), Some(role)) = (owner, state.role_named("pg_database_owner"))
            && (state.version >= 16 || state.role_row(owner).is_some_and(|owner| owner.inherit))
        {
            of.entry(owner).or_default().push(role);
        }
        for roles in of.values_mut() {
            roles.sort_unstable();
            roles.dedup();
        }
        Self { state, of }
    }

    /// The shortest way to each role.
    pub(super) fn reach(&self, role: u32) -> Reach {
        let mut through = HashMap::from([(role, role)]);
        let mut next = VecDeque::from([role]);
        while let Some(member) = next.pop_front() {
            for of in self.of.get(&member).into_iter().flatten() {
                if !through.contains_key(of) {
                    through.insert(*of, member);
                    next.push_back(*of);
                }
            }
        }
        let mut through: Vec<_> = through.into_iter().collect();
        through.sort_unstable();
        let row = self.state.role_row(role);
        let predefined = |name| {
            self.state.role_named(name).filter(|role| through.iter().any(|(reached, _)| reached == role))
        };
        Reach {
            role,
            superuser: row.is_some_and(|row| row.superuser),
            bypass_rls: row.is_some_and(|row| row.bypass_rls),
            reads_all: predefined("pg_read_all_data"),
            writes_all: predefined("pg_write_all_data"),
            maintains_all: predefined("pg_maintain"),
            through,
        }
    }
}

impl Reach {
    /// Whether another reaches the same roles.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        self.through.iter().map(|(role, _)| role).eq(other.through.iter().map(|(role, _)| role))
    }

    pub(super) fn has(&self, role: u32) -> bool {
        self.through_which(role).is_some()
    }

    fn through_which(&self, role: u32) -> Option<u32> {
        let at = self.through.binary_search_by_key(&role, |(reached, _)| *reached).ok()?;
        self.through.get(at).map(|(_, through)| *through)
    }

    /// The memberships from the role to another one, nearest first; empty for itself.
    pub(super) fn way(&self, to: u32) -> Vec<u32> {
        let mut way = Vec::new();
        let mut at = to;
        while at != self.role {
            way.push(at);
            let Some(before) = self.through_which(at) else { break };
            at = before;
        }
        way.reverse();
        way
    }
}
