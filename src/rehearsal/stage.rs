//! A sandbox with its workers, ready for runs: the rehearsal itself is made on one, and so is every replay of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ask::{ANSWER, ask};
use super::clone::{self, Ready};
use super::course::{self, Positions};
use crate::failure::{Exit, Failure};
use crate::identifiers::{RoleName, RunNumber, Secret, WorkerName, quote_literal, written_identifier};
use crate::observations::{CloneFacts, Denied, OWN_PASSWORD, RunObservation, WorkerObservation};
use crate::plan::Plan;
use crate::postgres::{Login, QueryFailure, Session};
use crate::programs::Place;
use crate::progress::{Phase, Progress};
use crate::runs::{self, Arrivals, RunSpec, Waits, Whose};
use crate::sandbox::{Sandbox, Scope};
use crate::seed::Logins;
use crate::state::{Ask as _, Snapshot, Watcher};
use crate::tap::{Orders, Recording, Tap};
use crate::workers::{Crew, StepWork, Surroundings, WorkerSpec};

/// How long a script may take to log in: programs take their time to start.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How long a server that has recovered may take to let a session in.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a script has the server to itself from its last statement on, but for the iterations under way when it
/// started. Without it the outcome of a script of quick statements would depend on which of them an iteration falls
/// between: a row that a worker inserts between `UPDATE … WHERE x IS NULL` and `SET NOT NULL` makes the script fail, now
/// and then.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long a script has the server to itself at most: one of many quick statements meets the workers, too.
const LONGEST_START: Duration = Duration::from_secs(1);

/// How long one statement of a repair may take: less than [`ANSWER`].
const PATIENCE: &str = "SET statement_timeout = '8s'";

/// A sandbox with the clone in it, workers that have sessions, and the tap.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sandbox: Sandbox,
    pub(super) crew: Crew,
    arrivals: Arrivals,
    pub(super) tap: Option<Tap>,
    logins: Vec<(RoleName, Secret)>,
}

/// A stage that has just been set, what its clone holds, and how every worker was before the first run.
pub(super) struct Set<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) clone: CloneFacts,
    pub(super) baseline: Vec<WorkerObservation>,
    /// Where sequences were before the workers did anything; none where nobody asked.
    pub(super) resting: Positions,
}

impl<'a> Stage<'a> {
    /// Has a sandbox with the clone, and every worker prove that it works.
    pub(super) async fn set(plan: &'a Plan, scope: &Scope, progress: &Progress) -> Result<Set<'a>, Failure> {
        Self::looked_at(plan, scope, progress, false).await
    }

    /// The same, and with `look` it is told where sequences were before the workers moved them.
    pub(super) async fn looked_at(
        plan: &'a Plan,
        scope: &Scope,
        progress: &Progress,
        look: bool,
    ) -> Result<Set<'a>, Failure> {
        let places: BTreeSet<Place> = plan
            .runs
            .iter()
            .map(RunSpec::place)
            .chain(plan.workers.iter().filter_map(WorkerSpec::place))
            .collect();
        let places: Vec<Place> = places.into_iter().collect();
        let Ready { sandbox, clone, logins } = clone::ready(plan, scope, &places, progress).await?;
        plan.check_roles(&logins.roles)?;
        let launcher = sandbox.launcher();
        launcher.prepare(&places).await?;
        launcher.provide(&logins.logins).await?;
        let mut crew = crew(plan, &sandbox, &logins).await?;
        progress.phase(&Phase::Baseline);
        let resting = async {
            let server = sandbox.server();
            let login = server.superuser_login(&plan.seed.database);
            if look { course::positions(server, &login).await } else { None }
        };
        // Workers that have a session have not moved anything yet.
        let ((), resting) = tokio::join!(crew.start_for(RunNumber(1)), resting);
        let baseline = crew.baseline().await;
        if !baseline.iter().all(WorkerObservation::works) {
            clone::lost(&baseline, &sandbox, scope).await?;
        }
        let arrivals = match Arrivals::new(sandbox.server(), &names(plan)).await {
            Ok(arrivals) => arrivals,
            Err(failure) => return Err(clone::with_log(Failure::of_query(&failure), &sandbox, scope).await),
        };
        let tap = sandbox.tap().await?;
        sandbox.kept().await;
        let stage = Stage { plan, sandbox, crew, arrivals, tap, logins: logins.logins };
        Ok(Set { stage, clone, baseline, resting })
    }

    /// Has the workers of a run all work at once before it, which shows how long that ordinarily takes them.
    pub(super) async fn accustom(&mut self, spec: &RunSpec) {
        self.crew.accustom(spec.number).await;
    }

    /// One run, and what became of every worker. `orders` say which of its statements are carried out.
    pub(super) async fn run(
        &mut self,
        spec: &RunSpec,
        orders: Orders,
        progress: &Progress,
    ) -> Result<(RunObservation, Recording), Failure> {
        let of = self.plan.sure.max(usize::try_from(spec.number.0).unwrap_or_default());
        if spec.number > RunNumber(1) {
            self.crew.start_for(spec.number).await;
        }
        let shift = self.crew.begin_shift().await;
        let phase = Phase::Run { run: spec.number, of, script: spec.shown.clone() };
        progress.with_workers(&phase, self.plan.workers.len(), shift.tally());
        let launcher = self.sandbox.launcher();
        let before = self.arrivals.strangers().await.unwrap_or_default();
        let waits = Waits::default();
        shift.script_starts();
        let origin = tokio::time::Instant::now();
        if let Some(tap) = &self.tap {
            tap.begin(orders, origin);
        }
        let watched = async {
            waits.watch(self.arrivals.session(), origin).await;
            std::future::pending::<()>().await;
        };
        let run = runs::run(spec, &self.plan.seed.database, launcher.as_ref());
        let release = async {
            // A script that does not log in, or whose session is not seen, is not waited for longer.
            let _ = tokio::time::timeout(ARRIVAL, self.arrivals.changed(&before)).await;
            let arrived = tokio::time::Instant::now();
            loop {
                // A statement that takes long moves nothing.
                let moved =
                    self.tap.as_ref().and_then(Tap::moved).map_or(arrived, |moved| moved.max(arrived));
                let until = (moved + HEAD_START).min(arrived + LONGEST_START);
                if until <= tokio::time::Instant::now() {
                    break;
                }
                tokio::time::sleep_until(until).await;
            }
            shift.release();
            std::future::pending::<()>().await;
        };
        let mut result = tokio::select! {
            result = run => result?,
            () = release => return Err(Failure::defect("an endless task has ended")),
            () = watched => return Err(Failure::defect("an endless task has ended")),
        };
        shift.script_ended();
        if let Some(tap) = &self.tap {
            // psql does not wait for what follows on its last statement: who looks there must not meet what the workers
            // do afterwards.
            tap.boundaries_done().await;
        }
        let settled = self.sandbox.settle().await;
        if self.arrivals.strangers().await.is_err() {
            // The server has crashed and recovered, or is gone, which the workers will tell.
            let again =
                tokio::time::timeout(AGAIN, Arrivals::new(self.sandbox.server(), &names(self.plan))).await;
            if let Ok(Ok(again)) = again {
                self.arrivals = again;
            }
        }
        progress.phase(&Phase::After { run: spec.number, of });
        let workers = self.crew.end_shift(shift).await?;
        if settled && !workers.iter().all(WorkerObservation::works) {
            // The server may be ending at this moment: who had a session hears of it first.
            self.sandbox.settle().await;
        }
        // No script can bring that about, and nothing can be told of this one.
        self.sandbox.reached().await?;
        // What it left in the background may have gone on to send statements until now.
        let recording = match &self.tap {
            Some(tap) => {
                tap.boundaries_done().await;
                tap.end()
            }
            None => Recording::default(),
        };
        result.statements = runs::statements(spec, &recording);
        // A server that does not answer is not asked.
        let names = if settled { self.names_of(&waits.relations()).await } else { BTreeMap::new() };
        let waits = waits.seen(&whose(self.plan), &result.statements, &names);
        let observation = RunObservation {
            run: spec.number,
            script: spec.shown.clone(),
            role: spec.role.clone(),
            may_fail: spec.may_fail,
            result,
            changes: Vec::new(),
            traced: Vec::new(),
            denied: Vec::new(),
            waits,
            workers,
            server_gone: self.sandbox.log_if_gone().await,
        };
        Ok((observation, recording))
    }

    /// The state of the server and of the clone; none when it cannot be read, as when the script has dropped the
    /// database.
    pub(super) async fn state(&self, watcher: &mut Watcher) -> Option<Arc<Snapshot>> {
        super::trace::refreshed(watcher, self.sandbox.server(), &self.superuser()).await.ok()
    }

    /// What is in the small tables among these.
    pub(super) async fn contents(&self, names: &BTreeSet<String>) -> Vec<(String, String)> {
        let server = self.sandbox.server();
        course::contents(server, &server.superuser_login(&self.plan.seed.database), names).await
    }

    /// The names of those of these relations that are in the clone; none where it is gone or does not answer.
    async fn names_of(&self, relations: &BTreeSet<u32>) -> BTreeMap<u32, String> {
        if relations.is_empty() {
            return BTreeMap::new();
        }
        let wanted: Vec<_> = relations.iter().map(u32::to_string).collect();
        let question = format!(
            "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN ({})",
            wanted.join(", ")
        );
        let login = self.superuser();
        let rows = ask(self.sandbox.server(), &login, async |session| session.ask(&question).await);
        let named = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
            Ok([Some(oid), Some(name)]) => Some((oid.parse().ok()?, name)),
            _ => None,
        };
        rows.await.unwrap_or_default().into_iter().filter_map(named).collect()
    }

    /// The objects that workers were denied, by name.
    pub(super) async fn denied(&self, workers: &[WorkerObservation]) -> Vec<Denied> {
        super::denied::denied(workers, self.sandbox.server(), &self.superuser()).await
    }

    /// A login as thirdrun's own superuser, into the clone's database.
    pub(super) fn superuser(&self) -> Login {
        self.sandbox.server().superuser_login(&self.plan.seed.database)
    }

    /// What sessions that belong to the rehearsal call themselves.
    pub(super) fn known_applications(&self) -> Vec<String> {
        let own = self.superuser().application;
        self.plan.workers.iter().map(|worker| worker.name.application()).chain([own]).collect()
    }

    /// A superuser's session for as long as somebody watches who waits.
    pub(super) async fn watch(&self) -> Result<Session, Failure> {
        let (endpoint, login) = (&self.sandbox.server().endpoint, self.superuser());
        let session = tokio::time::timeout(ANSWER, Session::open(endpoint, &login)).await;
        let session = session.unwrap_or_else(|_| Err(QueryFailure::silent()));
        session.map_err(|failure| Failure::new(Exit::Environment, &failure))
    }

    /// Carries out statements as thirdrun's own superuser, in the clone's database.
    pub(super) async fn carry_out(&self, statements: &[String]) -> Result<(), QueryFailure> {
        ask(self.sandbox.server(), &self.superuser(), async |session| {
            // What waits for a lock shall not get it later, when something else is tried.
            session.run(PATIENCE).await?;
            for statement in statements {
                session.run(&self.with_password(statement)).await?;
            }
            Ok(())
        })
        .await
    }

    /// A statement with the password of the role that it names, where one is asked for.
    fn with_password(&self, statement: &str) -> String {
        let names = |verb: &str, role: &RoleName| {
            statement.starts_with(&format!("{verb} ROLE {} ", written_identifier(role.as_str())))
        };
        let asked = self.logins.iter().find(|(role, _)| {
            statement.contains(OWN_PASSWORD) && (names("ALTER", role) || names("CREATE", role))
        });
        match asked {
            Some((_, secret)) => statement.replace(OWN_PASSWORD, &quote_literal(secret.reveal())),
            None => statement.to_owned(),
        }
    }

    /// How every worker is now.
    pub(super) async fn check(&mut self) -> Vec<WorkerObservation> {
        self.crew.baseline().await
    }

    /// The sandbox, and the workers with their sessions.
    pub(super) async fn dissolve(self) -> (Sandbox, Crew) {
        self.arrivals.close().await;
        (self.sandbox, self.crew)
    }

    /// Sends the workers home.
    pub(super) async fn strike(self) -> Sandbox {
        self.crew.stop().await;
        self.arrivals.close().await;
        self.sandbox
    }
}

/// Whose the sessions are that somebody meets at the server.
fn whose(plan: &Plan) -> Whose {
    Whose::new(plan.workers.iter().map(|worker| {
        let runs_programs = matches!(worker.work, StepWork::Command(_));
        (worker.name.clone(), runs_programs.then(|| worker.role.clone()))
    }))
}

fn names(plan: &Plan) -> Vec<WorkerName> {
    plan.workers.iter().map(|worker| worker.name.clone()).collect()
}

async fn crew(plan: &Plan, sandbox: &Sandbox, logins: &Logins) -> Result<Crew, Failure> {
    let launcher = sandbox.launcher();
    let mut ways = BTreeMap::new();
    for worker in &plan.workers {
        let Some(port) = worker.port() else { continue };
        let way = launcher.inside(port).await?.ok_or_else(|| no_way(&worker.name))?;
        ways.insert(worker.name.clone(), way);
    }
    let surroundings = Surroundings {
        endpoint: sandbox.server().endpoint.clone(),
        database: plan.seed.database.clone(),
        logins: Arc::new(logins.logins.clone()),
        launcher,
        ways: Arc::new(ways),
    };
    Ok(Crew::new(plan.workers.clone(), surroundings))
}

/// Nobody can go through a service.
fn no_way(service: &WorkerName) -> Failure {
    let message = format!(
        "workers cannot go through '{service}' here: thirdrun may not enter the network of its container, and nothing in \
         there could be started that passes on what they say"
    );
    Failure::said(Exit::Environment, &message)
        .hint("use an image with bash, as the official ones are, or --backend local")
}
