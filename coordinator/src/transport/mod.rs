//! The wires: gRPC and REST on one port. Translates, and calls only the service.
//!
//! Nothing here may decide anything, know SQL, or keep state between calls.

mod fault;
mod gate;
mod greeting;
mod grpc;
mod http;
mod ready;
mod server;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

pub use server::{BindError, Server, ServerOptions};

use crate::{driver::Board, service::Coordinator, telemetry::Metrics};

/// What the wires speak for. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The use cases.
    pub coordinator: Coordinator,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/metrics`.
    pub board: Arc<Board>,
    /// Cancelled when the node begins to drain: readiness turns red.
    pub draining: CancellationToken,
}

/// Both wires as one router.
pub fn app(state: AppState) -> Router {
    let gate = gate::Gate::new();
    grpc::routes(&state)
        .merge(http::routes(state))
        .layer(middleware::from_fn_with_state(gate, gate::pass))
}
