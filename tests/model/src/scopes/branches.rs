//! The scopes with TCC branches.

use earnest_protocol::{BranchCall, InitiatorOutcome};

use super::{LOCAL, NONE, UNRULY};
use crate::{
    key::Branch,
    network::{Network, Packet},
    scope::{Begins, Cast, Faults, Scope},
    witness::Sight,
};

/// An initiator that reserves by the rules.
const RESERVING: Scope = Scope {
    message: false,
    branches: 1,
    budget: 1,
    ..LOCAL
};

/// Transactions whose Trys the coordinator runs, and callers that do not wait for them.
const EXECUTED: Scope = Scope {
    message: false,
    branches: 1,
    outcome: InitiatorOutcome::Executed,
    cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm, Packet::Cancel]),
    ..UNRULY
};

fn direct(tx: u8, call: BranchCall) -> Packet {
    Packet::Direct(Branch { tx, no: 0 }, call)
}

fn stray_try(tx: u8) -> Packet {
    direct(tx, BranchCall::Try)
}

fn stray_confirm(tx: u8) -> Packet {
    direct(tx, BranchCall::Confirm)
}

fn stray_cancel(tx: u8) -> Packet {
    direct(tx, BranchCall::Cancel)
}

fn join(tx: u8) -> Packet {
    Packet::Register(Branch { tx, no: 1 })
}

/// Searched with every test run.
pub(super) fn small() -> Vec<Scope> {
    vec![
        Scope {
            name: "fence",
            about: "one participant, and every call of its branch from anybody at any time, any number of times; old rows are purged",
            nodes: 0,
            transactions: 2,
            message: false,
            branches: 1,
            cast: Cast::Unruly(&[stray_try, stray_confirm, stray_cancel]),
            faults: Faults {
                refusals: 2,
                purges: 2,
                ..NONE
            },
            reaches: &[
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::RefusedTryRolledBack,
                Sight::RepeatedBranchCallSwallowed,
                Sight::ConfirmWithoutTryFailed,
                Sight::CancelAfterConfirmFailed,
                Sight::PurgedBranchFailed,
            ],
            ..UNRULY
        },
        Scope {
            name: "reserve",
            about: "an initiator that reserves at two participants, the second of which joins later: its process dies, a call is refused",
            branches: 2,
            joins: 1,
            faults: Faults {
                refusals: 1,
                process_deaths: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::ConfirmedByCheckBack,
                Sight::CancelledByCheckBack,
                Sight::TombstoneLeft,
                Sight::BranchJoined,
                Sight::LateBranchRefused,
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::RefusedTryRolledBack,
                Sight::RepeatedBranchCallSwallowed,
                Sight::RefusedConfirmRetried,
                Sight::BranchParked,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..RESERVING
        },
        Scope {
            name: "reserve-first",
            about: "an initiator whose local transaction begins when its first Try is answered, and the second joins later: it is asked at any time, its process dies, COMMIT is cut off",
            branches: 2,
            joins: 1,
            begins: Begins::Reserved,
            faults: Faults {
                process_deaths: 1,
                cut_commits: 1,
                lost_locals: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::ConfirmedByCheckBack,
                Sight::CancelledByCheckBack,
                Sight::FenceBarsTheLocalTransaction,
                Sight::FenceStopsCommit,
                Sight::CutCommitHadLanded,
                Sight::CutCommitHadNot,
                Sight::EmptyFence,
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..RESERVING
        },
        Scope {
            name: "combined",
            about: "a message and a reservation decided as one: node and process die on a network that loses",
            message: true,
            network: Network::Lossy,
            faults: Faults {
                node_deaths: 1,
                process_deaths: 1,
                drops: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::ConfirmedByCheckBack,
                Sight::CancelledByCheckBack,
                Sight::EmptyCancel,
                Sight::BranchRetried,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..RESERVING
        },
        Scope {
            name: "beside",
            about: "callers that contradict themselves and liars when asked: a branch is registered beside the decision, and nobody waits for a Try",
            branches: 2,
            joins: 1,
            message: false,
            budget: 1,
            cast: Cast::Unruly(&[
                Packet::Prepare,
                join,
                Packet::Confirm,
                Packet::Cancel,
                stray_try,
            ]),
            reaches: &[
                Sight::BranchJoined,
                Sight::LateBranchRefused,
                Sight::ConfirmWithoutTryFailed,
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::BranchParked,
            ],
            ..UNRULY
        },
        Scope {
            name: "execute",
            about: "the coordinator runs the Trys of two branches, one of which may be refused",
            branches: 2,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
            faults: Faults {
                refusals: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByTries,
                Sight::CancelledByRefusal,
                Sight::CancelledByDeadline,
                Sight::UntriedConfirmRefused,
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..EXECUTED
        },
        Scope {
            name: "unanswered",
            about: "the coordinator runs the Try of a branch, and calls bring no answer",
            cast: Cast::Unruly(&[Packet::Prepare]),
            faults: Faults {
                silences: 2,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByTries,
                Sight::CancelledByDeadline,
                Sight::BranchRetried,
                Sight::LateTryBarred,
                Sight::RepeatedBranchCallSwallowed,
            ],
            ..EXECUTED
        },
        Scope {
            name: "execute-nodes",
            about: "an executed one with one branch and two nodes: a lease runs out, and its holder goes on",
            nodes: 2,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Cancel]),
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByTries,
                Sight::CancelledByDeadline,
                Sight::CancelledByInitiator,
                Sight::StaleBranchRefused,
                Sight::LateTryBarred,
                Sight::EverythingReservedUsed,
            ],
            ..EXECUTED
        },
        Scope {
            name: "rulings",
            about: "a person who parks, retries and decides, and a participant that can't confirm",
            message: false,
            branches: 1,
            budget: 1,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm, stray_try]),
            faults: Faults {
                operations: 1,
                rulings: 1,
                refusals: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByOperator,
                Sight::CancelledByOperator,
                Sight::BranchParked,
                Sight::StaleBranchRefused,
                Sight::RetriedByHand,
            ],
            ..UNRULY
        },
        Scope {
            name: "purged",
            about: "the participant purges its fence rows whenever it likes, and late calls come",
            faults: Faults {
                purges: 1,
                process_deaths: 1,
                ..NONE
            },
            reaches: &[
                Sight::PurgedBranchFailed,
                Sight::BranchParked,
                Sight::EverythingReservedUsed,
            ],
            ..RESERVING
        },
    ]
}

/// Searched by the binary.
pub(super) fn large() -> Vec<Scope> {
    vec![
        Scope {
            name: "reserve-nodes",
            about: "an initiator that reserves at one participant and two nodes: a lease runs out, and its holder goes on",
            nodes: 2,
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByCheckBack,
                Sight::StaleBranchRefused,
                Sight::TakenOverFromTheDead,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..RESERVING
        },
        Scope {
            name: "execute-3",
            about: "the coordinator runs the Trys of two branches: one is refused, one is not answered",
            branches: 2,
            faults: Faults {
                refusals: 1,
                silences: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByTries,
                Sight::CancelledByRefusal,
                Sight::CancelledByInitiator,
                Sight::CancelledByDeadline,
                Sight::UntriedConfirmRefused,
                Sight::EmptyCancel,
                Sight::LateTryBarred,
                Sight::BranchRetried,
                Sight::EverythingReservedUsed,
                Sight::EverythingReservedGivenBack,
            ],
            ..EXECUTED
        },
    ]
}
