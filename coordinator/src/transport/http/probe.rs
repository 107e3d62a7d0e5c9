//! `/healthz` and `/readyz`.

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::transport::AppState;

/// The process lives. It must not look at anything else: whoever restarts a process because its database is
/// away makes things worse.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// The node should be sent calls.
pub(super) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    match state.readiness().await {
        Ok(durability) => {
            let body = json!({
                "status": "ready",
                "store": durability.store,
                "durability": durability.settings,
                "durable": durability.durable,
            });
            (StatusCode::OK, Json(body))
        }
        Err(unready) => {
            let body = json!({
                "status": "unready",
                "reason": unready.code(),
                "detail": unready.to_string(),
            });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
