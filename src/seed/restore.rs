//! Restores one plain dump, statement by statement, with the place of the one that fails.
//!
//! Statements are sent ahead of the answers to those before them, which saves the way to the server and back.
//! One that may need something done about it goes alone. What the clone cannot have is left out and noted.

mod asked;
mod error;
mod outcome;
mod transaction;
mod treatment;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use futures_util::SinkExt as _;

pub use error::RestoreError;
use error::statement_error;
use transaction::Transactions;
use treatment::{Treatment, Treatments};

use super::{DataInDump, tablespaces};
use crate::dump::{Item, ItemKind, PlainDump, Variables, Word, roles_named, split, words};
use crate::identifiers::{DatabaseName, RoleName};
use crate::observations::Skipped;
use crate::postgres::{QueryFailure, Sent, Session};

/// Statements that are under way at once.
const AHEAD: usize = 64;
/// Bytes of `COPY` data that are sent at once.
const PIECE: usize = 64 * 1024;
/// Sets `event_triggers`, where the server has it: from version 17 on (its manual, 19.11).
const WITH_EVENT_TRIGGERS: &str = "SELECT pg_catalog.set_config('event_triggers', 'on', false) \
     WHERE pg_catalog.current_setting('server_version_num')::integer >= 170000";
/// SQLSTATE `undefined_object`: among others, a role that does not exist.
const UNDEFINED_OBJECT: &str = "42704";
/// SQLSTATE `invalid_parameter_value`: among others, of a setting, or of a role that a session is to become.
const INVALID_VALUE: &str = "22023";

/// A session that restores, and what it was told.
pub(super) struct Restore<'a> {
    pub(super) session: &'a Session,
    pub(super) bootstrap: &'a RoleName,
    pub(super) database: &'a DatabaseName,
    pub(super) skip_missing_extensions: bool,
    pub(super) rows: DataInDump,
    /// Whether the session is in the database that every server has, where roles are made.
    pub(super) roles: bool,
    /// What the clone does not have.
    pub(super) skipped: &'a mut Vec<Skipped>,
}

/// The statements of a dump.
pub(super) fn items(dump: &PlainDump) -> Result<Vec<Item<'_>>, RestoreError> {
    split(&dump.text).map_err(|error| {
        let (path, line) = dump.place(error.line);
        RestoreError::Truncated { path, line, what: format!("{} begins here and never ends", error.what) }
    })
}

/// One dump that is being restored.
struct Restoring<'r, 'a> {
    restore: &'r mut Restore<'a>,
    dump: &'r PlainDump,
    /// The roles that are there.
    roles: BTreeSet<RoleName>,
    /// What was sent and not answered yet.
    under_way: VecDeque<(&'r Item<'r>, Sent)>,
    /// Whether something is missing that later statements may build on.
    incomplete: bool,
    /// The line on which the dump has dropped what it then makes.
    drops_until: usize,
    /// What only the server could tell.
    variables: Variables,
    /// Whether a person wrote the dump, rather than `pg_dump`.
    by_hand: bool,
    /// Why the latest `DROP` failed of something that was not there.
    not_dropped: Option<RestoreError>,
}

impl Restore<'_> {
    /// Restores one dump, as psql would that had logged in as the owner of the catalogs.
    pub(super) async fn dump(&mut self, dump: &PlainDump) -> Result<(), RestoreError> {
        let items = items(dump)?;
        error::complete(dump)?;
        if self.rows == DataInDump::Refuse {
            error::without_rows(dump, &items)?;
        }
        let whole = |failure| statement_error(dump, None, failure);
        self.become_bootstrap().await.map_err(whole)?;
        // thirdrun's own sessions fire no event trigger; those of a dump do, once it has made them.
        self.session.run(WITH_EVENT_TRIGGERS).await.map_err(whole)?;
        let roles = super::roles(self.session).await.map_err(whole)?.into_iter().collect();
        let treatments = Treatments::new(dump, self.database, self.rows, self.roles);
        let mut restoring = Restoring {
            restore: self,
            dump,
            roles,
            under_way: VecDeque::new(),
            incomplete: false,
            drops_until: outcome::drops_until(&items),
            variables: Variables::default(),
            by_hand: !error::is_dumped(&dump.text),
            not_dropped: None,
        };
        restoring.connected().await?;
        restoring.all(&items, treatments).await?;
        // A dump leaves its settings behind, and may have become another role.
        self.session.run("RESET SESSION AUTHORIZATION; RESET ALL").await.map(drop).map_err(whole)
    }

    async fn become_bootstrap(&self) -> Result<(), QueryFailure> {
        let sql = format!("SET SESSION AUTHORIZATION {}", self.bootstrap.quoted());
        self.session.run(&sql).await.map(drop)
    }
}

impl<'r> Restoring<'r, '_> {
    async fn all(&mut self, items: &'r [Item<'r>], mut treatments: Treatments) -> Result<(), RestoreError> {
        let mut transactions = Transactions::default();
        for item in items {
            if let Some(text) = self.substituted(item) {
                let item = Item { text: &text, ..*item };
                transactions.note(&item);
                self.wait_for(0).await?;
                match treatments.of(&item) {
                    Treatment::Ask(sql, prefix) => self.ask(&item, sql, &prefix).await?,
                    Treatment::Generate(sql) => self.generate(&item, sql, &mut treatments).await?,
                    other => self.one(&item, other).await?,
                }
                continue;
            }
            let treatment = treatments.of(item);
            if matches!(treatment, Treatment::Send(_)) {
                transactions.note(item);
            }
            match treatment {
                Treatment::Nothing => {}
                Treatment::LeaveOut(skipped) => self.restore.skipped.push(skipped),
                Treatment::End => break,
                Treatment::NotUnderstood => return Err(self.not_understood(item)),
                Treatment::Send(sql) => {
                    if self.names_unknown_role(item.text) {
                        self.alone(item, &sql).await?;
                    } else {
                        self.ahead(item, &sql).await?;
                    }
                }
                Treatment::Alone(sql) => self.alone(item, &sql).await?,
                Treatment::Tablespace { name, statement } => {
                    self.tablespace(item, &name, &statement).await?;
                }
                Treatment::Ask(sql, prefix) => self.ask(item, sql, &prefix).await?,
                Treatment::Generate(sql) => self.generate(item, sql, &mut treatments).await?,
                Treatment::Copy(data) => {
                    self.wait_for(0).await?;
                    let copied = self.copy(item.text, data).await;
                    copied.map_err(|failure| statement_error(self.dump, Some(item), failure))?;
                }
            }
        }
        self.wait_for(0).await?;
        match transactions.open() {
            Some(line) => self.roll_back(line).await,
            None => Ok(()),
        }
    }

    fn not_understood(&self, item: &Item<'_>) -> RestoreError {
        let (text, line) = match item.kind {
            ItemKind::Inside { command, line } => (command, line),
            ItemKind::Statement | ItemKind::Copy(_) => {
                let (path, line) = self.dump.place(item.line);
                return RestoreError::Program { path, line };
            }
            ItemKind::Command => (item.text, item.line),
        };
        let command = text.split_whitespace().next().unwrap_or_default().to_owned();
        let (path, line) = self.dump.place(line);
        RestoreError::Command { path, line, command }
    }

    async fn tablespace(&mut self, item: &Item<'_>, name: &str, statement: &str) -> Result<(), RestoreError> {
        self.wait_for(0).await?;
        let made = tablespaces::make(self.restore.session, name, self.restore.skipped).await;
        made.map_err(|failure| statement_error(self.dump, Some(item), failure))?;
        self.alone(item, statement).await
    }

    /// Ends the transaction that the file began and did not end, as psql does by ending its session.
    async fn roll_back(&mut self, line: usize) -> Result<(), RestoreError> {
        let ended = self.restore.session.run("ROLLBACK").await;
        ended.map_err(|failure| statement_error(self.dump, None, failure))?;
        let (path, line) = self.dump.place(line);
        self.restore.skipped.push(Skipped {
            object: format!("everything after the BEGIN of {}:{line}", path.display()),
            error: "the file ends without a COMMIT, so that psql rolls it back".to_owned(),
        });
        Ok(())
    }

    /// Whether a statement names a role that is not there, as far as is known. One that it makes counts as there
    /// from then on.
    fn names_unknown_role(&mut self, statement: &str) -> bool {
        if let [verb, object, role, ..] = words(statement).as_slice()
            && verb.is("create")
            && (object.is("role") || object.is("user") || object.is("group"))
            && let Some(role) = role.identifier()
        {
            self.roles.insert(RoleName::new(role));
        }
        roles_named(statement).iter().any(|role| !self.roles.contains(role))
    }

    async fn ahead(&mut self, item: &'r Item<'r>, sql: &str) -> Result<(), RestoreError> {
        let sent = self.restore.session.send(sql).await;
        let sent = sent.map_err(|failure| statement_error(self.dump, Some(item), failure))?;
        self.under_way.push_back((item, sent));
        self.wait_for(AHEAD).await
    }

    /// Takes in the answers until no more statements than that are under way.
    async fn wait_for(&mut self, most: usize) -> Result<(), RestoreError> {
        while self.under_way.len() > most {
            let Some((item, sent)) = self.under_way.pop_front() else {
                break;
            };
            if let Err(failure) = self.restore.session.answer(sent).await {
                self.failed(item, failure)?;
            }
        }
        Ok(())
    }

    async fn alone(&mut self, item: &Item<'_>, sql: &str) -> Result<(), RestoreError> {
        self.wait_for(0).await?;
        let mut result = self.restore.session.run(sql).await;
        if let Err(failure) = &result
            && names_no_role(failure, item.text)
            && self.make_roles(item.text).await
        {
            result = self.restore.session.run(sql).await;
        }
        match result {
            Ok(_) if ends_authorization(item.text) => {
                let back = self.restore.become_bootstrap().await;
                back.map_err(|failure| statement_error(self.dump, Some(item), failure))
            }
            Ok(_) => Ok(()),
            Err(failure) => self.failed(item, failure),
        }
    }

    /// Makes the roles that a statement names and nobody created. They may log in, since a worker may
    /// be one of them. Returns whether any was made.
    async fn make_roles(&mut self, statement: &str) -> bool {
        let mut made = false;
        for role in roles_named(statement) {
            made |= self.restore.session.run(&format!("CREATE ROLE {} LOGIN", role.quoted())).await.is_ok();
            self.roles.insert(role);
        }
        made
    }

    async fn copy(&self, statement: &str, data: &str) -> Result<(), QueryFailure> {
        let client = self.restore.session.client();
        let failed = |error: tokio_postgres::Error| QueryFailure::of(&error);
        let sink = client.copy_in::<_, Bytes>(statement).await.map_err(failed)?;
        let mut sink = std::pin::pin!(sink);
        for piece in data.as_bytes().chunks(PIECE) {
            sink.send(Bytes::copy_from_slice(piece)).await.map_err(failed)?;
        }
        sink.finish().await.map(drop).map_err(failed)
    }
}

/// Whether a statement may have failed because of a role that is not there: of one that a session is to become it is
/// the value that is wrong.
fn names_no_role(failure: &QueryFailure, statement: &str) -> bool {
    let becomes = || words(statement).first().is_some_and(|word| word.is("set"));
    match failure.sqlstate.as_str() {
        UNDEFINED_OBJECT => true,
        INVALID_VALUE => becomes(),
        _ => false,
    }
}

/// `RESET SESSION AUTHORIZATION` and `SET SESSION AUTHORIZATION DEFAULT`, after which psql would be the role that
/// it had logged in as.
fn ends_authorization(statement: &str) -> bool {
    let words = words(statement);
    words.first().is_some_and(|word| word.is("reset") || word.is("set"))
        && words.iter().any(|word| word.is("authorization"))
        && words.last().is_some_and(|word| word.is("authorization") || word.is("default"))
}

/// What a statement is called where it is left out: its first line, unless that may hold a password.
fn called(item: &Item<'_>) -> String {
    if has_secret(item.text) {
        return "a statement with a password".to_owned();
    }
    item.text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Whether a statement may hold a password: that of a role, of a user mapping, or of a subscription.
fn has_secret(statement: &str) -> bool {
    let secret = ["password", "connection"];
    words(statement).iter().any(|word| matches!(word, Word::Bare(bare) if secret.contains(&bare.as_str())))
}
