//! What is wrong with a rehearsal file or the command line: what, where, why, what to type next.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dump::DumpError;
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

/// A text that errors can point into.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it was read from, as the user named it.
    pub path: PathBuf,
    /// What it says.
    pub text: Arc<str>,
}

/// A plan that cannot be carried out: exit 2, but for dumps that cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A place in the rehearsal file is wrong.
    #[error("{}:{}: {message}", source_text.path.display(), line_of(&source_text.text, span.start))]
    Place {
        /// The file.
        source_text: Source,
        /// The place.
        span: Range<usize>,
        /// What is wrong.
        message: String,
        /// What is meant, or what to type next.
        help: Option<String>,
        /// What to write in that place instead.
        instead: Option<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
        /// What to type next.
        help: String,
    },
    /// A dump cannot be read, or not into the server that is wanted.
    #[error("{error}")]
    Dump {
        /// Why.
        #[source]
        error: DumpError,
        /// What to type next.
        help: String,
    },
    /// A dump comes from a newer server than the one it is to be restored into.
    #[error("{} comes from PostgreSQL {original}, and cannot be restored into the older {wanted}", path.display())]
    OlderServer {
        /// The dump.
        path: PathBuf,
        /// The major version that it comes from.
        original: u32,
        /// The major version that is wanted.
        wanted: u32,
    },
    /// Something else, without a place.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to type next.
        help: String,
    },
}

impl Source {
    /// An error at a place of this text.
    pub fn at(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> PlanError {
        PlanError::Place {
            source_text: self.clone(),
            span,
            message: message.into(),
            help: Some(help.into()),
            instead: None,
        }
    }

    /// An error at a name of this text that may have been meant to be one of `known`.
    pub fn unknown<'a>(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        wanted: &str,
        known: impl IntoIterator<Item = &'a str>,
        list: &str,
    ) -> PlanError {
        let known: Vec<_> = known.into_iter().collect();
        let nearest = crate::identifiers::nearest(wanted, known.iter().copied());
        PlanError::Place {
            source_text: self.clone(),
            span: span.clone(),
            message: message.into(),
            help: match nearest {
                Some(name) => Some(format!("did you mean '{name}'?")),
                None if known.is_empty() => None,
                None => Some(format!("{list}: {}", known.join(", "))),
            },
            instead: nearest.map(|name| {
                let quoted = self.text.get(span).is_some_and(|text| text.starts_with(['"', '\'']));
                if quoted { format!("\"{name}\"") } else { name.to_owned() }
            }),
        }
    }
}

impl PlanError {
    /// What to type next.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Place { help, .. } => help.as_deref(),
            Self::Read { help, .. } | Self::Usage { help, .. } | Self::Dump { help, .. } => Some(help),
            Self::OlderServer { .. } => Some("leave the version away: it is then the original's own"),
        }
    }

    /// Whether a dump is to blame, rather than the rehearsal file or the command line.
    pub fn is_of_dump(&self) -> bool {
        match self {
            Self::Dump { error, .. } => !matches!(error, DumpError::Read { .. }),
            Self::OlderServer { .. } => true,
            Self::Place { .. } | Self::Read { .. } | Self::Usage { .. } => false,
        }
    }

    /// The error with its place as compilers show it; none where it has no place.
    pub fn snippet(&self, colours: bool) -> Option<String> {
        let Self::Place { source_text, span, message, help, instead } = self else {
            return None;
        };
        let path = source_text.path.to_string_lossy();
        let text: &str = &source_text.text;
        let snippet =
            Snippet::source(text).path(path.as_ref()).annotation(AnnotationKind::Primary.span(span.clone()));
        let mut groups: Vec<Group<'_>> = vec![Level::ERROR.primary_title(message.as_str()).element(snippet)];
        match (help, instead) {
            (Some(help), Some(instead)) => groups.push(Level::HELP.secondary_title(help.as_str()).element(
                Snippet::source(text).path(path.as_ref()).patch(Patch::new(span.clone(), instead.as_str())),
            )),
            (Some(help), None) => {
                groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
            }
            (None, _) => {}
        }
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        Some(renderer.render(&groups).to_string())
    }
}

/// The line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

/// Makes an error of a file that cannot be read.
pub(super) fn unreadable(path: &Path, help: impl Into<String>) -> impl FnOnce(std::io::Error) -> PlanError {
    let (path, help) = (path.to_owned(), help.into());
    move |source| PlanError::Read { path, source, help }
}
