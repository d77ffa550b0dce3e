//! A database to be dumped: a server of the library's own local backend, and PostgreSQL's own programs.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Failed;
use thirdrun::identifiers::DatabaseName;
use thirdrun::postgres::Session;
use thirdrun::sandbox::local::find_all;
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};

/// A database `shop` on a server that lives as long as this does.
pub struct Original {
    runtime: tokio::runtime::Runtime,
    scope: Scope,
    sandbox: Option<Sandbox>,
    bin: PathBuf,
}

impl Original {
    /// Makes roles and a database by these statements; `options` are those of `CREATE DATABASE`.
    pub fn new(roles: &str, options: &str, schema: &str) -> Result<Self, Failed> {
        let runtime = tokio::runtime::Runtime::new()?;
        let scope = Scope::create()?;
        let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
        let made = runtime.block_on(async {
            let sandbox = Sandbox::start(&plan, None, &scope, &[]).await?;
            let root = sandbox.superuser_session().await?;
            for statement in [roles.to_owned(), format!("CREATE DATABASE shop TEMPLATE template0 {options}")]
            {
                root.run(&statement).await?;
            }
            let login = sandbox.server().superuser_login(&DatabaseName::new("shop"));
            let shop = Session::open(&sandbox.server().endpoint, &login).await?;
            shop.run("SET SESSION AUTHORIZATION postgres").await?;
            shop.run(schema).await?;
            shop.close().await;
            root.close().await;
            Ok::<_, Failed>(sandbox)
        });
        let newest = find_all(None).into_iter().max_by_key(|one| one.major).ok_or("no PostgreSQL here")?;
        Ok(Self { runtime, scope, sandbox: Some(made?), bin: newest.bin })
    }

    /// What a program of PostgreSQL prints that connects to the server.
    pub fn program(&self, name: &str, arguments: &[&str]) -> Result<Vec<u8>, Failed> {
        let sandbox = self.sandbox.as_ref().ok_or("the server is gone")?;
        let login = sandbox.server().superuser_login(&DatabaseName::new("shop"));
        let (host, port) = sandbox.server().endpoint.host_and_port();
        let output = Command::new(self.bin.join(name))
            .args(arguments)
            .env("PGHOST", host)
            .env("PGPORT", port.to_string())
            .env("PGUSER", login.role.as_str())
            .env("PGPASSWORD", login.password.reveal())
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(output.stdout)
    }

    /// A dump of the database.
    pub fn pg_dump(&self, arguments: &[&str]) -> Result<Vec<u8>, Failed> {
        self.program("pg_dump", &[arguments, &["shop"]].concat())
    }

    /// The roles, without thirdrun's own superuser.
    pub fn roles(&self) -> Result<String, Failed> {
        let text = String::from_utf8(self.program("pg_dumpall", &["--globals-only"])?)?;
        let own = |line: &&str| !line.contains(" ROLE thirdrun");
        Ok(text.lines().filter(own).map(|line| format!("{line}\n")).collect())
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.sandbox = None;
        self.runtime.block_on(self.scope.close());
    }
}
