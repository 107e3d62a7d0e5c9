//! Small names of transactions, subscriptions and work: the model's numbers, and the store's names for them.

use earnest_protocol::{LeaseToken, Name, Ordinal, TransactionId};
use earnest_store::{
    BranchKey, DeliveryKey, Work,
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

/// A branch of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch {
    /// The transaction.
    pub tx: u8,
    /// Its place in it.
    pub no: u8,
}

impl Branch {
    /// What the store calls it.
    pub(crate) fn key(self) -> BranchKey {
        BranchKey {
            transaction: id(self.tx),
            ordinal: Ordinal(self.no.into()),
        }
    }

    /// What the store calls so.
    pub(crate) fn of(key: BranchKey) -> Self {
        Self {
            tx: number(key.transaction),
            no: u8::try_from(key.ordinal.0).expect("few branches"),
        }
    }
}

/// One piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKey {
    /// Ask the initiator of a transaction.
    CheckBack(u8),
    /// Hand a message on.
    Delivery(Delivery),
    /// Call a branch.
    Branch(Branch),
}

impl WorkKey {
    /// Of which transaction.
    pub(crate) fn tx(self) -> u8 {
        match self {
            Self::CheckBack(tx) => tx,
            Self::Delivery(delivery) => delivery.tx,
            Self::Branch(branch) => branch.tx,
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
            Work::Branch(work) => (WorkKey::Branch(Branch::of(work.key)), work.token),
        };
        Self { key, token }
    }
}

/// What the store calls a delivery.
pub(crate) fn delivery_key(delivery: Delivery) -> DeliveryKey {
    DeliveryKey {
        transaction: id(delivery.tx),
        ordinal: Ordinal(0),
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
