//! `/v1/subscriptions`.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    Problem, Table,
    body::Body,
    input::SubscriptionBody,
    params::{Params, Segment},
    services::DeletedView,
    view::{SubscriptionStatusView, SubscriptionView},
};
use crate::{service::ServiceError, transport::AppState};

pub(super) fn routes(table: Table) -> Table {
    table
        .get("/v1/subscriptions", list)
        .get("/v1/subscriptions/{name}", get)
        .put("/v1/subscriptions/{name}", put)
        .delete("/v1/subscriptions/{name}", delete)
        .post("/v1/subscriptions/{name}/pause", pause)
        .post("/v1/subscriptions/{name}/resume", resume)
}

#[derive(Serialize)]
struct OneView {
    subscription: SubscriptionView,
}

#[derive(Serialize)]
struct ListView {
    subscriptions: Vec<SubscriptionStatusView>,
}

async fn list(State(state): State<AppState>, params: Params) -> Result<Json<ListView>, Problem> {
    let rows = state
        .coordinator
        .subscriptions(&params.namespace()?)
        .await?;
    let subscriptions = rows
        .iter()
        .map(|(row, backlog)| SubscriptionStatusView::of(row, backlog.as_ref()))
        .collect();
    Ok(Json(ListView { subscriptions }))
}

async fn get(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<SubscriptionStatusView>, Problem> {
    let rows = state
        .coordinator
        .subscriptions(&params.namespace()?)
        .await?;
    let found = rows.iter().find(|(row, _)| row.name.as_str() == name);
    let (row, backlog) = found.ok_or_else(|| {
        let shown: String = name.chars().take(128).collect();
        ServiceError::not_found("subscription", shown)
    })?;
    Ok(Json(SubscriptionStatusView::of(row, backlog.as_ref())))
}

async fn put(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
    Body(body): Body<SubscriptionBody>,
) -> Result<Json<OneView>, Problem> {
    let input = body.into_input(name, &params.namespace()?)?;
    let row = state.coordinator.put_subscription(input).await?;
    let subscription = SubscriptionView::of(&row);
    Ok(Json(OneView { subscription }))
}

async fn delete(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<DeletedView>, Problem> {
    let namespace = params.namespace()?;
    let deleted = state.coordinator.delete_subscription(&namespace, &name);
    let deleted = deleted.await?;
    Ok(Json(DeletedView { deleted }))
}

async fn pause(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<OneView>, Problem> {
    set_paused(&state, &name, params, true).await
}

async fn resume(
    State(state): State<AppState>,
    Segment(name): Segment,
    params: Params,
) -> Result<Json<OneView>, Problem> {
    set_paused(&state, &name, params, false).await
}

async fn set_paused(
    state: &AppState,
    name: &str,
    params: Params,
    paused: bool,
) -> Result<Json<OneView>, Problem> {
    let namespace = params.namespace()?;
    let coordinator = &state.coordinator;
    let row = coordinator.pause_subscription(&namespace, name, paused);
    let subscription = SubscriptionView::of(&row.await?);
    Ok(Json(OneView { subscription }))
}
