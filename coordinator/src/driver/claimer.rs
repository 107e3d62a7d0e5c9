//! Looks for due work, and keeps the node alive in the others' eyes.

use std::{error::Error, sync::Arc, time::Duration};

use earnest_store::{ClaimRequest, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Board, Driver, DriverOptions, DriverParts};
use crate::planted::planted;

/// The shortest time between two looks that brought nothing.
const SHORTEST: Duration = Duration::from_millis(10);

/// Claims due work until `stop`.
pub(super) async fn claim_loop(
    parts: Arc<DriverParts>,
    options: DriverOptions,
    stop: CancellationToken,
) {
    loop {
        let wait = match claim(&parts).await {
            Some(Looked { brought: true, .. }) => Duration::ZERO,
            Some(Looked { next_due, .. }) => next_due
                .unwrap_or(options.poll)
                .max(SHORTEST)
                .min(options.poll),
            None => options.poll,
        };
        if wait.is_zero() {
            tokio::task::yield_now().await;
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = parts.board.due.notified() => {}
        }
    }
}

struct Looked {
    brought: bool,
    next_due: Option<Duration>,
}

async fn claim(parts: &DriverParts) -> Option<Looked> {
    // What is due in a database that has forgotten something may be over long since.
    parts.vigil.refuse().ok()?;
    let now = Instant::now();
    let (total, per_target, room) = parts.board.room(now);
    if total == 0 {
        return None;
    }
    let request = ClaimRequest {
        epoch: parts.board.epoch(),
        total,
        per_target,
        room,
    };
    match parts.store.claim(request).await {
        Ok(claimed) => {
            let brought = !claimed.work.is_empty();
            parts.metrics.claimed(claimed.work.len());
            parts.metrics.damaged(claimed.damaged);
            parts.board.put(claimed.work);
            let probe = parts
                .board
                .next_probe(now)
                .map(|at| at.saturating_duration_since(now));
            let next_due = claimed.next_due.into_iter().chain(probe).min();
            Some(Looked { brought, next_due })
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "claim failed; trying again");
            if matches!(error, StoreError::CommitUnknown { .. }) {
                // If it was committed, this node holds work that it doesn't know of.
                parts.board.renew_epoch();
            }
            None
        }
    }
}

/// Renews the node's lease at a third of its length, or takes a new epoch when leases were orphaned.
pub(super) async fn heartbeat_loop(
    store: Arc<dyn Store>,
    board: Arc<Board>,
    options: DriverOptions,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = board.renewal.notified() => renew(&*store, &board, &options).await,
            () = tokio::time::sleep(options.lease / 3) => beat(&*store, &board, &options).await,
        }
    }
}

async fn beat(store: &dyn Store, board: &Board, options: &DriverOptions) {
    if planted!(SlowWorkIsNotRenewed) && board.total() > 0 {
        return;
    }
    match store.heartbeat(board.epoch(), options.lease).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!("taken for dead: what this node held went to others; enrolling anew");
            if let Err(error) = Driver::enrol(store, board, options).await {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "could not enrol; trying again"
                );
            }
        }
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "heartbeat failed; trying again"
        ),
    }
}

/// Moves to a new epoch and frees all that the old one held. What is still run under an old lease may end well,
/// unless somebody took it meanwhile.
async fn renew(store: &dyn Store, board: &Board, options: &DriverOptions) {
    let old = board.epoch();
    let moved = async {
        Driver::enrol(store, board, options).await?;
        store.resign(old).await
    };
    if let Err(error) = moved.await {
        tracing::warn!(
            error = &error as &dyn Error,
            "could not take a new epoch; trying again"
        );
        tokio::time::sleep(options.poll).await;
        board.renew_epoch();
    }
}
