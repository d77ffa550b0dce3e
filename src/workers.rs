//! Workers: simulated automated processes, each logged in as its real database role.
//!
//! Responsible for iterating while a script runs and for the two judged iterations after it. Knows
//! nothing of scripts, backends or verdicts: it reports what it saw.

mod crew;
pub mod duties;
mod iteration;
mod program;
mod service;
mod spec;
mod standing;
mod worker;

pub use crew::{Crew, Shift, Tally};
pub use spec::{CommandWork, Health, RowsExpected, ServiceWork, SessionKind, Step, StepWork, WorkerSpec};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identifiers::{DatabaseName, RoleName, Secret, WorkerName};
use crate::postgres::{Endpoint, Login};
use crate::programs::Launcher;

/// What workers need to know of the sandbox.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the server listens.
    pub endpoint: Endpoint,
    /// The clone's database.
    pub database: DatabaseName,
    /// The password of every login role.
    pub logins: Arc<Vec<(RoleName, Secret)>>,
    /// Runs the commands of workers.
    pub launcher: Arc<dyn Launcher>,
    /// Where services are found through which other workers go.
    pub ways: Arc<BTreeMap<WorkerName, Endpoint>>,
}

impl Surroundings {
    /// Where the sessions of a worker go.
    fn endpoint(&self, spec: &WorkerSpec) -> &Endpoint {
        self.way(spec).unwrap_or(&self.endpoint)
    }

    /// The service that a worker's sessions go to, if they do: its own, or the one that it goes through.
    fn way(&self, spec: &WorkerSpec) -> Option<&Endpoint> {
        let own = spec.port().map(|_| &spec.name);
        own.or(spec.through.as_ref()).and_then(|way| self.ways.get(way))
    }

    /// The port of that service.
    fn port(&self, spec: &WorkerSpec) -> Option<u16> {
        self.way(spec).map(|way| way.host_and_port().1)
    }

    /// The login of a worker. A role without a known password gets an empty one, which no server takes.
    fn login(&self, spec: &WorkerSpec) -> Login {
        let known = self.logins.iter().find(|(role, _)| *role == spec.role).map(|(_, secret)| secret);
        Login {
            role: spec.role.clone(),
            password: spec.password.clone().or_else(|| known.cloned()).unwrap_or_else(|| Secret::new("")),
            database: self.database.clone(),
            application: spec.name.application(),
            options: None,
        }
    }
}
