//! A coordinator node: what it holds in memory, and loses when it dies.

use std::collections::BTreeMap;

use earnest_protocol::{BranchAnswer, BranchCall, CheckBackAnswer, DeliveryAnswer, NodeEpoch};

use crate::key::Lease;

/// What a call brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// *Committed* to a check-back.
    Committed,
    /// *Rolled back* to a check-back.
    RolledBack,
    /// *In progress*, to either.
    InProgress,
    /// A delivery was taken, a call of a branch was done.
    Taken,
    /// A branch's business no.
    Refused,
    /// It can never be taken or done.
    Failed,
    /// No answer, or one that isn't understood.
    Unknown,
}

impl Answer {
    /// As the answer to a check-back.
    pub(crate) fn to_check_back(self) -> CheckBackAnswer {
        match self {
            Self::Committed => CheckBackAnswer::Committed,
            Self::RolledBack => CheckBackAnswer::RolledBack,
            Self::InProgress => CheckBackAnswer::InProgress,
            Self::Taken | Self::Refused | Self::Failed | Self::Unknown => CheckBackAnswer::Unknown,
        }
    }

    /// As the answer to a delivery.
    pub(crate) fn to_delivery(self) -> DeliveryAnswer {
        match self {
            Self::Taken => DeliveryAnswer::Ok,
            Self::Failed => DeliveryAnswer::Failed("no such account".into()),
            Self::InProgress => DeliveryAnswer::InProgress,
            Self::Committed | Self::RolledBack | Self::Refused | Self::Unknown => {
                DeliveryAnswer::Unknown
            }
        }
    }

    /// As the answer to a call of a branch.
    pub(crate) fn to_branch(self) -> BranchAnswer {
        match self {
            Self::Taken => BranchAnswer::Ok,
            Self::Refused => BranchAnswer::Refused("insufficient balance".into()),
            Self::Failed => BranchAnswer::Failed("no such account".into()),
            Self::InProgress => BranchAnswer::InProgress,
            Self::Committed | Self::RolledBack | Self::Unknown => BranchAnswer::Unknown,
        }
    }
}

/// How far a node is with a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// Leased.
    Taken,
    /// The call is out.
    Called,
    /// This is what it brought; its end is not written.
    Ended(Answer),
}

/// Work in a node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Held {
    /// How far it is.
    pub(crate) stage: Stage,
    /// What to call of a branch; `None`: the work is no branch's.
    pub(crate) call: Option<BranchCall>,
    /// The how manieth lease of that work this is, counted by the model and not by the store.
    pub(crate) claim: u8,
}

/// One coordinator node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// Its present run.
    pub(crate) epoch: NodeEpoch,
    /// A run that died, and whose lease has not run out.
    pub(crate) past: Option<NodeEpoch>,
    /// It runs.
    pub(crate) up: bool,
    /// Its last heartbeat was too long ago. It doesn't know.
    pub(crate) lease_ran_out: bool,
    /// It was taken for dead.
    pub(crate) buried: bool,
    /// What it holds.
    pub(crate) held: BTreeMap<Lease, Held>,
}

impl Node {
    /// The store counts its present run as alive.
    pub(crate) fn lives(&self) -> bool {
        self.up && !self.lease_ran_out
    }
}
