//! What is kept, row by row.

use std::{fmt, time::Duration};

use earnest_protocol::{
    BranchCall, BranchState, ContentHash, Decider, DeliveryState, InitiatorOutcome, LeaseToken,
    Name, NodeEpoch, Ordinal, ParkReason, RetryPolicy, State, Timestamp, Topic, TransactionId,
};
use serde::{Deserialize, Serialize};

/// The hot row of a transaction: small, and rewritten at each step. Its messages are kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRow {
    /// Its id.
    pub id: TransactionId,
    /// Scopes its names.
    pub namespace: Name,
    /// Who opened it and answers check-backs. `None`: a tombstone, whose initiator is not known.
    pub initiator: Option<Name>,
    /// The initiator's database; empty: not checked.
    pub resource_id: String,
    /// The caller's reference.
    pub business_key: String,
    /// Recognises a repeated Prepare; `None`: a tombstone.
    pub content: Option<ContentHash>,
    /// How many messages it has.
    pub message_count: u32,
    /// W3C trace context of the Prepare; empty: none.
    pub traceparent: String,
    /// The store's time of the Prepare; immutable.
    pub created_at: Timestamp,
    /// What `transition` reads and writes.
    pub state: State,
    /// When and by whom it was decided.
    pub decided: Option<(Timestamp, Decider)>,
    /// When the final phase was entered.
    pub finished_at: Option<Timestamp>,
    /// When the next check-back is due; `None`: none is.
    pub check_due: Option<Timestamp>,
    /// Check-back attempts made, answered or not.
    pub check_attempts: u32,
    /// Who holds the check-back; `None`: free.
    pub holder: Option<NodeEpoch>,
    /// The token of the last claim of the check-back.
    pub token: LeaseToken,
    /// Rises with every write; a write names the one it has read.
    pub revision: i64,
}

impl TransactionRow {
    /// Whether a Cancel came before any Prepare.
    pub fn is_tombstone(&self) -> bool {
        self.content.is_none()
    }
}

/// What names one delivery: a message to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The transaction.
    pub transaction: TransactionId,
    /// The message's place in it.
    pub ordinal: Ordinal,
    /// The subscription's name at the decision. `None`: there was none for the topic.
    pub subscription: Option<Name>,
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = self
            .subscription
            .as_ref()
            .map_or("(no subscription)", Name::as_str);
        write!(f, "{}/{} to {to}", self.transaction, self.ordinal)
    }
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// What it is.
    pub key: DeliveryKey,
    /// The transaction's namespace.
    pub namespace: Name,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made.
    pub attempts: u32,
    /// When the next attempt is due; `None`: done, parked, or behind another message of its key.
    pub due: Option<Timestamp>,
    /// When it came to be: at the decision, or later where the topic had no subscription then.
    pub created_at: Timestamp,
    /// When it was acknowledged.
    pub done_at: Option<Timestamp>,
    /// Why it is parked.
    pub parked: Option<ParkReason>,
    /// Its place among the messages of its key, for a subscription that asks for order.
    pub order: Option<(String, i64)>,
    /// Who holds it; `None`: free.
    pub holder: Option<NodeEpoch>,
    /// The token of the last claim.
    pub token: LeaseToken,
}

impl TransactionRow {
    /// Whether it has to do with branches: programs that don't know them leave it, and all that belongs to it, alone.
    pub(crate) fn is_tcc(&self) -> bool {
        self.state.branches > 0 || self.state.options.outcome == InitiatorOutcome::Executed
    }
}

/// What names one branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchKey {
    /// The transaction.
    pub transaction: TransactionId,
    /// Its place in it, chosen by the initiator.
    pub ordinal: Ordinal,
}

impl fmt::Display for BranchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/branch {}", self.transaction, self.ordinal)
    }
}

/// The hot row of a branch; what it says ([`Branch`](crate::Branch)) is kept apart and never rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRow {
    /// What it is.
    pub key: BranchKey,
    /// The transaction's namespace.
    pub namespace: Name,
    /// The participant.
    pub service: Name,
    /// Where it stands.
    pub state: BranchState,
    /// Attempts made of the call that it waits for.
    pub attempts: u32,
    /// When the next attempt is due; `None`: nothing is owed, or it is parked.
    pub due: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When the participant acknowledged the decision.
    pub done_at: Option<Timestamp>,
    /// Why it is parked.
    pub parked: Option<ParkReason>,
    /// Who holds it; `None`: free.
    pub holder: Option<NodeEpoch>,
    /// The token of the last claim.
    pub token: LeaseToken,
}

/// Which call an attempt made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptKind {
    /// A check-back of the transaction.
    CheckBack,
    /// A delivery of it.
    Delivery(Ordinal, Option<Name>),
    /// A call of a branch of it.
    Branch(Ordinal, BranchCall),
}

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Of which transaction.
    pub transaction: TransactionId,
    /// Which call.
    pub kind: AttemptKind,
    /// From 1.
    pub number: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// The node that called, for people.
    pub node: String,
    /// What was called.
    pub target: String,
    /// Short and stable: `unreachable`, `timeout`, `in-progress`, …
    pub code: String,
    /// For people.
    pub error: String,
    /// How long the call took.
    pub duration: Duration,
}

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Who, as they said.
    pub actor: String,
    /// `retry`, `park`, `decide confirm`, …
    pub action: String,
    /// To which transaction.
    pub transaction: Option<TransactionId>,
    /// Why, and what was known.
    pub detail: String,
}

/// Where a subscription's messages go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A registered service.
    Service(Name),
    /// One URL.
    WebhookUrl(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name}"),
            Self::WebhookUrl(url) => write!(f, "webhook {url}"),
        }
    }
}

/// Topic → destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Scopes its names.
    pub namespace: Name,
    /// Unique in its namespace.
    pub name: Name,
    /// What it takes.
    pub topic: Topic,
    /// Where it goes.
    pub destination: Destination,
    /// One at a time per key, in the order of the decisions.
    pub ordered: bool,
    /// No attempts are made.
    pub paused: bool,
    /// Deliveries under way at once.
    pub concurrency: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointProtocol {
    /// earnest.v1.Participant.
    Grpc,
    /// POSTs of JSON.
    Http,
}

/// Where one instance of a service is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://host:port`, with a path for HTTP.
    pub url: String,
    /// How.
    pub protocol: EndpointProtocol,
    /// The database behind it; empty: not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_id: String,
}

/// A name with endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Scopes its name.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// Its instances, the newest first.
    pub endpoints: Vec<Endpoint>,
    /// When it was last registered.
    pub updated_at: Timestamp,
}
