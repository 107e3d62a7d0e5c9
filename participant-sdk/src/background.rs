//! What runs beside the service: telling the coordinator where it can be called, and forgetting old rows.
//!
//! Both end with the last handle, and neither is needed for a right answer.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{reconnect::Pauses, shared::Shared, sql::Db};

const REGISTER_DEADLINE: Duration = Duration::from_secs(2);
/// Out of the way of a service that starts.
const PURGE_FIRST_AFTER: Duration = Duration::from_mins(1);
const PURGE_EVERY: Duration = Duration::from_hours(1);
/// Few enough that a writer waiting behind a batch hardly notices.
const PURGE_BATCH: u32 = 256;

/// Registers until it worked.
pub(crate) async fn register<D: Db>(shared: Weak<Shared<D>>, url: String) {
    let mut pauses = Pauses::in_background();
    while let Some(shared) = shared.upgrade() {
        let registered = shared
            .coordinator
            .register(
                REGISTER_DEADLINE,
                &shared.namespace,
                &shared.service,
                &url,
                &shared.resource_id,
            )
            .await;
        let Err(failed) = registered else {
            tracing::info!(service = shared.service, url, "registered");
            return;
        };
        tracing::warn!(
            service = shared.service, url, error = %failed.error,
            "not registered yet, so check-backs and messages can't reach this instance; trying again"
        );
        let pause = pauses.next(&*shared.chance);
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}

/// Purges every hour.
pub(crate) async fn keep_purging<D: Db>(shared: Weak<Shared<D>>, retention: Duration) {
    tokio::time::sleep(PURGE_FIRST_AFTER).await;
    while let Some(shared) = shared.upgrade() {
        match purge(&shared, retention).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old fence and inbox rows purged"),
            Err(error) => tracing::warn!(%error, "old fence and inbox rows not purged this time"),
        }
        drop(shared);
        tokio::time::sleep(PURGE_EVERY).await;
    }
}

pub(crate) async fn purge<D: Db>(
    shared: &Arc<Shared<D>>,
    older_than: Duration,
) -> Result<u64, sqlx::Error> {
    let age_us = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
    let cutoff_us = shared.clock.unix_micros().saturating_sub(age_us);
    let mut rows = 0;
    loop {
        let batch = D::purge_batch(&shared.pool, cutoff_us, PURGE_BATCH).await?;
        rows += batch;
        if batch == 0 {
            return Ok(rows);
        }
        // Let writers that wait for the lock go first.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
