//! A batch over a network: rows are fetched together, worked on in memory, and written together.
//!
//! A statement per row would cost a round trip each (7 k rows/s). So a batch (1) fetches, in a few statements and
//! under row locks, what its commands will surely read; (2) runs the engine over those rows in memory, where a
//! read of anything else is noted as *missing*, fetched, and the batch run again from its start; (3) writes what
//! changed. The engine is pure over its rows, so running it again is safe. This module must never know SQL, and
//! never keep a row from one batch to the next.

mod fetch;
mod needs;
mod queue;
mod rows;
mod run;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use earnest_protocol::{Name, Ordinal, Timestamp, Topic, TransactionId};

pub(crate) use fetch::Tables;
pub(crate) use needs::{Needs, QueueKey};
pub(crate) use queue::Queue;
pub(crate) use run::run;

use crate::{
    AttemptKind, AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow,
    Message, SubscriptionRow, TransactionRow,
    sql::{branch::Content, column::FORMAT},
};

/// What a batch has fetched, and what it will write.
#[derive(Default)]
pub(crate) struct WorkingSet {
    /// As fetched. `None`: there is none.
    transactions: HashMap<TransactionId, Option<TransactionRow>>,
    deliveries: HashMap<DeliveryKey, Option<DeliveryRow>>,
    /// Transactions all of whose deliveries were fetched.
    deliveries_of: HashSet<TransactionId>,
    messages: HashMap<TransactionId, Vec<Message>>,
    /// All of a transaction's, by ordinal.
    branches: HashMap<TransactionId, Vec<BranchRow>>,
    /// What all of a transaction's say.
    branch_contents: HashMap<TransactionId, HashMap<BranchKey, Content>>,
    topics: HashMap<(Name, Topic), Vec<Arc<SubscriptionRow>>>,
    subscriptions: HashMap<(Name, Name), Option<Arc<SubscriptionRow>>>,
    queues: HashMap<QueueKey, Queue>,
    horizon: Option<Timestamp>,
    /// The oldest format that a node understands; `None`: there is no node.
    oldest: Option<i64>,

    /// To be written.
    written: Written,
    /// Where the deliveries of `written` stand in their queues.
    queued: HashMap<QueueKey, BTreeMap<i64, (DeliveryKey, bool)>>,
    /// What was read and had not been fetched.
    missing: Needs,
}

/// What the engine wrote, in the order of the keys: batches that write the same rows must do it in the same order.
#[derive(Default)]
struct Written {
    transactions: BTreeMap<TransactionId, TransactionRow>,
    messages: BTreeMap<(TransactionId, Ordinal), Message>,
    branches: BTreeMap<BranchKey, BranchRow>,
    /// What new branches say.
    branch_contents: BTreeMap<BranchKey, Branch>,
    /// `None`: removed.
    deliveries: BTreeMap<DeliveryKey, Option<DeliveryRow>>,
    attempts: Vec<AttemptRow>,
    removed_attempts: Vec<(TransactionId, AttemptKind, u32)>,
    audit: Vec<AuditRow>,
}

/// The rows that differ from what is stored.
#[derive(Default)]
pub(crate) struct Writes<'a> {
    pub(crate) new_transactions: Vec<&'a TransactionRow>,
    /// With the revision that was read.
    pub(crate) transactions: Vec<(i64, &'a TransactionRow)>,
    pub(crate) messages: Vec<(TransactionId, Ordinal, &'a Message)>,
    pub(crate) new_branches: Vec<(&'a BranchRow, &'a Branch)>,
    /// With what was read.
    pub(crate) branches: Vec<(&'a BranchRow, &'a BranchRow)>,
    /// With whether the transaction has to do with branches.
    pub(crate) new_deliveries: Vec<(bool, &'a DeliveryRow)>,
    /// With what was read.
    pub(crate) deliveries: Vec<(&'a DeliveryRow, &'a DeliveryRow)>,
    pub(crate) removed_deliveries: Vec<&'a DeliveryKey>,
    pub(crate) attempts: &'a [AttemptRow],
    /// Where there are any.
    pub(crate) removed_attempts: &'a [(TransactionId, AttemptKind, u32)],
    pub(crate) audit: &'a [AuditRow],
}

impl Writes<'_> {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.new_transactions.is_empty()
            && self.transactions.is_empty()
            && self.messages.is_empty()
            && self.new_branches.is_empty()
            && self.branches.is_empty()
            && self.new_deliveries.is_empty()
            && self.deliveries.is_empty()
            && self.removed_deliveries.is_empty()
            && self.attempts.is_empty()
            && self.removed_attempts.is_empty()
            && self.audit.is_empty()
    }
}

impl WorkingSet {
    /// What is to be written.
    pub(crate) fn writes(&self) -> Writes<'_> {
        let mut writes = Writes {
            attempts: &self.written.attempts,
            removed_attempts: &self.written.removed_attempts,
            audit: &self.written.audit,
            ..Writes::default()
        };
        for (id, row) in &self.written.transactions {
            match self.transactions.get(id) {
                Some(Some(stored)) => writes.transactions.push((stored.revision, row)),
                _ => writes.new_transactions.push(row),
            }
        }
        for ((id, ordinal), message) in &self.written.messages {
            writes.messages.push((*id, *ordinal, message));
        }
        for (key, row) in &self.written.branches {
            match self.written.branch_contents.get(key) {
                Some(content) => writes.new_branches.push((row, content)),
                None => writes
                    .branches
                    .extend(self.stored_branch(key).map(|stored| (stored, row))),
            }
        }
        for (key, row) in &self.written.deliveries {
            let stored = self.deliveries.get(key).and_then(Option::as_ref);
            match (stored, row) {
                (Some(stored), Some(row)) => writes.deliveries.push((stored, row)),
                (None, Some(row)) => writes
                    .new_deliveries
                    .push((self.is_tcc(key.transaction), row)),
                (Some(_), None) => writes.removed_deliveries.push(key),
                (None, None) => {}
            }
        }
        writes
    }

    fn stored_branch(&self, key: &BranchKey) -> Option<&BranchRow> {
        let all = self.branches.get(&key.transaction)?;
        all.iter().find(|row| row.key == *key)
    }

    fn is_tcc(&self, id: TransactionId) -> bool {
        let stored = self.transactions.get(&id).and_then(Option::as_ref);
        let row = self.written.transactions.get(&id).or(stored);
        row.is_some_and(TransactionRow::is_tcc)
    }

    /// Takes back what the engine wrote.
    fn begin_again(&mut self) {
        self.written = Written::default();
        self.queued.clear();
    }

    /// What the engine read and had not been fetched.
    fn take_missing(&mut self) -> Needs {
        std::mem::take(&mut self.missing)
    }

    /// The purge horizon, as it is stored.
    pub(crate) fn put_horizon(&mut self, horizon: Option<Timestamp>) {
        self.horizon = horizon;
    }

    /// The oldest format that a node understands, of those that were not taken for dead.
    pub(crate) fn put_oldest(&mut self, format: Option<i64>) {
        self.oldest = format;
    }

    fn all_know_branches(&self) -> bool {
        self.oldest.is_none_or(|format| format >= FORMAT)
    }

    /// The transactions among `ids` that there are; the others there are not.
    pub(crate) fn put_transactions(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        rows: Vec<TransactionRow>,
    ) {
        let absent = ids.into_iter().map(|id| (id, None));
        self.transactions.extend(absent);
        let present = rows.into_iter().map(|row| (row.id, Some(row)));
        self.transactions.extend(present);
    }

    /// All messages of `ids`, in order.
    pub(crate) fn put_messages(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        messages: Vec<(TransactionId, Message)>,
    ) {
        self.messages
            .extend(ids.into_iter().map(|id| (id, Vec::new())));
        for (id, message) in messages {
            self.messages.entry(id).or_default().push(message);
        }
    }

    /// All branches of `ids`, by ordinal.
    pub(crate) fn put_branches(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        rows: Vec<BranchRow>,
    ) {
        self.branches
            .extend(ids.into_iter().map(|id| (id, Vec::new())));
        for row in rows {
            let id = row.key.transaction;
            self.branches.entry(id).or_default().push(row);
        }
    }

    /// What all branches of `ids` say.
    pub(crate) fn put_branch_contents(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        contents: Vec<(BranchKey, Content)>,
    ) {
        self.branch_contents
            .extend(ids.into_iter().map(|id| (id, HashMap::new())));
        for (key, content) in contents {
            let of = self.branch_contents.entry(key.transaction);
            of.or_default().insert(key, content);
        }
    }

    /// The deliveries among `keys` that there are; the others there are not.
    pub(crate) fn put_deliveries(
        &mut self,
        keys: impl IntoIterator<Item = DeliveryKey>,
        rows: Vec<DeliveryRow>,
    ) {
        let absent = keys.into_iter().map(|key| (key, None));
        self.deliveries.extend(absent);
        let present = rows.into_iter().map(|row| (row.key.clone(), Some(row)));
        self.deliveries.extend(present);
    }

    /// All deliveries of `ids`.
    pub(crate) fn put_deliveries_of(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        rows: Vec<DeliveryRow>,
    ) {
        self.deliveries_of.extend(ids);
        self.put_deliveries([], rows);
    }

    /// All subscriptions of `topics`, by name.
    pub(crate) fn put_topics(
        &mut self,
        topics: impl IntoIterator<Item = (Name, Topic)>,
        rows: Vec<SubscriptionRow>,
    ) {
        self.topics
            .extend(topics.into_iter().map(|topic| (topic, Vec::new())));
        for row in rows.into_iter().map(Arc::new) {
            let name = (row.namespace.clone(), row.name.clone());
            self.subscriptions.insert(name, Some(Arc::clone(&row)));
            let topic = (row.namespace.clone(), row.topic.clone());
            self.topics.entry(topic).or_default().push(row);
        }
    }

    /// The subscriptions among `names` that there are; the others there are not.
    pub(crate) fn put_subscriptions(
        &mut self,
        names: impl IntoIterator<Item = (Name, Name)>,
        rows: Vec<SubscriptionRow>,
    ) {
        let absent = names.into_iter().map(|name| (name, None));
        self.subscriptions.extend(absent);
        let present = rows.into_iter().map(|row| {
            let name = (row.namespace.clone(), row.name.clone());
            (name, Some(Arc::new(row)))
        });
        self.subscriptions.extend(present);
    }

    /// What of an ordered key was fetched: its last position, and the first of its deliveries that are not done.
    /// `complete`: those are all.
    pub(crate) fn put_queue(
        &mut self,
        key: QueueKey,
        last: Option<i64>,
        open: Vec<DeliveryRow>,
        complete: bool,
    ) {
        let places = open
            .iter()
            .filter_map(|row| Some((row.order.as_ref()?.1, row.key.clone())))
            .collect();
        self.put_deliveries([], open);
        let queue = Queue {
            last,
            open: places,
            complete,
        };
        self.queues.insert(key, queue);
    }

    /// Those of `ids` that are undecided and have what `has` asks for: their decision reads it.
    pub(crate) fn undecided(
        &self,
        ids: &BTreeSet<TransactionId>,
        has: impl Fn(&TransactionRow) -> bool,
    ) -> BTreeSet<TransactionId> {
        let is_undecided = |id: &&TransactionId| {
            let row = self.transactions.get(*id).and_then(Option::as_ref);
            row.is_some_and(|row| has(row) && row.state.phase.decision().is_none())
        };
        ids.iter().filter(is_undecided).copied().collect()
    }

    /// The topics of the messages that `ids` carry, as far as both are known: what a decision of them reads.
    pub(crate) fn topics_of(
        &self,
        ids: impl IntoIterator<Item = TransactionId>,
    ) -> Vec<(Name, Topic)> {
        let mut topics = Vec::new();
        for id in ids {
            let row = self.transactions.get(&id).and_then(Option::as_ref);
            if let (Some(row), Some(messages)) = (row, self.messages.get(&id)) {
                let own = messages.iter().map(|message| message.topic.clone());
                topics.extend(own.map(|topic| (row.namespace.clone(), topic)));
            }
        }
        topics
    }
}
