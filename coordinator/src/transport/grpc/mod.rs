//! earnest.v1 over gRPC, with health and reflection. Translates messages; must never decide anything.

mod admin;
mod coordinator;
mod health;
mod input;
mod output;
mod status;

use earnest_proto::v1::{self, admin_server::AdminServer, coordinator_server::CoordinatorServer};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::AppState;

pub(super) use status::status;

/// What a request takes beside its payloads.
const ENVELOPE: usize = 1 << 20;

/// One connection's use of the services.
#[derive(Clone)]
struct Calls {
    state: AppState,
}

/// All services.
pub(super) fn routes(state: &AppState) -> axum::Router {
    let calls = Calls {
        state: state.clone(),
    };
    let largest = state.coordinator.limits().transaction_bytes + ENVELOPE;
    let coordinator = CoordinatorServer::new(calls.clone()).max_decoding_message_size(largest);
    let admin = AdminServer::new(calls.clone()).max_decoding_message_size(ENVELOPE);
    let routes = Routes::new(coordinator)
        .add_service(admin)
        .add_service(HealthServer::new(calls));
    with_reflection(routes).into_axum_router().reset_fallback()
}

/// Both versions of reflection: tools still ask for either.
fn with_reflection(routes: Routes) -> Routes {
    let configure = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (configure().build_v1(), configure().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => {
            // The descriptors are compiled in, and a test asks for them.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no gRPC reflection"
            );
            routes
        }
    }
}
