//! Machines that take their time: workers that only share one with others do not stand still.

use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::Test;
use crate::image::docker;
use crate::support::{Backend, Rehearsal, entries, same, statuses};

pub const TESTS: &[Test] = &[
    ("busy::workers_that_slow_each_other_down_do_not_stall", slow_each_other_down),
    ("busy::a_timeout_that_is_too_short_beside_another_is_no_outage", no_time_beside_another),
];

/// Those that only Docker can be tested with.
pub const DOCKER_TESTS: &[Test] =
    &[("busy::a_program_that_is_started_late_is_no_stall", started_late_is_no_stall)];

const IMAGE: &str = "thirdrun-test-busy";
/// An image in which all starts but the first take longer than `max_outage` allows: programs in containers are started
/// by its shell.
const DOCKERFILE: &str = r#"FROM thirdrun-postgres:17
COPY sh /slow
RUN ["/bin/bash", "-c", "mv /slow /usr/bin/sh"]
"#;
/// What the worker runs, and that image's shell: all but the first time they wait.
fn waits(who: &str, seconds: f64) -> String {
    format!("if [ -e /tmp/{who} ]; then sleep {seconds}; fi\n: > /tmp/{who}\n")
}

fn started_late_is_no_stall(backend: Backend) -> Result<(), Failed> {
    let context = tempfile::tempdir()?;
    let shell = format!("#!/bin/bash\n{}exec /bin/dash \"$@\"\n", waits("shell", 1.5));
    let file = context.path().join("sh");
    std::fs::write(&file, shell)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(context.path().join("Dockerfile"), DOCKERFILE)?;
    docker(&["build", "-q", "-t", IMAGE, &context.path().display().to_string()])?;
    let tried = tried(backend);
    docker(&["rmi", "-f", IMAGE])?;
    tried
}

fn tried(backend: Backend) -> Result<(), Failed> {
    let rehearsal = Rehearsal::new(&format!(
        "[script]\nruns = 1\nmax_runs = 1\n\
         [[worker]]\nname = 'w'\nrole = 'svc_reader'\nimage = '{IMAGE}'\ncommand = ['./program']\ntimeout = '10s'\n"
    ));
    rehearsal.file("s.sql", "SELECT pg_sleep(4);\n");
    rehearsal.file("program", "#!/bin/bash\nexit 0\n");
    let check = ["s.sql", "--hazards", "none"];
    let report = rehearsal.report(backend, &check, 0)?;
    same("started late", statuses(&report, "w"), vec!["ok".to_owned()])?;
    let iterations =
        entries(&report, "w").next().and_then(|entry| entry["while_running"]["iterations"].as_u64());
    same("there was time for more than one", iterations.is_some_and(|number| number > 1), true)?;
    // More than ten times what it took before, on a busy machine too.
    rehearsal.file("program", &format!("#!/bin/bash\n{}", waits("program", 7.0)));
    let report = rehearsal.report(backend, &check, 1)?;
    same("takes its time itself", statuses(&report, "w"), vec!["disrupted".to_owned()])
}

/// An iteration takes who is last as many times as long as there are workers: the first is there before the others, and
/// meets them with its second iteration only.
fn slow_each_other_down(backend: Backend) -> Result<(), Failed> {
    let worker = |number: usize| {
        let arrives = if number == 0 { "" } else { "on_connect = ['SELECT pg_sleep(0.2)']\n" };
        format!(
            "[[worker]]\nname = 'w{number}'\nrole = 'svc_reader'\nsession = 'fresh'\ntimeout = '30s'\n\
             max_outage = '300ms'\n{arrives}sql = 'SELECT pg_sleep(0.05) FROM pg_advisory_xact_lock(1)'\n"
        )
    };
    let report = beside_each_other(backend, &(0..24).map(worker).collect::<String>())?;
    same("status", statuses(&report, "w0"), vec!["ok".to_owned()])
}

/// What a worker has no time for beside another, without a script as well, is told and is not the script's doing.
fn no_time_beside_another(backend: Backend) -> Result<(), Failed> {
    let report = beside_each_other(
        backend,
        "[[worker]]\nname = 'long'\nrole = 'svc_reader'\nevery = '0s'\ntimeout = '30s'\nmax_outage = '30s'\n\
         sql = 'SELECT pg_sleep(1) FROM pg_advisory_xact_lock(1)'\n\
         [[worker]]\nname = 'short'\nrole = 'svc_reader'\ntimeout = '300ms'\nmax_outage = '100ms'\n\
         sql = 'SELECT pg_advisory_xact_lock(1)'\n",
    )?;
    same("status", statuses(&report, "short"), vec!["disrupted".to_owned()])
}

/// The report of a check that passes, of a script that changes nothing.
fn beside_each_other(backend: Backend, workers: &str) -> Result<Value, Failed> {
    let rehearsal = Rehearsal::new(&format!("[script]\nruns = 1\nmax_runs = 1\n{workers}"));
    rehearsal.file("s.sql", "SELECT pg_sleep(1.5);\n");
    rehearsal.verdict(backend, &["s.sql"], 0)
}
