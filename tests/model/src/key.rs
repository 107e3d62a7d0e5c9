//! Small names of transactions, subscriptions and work: the model's numbers, and the store's names for them.

use earnest_protocol::{LeaseToken, Name, TransactionId};
use earnest_store::{
    DeliveryKey, Work,
    conformance::{id, name},
};

/// The one topic.
pub(crate) const TOPIC: &str = "paid";

/// The message of a transaction, to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// The transaction.
    pub tx: u8,
    /// The subscription.
    pub to: u8,
}

impl Delivery {
    /// What the store calls it; `None`: it is owed to nobody.
    pub(crate) fn of(key: &DeliveryKey) -> Option<Self> {
        let to = key.subscription.as_ref()?;
        Some(Self {
            tx: number(key.transaction),
            to: to.as_str().strip_prefix('s')?.parse().ok()?,
        })
    }
}

/// One piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKey {
    /// Ask the initiator of a transaction.
    CheckBack(u8),
    /// Hand a message on.
    Delivery(Delivery),
}

impl WorkKey {
    /// Of which transaction.
    pub(crate) fn tx(self) -> u8 {
        match self {
            Self::CheckBack(tx) => tx,
            Self::Delivery(delivery) => delivery.tx,
        }
    }
}

/// A piece of work under one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Of what.
    pub key: WorkKey,
    /// Its token.
    pub token: LeaseToken,
}

impl Lease {
    /// As the store gave it out.
    pub(crate) fn of(work: &Work) -> Self {
        let (key, token) = match work {
            Work::CheckBack(work) => (WorkKey::CheckBack(number(work.id)), work.token),
            Work::Delivery(work) => {
                let delivery = Delivery::of(&work.key).expect("leased work has a destination");
                (WorkKey::Delivery(delivery), work.token)
            }
        };
        Self { key, token }
    }
}

/// What the store calls a delivery.
pub(crate) fn delivery_key(delivery: Delivery) -> DeliveryKey {
    DeliveryKey {
        transaction: id(delivery.tx),
        ordinal: earnest_protocol::Ordinal(0),
        subscription: Some(subscription_name(delivery.to)),
    }
}

/// The name of a subscription.
pub(crate) fn subscription_name(to: u8) -> Name {
    name(&format!("s{to}"))
}

fn number(of: TransactionId) -> u8 {
    of.as_bytes()[15]
}
