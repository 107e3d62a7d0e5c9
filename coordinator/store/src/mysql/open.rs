//! Opening: from a URL to a database whose schema is this version's. Every mistake of whoever starts the program says
//! what to do, and no text here ever shows a password.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    Executor, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
};

use super::{
    connection::Writers,
    server::{Settings, cannot_connect},
};
use crate::{StoreError, sql::encryption};

/// How long a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Settings of a connection that reads: one snapshot for a whole transaction, and nothing written. The comments are executed by
/// MariaDB and by MySQL 8, each its own.
const SETTINGS: [&str; 2] = [
    "SET autocommit = 1, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION' \
     /*M! , max_statement_time = 30 */ /*!80000 , max_execution_time = 30000 */",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
];

/// How to reach a database.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlOptions {
    /// `mysql://USER:PASSWORD@HOST:PORT/DATABASE`, of MySQL or MariaDB.
    pub url: String,
    /// Connections that write, from 1: journal lanes, claims, heartbeats.
    pub writers: usize,
    /// Queries that run at once, from 1.
    pub readers: usize,
}

impl MySqlOptions {
    /// Six writers and four readers.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            writers: 6,
            readers: 4,
        }
    }
}

impl fmt::Debug for MySqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlOptions")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// The connections of a store.
pub(super) struct Opened {
    pub(super) writers: Writers,
    pub(super) readers: MySqlPool,
    /// Bytes of the largest statement that the server takes.
    pub(super) packet: usize,
    /// Where it is, without user and password.
    pub(super) shown: String,
}

pub(super) async fn open(options: &MySqlOptions) -> Result<Opened, StoreError> {
    let connect = parse(&options.url)?;
    let database = connect.get_database().unwrap_or_default();
    let shown = format!(
        "mysql://{}:{}/{database}",
        connect.get_host(),
        connect.get_port()
    );
    if database.is_empty() {
        return Err(StoreError::CannotOpen(format!(
            "{shown} names no database: give mysql://USER:PASSWORD@HOST:PORT/DATABASE"
        )));
    }
    let insists = matches!(
        connect.get_ssl_mode(),
        MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity
    );
    if !insists && !encryption::is_here(connect.get_host()) {
        encryption::warn(
            &shown,
            "ssl-mode=VERIFY_IDENTITY, and ssl-ca=FILE where the system doesn't know its issuer",
        );
    }
    let writers = Writers::new(connect.clone(), options.writers);
    let mut first = writers
        .connect()
        .await
        .map_err(|error| cannot_connect(&shown, &error))?;
    let settings = Settings::read(&mut first).await?;
    settings.check(&shown)?;
    super::migrate::migrate(&mut first, &shown).await?;
    let readers = MySqlPoolOptions::new()
        .max_connections(u32::try_from(options.readers.max(1)).unwrap_or(u32::MAX))
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                for settings in SETTINGS {
                    connection.execute(settings).await?;
                }
                Ok(())
            })
        })
        .connect_lazy_with(connect);
    Ok(Opened {
        writers,
        readers,
        packet: settings.packet(),
        shown,
    })
}

fn parse(url: &str) -> Result<MySqlConnectOptions, StoreError> {
    let options = MySqlConnectOptions::from_str(url).map_err(|error| {
        StoreError::CannotOpen(format!(
            "the database's URL can't be read ({error}): give \
             mysql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as %XX"
        ))
    })?;
    let options = if encryption::is_here(options.get_host()) && !encryption::is_said(url) {
        options.ssl_mode(MySqlSslMode::Disabled)
    } else {
        options
    };
    // Modes and time zone are set with all the rest.
    Ok(options.pipes_as_concat(false).no_engine_substitution(false))
}
