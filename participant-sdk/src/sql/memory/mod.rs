//! A database in memory, for tests and simulation: the fence, the inbox and a service's own rows, with local transactions,
//! row locks and faults, and not one thread or clock of its own.
//!
//! sqlx's SQLite has a worker thread, so a seed does not repeat a run over it. This one behaves as a server at READ COMMITTED:
//! a row is locked by who writes it until its transaction ends, others wait for it up to a lock timeout, nothing is visible
//! before COMMIT. All waiting is tokio's, so paused time controls it.
//!
//! It never decides what a row means; [`crate::fence`] does. It is never a place for data that anybody needs.

mod connection;
mod dialect;
mod error;
mod fault;
mod session;
mod state;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

pub use connection::Connection;
pub use dialect::{LocalTransaction, Memory};
pub(super) use error::is_passing;
pub use fault::{Fault, Operation};

use crate::{
    fence::Outcome,
    ids::{MessageId, TransactionId},
};
use state::{Key, Row, State};

type Faults = Arc<dyn Fn(Operation) -> Option<Fault> + Send + Sync>;

/// A database in memory. Clones share it; it lives as long as the last of them.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
    /// Whether this process reaches it.
    reachable: Arc<AtomicBool>,
}

struct Inner {
    state: Mutex<State>,
    faults: Mutex<Option<Faults>>,
    /// Told whenever a lock was given up.
    freed: Notify,
}

impl Database {
    /// An empty database. `resource_id` is what a real one makes up at random when Earnest's tables are created.
    pub fn new(resource_id: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::new(resource_id.into())),
                faults: Mutex::new(None),
                freed: Notify::new(),
            }),
            reachable: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The same database as another process holds it, with a network of its own in between.
    pub fn from_elsewhere(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            reachable: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Cuts this process off, or not: a handle and its clones, but not those made by [`Database::from_elsewhere`]. Connections
    /// that were open break at their next statement. For a process that died, this and dropping what it held is all.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
        self.inner.freed.notify_waiters();
    }

    /// How long a statement waits for a row that another transaction wrote. Default: 1 s.
    pub fn set_lock_timeout(&self, timeout: Duration) {
        self.state().lock_timeout = timeout;
    }

    /// Asks `faults` about every operation from now on: `None` lets it go well.
    pub fn inject(&self, faults: impl Fn(Operation) -> Option<Fault> + Send + Sync + 'static) {
        *self.faults() = Some(Arc::new(faults));
    }

    /// Lets everything go well again.
    pub fn heal(&self) {
        *self.faults() = None;
    }

    /// The server dies and is there again at once: what was not committed is gone, every open connection is broken.
    pub fn crash(&self) {
        self.state().crash();
        self.inner.freed.notify_waiters();
    }

    /// Out of reach for everybody until it is available again. Open connections break at their next statement.
    pub fn set_available(&self, available: bool) {
        self.state().available = available;
        self.inner.freed.notify_waiters();
    }

    /// What it would be like to restore a backup taken now: another database with the same rows and the same id.
    pub fn copy(&self) -> Self {
        let copy = Self::new("");
        *copy.state() = self.state().restored();
        copy
    }

    /// The service's own row of this key, as it is committed.
    pub fn row(&self, key: &str) -> Option<Vec<u8>> {
        match self.state().rows.get(&Key::Own(key.to_owned())) {
            Some(Row::Own(value)) => Some(value.clone()),
            _ => None,
        }
    }

    /// The service's own rows that are committed, sorted by key.
    pub fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let own = state.rows.iter().filter_map(|(key, row)| match (key, row) {
            (Key::Own(key), Row::Own(value)) => Some((key.clone(), value.clone())),
            _ => None,
        });
        own.collect()
    }

    /// What the fence says of a local transaction: whether it committed; `None` when there is no row.
    pub fn committed(&self, id: TransactionId) -> Option<bool> {
        match self.state().rows.get(&Key::Outcome(id)) {
            Some(Row::Outcome { state, .. }) => Some(*state == Outcome::Committed),
            _ => None,
        }
    }

    /// Every outcome row, sorted by id, and whether it says that the local transaction committed.
    pub fn outcomes(&self) -> Vec<(TransactionId, bool)> {
        let state = self.state();
        let outcomes = state.rows.iter().filter_map(|(key, row)| match (key, row) {
            (Key::Outcome(id), Row::Outcome { state, .. }) => {
                Some((*id, *state == Outcome::Committed))
            }
            _ => None,
        });
        outcomes.collect()
    }

    /// The messages taken, each with its subscription, sorted.
    pub fn inbox(&self) -> Vec<(MessageId, String)> {
        let state = self.state();
        let taken = state.rows.keys().filter_map(|key| match key {
            Key::Inbox(key) => Some((key.message, key.subscription.clone())),
            _ => None,
        });
        taken.collect()
    }

    /// Rows of transactions created before this were purged. Microseconds since 1970-01-01 UTC.
    pub fn horizon_us(&self) -> i64 {
        self.state().horizon_us
    }

    /// Puts an outcome row there, committed, as if a local transaction of that time had left it.
    pub fn insert_outcome(&self, id: TransactionId, committed: bool, created_us: i64) {
        let state = if committed {
            Outcome::Committed
        } else {
            Outcome::RolledBack
        };
        let row = Row::Outcome { state, created_us };
        self.state().rows.insert(Key::Outcome(id), row);
    }

    /// The state as it is now: what had to land later and is due has landed.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self
            .inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if state.land(Instant::now()) {
            self.inner.freed.notify_waiters();
        }
        state
    }

    fn in_reach(&self) -> bool {
        self.reachable.load(Ordering::Relaxed) && self.state().available
    }

    fn faults(&self) -> MutexGuard<'_, Option<Faults>> {
        self.inner
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, operation: Operation) -> Option<Fault> {
        // Asked without the lock held: the answer may look at the database.
        let faults = self.faults().clone();
        faults.and_then(|faults| faults(operation))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}
