//! What a batch has to fetch.

use std::collections::{BTreeMap, BTreeSet};

use earnest_protocol::{Name, Topic, TransactionId};

use crate::{Command, DeliveryKey, NewTransaction};

/// Namespace, subscription, key: what messages stand in order under.
pub(crate) type QueueKey = (Name, Name, String);

/// Rows by what names them, in the order in which every batch locks them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// To be written, so to be locked.
    pub(crate) transactions: BTreeSet<TransactionId>,
    /// Only read, for what never changes of them.
    pub(crate) readings: BTreeSet<TransactionId>,
    pub(crate) deliveries: BTreeSet<DeliveryKey>,
    /// All deliveries of these.
    pub(crate) deliveries_of: BTreeSet<TransactionId>,
    /// All messages of these.
    pub(crate) messages: BTreeSet<TransactionId>,
    /// All branches of these, under locks.
    pub(crate) branches: BTreeSet<TransactionId>,
    /// What all branches of these say.
    pub(crate) branch_contents: BTreeSet<TransactionId>,
    /// Undecided transactions: all branches, all messages, and the subscriptions of their topics.
    pub(crate) decisions: BTreeSet<TransactionId>,
    /// All subscriptions of these.
    pub(crate) topics: BTreeSet<(Name, Topic)>,
    pub(crate) subscriptions: BTreeSet<(Name, Name)>,
    /// Ordered keys, and how many of their deliveries that are not done.
    pub(crate) queues: BTreeMap<QueueKey, usize>,
}

impl Needs {
    /// What `commands` will surely read.
    pub(crate) fn of(commands: &[Command]) -> Self {
        let mut needs = Self::default();
        for command in commands {
            needs.add(command);
        }
        needs
    }

    fn add(&mut self, command: &Command) {
        let id = command.transaction();
        self.transactions.insert(id);
        match command {
            Command::Prepare(new) => {
                if !new.options.allow_no_subscription {
                    self.add_topics(new);
                }
            }
            Command::Submit(new) => self.add_topics(new),
            Command::Decide(_) | Command::CheckedBack { .. } | Command::DeadlinePassed { .. } => {
                self.decisions.insert(id);
            }
            Command::ReleaseCheckBack { .. } => {}
            Command::RegisterBranches(register) => {
                self.branches.insert(id);
                self.branch_contents.insert(id);
                if !register.messages.is_empty() {
                    self.messages.insert(id);
                }
            }
            Command::BranchSettled(_) | Command::ReleaseBranch { .. } => {
                self.branches.insert(id);
            }
            // The last Try decides.
            Command::BranchTried(_) => {
                self.branches.insert(id);
                self.decisions.insert(id);
            }
            Command::DeliverySettled(settled) => {
                self.deliveries.insert(settled.key.clone());
            }
            Command::ReleaseDelivery { key, .. } => {
                self.deliveries.insert(key.clone());
            }
            Command::Operator { .. } => {
                self.decisions.insert(id);
                self.deliveries_of.insert(id);
            }
        }
    }

    fn add_topics(&mut self, new: &NewTransaction) {
        let topics = new.messages.iter().map(|message| message.topic.clone());
        self.topics
            .extend(topics.map(|topic| (new.namespace.clone(), topic)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
