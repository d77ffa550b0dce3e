//! A password for every login role, of the kind that the roles file stores for it.

use std::collections::BTreeMap;

use super::SeedPlan;
use crate::identifiers::{RoleName, Secret, quote_literal};
use crate::postgres::{QueryFailure, Session};

/// Sets a password on every login role that was not given one in the clear, and returns all of them.
pub(super) async fn set(
    session: &Session,
    plan: &SeedPlan,
    clear: &BTreeMap<RoleName, Secret>,
) -> Result<Vec<(RoleName, Secret)>, QueryFailure> {
    // Roles are read in one row: the simple protocol gives the first one only.
    let sql = "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(\
                   rolname, coalesce(rolpassword ~ '^md5[0-9a-f]{32}$', false)) ORDER BY rolname) \
               FROM pg_catalog.pg_authid WHERE rolcanlogin AND rolname <> 'thirdrun'";
    let answer = session.run(sql).await?;
    let text = answer.value.flatten().unwrap_or_default();
    let roles: Vec<(String, bool)> = serde_json::from_str(&text).unwrap_or_default();
    let mut logins = Vec::new();
    let mut statements = String::new();
    for (name, md5) in roles {
        let role = RoleName::new(name);
        if let Some(password) = clear.get(&role) {
            logins.push((role, password.clone()));
            continue;
        }
        let password = plan.passwords.get(&role).cloned().unwrap_or_else(Secret::random);
        let stored = if md5 { password.stored_md5(&role) } else { password.stored_scram() };
        statements.push_str(&format!("ALTER ROLE {} PASSWORD {};", role.quoted(), quote_literal(&stored)));
        logins.push((role, password));
    }
    session.run(&statements).await?;
    Ok(logins)
}
