//! Callers that wait for a transaction to get on: told by the journal, in the moment in which this node writes it.
//!
//! What another node writes is not heard here; a waiter also looks for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use earnest_protocol::TransactionId;
use earnest_store::TransactionRow;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type News = watch::Sender<Option<TransactionRow>>;

/// Who waits for what.
#[derive(Clone, Default)]
pub struct Waiters {
    waiting: Arc<Mutex<HashMap<TransactionId, News>>>,
    /// The node is leaving: nobody waits any longer.
    closed: CancellationToken,
}

/// One who waits; forgotten when dropped.
pub struct Waiter {
    waiters: Waiters,
    id: TransactionId,
    news: watch::Receiver<Option<TransactionRow>>,
}

impl Waiters {
    /// From now on, whatever is written about `id` is heard.
    pub fn of(&self, id: TransactionId) -> Waiter {
        let mut waiting = self.lock();
        let news = waiting.entry(id).or_insert_with(|| watch::channel(None).0);
        Waiter {
            news: news.subscribe(),
            waiters: self.clone(),
            id,
        }
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// `row` was written.
    pub(super) fn wrote(&self, row: &TransactionRow) {
        let waiting = self.lock();
        if let Some(news) = waiting.get(&row.id) {
            news.send_replace(Some(row.clone()));
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TransactionId, News>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The next thing that is written; `None`: nobody waits any longer.
    pub async fn next(&mut self) -> Option<TransactionRow> {
        tokio::select! {
            () = self.waiters.closed.cancelled() => None,
            changed = self.news.changed() => {
                changed.ok()?;
                self.news.borrow_and_update().clone()
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        // This one is still counted.
        if waiting
            .get(&self.id)
            .is_some_and(|news| news.receiver_count() <= 1)
        {
            waiting.remove(&self.id);
        }
    }
}
