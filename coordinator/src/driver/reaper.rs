//! Purges finished history in small steps, with room for live traffic between them.

use std::{error::Error, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{DriverOptions, DriverParts};

/// Transactions of one step.
const STEP: usize = 200;
/// The pause between two steps: callers' batches go in between.
const PAUSE: Duration = Duration::from_millis(20);

/// Purges until `stop`.
pub(super) async fn purge_loop(
    parts: Arc<DriverParts>,
    options: DriverOptions,
    stop: CancellationToken,
) {
    let mut wait = options.purge_every;
    let mut removed = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = options.purge_every;
        // What is left is evidence.
        if parts.vigil.refuse().is_err() {
            continue;
        }
        match parts.store.purge(options.retention, STEP).await {
            Ok(report) => {
                removed += report.removed;
                if report.more {
                    wait = PAUSE;
                } else if removed > 0 {
                    tracing::info!(removed, "purged finished transactions");
                    removed = 0;
                }
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "purge failed; trying again later"
            ),
        }
    }
}
