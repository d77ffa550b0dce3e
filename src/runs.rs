//! Running the candidate script: an `.sql` file by the real psql, any executable otherwise.
//!
//! Knows nothing of workers or verdicts; where the program runs is its launcher's business.

mod arrival;
mod source;
mod waits;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use arrival::Arrivals;
pub use source::files_of;
pub(crate) use source::origins;
pub use waits::{Waits, Whose};

use crate::identifiers::{DatabaseName, RoleName, RunNumber, WorkerName};
use crate::observations::{Ending, ScriptResult, Statement};
use crate::programs::{Executable, LaunchError, Launcher, Place, Program, Until};
use crate::tap::{Recording, Seen};

/// What psql does after an error.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Goes on with the next statement, as psql itself does.
    #[default]
    Continue,
    /// Stops (`ON_ERROR_STOP`).
    Stop,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// Its number.
    pub number: RunNumber,
    /// The script.
    pub script: PathBuf,
    /// The script as the user named it.
    pub shown: String,
    /// Who runs it.
    pub role: RoleName,
    /// Where it connects; none: the clone's database.
    pub database: Option<DatabaseName>,
    /// psql variables.
    pub vars: BTreeMap<String, String>,
    /// What psql does after an error.
    pub on_error: OnError,
    /// When its process group is killed.
    pub timeout: Duration,
    /// Variables of the caller that an executable sees.
    pub env: Vec<(String, String)>,
    /// The image in which an executable runs, with Docker.
    pub image: Option<String>,
    /// Whether the check passes even if the script fails.
    pub may_fail: bool,
    /// Whether it is recorded to have failed; none: nobody says, and it may.
    pub fails: Option<bool>,
    /// The workers that it is recorded to have broken.
    pub breaks: Vec<WorkerName>,
}

impl RunSpec {
    /// Whether psql runs it.
    pub fn is_sql(&self) -> bool {
        self.script.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
    }

    /// Where it runs: psql in the sandbox's own image, an executable in the one that the plan names.
    pub fn place(&self) -> Place {
        Place {
            directory: self.script.parent().map(PathBuf::from).unwrap_or_default(),
            image: self.image.clone().filter(|_| !self.is_sql()),
        }
    }

    fn program(&self, database: &DatabaseName) -> Program {
        let file = self.script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = if self.is_sql() {
            // Without psqlrc (-X); the file by its own name, so that messages name it as the user does.
            let mut arguments = vec!["-X".to_owned()];
            if self.on_error == OnError::Stop {
                arguments.extend(["-v".to_owned(), "ON_ERROR_STOP=1".to_owned()]);
            }
            for (name, value) in &self.vars {
                arguments.extend(["-v".to_owned(), format!("{name}={value}")]);
            }
            arguments.extend(["-f".to_owned(), file]);
            Executable::Psql(arguments)
        } else {
            Executable::File(format!("./{file}"), Vec::new())
        };
        Program {
            what,
            directory: self.place().directory,
            role: self.role.clone(),
            database: self.database.clone().unwrap_or_else(|| database.clone()),
            env: self.env.clone(),
            image: self.place().image,
            user: None,
            application: None,
            until: Until::Timeout(self.timeout),
            tapped: true,
        }
    }
}

/// Runs a script to its end.
///
/// # Errors
/// When it could not be started.
pub async fn run(
    spec: &RunSpec,
    database: &DatabaseName,
    launcher: &dyn Launcher,
) -> Result<ScriptResult, LaunchError> {
    let outcome = launcher.launch(&spec.program(database)).await?;
    let errors = if spec.is_sql() { outcome.output.errors().to_vec() } else { Vec::new() };
    Ok(ScriptResult {
        ending: outcome.ending,
        duration_ms: outcome.duration.as_secs_f64() * 1e3,
        output_tail: outcome.output.tail(),
        output_truncated: outcome.output.truncated(),
        errors,
        statements: Vec::new(),
    })
}

/// What a script sent, each statement with its place in the script.
pub fn statements(spec: &RunSpec, recording: &Recording) -> Vec<Statement> {
    let sent: Vec<&str> = recording.statements.iter().map(|seen| seen.text.as_str()).collect();
    let origins = if spec.is_sql() { source::origins(&spec.script, &sent) } else { Vec::new() };
    let mut origins = origins.into_iter();
    let statement = |seen: &Seen| {
        let origin = origins.next().flatten();
        let (line, file, written) = match origin {
            Some(origin) => (Some(origin.line), origin.file, Some(origin.sql)),
            None => (None, None, None),
        };
        let same = written.as_ref().is_none_or(|written| source::same(written, &seen.text));
        Statement {
            index: seen.index,
            session: seen.connection,
            backend: seen.backend,
            role: RoleName::new(seen.role.clone()),
            line,
            file,
            sql: written.unwrap_or_else(|| seen.text.clone()),
            sent: (!same).then(|| seen.text.clone()),
            began_ms: seen.began_ms,
            duration_ms: seen.ended_ms.map(|ended| ended - seen.began_ms),
            tag: seen.tag.clone(),
            rows: seen.rows,
            sqlstate: seen.sqlstate.clone(),
            message: seen.message.clone(),
            in_transaction: seen.in_transaction,
            locks: Vec::new(),
            scans: Vec::new(),
            rewrites: Vec::new(),
        }
    };
    recording.statements.iter().map(statement).collect()
}

impl ScriptResult {
    /// Whether the script failed (contract, section 3).
    pub fn failed(&self) -> bool {
        self.ending != Ending::Exited(0) || !self.errors.is_empty()
    }
}
