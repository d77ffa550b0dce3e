//! From the rehearsal file and the flags to a [`Plan`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clone::newer_only;
use super::error::{PlanError, Source};
use super::file::{Extensions, RehearsalFile};
use super::hazards::{self, HazardName, Hazards};
use super::read;
use super::values::Setting;
use super::workers::{passwords, workers};
use crate::dump::{Content, DumpFile};
use crate::identifiers::{DatabaseName, RoleName, WorkerName};
use crate::observations::TableSize;
use crate::runs::RunSpec;
use crate::sandbox::{BackendChoice, SandboxPlan};
use crate::seed::rows::RowsPlan;
use crate::seed::{SeedPlan, bootstrap_role};
use crate::workers::WorkerSpec;
use crate::workers::duties::Ran;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The rehearsal file.
    pub config: Option<PathBuf>,
    /// The script.
    pub script: Option<PathBuf>,
    /// Schema dumps.
    pub schema: Vec<PathBuf>,
    /// Roles dumps.
    pub roles: Vec<PathBuf>,
    /// How often the script runs.
    pub runs: Option<u32>,
    /// How often it runs at most while it still changes something.
    pub max_runs: Option<u32>,
    /// Where the sandbox is.
    pub backend: BackendChoice,
    /// PostgreSQL's major version.
    pub postgres: Option<u32>,
    /// Where a local server's programs are.
    pub postgres_bin: Option<PathBuf>,
    /// Who runs the script.
    pub role: Option<String>,
    /// Seed of the synthetic rows.
    pub seed: Option<u64>,
    /// Whether the clone is made anew, and not kept.
    pub no_cache: bool,
    /// Whether nothing is replayed.
    pub no_replay: bool,
    /// The file with the statements that roles have run.
    pub statements: Option<PathBuf>,
    /// Whether roles of which these are known do all that they may besides.
    pub all_duties: bool,
    /// Whether no rehearsal file is looked for.
    pub no_config: bool,
    /// Whether there is to be no script, and no run.
    pub scriptless: bool,
    /// Whether the workers of the file are wanted without a script, too.
    pub keep_workers: bool,
    /// Which hazards are looked for; empty: those that the file says.
    pub hazards: Vec<HazardName>,
}

/// Everything that a rehearsal needs to be told.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The script as the user named it; of several runs' own scripts, the rehearsal file.
    pub title: String,
    /// The server.
    pub sandbox: SandboxPlan,
    /// The clone.
    pub seed: Arc<SeedPlan>,
    /// Whether the clone may be a copy that was kept, and is kept.
    pub cache: bool,
    /// The automations.
    pub workers: Vec<WorkerSpec>,
    /// The runs, in order: those that are made, and those that are made only while the script still changes something.
    pub runs: Vec<RunSpec>,
    /// How many of the runs are made in any case.
    pub sure: usize,
    /// Whether the rehearsal is replayed to find out why a worker is broken.
    pub replay: bool,
    /// Which hazards are looked for.
    pub hazards: Hazards,
    /// How large the tables of the original are, by name, where that is known.
    pub sizes: BTreeMap<String, TableSize>,
    /// What the roles have run, the most called first, where that is known and no worker is written.
    pub statements: Vec<Ran>,
    /// Whether roles of which that is known do all that they may besides, where no worker is written.
    pub all_duties: bool,
    /// The files from which the clone is made, and the rehearsal file.
    pub files: Vec<PathBuf>,
    places: Places,
}

/// Where the file says what only the clone can prove right.
#[derive(Debug, Clone, Default)]
struct Places {
    source: Option<Source>,
    roles: BTreeMap<WorkerName, Range<usize>>,
}

/// Makes a plan. `directory` is where the command was given.
///
/// # Errors
/// Whatever is wrong with the file, the flags or the files that they name.
pub fn build(overrides: &Overrides, directory: &Path) -> Result<Plan, PlanError> {
    within(overrides, directory, |builder| builder.plan())
}

/// Makes a plan for each script with each version, which have their clone's dumps in common.
///
/// # Errors
/// As [`build`].
pub fn build_each(
    overrides: &Overrides,
    scripts: &[Option<PathBuf>],
    versions: &[Option<u32>],
    directory: &Path,
) -> Result<Vec<Plan>, PlanError> {
    let mut plans: Vec<Plan> = Vec::new();
    for script in scripts {
        for postgres in versions {
            let overrides = Overrides { script: script.clone(), postgres: *postgres, ..overrides.clone() };
            let plan = within(&overrides, directory, |builder| match plans.first() {
                Some(first) => builder.like(first),
                None => builder.plan(),
            })?;
            plans.push(plan);
        }
    }
    Ok(plans)
}

/// Reads the rehearsal file, and makes a plan of it.
fn within(
    overrides: &Overrides,
    directory: &Path,
    make: impl FnOnce(Builder<'_>) -> Result<Plan, PlanError>,
) -> Result<Plan, PlanError> {
    let path = match &overrides.config {
        Some(path) => Some(directory.join(path)),
        None if overrides.no_config => None,
        None => read::find(directory),
    };
    let (source, file, base) = match &path {
        Some(path) => {
            let shown = overrides.config.clone().unwrap_or_else(|| short(path, directory));
            let (mut source, file) = read::read(path)?;
            source.path = shown;
            let base = path.parent().map_or_else(|| directory.to_owned(), Path::to_owned);
            (Some(source), file, base)
        }
        None if overrides.schema.is_empty() => {
            return Err(PlanError::Usage {
                message: format!(
                    "there is no {} in {} or a parent directory",
                    read::FILE_NAME,
                    directory.display()
                ),
                help: "name one with --config; `thirdrun init` writes one for the dumps that are here, and \
                       `thirdrun demo --write DIR` an example to begin from"
                    .to_owned(),
            });
        }
        None => (None, RehearsalFile::default(), directory.to_owned()),
    };
    let source = source.unwrap_or(Source { path: PathBuf::new(), text: "".into() });
    make(Builder { overrides, directory, base: &base, source: &source, file: &file })
}

/// A path as one would type it from `directory`.
pub(super) fn short(path: &Path, directory: &Path) -> PathBuf {
    path.strip_prefix(directory).unwrap_or(path).to_owned()
}

pub(super) struct Builder<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) directory: &'a Path,
    pub(super) base: &'a Path,
    pub(super) source: &'a Source,
    pub(super) file: &'a RehearsalFile,
}

impl Builder<'_> {
    fn plan(&self) -> Result<Plan, PlanError> {
        let (file, overrides) = (self.file, self.overrides);
        let schema =
            self.dumps(&overrides.schema, "--schema", file.clone.schema.as_ref(), Some("schema.sql"), true)?;
        let roles =
            self.dumps(&overrides.roles, "--roles", file.clone.roles.as_ref(), Some("roles.sql"), false)?;
        let load = self.dumps(&[], "", file.data.load.as_ref(), None, false)?;
        for file in &roles {
            if matches!(file.content, Content::Archive(_)) {
                return Err(PlanError::Usage {
                    message: format!("{} is an archive, in which no roles can be", file.path.display()),
                    help: "dump the roles with `pg_dumpall --roles-only`".to_owned(),
                });
            }
        }
        let said = schema.first().map(DumpFile::facts).unwrap_or_default();
        let database = match &file.clone.database {
            Some(name) => DatabaseName::new(name),
            None => said.database.unwrap_or_else(|| DatabaseName::new("app")),
        };
        let bootstrap = bootstrap_role(&roles);
        let (runs, sure) = self.runs()?;
        // Without a script the workers of all runs are there.
        let count = if overrides.scriptless { u32::MAX } else { u32::try_from(sure).unwrap_or(u32::MAX) };
        let written =
            if overrides.scriptless && !overrides.keep_workers { &[][..] } else { file.worker.as_slice() };
        let workers = workers(written, self.source, self.base, count)?;
        self.check_breaks(&workers)?;
        let major = self.wanted_major(said.major)?;
        newer_only(&schema, major)?;
        let dumps = schema.iter().chain(&roles).chain(&load);
        let mut files: Vec<PathBuf> = dumps.map(|dump| self.directory.join(&dump.path)).collect();
        if !self.source.path.as_os_str().is_empty() {
            files.push(self.directory.join(&self.source.path));
        }
        let sandbox = SandboxPlan {
            backend: overrides.backend,
            major,
            image: file.clone.image.clone(),
            packages: self.packages()?,
            postgres_bin: overrides.postgres_bin.as_ref().map(|bin| self.directory.join(bin)),
            settings: texts(&file.clone.settings),
            hba: file.clone.hba.clone(),
            bootstrap: bootstrap.clone(),
            reach: None,
        };
        let seed = SeedPlan {
            schema,
            roles,
            database,
            bootstrap,
            rows: RowsPlan {
                rows: file.data.rows.unwrap_or(100),
                seed: overrides.seed.or(file.data.seed).unwrap_or(1),
                tables: file.data.tables.clone(),
            },
            load,
            in_dump: file.data.dumped,
            skip_missing_extensions: file.clone.extensions == Extensions::SkipMissing,
            passwords: passwords(&file.worker, self.source)?,
        };
        let places = Places {
            source: Some(self.source.clone()),
            roles: file
                .worker
                .iter()
                .map(|entry| (WorkerName::new(entry.name.as_ref()), entry.role.span()))
                .collect(),
        };
        let (cache, replay) = (!overrides.no_cache, !overrides.no_replay);
        let hazards = hazards::chosen(&overrides.hazards, &file.hazards, replay);
        let (title, seed, sizes) = (self.title(&runs), Arc::new(seed), self.sizes()?);
        let statements = if workers.is_empty() { self.statements()? } else { Vec::new() };
        Ok(Plan {
            title,
            sandbox,
            seed,
            cache,
            workers,
            runs,
            sure,
            replay,
            hazards,
            sizes,
            statements,
            all_duties: overrides.all_duties,
            files,
            places,
        })
    }

    /// A plan that differs from another one by its script and its version.
    fn like(&self, other: &Plan) -> Result<Plan, PlanError> {
        let (runs, sure) = self.runs()?;
        self.check_breaks(&other.workers)?;
        let said = other.seed.schema.first().map(DumpFile::facts).unwrap_or_default();
        let major = self.wanted_major(said.major)?;
        newer_only(&other.seed.schema, major)?;
        let sandbox = SandboxPlan { major, ..other.sandbox.clone() };
        Ok(Plan { title: self.title(&runs), sandbox, runs, sure, ..other.clone() })
    }

    /// The script, or the file where each run has its own.
    fn title(&self, runs: &[RunSpec]) -> String {
        let first = runs.first().map(|run| run.shown.as_str()).unwrap_or_default();
        if runs.iter().all(|run| run.shown == first) {
            first.to_owned()
        } else {
            self.source.path.display().to_string()
        }
    }
}

pub(super) fn texts(values: &BTreeMap<String, Setting>) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

impl Plan {
    /// The same with other workers.
    ///
    /// # Errors
    /// When a run says that it breaks a worker which is not among them.
    pub fn with_workers(&self, workers: Vec<WorkerSpec>) -> Result<Self, PlanError> {
        for name in self.runs.iter().flat_map(|run| &run.breaks) {
            if !workers.iter().any(|worker| worker.name == *name) {
                let names: Vec<_> = workers.iter().map(|worker| worker.name.as_str()).collect();
                return Err(PlanError::Usage {
                    message: format!("there is no worker '{name}', which a [[run]] is to break"),
                    help: format!("none is written, so that they are the login roles: {}", names.join(", ")),
                });
            }
        }
        Ok(Self { workers, ..self.clone() })
    }

    /// Checks what only the clone could tell: that the roles of workers and runs exist.
    ///
    /// # Errors
    /// Names the first role that does not, and the nearest that does.
    pub fn check_roles(&self, known: &[RoleName]) -> Result<(), PlanError> {
        let names = || known.iter().map(RoleName::as_str);
        for worker in &self.workers {
            if known.contains(&worker.role) {
                continue;
            }
            let message = format!(
                "worker '{}' logs in as '{}', a role that the clone does not have",
                worker.name, worker.role
            );
            if let (Some(source), Some(span)) = (&self.places.source, self.places.roles.get(&worker.name)) {
                return Err(source.unknown(
                    span.clone(),
                    message,
                    worker.role.as_str(),
                    names(),
                    "its roles are",
                ));
            }
        }
        for run in &self.runs {
            if known.contains(&run.role) {
                continue;
            }
            let nearest = crate::identifiers::nearest(run.role.as_str(), names());
            return Err(PlanError::Usage {
                message: format!(
                    "run {} is by '{}', a role that the clone does not have",
                    run.number, run.role
                ),
                help: match nearest {
                    Some(name) => format!("did you mean '{name}'?"),
                    None => format!("its roles are: {}", names().collect::<Vec<_>>().join(", ")),
                },
            });
        }
        Ok(())
    }
}
