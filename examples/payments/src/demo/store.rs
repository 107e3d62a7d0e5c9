//! Where the coordinators of a run keep everything: a file, or a new database on a server, made for this run and dropped after
//! it. Nothing that was there is ever touched.

use std::str::FromStr;

use anyhow::Context;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, PgConnection,
    mysql::MySqlConnectOptions, postgres::PgConnectOptions,
};

/// What a person asks for.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite,
    Server(Server),
}

/// A server, and a database on it to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    Postgres(Box<PgConnectOptions>),
    /// MySQL or MariaDB.
    Mysql(Box<MySqlConnectOptions>),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map_or(text, |(scheme, _)| scheme);
        let server = match scheme {
            "sqlite" => return Ok(Self::Sqlite),
            "postgres" | "postgresql" | "mysql" | "mariadb" if !text.contains("://") => {
                return Err("give the URL of a server; make demo STORE=postgres starts one, and so does STORE=mysql".to_owned());
            }
            "postgres" | "postgresql" => text
                .parse()
                .map(|server| Server::Postgres(Box::new(server)))
                .map_err(|_| "it is not a PostgreSQL URL".to_owned())?,
            "mysql" | "mariadb" => text
                .parse()
                .map(|server| Server::Mysql(Box::new(server)))
                .map_err(|_| "it is not a MySQL URL".to_owned())?,
            _ => return Err("it is neither sqlite nor a postgres:// or mysql:// URL".to_owned()),
        };
        Ok(Self::Server(server))
    }
}

impl Server {
    /// As `make demo STORE=…` names it.
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Mysql(_) => "mysql",
        }
    }

    async fn execute(&self, sql: String) -> sqlx::Result<()> {
        match self {
            Self::Postgres(server) => {
                let mut connection = PgConnection::connect_with(server).await?;
                connection.execute(AssertSqlSafe(sql)).await.map(drop)
            }
            Self::Mysql(server) => {
                let mut connection = MySqlConnection::connect_with(server).await?;
                connection.execute(AssertSqlSafe(sql)).await.map(drop)
            }
        }
    }

    /// The same server, another database.
    fn at(&self, name: &str) -> Self {
        match self {
            Self::Postgres(server) => Self::Postgres(Box::new((**server).clone().database(name))),
            Self::Mysql(server) => Self::Mysql(Box::new((**server).clone().database(name))),
        }
    }
}

/// A place that is ready for a run.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite,
    Server(Database),
}

/// A database that nobody else uses.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    server: Server,
    own: Server,
    name: String,
}

impl Database {
    /// To read what the coordinators keep there.
    pub(crate) fn to_read(&self) -> Server {
        match &self.own {
            Server::Postgres(own) => {
                // Their tables are in a schema of their own.
                let read = [
                    ("search_path", "earnest"),
                    ("default_transaction_read_only", "on"),
                ];
                Server::Postgres(Box::new((**own).clone().options(read)))
            }
            Server::Mysql(own) => Server::Mysql(own.clone()),
        }
    }

    /// With the password, if there is one.
    pub(crate) fn url(&self) -> String {
        match &self.own {
            Server::Postgres(own) => own.to_url_lossy().to_string(),
            Server::Mysql(own) => own.to_url_lossy().to_string(),
        }
    }

    /// As `make demo STORE=…` names its kind.
    pub(crate) fn kind(&self) -> &'static str {
        self.server.name()
    }
}

impl Store {
    pub(crate) async fn make(place: Place) -> anyhow::Result<Self> {
        let server = match place {
            Place::Sqlite => return Ok(Self::Sqlite),
            Place::Server(server) => server,
        };
        let mut number = 0;
        loop {
            let name = format!("earnest_demo_{}_{number}", std::process::id());
            match server.execute(format!("CREATE DATABASE {name}")).await {
                Ok(()) => {
                    let own = server.at(&name);
                    return Ok(Self::Server(Database { server, own, name }));
                }
                // A run of the same number left it; it stays.
                Err(sqlx::Error::Database(error)) if error.message().contains("exists") => {
                    number += 1;
                }
                Err(error) => {
                    return Err(error).context("can't make a database for the run on the server");
                }
            }
        }
    }

    /// Drops what was made, whoever is still connected to it.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let Self::Server(Database { server, name, .. }) = self else {
            return Ok(());
        };
        let force = match server {
            Server::Postgres(_) => " WITH (FORCE)",
            Server::Mysql(_) => "",
        };
        let dropped = server.execute(format!("DROP DATABASE {name}{force}")).await;
        dropped.with_context(|| format!("the run's database {name} is left on the server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_understood_or_refused_with_a_reason() {
        assert!(matches!("sqlite".parse(), Ok(Place::Sqlite)));
        for (url, name) in [
            ("postgres://u:secret@h/db", "postgres"),
            ("mysql://u:secret@h/db", "mysql"),
        ] {
            let Ok(Place::Server(server)) = url.parse() else {
                panic!("{url}");
            };
            assert_eq!(server.name(), name);
        }
        for (wrong, reason) in [
            ("postgres", "URL of a server"),
            ("mysql", "URL of a server"),
            ("mysql://u:secret@h:port/db", "not a MySQL URL"),
            ("redis://h", "neither"),
        ] {
            let error = wrong.parse::<Place>().unwrap_err();
            assert!(
                error.contains(reason) && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
