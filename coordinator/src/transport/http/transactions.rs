//! `/v1/transactions`.

use std::time::Duration;

use axum::{Json, extract::State};
use earnest_protocol::{Decision, Phase};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{
    Problem, Table,
    body::{Body, MaybeBody},
    input::{
        self, DecideBody, ExecuteBody, OperatorDecideBody, ParkBody, PrepareBody, RegisterBody,
        RetryBody, SubmitBody,
    },
    params::{Params, Segment},
    view::{DetailView, PageView, TransactionView},
};
use crate::{
    service::{DecideInput, ListInput, OperatorDecideInput, Recorded, Until, WaitInput},
    transport::AppState,
};

/// The query parameters of a list.
const LIST: [&str; 9] = [
    "namespace",
    "phase",
    "initiator",
    "business_key",
    "topic",
    "older_than",
    "parked",
    "page_size",
    "page_token",
];

pub(super) fn routes(table: Table) -> Table {
    table
        .post("/v1/transactions", prepare)
        .get("/v1/transactions", list)
        .post("/v1/transactions/submit", submit)
        .post("/v1/transactions/execute", execute)
        .get("/v1/transactions/{id}", get)
        .post("/v1/transactions/{id}/branches", register)
        .post("/v1/transactions/{id}/confirm", confirm)
        .post("/v1/transactions/{id}/cancel", cancel)
        .post("/v1/transactions/{id}/retry", retry)
        .post("/v1/transactions/{id}/unpark", retry)
        .post("/v1/transactions/{id}/park", park)
        .post("/v1/transactions/{id}/decide", operator_decides)
}

#[derive(Serialize)]
struct RecordedView {
    transaction: TransactionView,
    created: bool,
}

#[derive(Serialize)]
struct ChangedView {
    transaction: TransactionView,
}

#[derive(Serialize)]
struct RetriedView {
    transaction: TransactionView,
    made_due: u32,
}

async fn prepare(
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<PrepareBody>,
) -> Result<(StatusCode, Json<RecordedView>), Problem> {
    let input = body.into_input(trace(&headers))?;
    Ok(recorded(&state.coordinator.prepare(input).await?))
}

async fn submit(
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<SubmitBody>,
) -> Result<(StatusCode, Json<RecordedView>), Problem> {
    let input = body.into_input(trace(&headers))?;
    Ok(recorded(&state.coordinator.submit(input).await?))
}

async fn execute(
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<ExecuteBody>,
) -> Result<(StatusCode, Json<RecordedView>), Problem> {
    let (input, wait) = body.into_input(trace(&headers))?;
    Ok(recorded(&state.coordinator.execute(input, wait).await?))
}

async fn register(
    State(state): State<AppState>,
    Segment(id): Segment,
    Body(body): Body<RegisterBody>,
) -> Result<Json<ChangedView>, Problem> {
    let input = body.into_input(id)?;
    let transaction = TransactionView::of(&state.coordinator.register_branches(input).await?);
    Ok(Json(ChangedView { transaction }))
}

async fn confirm(
    State(state): State<AppState>,
    Segment(id): Segment,
    MaybeBody(body): MaybeBody<DecideBody>,
) -> Result<Json<ChangedView>, Problem> {
    decide(&state, id, Decision::Confirm, body).await
}

async fn cancel(
    State(state): State<AppState>,
    Segment(id): Segment,
    MaybeBody(body): MaybeBody<DecideBody>,
) -> Result<Json<ChangedView>, Problem> {
    decide(&state, id, Decision::Cancel, body).await
}

async fn decide(
    state: &AppState,
    id: String,
    decision: Decision,
    body: DecideBody,
) -> Result<Json<ChangedView>, Problem> {
    let input = DecideInput {
        id,
        decision,
        initiator: body.initiator,
        namespace: body.namespace,
        wait: input::wait(body.wait_ms, body.until),
    };
    let transaction = TransactionView::of(&state.coordinator.decide(input).await?);
    Ok(Json(ChangedView { transaction }))
}

async fn get(
    State(state): State<AppState>,
    Segment(id): Segment,
    params: Params,
) -> Result<Json<DetailView>, Problem> {
    let params = params.only(&["wait_ms", "until"])?;
    let wait_ms = u64::from(params.number("wait_ms")?);
    let until = match params.one("until")?.as_str() {
        "" | "FINAL" => Until::FinalPhase,
        "DECISION" => Until::Decision,
        _ => {
            return Err(Problem::invalid(
                "until: it is neither DECISION nor FINAL",
                "give one of them, with wait_ms",
            ));
        }
    };
    if wait_ms > 0 {
        let at_most = Duration::from_millis(wait_ms);
        let wait = WaitInput { until, at_most };
        state.coordinator.await_transaction(&id, wait).await?;
    }
    Ok(Json(DetailView::of(state.coordinator.get(&id).await?)))
}

async fn list(State(state): State<AppState>, params: Params) -> Result<Json<PageView>, Problem> {
    let params = params.only(&LIST)?;
    let phases = params.many("phase").flat_map(|list| list.split(','));
    let input = ListInput {
        namespace: params.one("namespace")?,
        phases: phases.map(phase).collect::<Result<_, _>>()?,
        initiator: params.one("initiator")?,
        business_key: params.one("business_key")?,
        topic: params.one("topic")?,
        older_than: params.length("older_than")?,
        parked: params.flag("parked")?,
        page_size: params.number("page_size")?,
        page_token: params.one("page_token")?,
    };
    let page = state.coordinator.list(input).await?;
    Ok(Json(PageView::of(&page)))
}

async fn retry(
    State(state): State<AppState>,
    Segment(id): Segment,
    MaybeBody(body): MaybeBody<RetryBody>,
) -> Result<Json<RetriedView>, Problem> {
    let (row, made_due) = state.coordinator.retry(&id, &body.actor).await?;
    let transaction = TransactionView::of(&row);
    Ok(Json(RetriedView {
        transaction,
        made_due,
    }))
}

async fn park(
    State(state): State<AppState>,
    Segment(id): Segment,
    MaybeBody(body): MaybeBody<ParkBody>,
) -> Result<Json<ChangedView>, Problem> {
    let row = state.coordinator.park(&id, &body.reason, &body.actor);
    let transaction = TransactionView::of(&row.await?);
    Ok(Json(ChangedView { transaction }))
}

async fn operator_decides(
    State(state): State<AppState>,
    Segment(id): Segment,
    Body(body): Body<OperatorDecideBody>,
) -> Result<Json<ChangedView>, Problem> {
    let input = OperatorDecideInput {
        id,
        decision: body.decision(),
        force: body.force,
        actor: body.actor,
        reason: body.reason,
    };
    let row = state.coordinator.operator_decides(input).await?;
    let transaction = TransactionView::of(&row);
    Ok(Json(ChangedView { transaction }))
}

fn recorded(Recorded { row, created }: &Recorded) -> (StatusCode, Json<RecordedView>) {
    let status = if *created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let transaction = TransactionView::of(row);
    let view = RecordedView {
        transaction,
        created: *created,
    };
    (status, Json(view))
}

/// The trace context of the call itself; stands in where the body names none.
fn trace(headers: &HeaderMap) -> &str {
    headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn phase(word: &str) -> Result<Phase, Problem> {
    let found = Phase::ALL.into_iter().find(|phase| phase.as_str() == word);
    found.ok_or_else(|| {
        let shown: String = word.chars().take(40).collect();
        let words = Phase::ALL.map(Phase::as_str).join(", ");
        Problem::invalid(
            format!("phase: `{shown}` is not a phase"),
            format!("give one or more of {words}"),
        )
    })
}
