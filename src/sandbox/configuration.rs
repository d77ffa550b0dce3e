//! What the server of a sandbox is told, whichever backend it has.

use std::collections::BTreeMap;

use crate::postgres::SUPERUSER;

/// What every sandbox's server is told on its command line, where neither the plan nor a script can change
/// it (PostgreSQL manual, 20.1.4): where it listens, and the language in which psql's errors are read.
pub(super) fn fixed_settings(listen: &str, port: u16, socket: &str) -> Vec<String> {
    [
        ("listen_addresses", listen),
        ("port", &port.to_string()),
        ("unix_socket_directories", socket),
        ("lc_messages", "C"),
    ]
    .into_iter()
    .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
    .collect()
}

/// The end of a sandbox's `postgresql.conf`: the sandbox's own settings, then the plan's, of which the last
/// one wins. They stand in the file, so that a script's `ALTER SYSTEM` overrides them as it would in the
/// original (PostgreSQL manual, 20.1.2).
pub(super) fn conf_text(settings: &BTreeMap<String, String>) -> String {
    // Nothing must outlive the machine. What is committed must outlive a crash of the server, so that
    // synchronous_commit stays on (PostgreSQL manual, 30.4). Up to version 13 passwords are stored as md5
    // unless it is told otherwise, with which nobody gets past the sandbox's own rule.
    let own = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("shared_buffers", "64MB"),
        ("password_encryption", "scram-sha-256"),
    ];
    let plan = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut text = "\n# thirdrun\n".to_owned();
    for (name, value) in own.into_iter().chain(plan) {
        let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
        text.push_str(&format!("{name} = '{value}'\n"));
    }
    text
}

/// `pg_hba.conf` of a sandbox: the user's lines, then scram-sha-256 for everyone.
///
/// Workers come through the unix socket, for which PostgreSQL reads only `local` lines (manual, 20.1),
/// so that every `host` line stands there a second time as a `local` one.
pub(super) fn hba_text(lines: &[String]) -> String {
    let mut text = format!("local all {SUPERUSER} scram-sha-256\nhost all {SUPERUSER} all scram-sha-256\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if let Some(twin) = local_twin(line) {
            text.push_str(&twin);
            text.push('\n');
        }
    }
    text.push_str("local all all scram-sha-256\nhost all all all scram-sha-256\n");
    text.push_str("local replication all scram-sha-256\nhost replication all all scram-sha-256\n");
    text
}

fn local_twin(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let kind = fields.next()?;
    if !kind.starts_with("host") {
        return None;
    }
    let (database, user, address) = (fields.next()?, fields.next()?, fields.next()?);
    let mut rest: Vec<_> = fields.collect();
    // An address may be followed by a netmask of its own.
    if !address.contains('/') && rest.first().is_some_and(|mask| mask.parse::<std::net::IpAddr>().is_ok()) {
        rest.remove(0);
    }
    Some(format!("local {database} {user} {}", rest.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_and_the_plans_come_last() {
        let settings = BTreeMap::from([
            ("shared_buffers".to_owned(), "1GB".to_owned()),
            ("search_path".to_owned(), "a\\b, 'c'\nfsync = on".to_owned()),
        ]);
        assert_eq!(
            conf_text(&settings),
            "\n# thirdrun\nfsync = 'off'\nfull_page_writes = 'off'\nshared_buffers = '64MB'\n\
             password_encryption = 'scram-sha-256'\nsearch_path = 'a\\\\b, ''c''\\nfsync = on'\nshared_buffers = '1GB'\n"
        );
    }

    #[test]
    fn host_lines_hold_for_the_unix_socket_too() {
        assert_eq!(local_twin("host all svc all md5").as_deref(), Some("local all svc md5"));
        assert_eq!(
            local_twin("hostssl app svc 10.0.0.0 255.0.0.0 scram-sha-256").as_deref(),
            Some("local app svc scram-sha-256")
        );
        assert_eq!(local_twin("local all all trust"), None);
        assert_eq!(local_twin("# host all all all md5"), None);
    }
}
