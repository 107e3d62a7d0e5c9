//! The purge of finished history, in steps that no other write waits long for. Several nodes may purge at once.

use std::{sync::PoisonError, time::Duration};

use async_trait::async_trait;
use earnest_protocol::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PostgresStore, connection::within, error::Context, time::now};
use crate::{PurgeReport, RetentionStore, StoreError, sql::column::limit};

/// In the order of ids, which is about the order of time.
pub(super) const OLD: &str = "SELECT id FROM transactions \
     WHERE id > $1 AND id < $2 AND finished_at < $3 ORDER BY id LIMIT $4";
/// All of it in one statement. A row that somebody has in hand is left for the next purge.
pub(super) const REMOVE: &str = "WITH gone AS (DELETE FROM transactions WHERE id IN (SELECT id FROM transactions \
     WHERE id = ANY($1) AND finished_at < $2 ORDER BY id FOR UPDATE SKIP LOCKED) RETURNING id), \
     m AS (DELETE FROM messages WHERE transaction_id IN (SELECT id FROM gone)), \
     a AS (DELETE FROM attempts WHERE transaction_id IN (SELECT id FROM gone)), \
     d AS (DELETE FROM deliveries WHERE transaction_id IN (SELECT id FROM gone) \
     RETURNING namespace, subscription, order_key) \
     SELECT (SELECT count(*) FROM gone), array_agg(namespace), array_agg(subscription), array_agg(order_key) \
     FROM (SELECT DISTINCT namespace, subscription, order_key FROM d WHERE order_key IS NOT NULL) k";
/// The locks of keys that nothing is left of. (Whoever wants one that goes just now makes it anew.)
const FORGET: &str = "DELETE FROM ordered_keys WHERE (namespace, subscription, order_key) IN \
     (SELECT o.namespace, o.subscription, o.order_key FROM ordered_keys o \
     JOIN unnest($1::text[], $2::text[], $3::text[]) AS k (a, b, c) \
     ON o.namespace = k.a AND o.subscription = k.b AND o.order_key = k.c \
     WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.order_key IS NOT NULL AND d.namespace = k.a \
     AND d.subscription = k.b AND d.order_key = k.c) FOR UPDATE OF o SKIP LOCKED)";
const RAISE: &str = "INSERT INTO meta (name, value) VALUES ('purge_horizon', $1) \
     ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value, excluded.value)";

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        let mut transaction = self.writers.begin("purge").await?;
        let from = *self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        let work = async {
            let db = &mut *transaction;
            let now: i64 = sqlx::query_scalar(concat!("SELECT ", now!()))
                .bind(self.time.bind())
                .fetch_one(&mut *db)
                .await
                .context("read the time")?;
            let horizon = Timestamp::from_micros(now).before(older_than);
            // Each time from where the last purge came to, until the end is reached: what is old and unfinished may be
            // a lot to pass over.
            let mut ids = old(db, from, horizon, limit).await?;
            if ids.is_empty() && from.is_some() {
                ids = old(db, None, horizon, limit).await?;
            }
            let more = ids.len() > limit;
            ids.truncate(limit);
            let removed = if ids.is_empty() {
                0
            } else {
                remove(db, &ids, horizon).await?
            };
            let reached = ids.last().filter(|_| more).copied();
            Ok::<_, StoreError>((PurgeReport { removed, more }, reached))
        };
        let (report, reached) = within("purge", work).await?;
        transaction.commit().await?;
        *self.purged.lock().unwrap_or_else(PoisonError::into_inner) = reached;
        Ok(report)
    }
}

/// One more than `count`, when there are so many.
async fn old(
    db: &mut PgConnection,
    from: Option<Uuid>,
    horizon: Timestamp,
    count: usize,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar(OLD)
        .bind(from.unwrap_or_default())
        .bind(first_id(horizon))
        .bind(horizon.as_micros())
        .bind(limit(count.saturating_add(1)))
        .fetch_all(db)
        .await
        .context("find what is old")
}

/// No id that was made before `time` is as large, and every other is.
fn first_id(time: Timestamp) -> Uuid {
    // Ids count whole milliseconds: one within which `time` lies was made before it.
    let millis = u64::try_from(time.as_micros()).unwrap_or(0).div_ceil(1_000);
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(id)
}

async fn remove(
    db: &mut PgConnection,
    ids: &[Uuid],
    horizon: Timestamp,
) -> Result<usize, StoreError> {
    type Removed = (
        i64,
        Option<Vec<String>>,
        Option<Vec<String>>,
        Option<Vec<String>>,
    );
    let context = "purge";
    let (removed, namespaces, names, keys): Removed = sqlx::query_as(REMOVE)
        .bind(ids)
        .bind(horizon.as_micros())
        .fetch_one(&mut *db)
        .await
        .context(context)?;
    if let (Some(namespaces), Some(names), Some(keys)) = (namespaces, names, keys) {
        sqlx::query(FORGET)
            .bind(namespaces)
            .bind(names)
            .bind(keys)
            .execute(&mut *db)
            .await
            .context(context)?;
    }
    sqlx::query(RAISE)
        .bind(horizon.as_micros())
        .execute(db)
        .await
        .context("store the purge horizon")?;
    Ok(usize::try_from(removed).unwrap_or_default())
}
