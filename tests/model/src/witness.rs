//! What an outside observer remembers of a run: who was told what, which no row says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use earnest_protocol::{Decision, LeaseToken};

use crate::key::{Delivery, WorkKey};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// An effect of x implies that x committed locally.
    M1,
    /// A local commit leads to its effects.
    M2,
    /// One decision, the same answer for ever (P1).
    M3,
    /// *Rolled back*, once answered, is for ever.
    M4,
    /// What was acknowledged stays.
    M5,
    /// The same id with other content is refused.
    M6,
    /// Nothing of an unconfirmed transaction is handed on.
    P3,
    /// Silence is never an answer.
    P6,
    /// Order of one key is the order of decisions.
    P9,
    /// A lost lease changes nothing (P10).
    R2,
    /// Delivered is written after the acknowledgement only.
    K1,
    /// Owed is delivered, pending or parked, and nothing else exists (P4).
    K3,
    /// At rest all is final or parked (P11).
    V1,
    /// Confirm at most once, cancel at most once, never both (P7).
    T1,
    /// Cancel before Try runs nothing, and the late Try has no effect (P7).
    T2,
    /// Nothing is confirmed that was not tried (P7).
    T3,
    /// Registered before its Try, and before the decision; decided before its Confirm or Cancel (P3).
    T4,
    /// All branches converge to the decision, and what was reserved is conserved (P4).
    T5,
    /// What was purged never runs again (P7).
    T6,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::M1,
        Self::M2,
        Self::M3,
        Self::M4,
        Self::M5,
        Self::M6,
        Self::P3,
        Self::P6,
        Self::P9,
        Self::R2,
        Self::K1,
        Self::K3,
        Self::V1,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T5,
        Self::T6,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::M1 => "M1",
            Self::M2 => "M2",
            Self::M3 => "M3",
            Self::M4 => "M4",
            Self::M5 => "M5",
            Self::M6 => "M6",
            Self::P3 => "P3",
            Self::P6 => "P6",
            Self::P9 => "P9",
            Self::R2 => "R2",
            Self::K1 => "K1",
            Self::K3 => "K3",
            Self::V1 => "V1",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
            Self::T4 => "T4",
            Self::T5 => "T5",
            Self::T6 => "T6",
        }
    }
}

/// A situation that a search must have met to be worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are the situations, and are printed as such"
)]
pub enum Sight {
    ConfirmedByInitiator,
    CancelledByInitiator,
    ConfirmedByCheckBack,
    CancelledByCheckBack,
    CancelledByDeadline,
    CancelledByBudget,
    ParkedByBudget,
    TombstoneLeft,
    LatePrepareRefused,
    OppositeDecisionRefused,
    OtherContentRefused,
    ContradictingAnswer,
    StaleCheckBackRefused,
    StaleDeliveryRefused,
    ExpiredButUntakenEndCounts,
    TakenOverFromTheDead,
    EmptyFence,
    FenceStopsCommit,
    FenceBarsTheLocalTransaction,
    CutCommitHadLanded,
    CutCommitHadNot,
    DuplicateSwallowed,
    DeliveryParked,
    DeliveryRetried,
    ParkedByHand,
    RetriedByHand,
    OwedToNobody,
    NextOfKeyMadeDue,
    ConfirmedByTries,
    CancelledByRefusal,
    ConfirmedByOperator,
    CancelledByOperator,
    UntriedConfirmRefused,
    BranchJoined,
    LateBranchRefused,
    EmptyCancel,
    LateTryBarred,
    RefusedTryRolledBack,
    RepeatedBranchCallSwallowed,
    ConfirmWithoutTryFailed,
    CancelAfterConfirmFailed,
    PurgedBranchFailed,
    StaleBranchRefused,
    BranchRetried,
    BranchParked,
    RefusedConfirmRetried,
    EverythingReservedUsed,
    EverythingReservedGivenBack,
}

impl Sight {
    /// How many there are.
    pub const COUNT: usize = Self::EverythingReservedGivenBack as usize + 1;
}

/// How often each situation was met. Not part of any state.
#[derive(Debug)]
pub(crate) struct Tally([AtomicU64; Sight::COUNT]);

impl Default for Tally {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Sight::COUNT])
    }
}

impl Tally {
    /// It was met.
    pub(crate) fn met(&self, sight: Sight) {
        self.0[sight as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was met: at least once per state that follows from it.
    pub(crate) fn count(&self, sight: Sight) -> u64 {
        self.0[sight as usize].load(Ordering::Relaxed)
    }
}

/// What is remembered of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Told {
    /// Prepare was acknowledged.
    pub(crate) prepared: bool,
    /// Decisions that were acknowledged.
    pub(crate) decisions: BTreeSet<Decision>,
    /// Branches whose registration was acknowledged.
    pub(crate) registered: BTreeSet<u8>,
    /// The decision first seen in the row.
    pub(crate) decided: Option<Decision>,
    /// Which content was recorded: the right one, or the other.
    pub(crate) other_content: Option<bool>,
    /// A participant answered *rolled back*.
    pub(crate) said_rolled_back: bool,
    /// The leases under which a participant answered *in progress*.
    pub(crate) said_in_progress: BTreeSet<LeaseToken>,
}

/// What is remembered of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Witness {
    /// By transaction.
    pub(crate) told: Vec<Told>,
    /// Leases given out of each piece of work, and taken away by hand; counted here and not by the store.
    pub(crate) claims: BTreeMap<WorkKey, u8>,
    /// Ordered scopes: transactions, in the order of their decisions.
    pub(crate) order: Vec<u8>,
    /// Ordered scopes: first effects, in order.
    pub(crate) arrivals: Vec<Delivery>,
    /// What a step broke.
    pub(crate) broken: BTreeSet<Invariant>,
}
