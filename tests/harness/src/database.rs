//! One test's own database.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::{Kind, Server};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A database that nobody else uses. It stays until its server goes, so that a failed test can be looked into.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
    server_url: String,
}

impl Database {
    pub(crate) async fn create(server: &Server) -> Self {
        let made = Self::try_create(server).await;
        made.unwrap_or_else(|error| panic!("can't make a database on {}: {error:#}", server.kind()))
    }

    async fn try_create(server: &Server) -> anyhow::Result<Self> {
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("earnest_{}_{number}", std::process::id());
            let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            let made = match server.kind() {
                Kind::Postgres => {
                    let mut connection = sqlx::PgConnection::connect(server.url()).await?;
                    connection.execute(create).await.map(|_| ())
                }
                Kind::Mariadb => {
                    let mut connection = sqlx::MySqlConnection::connect(server.url()).await?;
                    connection.execute(create).await.map(|_| ())
                }
            };
            match made {
                Ok(()) => {
                    return Ok(Self {
                        url: server.url_of(&name)?,
                        server_url: server.url().to_owned(),
                    });
                }
                // A process of the same number left it on a server that outlived it.
                Err(sqlx::Error::Database(error))
                    if matches!(error.code().as_deref(), Some("42P04" | "HY000"))
                        && error.message().contains("exists") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Of this database, with its administrator.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes it away, whoever is connected to it.
    pub async fn remove(self) -> anyhow::Result<()> {
        let (_, name) = self
            .url
            .rsplit_once('/')
            .context("a database's URL names it")?;
        let name = name.split('?').next().unwrap_or_default();
        if self.server_url.starts_with("mysql:") {
            let mut connection = sqlx::MySqlConnection::connect(&self.server_url).await?;
            let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
            connection.execute(drop).await?;
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.server_url).await?;
            let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            connection.execute(drop).await?;
        }
        Ok(())
    }

    /// Of the server's own database, to look at it from outside (sessions, locks) or to end sessions.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }
}

/// Opens a session and asks for something.
pub(crate) async fn session(kind: Kind, url: &str) -> anyhow::Result<()> {
    match kind {
        Kind::Postgres => {
            let mut connection = sqlx::PgConnection::connect(url).await?;
            connection.execute("SELECT 1").await?;
        }
        Kind::Mariadb => {
            let mut connection = sqlx::MySqlConnection::connect(url).await?;
            connection.execute("SELECT 1").await?;
        }
    }
    Ok(())
}
