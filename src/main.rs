//! The thirdrun binary: parse, call, exit code.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    thirdrun::commands::run(thirdrun::cli::Cli::parse()).into()
}
