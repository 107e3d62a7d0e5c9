//! Where the coordinators of a run keep everything: a file, or a new database on a server, made for this run and dropped after
//! it. Nothing that was there is ever touched.

use std::str::FromStr;

use anyhow::Context;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions,
};

/// What a person asks for.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite,
    /// A server, and a database on it to connect to.
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map_or(text, |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" if text.contains("://") => text
                .parse()
                .map(|server| Self::Postgres(Box::new(server)))
                .map_err(|_| "it is not a PostgreSQL URL".to_owned()),
            "postgres" | "postgresql" => {
                Err("give the URL of a server; make demo STORE=postgres starts one".to_owned())
            }
            "mysql" | "mariadb" => Err(format!(
                "this demo does not run over {scheme} yet: use sqlite or postgres"
            )),
            _ => Err("it is neither sqlite nor a postgres:// URL".to_owned()),
        }
    }
}

/// A place that is ready for a run.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite,
    Postgres(Box<Database>),
}

/// A database that nobody else uses.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    server: PgConnectOptions,
    own: PgConnectOptions,
    name: String,
}

impl Database {
    /// To read what the coordinators keep there: their tables are in a schema of their own.
    pub(crate) fn to_read(&self) -> PgConnectOptions {
        let read = [
            ("search_path", "earnest"),
            ("default_transaction_read_only", "on"),
        ];
        self.own.clone().options(read)
    }

    /// With the password, if there is one.
    pub(crate) fn url(&self) -> String {
        self.own.to_url_lossy().to_string()
    }
}

impl Store {
    pub(crate) async fn make(place: Place) -> anyhow::Result<Self> {
        let server = match place {
            Place::Sqlite => return Ok(Self::Sqlite),
            Place::Postgres(server) => *server,
        };
        let mut connection = PgConnection::connect_with(&server)
            .await
            .context("can't reach the PostgreSQL server")?;
        let mut number = 0;
        loop {
            let name = format!("earnest_demo_{}_{number}", std::process::id());
            let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            match connection.execute(create).await {
                Ok(_) => {
                    let own = server.clone().database(&name);
                    return Ok(Self::Postgres(Box::new(Database { server, own, name })));
                }
                // A run of the same number left it; it stays.
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => {
                    number += 1;
                }
                Err(error) => return Err(error).context("can't make a database for the run"),
            }
        }
    }

    /// Drops what was made, whoever is still connected to it.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let Self::Postgres(database) = self else {
            return Ok(());
        };
        let Database { server, name, .. } = &**database;
        let problem = || format!("the run's database {name} is left on the server");
        let mut connection = PgConnection::connect_with(server)
            .await
            .with_context(problem)?;
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        connection.execute(drop).await.with_context(problem)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_understood_or_refused_with_a_reason() {
        assert!(matches!("sqlite".parse(), Ok(Place::Sqlite)));
        assert!(matches!(
            "postgres://u:secret@h/db".parse(),
            Ok(Place::Postgres(_))
        ));
        for (wrong, reason) in [
            ("postgres", "URL of a server"),
            ("mysql", "yet"),
            ("mysql://u:secret@h/db", "yet"),
            ("mariadb", "yet"),
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
