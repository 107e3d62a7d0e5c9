//! Which local transactions this process has open, so that a check-back about one of them is answered *in progress* at
//! once instead of waiting for its locks.
//!
//! A convenience, never a proof: what is not in here is settled by the fence.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::ids::TransactionId;

#[derive(Default)]
pub(crate) struct OpenTransactions(Mutex<HashSet<TransactionId>>);

impl OpenTransactions {
    pub(crate) fn add(&self, id: TransactionId) {
        self.set().insert(id);
    }

    pub(crate) fn remove(&self, id: TransactionId) {
        self.set().remove(&id);
    }

    pub(crate) fn contains(&self, id: TransactionId) -> bool {
        self.set().contains(&id)
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<TransactionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
