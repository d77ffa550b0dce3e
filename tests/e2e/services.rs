//! Programs that nobody here wrote as workers: pgAgent, PowerDNS, and PgBouncer in front of workers with SQL. Each is tried
//! as a service that keeps running and as a command that is started for every iteration.
//!
//! With Docker thirdrun installs them into a copy of an image; a local server needs them on this machine, and without
//! them these tests are ignored: nobody wants a name server to be started by a test suite.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::support::{Backend, Machine, Rehearsal, entries, finish, same, statuses};
use crate::trial::trial;

/// Services that psql makes, which every backend has.
pub const TESTS: &[crate::Test] = &[
    ("services::one_that_ends_is_started_again", started_again),
    ("services::one_that_nobody_starts_again", nobody_starts_it_again),
    ("services::one_that_does_not_come_up", does_not_come_up),
    ("services::one_that_is_harmed", is_harmed),
    ("services::one_that_only_its_restart_kills", only_its_restart),
    ("services::one_that_is_left_running", left_running),
    ("services::one_whose_predecessor_stands_in_its_way", predecessor),
];

/// A program and what befalls it.
struct Service {
    name: &'static str,
    /// What has to be on this machine for a local server.
    programs: &'static [&'static str],
    /// What is in its directory, of which the first are the clone's schema.
    schema: &'static [&'static str],
    load: &'static str,
    /// As one that keeps running.
    keeps_running: &'static str,
    /// As one that is started for every iteration.
    command: &'static str,
    /// The worker that is harmed.
    harmed: &'static str,
    /// A script that harms it at its second statement.
    harms: [&'static str; 2],
    repair: &'static str,
    /// The role that can log in no more, while the session it has works.
    keeps_session: Option<&'static str>,
}

const POWERDNS: Service = Service {
    name: "powerdns",
    programs: &[
        "/usr/sbin/pdns_server",
        "/usr/bin/dig",
        "/usr/lib/x86_64-linux-gnu/pdns/libgpgsqlbackend.so",
    ],
    schema: &["grants.sql"],
    load: "zone.sql",
    keeps_running: "
[[worker]]
name = 'powerdns'
role = 'pdns'
command = ['./start']
keep_running = true
health = ['./ask']
",
    command: "
[[worker]]
name = 'powerdns'
role = 'pdns'
command = ['./once']
timeout = '20s'
max_outage = '60s'
",
    harmed: "powerdns",
    harms: ["GRANT SELECT ON domains TO pdns", "REVOKE SELECT ON records FROM pdns"],
    repair: "GRANT SELECT ON public.records TO pdns;",
    keeps_session: Some("pdns"),
};

const PGAGENT: Service = Service {
    name: "pgagent",
    programs: &["/usr/bin/pgagent", "/usr/share/postgresql/15/extension/pgagent.control"],
    schema: &["schema.sql"],
    load: "job.sql",
    keeps_running: "
[[worker]]
name = 'pgagent'
role = 'agent'
command = ['./start']
keep_running = true
timeout = '10s'
max_outage = '60s'
on_connect = ['LISTEN done']
[[worker.step]]
sql = 'UPDATE pgagent.pga_job SET jobnextrun = now() WHERE jobid = 1'
[[worker.step]]
notify = 'done'
[[worker.step]]
sql = 'SELECT jlgstatus FROM pgagent.pga_joblog ORDER BY jlgid DESC LIMIT 1'
value = 's'
",
    command: "
[[worker]]
name = 'pgagent'
role = 'agent'
command = ['./once']
timeout = '10s'
max_outage = '60s'
while_running = false
",
    harmed: "pgagent",
    harms: ["GRANT SELECT ON public.done TO agent", "REVOKE INSERT ON public.done FROM agent"],
    repair: "GRANT INSERT ON public.done TO agent;",
    // It logs in for each step of a job.
    keeps_session: None,
};

const PGBOUNCER: Service = Service {
    name: "pgbouncer",
    programs: &["/usr/sbin/pgbouncer"],
    schema: &["schema.sql"],
    load: "",
    keeps_running: "
[[worker]]
name = 'importer'
role = 'svc_import'
through = 'pooler'
sql = 'INSERT INTO orders (total) VALUES (1)'
[[worker]]
name = 'reporter'
role = 'svc_report'
session = 'fresh'
through = 'pooler'
sql = 'SELECT count(*) FROM orders'
[[worker]]
name = 'pooler'
role = 'pgbouncer'
command = ['./start']
user = 'postgres'
keep_running = true
port = 6432
sql = 'SELECT 1'
",
    command: "
[[worker]]
name = 'importer'
role = 'svc_import'
command = ['./once']
user = 'postgres'
timeout = '20s'
max_outage = '60s'
",
    harmed: "importer",
    harms: ["GRANT SELECT ON orders TO svc_report", "REVOKE INSERT ON orders FROM svc_import"],
    repair: "GRANT INSERT ON public.orders TO svc_import;",
    keeps_session: Some("svc_import"),
};

/// The trials of all of them on each backend.
pub fn trials(machine: &Machine) -> Vec<Trial> {
    type Test = fn(&Service, Backend) -> Result<(), Failed>;
    let tests: [(&str, Test); 3] =
        [("keeps_running", keeps_running), ("as_a_command", as_a_command), ("cannot_log_in", cannot_log_in)];
    let mut trials = Vec::new();
    for service in [&POWERDNS, &PGAGENT, &PGBOUNCER] {
        let missing = service.programs.iter().find(|path| !Path::new(path).exists());
        if let Some(missing) = missing {
            eprintln!("skipped on a local server: {}, since {missing} is not here", service.name);
        }
        for backend in Backend::ALL {
            let can = machine.has(backend) && (backend == Backend::Docker || missing.is_none());
            for (name, test) in tests {
                let name = format!("{backend}::services::{}_{name}", service.name);
                trials.push(trial(name, can, move || test(service, backend)));
            }
        }
    }
    let can = machine.has(Backend::Docker) && rustix::process::geteuid().is_root() && engine().is_some();
    if !can {
        eprintln!(
            "skipped: a user of Docker who is not root, since this is none, or there is no engine's socket"
        );
    }
    trials.push(trial("docker::services::pgbouncer_for_who_is_not_root".to_owned(), can, not_root));
    trials
}

/// The engine's socket, and the group that may use it.
fn engine() -> Option<(&'static str, u32)> {
    const SOCKET: &str = "/var/run/docker.sock";
    Some((SOCKET, std::fs::metadata(SOCKET).ok()?.gid()))
}

/// The user `bin`, whom every Linux has.
const USER: u32 = 2;

/// Who may use the engine without being root may not enter a container's network.
fn not_root() -> Result<(), Failed> {
    let rehearsal = rehearsal(&PGBOUNCER, Backend::Docker, PGBOUNCER.keeps_running)?;
    // Whatever is built is not for everybody to read.
    let binary = rehearsal.path("thirdrun");
    std::fs::copy(env!("CARGO_BIN_EXE_thirdrun"), &binary)?;
    rehearsal.file("harms.sql", "REVOKE SELECT ON orders FROM svc_report;\n");
    let (socket, group) = engine().ok_or("no engine")?;
    let cache = tempfile::tempdir()?;
    std::os::unix::fs::chown(cache.path(), Some(USER), Some(USER))?;
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--groups", &group.to_string(), "--"]);
    command.arg(&binary).args([
        "check",
        "harms.sql",
        "--backend",
        "docker",
        "--runs",
        "1",
        "--max-runs",
        "1",
    ]);
    command.args(["--format", "json", "--quiet"]).current_dir(rehearsal.path(""));
    command.env("THIRDRUN_CACHE_DIR", cache.path()).env("DOCKER_HOST", format!("unix://{socket}"));
    let outcome = finish(&mut command);
    outcome.expect(1, &[])?;
    let report = outcome.json()?;
    let status = |name| statuses(&report, name).pop();
    same("who goes through it unharmed", status("importer").as_deref(), Some("ok"))?;
    same("the pooler", status("pooler").as_deref(), Some("ok"))?;
    same("who goes through it harmed", status("reporter").as_deref(), Some("broken"))?;
    let entry: &Value = entries(&report, "reporter").next().ok_or("no entry")?;
    let repair = "GRANT SELECT ON public.orders TO svc_report;";
    same("the repair", entry["repair"]["sql"].as_str(), Some(repair))
}

/// The rehearsal of a service, with these workers.
fn rehearsal(service: &Service, backend: Backend, workers: &str) -> Result<Rehearsal, Failed> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/services").join(service.name);
    let mut schema: Vec<_> = service.schema.to_vec();
    let debian = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/schemas/{}.sql", service.name));
    if service.name == "powerdns" {
        schema.insert(0, "debian.sql");
    }
    let packages = match backend {
        Backend::Docker => {
            "postgres = '15'\npackages = ['pgagent', 'pgbouncer', 'pdns-server', 'pdns-backend-pgsql', 'bind9-dnsutils']"
        }
        Backend::Local => "",
    };
    let load: Vec<_> = Some(service.load).filter(|load| !load.is_empty()).into_iter().collect();
    let rehearsal = Rehearsal::new("");
    rehearsal.file(
        "thirdrun.toml",
        &format!("[clone]\nschema = {schema:?}\n{packages}\n[data]\nrows = 0\nload = {load:?}\n{workers}"),
    );
    for entry in std::fs::read_dir(files)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        rehearsal.file(&name, &std::fs::read_to_string(&path)?);
    }
    if service.name == "powerdns" {
        rehearsal.file("debian.sql", &std::fs::read_to_string(debian)?);
    }
    rehearsal.file("harmless.sql", "CREATE TABLE IF NOT EXISTS another (x int);\n");
    rehearsal.file("harms.sql", &format!("{};\n{};\n", service.harms[0], service.harms[1]));
    Ok(rehearsal)
}

fn keeps_running(service: &Service, backend: Backend) -> Result<(), Failed> {
    tried(service, backend, service.keeps_running)
}

fn as_a_command(service: &Service, backend: Backend) -> Result<(), Failed> {
    tried(service, backend, service.command)
}

/// What harms nobody passes, and what harms it is found with its repair.
fn tried(service: &Service, backend: Backend, workers: &str) -> Result<(), Failed> {
    let rehearsal = rehearsal(service, backend, workers)?;
    let once = |script: &'static str| vec![script, "--runs", "1", "--max-runs", "1"];
    let report = rehearsal.report(backend, &once("harmless.sql"), 0)?;
    same("harmless", statuses(&report, service.harmed), vec!["ok".to_owned()])?;
    let report = rehearsal.report(backend, &once("harms.sql"), 1)?;
    same("harmed", statuses(&report, service.harmed), vec!["broken".to_owned()])?;
    let broken = report["reasons"].as_array().into_iter().flatten().filter_map(|one| one["worker"].as_str());
    same("all that are harmed", broken.collect::<Vec<_>>(), vec![service.harmed])?;
    let entry: &Value = entries(&report, service.harmed).next().ok_or("no entry")?;
    same("the guilty statement", entry["cause"]["sql"].as_str(), Some(service.harms[1]))?;
    same("the repair", entry["repair"]["sql"].as_str(), Some(service.repair))?;
    same("tried", entry["repair"]["verified"].as_bool(), Some(true))
}

/// A login that is taken away is met by the next start, at the latest.
fn cannot_log_in(service: &Service, backend: Backend) -> Result<(), Failed> {
    let rehearsal = rehearsal(service, backend, service.keeps_running)?;
    let role = service.keeps_session.unwrap_or("agent");
    rehearsal.file("login.sql", &format!("ALTER ROLE {role} NOLOGIN;\n"));
    let report = rehearsal.report(backend, &["login.sql", "--runs", "1", "--max-runs", "1"], 1)?;
    let status = if service.keeps_session.is_some() { "latent" } else { "broken" };
    same("status", statuses(&report, service.harmed), vec![status.to_owned()])?;
    let entry: &Value = entries(&report, service.harmed).next().ok_or("no entry")?;
    same("the guilty statement", entry["cause"]["sql"].as_str(), Some(&*format!("ALTER ROLE {role} NOLOGIN")))
}

/// A service with one session, which is healthy as long as its heart beats.
const HEART: &str = "
[[worker]]
name = 'heart'
role = 'svc_reader'
command = ['./heart']
keep_running = true
health = ['./beats']
timeout = '2s'
max_outage = '60s'
";
const BEAT: &str = r#"#!/bin/bash
coproc psql -XAtq -v ON_ERROR_STOP=1 2>&1
while echo 'SELECT count(*) >= 0 FROM public.orders;' >&"${COPROC[1]}" && read -r line <&"${COPROC[0]}" && [ "$line" = t ]; do
  touch "${TMPDIR:-/tmp}/beat"
  sleep 0.02
done
echo "${line:-the session is gone}"
exit 7
"#;
const BEATS: &str = r#"#!/bin/sh
rm -f "${TMPDIR:-/tmp}/beat"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  [ ! -e "${TMPDIR:-/tmp}/beat" ] || exit 0
  sleep 0.1
done
echo 'its heart does not beat'
exit 1
"#;
const ENDS_IT: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'svc_reader';\n";

fn heart(more: &str, script: &str) -> Rehearsal {
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 1\nmax_runs = 1\n{HEART}{more}"));
    rehearsal.file("heart", BEAT).file("beats", BEATS).file("s.sql", script);
    rehearsal
}

fn status(report: &Value, wanted: &[&str]) -> Result<(), Failed> {
    let status = statuses(report, "heart");
    if matches!(status.as_slice(), [one] if wanted.contains(&one.as_str())) {
        return Ok(());
    }
    Err(format!("{status:?}, wanted {wanted:?}: {report:#}").into())
}

/// What is said of a session after the run.
fn said<'a>(report: &'a Value, session: &str, key: &str) -> &'a str {
    entries(report, "heart").next().and_then(|entry| entry[session][key].as_str()).unwrap_or_default()
}

fn begins(got: &str, wanted: &str) -> Result<(), Failed> {
    if got.starts_with(wanted) { Ok(()) } else { Err(format!("{got:?}, wanted {wanted:?}").into()) }
}

fn started_again(backend: Backend) -> Result<(), Failed> {
    let report = heart("", ENDS_IT).verdict(backend, &["s.sql"], 0)?;
    status(&report, &["ok", "disrupted"])
}

fn nobody_starts_it_again(backend: Backend) -> Result<(), Failed> {
    let report = heart("reconnect = false\n", ENDS_IT).verdict(backend, &["s.sql"], 1)?;
    status(&report, &["broken"])?;
    begins(said(&report, "existing_session", "message"), "the service ended: exited with status 7: ")
}

fn does_not_come_up(backend: Backend) -> Result<(), Failed> {
    let rehearsal = heart("", "SELECT 1;\n");
    rehearsal.file("heart", "#!/bin/sh\necho 'no such thing' >&2\nexit 7\n");
    let report = rehearsal.verdict(backend, &["s.sql"], 3)?;
    let said = report["baseline"]["workers"][0]["new_session"]["message"].as_str();
    same("what is said", said, Some("the service ended: exited with status 7: no such thing"))
}

fn is_harmed(backend: Backend) -> Result<(), Failed> {
    let script = "SELECT 1;\nREVOKE SELECT ON public.orders FROM svc_reader;\n";
    let report = heart("", script).report(backend, &["s.sql"], 1)?;
    status(&report, &["broken"])?;
    let denied = "the service ended: exited with status 7: ERROR:  permission denied for table orders";
    begins(said(&report, "existing_session", "message"), denied)?;
    let entry = entries(&report, "heart").next().ok_or("no entry")?;
    same("the cause", entry["cause"]["line"].as_u64(), Some(2))?;
    let repair = "GRANT SELECT ON public.orders TO svc_reader;";
    same("the repair", entry["repair"]["sql"].as_str(), Some(repair))
}

fn only_its_restart(backend: Backend) -> Result<(), Failed> {
    let report = heart("", "ALTER ROLE svc_reader NOLOGIN;\n").report(backend, &["s.sql"], 1)?;
    status(&report, &["latent"])?;
    begins(said(&report, "new_session", "message"), "the service ended: exited with status 7: ")?;
    let entry = entries(&report, "heart").next().ok_or("no entry")?;
    same("the cause", entry["cause"]["line"].as_u64(), Some(1))?;
    same("the repair", entry["repair"]["sql"].as_str(), Some("ALTER ROLE svc_reader LOGIN;"))
}

/// What one start leaves behind ends the next one, which removes it.
const LOCKS: &str = r#"#!/bin/bash
if [ -e "${TMPDIR:-/tmp}/locked" ]; then
  rm "${TMPDIR:-/tmp}/locked"
  exit 7
fi
touch "${TMPDIR:-/tmp}/locked"
exec ./beat
"#;

fn predecessor(backend: Backend) -> Result<(), Failed> {
    let rehearsal = heart("", "SELECT 1;\n");
    rehearsal.file("heart", LOCKS).file("beat", BEAT);
    status(&rehearsal.verdict(backend, &["s.sql"], 0)?, &["ok"])?;
    rehearsal.file("s.sql", "ALTER ROLE svc_reader NOLOGIN;\n");
    status(&rehearsal.verdict(backend, &["s.sql"], 1)?, &["latent"])
}

/// It is not asked what a restart would do to it, but for the login.
fn left_running(backend: Backend) -> Result<(), Failed> {
    let only_at_start = "ALTER ROLE svc_reader SET search_path = nowhere;\n";
    let report = heart("restart = false\n", only_at_start).verdict(backend, &["s.sql"], 0)?;
    status(&report, &["ok"])?;
    let report =
        heart("restart = false\n", "ALTER ROLE svc_reader NOLOGIN;\n").verdict(backend, &["s.sql"], 1)?;
    status(&report, &["latent"])?;
    same("code", said(&report, "new_session", "sqlstate"), "28000")
}
