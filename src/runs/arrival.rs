//! When a script arrives at the server: the moment its first session is there.

use std::time::Duration;

use crate::identifiers::{DatabaseName, WorkerName, quote_literal};
use crate::postgres::{QueryFailure, Server, Session};

/// How often the server is asked.
const POLL: Duration = Duration::from_millis(5);

/// Sees sessions that are neither thirdrun's nor a worker's.
pub struct Arrivals {
    session: Session,
    strangers: String,
}

impl Arrivals {
    /// Logs in as thirdrun's own superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn new(server: &Server, workers: &[WorkerName]) -> Result<Self, QueryFailure> {
        let login = server.superuser_login(&DatabaseName::new("postgres"));
        let known: Vec<_> = workers
            .iter()
            .map(WorkerName::application)
            .chain(std::iter::once(login.application.clone()))
            .map(|name| quote_literal(&name))
            .collect();
        let strangers = format!(
            "SELECT pg_catalog.array_agg(pid ORDER BY pid) FROM pg_catalog.pg_stat_activity \
             WHERE backend_type = 'client backend' AND application_name NOT IN ({})",
            known.join(", ")
        );
        Ok(Self { session: Session::open(&server.endpoint, &login).await?, strangers })
    }

    /// The sessions of strangers now.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn strangers(&self) -> Result<String, QueryFailure> {
        Ok(self.session.run(&self.strangers).await?.value.flatten().unwrap_or_default())
    }

    /// Waits until other sessions of strangers are there than `before`.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn changed(&self, before: &str) -> Result<(), QueryFailure> {
        while self.strangers().await? == before {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The session that it looks through, of thirdrun's own superuser.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends its own session.
    pub async fn close(self) {
        self.session.close().await;
    }
}
