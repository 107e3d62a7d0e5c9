//! SQLite: one machine, one process, nothing installed.
//!
//! One thread writes, each batch as one database transaction of cached row statements; a few connections read
//! beside it and never wait for it. A lock file keeps other processes out, which is why whatever was leased
//! before the start is free at once: nobody who held it can live. This module must never answer before the
//! COMMIT, and never decide what may happen to a transaction (the engine does, over [`rows::SqlRows`]).

mod branch;
mod checkpoint;
mod claim;
mod column;
mod delivery;
mod error;
#[cfg(feature = "fill")]
mod fill;
mod journal;
mod lease;
mod message;
mod meta;
mod migrate;
mod open;
mod pool;
mod query;
mod recall;
mod record;
mod registry;
mod retention;
mod rows;
mod service;
mod subscription;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

use std::{
    fmt,
    fs::File,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
};

use async_trait::async_trait;
use earnest_protocol::TransactionId;
use rusqlite::Connection;

use crate::{Clock, Durability, Store, StoreError};
use error::{Context, unavailable};

/// When a commit counts as done. Anything but `Full` is for tests and benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// When it is on the disk: it survives power loss.
    #[default]
    Full,
    /// When it is handed to the operating system: it survives this process, not power loss.
    Normal,
    /// The same, and power loss may damage the file.
    Off,
}

impl Synchronous {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }
}

/// How to open a database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The file; created when there is none. `<path>-wal`, `<path>-shm` and `<path>.lock` lie beside it.
    pub path: PathBuf,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// Queries that run at once, from 1.
    pub readers: usize,
}

impl SqliteOptions {
    /// Durable, and three readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            readers: 3,
        }
    }
}

/// The store in one SQLite file, which it owns alone. Dropping it finishes what was begun and closes the file.
pub struct SqliteStore {
    // In the order in which they must go: who writes, who reads, and only then the lock.
    writer: writer::Writer,
    readers: pool::Readers,
    clock: Arc<dyn Clock>,
    /// Which target the next claim begins with.
    turn: Arc<AtomicUsize>,
    /// How far the purge has come on its way through the ids.
    purged: Arc<std::sync::Mutex<Option<TransactionId>>>,
    path: PathBuf,
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the file, brings its schema up to date and frees what was leased before. Blocks.
    ///
    /// Every mistake of whoever starts the program is a [`StoreError::CannotOpen`] that says what to do.
    pub fn open(options: SqliteOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = open::resolve(&options.path);
        let lock = open::lock(&path)?;
        let db = open::first(&path, &options)?;
        let readers = pool::Readers::new(path.clone(), options.readers);
        let opened = open::Identity::of(&path).map_err(|error| {
            StoreError::CannotOpen(format!("{} is gone again: {error}", path.display()))
        })?;
        let file = writer::Opened {
            path: path.clone(),
            identity: opened,
        };
        let writer =
            writer::Writer::start(db, file, options, Arc::clone(&clock)).map_err(|error| {
                StoreError::CannotOpen(format!("the database's thread can't be started: {error}"))
            })?;
        Ok(Self {
            writer,
            readers,
            clock,
            turn: Arc::default(),
            purged: Arc::default(),
            path,
            _lock: lock,
        })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn durability(&self) -> Result<Durability, StoreError> {
        self.writer.look("durability", durability).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer
            .look("ping", |db| meta::purge_horizon(db).map(drop))
            .await
    }
}

fn durability(db: &Connection) -> Result<Durability, StoreError> {
    let context = "read the durability";
    let mode: String = db
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .context(context)?;
    let level: i64 = db
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .context(context)?;
    let synchronous = match level {
        0 => "off",
        1 => "normal",
        2 => "full",
        3 => "extra",
        other => return Err(unavailable(format!("{context}: synchronous is {other}"))),
    };
    Ok(Durability {
        store: "sqlite",
        settings: format!("journal_mode={mode} synchronous={synchronous}"),
        // Only in WAL mode does FULL sync at each commit and nothing more is needed.
        durable: mode == "wal" && level >= 2,
    })
}
