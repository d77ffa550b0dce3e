//! `thirdrun report`: renders a saved report again, without a database.

use std::io::Read as _;
use std::path::Path;

use super::outputs::Outputs;
use crate::cli::ReportArgs;
use crate::failure::{Exit, Failure};
use crate::report::Report;

/// Runs `thirdrun report`. It succeeds whatever the report says: that is what it was asked for.
///
/// # Errors
/// When the file is no report, or a rendering cannot be written.
pub fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.format, &args.output, true)?;
    let text = read(&args.file).map_err(|error| {
        Failure::new(Exit::Usage, &error).within(format!("cannot read {}", args.file.display()))
    })?;
    let report = Report::read(&text).map_err(|error| {
        Failure::new(Exit::Usage, &error)
            .within(format!("cannot render {}", args.file.display()))
            .hint("name a file that `thirdrun check --format json --output FILE` has written")
    })?;
    outputs.again(&report)?;
    Ok(Exit::Pass)
}

fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}
