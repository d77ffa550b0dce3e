//! The commands, one file each. They tie the stages together and own what is printed.

pub mod capture;
mod changed;
pub mod check;
pub mod contain;
pub mod demo;
pub mod doctor;
pub mod gc;
mod incident;
pub mod init;
mod interrupt;
mod minimize;
mod outputs;
pub mod report;
pub mod reproduce;
mod several;
pub mod up;
pub mod workers;

use crate::children;
use crate::cli::{Cli, Colours, Command};
use crate::failure::{Exit, Failure};

/// Runs the command line to its end and says the exit code.
pub fn run(cli: Cli) -> Exit {
    let choice = match cli.color {
        Colours::Auto => anstream::ColorChoice::Auto,
        Colours::Always => anstream::ColorChoice::Always,
        Colours::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    children::inherit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return shown(&Failure::new(Exit::Environment, &error)),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Capture(args) => capture::run(args).await,
            Command::Check(args) => check::run(*args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Doctor(args) => doctor::run(&args).await,
            Command::Gc(args) => gc::run(&args).await,
            Command::Init(args) => init::run(args).await,
            Command::Report(args) => report::run(&args),
            Command::Up(args) => up::run(args).await,
            Command::Workers(args) => workers::run(args).await,
            Command::Reproduce(args) => reproduce::run(args).await,
        }
    });
    // Readers of pipes that a script left open would be waited for.
    runtime.shutdown_background();
    // Orphans of scripts that became children of this process and have ended.
    while matches!(rustix::process::wait(rustix::process::WaitOptions::NOHANG), Ok(Some(_))) {}
    result.unwrap_or_else(|failure| shown(&failure))
}

fn shown(failure: &Failure) -> Exit {
    use anstream::stream::IsTerminal as _;
    let colours = std::io::stderr().is_terminal();
    anstream::eprint!("{}", failure.render(colours));
    failure.exit
}
