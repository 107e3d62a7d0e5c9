//! What is explored, and how far: a scope is a cast, a network and bounds on every kind of fault.
//!
//! Within its scope the search is exhaustive. What lies outside of it is not proven by it.

use earnest_protocol::{InitiatorOutcome, OnBudgetSpent, Options};

use crate::{
    key::Branch,
    network::{Network, Packet},
    witness::Sight,
};

/// How often each kind of fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// A coordinator node dies.
    pub node_deaths: u8,
    /// A living node's lease runs out: paused, partitioned, or its clock is off.
    pub expiries: u8,
    /// A call of a node brings no answer.
    pub silences: u8,
    /// A packet is dropped (a lossy network only; a duplicating one need not deliver).
    pub drops: u8,
    /// A consumer answers *failed*, a participant *refused* or *failed*.
    pub refusals: u8,
    /// A participant purges the fence row of a branch.
    pub purges: u8,
    /// A person decides what is parked.
    pub rulings: u8,
    /// The initiator's process dies.
    pub process_deaths: u8,
    /// The initiator's connection is lost at COMMIT.
    pub cut_commits: u8,
    /// The initiator's database loses an open local transaction without telling.
    pub lost_locals: u8,
    /// A person parks or retries.
    pub operations: u8,
    /// A subscription is deleted, and comes back.
    pub unsubscriptions: u8,
}

/// Where calls come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// An initiator with a local transaction that keeps the SDK's rules.
    Local,
    /// Callers that keep no rules: these requests are on the wire from the start, for each transaction, and whoever is
    /// asked answers anything.
    Unruly(&'static [fn(u8) -> Packet]),
}

/// When an initiator's local transaction begins, with its fence row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Before anybody is told of it.
    First,
    /// When the Trys of the branches that Prepare names were answered.
    Reserved,
}

/// One search.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// For people and the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Coordinator nodes.
    pub nodes: u8,
    /// Transactions.
    pub transactions: u8,
    /// Each has a message.
    pub message: bool,
    /// Each has so many branches, all at participants of their own.
    pub branches: u8,
    /// The last so many of them are not in Prepare and registered afterwards.
    pub joins: u8,
    /// When the initiator's local transaction begins.
    pub begins: Begins,
    /// Subscriptions of its topic.
    pub subscriptions: u8,
    /// They ask for order, and all messages have one key.
    pub ordered: bool,
    /// Who calls.
    pub cast: Cast,
    /// What can be learnt of them.
    pub outcome: InitiatorOutcome,
    /// *In progress* answers that are taken.
    pub budget: u32,
    /// Between them and the nodes.
    pub network: Network,
    /// A decision leases its deliveries to the node that wrote it.
    pub fast_path: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// What must be met on the way, or the search proves less than it says.
    pub reaches: &'static [Sight],
}

impl Scope {
    /// Branches that Prepare names.
    pub(crate) fn named(&self) -> u8 {
        self.branches - self.joins
    }

    /// All branches there may be.
    pub(crate) fn all_branches(&self) -> impl Iterator<Item = Branch> + use<> {
        let branches = self.branches;
        (0..self.transactions).flat_map(move |tx| (0..branches).map(move |no| Branch { tx, no }))
    }

    /// What Prepare declares.
    pub fn options(&self) -> Options {
        Options {
            outcome: self.outcome,
            on_budget_spent: if self.outcome == InitiatorOutcome::Local {
                OnBudgetSpent::Park
            } else {
                OnBudgetSpent::Cancel
            },
            check_back_budget: self.budget,
            ..Options::default()
        }
    }
}
