//! Callers that wait for a transaction to get on: told by the journal, in the moment in which this node writes it.
//!
//! What another node writes is not heard here: of those who wait for one transaction, one looks for all ([`Waiter::turn`]).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use earnest_protocol::TransactionId;
use earnest_store::TransactionRow;
use tokio::sync::{Mutex as Turn, watch};
use tokio_util::sync::CancellationToken;

/// Callers that wait at the same time; one more is answered with the transaction as it stands (P13).
const MOST: usize = 4_096;

/// Who waits for what.
#[derive(Clone, Default)]
pub struct Waiters {
    waiting: Arc<Mutex<Waiting>>,
    /// The node is leaving: nobody waits any longer.
    closed: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    by_id: HashMap<TransactionId, Awaited>,
    count: usize,
}

/// What is waited for, by how many.
struct Awaited {
    news: watch::Sender<Option<TransactionRow>>,
    turn: Arc<Turn<()>>,
    count: usize,
}

/// One who waits; forgotten when dropped.
pub struct Waiter {
    waiters: Waiters,
    id: TransactionId,
    news: watch::Receiver<Option<TransactionRow>>,
    turn: Arc<Turn<()>>,
}

impl Waiters {
    /// From now on, whatever is written about `id` is heard. `None`: too many wait.
    pub fn of(&self, id: TransactionId) -> Option<Waiter> {
        let mut waiting = self.lock();
        if waiting.count >= MOST {
            return None;
        }
        waiting.count += 1;
        let awaited = waiting.by_id.entry(id).or_insert_with(|| Awaited {
            news: watch::channel(None).0,
            turn: Arc::default(),
            count: 0,
        });
        awaited.count += 1;
        Some(Waiter {
            news: awaited.news.subscribe(),
            turn: Arc::clone(&awaited.turn),
            waiters: self.clone(),
            id,
        })
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    /// `row` was written, or seen.
    pub(crate) fn tell(&self, row: &TransactionRow) {
        let waiting = self.lock();
        if let Some(awaited) = waiting.by_id.get(&row.id) {
            awaited.news.send_if_modified(|known| {
                let is_news = known
                    .as_ref()
                    .is_none_or(|known| known.revision < row.revision);
                if is_news {
                    *known = Some(row.clone());
                }
                is_news
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
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

    /// Whose turn it is to look at what other nodes write; it passes on with the waiter that has it.
    pub fn turn(&self) -> Arc<Turn<()>> {
        Arc::clone(&self.turn)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        waiting.count -= 1;
        if let Some(awaited) = waiting.by_id.get_mut(&self.id) {
            awaited.count -= 1;
            if awaited.count == 0 {
                waiting.by_id.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use earnest_protocol::Timestamp;

    use super::*;

    #[test]
    fn p13_waiters_are_bounded_and_forgotten() {
        let waiters = Waiters::default();
        let id = |n: u8| TransactionId::from_parts(Timestamp::from_micros(0), [n; 10]);
        let mut waiting: Vec<_> = (0..MOST)
            .map(|n| waiters.of(id(u8::from(n % 2 == 0))).expect("there is room"))
            .collect();
        assert!(waiters.of(id(7)).is_none());
        drop(waiting.pop());
        assert!(waiters.of(id(7)).is_some(), "a place that is free again");
        drop(waiting);
        assert_eq!(waiters.count(), 0);
        assert!(waiters.lock().by_id.is_empty());
    }
}
