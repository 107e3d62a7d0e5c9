//! Where to go from here: `/` and `/openapi.json`.

use axum::{Json, response::IntoResponse};
use http::header;
use serde_json::{Value, json};

/// The OpenAPI document, kept by hand; tests hold it to the routes and to real replies.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn index() -> Json<Value> {
    Json(json!({
        "name": "earnest",
        "version": env!("CARGO_PKG_VERSION"),
        "openapi": "/openapi.json",
        "grpc": "earnest.v1 on this same port, with reflection",
        "health": "/healthz",
        "readiness": "/readyz",
        "metrics": "/metrics",
    }))
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
