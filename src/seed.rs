//! Makes a clone out of dump files: database, roles, schema, passwords, synthetic rows, reference rows.
//!
//! The server is the parser of its own dumps: statements are sent one by one, so that one that fails is
//! named with its file and line. Owners, grants and default privileges come out exactly as the dump has
//! them, because nothing is rewritten.

mod database;
mod fingerprint;
mod passwords;
mod restore;
pub mod rows;
mod tablespaces;

use std::collections::BTreeMap;
use std::time::Instant;

pub use restore::RestoreError;

use crate::dump::{DumpFile, PlainDump, stated_password};
use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::observations::{CloneFacts, Skipped};
use crate::postgres::{QueryFailure, SUPERUSER, Server, Session};
use restore::Restore;

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
    /// What becomes of rows that a dump has in it.
    pub in_dump: DataInDump,
    /// Whether an extension that cannot be created is left out instead of refused.
    pub skip_missing_extensions: bool,
    /// Passwords that workers name.
    pub passwords: BTreeMap<RoleName, Secret>,
}

/// What becomes of rows that a dump has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataInDump {
    /// They are refused: a rehearsal needs no row of the original, and copies are how rows get about.
    #[default]
    Refuse,
    /// They are left out.
    Skip,
    /// They are loaded.
    Load,
}

/// The dumps of a plan as SQL.
#[derive(Debug, Clone)]
pub struct Dumps {
    /// Schema dumps, in order.
    pub schema: Vec<PlainDump>,
    /// Roles dumps, in order.
    pub roles: Vec<PlainDump>,
    /// Files with the rows that workers rely on.
    pub load: Vec<PlainDump>,
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
        for item in crate::dump::split(file.text().unwrap_or_default()).unwrap_or_default() {
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
pub async fn seed(
    plan: &SeedPlan,
    dumps: &Dumps,
    server: &Server,
    root: Option<Session>,
) -> Result<CloneFacts, SeedError> {
    let root = match root {
        Some(root) => root,
        None => login(server, &DatabaseName::new(MAINTENANCE_DATABASE)).await?,
    };
    let begun = Instant::now();
    let mut skipped: Vec<Skipped> = Vec::new();
    let made = database::create(plan, &dumps.schema, &root, &mut skipped).await;
    made.map_err(own("cannot create the clone's database"))?;
    let mut restore = Restore {
        session: &root,
        bootstrap: &plan.bootstrap,
        database: &plan.database,
        skip_missing_extensions: plan.skip_missing_extensions,
        rows: plan.in_dump,
        roles: true,
        skipped: &mut skipped,
    };
    for dump in &dumps.roles {
        restore.dump(dump).await?;
    }
    let app = login(server, &plan.database).await?;
    restore.session = &app;
    restore.roles = false;
    for dump in &dumps.schema {
        restore.dump(dump).await?;
    }
    // A dump ends with its own settings; rows and loads begin with those of a new session.
    let app = renewed(app, plan, server).await?;
    let restored = begun.elapsed();
    let filled = rows::fill(app.client(), &plan.rows).await.map_err(SeedError::Rows)?;
    let filled_by = begun.elapsed();
    let mut restore = Restore {
        session: &app,
        bootstrap: &plan.bootstrap,
        database: &plan.database,
        skip_missing_extensions: false,
        rows: DataInDump::Load,
        roles: false,
        skipped: &mut skipped,
    };
    for dump in &dumps.load {
        restore.dump(dump).await?;
    }
    let roles = roles(&app).await.map_err(own("cannot read the roles"))?;
    tokio::join!(app.close(), root.close());
    Ok(CloneFacts {
        tables: filled.tables,
        roles: u64::try_from(roles.len()).unwrap_or_default(),
        rows: filled.rows,
        tables_without_rows: filled
            .without_rows
            .into_iter()
            .map(|table| format!("{}: {}", table.table, table.reason))
            .collect(),
        skipped,
        restore_ms: restored.as_secs_f64() * 1e3,
        rows_ms: (filled_by - restored).as_secs_f64() * 1e3,
    })
}

/// Who can log in to a clone, and who else is there.
#[derive(Debug)]
pub struct Logins {
    /// The password of every login role.
    pub logins: Vec<(RoleName, Secret)>,
    /// Every role besides PostgreSQL's own and thirdrun's superuser.
    pub roles: Vec<RoleName>,
}

/// Gives every login role of a clone a password. `root` is a superuser's session on any of its databases.
///
/// # Errors
/// When the session fails.
pub async fn provide_passwords(plan: &SeedPlan, root: &Session) -> Result<Logins, SeedError> {
    let mut clear: BTreeMap<RoleName, Secret> = BTreeMap::new();
    for file in &plan.roles {
        note_clear_passwords(file, &mut clear);
    }
    let logins = passwords::set(root, plan, &clear).await;
    let logins = logins.map_err(own("cannot set the passwords of the roles"))?;
    let roles = roles(root).await.map_err(own("cannot read the roles"))?;
    Ok(Logins { logins, roles })
}

fn own(what: &'static str) -> impl FnOnce(QueryFailure) -> SeedError {
    move |source| SeedError::Own { what, source }
}

async fn login(server: &Server, database: &DatabaseName) -> Result<Session, SeedError> {
    let session = Session::open(&server.endpoint, &server.superuser_login(database)).await;
    session.map_err(own("cannot log in to make the clone"))
}

/// Every role besides PostgreSQL's own and thirdrun's superuser.
async fn roles(session: &Session) -> Result<Vec<RoleName>, QueryFailure> {
    // They are read in one row: the simple protocol gives the first one only.
    let answer = session
        .run(
            "SELECT pg_catalog.json_agg(rolname ORDER BY rolname) FROM pg_catalog.pg_roles \
             WHERE rolname !~ '^pg_' AND rolname <> 'thirdrun'",
        )
        .await?;
    Ok(serde_json::from_str(&answer.value.flatten().unwrap_or_default()).unwrap_or_default())
}

/// A session as if it were new. It need not be new where no database or role has settings of its own.
async fn renewed(session: Session, plan: &SeedPlan, server: &Server) -> Result<Session, SeedError> {
    let settings = session.run("SELECT FROM pg_catalog.pg_db_role_setting LIMIT 1").await;
    if settings.map_err(own("cannot read the clone's settings"))?.rows == 0 {
        session.run("DISCARD ALL").await.map_err(own("cannot renew the session that made the clone"))?;
        return Ok(session);
    }
    session.close().await;
    login(server, &plan.database).await
}

/// Remembers the passwords that a file gives in the clear; a later statement overrides an earlier one.
fn note_clear_passwords(file: &DumpFile, clear: &mut BTreeMap<RoleName, Secret>) {
    let items = crate::dump::split(file.text().unwrap_or_default());
    for stated in items.unwrap_or_default().iter().filter_map(|item| stated_password(item.text)) {
        match stated.clear {
            Some(password) => clear.insert(stated.role, Secret::new(password)),
            None => clear.remove(&stated.role),
        };
    }
}
