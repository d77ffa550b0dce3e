//! What psql asks the server for on its way: statements that a query generates (`\gexec`), values of variables
//! (`\gset`), and the variables that psql has from its connection (PostgreSQL manual, psql).

use tokio_postgres::SimpleQueryMessage;

use super::treatment::{Treatment, Treatments};
use super::{RestoreError, Restoring, statement_error};
use crate::dump::{Item, ItemKind};
use crate::postgres::QueryFailure;

/// What psql sets when it has connected.
const CONNECTED: &str = "SELECT pg_catalog.current_database() AS \"DBNAME\", 'UTF8' AS \"ENCODING\", \
     pg_catalog.current_setting('server_version_num') AS \"SERVER_VERSION_NUM\", \
     pg_catalog.current_setting('server_version') AS \"SERVER_VERSION_NAME\", \
     pg_catalog.version() AS \"VERSION\", pg_catalog.current_setting('server_version') AS \"VERSION_NAME\", \
     pg_catalog.current_setting('server_version_num') AS \"VERSION_NUM\", \
     pg_catalog.current_setting('port') AS \"PORT\", 'localhost' AS \"HOST\", current_user AS \"USER\"";

/// How their names begin.
const OF_CONNECTION: [&str; 7] = ["DBNAME", "ENCODING", "SERVER_VERSION", "VERSION", "PORT", "HOST", "USER"];

impl Restoring<'_, '_> {
    /// Sets the variables of the connection where the dump uses one. `USER` is the owner of the catalogs.
    pub(super) async fn connected(&mut self) -> Result<(), RestoreError> {
        let used = |name: &&str| {
            ["", "'", "\""].iter().any(|quote| self.dump.text.contains(&format!(":{quote}{name}")))
        };
        // What pg_dump writes has none, and may be long.
        if !self.by_hand || !OF_CONNECTION.iter().any(used) {
            return Ok(());
        }
        let rows = self.query(CONNECTED).await;
        let rows = rows.map_err(|failure| statement_error(self.dump, None, failure))?;
        for (name, value) in rows.into_iter().flatten() {
            self.variables.set(name, value);
        }
        Ok(())
    }

    /// Sets variables to what a query gives.
    pub(super) async fn ask(&mut self, item: &Item<'_>, sql: &str, prefix: &str) -> Result<(), RestoreError> {
        self.wait_for(0).await?;
        let rows = match self.query(sql).await {
            Ok(rows) => rows,
            Err(failure) => return self.failed(item, failure),
        };
        let [row] = rows.as_slice() else {
            let (path, line) = self.dump.place(item.line);
            return Err(RestoreError::NotOneRow { path, line, rows: rows.len() });
        };
        for (name, value) in row {
            self.variables.set(format!("{prefix}{name}"), value.clone());
        }
        Ok(())
    }

    /// Carries out every value that a query gives, row by row.
    pub(super) async fn generate(
        &mut self,
        item: &Item<'_>,
        sql: &str,
        treatments: &mut Treatments,
    ) -> Result<(), RestoreError> {
        self.wait_for(0).await?;
        let rows = match self.query(sql).await {
            Ok(rows) => rows,
            Err(failure) => return self.failed(item, failure),
        };
        for text in rows.into_iter().flatten().filter_map(|(_, value)| value) {
            let made = Item { line: item.line, text: &text, kind: ItemKind::Statement };
            let treatment = treatments.of(&made);
            self.one(&made, treatment).await?;
        }
        Ok(())
    }

    /// What a piece of the dump is with the variables in it that only the server could tell; none where it is the same.
    pub(super) fn substituted(&self, item: &Item<'_>) -> Option<String> {
        if self.variables.is_empty() || matches!(item.kind, ItemKind::Copy(_)) {
            return None;
        }
        let text = self.variables.substituted(item.text);
        (text != item.text).then_some(text)
    }

    /// Carries out a statement that is not in the dump as it is, once everything before it is answered.
    pub(super) async fn one(
        &mut self,
        item: &Item<'_>,
        treatment: Treatment<'_>,
    ) -> Result<(), RestoreError> {
        match treatment {
            Treatment::Send(sql) | Treatment::Alone(sql) => self.alone(item, &sql).await,
            Treatment::Tablespace { name, statement } => self.tablespace(item, &name, &statement).await,
            Treatment::LeaveOut(skipped) => {
                self.restore.skipped.push(skipped);
                Ok(())
            }
            Treatment::Ask(..)
            | Treatment::Generate(_)
            | Treatment::Copy(_)
            | Treatment::Nothing
            | Treatment::End => Ok(()),
            Treatment::NotUnderstood => Err(self.not_understood(item)),
        }
    }

    /// The rows of a query, each as names and values.
    async fn query(&self, sql: &str) -> Result<Vec<Vec<(String, Option<String>)>>, QueryFailure> {
        let messages = self.restore.session.client().simple_query(sql).await;
        let messages = messages.map_err(|error| QueryFailure::of(&error))?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                let names = row.columns().iter().map(|column| column.name().to_owned());
                let cells = names.enumerate().map(|(at, name)| (name, row.get(at).map(str::to_owned)));
                Some(cells.collect())
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }
}
