//! From a server that was started to one that thirdrun can use: it answers, and thirdrun's own superuser is set up.

use std::time::Duration;

use super::{Backend, CRASH, READY_DEADLINE, SandboxError, SandboxPlan, major};
use crate::identifiers::{DatabaseName, RoleName, Secret};
use crate::postgres::{NotReady, SUPERUSER, Server, Session, wait_until_ready};

/// How long a server whose connection broke may take to end, or to write that it lost a process.
const ENDS: Duration = Duration::from_secs(10);
/// How often it is asked for.
const POLL: Duration = Duration::from_millis(20);

/// Waits until the server answers its superuser, and returns that session.
///
/// # Errors
/// When it ends, or does not answer in time.
pub(super) async fn answering(server: &Server, backend: &Backend) -> Result<Session, SandboxError> {
    let login = server.superuser_login(&DatabaseName::new("postgres"));
    match wait_until_ready(&server.endpoint, &login, READY_DEADLINE, || backend.alive()).await {
        Ok(session) => Ok(session),
        Err(source) => {
            backend.reached().await?;
            Err(SandboxError::NotReady { source, log: backend.log_tail().await })
        }
    }
}

/// Gives the server thirdrun's own superuser, and says its version.
///
/// # Errors
/// When the server refuses, or is lost.
pub(super) async fn set_up(
    server: &mut Server,
    backend: &Backend,
    plan: &SandboxPlan,
    session: &Session,
) -> Result<String, SandboxError> {
    let version = server_version(session).await?;
    let superuser = RoleName::new(SUPERUSER);
    let password = Secret::random();
    let sql = if server.superuser == superuser {
        format!("ALTER ROLE {} PASSWORD '{}'", superuser.quoted(), password.stored_scram())
    } else {
        // The sandbox's own superuser is another role than the one that owns the catalogs, which
        // bears its original name.
        format!(
            "CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{}'; ALTER ROLE {} PASSWORD NULL",
            superuser.quoted(),
            password.stored_scram(),
            plan.bootstrap.quoted(),
        )
    };
    session.run(&sql).await.map_err(SandboxError::Setup)?;
    server.superuser = superuser;
    server.password = password;
    // What the clone does when somebody logs in must not keep thirdrun out.
    server.options = has_login_triggers(&version).then_some("-c event_triggers=off");
    if let Backend::Docker(container) = &backend {
        container.lock(plan, server, session).await?;
    }
    Ok(version)
}

/// Why a server could not be set up: one that has ended in the meantime has refused nothing.
pub(super) async fn why(error: SandboxError, backend: &Backend) -> SandboxError {
    let SandboxError::Setup(failure) = &error else { return error };
    if !failure.sqlstate.is_of_connection() {
        return error;
    }
    let ended = has_ended(backend).await;
    match backend.reached().await {
        Err(lost) => lost,
        Ok(()) if ended => SandboxError::NotReady { source: NotReady::Died, log: backend.log_tail().await },
        Ok(()) => error,
    }
}

/// Waits until it is known why a server broke a connection: whether it has ended, or has lost a process and written so.
/// What ends a server ends its sessions first, and the engine may not know of it yet.
pub(super) async fn has_ended(backend: &Backend) -> bool {
    let known = async {
        while backend.alive().await {
            if backend.logged(CRASH).await.is_some() {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    };
    tokio::time::timeout(ENDS, known).await.unwrap_or_default()
}

/// Whether event triggers can fire at login: from version 17 on (its manual, 38.1).
fn has_login_triggers(version: &str) -> bool {
    major(version) >= 17
}

async fn server_version(session: &Session) -> Result<String, SandboxError> {
    let answer = session.run("SHOW server_version").await.map_err(SandboxError::Setup)?;
    let version = answer.value.flatten().unwrap_or_default();
    // Debian adds its own version in parentheses.
    Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
}
