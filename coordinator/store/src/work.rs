//! What a node may run once it has leased it: everything that the call needs, so that nothing is read again.

use std::{fmt, sync::Arc};

use earnest_protocol::{BranchCall, LeaseToken, Name, Options, Timestamp, TransactionId};

use crate::{Branch, BranchKey, Command, DeliveryKey, Message, SubscriptionRow};

/// What concurrency, breakers and claims are bounded by: one dead or slow target must cost the others
/// nothing (P12).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Check-backs of an initiator: namespace, service.
    Initiator(Name, Name),
    /// Deliveries of a subscription: namespace, subscription.
    Subscription(Name, Name),
    /// Branches of a participant: namespace, service.
    Participant(Name, Name),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initiator(namespace, name) => write!(f, "initiator {namespace}/{name}"),
            Self::Subscription(namespace, name) => write!(f, "subscription {namespace}/{name}"),
            Self::Participant(namespace, name) => write!(f, "participant {namespace}/{name}"),
        }
    }
}

/// A leased check-back.
#[derive(Debug, Clone)]
pub struct CheckBackWork {
    /// The transaction.
    pub id: TransactionId,
    /// The lease.
    pub token: LeaseToken,
    /// Scopes the initiator.
    pub namespace: Name,
    /// Whom to ask.
    pub initiator: Name,
    /// Which database of theirs.
    pub resource_id: String,
    /// The store's time of the Prepare.
    pub created_at: Timestamp,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Says whether anybody can be asked at all.
    pub options: Options,
    /// W3C trace context.
    pub traceparent: String,
}

/// A leased delivery.
#[derive(Debug, Clone)]
pub struct DeliveryWork {
    /// What is delivered where.
    pub key: DeliveryKey,
    /// The lease.
    pub token: LeaseToken,
    /// The message.
    pub message: Message,
    /// To whom and how.
    pub subscription: Arc<SubscriptionRow>,
    /// Who sent it.
    pub initiator: Name,
    /// The store's time of the Prepare.
    pub created_at: Timestamp,
    /// The store's time of the decision.
    pub decided_at: Timestamp,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// W3C trace context.
    pub traceparent: String,
}

/// A leased call of a branch.
#[derive(Debug, Clone)]
pub struct BranchWork {
    /// Which branch.
    pub key: BranchKey,
    /// The lease.
    pub token: LeaseToken,
    /// What to call.
    pub call: BranchCall,
    /// Whom, and with what.
    pub branch: Branch,
    /// Scopes the service.
    pub namespace: Name,
    /// Who opened the transaction.
    pub initiator: Name,
    /// The store's time of the Prepare.
    pub created_at: Timestamp,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// W3C trace context.
    pub traceparent: String,
}

/// Leased work of any kind.
#[derive(Debug, Clone)]
pub enum Work {
    /// Ask an initiator.
    CheckBack(Box<CheckBackWork>),
    /// Hand a message on.
    Delivery(Box<DeliveryWork>),
    /// Call a participant.
    Branch(Box<BranchWork>),
}

impl Work {
    /// What bounds it.
    pub fn target(&self) -> Target {
        match self {
            Self::CheckBack(work) => {
                Target::Initiator(work.namespace.clone(), work.initiator.clone())
            }
            Self::Delivery(work) => Target::Subscription(
                work.subscription.namespace.clone(),
                work.subscription.name.clone(),
            ),
            Self::Branch(work) => {
                Target::Participant(work.namespace.clone(), work.branch.service.clone())
            }
        }
    }

    /// The command that gives it back without an attempt.
    #[must_use]
    pub fn release(self) -> Command {
        match self {
            Self::CheckBack(work) => Command::ReleaseCheckBack {
                id: work.id,
                token: work.token,
            },
            Self::Delivery(work) => Command::ReleaseDelivery {
                key: work.key,
                token: work.token,
            },
            Self::Branch(work) => Command::ReleaseBranch {
                key: work.key,
                token: work.token,
            },
        }
    }
}

impl From<BranchWork> for Work {
    fn from(work: BranchWork) -> Self {
        Self::Branch(Box::new(work))
    }
}

impl From<DeliveryWork> for Work {
    fn from(work: DeliveryWork) -> Self {
        Self::Delivery(Box::new(work))
    }
}
