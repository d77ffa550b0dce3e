//! Makes a clone out of dump files: database, roles, schema, passwords, synthetic rows, reference rows.
//!
//! The server is the parser of its own dumps: statements are sent one by one, so that one that fails is
//! named with its file and line. Owners, grants and default privileges come out exactly as the dump has
//! them, because nothing is rewritten.

mod database;
mod passwords;
mod restore;
pub mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use restore::RestoreError;

use crate::dump::{DumpFacts, stated_password};
use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::observations::{CloneFacts, Skipped};
use crate::postgres::{QueryFailure, SUPERUSER, Server, Session};

/// The database that every server has.
const MAINTENANCE_DATABASE: &str = "postgres";

/// What the clone is made of.
#[derive(Debug, Clone)]
pub struct SeedPlan {
    /// Schema dumps, in order.
    pub schema: Vec<DumpFile>,
    /// Roles dumps, in order.
    pub roles: Vec<DumpFile>,
    /// The clone's database.
    pub database: DatabaseName,
    /// The role that owns the system catalogs, and restores.
    pub bootstrap: RoleName,
    /// Synthetic rows.
    pub rows: rows::RowsPlan,
    /// Files with the rows that workers rely on.
    pub load: Vec<DumpFile>,
    /// Whether an extension that cannot be created is left out instead of refused.
    pub skip_missing_extensions: bool,
    /// Passwords that workers name.
    pub passwords: BTreeMap<RoleName, Secret>,
}

/// A dump file that has been read.
#[derive(Debug, Clone)]
pub struct DumpFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl DumpFile {
    /// What it says of where it came from.
    pub fn facts(&self) -> DumpFacts {
        DumpFacts::read(&self.text)
    }
}

/// The role that owns the catalogs of a cluster into which these roles files will be restored.
///
/// It is `postgres`, as in the original, unless a file makes that one an ordinary role: the owner of the
/// catalogs must be a superuser (PostgreSQL refuses to take that from it), so that it then has the name of
/// thirdrun's own superuser.
pub fn bootstrap_role(roles: &[DumpFile]) -> RoleName {
    let postgres = RoleName::new("postgres");
    let mut created = false;
    let mut superuser = false;
    for file in roles {
        for item in crate::dump::split(&file.text).unwrap_or_default() {
            let words = crate::dump::words(item.text);
            let [verb, object, role, rest @ ..] = words.as_slice() else {
                continue;
            };
            let is_role = object.is("role") || object.is("user");
            if !is_role || role.identifier() != Some(postgres.as_str()) {
                continue;
            }
            created |= verb.is("create");
            if rest.iter().any(|word| word.is("superuser")) {
                superuser = true;
            }
            if rest.iter().any(|word| word.is("nosuperuser")) {
                superuser = false;
            }
        }
    }
    if created && !superuser { RoleName::new(SUPERUSER) } else { postgres }
}

/// A clone that is ready.
#[derive(Debug)]
pub struct Seeded {
    /// What it holds.
    pub facts: CloneFacts,
    /// The password of every login role.
    pub logins: Vec<(RoleName, Secret)>,
    /// Every role besides PostgreSQL's own and thirdrun's superuser.
    pub roles: Vec<RoleName>,
}

/// Why a clone could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A dump could not be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// thirdrun's own session failed.
    #[error("{what}")]
    Own {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: QueryFailure,
    },
    /// Rows could not be made.
    #[error("synthetic rows could not be made")]
    Rows(#[source] rows::RowsError),
    /// The catalogs could not be read.
    #[error("the clone's catalogs could not be read")]
    Catalog(#[source] tokio_postgres::Error),
}

/// Makes the clone. `root` is a superuser's session that is there already, which saves a login.
///
/// # Errors
/// When a statement of a file fails, with its place.
pub async fn seed(plan: &SeedPlan, server: &Server, root: Option<Session>) -> Result<Seeded, SeedError> {
    let own = |what: &'static str| move |source| SeedError::Own { what, source };
    let postgres = DatabaseName::new(MAINTENANCE_DATABASE);
    let root = match root {
        Some(root) => root,
        None => Session::open(&server.endpoint, &server.superuser_login(&postgres))
            .await
            .map_err(own("cannot log in to make the clone"))?,
    };
    let mut skipped: Vec<Skipped> = Vec::new();
    database::create(plan, &root, &mut skipped).await.map_err(own("cannot create the clone's database"))?;
    let mut restore = restore::Restore {
        session: &root,
        bootstrap: &plan.bootstrap,
        skip_missing_extensions: plan.skip_missing_extensions,
        skipped: &mut skipped,
    };
    let mut clear: BTreeMap<RoleName, Secret> = BTreeMap::new();
    for file in &plan.roles {
        restore.file(&file.path, &file.text).await?;
        note_clear_passwords(&file.path, &file.text, &mut clear)?;
    }
    let app = Session::open(&server.endpoint, &server.superuser_login(&plan.database))
        .await
        .map_err(own("cannot log in to the clone"))?;
    restore.session = &app;
    for file in &plan.schema {
        restore.file(&file.path, &file.text).await?;
    }
    let logins =
        passwords::set(&app, plan, &clear).await.map_err(own("cannot set the passwords of the roles"))?;
    // A dump ends with its own settings; rows and loads begin with those of a new session.
    let app = renewed(app, plan, server).await.map_err(own("cannot log in to the clone"))?;
    let filled = rows::fill(app.client(), &plan.rows).await.map_err(SeedError::Rows)?;
    let mut restore = restore::Restore {
        session: &app,
        bootstrap: &plan.bootstrap,
        skip_missing_extensions: false,
        skipped: &mut skipped,
    };
    for file in &plan.load {
        restore.file(&file.path, &file.text).await?;
    }
    let roles = app
        .run(
            "SELECT pg_catalog.json_agg(rolname ORDER BY rolname) FROM pg_catalog.pg_roles \
             WHERE rolname !~ '^pg_' AND rolname <> 'thirdrun'",
        )
        .await
        .map_err(own("cannot read the roles"))?;
    let roles = roles.value.flatten().unwrap_or_default();
    let roles: Vec<RoleName> = serde_json::from_str(&roles).unwrap_or_default();
    tokio::join!(app.close(), root.close());
    Ok(Seeded {
        facts: CloneFacts {
            tables: filled.tables,
            roles: u64::try_from(roles.len()).unwrap_or_default(),
            rows: filled.rows,
            tables_without_rows: filled
                .without_rows
                .into_iter()
                .map(|table| format!("{}: {}", table.table, table.reason))
                .collect(),
            skipped,
        },
        logins,
        roles,
    })
}

/// A session as if it were new. It need not be new where no database or role has settings of its own.
async fn renewed(session: Session, plan: &SeedPlan, server: &Server) -> Result<Session, QueryFailure> {
    let settings = session.run("SELECT FROM pg_catalog.pg_db_role_setting LIMIT 1").await?;
    if settings.rows == 0 {
        session.run("DISCARD ALL").await?;
        return Ok(session);
    }
    session.close().await;
    Session::open(&server.endpoint, &server.superuser_login(&plan.database)).await
}

/// Remembers the passwords that a file gives in the clear; a later statement overrides an earlier one.
fn note_clear_passwords(
    path: &Path,
    text: &str,
    clear: &mut BTreeMap<RoleName, Secret>,
) -> Result<(), RestoreError> {
    for item in restore::items(path, text)? {
        if let Some(stated) = stated_password(item.text) {
            match stated.clear {
                Some(password) => clear.insert(stated.role, Secret::new(password)),
                None => clear.remove(&stated.role),
            };
        }
    }
    Ok(())
}
