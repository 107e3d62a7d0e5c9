//! `/metrics`: OpenMetrics.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use earnest_protocol::Phase;
use earnest_store::{Backlog, StoreError};
use http::header;

use super::Problem;
use crate::{
    service::{Code, ServiceError},
    telemetry::{Snapshot, Stored},
    transport::AppState,
};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(state): State<AppState>) -> Result<Response, Problem> {
    let text = state.metrics.render(&snapshot(&state).await).map_err(|_| {
        let hint = "please report it";
        ServiceError::new(Code::Internal, "the metrics can't be written", hint)
    })?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// The gauges. When the database is away its part is missing, and the rest is needed all the more.
async fn snapshot(state: &AppState) -> Snapshot {
    let stored = tokio::time::timeout(PATIENCE, stored(state)).await;
    Snapshot {
        stored: stored.ok().and_then(Result::ok),
        journal_depth: state.coordinator.journal().depth(),
        board: state.board.total(),
        losses: state.coordinator.vigil().missing(),
    }
}

/// What only the store knows.
async fn stored(state: &AppState) -> Result<Stored, StoreError> {
    let store = state.coordinator.store();
    let (backlog, unfinished) = (store.backlog().await?, store.unfinished().await?);
    let branches = store.branch_backlog().await?;
    let deliveries = backlog.iter().filter_map(|b| b.oldest_pending);
    let of_branches = branches.iter().filter_map(|b| b.oldest_pending);
    let oldest = deliveries.chain(of_branches).min();
    let now = store.now().await?;
    let owed = |b: Backlog| {
        let name = b.subscription.map(String::from).unwrap_or_default();
        (b.namespace.to_string(), name, b.pending, b.parked)
    };
    Ok(Stored {
        unfinished: unfinished
            .into_iter()
            .map(|(phase, count)| (phase.map_or("PARKED", Phase::as_str), count))
            .collect(),
        backlog: backlog.into_iter().map(owed).collect(),
        branches: branches
            .into_iter()
            .map(|b| (b.namespace.to_string(), b.service.to_string(), b.pending))
            .collect(),
        oldest_pending: oldest.map(|at| now.since(at)).unwrap_or_default(),
    })
}
