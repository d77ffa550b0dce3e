//! The rehearsal file as it is written: one type for reading it and for its JSON Schema.
//!
//! Only the shape is checked here; what belongs together is [`super::build`]'s business.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::values::{OneOrMany, Rows, Setting, TextOrNumber, Time};
use crate::runs::OnError;
use crate::seed::DataInDump;
use crate::workers::SessionKind;

/// A rehearsal: the clone, the script and the automations that must survive it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "thirdrun rehearsal file")]
pub struct RehearsalFile {
    /// What the clone is made of.
    pub clone: CloneSection,
    /// The rows in it.
    pub data: DataSection,
    /// The script under test.
    pub script: ScriptSection,
    /// The automations.
    pub worker: Vec<WorkerEntry>,
    /// An outage as it happened: the runs one by one.
    pub run: Vec<RunEntry>,
    /// What is tried beyond the runs.
    pub hazards: HazardsSection,
}

/// The JSON Schema of the file, for editors.
///
/// # Errors
/// When it cannot be written, which is a defect.
pub fn json_schema() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&schemars::schema_for!(RehearsalFile))
}

/// `[hazards]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HazardsSection {
    /// Whether the first run is cut off after each of its statements, in copies. Default: unless a worker is broken.
    pub crash_points: Option<bool>,
    /// Whether the first run is held open after each of its statements, in a copy. Default: unless a worker is broken.
    pub held_locks: Option<bool>,
    /// Whether two run the script at the same time, in a copy. Default: unless a worker is broken.
    pub at_once: Option<bool>,
    /// Whether the state is searched for what breaks later: passwords that expire, limits that are near. Default: true.
    pub latent: Option<bool>,
}

/// `[clone]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloneSection {
    /// `pg_dump --schema-only`, in any format; a list is applied in order. Default: schema.sql.
    #[schemars(with = "Option<OneOrMany<PathBuf>>")]
    pub schema: Option<Spanned<OneOrMany<PathBuf>>>,
    /// `pg_dumpall --roles-only` or `--globals-only`. Default: roles.sql where there is one.
    #[schemars(with = "Option<OneOrMany<PathBuf>>")]
    pub roles: Option<Spanned<OneOrMany<PathBuf>>>,
    /// The clone's database. Default: the dump's own name, else app.
    pub database: Option<String>,
    /// How large the tables are in production, as `thirdrun capture` writes it. Default: sizes.json where there is one.
    #[schemars(with = "Option<PathBuf>")]
    pub sizes: Option<Spanned<PathBuf>>,
    /// Major version of PostgreSQL. Default: the one that the dump says it came from.
    #[schemars(with = "Option<TextOrNumber>")]
    pub postgres: Option<Spanned<TextOrNumber>>,
    /// The image, with Docker. Default: by version.
    pub image: Option<String>,
    /// Packages of extensions, installed into a copy of the image, with Docker.
    #[schemars(with = "Vec<String>")]
    pub packages: Vec<Spanned<String>>,
    /// What becomes of an extension that cannot be created.
    pub extensions: Extensions,
    /// Lines of postgresql.conf.
    pub settings: BTreeMap<String, Setting>,
    /// Lines of pg_hba.conf that come before the sandbox's own rule.
    pub hba: Vec<String>,
}

/// What becomes of an extension that cannot be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Extensions {
    /// It is an error.
    #[default]
    Require,
    /// It is left out and listed in the report.
    SkipMissing,
}

/// `[data]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Synthetic rows per table. Default: 100.
    pub rows: Option<u64>,
    /// Seed of the synthetic rows. Default: 1.
    pub seed: Option<u64>,
    /// Other numbers of rows for single tables.
    pub tables: BTreeMap<String, u64>,
    /// Files with rows that the workers rely on, applied last.
    #[schemars(with = "Option<OneOrMany<PathBuf>>")]
    pub load: Option<Spanned<OneOrMany<PathBuf>>>,
    /// What becomes of rows that the schema dump has in it. Default: refuse.
    pub dumped: DataInDump,
}

/// `[script]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptSection {
    /// The script; the command line overrides it.
    #[schemars(with = "Option<PathBuf>")]
    pub path: Option<Spanned<PathBuf>>,
    /// Who runs it. Default: postgres.
    pub role: Option<String>,
    /// When its process group is killed. Default: 60s.
    pub timeout: Option<Time>,
    /// How often it runs. Default: 3.
    #[schemars(with = "Option<u32>")]
    pub runs: Option<Spanned<u32>>,
    /// How often it runs at most while its runs still change something. Default: 5, or as many as `runs`.
    #[schemars(with = "Option<u32>")]
    pub max_runs: Option<Spanned<u32>>,
    /// Where it connects. Default: the clone's database.
    pub database: Option<String>,
    /// Variables of the caller that an executable sees.
    pub env: Vec<String>,
    /// The image in which an executable runs, with Docker.
    pub image: Option<String>,
    /// psql variables.
    pub vars: BTreeMap<String, Setting>,
    /// What psql does after an error. Default: continue.
    pub on_error: Option<OnError>,
    /// Whether only broken automations fail the check.
    pub allow_failure: bool,
}

/// `[[run]]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunEntry {
    /// The script. Default: that of `[script]`.
    #[schemars(with = "Option<PathBuf>")]
    pub script: Option<Spanned<PathBuf>>,
    /// Whether the script itself ends in an error. Default: false, but with `allow_failure` it may.
    pub fails: Option<bool>,
    /// Who runs it. Default: that of `[script]`.
    pub role: Option<String>,
    /// psql variables, beside those of `[script]`.
    pub vars: BTreeMap<String, Setting>,
    /// When its process group is killed. Default: that of `[script]`.
    pub timeout: Option<Time>,
    /// The workers that it breaks.
    #[schemars(with = "Vec<String>")]
    pub breaks: Vec<Spanned<String>>,
}

/// `[[worker]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerEntry {
    /// Its name.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The role it logs in as.
    #[schemars(with = "String")]
    pub role: Spanned<String>,
    /// How it holds sessions. Default: keep.
    pub session: Option<SessionKind>,
    /// Sessions of a pool. Default: 1.
    #[schemars(with = "Option<u32>")]
    pub connections: Option<Spanned<u32>>,
    /// The first run that it is judged after. Default: 1.
    #[schemars(with = "Option<u32>")]
    pub from_run: Option<Spanned<u32>>,
    /// Whether it opens its session again when that was cut off. Default: true.
    pub reconnect: Option<bool>,
    /// Statements that begin every new session.
    #[serde(default)]
    pub on_connect: Vec<String>,
    /// The role's password. Default: a random one.
    pub password: Option<String>,
    /// Pause between the starts of two iterations while a script runs. Default: 100ms.
    pub every: Option<Time>,
    /// Whether it iterates while a script runs. Default: true.
    pub while_running: Option<bool>,
    /// When an iteration has failed. Default: 2s.
    pub timeout: Option<Time>,
    /// Longest stall that passes. Default: 1s.
    pub max_outage: Option<Time>,
    /// Whether the steps are one transaction. Default: true.
    pub transaction: Option<bool>,
    /// Whether an iteration leaves no trace; without `transaction` each step is rolled back by itself. Default: false.
    pub rollback: Option<bool>,
    /// Its steps.
    #[serde(default)]
    #[schemars(with = "Vec<StepEntry>")]
    pub step: Vec<Spanned<StepEntry>>,
    /// A program: one start is one iteration, or with `keep_running` it is a service.
    pub command: Option<OneOrMany<String>>,
    /// The image it runs in, with Docker.
    pub image: Option<String>,
    /// The user of that image it runs as, with Docker. Default: the caller's number.
    pub user: Option<String>,
    /// Whether the command goes on running: an iteration is a question whether it is healthy. Default: false.
    pub keep_running: Option<bool>,
    /// The program that succeeds while the service is healthy; or `sql` or steps tell it.
    pub health: Option<OneOrMany<String>>,
    /// The port at which the service speaks PostgreSQL's protocol: a pooler, through which other workers go.
    #[schemars(with = "Option<u16>")]
    pub port: Option<Spanned<u16>>,
    /// Whether the service is started anew after each run, which is its new session. Default: true, but not with `port`.
    #[schemars(with = "Option<bool>")]
    pub restart: Option<Spanned<bool>>,
    /// The service through which its sessions go, by name.
    #[schemars(with = "Option<String>")]
    pub through: Option<Spanned<String>>,
    /// Short form of one step.
    pub sql: Option<String>,
    /// Short form of one step: rows affected or returned.
    pub rows: Option<Rows>,
    /// Short form of one step: first column of the first row.
    pub value: Option<TextOrNumber>,
}

/// `[[worker.step]]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepEntry {
    /// What reports call it. Default: its text.
    pub name: Option<String>,
    /// A query string.
    pub sql: Option<String>,
    /// Rows affected or returned: a number or ">=n".
    pub rows: Option<Rows>,
    /// First column of the first row, as psql prints it.
    pub value: Option<TextOrNumber>,
    /// A notification must arrive on this channel.
    pub notify: Option<String>,
    /// The client does nothing for so long.
    pub pause: Option<Time>,
}
