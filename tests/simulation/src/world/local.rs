//! An initiator's own database: the fence and what is open, by the rules of the SDK's fence.
//!
//! A local transaction's first row is its fence row, `committed`, seen by others when it commits. Who has to find out
//! inserts `rolled_back` unless there is a row, and reads what is there then; an open local transaction holds that up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use earnest_protocol::TransactionId;

use crate::check::Book;

/// What the fencing read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    Committed,
    RolledBack,
    /// An open local transaction holds the row.
    Held,
    /// The database does not answer.
    Away,
}

/// The outcome row of a local transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Of a local transaction that is open in this run of the service.
    Open(u32),
    Committed,
    RolledBack,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<TransactionId, Row>,
    away: u32,
}

pub(crate) struct LocalDatabase {
    state: Mutex<State>,
    book: Arc<Book>,
}

impl LocalDatabase {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self {
            state: Mutex::default(),
            book,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("nothing panics in here"))
    }

    /// It does not answer, or answers again.
    pub(crate) fn away(&self, away: bool) {
        self.with(|state| {
            if away {
                state.away += 1;
            } else {
                state.away -= 1;
            }
        });
    }

    pub(crate) fn is_away(&self) -> bool {
        self.with(|state| state.away > 0)
    }

    /// BEGIN and the fence row; false: it is not open.
    pub(crate) fn begin(&self, id: TransactionId, run: u32) -> bool {
        self.with(|state| {
            let free = state.away == 0 && !state.rows.contains_key(&id);
            if free {
                state.rows.insert(id, Row::Open(run));
            }
            free
        })
    }

    /// COMMIT; false: the transaction is not open any more.
    pub(crate) fn commit(&self, id: TransactionId) -> bool {
        let open = self.with(|state| {
            let open = matches!(state.rows.get(&id), Some(Row::Open(_)));
            if open {
                state.rows.insert(id, Row::Committed);
            }
            open
        });
        if open {
            self.book.committed(id);
        }
        open
    }

    /// ROLLBACK, or the end of a connection.
    pub(crate) fn roll_back(&self, id: TransactionId) {
        self.with(|state| {
            if matches!(state.rows.get(&id), Some(Row::Open(_))) {
                state.rows.remove(&id);
            }
        });
    }

    /// What a killed run of the service left open is rolled back.
    pub(crate) fn roll_back_run(&self, run: u32) {
        self.with(|state| state.rows.retain(|_, row| *row != Row::Open(run)));
    }

    /// Inserts `rolled_back` unless there is a row, and reads it.
    pub(crate) fn fencing_read(&self, id: TransactionId) -> Fence {
        let found = self.with(|state| {
            if state.away > 0 {
                return Fence::Away;
            }
            match state.rows.entry(id).or_insert(Row::RolledBack) {
                Row::Open(_) => Fence::Held,
                Row::Committed => Fence::Committed,
                Row::RolledBack => Fence::RolledBack,
            }
        });
        if found == Fence::RolledBack {
            self.book.fenced(id);
        }
        found
    }
}
