//! The rehearsal file of a saved incident: written out of a plan, so that flags, defaults and what the check found out are
//! all in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use toml::Value;

use crate::plan::Plan;
use crate::runs::{OnError, RunSpec};
use crate::secrets::Disguise;
use crate::seed::DataInDump;
use crate::workers::{RowsExpected, SessionKind, Step, StepWork, WorkerSpec};

/// A rehearsal file to be written. Its fields are those of [`crate::plan::RehearsalFile`].
#[derive(Debug, Clone, Serialize)]
pub(super) struct FileOut {
    pub(super) clone: CloneOut,
    pub(super) data: DataOut,
    pub(super) script: ScriptOut,
    pub(super) run: Vec<RunOut>,
    pub(super) worker: Vec<WorkerOut>,
}

/// `[clone]`
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct CloneOut {
    pub(super) schema: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) database: String,
    pub(super) postgres: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extensions: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) settings: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hba: Vec<String>,
}

/// `[data]`
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct DataOut {
    pub(super) rows: u64,
    pub(super) seed: u64,
    pub(super) load: Vec<String>,
    pub(super) dumped: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tables: BTreeMap<String, u64>,
}

/// `[script]`
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ScriptOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_error: Option<String>,
}

/// `[[run]]`
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunOut {
    pub(super) script: String,
    pub(super) role: String,
    pub(super) timeout: String,
    pub(super) fails: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) breaks: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vars: BTreeMap<String, String>,
}

/// `[[worker]]`
#[derive(Debug, Clone, Serialize)]
pub(super) struct WorkerOut {
    pub(super) name: String,
    role: String,
    session: SessionKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u32>,
    pub(super) from_run: u32,
    reconnect: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_connect: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    every: String,
    while_running: bool,
    timeout: String,
    max_outage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_running: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    step: Vec<StepOut>,
}

/// `[[worker.step]]`
#[derive(Debug, Clone, Default, Serialize)]
struct StepOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<String>,
}

impl FileOut {
    /// What a plan says, but for its files and what came of its runs, on this major version.
    pub(super) fn of_plan(plan: &Plan, postgres: &str, disguise: &mut Disguise) -> Self {
        let (sandbox, seed) = (&plan.sandbox, &plan.seed);
        let setting = |(name, value): (&String, &String), disguise: &mut Disguise| {
            (name.clone(), disguise.named(name, value))
        };
        let clone = CloneOut {
            database: seed.database.to_string(),
            postgres: postgres.to_owned(),
            image: sandbox.image.clone(),
            packages: sandbox.packages.clone(),
            extensions: seed.skip_missing_extensions.then(|| "skip-missing".to_owned()),
            settings: sandbox.settings.iter().map(|one| setting(one, disguise)).collect(),
            hba: sandbox.hba.iter().map(|line| disguise.text(line)).collect(),
            ..CloneOut::default()
        };
        let dumped = match seed.in_dump {
            DataInDump::Refuse => "refuse",
            DataInDump::Skip => "skip",
            DataInDump::Load => "load",
        };
        let data = DataOut {
            rows: seed.rows.rows,
            seed: seed.rows.seed,
            tables: seed.rows.tables.clone(),
            load: Vec::new(),
            dumped: dumped.to_owned(),
        };
        let first = plan.runs.first();
        let script = ScriptOut {
            database: first.and_then(|run| run.database.as_ref()).map(ToString::to_string),
            image: first.and_then(|run| run.image.clone()),
            on_error: first.filter(|run| run.on_error == OnError::Stop).map(|_| "stop".to_owned()),
        };
        let worker = plan.workers.iter().map(|worker| WorkerOut::of(worker, disguise)).collect();
        Self { clone, data, script, run: Vec::new(), worker }
    }

    /// The same without what turned out to be a secret later.
    pub(super) fn everywhere(mut self, disguise: &Disguise) -> Self {
        let all =
            |texts: &mut Vec<String>| texts.iter_mut().for_each(|text| *text = disguise.everywhere(text));
        let values = |map: &mut BTreeMap<String, String>| {
            map.values_mut().for_each(|text| *text = disguise.everywhere(text));
        };
        values(&mut self.clone.settings);
        all(&mut self.clone.hba);
        self.run.iter_mut().for_each(|run| values(&mut run.vars));
        for worker in &mut self.worker {
            all(&mut worker.on_connect);
            worker.command.iter_mut().chain(&mut worker.health).for_each(all);
            for step in &mut worker.step {
                step.sql.iter_mut().chain(&mut step.value).for_each(|text| *text = disguise.everywhere(text));
            }
        }
        self
    }

    /// The file.
    ///
    /// # Errors
    /// Never in practice: all of it can be written as TOML.
    pub(super) fn text(&self, heading: &str) -> Result<String, toml::ser::Error> {
        let heading: String = heading.lines().map(|line| format!("# {line}\n")).collect();
        Ok(format!("{heading}\n{}", toml::to_string_pretty(self)?))
    }
}

impl RunOut {
    /// A run of this script, as it went.
    pub(super) fn of(
        spec: &RunSpec,
        script: String,
        fails: bool,
        breaks: Vec<String>,
        disguise: &mut Disguise,
    ) -> Self {
        let vars = spec.vars.iter().map(|(name, value)| (name.clone(), disguise.named(name, value)));
        Self {
            script,
            role: spec.role.to_string(),
            timeout: time(spec.timeout),
            fails,
            breaks,
            vars: vars.collect(),
        }
    }
}

impl WorkerOut {
    fn of(spec: &WorkerSpec, disguise: &mut Disguise) -> Self {
        let step: Vec<_> = spec.steps().iter().map(|step| StepOut::of(step, disguise)).collect();
        let mut texts = |argv: &[String]| argv.iter().map(|argument| disguise.text(argument)).collect();
        let program = spec.program();
        let command = program.map(|program| texts(&program.argv));
        let service = match &spec.work {
            StepWork::Service(service) => Some(service),
            StepWork::Command(_) | StepWork::Steps(_) => None,
        };
        let health = service.and_then(|_| spec.asks()).map(|(_, argv)| texts(argv));
        let steps = !step.is_empty();
        Self {
            name: spec.name.to_string(),
            role: spec.role.to_string(),
            session: spec.session,
            connections: (spec.session == SessionKind::Pool).then_some(spec.connections),
            from_run: spec.from_run.0,
            reconnect: spec.reconnect,
            on_connect: spec.on_connect.iter().map(|sql| disguise.statement(sql)).collect(),
            password: spec.password.as_ref().map(|password| disguise.stand_in(password.reveal())),
            every: time(spec.every),
            while_running: spec.while_running,
            timeout: time(spec.timeout),
            max_outage: time(spec.max_outage),
            transaction: steps.then_some(spec.transaction),
            rollback: (steps && spec.rollback).then_some(true),
            command,
            image: program.and_then(|program| program.image.clone()),
            user: program.and_then(|program| program.user.clone()),
            keep_running: service.map(|_| true),
            health,
            port: spec.port(),
            restart: service.map(|service| service.restart),
            through: spec.through.as_ref().map(ToString::to_string),
            step,
        }
    }
}

impl StepOut {
    fn of(step: &Step, disguise: &mut Disguise) -> Self {
        match step {
            Step::Sql { name, sql, rows, value } => Self {
                name: name.clone(),
                sql: Some(disguise.statement(sql)),
                rows: rows.map(|rows| match (rows, i64::try_from(rows.least())) {
                    (RowsExpected::Exactly(_), Ok(rows)) => Value::Integer(rows),
                    (RowsExpected::Exactly(rows), Err(_)) => Value::String(rows.to_string()),
                    (RowsExpected::AtLeast(rows), _) => Value::String(format!(">={rows}")),
                }),
                value: value.clone(),
                ..Self::default()
            },
            Step::Notify { channel } => Self { notify: Some(channel.clone()), ..Self::default() },
            Step::Pause(pause) => Self { pause: Some(time(*pause)), ..Self::default() },
        }
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}
