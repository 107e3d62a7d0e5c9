//! PostgreSQL: several nodes over one database.
//!
//! A batch is fetched, worked on in memory and written ([`crate::working_set`]), in a few statements of many rows each.
//! Row locks and conditional writes keep nodes apart; the database's clock is the only one. This module must never
//! answer before the COMMIT, and never take an unknown COMMIT for either outcome.

mod cells;
mod claim;
mod connection;
mod error;
mod fetch;
#[cfg(any(test, feature = "fill"))]
mod fill;
mod held;
mod journal;
mod lease;
mod migrate;
mod open;
mod query;
mod range;
mod recall;
mod registry;
mod retention;
#[cfg(test)]
mod tests;
mod time;
mod write;

use std::{
    fmt,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use async_trait::async_trait;
use sqlx::PgPool;

use crate::{Clock, Durability, Store, StoreError};
use error::{Context, unavailable};
pub use open::PostgresOptions;
use time::TimeSource;

/// The store in one PostgreSQL database, in a schema `earnest` of its own, shared with other nodes.
pub struct PostgresStore {
    writers: connection::Writers,
    readers: PgPool,
    time: TimeSource,
    /// Which target the next claim begins with.
    turn: AtomicUsize,
    /// How far the purge has come on its way through history.
    purging: Mutex<retention::Progress>,
    shown: String,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date; several nodes may do so at once.
    ///
    /// Every mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        Self::open_with(&options, TimeSource::Database).await
    }

    /// The same, for tests that turn the time by hand.
    pub async fn open_at(
        options: PostgresOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        Self::open_with(&options, TimeSource::Given(clock)).await
    }

    async fn open_with(options: &PostgresOptions, time: TimeSource) -> Result<Self, StoreError> {
        let open::Opened {
            writers,
            readers,
            shown,
        } = open::open(options).await?;
        Ok(Self {
            writers,
            readers,
            time,
            turn: AtomicUsize::new(0),
            purging: Mutex::default(),
            shown,
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("database", &self.shown)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn durability(&self) -> Result<Durability, StoreError> {
        // Settings that an engine of this dialect doesn't have are NULL.
        const SETTINGS: &str = "SELECT current_setting('synchronous_commit', true), current_setting('fsync', true), \
             current_setting('full_page_writes', true)";
        type Settings = (Option<String>, Option<String>, Option<String>);
        let context = "read the durability";
        let mut transaction = self.writers.begin(context).await?;
        let (commit, fsync, pages): Settings = sqlx::query_as(SETTINGS)
            .fetch_one(&mut *transaction)
            .await
            .context(context)?;
        transaction.roll_back().await;
        let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
        let durable = !is(&commit, "off") && !is(&fsync, "off") && !is(&pages, "off");
        let shown = |setting: Option<String>| setting.unwrap_or_else(|| "?".into());
        Ok(Durability {
            store: "postgres",
            settings: format!(
                "synchronous_commit={} fsync={} full_page_writes={}",
                shown(commit),
                shown(fsync),
                shown(pages)
            ),
            durable,
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let context = "ping";
        let mut transaction = self.writers.begin(context).await?;
        let read_only: bool =
            sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on'")
                .fetch_one(&mut *transaction)
                .await
                .context(context)?;
        transaction.roll_back().await;
        if read_only {
            return Err(unavailable(
                "the server takes no writes: it is a standby, or set to read-only",
            ));
        }
        Ok(())
    }
}
