//! Replies as JSON, exactly as REST answers: a test compares the two.

use earnest_proto::v1;
use earnest_protocol::Timestamp;
use serde_json::{Value, json};

use super::view;

/// RFC 3339; null: there is none.
fn time(micros: i64) -> Option<String> {
    (micros != 0).then(|| Timestamp::from_micros(micros).to_string())
}

/// Null: there is none.
fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn transaction(of: &v1::Transaction) -> Value {
    let options = of.options.unwrap_or_default();
    json!({
        "id": of.id,
        "namespace": of.namespace,
        "initiator": text(&of.initiator),
        "resource_id": of.resource_id,
        "business_key": of.business_key,
        "phase": view::phase(of).0,
        "created_at": time(of.created_at_us),
        "decided_at": time(of.decided_at_us),
        "decided_by": text(&of.decided_by),
        "finished_at": time(of.finished_at_us),
        "parked_reason": text(&of.parked_reason),
        "open_effects": of.open_effects,
        "parked_effects": of.parked_effects,
        "tombstone": of.tombstone,
        "options": {
            "check_after_ms": options.check_after_ms,
            "outcome": view::outcome(&options),
            "on_budget_spent": view::on_budget_spent(&options),
            "check_back_budget": options.check_back_budget,
            "allow_no_subscription": options.allow_no_subscription,
        },
        "next_check_back": time(of.next_check_back_us),
        "in_progress_answers": of.in_progress_answers,
        "unanswered_check_backs": of.unanswered_check_backs,
        "message_count": of.message_count,
        "branch_count": of.branch_count,
        "refusal": of.refusal.as_ref().map(|of| json!({ "service": of.service, "reason": of.reason })),
        "traceparent": of.traceparent,
    })
}

pub(super) fn detail(of: &v1::TransactionDetail) -> Value {
    json!({
        "transaction": of.transaction.as_ref().map(transaction),
        "messages": of.messages.iter().map(message).collect::<Vec<_>>(),
        "deliveries": of.deliveries.iter().map(delivery).collect::<Vec<_>>(),
        "branches": of.branches.iter().map(branch).collect::<Vec<_>>(),
        "attempts": of.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "summary": of.summary,
    })
}

fn message(of: &v1::MessageView) -> Value {
    json!({
        "ordinal": of.ordinal,
        "topic": of.topic,
        "key": of.key,
        "headers": of.headers,
        "content_type": of.content_type,
        "payload_bytes": of.payload_bytes,
    })
}

fn delivery(of: &v1::Delivery) -> Value {
    json!({
        "ordinal": of.ordinal,
        "subscription": text(&of.subscription),
        "state": view::effect(of.state()).0,
        "attempts": of.attempts,
        "due_at": time(of.due_at_us),
        "parked_reason": text(&of.parked_reason),
        "done_at": time(of.done_at_us),
    })
}

fn branch(of: &v1::BranchView) -> Value {
    json!({
        "ordinal": of.ordinal,
        "service": of.service,
        "action": of.action,
        "resource_id": of.resource_id,
        "state": view::branch(of.state()).0,
        "attempts": of.attempts,
        "due_at": time(of.due_at_us),
        "parked_reason": text(&of.parked_reason),
        "done_at": time(of.done_at_us),
        "content_type": of.content_type,
        "payload_bytes": of.payload_bytes,
    })
}

fn attempt(of: &v1::Attempt) -> Value {
    let is_of_one = of.kind != "check-back";
    json!({
        "at": time(of.at_us),
        "kind": of.kind,
        "ordinal": is_of_one.then_some(of.ordinal),
        "subscription": text(&of.subscription),
        "number": of.number,
        "node": of.node,
        "target": of.target,
        "code": of.code,
        "error": of.error,
        "duration_ms": of.duration_us / 1_000,
    })
}

pub(super) fn subscription(of: &v1::Subscription) -> Value {
    let retry = of.retry.unwrap_or_default();
    let destination = match of.destination.as_ref().and_then(|d| d.to.as_ref()) {
        Some(v1::destination::To::Service(name)) => json!({ "service": name }),
        Some(v1::destination::To::WebhookUrl(url)) => json!({ "webhook_url": url }),
        None => Value::Null,
    };
    json!({
        "name": of.name,
        "namespace": of.namespace,
        "topic": of.topic,
        "destination": destination,
        "ordered": of.ordered,
        "paused": of.paused,
        "concurrency": of.concurrency,
        "timeout_ms": of.timeout_ms,
        "retry": {
            "initial_ms": retry.initial_ms,
            "multiplier_milli": retry.multiplier_milli,
            "cap_ms": retry.cap_ms,
        },
        "updated_at": time(of.updated_at_us),
    })
}

pub(super) fn subscription_status(of: &v1::SubscriptionStatus) -> Value {
    json!({
        "subscription": of.subscription.as_ref().map(subscription),
        "pending": of.pending,
        "parked": of.parked,
        "oldest_pending": time(of.oldest_pending_us),
    })
}

pub(super) fn service(of: &v1::Service) -> Value {
    let endpoint = |of: &v1::Endpoint| json!({ "url": of.url, "protocol": view::protocol(of), "resource_id": of.resource_id });
    json!({
        "name": of.name,
        "namespace": of.namespace,
        "endpoints": of.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "updated_at": time(of.updated_at_us),
    })
}
