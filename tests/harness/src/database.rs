//! One test's own database.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::{Kind, OwnServer, Server};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A database that nobody else uses. It stays until its server goes, so that a failed test can be looked into.
#[derive(Debug, Clone)]
pub struct Database {
    kind: Kind,
    name: String,
    url: String,
    server_url: String,
}

impl Database {
    pub(crate) async fn create(server: &Server) -> Self {
        Self::create_at(server.kind(), server.url()).await
    }

    /// A new one on a server of the test's own, gone with that.
    pub async fn on(server: &OwnServer) -> Self {
        Self::create_at(server.kind(), server.url()).await
    }

    async fn create_at(kind: Kind, server_url: &str) -> Self {
        let made = Self::try_create(kind, server_url).await;
        made.unwrap_or_else(|error| panic!("can't make a database on {kind}: {error:#}"))
    }

    async fn try_create(kind: Kind, server_url: &str) -> anyhow::Result<Self> {
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("earnest_{}_{number}", std::process::id());
            let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            let made = match kind {
                Kind::Postgres => {
                    let mut connection = sqlx::PgConnection::connect(server_url).await?;
                    connection.execute(create).await.map(|_| ())
                }
                Kind::Mariadb => {
                    let mut connection = sqlx::MySqlConnection::connect(server_url).await?;
                    connection.execute(create).await.map(|_| ())
                }
            };
            match made {
                Ok(()) => {
                    return Ok(Self {
                        kind,
                        url: url_of(server_url, &name)?,
                        server_url: server_url.to_owned(),
                        name,
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

    /// On which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Of this database, with its administrator.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes it away, whoever is connected to it.
    pub async fn remove(self) -> anyhow::Result<()> {
        let name = &self.name;
        match self.kind {
            Kind::Mariadb => {
                let mut connection = sqlx::MySqlConnection::connect(&self.server_url).await?;
                let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
                connection.execute(drop).await?;
            }
            Kind::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&self.server_url).await?;
                let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                connection.execute(drop).await?;
            }
        }
        Ok(())
    }

    /// Of the server's own database, to look at it from outside (sessions, locks) or to end sessions.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }
}

/// The same server, another database.
fn url_of(server_url: &str, database: &str) -> anyhow::Result<String> {
    let scheme = server_url
        .find("://")
        .context("a server's URL has a scheme")?
        + 3;
    let (end, query) = match server_url.find('?') {
        Some(at) => (at, &server_url[at..]),
        None => (server_url.len(), ""),
    };
    let path = server_url[scheme..end]
        .find('/')
        .map_or(end, |at| scheme + at);
    if path == scheme {
        bail!("a server's URL names a host");
    }
    Ok(format!("{}/{database}{query}", &server_url[..path]))
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
