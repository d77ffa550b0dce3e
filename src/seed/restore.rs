//! Restores one plain dump, statement by statement, with the place of the one that fails.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::SinkExt as _;

use crate::dump::{Item, ItemKind, Word, roles_named, split, words};
use crate::identifiers::{RoleName, SqlState};
use crate::observations::Skipped;
use crate::postgres::{QueryFailure, Session};

/// SQLSTATE `undefined_object`: among others, a role that does not exist.
const UNDEFINED_OBJECT: &str = "42704";
/// SQLSTATE `duplicate_object`: among others, a role that exists already.
const DUPLICATE_OBJECT: &str = "42710";
/// SQLSTATEs of an extension whose files are not installed.
const NO_EXTENSION: [&str; 2] = ["0A000", "58P01"];

/// Why a dump could not be restored. All of them are exit 4.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A statement failed.
    #[error("{}:{line}: {sqlstate}: {message}", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// The line of the error, else of the statement, from 1.
        line: usize,
        /// The server's code.
        sqlstate: SqlState,
        /// The server's message.
        message: String,
        /// The server's detail.
        detail: Option<String>,
        /// The server's hint.
        hint: Option<String>,
        /// The statement's first line.
        statement: String,
    },
    /// A backslash command that has no meaning here.
    #[error("{}:{line}: the psql command {command} is not understood in a dump", path.display())]
    Command {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// The command.
        command: String,
    },
    /// The file ends in the middle of something.
    #[error("{}:{line}: {what} begins here and never ends", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The line on which it begins.
        line: usize,
        /// What is not closed.
        what: &'static str,
    },
}

/// A session that restores, and what it was told.
pub(super) struct Restore<'a> {
    pub(super) session: &'a Session,
    pub(super) bootstrap: &'a RoleName,
    pub(super) skip_missing_extensions: bool,
    pub(super) skipped: &'a mut Vec<Skipped>,
}

/// The statements of a file.
pub(super) fn items<'t>(path: &Path, text: &'t str) -> Result<Vec<Item<'t>>, RestoreError> {
    split(text).map_err(|error| RestoreError::Truncated {
        path: path.to_owned(),
        line: error.line,
        what: error.what,
    })
}

impl Restore<'_> {
    /// Restores one file, as psql would that had logged in as the owner of the catalogs.
    pub(super) async fn file(&mut self, path: &Path, text: &str) -> Result<(), RestoreError> {
        let items = items(path, text)?;
        self.become_bootstrap().await.map_err(|failure| statement_error(path, None, failure))?;
        for item in &items {
            match item.kind {
                ItemKind::Command => self.command(path, item)?,
                ItemKind::Statement => {
                    if !Self::is_left_out(item) {
                        self.statement(path, item).await?;
                    }
                }
                ItemKind::Copy(data) => {
                    self.copy(item.text, data)
                        .await
                        .map_err(|failure| statement_error(path, Some(item), failure))?;
                }
            }
        }
        // A dump leaves its settings behind, and may have become another role.
        self.session
            .run("RESET SESSION AUTHORIZATION; RESET ALL")
            .await
            .map(drop)
            .map_err(|failure| statement_error(path, None, failure))
    }

    async fn become_bootstrap(&self) -> Result<(), QueryFailure> {
        let sql = format!("SET SESSION AUTHORIZATION {}", self.bootstrap.quoted());
        self.session.run(&sql).await.map(drop)
    }

    /// psql's own commands that dumps contain. `\restrict` guards psql against the dump (PostgreSQL
    /// manual, psql); a session has no such commands, so that it needs no guard.
    fn command(&self, path: &Path, item: &Item<'_>) -> Result<(), RestoreError> {
        let command = item.text.split_whitespace().next().unwrap_or_default();
        match command {
            "\\restrict" | "\\unrestrict" | "\\connect" | "\\c" => Ok(()),
            _ => Err(RestoreError::Command {
                path: path.to_owned(),
                line: item.line,
                command: command.to_owned(),
            }),
        }
    }

    /// The database exists already when a dump made with `--create` comes to create it.
    fn is_left_out(item: &Item<'_>) -> bool {
        let words = words(item.text);
        let is = |at: usize, keyword: &str| words.get(at).is_some_and(|word| word.is(keyword));
        (is(0, "create") || is(0, "drop")) && is(1, "database")
    }

    async fn statement(&mut self, path: &Path, item: &Item<'_>) -> Result<(), RestoreError> {
        let mut result = self.session.run(item.text).await;
        if let Err(failure) = &result
            && failure.sqlstate.as_str() == UNDEFINED_OBJECT
            && self.make_roles(item.text).await
        {
            result = self.session.run(item.text).await;
        }
        let failure = match result {
            Ok(_) => {
                let words = words(item.text);
                let back = words.first().is_some_and(|word| word.is("reset") || word.is("set"))
                    && words.iter().any(|word| word.is("authorization"))
                    && words.last().is_some_and(|word| word.is("authorization") || word.is("default"));
                if back {
                    self.become_bootstrap()
                        .await
                        .map_err(|failure| statement_error(path, Some(item), failure))?;
                }
                return Ok(());
            }
            Err(failure) => failure,
        };
        if self.is_bootstrap_created_again(item, &failure) {
            return Ok(());
        }
        if self.skip_missing_extensions
            && NO_EXTENSION.contains(&failure.sqlstate.as_str())
            && item.text.trim_start().to_ascii_lowercase().starts_with("create extension")
        {
            self.skipped.push(Skipped { object: first_line(item.text), error: failure.message });
            return Ok(());
        }
        Err(statement_error(path, Some(item), failure))
    }

    /// `CREATE ROLE postgres;` of `pg_dumpall`, where that role owns the catalogs already.
    fn is_bootstrap_created_again(&self, item: &Item<'_>, failure: &QueryFailure) -> bool {
        failure.sqlstate.as_str() == DUPLICATE_OBJECT
            && matches!(
                words(item.text).as_slice(),
                [create, role, name, ..] if create.is("create")
                    && (role.is("role") || role.is("user"))
                    && name.identifier() == Some(self.bootstrap.as_str())
            )
    }

    /// Makes the roles that a statement names and nobody created. They may log in, since a worker may
    /// be one of them. Returns whether any was made.
    async fn make_roles(&self, statement: &str) -> bool {
        let mut made = false;
        for role in roles_named(statement) {
            made |= self.session.run(&format!("CREATE ROLE {} LOGIN", role.quoted())).await.is_ok();
        }
        made
    }

    async fn copy(&self, statement: &str, data: &str) -> Result<(), QueryFailure> {
        let failed = |error: &tokio_postgres::Error| QueryFailure {
            sqlstate: SqlState::new(error.code().map_or("08006", |code| code.code())),
            message: error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned()),
            detail: error.as_db_error().and_then(|db| db.detail()).map(str::to_owned),
            hint: None,
            position: None,
            cut_off: error.as_db_error().is_none(),
        };
        let sink =
            self.session.client().copy_in::<_, Bytes>(statement).await.map_err(|error| failed(&error))?;
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::copy_from_slice(data.as_bytes())).await.map_err(|error| failed(&error))?;
        sink.finish().await.map(drop).map_err(|error| failed(&error))
    }
}

fn first_line(statement: &str) -> String {
    statement.lines().next().unwrap_or_default().trim().to_owned()
}

fn statement_error(path: &Path, item: Option<&Item<'_>>, failure: QueryFailure) -> RestoreError {
    let before = failure.position.and_then(|position| {
        let characters = usize::try_from(position).ok()?.saturating_sub(1);
        Some(item?.text.chars().take(characters).filter(|c| *c == '\n').count())
    });
    // The words of a CREATE or ALTER ROLE may hold a password.
    let statement = item.map_or_else(String::new, |item| {
        let secret = words(item.text).iter().any(|word| matches!(word, Word::Bare(b) if b == "password"));
        if secret { "a statement with a password".to_owned() } else { first_line(item.text) }
    });
    RestoreError::Statement {
        path: path.to_owned(),
        line: item.map_or(1, |item| item.line) + before.unwrap_or_default(),
        sqlstate: failure.sqlstate,
        message: failure.message,
        detail: failure.detail,
        hint: failure.hint,
        statement,
    }
}
