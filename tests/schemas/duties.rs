//! Workers that are derived from what roles may do, on schemas that nobody here wrote, with the roles that their manuals
//! ask for: each privilege of each role is taken away, one at a time, and its worker must say so by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Failed;
use thirdrun::identifiers::{DatabaseName, RoleName, RunNumber};
use thirdrun::observations::WorkerObservation;
use thirdrun::postgres::{QueryFailure, Session};
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::seed::rows::{RowsPlan, fill, spare};
use thirdrun::seed::{DataInDump, SeedPlan, provide_passwords};
use thirdrun::workers::duties::{self, Sources};
use thirdrun::workers::{Crew, SessionKind, Step, StepWork, Surroundings, WorkerSpec};

use super::{login, program};

/// A schema, what comes before it and what behind it.
pub const SCHEMAS: [(&str, &str, &str); 2] = [
    // Zabbix's manual, "Database creation": the role owns the database, and imports the schema itself.
    (
        "zabbix",
        "CREATE ROLE zabbix LOGIN; ALTER DATABASE app OWNER TO zabbix; ALTER SCHEMA public OWNER TO zabbix; \
         SET ROLE zabbix;",
        "RESET ROLE;",
    ),
    // Bacula's grant_postgresql_privileges; and a role that only looks, as its manual has for reports.
    (
        "bacula",
        "CREATE ROLE bacula LOGIN; CREATE ROLE reports LOGIN;",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO bacula; \
         GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO bacula; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO reports;",
    ),
];

/// Rows of each table: enough for each to have some.
const ROWS: u64 = 10;

/// Every privilege of a login role on what is the schema's, with the statements that take and give it.
const PRIVILEGES: &str = "
    SELECT r.rolname AS role, c.oid::regclass::text AS name, a.privilege_type AS privilege,
        format('%s ON %s %I.%I', a.privilege_type, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            n.nspname, c.relname) AS what
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\",
        c.relowner))) a
    JOIN pg_roles r ON r.oid = a.grantee AND r.rolcanlogin AND r.oid <> 10 AND r.rolname <> 'thirdrun'
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1, 2, 3";

pub async fn every_privilege(name: &str, file: &Path) -> Result<(), Failed> {
    let scope = Scope::create()?;
    let result = within(name, file, &scope).await;
    scope.close().await;
    result
}

fn said(failure: QueryFailure) -> Failed {
    failure.message.into()
}

async fn within(name: &str, file: &Path, scope: &Scope) -> Result<(), Failed> {
    let (_, before, behind) = SCHEMAS.iter().find(|(of, ..)| *of == name).ok_or("no such schema")?;
    let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
    let sandbox = Sandbox::start(&plan, None, scope, &[]).await?;
    login(&sandbox, "postgres").await.run("CREATE DATABASE app").await.map_err(said)?;
    let whole = scope.directory().join("schema.sql");
    std::fs::write(&whole, format!("{before}\n{}\n{behind}\n", std::fs::read_to_string(file)?))?;
    program(&sandbox, "psql", "app", &["-X", "-q", "-f", &whole.display().to_string()])?;
    let root = login(&sandbox, "app").await;
    fill(root.client(), &RowsPlan { rows: ROWS, seed: 1, tables: BTreeMap::new() }).await?;
    let workers = derived(&sandbox, &root).await?;
    let surroundings = workers.1;
    let mut crew = Crew::new(workers.0.clone(), surroundings);
    crew.start_for(RunNumber(1)).await;
    let well = |seen: &[WorkerObservation]| match seen.iter().find(|one| !one.works()) {
        Some(ill) => Err(Failed::from(format!("{ill:#?}"))),
        None => Ok(()),
    };
    well(&crew.baseline().await)?;
    let rows = root.client().query(PRIVILEGES, &[]).await?;
    let mut missed = Vec::new();
    for row in &rows {
        let (role, object): (String, String) = (row.get("role"), row.get("name"));
        let (privilege, what): (String, String) = (row.get("privilege"), row.get("what"));
        root.run(&format!("REVOKE {what} FROM {role}")).await.map_err(said)?;
        let seen = crew.baseline().await;
        root.run(&format!("GRANT {what} TO {role}")).await.map_err(said)?;
        for one in &seen {
            let told = failing_step(one, &workers.0);
            let hit = one.name.as_str() == role;
            let named = told.as_ref().is_some_and(|step| {
                let bare = object.trim_matches('"');
                // A foreign key is checked as the owner of the table, so that another step may be the first to fail.
                let denied = step.contains("permission denied for ");
                step.contains(bare) && (step.contains(&privilege) || denied)
            });
            if hit != told.is_some() || (hit && !named) {
                missed.push(format!("{what} of {role}: {} says {told:?}", one.name));
            }
        }
    }
    well(&crew.baseline().await)?;
    eprintln!("{name}: {} privileges of {} roles, each revoked and missed", rows.len(), workers.0.len());
    crew.stop().await;
    root.close().await;
    if rows.len() < 100 {
        return Err(format!("only {} privileges", rows.len()).into());
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n").into()) }
}

/// The name of the step at which a worker fails on a new session, and what the server says: an INSERT takes from
/// sequences and looks at what it references, and fails for that.
fn failing_step(seen: &WorkerObservation, workers: &[WorkerSpec]) -> Option<String> {
    let failure = seen.new_session.failure.as_ref()?;
    let spec = workers.iter().find(|spec| spec.name == seen.name)?;
    let StepWork::Steps(steps) = &spec.work else { return Some(String::new()) };
    let at = failure.step.and_then(|step| usize::try_from(step).ok()?.checked_sub(1));
    Some(match at.and_then(|at| steps.get(at)) {
        Some(Step::Sql { name: Some(name), .. }) => format!("{name}: {}", failure.message),
        _ => failure.message.clone(),
    })
}

/// The workers, each of which has a new session every time: that is half the time, and privileges are the same on both.
async fn derived(sandbox: &Sandbox, root: &Session) -> Result<(Vec<WorkerSpec>, Surroundings), Failed> {
    let plan = SeedPlan {
        schema: Vec::new(),
        roles: Vec::new(),
        database: DatabaseName::new("app"),
        bootstrap: RoleName::new(thirdrun::postgres::SUPERUSER),
        rows: RowsPlan { rows: ROWS, seed: 1, tables: BTreeMap::new() },
        load: Vec::new(),
        in_dump: DataInDump::Refuse,
        skip_missing_extensions: false,
        passwords: BTreeMap::new(),
    };
    let logins = provide_passwords(&plan, root).await?;
    let surroundings = Surroundings {
        endpoint: sandbox.server().endpoint.clone(),
        database: plan.database.clone(),
        logins: Arc::new(logins.logins),
        launcher: sandbox.launcher(),
        ways: std::sync::Arc::default(),
    };
    let rows = spare(root.client(), 1, 3).await?;
    let sources = Sources { spare: &rows, ran: &[], all: false };
    let found = duties::derive(root, &surroundings, sources).await.map_err(said)?;
    if !found.left_out.is_empty() {
        return Err(format!("left out: {:#?}", found.left_out).into());
    }
    let wanted: Vec<String> = root
        .client()
        .query("SELECT rolname FROM pg_roles WHERE rolcanlogin AND oid <> 10 AND rolname <> 'thirdrun' ORDER BY 1", &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let named: Vec<String> = found.workers.iter().map(|worker| worker.role.to_string()).collect();
    if named != wanted {
        return Err(format!("workers of {named:?}, and the roles are {wanted:?}").into());
    }
    let fresh = |worker: WorkerSpec| WorkerSpec { session: SessionKind::Fresh, ..worker };
    Ok((found.workers.into_iter().map(fresh).collect(), surroundings))
}
