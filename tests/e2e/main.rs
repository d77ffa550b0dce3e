//! Everything that needs a server: each test runs the real binary on each backend, with real servers,
//! containers, psql and clients.
//!
//! A test that cannot run here (no Docker, no image) is counted as ignored, and the reason is printed. When
//! all have ended, nothing of a sandbox may be left on the machine.

// Clippy's exceptions for tests do not reach a harness of its own.
#![allow(missing_docs, clippy::expect_used, clippy::print_stderr, clippy::indexing_slicing)]

mod bad_input;
mod capture;
mod clients;
mod clones;
mod demo;
mod doctor;
mod drift;
mod dumps;
mod faults;
mod formats;
mod hazards;
mod hostile;
mod image;
mod leftovers;
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
mod several;
mod support;
mod why;
mod workers;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Backend, Machine};

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
        capture::TESTS,
        clones::TESTS,
        demo::TESTS,
        drift::TESTS,
        hazards::TESTS,
        hostile::reach::TESTS,
        leftovers::TESTS,
        renderings::TESTS,
        reports::TESTS,
        mistakes::TESTS,
        rows_changed::TESTS,
        sandboxes::TESTS,
        scripts::TESTS,
        seeding::TESTS,
        several::TESTS,
        why::TESTS,
        workers::TESTS,
    ] {
        for (name, test) in tests {
            for backend in Backend::ALL {
                let test = *test;
                let trial = Trial::test(format!("{backend}::{name}"), move || test(backend));
                trials.push(trial.with_ignored_flag(!machine.has(backend)));
            }
        }
    }
    let single = [
        (Backend::Local, sandboxes::LOCAL_TESTS),
        (Backend::Local, hostile::reach::LOCAL_TESTS),
        (Backend::Docker, sandboxes::DOCKER_TESTS),
        (Backend::Docker, doctor::DOCKER_TESTS),
        (Backend::Docker, image::DOCKER_TESTS),
    ];
    for (backend, tests) in single {
        for (name, test) in tests {
            let test = *test;
            let trial = Trial::test(format!("{backend}::{name}"), move || test(backend));
            trials.push(trial.with_ignored_flag(!machine.has(backend)));
        }
    }
    // Their dumps are made by the programs of a PostgreSQL on this machine.
    for (name, test) in formats::TESTS {
        for backend in Backend::ALL {
            let test = *test;
            let trial = Trial::test(format!("{backend}::{name}"), move || test(backend));
            let can = machine.has(backend) && machine.has(Backend::Local);
            trials.push(trial.with_ignored_flag(!can));
        }
    }
    for (name, program, test) in clients::TESTS.iter().chain(recipes::TESTS) {
        let test = *test;
        let trial = Trial::test(format!("{}::{name}", Backend::Local), test);
        let can = machine.has(Backend::Local) && clients::program(program).is_some();
        trials.push(trial.with_ignored_flag(!can));
    }
    for (name, test) in dumps::all() {
        let trial = Trial::test(format!("docker::{name}"), test);
        trials.push(trial.with_ignored_flag(!machine.has(Backend::Docker)));
    }
    for (name, directory) in outages::all() {
        for backend in Backend::ALL {
            let directory = directory.clone();
            let trial = Trial::test(format!("{backend}::outages::{name}"), move || {
                outages::rehearse(backend, &directory)
            });
            trials.push(trial.with_ignored_flag(!machine.has(backend)));
        }
    }
    trials.extend(hostile::trials(&machine));
    trials.extend(faults::trials(&machine, &arguments));
    let conclusion = libtest_mimic::run(&arguments, trials);
    eprintln!("{}", hostile::counts());
    faults::end();
    let left: Vec<_> = support::leftovers().into_iter().filter(|one| !before.contains(one)).collect();
    if !left.is_empty() {
        eprintln!("left behind by these tests: {left:?}");
        return std::process::ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
