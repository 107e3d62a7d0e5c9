//! What the databases say, as plain data: the only thing that the checker and the table are made from.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::member::Member;

/// All of them at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub coordinator: Coordinator,
    pub cashier: Cashier,
    pub ledger: Ledger,
    pub rewards: Rewards,
}

impl Books {
    /// The transactions whose message is in a consumer's inbox.
    pub(crate) fn inbox(&self, consumer: Member) -> &BTreeSet<Uuid> {
        static NOTHING: BTreeSet<Uuid> = BTreeSet::new();
        match consumer {
            Member::Ledger => &self.ledger.inbox,
            Member::Rewards => &self.rewards.inbox,
            Member::Coordinator(_) | Member::Cashier => &NOTHING,
        }
    }

    /// Whether a consumer has taken the message of a transaction.
    pub(crate) fn took(&self, consumer: Member, transaction: Uuid) -> bool {
        self.inbox(consumer).contains(&transaction)
    }
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Prepared,
    Confirming,
    Confirmed,
    Cancelling,
    Cancelled,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Confirm,
    Cancel,
}

impl Phase {
    pub(crate) fn decision(self) -> Option<Decision> {
        match self {
            Self::Prepared => None,
            Self::Confirming | Self::Confirmed => Some(Decision::Confirm),
            Self::Cancelling | Self::Cancelled => Some(Decision::Cancel),
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled)
    }
}

/// A transaction, at the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub phase: Phase,
    /// The id of the payment.
    pub business_key: String,
    pub decided_by: Option<String>,
    pub parked: bool,
    pub messages: u32,
    /// Of its check-back.
    pub lease: Lease,
}

/// Who may drive a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The coordinator that holds it and counts as alive.
    pub holder: Option<Member>,
    /// Rises by one with each claim, and by one more with its end.
    pub token: i64,
}

/// Whether a delivery is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Pending,
    Done,
    Parked,
}

/// One message to one consumer, at the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub transaction: Uuid,
    pub consumer: Member,
    pub state: DeliveryState,
    /// Its place among the messages of its key, where the consumer asked for order.
    pub order: Option<(String, i64)>,
    pub lease: Lease,
}

/// The coordinator's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coordinator {
    pub transactions: BTreeMap<Uuid, Transaction>,
    pub deliveries: Vec<Delivery>,
    /// Check-backs answered *in progress*.
    pub in_progress_answers: u64,
}

/// What the cashier's fence says of a local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Committed,
    RolledBack,
}

/// A payment, at the cashier.
#[derive(Clone, Debug)]
pub(crate) struct Paid {
    pub payer: String,
    pub payee: String,
    pub cents: i64,
    pub transaction: Uuid,
}

/// An account, at the cashier.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub opened_with: i64,
    pub balance: i64,
}

/// The cashier's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cashier {
    pub accounts: BTreeMap<String, Account>,
    /// By the payment's id.
    pub payments: BTreeMap<String, Paid>,
    pub fence: BTreeMap<Uuid, Fence>,
}

/// One line of the books, in the order in which they were written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub payment: String,
    pub account: String,
    pub cents: i64,
}

/// The ledger's database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub lines: Vec<Line>,
    pub inbox: BTreeSet<Uuid>,
}

/// Money given back.
#[derive(Clone, Debug)]
pub(crate) struct Cashback {
    pub payment: String,
    pub cents: i64,
}

/// The rewards' database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewards {
    pub budget: i64,
    pub remaining: i64,
    pub cashbacks: Vec<Cashback>,
    pub inbox: BTreeSet<Uuid>,
}
