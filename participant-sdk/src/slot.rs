//! How a transaction that was lent to a handler comes back: through its drop.
//!
//! A transaction that does not come back in time is never committed, whatever the handler does with it later.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{commit::Open, sql::Db};

enum State<D: Db> {
    Lent,
    Back(Box<Open<D>>),
    /// The lender waits no longer.
    Closed,
}

/// Shared by the lender and the lent transaction.
pub(crate) struct Slot<D: Db>(Arc<Mutex<State<D>>>);

impl<D: Db> Slot<D> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Lent)))
    }

    pub(crate) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Called by the drop of the lent transaction.
    pub(crate) fn give_back(&self, open: Open<D>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Lent) {
            *state = State::Back(Box::new(open));
        }
        // Otherwise `open` is dropped here, and rolls back.
    }

    /// Takes the transaction back, if it is there; from now on it is too late.
    pub(crate) fn take_back(&self) -> Option<Box<Open<D>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Back(open) => Some(open),
            State::Lent | State::Closed => None,
        }
    }
}
