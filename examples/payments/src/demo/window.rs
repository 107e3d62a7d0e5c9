//! The windows in which a kill can catch a payment, and how it is known which of them a kill has hit.
//!
//! A window is never guessed from timing. Either the process died at a named step, or the databases, read while every
//! process stood still, showed what was under way.

use std::{collections::BTreeSet, fmt};

use uuid::Uuid;

use crate::{
    books::{Books, DeliveryState, Fence, Phase},
    member::Member,
};

/// Where in its life a payment was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Window {
    /// The coordinator had not heard of it.
    BeforePrepare,
    /// The coordinator had, and the cashier's database had not committed.
    PrepareToCommit,
    /// The cashier's database had committed, and the coordinator did not know.
    CommitToConfirm,
    /// A participant was at one of its branches, or owed it an end.
    InsideReservation,
    /// The coordinator had decided, and the consumer's database had nothing of it.
    ConfirmToDelivery,
    /// The consumer was at it, or had taken it and the coordinator did not know.
    InsideDelivery,
}

impl Window {
    pub(crate) const ALL: [Self; 6] = [
        Self::BeforePrepare,
        Self::PrepareToCommit,
        Self::CommitToConfirm,
        Self::InsideReservation,
        Self::ConfirmToDelivery,
        Self::InsideDelivery,
    ];
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BeforePrepare => "before prepare",
            Self::PrepareToCommit => "prepare → COMMIT",
            Self::CommitToConfirm => "COMMIT → confirm",
            Self::InsideReservation => "inside a reservation",
            Self::ConfirmToDelivery => "confirm → delivery",
            Self::InsideDelivery => "inside a delivery",
        })
    }
}

/// A step of the SDK at which a service can be made to die (its feature `crash-points`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    BeforeFence,
    BeforePrepare,
    AfterPrepare,
    BeforeTry,
    AfterTry,
    BeforeCommit,
    AfterCommit,
    BeforeConfirm,
    CheckBackBeforeFence,
    CheckBackAfterFence,
    BranchBeforeFence,
    BranchBeforeCommit,
    BranchAfterCommit,
    ConsumerBeforeInbox,
    ConsumerBeforeCommit,
    ConsumerAfterCommit,
}

impl CrashPoint {
    /// As the SDK calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BeforeFence => "before_fence",
            Self::BeforePrepare => "before_prepare",
            Self::AfterPrepare => "after_prepare",
            Self::BeforeTry => "before_try",
            Self::AfterTry => "after_try",
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
            Self::BeforeConfirm => "before_confirm",
            Self::CheckBackBeforeFence => "check_back_before_fence",
            Self::CheckBackAfterFence => "check_back_after_fence",
            Self::BranchBeforeFence => "branch_before_fence",
            Self::BranchBeforeCommit => "branch_before_commit",
            Self::BranchAfterCommit => "branch_after_commit",
            Self::ConsumerBeforeInbox => "consumer_before_inbox",
            Self::ConsumerBeforeCommit => "consumer_before_commit",
            Self::ConsumerAfterCommit => "consumer_after_commit",
        }
    }

    /// The window that a death at this step hits; none while answering a check-back.
    pub(crate) fn window(self) -> Option<Window> {
        match self {
            Self::BeforeFence | Self::BeforePrepare => Some(Window::BeforePrepare),
            Self::AfterPrepare | Self::BeforeTry | Self::AfterTry | Self::BeforeCommit => {
                Some(Window::PrepareToCommit)
            }
            Self::AfterCommit | Self::BeforeConfirm => Some(Window::CommitToConfirm),
            Self::BranchBeforeFence | Self::BranchBeforeCommit | Self::BranchAfterCommit => {
                Some(Window::InsideReservation)
            }
            Self::ConsumerBeforeInbox | Self::ConsumerBeforeCommit | Self::ConsumerAfterCommit => {
                Some(Window::InsideDelivery)
            }
            Self::CheckBackBeforeFence | Self::CheckBackAfterFence => None,
        }
    }
}

/// The windows that the death of `victim` hit, as `books` (read while everything stood still) show them. `left_over` are
/// transactions that an earlier life of the cashier left behind: nobody was at work on them.
///
/// Before prepare, nothing is written anywhere, so that window is never seen here.
pub(crate) fn seen_in(
    books: &Books,
    victim: Member,
    left_over: &BTreeSet<Uuid>,
) -> BTreeSet<Window> {
    let mut windows = BTreeSet::new();
    if matches!(victim, Member::Cashier | Member::Coordinator(_)) {
        let undecided = books
            .coordinator
            .transactions
            .iter()
            .filter(|(id, t)| t.phase == Phase::Prepared && !left_over.contains(id));
        for (id, _) in undecided {
            match books.cashier.fence.get(id) {
                None => windows.insert(Window::PrepareToCommit),
                Some(Fence::Committed) => windows.insert(Window::CommitToConfirm),
                // A check-back was at it.
                Some(Fence::RolledBack) => false,
            };
        }
    }
    let inside = books.coordinator.branches.iter().any(|(id, branch)| {
        let concerns_it = matches!(victim, Member::Coordinator(_)) || victim == branch.participant;
        let at_it = branch.state.is_under_way() && !left_over.contains(&id.0);
        concerns_it && at_it
    });
    if inside {
        windows.insert(Window::InsideReservation);
    }
    for delivery in &books.coordinator.deliveries {
        let consumer = delivery.consumer;
        let concerns_it = match victim {
            // What another node holds, this death does not touch.
            Member::Coordinator(_) => delivery.lease.holder.is_none_or(|node| node == victim),
            Member::Cashier | Member::Account | Member::Credit | Member::Coupon => false,
            Member::Ledger | Member::Rewards => victim == consumer,
        };
        if delivery.state != DeliveryState::Pending || !concerns_it {
            continue;
        }
        windows.insert(if books.took(consumer, delivery.transaction) {
            Window::InsideDelivery
        } else {
            Window::ConfirmToDelivery
        });
    }
    windows
}
