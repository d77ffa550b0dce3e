//! Where reports go: each format to its file, or to standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstream::stream::IsTerminal as _;

use crate::cli::{Format, RunningArgs};
use crate::failure::{Exit, Failure};
use crate::report::{self, Document};

/// Columns of a report that does not go to a terminal.
const WIDTH: usize = 100;

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
    pub(super) fn new(args: &RunningArgs) -> Result<Self, Failure> {
        let wrong = |message: String, hint: &str| Err(Failure::said(Exit::Usage, message).hint(hint));
        if args.output.len() > args.format.len() {
            return wrong(
                format!("there are {} --output and {} --format", args.output.len(), args.format.len()),
                "each --output belongs to a --format: --format json --output report.json",
            );
        }
        let files: Vec<_> = args.format.iter().copied().zip(args.output.iter().cloned()).collect();
        let rest = args.format.get(files.len()..).unwrap_or_default();
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
        Ok(Self { files, standard: rest.first().copied(), quiet: args.quiet })
    }

    /// Writes every report.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(&self, document: &Document) -> Result<(), Failure> {
        let said = |what: String| {
            move |error: std::io::Error| Failure::new(Exit::Environment, &Unwritten { what, source: error })
        };
        for (format, path) in &self.files {
            let text = rendered(*format, document, WIDTH)?;
            let plain = anstream::adapter::strip_str(&text).to_string();
            write_whole(path, &plain).map_err(said(format!("cannot write {}", path.display())))?;
        }
        // The person at the terminal sees the report in any case; where standard output belongs to a
        // program, on standard error.
        match self.standard {
            Some(Format::Human) => self.human(document, true)?,
            Some(format) => {
                let text = rendered(format, document, WIDTH)?;
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes())
                    .and_then(|()| out.flush())
                    .or_else(closed_early)
                    .map_err(said("cannot write the report to standard output".to_owned()))?;
                if !self.quiet {
                    self.human(document, false)?;
                }
            }
            None if self.quiet => {}
            None => self.human(document, true)?,
        }
        Ok(())
    }

    fn human(&self, document: &Document, on_standard_output: bool) -> Result<(), Failure> {
        let terminal = if on_standard_output {
            std::io::stdout().is_terminal()
        } else {
            std::io::stderr().is_terminal()
        };
        let width = if terminal { columns() } else { WIDTH };
        let text = report::human::render(document, width);
        let written = if on_standard_output {
            anstream::stdout().lock().write_all(text.as_bytes())
        } else {
            anstream::stderr().lock().write_all(text.as_bytes())
        };
        written.or_else(closed_early).map_err(|error| Failure::new(Exit::Environment, &error))
    }
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

fn rendered(format: Format, document: &Document, width: usize) -> Result<String, Failure> {
    match format {
        Format::Human => Ok(report::human::render(document, width)),
        Format::Json => report::json(document).map_err(|error| Failure::defect(&error.to_string())),
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

fn columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(WIDTH, |size| usize::from(size.ws_col).max(40))
}
