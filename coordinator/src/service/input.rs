//! What transports hand in: plain values, unchecked.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use earnest_protocol::{Decision, InitiatorOutcome, OnBudgetSpent, Phase, RetryPolicy};
use earnest_store::{Destination, Endpoint};

use super::WaitInput;

/// One message.
#[derive(Debug, Clone, Default)]
pub struct MessageInput {
    /// Where it goes.
    pub topic: String,
    /// Order key; empty: none.
    pub key: String,
    /// Carried along.
    pub headers: BTreeMap<String, String>,
    /// Opaque.
    pub payload: Bytes,
    /// Media type.
    pub content_type: String,
    /// Carried, never interpreted.
    pub content_encoding: String,
    /// Carried, never interpreted.
    pub key_id: String,
    /// Only zero today.
    pub deliver_after: Duration,
}

/// One branch.
#[derive(Debug, Clone, Default)]
pub struct BranchInput {
    /// The participant.
    pub service: String,
    /// Which of its reservations.
    pub action: String,
    /// Its database; empty: not checked.
    pub resource_id: String,
    /// Opaque.
    pub payload: Bytes,
    /// Media type.
    pub content_type: String,
}

/// Further branches and messages, each in its place.
#[derive(Debug, Clone, Default)]
pub struct RegisterInput {
    /// The transaction.
    pub id: String,
    /// The calling service; empty: not said.
    pub initiator: String,
    /// Reservations.
    pub branches: Vec<(u32, BranchInput)>,
    /// Messages.
    pub messages: Vec<(u32, MessageInput)>,
}

/// Options; `None` is the coordinator's default.
#[derive(Debug, Clone, Copy, Default)]
pub struct OptionsInput {
    /// Until the first check-back.
    pub check_after: Option<Duration>,
    /// Whom to believe.
    pub outcome: Option<InitiatorOutcome>,
    /// What a spent budget does.
    pub on_budget_spent: Option<OnBudgetSpent>,
    /// How many *in progress* answers are taken.
    pub check_back_budget: Option<u32>,
    /// Accept a message that goes nowhere.
    pub allow_no_subscription: bool,
}

/// Prepare and Submit.
#[derive(Debug, Clone, Default)]
pub struct PrepareInput {
    /// `None`: the coordinator makes one.
    pub id: Option<String>,
    /// Empty: `default`.
    pub namespace: String,
    /// The calling service.
    pub initiator: String,
    /// Its database; empty: not checked.
    pub resource_id: String,
    /// The caller's reference.
    pub business_key: String,
    /// In order.
    pub messages: Vec<MessageInput>,
    /// In order.
    pub branches: Vec<BranchInput>,
    /// How it wants to be treated.
    pub options: OptionsInput,
    /// W3C trace context; empty: none.
    pub traceparent: String,
}

/// Confirm and Cancel.
#[derive(Debug, Clone)]
pub struct DecideInput {
    /// The transaction.
    pub id: String,
    /// What is decided.
    pub decision: Decision,
    /// The calling service; empty: not said.
    pub initiator: String,
    /// Empty: `default`.
    pub namespace: String,
    /// Whether to wait for what comes after the decision, too.
    pub wait: Option<WaitInput>,
}

/// List.
#[derive(Debug, Clone, Default)]
pub struct ListInput {
    /// Empty: `default`.
    pub namespace: String,
    /// Any of these; empty: all.
    pub phases: Vec<Phase>,
    /// Empty: any.
    pub initiator: String,
    /// Empty: any.
    pub business_key: String,
    /// Empty: any.
    pub topic: String,
    /// Zero: any age.
    pub older_than: Duration,
    /// Only what waits for a person.
    pub parked: bool,
    /// 1 to 1,000; 0: 50.
    pub page_size: u32,
    /// Opaque; empty: from the newest.
    pub page_token: String,
}

/// A subscription to create or replace.
#[derive(Debug, Clone)]
pub struct SubscriptionInput {
    /// Empty: `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it takes.
    pub topic: String,
    /// Where it goes.
    pub destination: Destination,
    /// One at a time per key.
    pub ordered: bool,
    /// No attempts.
    pub paused: bool,
    /// 0: default.
    pub concurrency: u32,
    /// Zero: default.
    pub timeout: Duration,
    /// `None`: default.
    pub retry: Option<RetryPolicy>,
}

/// A service to register.
#[derive(Debug, Clone)]
pub struct ServiceInput {
    /// Empty: `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it is called.
    pub endpoints: Vec<Endpoint>,
    /// Forget those known so far.
    pub replace: bool,
}

/// An operator's decision.
#[derive(Debug, Clone)]
pub struct OperatorDecideInput {
    /// The transaction.
    pub id: String,
    /// What is decided.
    pub decision: Decision,
    /// Although the initiator can't be asked, or answered otherwise.
    pub force: bool,
    /// Who decides, for the audit.
    pub actor: String,
    /// Why, for the audit.
    pub reason: String,
}
