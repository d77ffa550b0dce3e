//! Where reports go: each format to its file, or to standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstream::stream::IsTerminal as _;

use crate::cli::Format;
use crate::failure::{Exit, Failure};
use crate::report::{self, Report};

/// Columns of a report that does not go to a terminal.
pub(super) const WIDTH: usize = 100;

/// The reports that were asked for.
pub(super) struct Outputs {
    files: Vec<(Format, PathBuf)>,
    standard: Option<Format>,
    quiet: bool,
}

impl Outputs {
    /// Pairs formats with files, before anything is run.
    ///
    /// # Errors
    /// When they do not pair, or a file could not be written.
    pub(super) fn new(format: &[Format], output: &[PathBuf], quiet: bool) -> Result<Self, Failure> {
        let wrong = |message: String, hint: &str| Err(Failure::said(Exit::Usage, message).hint(hint));
        if output.len() > format.len() {
            return wrong(
                format!("there are {} --output and {} --format", output.len(), format.len()),
                "each --output belongs to a --format: --format json --output report.json",
            );
        }
        let files: Vec<_> = format.iter().copied().zip(output.iter().cloned()).collect();
        let rest = format.get(files.len()..).unwrap_or_default();
        if rest.len() > 1 {
            return wrong(
                "two reports cannot both go to standard output".to_owned(),
                "give all formats but one an --output of its own",
            );
        }
        for (_, path) in &files {
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !directory.is_dir() {
                return wrong(
                    format!(
                        "{} cannot be written: there is no directory {}",
                        path.display(),
                        directory.display()
                    ),
                    "make the directory first",
                );
            }
        }
        Ok(Self { files, standard: rest.first().copied(), quiet })
    }

    /// Whether standard output belongs to a program.
    pub(super) fn has_standard(&self) -> bool {
        self.standard.is_some_and(|format| format != Format::Human)
    }

    /// Writes every report.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        self.for_programs(report)?;
        // The person at the terminal sees the report in any case; where standard output belongs to a
        // program, on standard error.
        match self.standard {
            Some(Format::Human) => human(report, true),
            Some(_) if self.quiet => Ok(()),
            Some(_) => human(report, false),
            None if self.quiet => Ok(()),
            None => human(report, true),
        }
    }

    /// Writes the reports that were asked for of a rehearsal that could not be made. The person at the terminal is told
    /// by the error.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write_failed(&self, report: &Report) -> Result<(), Failure> {
        self.for_programs(report)
    }

    /// Writes what was asked for of a saved report, and nothing else.
    ///
    /// # Errors
    /// When a report cannot be written.
    pub(super) fn again(&self, report: &Report) -> Result<(), Failure> {
        self.for_programs(report)?;
        match self.standard {
            Some(Format::Human) => human(report, true),
            None if self.files.is_empty() => human(report, true),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes all files, and what goes to standard output unless that is for a person.
    fn for_programs(&self, report: &Report) -> Result<(), Failure> {
        for (format, path) in &self.files {
            let text = rendered(*format, report, WIDTH)?;
            let plain = anstream::adapter::strip_str(&text).to_string();
            write_whole(path, &plain).map_err(unwritten(format!("cannot write {}", path.display())))?;
        }
        if let Some(format) = self.standard.filter(|format| *format != Format::Human) {
            let text = rendered(format, report, WIDTH)?;
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .or_else(closed_early)
                .map_err(unwritten("cannot write the report to standard output".to_owned()))?;
        }
        let github = |format: &Format| *format == Format::Github;
        if self.files.iter().map(|(format, _)| format).chain(&self.standard).any(github) {
            summarize(report)?;
        }
        Ok(())
    }
}

/// Prints a text for a person. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// When it cannot be printed.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.or_else(closed_early).map_err(|error| Failure::new(Exit::Environment, &error))
}

fn human(report: &Report, on_standard_output: bool) -> Result<(), Failure> {
    let terminal =
        if on_standard_output { std::io::stdout().is_terminal() } else { std::io::stderr().is_terminal() };
    let width = if terminal { columns() } else { WIDTH };
    let text = report::human::render(report, width);
    let written = if on_standard_output {
        anstream::stdout().lock().write_all(text.as_bytes())
    } else {
        anstream::stderr().lock().write_all(text.as_bytes())
    };
    written.or_else(closed_early).map_err(|error| Failure::new(Exit::Environment, &error))
}

/// Where GitHub Actions takes the Markdown of a job's summary from.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Adds to the summary of the job, where this is one of GitHub Actions.
fn summarize(report: &Report) -> Result<(), Failure> {
    let Some(path) = std::env::var_os(SUMMARY).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let text = report::markdown::render(report) + "\n";
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let what = format!("cannot add to the summary that {SUMMARY} names");
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(unwritten(what))
}

fn unwritten(what: String) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Environment, &Unwritten { what, source: error })
}

/// A reader that has seen enough (`| head`) is no failure.
fn closed_early(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Unwritten {
    what: String,
    source: std::io::Error,
}

fn rendered(format: Format, report: &Report, width: usize) -> Result<String, Failure> {
    let defect = |error: &dyn std::error::Error| Failure::defect(&error.to_string());
    match format {
        Format::Human => Ok(report::human::render(report, width)),
        Format::Json => report.json().map_err(|error| defect(&error)),
        Format::Junit => report::junit::render(report).map_err(|error| defect(&error)),
        Format::Markdown => Ok(report::markdown::render(report)),
        Format::Html => report::html::render(report).map_err(|error| defect(&error)),
        Format::Github => Ok(report::github::render(report)),
        Format::Gitlab => report::gitlab::render(report).map_err(|error| defect(&error)),
        Format::Sarif => report::sarif::render(report).map_err(|error| defect(&error)),
    }
}

/// Writes a file so that it is either whole or as it was.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        // A device or a pipe takes what it gets.
        return std::fs::write(path, text);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Columns of the terminal.
pub(super) fn columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(WIDTH, |size| usize::from(size.ws_col).max(40))
}
