//! The scopes that are searched: small ones with every test run, large ones by the binary.

mod branches;

use earnest_protocol::InitiatorOutcome;

use crate::{
    network::{Network, Packet},
    scope::{Begins, Cast, Faults, Scope},
    witness::Sight,
};

const NONE: Faults = Faults {
    node_deaths: 0,
    expiries: 0,
    silences: 0,
    drops: 0,
    refusals: 0,
    purges: 0,
    rulings: 0,
    process_deaths: 0,
    cut_commits: 0,
    lost_locals: 0,
    operations: 0,
    unsubscriptions: 0,
};

const LOCAL: Scope = Scope {
    name: "local",
    about: "",
    nodes: 1,
    transactions: 1,
    message: true,
    branches: 0,
    joins: 0,
    begins: Begins::First,
    subscriptions: 1,
    ordered: false,
    cast: Cast::Local,
    outcome: InitiatorOutcome::Local,
    budget: 2,
    network: Network::Duplicating,
    fast_path: true,
    faults: NONE,
    reaches: &[],
};

/// Callers that contradict themselves and each other, and are asked.
const UNRULY: Scope = Scope {
    cast: Cast::Unruly(&[
        Packet::Prepare,
        Packet::PrepareOther,
        Packet::Confirm,
        Packet::Cancel,
    ]),
    outcome: InitiatorOutcome::Asked,
    ..LOCAL
};

/// Two transactions whose messages have one key.
const ORDERED: Scope = Scope {
    transactions: 2,
    ordered: true,
    cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
    outcome: InitiatorOutcome::None,
    ..LOCAL
};

const BY_THE_RULES: &[Sight] = &[
    Sight::ConfirmedByInitiator,
    Sight::CancelledByInitiator,
    Sight::ConfirmedByCheckBack,
    Sight::CancelledByCheckBack,
    Sight::TombstoneLeft,
    Sight::LatePrepareRefused,
    Sight::EmptyFence,
    Sight::CutCommitHadLanded,
    Sight::CutCommitHadNot,
];

const BETWEEN_NODES: &[Sight] = &[
    Sight::ConfirmedByInitiator,
    Sight::ConfirmedByCheckBack,
    Sight::CancelledByCheckBack,
    Sight::StaleCheckBackRefused,
    Sight::StaleDeliveryRefused,
    Sight::ExpiredButUntakenEndCounts,
    Sight::TakenOverFromTheDead,
    Sight::DuplicateSwallowed,
];

/// Searched with every test run.
pub fn small() -> Vec<Scope> {
    let mut scopes = messages();
    scopes.extend(branches::small());
    scopes
}

fn messages() -> Vec<Scope> {
    vec![
        Scope {
            name: "initiator",
            about: "an initiator by the rules: its process dies, COMMIT is cut off, its database loses the transaction",
            faults: Faults {
                process_deaths: 1,
                cut_commits: 1,
                lost_locals: 1,
                silences: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::ConfirmedByCheckBack,
                Sight::CancelledByCheckBack,
                Sight::ParkedByBudget,
                Sight::TombstoneLeft,
                Sight::LatePrepareRefused,
                Sight::EmptyFence,
                Sight::FenceStopsCommit,
                Sight::CutCommitHadLanded,
                Sight::CutCommitHadNot,
            ],
            ..LOCAL
        },
        Scope {
            name: "nodes",
            about: "two nodes: a lease runs out, and its holder goes on",
            nodes: 2,
            budget: 1,
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: BETWEEN_NODES,
            ..LOCAL
        },
        Scope {
            name: "claimed",
            about: "the same, and nothing is leased by the decision itself",
            nodes: 2,
            budget: 1,
            fast_path: false,
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: BETWEEN_NODES,
            ..LOCAL
        },
        Scope {
            name: "deaths",
            about: "a node dies and comes back, and so does the initiator's process, on a network that loses: all ends well",
            network: Network::Lossy,
            faults: Faults {
                node_deaths: 1,
                process_deaths: 1,
                cut_commits: 1,
                drops: 1,
                refusals: 1,
                ..NONE
            },
            reaches: BY_THE_RULES,
            ..LOCAL
        },
        Scope {
            name: "unruly",
            about: "callers that contradict themselves, liars when asked, two nodes",
            nodes: 2,
            budget: 1,
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::ConfirmedByCheckBack,
                Sight::CancelledByCheckBack,
                Sight::CancelledByBudget,
                Sight::TombstoneLeft,
                Sight::LatePrepareRefused,
                Sight::OppositeDecisionRefused,
                Sight::ContradictingAnswer,
                Sight::StaleCheckBackRefused,
            ],
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm, Packet::Cancel]),
            ..UNRULY
        },
        Scope {
            name: "reuse",
            about: "the same with an id that is used twice, on one node whose calls bring no answer",
            faults: Faults {
                silences: 1,
                ..NONE
            },
            reaches: &[Sight::OtherContentRefused, Sight::DeliveryRetried],
            ..UNRULY
        },
        Scope {
            name: "deadline",
            about: "callers that contradict themselves, and nobody to ask: time cancels",
            nodes: 2,
            outcome: InitiatorOutcome::None,
            faults: Faults {
                expiries: 1,
                silences: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::CancelledByInitiator,
                Sight::CancelledByDeadline,
                Sight::OppositeDecisionRefused,
            ],
            ..UNRULY
        },
        Scope {
            name: "ordered",
            about: "two messages of one key, in order, on a node whose calls bring no answer and which dies",
            faults: Faults {
                node_deaths: 1,
                silences: 1,
                ..NONE
            },
            reaches: &[
                Sight::ConfirmedByInitiator,
                Sight::NextOfKeyMadeDue,
                Sight::DeliveryRetried,
                Sight::TakenOverFromTheDead,
            ],
            ..ORDERED
        },
        Scope {
            name: "people",
            about: "a consumer that refuses, a person who parks and retries",
            outcome: InitiatorOutcome::None,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
            faults: Faults {
                refusals: 1,
                operations: 3,
                ..NONE
            },
            reaches: &[
                Sight::DeliveryParked,
                Sight::ParkedByHand,
                Sight::RetriedByHand,
                Sight::StaleDeliveryRefused,
            ],
            ..UNRULY
        },
        Scope {
            name: "nobody",
            about: "a topic whose only subscription goes away",
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
            faults: Faults {
                operations: 1,
                unsubscriptions: 1,
                ..NONE
            },
            reaches: &[Sight::OwedToNobody, Sight::RetriedByHand],
            ..UNRULY
        },
    ]
}

/// Searched by the binary.
pub fn large() -> Vec<Scope> {
    let mut scopes = large_messages();
    scopes.extend(branches::large());
    scopes
}

fn large_messages() -> Vec<Scope> {
    vec![
        Scope {
            name: "deaths-2",
            about: "two nodes on a network that loses, and everything dies",
            nodes: 2,
            budget: 1,
            network: Network::Lossy,
            faults: Faults {
                node_deaths: 1,
                process_deaths: 1,
                cut_commits: 1,
                drops: 1,
                ..NONE
            },
            reaches: BY_THE_RULES,
            ..LOCAL
        },
        Scope {
            name: "ordered-2",
            about: "two messages of one key and two nodes: a lease runs out",
            nodes: 2,
            faults: Faults {
                expiries: 1,
                ..NONE
            },
            reaches: &[Sight::NextOfKeyMadeDue, Sight::StaleDeliveryRefused],
            ..ORDERED
        },
        Scope {
            name: "ordered-3",
            about: "three messages of one key; the node dies",
            transactions: 3,
            faults: Faults {
                node_deaths: 1,
                ..NONE
            },
            reaches: &[Sight::NextOfKeyMadeDue, Sight::TakenOverFromTheDead],
            ..ORDERED
        },
        Scope {
            name: "people-2",
            about: "two subscriptions, a consumer that refuses, a person who parks and retries",
            outcome: InitiatorOutcome::None,
            subscriptions: 2,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
            faults: Faults {
                refusals: 1,
                operations: 2,
                ..NONE
            },
            reaches: &[Sight::DeliveryParked, Sight::RetriedByHand],
            ..UNRULY
        },
        Scope {
            name: "nobody-2",
            about: "two subscriptions, one of which goes away and comes back, and a person who retries",
            subscriptions: 2,
            cast: Cast::Unruly(&[Packet::Prepare, Packet::Confirm]),
            outcome: InitiatorOutcome::None,
            faults: Faults {
                operations: 1,
                unsubscriptions: 2,
                ..NONE
            },
            reaches: &[Sight::OwedToNobody, Sight::RetriedByHand],
            ..UNRULY
        },
    ]
}
