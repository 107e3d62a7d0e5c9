//! Rows as JSON. Fields are named as in earnest.v1; times are RFC 3339 and `null` where there is none.

use std::{collections::BTreeMap, time::Duration};

use earnest_protocol::{
    BranchState, Decider, DeliveryState, InitiatorOutcome, OnBudgetSpent, Options, Timestamp,
};
use earnest_store::{
    AttemptKind, AttemptRow, Backlog, Branch, BranchRow, DeliveryRow, Destination, Endpoint,
    EndpointProtocol, Message, Page, ServiceRow, SubscriptionRow, TransactionRow,
};
use serde::Serialize;

use crate::service;

#[derive(Debug, Serialize)]
pub(super) struct TransactionView {
    id: String,
    namespace: String,
    initiator: Option<String>,
    resource_id: String,
    business_key: String,
    phase: &'static str,
    created_at: String,
    decided_at: Option<String>,
    decided_by: Option<String>,
    finished_at: Option<String>,
    parked_reason: Option<String>,
    open_effects: u32,
    parked_effects: u32,
    tombstone: bool,
    options: OptionsView,
    next_check_back: Option<String>,
    in_progress_answers: u32,
    unanswered_check_backs: u32,
    message_count: u32,
    branch_count: u32,
    refusal: Option<RefusalView>,
    traceparent: String,
}

#[derive(Debug, Serialize)]
struct RefusalView {
    service: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct OptionsView {
    check_after_ms: u64,
    outcome: &'static str,
    on_budget_spent: &'static str,
    check_back_budget: u32,
    allow_no_subscription: bool,
}

#[derive(Serialize)]
pub(super) struct DetailView {
    transaction: TransactionView,
    messages: Vec<MessageView>,
    deliveries: Vec<DeliveryView>,
    branches: Vec<BranchView>,
    attempts: Vec<AttemptView>,
    summary: String,
}

#[derive(Serialize)]
struct MessageView {
    ordinal: u32,
    topic: String,
    key: String,
    headers: BTreeMap<String, String>,
    content_type: String,
    payload_bytes: usize,
}

#[derive(Serialize)]
struct DeliveryView {
    ordinal: u32,
    subscription: Option<String>,
    state: &'static str,
    attempts: u32,
    due_at: Option<String>,
    parked_reason: Option<String>,
    done_at: Option<String>,
}

#[derive(Serialize)]
struct BranchView {
    ordinal: u32,
    service: String,
    action: String,
    resource_id: String,
    state: &'static str,
    attempts: u32,
    due_at: Option<String>,
    parked_reason: Option<String>,
    done_at: Option<String>,
    content_type: String,
    payload_bytes: usize,
}

#[derive(Serialize)]
struct AttemptView {
    at: String,
    kind: &'static str,
    ordinal: Option<u32>,
    subscription: Option<String>,
    number: u32,
    node: String,
    target: String,
    code: String,
    error: String,
    duration_ms: u64,
}

#[derive(Serialize)]
pub(super) struct PageView {
    transactions: Vec<TransactionView>,
    next_page_token: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ServiceView {
    name: String,
    namespace: String,
    endpoints: Vec<EndpointView>,
    updated_at: String,
}

#[derive(Serialize)]
struct EndpointView {
    url: String,
    protocol: &'static str,
    resource_id: String,
}

#[derive(Serialize)]
pub(super) struct SubscriptionView {
    name: String,
    namespace: String,
    topic: String,
    destination: DestinationView,
    ordered: bool,
    paused: bool,
    concurrency: u32,
    timeout_ms: u64,
    retry: RetryView,
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum DestinationView {
    Service(String),
    WebhookUrl(String),
}

#[derive(Serialize)]
struct RetryView {
    initial_ms: u64,
    multiplier_milli: u32,
    cap_ms: u64,
}

#[derive(Serialize)]
pub(super) struct SubscriptionStatusView {
    subscription: SubscriptionView,
    pending: u64,
    parked: u64,
    oldest_pending: Option<String>,
}

impl TransactionView {
    pub(super) fn of(row: &TransactionRow) -> Self {
        let state = &row.state;
        Self {
            id: row.id.to_string(),
            namespace: row.namespace.to_string(),
            initiator: text(row.initiator.as_ref()),
            resource_id: row.resource_id.clone(),
            business_key: row.business_key.clone(),
            phase: state.phase.as_str(),
            created_at: row.created_at.to_string(),
            decided_at: row.decided.as_ref().map(|(at, _)| at.to_string()),
            decided_by: row.decided.as_ref().map(|(_, by)| match by {
                Decider::Refusal { .. } => "refusal".into(),
                other => other.to_string(),
            }),
            finished_at: time(row.finished_at),
            parked_reason: text(state.parked.as_ref()),
            open_effects: state.open_effects,
            parked_effects: state.parked_effects,
            tombstone: row.is_tombstone(),
            options: OptionsView::of(&state.options),
            next_check_back: time(row.check_due),
            in_progress_answers: state.in_progress_answers,
            unanswered_check_backs: state.unanswered,
            message_count: row.message_count,
            branch_count: state.branches,
            refusal: row.decided.as_ref().and_then(|(_, by)| match by {
                Decider::Refusal { service, reason } => Some(RefusalView {
                    service: service.to_string(),
                    reason: reason.clone(),
                }),
                _ => None,
            }),
            traceparent: row.traceparent.clone(),
        }
    }
}

impl OptionsView {
    fn of(options: &Options) -> Self {
        Self {
            check_after_ms: millis(options.check_after),
            outcome: match options.outcome {
                InitiatorOutcome::Local => "LOCAL",
                InitiatorOutcome::Asked => "ASKED",
                InitiatorOutcome::None => "NONE",
                InitiatorOutcome::Executed => "EXECUTED",
            },
            on_budget_spent: match options.on_budget_spent {
                OnBudgetSpent::Park => "PARK",
                OnBudgetSpent::Cancel => "CANCEL",
            },
            check_back_budget: options.check_back_budget,
            allow_no_subscription: options.allow_no_subscription,
        }
    }
}

impl DetailView {
    pub(super) fn of(found: service::TransactionDetail) -> Self {
        let service::TransactionDetail { detail, summary } = found;
        Self {
            transaction: TransactionView::of(&detail.transaction),
            messages: (0..)
                .zip(&detail.messages)
                .map(|(n, message)| MessageView::of(n, message))
                .collect(),
            deliveries: detail.deliveries.iter().map(DeliveryView::of).collect(),
            branches: detail.branches.iter().map(BranchView::of).collect(),
            attempts: detail.attempts.iter().map(AttemptView::of).collect(),
            summary,
        }
    }
}

impl MessageView {
    fn of(ordinal: u32, message: &Message) -> Self {
        Self {
            ordinal,
            topic: message.topic.to_string(),
            key: message.key.clone(),
            headers: message.headers.clone(),
            content_type: message.content_type.clone(),
            payload_bytes: message.payload.len(),
        }
    }
}

impl DeliveryView {
    fn of(row: &DeliveryRow) -> Self {
        let under_way = row.holder.is_some();
        Self {
            ordinal: row.key.ordinal.0,
            subscription: text(row.key.subscription.as_ref()),
            state: match row.state {
                DeliveryState::Pending => "PENDING",
                DeliveryState::Done => "DONE",
                DeliveryState::Parked => "PARKED",
            },
            attempts: row.attempts,
            due_at: time(row.due).filter(|_| !under_way),
            parked_reason: text(row.parked.as_ref()),
            done_at: time(row.done_at),
        }
    }
}

impl BranchView {
    fn of((row, content): &(BranchRow, Branch)) -> Self {
        let under_way = row.holder.is_some();
        Self {
            ordinal: row.key.ordinal.0,
            service: row.service.to_string(),
            action: content.action.to_string(),
            resource_id: content.resource_id.clone(),
            state: match row.state {
                BranchState::Registered => "REGISTERED",
                BranchState::Trying => "TRYING",
                BranchState::Tried => "TRIED",
                BranchState::Pending => "PENDING",
                BranchState::Done => "DONE",
                BranchState::Parked => "PARKED",
            },
            attempts: row.attempts,
            due_at: time(row.due).filter(|_| !under_way),
            parked_reason: text(row.parked.as_ref()),
            done_at: time(row.done_at),
            content_type: content.content_type.clone(),
            payload_bytes: content.payload.len(),
        }
    }
}

impl AttemptView {
    fn of(row: &AttemptRow) -> Self {
        let (kind, ordinal, subscription) = match &row.kind {
            AttemptKind::CheckBack => ("check-back", None, None),
            AttemptKind::Branch(ordinal, call) => (call.as_str(), Some(ordinal.0), None),
            AttemptKind::Delivery(ordinal, subscription) => {
                ("delivery", Some(ordinal.0), text(subscription.as_ref()))
            }
        };
        Self {
            at: row.at.to_string(),
            kind,
            ordinal,
            subscription,
            number: row.number,
            node: row.node.clone(),
            target: row.target.clone(),
            code: row.code.clone(),
            error: row.error.clone(),
            duration_ms: millis(row.duration),
        }
    }
}

impl PageView {
    pub(super) fn of(page: &Page<TransactionRow>) -> Self {
        Self {
            transactions: page.rows.iter().map(TransactionView::of).collect(),
            next_page_token: page.next.map(|next| next.0.to_string()),
        }
    }
}

impl ServiceView {
    pub(super) fn of(row: &ServiceRow) -> Self {
        let endpoint = |endpoint: &Endpoint| EndpointView {
            url: endpoint.url.clone(),
            protocol: match endpoint.protocol {
                EndpointProtocol::Grpc => "GRPC",
                EndpointProtocol::Http => "HTTP",
            },
            resource_id: endpoint.resource_id.clone(),
        };
        Self {
            name: row.name.to_string(),
            namespace: row.namespace.to_string(),
            endpoints: row.endpoints.iter().map(endpoint).collect(),
            updated_at: row.updated_at.to_string(),
        }
    }
}

impl SubscriptionView {
    pub(super) fn of(row: &SubscriptionRow) -> Self {
        Self {
            name: row.name.to_string(),
            namespace: row.namespace.to_string(),
            topic: row.topic.to_string(),
            destination: match &row.destination {
                Destination::Service(name) => DestinationView::Service(name.to_string()),
                Destination::WebhookUrl(url) => DestinationView::WebhookUrl(url.clone()),
            },
            ordered: row.ordered,
            paused: row.paused,
            concurrency: row.concurrency,
            timeout_ms: millis(row.timeout),
            retry: RetryView {
                initial_ms: millis(row.retry.initial),
                multiplier_milli: row.retry.multiplier_milli,
                cap_ms: millis(row.retry.cap),
            },
            updated_at: row.updated_at.to_string(),
        }
    }
}

impl SubscriptionStatusView {
    pub(super) fn of(row: &SubscriptionRow, backlog: Option<&Backlog>) -> Self {
        Self {
            subscription: SubscriptionView::of(row),
            pending: backlog.map_or(0, |b| b.pending),
            parked: backlog.map_or(0, |b| b.parked),
            oldest_pending: time(backlog.and_then(|b| b.oldest_pending)),
        }
    }
}

fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

fn time(at: Option<Timestamp>) -> Option<String> {
    text(at.as_ref())
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
