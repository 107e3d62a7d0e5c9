//! `/v1/services`.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    Problem, Table,
    body::Body,
    input::ServiceBody,
    params::{Params, Segment},
    view::ServiceView,
};
use crate::transport::AppState;

pub(super) fn routes(table: Table) -> Table {
    table
        .get("/v1/services", list)
        .get("/v1/services/{name}", get)
        .put("/v1/services/{name}", put)
        .delete("/v1/services/{name}", delete)
}

#[derive(Serialize)]
struct OneView {
    service: ServiceView,
}

#[derive(Serialize)]
struct ListView {
    services: Vec<ServiceView>,
}

#[derive(Serialize)]
pub(super) struct DeletedView {
    pub(super) deleted: bool,
}

async fn list(State(state): State<AppState>, params: Params) -> Result<Json<ListView>, Problem> {
    let rows = state.coordinator.services(&params.namespace()?).await?;
    let services = rows.iter().map(ServiceView::of).collect();
    Ok(Json(ListView { services }))
}

async fn get(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<OneView>, Problem> {
    let namespace = params.namespace()?;
    let row = state.coordinator.resolve_service(&namespace, &name).await?;
    let service = ServiceView::of(&row);
    Ok(Json(OneView { service }))
}

async fn put(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
    Body(body): Body<ServiceBody>,
) -> Result<Json<OneView>, Problem> {
    let input = body.into_input(name, &params.namespace()?)?;
    let row = state.coordinator.register_service(input).await?;
    let service = ServiceView::of(&row);
    Ok(Json(OneView { service }))
}

async fn delete(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<DeletedView>, Problem> {
    let namespace = params.namespace()?;
    let deleted = state.coordinator.delete_service(&namespace, &name).await?;
    Ok(Json(DeletedView { deleted }))
}
