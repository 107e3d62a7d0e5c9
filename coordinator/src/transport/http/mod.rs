//! REST, and what is asked of a node itself: health, readiness, metrics, OpenAPI. Translates JSON; must never
//! decide anything.

mod body;
mod index;
mod input;
mod marks;
mod metrics;
mod params;
mod probe;
mod problem;
mod services;
mod subscriptions;
mod table;
mod transactions;
mod view;

use axum::{
    Router,
    extract::Request,
    middleware,
    response::{IntoResponse, Response},
};
use tonic::Status;

pub(super) use problem::Problem;

use super::{AppState, gate};
use table::Table;

/// All paths, and what answers for the rest.
pub(super) fn routes(state: AppState) -> Router {
    table()
        .into_router()
        .layer(middleware::from_fn_with_state(state.clone(), marks::held))
        .fallback(unknown_path)
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .with_state(state)
}

fn table() -> Table {
    let table = Table::default()
        .get("/", index::index)
        .get("/openapi.json", index::openapi)
        .get("/healthz", probe::healthz)
        .get("/readyz", probe::readyz)
        .get("/metrics", metrics::metrics);
    let table = transactions::routes(table);
    let table = services::routes(table);
    subscriptions::routes(table)
}

async fn unknown_path(request: Request) -> Response {
    if gate::is_grpc(request.headers()) {
        return Status::unimplemented("no such service; see reflection for those that there are")
            .into_http::<tonic::body::Body>()
            .map(axum::body::Body::new);
    }
    Problem::unknown_path(request.uri().path()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_in_the_openapi_document_and_the_reverse() {
        let document: Value = serde_json::from_str(index::OPENAPI).expect("openapi.json is JSON");
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("a path item").keys();
                methods
                    .filter(|key| *key != "parameters")
                    .map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let routed: BTreeSet<String> = table().listed().collect();
        assert_eq!(routed, documented);
    }
}
