//! The purge of finished history.

use std::time::Duration;

use async_trait::async_trait;
use earnest_protocol::TransactionId;

use super::{MemoryStore, tables::Tables};
use crate::{BranchKey, DeliveryKey, PurgeReport, RetentionStore, StoreError};

#[async_trait]
impl RetentionStore for MemoryStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        let mut tables = self.tables();
        let horizon = self.clock.now().before(older_than);
        // An id from a clock that ran ahead waits until the horizon has passed it: an id that was purged and
        // isn't refused would begin anew.
        let old = tables
            .index()
            .finished
            .iter()
            .take_while(|(at, _)| *at < horizon);
        let old = old.map(|(_, id)| *id).filter(|id| id.made_at() < horizon);
        let mut ids: Vec<_> = old.take(limit.saturating_add(1)).collect();
        let more = ids.len() > limit;
        ids.truncate(limit);
        if !ids.is_empty() {
            tables.horizon = tables.horizon.max(Some(horizon));
        }
        for id in &ids {
            remove(&mut tables, *id);
        }
        Ok(PurgeReport {
            removed: ids.len(),
            more,
        })
    }
}

fn remove(tables: &mut Tables, id: TransactionId) {
    let keys: Vec<DeliveryKey> = tables
        .deliveries_of(id)
        .map(|row| row.key.clone())
        .collect();
    for key in keys {
        tables.put_delivery(&key, None);
    }
    let branches: Vec<BranchKey> = tables.branches_of(id).map(|(row, _)| row.key).collect();
    for key in branches {
        tables.put_branch(key, None);
        tables.branch_contents.remove(&key);
    }
    tables.messages.remove(&id);
    tables.attempts.remove(&id);
    tables.put_transaction(id, None);
}
