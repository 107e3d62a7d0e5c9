//! What may happen to a store, drawn at random and small enough to shrink.

use std::time::Duration;

use earnest_protocol::{CheckBackAnswer, Decision, InitiatorOutcome, OnBudgetSpent, Options};
use proptest::prelude::*;

/// Transactions have numbers below this one, so that commands meet.
const TRANSACTIONS: u8 = 6;

/// A subscription's name and topic.
pub(crate) type Subscription = (&'static str, &'static str);

const SUBSCRIPTIONS: [Subscription; 3] = [
    ("ledger", "paid"),
    ("rewards", "paid"),
    ("stock", "shipped"),
];

/// How leased work ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// Acknowledged, or *committed*.
    Done,
    /// Failed for now, or *in progress*.
    Later(Duration),
    /// Failed for good, or *rolled back*.
    Failed,
    /// No answer: again at once, or *unknown*.
    Unknown,
    /// Given back.
    Released,
    /// The deadline passed; a check-back's only.
    Deadline,
}

impl End {
    /// As the answer to a check-back.
    pub(crate) fn answer(&self) -> Option<CheckBackAnswer> {
        match self {
            Self::Done => Some(CheckBackAnswer::Committed),
            Self::Later(_) => Some(CheckBackAnswer::InProgress),
            Self::Failed => Some(CheckBackAnswer::RolledBack),
            Self::Unknown => Some(CheckBackAnswer::Unknown),
            Self::Released | Self::Deadline => None,
        }
    }
}

/// A transaction's parts.
#[derive(Debug, Clone)]
pub(crate) struct New {
    /// Its number.
    pub(crate) n: u8,
    /// Topics and keys.
    pub(crate) messages: Vec<(&'static str, &'static str)>,
    /// How many branches.
    pub(crate) branches: usize,
    /// Its options.
    pub(crate) options: Options,
}

/// One command, by numbers that the pair resolves.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Prepare.
    Prepare(New),
    /// Submit.
    Submit(New),
    /// Decide.
    Decide(u8, Decision),
    /// Register a branch in this place.
    Register(u8, u32),
    /// The end of the piece of work that was leased so many leases ago, stale or not.
    End(usize, End),
    /// An operator retries.
    Retry(u8),
    /// An operator parks.
    Park(u8),
    /// An operator decides.
    OperatorDecides(u8, Decision),
}

/// Anything that is done to a store.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A batch, leasing at most so much for a node.
    Batch(Vec<Write>, usize),
    /// A claim, with no room for one target.
    Claim(Option<Subscription>),
    /// The node says that it lives.
    Heartbeat,
    /// The node resigns, and another is enrolled.
    Resign,
    /// Another node is enrolled and used from now on.
    Enrol,
    /// Time passes.
    Advance(Duration),
    /// A subscription is created or replaced.
    Subscribe(Subscription, bool),
    /// A subscription is deleted.
    Unsubscribe(Subscription),
    /// A subscription is paused or resumed.
    Pause(Subscription, bool),
    /// The initiator registers, or says that it has no endpoint any more.
    Register(bool),
    /// What finished so long ago is purged.
    Purge(Duration),
}

fn any_new() -> impl Strategy<Value = New> {
    let message = (
        prop_oneof![4 => Just("paid"), 1 => Just("shipped"), 1 => Just("lost")],
        prop_oneof![Just(""), Just("k"), Just("l")],
    );
    let outcome = prop_oneof![
        Just(InitiatorOutcome::Local),
        Just(InitiatorOutcome::Asked),
        Just(InitiatorOutcome::None),
        Just(InitiatorOutcome::Executed)
    ];
    let messages = prop::collection::vec(message, 0..3);
    (
        0..TRANSACTIONS,
        (messages, prop_oneof![2 => Just(0_usize), 1 => 1..4_usize]),
        outcome,
        1..3_u32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                n,
                (messages, branches),
                outcome,
                check_back_budget,
                cancels,
                allow_no_subscription,
            )| {
                let cancels = cancels && outcome != InitiatorOutcome::Local;
                let on_budget_spent = if cancels {
                    OnBudgetSpent::Cancel
                } else {
                    OnBudgetSpent::Park
                };
                let options = Options {
                    check_after: Duration::from_secs(5),
                    outcome,
                    on_budget_spent,
                    check_back_budget,
                    allow_no_subscription,
                };
                New {
                    n,
                    messages,
                    branches,
                    options,
                }
            },
        )
}

fn any_decision() -> impl Strategy<Value = Decision> {
    prop_oneof![2 => Just(Decision::Confirm), 1 => Just(Decision::Cancel)]
}

fn any_write() -> impl Strategy<Value = Write> {
    let end = prop_oneof![
        4 => Just(End::Done),
        2 => (0..4_u64).prop_map(|secs| End::Later(Duration::from_secs(secs))),
        1 => Just(End::Failed),
        1 => Just(End::Unknown),
        1 => Just(End::Released),
        1 => Just(End::Deadline),
    ];
    let n = 0..TRANSACTIONS;
    prop_oneof![
        3 => any_new().prop_map(Write::Prepare),
        3 => any_new().prop_map(Write::Submit),
        3 => (n.clone(), any_decision()).prop_map(|(n, decision)| Write::Decide(n, decision)),
        2 => (n.clone(), 0..5_u32).prop_map(|(n, ordinal)| Write::Register(n, ordinal)),
        6 => (0..5_usize, end).prop_map(|(back, end)| Write::End(back, end)),
        2 => n.clone().prop_map(Write::Retry),
        1 => n.clone().prop_map(Write::Park),
        1 => (n, any_decision()).prop_map(|(n, decision)| Write::OperatorDecides(n, decision)),
    ]
}

/// Any of them.
pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let subscription = || prop::sample::select(&SUBSCRIPTIONS[..]);
    let advance = prop_oneof![3 => 0..3_u64, 2 => 4..7_u64, 1 => 31..40_u64, 1 => 300..900_u64];
    prop_oneof![
        12 => (prop::collection::vec(any_write(), 1..4), 0..3_usize).prop_map(|(writes, room)| Op::Batch(writes, room)),
        6 => prop::option::weighted(0.2, subscription()).prop_map(Op::Claim),
        2 => Just(Op::Heartbeat),
        1 => Just(Op::Resign),
        1 => Just(Op::Enrol),
        4 => advance.prop_map(|secs| Op::Advance(Duration::from_secs(secs))),
        4 => (subscription(), any::<bool>()).prop_map(|(of, ordered)| Op::Subscribe(of, ordered)),
        1 => subscription().prop_map(Op::Unsubscribe),
        1 => (subscription(), any::<bool>()).prop_map(|(of, paused)| Op::Pause(of, paused)),
        1 => any::<bool>().prop_map(Op::Register),
        1 => (0..1_000_u64).prop_map(|secs| Op::Purge(Duration::from_secs(secs))),
    ]
}
