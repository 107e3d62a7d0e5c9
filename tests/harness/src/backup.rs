//! An older copy of a database, and putting it in the place of what came after.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::Database;

/// A PostgreSQL database as it was.
#[derive(Debug)]
pub struct Backup {
    server_url: String,
    name: String,
}

impl Database {
    /// Copies it as it is now. Nobody may be connected to it.
    pub async fn back_up(&self) -> Backup {
        let made = async {
            let path = self.url().split('?').next().context("a URL")?;
            let name = path
                .rsplit('/')
                .next()
                .context("a database's name")?
                .to_owned();
            let backup = Backup {
                server_url: self.server_url().to_owned(),
                name,
            };
            let of = &backup.name;
            backup
                .run(&[format!("CREATE DATABASE {of}_old TEMPLATE {of}")])
                .await?;
            anyhow::Ok(backup)
        };
        made.await
            .unwrap_or_else(|error| panic!("can't back up {}: {error:#}", self.url()))
    }
}

impl Backup {
    /// Puts the copy in the place of the database, whoever is connected to that.
    pub async fn restore(self) {
        let of = &self.name;
        let steps = [
            format!("ALTER DATABASE {of} WITH ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = '{of}'"
            ),
            format!("ALTER DATABASE {of} RENAME TO {of}_gone"),
            format!("ALTER DATABASE {of}_old RENAME TO {of}"),
        ];
        let done = self.run(&steps).await;
        done.unwrap_or_else(|error| panic!("can't restore {of}: {error:#}"));
    }

    async fn run(&self, statements: &[String]) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.server_url).await?;
        for sql in statements {
            admin
                .execute(AssertSqlSafe(sql.clone()))
                .await
                .with_context(|| sql.clone())?;
        }
        Ok(())
    }
}
