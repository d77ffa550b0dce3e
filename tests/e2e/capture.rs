//! `thirdrun capture`, from a sandbox that plays the live database.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;
use thirdrun::sandbox::local::find_all;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};

use crate::Test;
use crate::support::{Backend, Outcome, eventually, finish, same, thirdrun};

pub const TESTS: &[Test] = &[
    ("capture::what_was_captured_is_what_the_clone_is", whole),
    ("capture::it_only_reads", it_only_reads),
    ("capture::an_ordinary_role_is_told_what_it_cannot_see", ordinary_role),
    ("capture::what_goes_wrong_leaves_nothing_behind", wrong),
];

/// What must be nowhere in a capture.
const NOWHERE: [&str; 3] = ["s3cret", "row-value", "SCRAM-SHA-256"];
/// The versions of `images/build`.
const MAJORS: [u32; 4] = [18, 17, 15, 13];

/// The live database.
struct Source {
    runtime: tokio::runtime::Runtime,
    scope: Scope,
    sandbox: Sandbox,
    major: u32,
    psql: std::path::PathBuf,
    password: String,
    /// Where the captures go.
    directory: tempfile::TempDir,
}

impl Source {
    /// A server of a version that the programs of this machine can dump.
    fn start(backend: Backend) -> Result<Self, Failed> {
        Self::start_with(backend, &[])
    }

    /// The same with settings of its own.
    fn start_with(backend: Backend, own: &[(&str, &str)]) -> Result<Self, Failed> {
        let client = find_all(None).into_iter().max_by_key(|one| one.major).ok_or("no client programs")?;
        let major = match backend {
            Backend::Local => client.major,
            Backend::Docker => MAJORS.into_iter().find(|major| *major <= client.major).ok_or("no image")?,
        };
        let settings = [
            ("shared_preload_libraries", "pg_stat_statements"),
            ("wal_level", "logical"),
            ("autovacuum", "off"),
            ("logging_collector", "on"),
            ("log_filename", "server.log"),
            ("log_statement", "all"),
            ("log_line_prefix", "[%a] "),
        ];
        let plan = SandboxPlan {
            backend: match backend {
                Backend::Local => BackendChoice::Local,
                Backend::Docker => BackendChoice::Docker,
            },
            major: Some(major),
            settings: settings
                .iter()
                .chain(own)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..SandboxPlan::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let scope = Scope::create()?;
        let sandbox = match runtime.block_on(Sandbox::start(&plan, None, &scope, &[])) {
            Ok(sandbox) => sandbox,
            Err(error) => {
                runtime.block_on(scope.close());
                return Err(error.into());
            }
        };
        let password = sandbox.server().password.reveal().to_owned();
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(readable).tempdir()?;
        Ok(Self { runtime, scope, sandbox, major, psql: client.psql, password, directory })
    }

    /// The connection string of a role, without a password.
    fn at(&self, role: &str) -> String {
        let (host, port) = self.sandbox.server().endpoint.host_and_port();
        format!("host={host} port={port} user={role} dbname=shop")
    }

    /// The same as a URL.
    fn url(&self, role: &str, password: &str) -> String {
        let (host, port) = self.sandbox.server().endpoint.host_and_port();
        format!("postgres://{role}:{password}@/shop?host={host}&port={port}")
    }

    /// Runs statements as a superuser and returns what they print.
    fn sql(&self, sql: &str) -> Result<String, Failed> {
        self.sql_as("dba", "shop", sql)
    }

    fn sql_as(&self, role: &str, database: &str, sql: &str) -> Result<String, Failed> {
        use std::io::Write as _;
        let target = format!("{} dbname={database}", self.at(role));
        let mut child = Command::new(&self.psql)
            .args(["-XqAtw", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", &target])
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().ok_or("no standard input")?.write_all(sql.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Fills it. Its superuser gets another name, since the one of a sandbox must not be in a clone.
    fn fill(&self) -> Result<(), Failed> {
        let (own, dba) = ("thirdrun", &self.password);
        self.sql_as(own, "postgres", &format!("CREATE ROLE other SUPERUSER LOGIN PASSWORD '{dba}'"))?;
        self.sql_as("other", "postgres", "ALTER ROLE thirdrun RENAME TO dba")?;
        self.sql_as("dba", "postgres", "DROP ROLE other; DROP DATABASE IF EXISTS thirdrun")?;
        self.sql_as("dba", "postgres", "CREATE DATABASE shop")?;
        self.sql(include_str!("capture/roles.sql"))?;
        self.sql(include_str!("capture/schema.sql")).map(drop)
    }

    /// Captures it into a directory of this name.
    fn capture(&self, from: &str, password: Option<&str>, out: &str) -> Outcome {
        let mut command = thirdrun();
        command.args(["capture", "--from", from, "--out", out]).current_dir(self.directory.path());
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        finish(&mut command)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Result<String, Failed> {
        Ok(std::fs::read_to_string(self.path(name))?)
    }

    /// Rehearses a script in what was captured.
    fn rehearse(&self, backend: Backend, out: &str, script: &str) -> Result<Value, Failed> {
        let file = format!("{out}/thirdrun.toml");
        let path = self.path(&format!("{out}/script.sh"));
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut command = thirdrun();
        command.args(["check", "--quiet", "--format", "json", "--runs", "1", "--config", &file]);
        command.args(["--backend", &backend.to_string()]).arg(path).current_dir(self.directory.path());
        let outcome = finish(&mut command);
        outcome.expect(0, &[])?;
        outcome.json()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.runtime.block_on(self.scope.close());
    }
}

/// Adds a worker to what was captured.
fn add_worker(source: &Source, out: &str) -> Result<(), Failed> {
    const WORKER: &str = "\n[[worker]]\nname = 'reader'\nrole = 'svc_import'\ntimeout = '10s'\n\
                          sql = 'SELECT id FROM customers LIMIT 1'\nrows = 1\n";
    let file = format!("{out}/thirdrun.toml");
    Ok(std::fs::write(source.path(&file), source.read(&file)? + WORKER)?)
}

fn filled(backend: Backend) -> Result<Source, Failed> {
    let source = Source::start(backend)?;
    source.fill()?;
    Ok(source)
}

/// Everything that a capture wrote, by name.
fn files(directory: &Path) -> Result<BTreeMap<String, String>, Failed> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, std::fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

fn nothing_secret(files: &BTreeMap<String, String>) -> Result<(), Failed> {
    for (name, text) in files {
        for secret in NOWHERE {
            same(&format!("{secret} in {name}"), text.contains(secret), false)?;
        }
    }
    Ok(())
}

/// Dumps the clone again and compares.
const SAME: &str = r#"#!/bin/bash
set -u
status=0
same() { # FILE COMMAND...
  local file=$1
  shift
  diff <(tail -n +4 "$file" | clean) <("$@" | clean) || status=1
}
clean() {
  grep -vE '^\\(un)?restrict|^-- Dumped|^(CREATE|ALTER) ROLE thirdrun\b|^SET allow_in_place' |
    sed "s/ LOCATION '.*'/ LOCATION ''/"
}
same schema.sql pg_dump --schema-only --create shop
same roles.sql pg_dumpall --globals-only --no-role-passwords
exit $status
"#;

fn whole(backend: Backend) -> Result<(), Failed> {
    let source = filled(backend)?;
    let outcome = source.capture(&source.url("dba", &source.password), None, "shop");
    outcome.expect(0, &["roles.sql has 'masked' in the place of 1 secret"])?;
    let files = files(&source.path("shop"))?;
    let mut names: Vec<_> = files.keys().map(String::as_str).collect();
    names.retain(|name| *name != "statistics.sql");
    let expected = ["roles.sql", "schema.sql", "sizes.json", "statements.json", "thirdrun.toml"];
    same("files", names, expected.to_vec())?;
    same("statistics", files.contains_key("statistics.sql"), source.major >= 18)?;
    nothing_secret(&files)?;
    let sizes: Value = serde_json::from_str(&files["sizes.json"])?;
    let customers =
        sizes["tables"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "customers"));
    same("rows", customers.and_then(|one| one["rows"].as_u64()), Some(600))?;
    let statements: Value = serde_json::from_str(&files["statements.json"])?;
    let found = statements["statements"].as_array().is_some_and(|all| {
        all.iter().any(|one| {
            one["role"] == "svc_import"
                && one["query"] == "SELECT count(*) FROM sales.customers WHERE name = $1"
        })
    });
    same("the statement of a role", found, true)?;
    add_worker(&source, "shop")?;
    // The second clone is the first one, kept.
    for _ in 0..2 {
        let report = source.rehearse(backend, "shop", SAME)?;
        same("tables", report["clone"]["tables"].as_u64(), Some(5))?;
        let skipped = report["clone"]["skipped"].to_string();
        // It has no place of its own in the sandbox.
        same(&skipped, skipped.matches("object").count(), 1)?;
        same(&skipped, skipped.contains("the location of tablespace fast"), true)?;
    }
    Ok(())
}

fn it_only_reads(backend: Backend) -> Result<(), Failed> {
    let source = filled(backend)?;
    // A transaction that writes anything takes a number.
    let next = || source.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())");
    let before = next()?;
    source.capture(&source.at("dba"), Some(&source.password), "shop").expect(0, &[])?;
    same("transactions that wrote", next()?, before)?;
    let log = source.sql("SELECT pg_read_file('log/server.log')")?;
    let said: Vec<_> =
        log.lines().filter_map(|line| line.strip_prefix("[thirdrun capture] LOG:  ")).collect();
    let statements: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("statement: ")).collect();
    same("everything is a statement", statements.len(), said.len())?;
    same("there are statements", statements.len() > 50, true)?;
    for statement in statements {
        let word = statement.split([' ', ';']).next().unwrap_or_default().to_ascii_lowercase();
        let reads = match word.as_str() {
            "select" | "with" | "set" | "reset" | "begin" | "commit" | "rollback" | "prepare" | "execute" => {
                true
            }
            "lock" => statement.ends_with(" IN ACCESS SHARE MODE"),
            _ => false,
        };
        same(statement, reads, true)?;
    }
    Ok(())
}

fn ordinary_role(backend: Backend) -> Result<(), Failed> {
    let source = filled(backend)?;
    let outcome = source.capture(&source.url("analyst", "p%40ss%2Fw%20s3cret"), None, "seen");
    outcome.expect(
        0,
        &[
            "left out, since analyst may not read them: sales.events, sales.events_rest, sales.payments, and what",
            "sales.paid, sales.paid_count",
            "GRANT ",
            "statements of other roles stayed hidden",
            "GRANT pg_read_all_stats TO \"analyst\"",
        ],
    )?;
    let files = files(&source.path("seen"))?;
    nothing_secret(&files)?;
    add_worker(&source, "seen")?;
    let report = source.rehearse(backend, "seen", "#!/bin/sh\n")?;
    same("tables", report["clone"]["tables"].as_u64(), Some(2))?;
    // It does as it was told.
    let grants = if source.major >= 14 {
        "GRANT pg_read_all_data, pg_read_all_stats TO analyst"
    } else {
        "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO analyst; GRANT pg_read_all_stats TO analyst"
    };
    source.sql(grants)?;
    let outcome = source.capture(&source.at("analyst"), Some("p@ss/w s3cret"), "all");
    outcome.expect(0, &[])?;
    for word in ["left out", "hidden"] {
        same(word, outcome.err.contains(word), false)?;
    }
    add_worker(&source, "all")?;
    let report = source.rehearse(backend, "all", "#!/bin/sh\n")?;
    same("tables", report["clone"]["tables"].as_u64(), Some(5))
}

fn wrong(backend: Backend) -> Result<(), Failed> {
    let source = filled(backend)?;
    let good = source.at("dba");
    let refused = source.capture(&source.url("dba", "not-this-one"), None, "new");
    refused
        .expect(4, &["password authentication failed for user \"dba\"", "psql -d 'postgres://dba@/shop?"])?;
    same("a password in the error", refused.err.contains("not-this-one"), false)?;
    let nobody = format!("host={} port=1 dbname=shop", source.path("").display());
    source.capture(&nobody, None, "new").expect(4, &["connection to server", "PGPASSWORD or ~/.pgpass"])?;
    source.capture("mysql://h/d", None, "new").expect(2, &["'mysql://'", "postgres://"])?;
    source.capture(&good, None, "no/such").expect(2, &["there is no directory no", "mkdir -p no"])?;
    // The lock is held until this session ends.
    let mut holder = Command::new(&source.psql)
        .args([
            "-XqAtw",
            "-d",
            &good,
            "-c",
            "BEGIN",
            "-c",
            "LOCK TABLE sales.orders",
            "-c",
            "SELECT pg_sleep(600)",
        ])
        .env("PGPASSWORD", &source.password)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'sales.orders'::regclass AND granted AND mode = 'AccessExclusiveLock'";
    let locked = eventually("the lock", || source.sql(held).is_ok_and(|count| count == "1"));
    let waited = source.capture(&good, Some(&source.password), "new");
    source.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'")?;
    holder.wait()?;
    locked?;
    waited.expect(4, &["pg_dump failed", "where a migration is at work"])?;
    same("left", files(source.directory.path())?.len(), 0)?;
    std::fs::create_dir(source.path("mine"))?;
    std::fs::write(source.path("mine/notes"), "mine")?;
    source
        .capture(&good, Some(&source.password), "mine")
        .expect(2, &["mine is not empty", "nothing is overwritten"])?;
    same("mine", files(&source.path("mine"))?.into_keys().collect::<Vec<_>>(), vec!["notes".to_owned()])
}

/// What jobs do is captured, and becomes what a role's worker does.
pub const JOB_TESTS: &[Test] = &[("capture::jobs_become_steps_of_their_role", jobs)];

/// Whether a server of the newest programs has both extensions.
pub fn has_job_extensions() -> bool {
    let Some(newest) = find_all(None).into_iter().max_by_key(|one| one.major) else { return false };
    let directory = format!("/usr/share/postgresql/{}/extension", newest.major);
    ["pg_cron", "pgagent"].iter().all(|name| Path::new(&directory).join(format!("{name}.control")).exists())
}

fn jobs(backend: Backend) -> Result<(), Failed> {
    let source = Source::start_with(
        backend,
        &[("shared_preload_libraries", "pg_stat_statements,pg_cron"), ("cron.database_name", "shop")],
    )?;
    source.fill()?;
    source.sql(
        "CREATE EXTENSION pg_cron; CREATE EXTENSION pgagent;
         INSERT INTO cron.job (nodeport, schedule, command, database, username, jobname) VALUES
           (5432, '0 3 * * *', 'SELECT count(*) FROM customers', 'shop', 'svc_import', 'count'),
           (5432, '0 4 * * *', $$ALTER ROLE svc_import PASSWORD 's3cret'$$, 'shop', 'dba', 'rotate'),
           (5432, '0 5 * * *', 'SELECT 1', 'postgres', 'svc_import', 'elsewhere');
         INSERT INTO pgagent.pga_job (jobid, jobjclid, jobname) VALUES (1, 1, 'nightly');
         INSERT INTO pgagent.pga_jobstep (jstjobid, jstname, jstkind, jstcode, jstdbname) VALUES
           (1, 'read', 's', 'SELECT id FROM customers LIMIT 1', 'shop'), (1, 'script', 'b', 'rm -rf /', '');",
    )?;
    let outcome = source.capture(&source.at("dba"), Some(&source.password), "jobs");
    outcome.expect(0, &["of 1 job nobody could be seen who does them: name the role in jobs.json"])?;
    let jobs: Value = serde_json::from_str(&source.read("jobs/jobs.json")?)?;
    let told: Vec<_> = jobs["jobs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|job| format!("{} {} {} {}", job["source"], job["name"], job["role"], job["active"]))
        .collect();
    let wanted = [
        "\"pg_cron\" \"count\" \"svc_import\" true",
        "\"pg_cron\" \"rotate\" \"dba\" true",
        "\"pgAgent\" \"nightly, read\" null true",
    ];
    same("jobs", told, wanted.map(str::to_owned).to_vec())?;
    nothing_secret(&files(&source.path("jobs"))?)?;
    // pg_cron is only created by a server that was started with it.
    let file = source.read("jobs/thirdrun.toml")?;
    let without = file.replace("\n[clone]\n", "\n[clone]\nextensions = \"skip-missing\"\n");
    std::fs::write(source.path("jobs/thirdrun.toml"), without)?;
    let mut command = thirdrun();
    command.args(["workers", "--from", "jobs", "--quiet", "--backend", &backend.to_string()]);
    let workers = finish(command.current_dir(source.directory.path()));
    workers.expect(0, &[])?;
    let step = "name = \"job count\"\nsql = \"SELECT count(*) FROM customers\"\nrows = \">=1\"\n";
    if workers.out.contains(step) { Ok(()) } else { Err(workers.out.into()) }
}
