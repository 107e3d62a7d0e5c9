//! What is asked of a store.

use std::time::Duration;

use earnest_protocol::{Name, Phase, Timestamp, Topic, TransactionId};

use crate::{AttemptRow, Branch, BranchRow, DeliveryRow, Message, TransactionRow};

/// Which transactions; everything given must hold.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// In this namespace; `None`: in any.
    pub namespace: Option<Name>,
    /// In any of these; empty: in any.
    pub phases: Vec<Phase>,
    /// Opened by.
    pub initiator: Option<Name>,
    /// With this reference.
    pub business_key: Option<String>,
    /// With a message of this topic.
    pub topic: Option<Topic>,
    /// Created at least this long ago.
    pub older_than: Option<Duration>,
    /// The transaction or an effect of it is parked.
    pub parked: bool,
}

/// Where the next page begins: after this id, going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub TransactionId);

/// One page.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Newest id first.
    pub rows: Vec<T>,
    /// `None`: this was the last one.
    pub next: Option<Cursor>,
}

/// A transaction with all that is known of it.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Its row.
    pub transaction: TransactionRow,
    /// In order.
    pub messages: Vec<Message>,
    /// By message and subscription.
    pub deliveries: Vec<DeliveryRow>,
    /// By ordinal, each with what it says.
    pub branches: Vec<(BranchRow, Branch)>,
    /// The newest 100, newest first.
    pub attempts: Vec<AttemptRow>,
}

/// What one subscription still owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Scopes its name.
    pub namespace: Name,
    /// The subscription; `None`: messages whose topic had none.
    pub subscription: Option<Name>,
    /// Owed and not parked.
    pub pending: u64,
    /// Parked.
    pub parked: u64,
    /// When the oldest pending one was decided.
    pub oldest_pending: Option<Timestamp>,
}

/// What one participant has still to be called for: Trys that the coordinator runs, and Confirms and Cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchBacklog {
    /// Scopes its name.
    pub namespace: Name,
    /// The participant.
    pub service: Name,
    /// Its branches that wait for a call; those that are parked do not.
    pub pending: u64,
    /// When the oldest of them was registered.
    pub oldest_pending: Option<Timestamp>,
}
