//! The purge of finished history, in steps that no other write waits long for. Several nodes may purge at once.
//!
//! A range of ids of which all is over is dropped as a whole. What lies outside of such ranges, and what is over in one that
//! unfinished work holds, goes row by row. Which of them it was must make no difference to anybody: the purge horizon is
//! raised in the same database transaction.

mod keys;
mod progress;

use std::{sync::PoisonError, time::Duration};

use async_trait::async_trait;
use earnest_protocol::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    PostgresStore,
    connection::within,
    error::{Context, is_busy},
    range::{self, Range, first_id},
    time::now,
};
use crate::{PurgeReport, RetentionStore, StoreError, sql::column::limit};
pub(super) use progress::Progress;

const PURGE: &str = "purge";
/// Rows that are looked at in the time in which one is deleted.
const LOOKED: usize = 50;

/// In the order of ids, which is about the order of time.
pub(super) const OLD: &str = "SELECT id FROM transactions \
     WHERE id > $1 AND id < $2 AND finished_at < $3 ORDER BY id LIMIT $4";
/// All of it in one statement. A row that somebody has in hand is left for the next purge.
pub(super) const REMOVE: &str = "WITH gone AS (DELETE FROM transactions WHERE id IN (SELECT id FROM transactions \
     WHERE id = ANY($1) AND id >= $3 AND id <= $4 AND finished_at < $2 ORDER BY id FOR UPDATE SKIP LOCKED) \
     AND id >= $3 AND id <= $4 RETURNING id), \
     m AS (DELETE FROM messages WHERE transaction_id IN (SELECT id FROM gone) \
     AND transaction_id >= $3 AND transaction_id <= $4), \
     b AS (DELETE FROM branches WHERE transaction_id IN (SELECT id FROM gone) \
     AND transaction_id >= $3 AND transaction_id <= $4), \
     c AS (DELETE FROM branch_contents WHERE transaction_id IN (SELECT id FROM gone) \
     AND transaction_id >= $3 AND transaction_id <= $4), \
     a AS (DELETE FROM attempts WHERE transaction_id IN (SELECT id FROM gone) \
     AND transaction_id >= $3 AND transaction_id <= $4), \
     d AS (DELETE FROM deliveries WHERE transaction_id IN (SELECT id FROM gone) \
     AND transaction_id >= $3 AND transaction_id <= $4 RETURNING namespace, subscription, order_key) \
     SELECT (SELECT count(*) FROM gone), array_agg(namespace), array_agg(subscription), array_agg(order_key) \
     FROM (SELECT DISTINCT namespace, subscription, order_key FROM d WHERE order_key IS NOT NULL) k";
const RAISE: &str = "INSERT INTO meta (name, value) VALUES ('purge_horizon', $1) \
     ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value, excluded.value)";

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        // What fails is begun again, from the start.
        let mut progress = {
            let mut purging = self.purging.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *purging)
        };
        let report = self.step(&mut progress, older_than, limit).await?;
        if report.more {
            *self.purging.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        }
        Ok(report)
    }
}

impl PostgresStore {
    async fn step(
        &self,
        progress: &mut Progress,
        older_than: Duration,
        limit: usize,
    ) -> Result<PurgeReport, StoreError> {
        let (now, ranges) = self.survey(range::length(older_than)).await?;
        let horizon = now.before(older_than);
        let mut report = PurgeReport::default();
        let mut budget = limit.saturating_mul(LOOKED);
        let old = |range: &&Range| !range.is_oldest() && range.end() <= first_id(horizon);
        for range in ranges.iter().filter(old) {
            let dropped = self.range(progress, *range, horizon, &mut budget).await?;
            report.removed += dropped;
            if budget == 0 {
                report.more = true;
                return Ok(report);
            }
        }
        if self.forget_keys(progress, &mut budget).await? {
            report.more = true;
            return Ok(report);
        }
        let spans = progress.spans(&ranges);
        let rows = self.rows(progress, &spans, horizon, limit).await?;
        report.removed += rows.removed;
        report.more = rows.more;
        Ok(report)
    }

    /// The time, and the ranges there are once those that are wanted have been made.
    async fn survey(&self, length: i64) -> Result<(Timestamp, Vec<Range>), StoreError> {
        loop {
            let mut transaction = self.writers.begin(PURGE).await?;
            let work = async {
                let now: i64 = sqlx::query_scalar(concat!("SELECT ", now!()))
                    .bind(self.time.bind())
                    .fetch_one(&mut *transaction)
                    .await
                    .context("read the time")?;
                let ranges = range::ranges(&mut transaction).await?;
                Ok::<_, StoreError>((Timestamp::from_micros(now), ranges))
            };
            let (now, ranges) = within(PURGE, work).await?;
            let is_short = |last: &Range| range::is_short(last.until, now, length);
            if !ranges.last().is_some_and(is_short) {
                transaction.commit().await?;
                return Ok((now, ranges));
            }
            match within(PURGE, range::make(&mut transaction, now, length)).await {
                Ok(_) => transaction.commit().await?,
                Err(error) if is_busy(&error) => {
                    transaction.roll_back().await;
                    tracing::debug!("a range of history is made later: the tables are in use");
                    return Ok((now, ranges));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on with a range that lies behind the horizon; returns how many transactions were dropped with it.
    async fn range(
        &self,
        progress: &mut Progress,
        range: Range,
        horizon: Timestamp,
        budget: &mut usize,
    ) -> Result<usize, StoreError> {
        if progress.is_held(range) {
            return Ok(0);
        }
        let (mut from, mut rows) = progress.looked_at(range);
        loop {
            let mut transaction = self.writers.begin(PURGE).await?;
            let count = (*budget).max(1);
            let look = async {
                let db = &mut *transaction;
                let needed = rows == 0 && range::is_needed(db, range).await?;
                let look = range::look(db, range, from, horizon, count).await?;
                Ok::<_, StoreError>((look, needed))
            };
            let (look, needed) = within(PURGE, look).await?;
            transaction.commit().await?;
            if needed || look.holds {
                progress.hold(range);
                return Ok(0);
            }
            rows += look.rows;
            *budget = budget.saturating_sub(look.rows);
            match look.last {
                None => break,
                Some(last) => from = last,
            }
            if *budget == 0 {
                progress.look_on(range, from, rows);
                return Ok(0);
            }
        }
        let mut transaction = self.writers.begin(PURGE).await?;
        let drop = async {
            let dropped = range::drop(&mut transaction, range).await?;
            raise(&mut transaction, horizon).await?;
            Ok::<_, StoreError>(dropped)
        };
        match within(PURGE, drop).await {
            Ok(true) => {
                transaction.commit().await?;
                tracing::info!(transactions = rows, "dropped a range of finished history");
                progress.dropped();
                Ok(rows)
            }
            Ok(false) => {
                transaction.roll_back().await;
                progress.hold(range);
                Ok(0)
            }
            Err(error) if is_busy(&error) => {
                transaction.roll_back().await;
                tracing::debug!("a range of history is dropped later: the tables are in use");
                progress.pass_by(range);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes up to `limit` transactions of `spans`.
    async fn rows(
        &self,
        progress: &mut Progress,
        spans: &[(Uuid, Uuid)],
        horizon: Timestamp,
        limit: usize,
    ) -> Result<PurgeReport, StoreError> {
        let mut transaction = self.writers.begin(PURGE).await?;
        let from = progress.reached;
        let work = async {
            let db = &mut *transaction;
            // Each time from where the last purge came to, until the end is reached: what is old and unfinished may be
            // a lot to pass over.
            let mut ids = old(db, spans, from, horizon, limit).await?;
            if ids.is_empty() && from.is_some() {
                ids = old(db, spans, None, horizon, limit).await?;
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
        let (report, reached) = within(PURGE, work).await?;
        transaction.commit().await?;
        progress.reached = reached;
        Ok(report)
    }
}

/// One more than `count`, when there are so many.
async fn old(
    db: &mut PgConnection,
    spans: &[(Uuid, Uuid)],
    from: Option<Uuid>,
    horizon: Timestamp,
    count: usize,
) -> Result<Vec<Uuid>, StoreError> {
    let wanted = count.saturating_add(1);
    let mut ids = Vec::new();
    for (first, end) in spans {
        let found: Vec<Uuid> = sqlx::query_scalar(OLD)
            .bind((*first).max(from.unwrap_or_default()))
            .bind((*end).min(first_id(horizon)))
            .bind(horizon.as_micros())
            .bind(limit(wanted - ids.len()))
            .fetch_all(&mut *db)
            .await
            .context("find what is old")?;
        ids.extend(found);
        if ids.len() >= wanted {
            break;
        }
    }
    Ok(ids)
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
    let (removed, namespaces, names, order_keys): Removed = sqlx::query_as(REMOVE)
        .bind(ids)
        .bind(horizon.as_micros())
        .bind(ids.first().copied().unwrap_or_default())
        .bind(ids.last().copied().unwrap_or_default())
        .fetch_one(&mut *db)
        .await
        .context(PURGE)?;
    if let (Some(namespaces), Some(names), Some(order_keys)) = (namespaces, names, order_keys) {
        keys::forget(db, [namespaces, names, order_keys]).await?;
    }
    raise(db, horizon).await?;
    Ok(usize::try_from(removed).unwrap_or_default())
}

async fn raise(db: &mut PgConnection, horizon: Timestamp) -> Result<(), StoreError> {
    sqlx::query(RAISE)
        .bind(horizon.as_micros())
        .execute(db)
        .await
        .context("store the purge horizon")
        .map(drop)
}
