//! Rows as replies.

use std::time::Duration;

use earnest_proto::v1;
use earnest_protocol::{
    BranchState, Decider, DeliveryState, InitiatorOutcome, OnBudgetSpent, Options, Phase, Timestamp,
};
use earnest_store::{
    AttemptKind, AttemptRow, Backlog, Branch, BranchRow, DeliveryRow, Destination,
    EndpointProtocol, LossRow, Mark, Message, Page, ServiceRow, SubscriptionRow, TransactionRow,
};

use crate::service::{DatabaseStatus, TransactionDetail};

pub(super) fn transaction(row: &TransactionRow) -> v1::Transaction {
    let text = |name: &Option<_>| name.as_ref().map(ToString::to_string).unwrap_or_default();
    let (decided_at_us, decided_by) = row
        .decided
        .as_ref()
        .map_or((0, String::new()), |(at, by)| (at.as_micros(), word(by)));
    v1::Transaction {
        id: row.id.to_string(),
        namespace: row.namespace.to_string(),
        initiator: text(&row.initiator),
        resource_id: row.resource_id.clone(),
        business_key: row.business_key.clone(),
        phase: phase(row.state.phase).into(),
        created_at_us: row.created_at.as_micros(),
        decided_at_us,
        decided_by,
        finished_at_us: micros(row.finished_at),
        parked_reason: row
            .state
            .parked
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        open_effects: row.state.open_effects,
        parked_effects: row.state.parked_effects,
        tombstone: row.is_tombstone(),
        options: Some(options(&row.state.options)),
        next_check_back_us: micros(row.check_due),
        in_progress_answers: row.state.in_progress_answers,
        unanswered_check_backs: row.state.unanswered,
        message_count: row.message_count,
        traceparent: row.traceparent.clone(),
        branch_count: row.state.branches,
        refusal: row.decided.as_ref().and_then(|(_, by)| refusal(by)),
    }
}

fn word(by: &Decider) -> String {
    match by {
        Decider::Refusal { .. } => "refusal".into(),
        other => other.to_string(),
    }
}

fn refusal(by: &Decider) -> Option<v1::Refusal> {
    match by {
        Decider::Refusal { service, reason } => Some(v1::Refusal {
            service: service.to_string(),
            reason: reason.clone(),
        }),
        _ => None,
    }
}

pub(super) fn mark(mark: &Mark) -> v1::Mark {
    v1::Mark {
        incarnation: mark.incarnation,
        line: mark.line,
        batches: mark.batches,
        at_us: mark.at.as_micros(),
    }
}

pub(super) fn database(status: &DatabaseStatus) -> v1::Database {
    v1::Database {
        incarnation: status.incarnation,
        losses: status.losses.iter().map(loss).collect(),
        format: status.format,
    }
}

pub(super) fn loss(row: &LossRow) -> v1::DatabaseLoss {
    v1::DatabaseLoss {
        acknowledged: Some(mark(&row.loss.acknowledged)),
        found: row.loss.found.unwrap_or_default(),
        kept_until_us: micros(row.kept_until),
        noticed_at_us: row.noticed_at.as_micros(),
        noticed_by: row.noticed_by.clone(),
    }
}

pub(super) fn detail(found: &TransactionDetail) -> v1::TransactionDetail {
    let TransactionDetail { detail, summary } = found;
    v1::TransactionDetail {
        transaction: Some(transaction(&detail.transaction)),
        messages: (0..).zip(&detail.messages).map(message).collect(),
        deliveries: detail.deliveries.iter().map(delivery).collect(),
        attempts: detail.attempts.iter().map(attempt).collect(),
        summary: summary.clone(),
        branches: detail.branches.iter().map(branch).collect(),
    }
}

pub(super) fn page(page: &Page<TransactionRow>) -> v1::ListTransactionsResponse {
    v1::ListTransactionsResponse {
        transactions: page.rows.iter().map(transaction).collect(),
        next_page_token: page.next.map(|next| next.0.to_string()).unwrap_or_default(),
    }
}

pub(super) fn service(row: &ServiceRow) -> v1::Service {
    let endpoint = |endpoint: &earnest_store::Endpoint| v1::Endpoint {
        url: endpoint.url.clone(),
        protocol: match endpoint.protocol {
            EndpointProtocol::Grpc => v1::EndpointProtocol::Grpc,
            EndpointProtocol::Http => v1::EndpointProtocol::Http,
        }
        .into(),
        resource_id: endpoint.resource_id.clone(),
    };
    v1::Service {
        name: row.name.to_string(),
        namespace: row.namespace.to_string(),
        endpoints: row.endpoints.iter().map(endpoint).collect(),
        updated_at_us: row.updated_at.as_micros(),
    }
}

pub(super) fn subscription(row: &SubscriptionRow) -> v1::Subscription {
    let to = match &row.destination {
        Destination::Service(name) => v1::destination::To::Service(name.to_string()),
        Destination::WebhookUrl(url) => v1::destination::To::WebhookUrl(url.clone()),
    };
    v1::Subscription {
        name: row.name.to_string(),
        namespace: row.namespace.to_string(),
        topic: row.topic.to_string(),
        destination: Some(v1::Destination { to: Some(to) }),
        ordered: row.ordered,
        paused: row.paused,
        concurrency: row.concurrency,
        timeout_ms: millis(row.timeout),
        retry: Some(v1::RetryPolicy {
            initial_ms: millis(row.retry.initial),
            multiplier_milli: row.retry.multiplier_milli,
            cap_ms: millis(row.retry.cap),
        }),
        updated_at_us: row.updated_at.as_micros(),
    }
}

pub(super) fn subscription_status(
    (row, backlog): &(SubscriptionRow, Option<Backlog>),
) -> v1::SubscriptionStatus {
    let backlog = backlog.as_ref();
    v1::SubscriptionStatus {
        subscription: Some(subscription(row)),
        pending: backlog.map_or(0, |b| b.pending),
        parked: backlog.map_or(0, |b| b.parked),
        oldest_pending_us: micros(backlog.and_then(|b| b.oldest_pending)),
    }
}

fn message((ordinal, message): (u32, &Message)) -> v1::MessageView {
    v1::MessageView {
        ordinal,
        topic: message.topic.to_string(),
        key: message.key.clone(),
        headers: message.headers.clone().into_iter().collect(),
        content_type: message.content_type.clone(),
        payload_bytes: message.payload.len() as u64,
    }
}

fn delivery(row: &DeliveryRow) -> v1::Delivery {
    let state = match row.state {
        DeliveryState::Pending => v1::EffectState::Pending,
        DeliveryState::Done => v1::EffectState::Done,
        DeliveryState::Parked => v1::EffectState::Parked,
    };
    let under_way = row.holder.is_some();
    v1::Delivery {
        ordinal: row.key.ordinal.0,
        subscription: row
            .key
            .subscription
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        state: state.into(),
        attempts: row.attempts,
        due_at_us: if under_way { 0 } else { micros(row.due) },
        parked_reason: row
            .parked
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        done_at_us: micros(row.done_at),
    }
}

fn branch((row, content): &(BranchRow, Branch)) -> v1::BranchView {
    let state = match row.state {
        BranchState::Registered => v1::BranchState::Registered,
        BranchState::Trying => v1::BranchState::Trying,
        BranchState::Tried => v1::BranchState::Tried,
        BranchState::Pending => v1::BranchState::Pending,
        BranchState::Done => v1::BranchState::Done,
        BranchState::Parked => v1::BranchState::Parked,
    };
    let under_way = row.holder.is_some();
    v1::BranchView {
        ordinal: row.key.ordinal.0,
        service: row.service.to_string(),
        action: content.action.to_string(),
        resource_id: content.resource_id.clone(),
        state: state.into(),
        attempts: row.attempts,
        due_at_us: if under_way { 0 } else { micros(row.due) },
        parked_reason: row
            .parked
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        done_at_us: micros(row.done_at),
        content_type: content.content_type.clone(),
        payload_bytes: content.payload.len() as u64,
    }
}

fn attempt(row: &AttemptRow) -> v1::Attempt {
    let (kind, ordinal, subscription) = match &row.kind {
        AttemptKind::CheckBack => ("check-back", 0, String::new()),
        AttemptKind::Branch(ordinal, call) => (call.as_str(), ordinal.0, String::new()),
        AttemptKind::Delivery(ordinal, subscription) => (
            "delivery",
            ordinal.0,
            subscription
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
    };
    v1::Attempt {
        at_us: row.at.as_micros(),
        kind: kind.into(),
        ordinal,
        subscription,
        number: row.number,
        node: row.node.clone(),
        target: row.target.clone(),
        code: row.code.clone(),
        error: row.error.clone(),
        duration_us: u64::try_from(row.duration.as_micros()).unwrap_or(u64::MAX),
    }
}

fn options(options: &Options) -> v1::Options {
    v1::Options {
        check_after_ms: millis(options.check_after),
        outcome: match options.outcome {
            InitiatorOutcome::Local => v1::Outcome::Local,
            InitiatorOutcome::Asked => v1::Outcome::Asked,
            InitiatorOutcome::None => v1::Outcome::None,
            InitiatorOutcome::Executed => v1::Outcome::Executed,
        }
        .into(),
        on_budget_spent: match options.on_budget_spent {
            OnBudgetSpent::Park => v1::OnBudgetSpent::Park,
            OnBudgetSpent::Cancel => v1::OnBudgetSpent::Cancel,
        }
        .into(),
        check_back_budget: options.check_back_budget,
        allow_no_subscription: options.allow_no_subscription,
    }
}

fn phase(phase: Phase) -> v1::Phase {
    match phase {
        Phase::Prepared => v1::Phase::Prepared,
        Phase::Confirming => v1::Phase::Confirming,
        Phase::Confirmed => v1::Phase::Confirmed,
        Phase::Cancelling => v1::Phase::Cancelling,
        Phase::Cancelled => v1::Phase::Cancelled,
    }
}

/// 0: there is none.
fn micros(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_micros)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
