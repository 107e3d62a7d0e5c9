//! The purge of finished history, in steps that no other write waits long for.

use std::{sync::PoisonError, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{Timestamp, TransactionId};
use rusqlite::{Connection, params};

use super::{SqliteStore, column::limit, error::Context, meta};
use crate::{PurgeReport, RetentionStore, StoreError, planted::planted};

/// In the order of ids, which is about the order of time. `+`: no other index serves.
pub(super) const OLD: &str = "SELECT id FROM transactions INDEXED BY transactions_id \
     WHERE id > ?1 AND id < ?2 AND +finished_at < ?3 ORDER BY id LIMIT ?4";

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        let horizon = self.clock.now().before(older_than);
        // Looked for beside the writer, since what is old and unfinished may be a lot to pass over; and each
        // time from where the last purge came to, until the end is reached.
        let from = *self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = self.old(from, horizon, limit).await?;
        if ids.is_empty() && from.is_some() {
            ids = self.old(None, horizon, limit).await?;
        }
        let more = ids.len() > limit;
        ids.truncate(limit);
        *self.purged.lock().unwrap_or_else(PoisonError::into_inner) =
            if more { ids.last().copied() } else { None };
        if ids.is_empty() {
            return Ok(PurgeReport { removed: 0, more });
        }
        let removed = self
            .writer
            .run("purge", move |db, _| remove(db, &ids, horizon))
            .await?;
        Ok(PurgeReport { removed, more })
    }
}

impl SqliteStore {
    /// One more than `count`, when there are so many.
    async fn old(
        &self,
        from: Option<TransactionId>,
        horizon: Timestamp,
        count: usize,
    ) -> Result<Vec<TransactionId>, StoreError> {
        let context = "find what is old";
        self.readers
            .run("old transactions", move |db| {
                let from = from.map_or([0; 16], |id| *id.as_bytes());
                let count = limit(count.saturating_add(1));
                let values = params![from, first_id(horizon), horizon.as_micros(), count];
                let mut statement = db.prepare_cached(OLD).context(context)?;
                let ids = statement
                    .query_map(values, |row| row.get::<_, [u8; 16]>(0))
                    .context(context)?;
                ids.map(|id| {
                    let id = id.context(context)?;
                    TransactionId::from_bytes(id).map_err(|error| {
                        StoreError::Corrupt(format!("transaction {id:02x?}: {error}"))
                    })
                })
                .collect()
            })
            .await
    }
}

/// No id that was made before `time` is as large, and every other is.
fn first_id(time: Timestamp) -> [u8; 16] {
    // Ids count whole milliseconds: one within which `time` lies was made before it.
    let millis = u64::try_from(time.as_micros()).unwrap_or(0).div_ceil(1_000);
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id
}

fn remove(db: &Connection, ids: &[TransactionId], horizon: Timestamp) -> Result<usize, StoreError> {
    let context = "purge";
    let mut removed = 0;
    for id in ids {
        let id = id.as_bytes();
        let sql = "DELETE FROM transactions WHERE id = ?1 AND +finished_at < ?2";
        let values = params![id, horizon.as_micros()];
        if db
            .prepare_cached(sql)
            .context(context)?
            .execute(values)
            .context(context)?
            == 0
        {
            continue;
        }
        removed += 1;
        for sql in [
            "DELETE FROM messages WHERE transaction_id = ?1",
            "DELETE FROM deliveries WHERE transaction_id = ?1",
            "DELETE FROM branches WHERE transaction_id = ?1",
            "DELETE FROM branch_contents WHERE transaction_id = ?1",
            "DELETE FROM attempts WHERE transaction_id = ?1",
        ] {
            db.prepare_cached(sql)
                .context(context)?
                .execute([id])
                .context(context)?;
        }
    }
    if !planted!(SqliteHorizonIsForgotten) {
        meta::raise_purge_horizon(db, horizon)?;
    }
    Ok(removed)
}
