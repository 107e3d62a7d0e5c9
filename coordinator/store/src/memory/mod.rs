//! The memory reference: what every store must do, written as plainly as it can be.
//!
//! It serves the simulator, the model tests and the conformance suite, where it stands for "what is right".
//! Clear before clever; but work is found through indexes, since the simulator runs millions of
//! transactions over it. It must never be offered as a place to keep anything: it is gone with the process.

mod batch;
mod fork;
mod index;
mod journal;
mod lease;
mod query;
mod recall;
mod registry;
mod retention;
mod tables;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;

use crate::{Clock, Durability, Store, StoreError};
use tables::Tables;

/// Everything in memory. Clones of one `Arc` of it serve several nodes as one database does.
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty one that takes its time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            tables: Mutex::default(),
            clock,
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Half of a batch is worse than no store.
        self.tables
            .lock()
            .expect("a batch panicked half-way, so what is kept can't be trusted")
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn durability(&self) -> Result<Durability, StoreError> {
        Ok(Durability {
            store: "memory",
            settings: "none: gone with the process".into(),
            durable: false,
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
