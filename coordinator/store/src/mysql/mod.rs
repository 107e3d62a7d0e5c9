//! MySQL and MariaDB: several nodes over one database.
//!
//! A batch is fetched, worked on in memory and written ([`crate::working_set`]), in statements of many rows each. Row locks and
//! conditional writes keep nodes apart; the database's clock is the only one. Statements keep to what MySQL 8.0 and MariaDB 10.6
//! have in common. This module must never answer before the COMMIT, and never take an unknown COMMIT for either outcome.

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
mod recall;
mod registry;
mod retention;
mod rows;
mod server;
#[cfg(test)]
mod tests;
mod time;
mod write;

use std::{
    fmt,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use async_trait::async_trait;
use sqlx::MySqlPool;

use crate::{Clock, Durability, Store, StoreError};
use error::unavailable;
pub use open::MySqlOptions;
use server::Settings;
use time::TimeSource;

/// The store in one MySQL or MariaDB database of its own, shared with other nodes.
pub struct MySqlStore {
    writers: connection::Writers,
    readers: MySqlPool,
    time: TimeSource,
    /// Which target the next claim begins with.
    turn: AtomicUsize,
    /// How far the purge has come on its way through the ids.
    purged: Mutex<Option<[u8; 16]>>,
    /// Bytes of the largest statement that the server takes.
    packet: usize,
    shown: String,
}

impl MySqlStore {
    /// Connects, and brings the schema up to date; several nodes may do so at once.
    ///
    /// Every mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
    pub async fn open(options: MySqlOptions) -> Result<Self, StoreError> {
        Self::open_with(&options, TimeSource::Database).await
    }

    /// The same, for tests that turn the time by hand.
    pub async fn open_at(options: MySqlOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(&options, TimeSource::Given(clock)).await
    }

    async fn open_with(options: &MySqlOptions, time: TimeSource) -> Result<Self, StoreError> {
        let open::Opened {
            writers,
            readers,
            packet,
            shown,
        } = open::open(options).await?;
        Ok(Self {
            writers,
            readers,
            time,
            turn: AtomicUsize::new(0),
            purged: Mutex::default(),
            packet,
            shown,
        })
    }

    async fn settings(&self, context: &'static str) -> Result<Settings, StoreError> {
        let mut transaction = self.writers.begin(context).await?;
        let settings = Settings::read(&mut transaction).await?;
        transaction.roll_back().await;
        Ok(settings)
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("database", &self.shown)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MySqlStore {
    async fn durability(&self) -> Result<Durability, StoreError> {
        Ok(self.settings("read the durability").await?.durability())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.settings("ping").await?.is_read_only() {
            return Err(unavailable(
                "the server takes no writes: it is a replica, or set to read-only",
            ));
        }
        Ok(())
    }
}
