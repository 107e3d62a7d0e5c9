//! Replies as words for people.

use std::time::Duration;

use earnest_proto::v1;
use earnest_protocol::Timestamp;

use super::output::Tone;
use crate::service::age;

/// A phase's word and tone.
pub(super) fn phase(of: &v1::Transaction) -> (&'static str, Tone) {
    match of.phase() {
        v1::Phase::Unspecified => ("UNKNOWN", Tone::Bad),
        v1::Phase::Prepared => ("PREPARED", Tone::Waiting),
        v1::Phase::Confirming => ("CONFIRMING", Tone::Waiting),
        v1::Phase::Confirmed => ("CONFIRMED", Tone::Good),
        v1::Phase::Cancelling => ("CANCELLING", Tone::Waiting),
        v1::Phase::Cancelled => ("CANCELLED", Tone::Faint),
    }
}

/// An effect's word and tone.
pub(super) fn effect(of: v1::EffectState) -> (&'static str, Tone) {
    match of {
        v1::EffectState::Unspecified => ("UNKNOWN", Tone::Bad),
        v1::EffectState::Pending => ("PENDING", Tone::Waiting),
        v1::EffectState::Done => ("DONE", Tone::Good),
        v1::EffectState::Parked => ("PARKED", Tone::Bad),
    }
}

/// How long before `now` a time was, for people; empty: there is no time.
pub(super) fn ago(micros: i64, now: Timestamp) -> String {
    match micros {
        0 => String::new(),
        micros => age(now.since(Timestamp::from_micros(micros))),
    }
}

/// How long after `now` a time is, for people; empty: there is no time.
pub(super) fn ahead(micros: i64, now: Timestamp) -> String {
    let at = Timestamp::from_micros(micros);
    match micros {
        0 => String::new(),
        _ if at <= now => "now".into(),
        _ => format!("in {}", age(at.since(now))),
    }
}

/// A time and how long ago that is.
pub(super) fn when(micros: i64, now: Timestamp) -> String {
    let at = Timestamp::from_micros(micros);
    if at > now {
        return format!("{at} (in {})", age(at.since(now)));
    }
    format!("{at} ({} ago)", age(now.since(at)))
}

/// Milliseconds, for people.
pub(super) fn millis(millis: u64) -> String {
    age(Duration::from_millis(millis))
}

/// Where a subscription's messages go, for people.
pub(super) fn destination(of: &v1::Subscription) -> String {
    match of.destination.as_ref().and_then(|d| d.to.as_ref()) {
        Some(v1::destination::To::Service(name)) => format!("service {name}"),
        Some(v1::destination::To::WebhookUrl(url)) => format!("webhook {url}"),
        None => "nowhere".into(),
    }
}

/// An endpoint's protocol, in one word.
pub(super) fn protocol(of: &v1::Endpoint) -> &'static str {
    match of.protocol() {
        v1::EndpointProtocol::Unspecified => "UNKNOWN",
        v1::EndpointProtocol::Grpc => "GRPC",
        v1::EndpointProtocol::Http => "HTTP",
    }
}

/// What an option about the initiator's outcome is called.
pub(super) fn outcome(of: &v1::Options) -> &'static str {
    match of.outcome() {
        v1::Outcome::Unspecified | v1::Outcome::Local => "LOCAL",
        v1::Outcome::Asked => "ASKED",
        v1::Outcome::None => "NONE",
        v1::Outcome::Executed => "EXECUTED",
    }
}

/// Where a branch stands, and how to paint it.
pub(super) fn branch(of: v1::BranchState) -> (&'static str, Tone) {
    match of {
        v1::BranchState::Unspecified => ("UNKNOWN", Tone::Bad),
        v1::BranchState::Registered => ("REGISTERED", Tone::Waiting),
        v1::BranchState::Trying => ("TRYING", Tone::Waiting),
        v1::BranchState::Tried => ("TRIED", Tone::Waiting),
        v1::BranchState::Pending => ("PENDING", Tone::Waiting),
        v1::BranchState::Done => ("DONE", Tone::Good),
        v1::BranchState::Parked => ("PARKED", Tone::Bad),
    }
}

/// What an option about a spent budget is called.
pub(super) fn on_budget_spent(of: &v1::Options) -> &'static str {
    match of.on_budget_spent() {
        v1::OnBudgetSpent::Unspecified | v1::OnBudgetSpent::Park => "PARK",
        v1::OnBudgetSpent::Cancel => "CANCEL",
    }
}
