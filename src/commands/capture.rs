//! `thirdrun capture`: what a clone of a live database needs, read without touching it.

use anstream::stream::IsTerminal as _;

use super::interrupt::interrupted;
use crate::capture::{Request, capture};
use crate::cli::CaptureArgs;
use crate::failure::{Exit, Failure};
use crate::progress::Progress;

/// Runs `thirdrun capture`.
///
/// # Errors
/// Whatever keeps it from capturing; nothing is written then.
pub async fn run(args: CaptureArgs) -> Result<Exit, Failure> {
    let progress = Progress::new(args.quiet, std::io::stderr().is_terminal());
    let request = Request {
        from: args.from,
        out: args.out,
        postgres_bin: args.postgres_bin,
        sample_values: args.sample_values,
        timeout: args.timeout.into(),
    };
    let result = tokio::select! {
        result = capture(&request, |what| progress.note(what)) => result.map_err(Failure::from),
        failure = interrupted("nothing has been written") => Err(failure),
    };
    progress.clear();
    let captured = result?;
    for note in &captured.notes {
        anstream::eprintln!("note: {note}");
    }
    if !args.quiet {
        let out = request.out.display();
        anstream::println!("captured {} of a PostgreSQL {} in {out}", captured.database, captured.version);
        let width = captured.files.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, what) in &captured.files {
            anstream::println!("  {name:width$}  {what}");
        }
        let file = request.out.join(crate::plan::FILE_NAME);
        anstream::println!(
            "rehearse a script with\n  thirdrun check --config {file} SCRIPT\nits workers are what each role has run, or may do; \
             write them down, and what your automations really do, with\n  thirdrun workers --from {out}",
            file = file.display()
        );
    }
    Ok(Exit::Pass)
}
