//! Opening: from a URL to a database whose schema is this version's. Every mistake of whoever starts the program says
//! what to do, and no text here ever shows a password.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    Executor, PgPool,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::connection::Writers;
use crate::{StoreError, sql::encryption};

/// How long a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to reach a database.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: String,
    /// Connections that write, from 1: journal lanes, claims, heartbeats.
    pub writers: usize,
    /// Queries that run at once, from 1.
    pub readers: usize,
}

impl PostgresOptions {
    /// Six writers and four readers.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            writers: 6,
            readers: 4,
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// The connections of a store.
pub(super) struct Opened {
    pub(super) writers: Writers,
    pub(super) readers: PgPool,
    /// Where it is, without user and password.
    pub(super) shown: String,
}

pub(super) async fn open(options: &PostgresOptions) -> Result<Opened, StoreError> {
    let connect = parse(&options.url)?;
    let shown = format!(
        "postgres://{}:{}/{}",
        connect.get_host(),
        connect.get_port(),
        connect.get_database().unwrap_or(connect.get_username()),
    );
    let insists = matches!(
        connect.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    );
    if !insists && !encryption::is_here(connect.get_host()) {
        encryption::warn(
            &shown,
            "sslmode=verify-full, and sslrootcert=FILE where the system doesn't know its issuer",
        );
    }
    let writers = Writers::new(connect.clone(), options.writers);
    let mut first = writers
        .connect()
        .await
        .map_err(|error| cannot(&shown, &error))?;
    super::migrate::migrate(&mut first, &shown).await?;
    let readers = PgPoolOptions::new()
        .max_connections(u32::try_from(options.readers.max(1)).unwrap_or(u32::MAX))
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute(
                        "SET search_path = earnest; SET default_transaction_read_only = on; \
                         SET statement_timeout = '30s'; SET jit = off",
                    )
                    .await
                    .map(drop)
            })
        })
        .connect_lazy_with(connect);
    Ok(Opened {
        writers,
        readers,
        shown,
    })
}

fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        StoreError::CannotOpen(format!(
            "the database's URL can't be read ({error}): give \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as %XX"
        ))
    })?;
    let options = if encryption::is_here(options.get_host()) && !encryption::is_said(url) {
        options.ssl_mode(PgSslMode::Disable)
    } else {
        options
    };
    Ok(options.application_name("earnest"))
}

fn cannot(shown: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    StoreError::CannotOpen(match code.as_deref() {
        Some("28P01" | "28000") => format!(
            "{shown} refuses this user ({error}): check user and password in the URL, and the server's pg_hba.conf"
        ),
        Some("3D000") => {
            format!("{shown} is not there ({error}): create the database, for one with `createdb`")
        }
        Some("53300") => format!(
            "{shown} takes no more connections ({error}): raise its max_connections, or give fewer connections to \
             each coordinator"
        ),
        Some("42501") => format!("{shown}: this user may not do what is needed ({error})"),
        Some(_) => format!("{shown} can't be used: {error}"),
        None if encryption::is_why(error) => format!(
            "{shown}: no encrypted connection ({error}): check sslmode and sslrootcert in the URL, and the server's ssl"
        ),
        None if matches!(error, sqlx::Error::PoolTimedOut) => {
            format!(
                "{shown} does not answer: is the server running, and can it be reached from here?"
            )
        }
        None => format!("{shown} can't be reached ({error}): is the server running?"),
    })
}
