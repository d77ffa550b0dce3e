//! Everything that needs a server: each test runs the real binary on each backend, with real servers,
//! containers, psql and clients.
//!
//! A test that cannot run here (no Docker, no image) is counted as ignored, and the reason is printed. When
//! all have ended, nothing of a sandbox may be left on the machine.

// Clippy's exceptions for tests do not reach a harness of its own.
#![allow(missing_docs, clippy::expect_used, clippy::print_stderr, clippy::indexing_slicing)]

mod bad_input;
mod busy;
mod capture;
mod clients;
mod clones;
mod demo;
mod derived;
mod doctor;
mod drift;
mod dumps;
mod faults;
mod formats;
mod hazards;
mod hostile;
mod image;
mod incidents;
mod leftovers;
mod library;
mod mistakes;
mod original;
mod outages;
mod recipes;
mod renderings;
mod reports;
mod rows_changed;
mod sandboxes;
mod scripts;
mod seeding;
mod services;
mod several;
mod support;
mod trial;
mod why;
mod workers;

use libtest_mimic::{Arguments, Failed};
use support::{Backend, Machine};
use trial::trial;

/// A test: its name, and what it does on a backend.
type Test = (&'static str, fn(Backend) -> Result<(), Failed>);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let machine = Machine::look();
    for line in &machine.missing {
        eprintln!("{line}");
    }
    if Backend::ALL.into_iter().all(|backend| !machine.has(backend)) {
        eprintln!("neither backend can be used here, so nothing would be tested: run `make test`");
        return std::process::ExitCode::FAILURE;
    }
    let before = support::leftovers();
    let mut trials = Vec::new();
    for tests in [
        bad_input::TESTS,
        busy::TESTS,
        capture::TESTS,
        clones::TESTS,
        demo::TESTS,
        derived::TESTS,
        drift::TESTS,
        hazards::TESTS,
        hostile::reach::TESTS,
        incidents::TESTS,
        leftovers::TESTS,
        library::TESTS,
        renderings::TESTS,
        reports::TESTS,
        mistakes::TESTS,
        rows_changed::TESTS,
        sandboxes::TESTS,
        scripts::TESTS,
        seeding::TESTS,
        services::TESTS,
        several::TESTS,
        why::TESTS,
        workers::TESTS,
    ] {
        for (name, test) in tests {
            for backend in Backend::ALL {
                let test = *test;
                trials.push(trial(format!("{backend}::{name}"), machine.has(backend), move || test(backend)));
            }
        }
    }
    let single = [
        (Backend::Local, sandboxes::LOCAL_TESTS),
        (Backend::Local, hostile::reach::LOCAL_TESTS),
        (Backend::Local, incidents::LOCAL_TESTS),
        (Backend::Docker, sandboxes::DOCKER_TESTS),
        (Backend::Docker, doctor::DOCKER_TESTS),
        (Backend::Docker, busy::DOCKER_TESTS),
        (Backend::Docker, image::DOCKER_TESTS),
    ];
    for (backend, tests) in single {
        for (name, test) in tests {
            let test = *test;
            trials.push(trial(format!("{backend}::{name}"), machine.has(backend), move || test(backend)));
        }
    }
    if !capture::has_job_extensions() {
        eprintln!(
            "skipped: jobs, since pg_cron and pgAgent are not installed for the newest PostgreSQL here"
        );
    }
    for (name, test) in capture::JOB_TESTS {
        let test = *test;
        let can = machine.has(Backend::Local) && capture::has_job_extensions();
        trials.push(trial(format!("{}::{name}", Backend::Local), can, move || test(Backend::Local)));
    }
    let has_pgmq = derived::script_of_pgmq().exists();
    if !has_pgmq {
        eprintln!("skipped: queues, since target/pgmq.sql is not there (tests/prepare test)");
    }
    for (name, test) in derived::QUEUE_TESTS {
        for backend in Backend::ALL {
            let test = *test;
            trials.push(trial(format!("{backend}::{name}"), machine.has(backend) && has_pgmq, move || {
                test(backend)
            }));
        }
    }
    // Their dumps are made by the programs of a PostgreSQL on this machine.
    for (name, test) in formats::TESTS {
        for backend in Backend::ALL {
            let test = *test;
            let can = machine.has(backend) && machine.has(Backend::Local);
            trials.push(trial(format!("{backend}::{name}"), can, move || test(backend)));
        }
    }
    for (name, program, test) in clients::TESTS.iter().chain(recipes::TESTS) {
        let test = *test;
        let can = machine.has(Backend::Local) && clients::program(program).is_some();
        trials.push(trial(format!("{}::{name}", Backend::Local), can, test));
    }
    for (name, test) in incidents::DOCKER_TESTS {
        let test = *test;
        let can = Backend::ALL.into_iter().all(|backend| machine.has(backend));
        trials.push(trial(format!("{}::{name}", Backend::Docker), can, move || test(Backend::Docker)));
    }
    for (name, test) in dumps::all() {
        trials.push(trial(format!("docker::{name}"), machine.has(Backend::Docker), test));
    }
    for (name, directory) in outages::all() {
        for backend in Backend::ALL {
            let directory = directory.clone();
            let test = move || match backend {
                Backend::Local => outages::rehearse_and_replay(backend, &directory),
                Backend::Docker => outages::rehearse(backend, &directory),
            };
            trials.push(trial(format!("{backend}::outages::{name}"), machine.has(backend), test));
        }
    }
    trials.extend(library::trials(&machine));
    trials.extend(services::trials(&machine));
    trials.extend(hostile::trials(&machine));
    trials.extend(faults::trials(&machine, &arguments));
    let images = support::images_with_packages();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // thirdrun keeps them for the next check; whoever runs tests has none.
    support::remove_images(support::images_with_packages().iter().filter(|one| !images.contains(one)));
    eprintln!("{}", trial::slowest());
    eprintln!("{}", hostile::counts());
    faults::end();
    eprint!("{}", trial::failures());
    let left: Vec<_> = support::leftovers().into_iter().filter(|one| !before.contains(one)).collect();
    if !left.is_empty() {
        eprintln!("left behind by these tests: {left:?}");
        return std::process::ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
