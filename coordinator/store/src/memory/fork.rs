//! A state of the store that can be gone on from more than once, or gone back to.

use std::sync::{Arc, Mutex};

use super::MemoryStore;
use crate::Clock;

impl MemoryStore {
    /// A copy that goes its own way from here, under a clock of its own: for a model checker, which tries every
    /// next step of one and the same state.
    #[must_use]
    pub fn fork(&self, clock: Arc<dyn Clock>) -> Self {
        Self {
            tables: Mutex::new(self.tables().clone()),
            clock,
        }
    }

    /// Goes back to what `copy` holds, as a database does that is restored from a backup.
    pub fn restore(&self, copy: &Self) {
        let older = copy.tables().clone();
        *self.tables() = older;
    }
}
