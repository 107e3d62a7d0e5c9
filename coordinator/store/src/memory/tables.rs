//! The tables, and the only ways to write those that have indexes.

use std::{collections::BTreeMap, sync::Arc};

use earnest_protocol::{Name, NodeEpoch, Ordinal, Timestamp, TransactionId};

use super::index::Index;
use crate::{
    AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow, LossRow, Message,
    ServiceRow, SubscriptionRow, TransactionRow,
};

#[derive(Default, Clone)]
pub(super) struct Tables {
    transactions: BTreeMap<TransactionId, TransactionRow>,
    deliveries: BTreeMap<DeliveryKey, DeliveryRow>,
    branches: BTreeMap<BranchKey, BranchRow>,
    index: Index,
    pub(super) branch_contents: BTreeMap<BranchKey, Branch>,
    pub(super) messages: BTreeMap<TransactionId, Vec<Message>>,
    pub(super) attempts: BTreeMap<TransactionId, Vec<AttemptRow>>,
    pub(super) audit: Vec<AuditRow>,
    /// By namespace, then by name.
    pub(super) subscriptions: BTreeMap<Name, BTreeMap<Name, Arc<SubscriptionRow>>>,
    /// By namespace, then by name.
    pub(super) services: BTreeMap<Name, BTreeMap<Name, ServiceRow>>,
    /// Until when each living node counts as alive.
    pub(super) nodes: BTreeMap<NodeEpoch, Timestamp>,
    pub(super) last_epoch: i64,
    pub(super) horizon: Option<Timestamp>,
    /// `None`: the first.
    pub(super) incarnation: Option<i64>,
    /// By incarnation and line: batches, and when the last was written.
    pub(super) lines: BTreeMap<(i64, i64), (i64, Timestamp)>,
    /// By incarnation and line.
    pub(super) losses: BTreeMap<(i64, i64), LossRow>,
}

impl Tables {
    pub(super) fn transactions(&self) -> &BTreeMap<TransactionId, TransactionRow> {
        &self.transactions
    }

    pub(super) fn delivery(&self, key: &DeliveryKey) -> Option<&DeliveryRow> {
        self.deliveries.get(key)
    }

    /// Those of one transaction, by message and subscription.
    pub(super) fn deliveries_of(&self, id: TransactionId) -> impl Iterator<Item = &DeliveryRow> {
        let first = DeliveryKey {
            transaction: id,
            ordinal: Ordinal(0),
            subscription: None,
        };
        let rows = self.deliveries.range(first..).map(|(_, row)| row);
        rows.take_while(move |row| row.key.transaction == id)
    }

    pub(super) fn branch(&self, key: &BranchKey) -> Option<&BranchRow> {
        self.branches.get(key)
    }

    /// Those of one transaction, by ordinal, each with what it says.
    pub(super) fn branches_of(
        &self,
        id: TransactionId,
    ) -> impl Iterator<Item = (&BranchRow, &Branch)> {
        let first = BranchKey {
            transaction: id,
            ordinal: Ordinal(0),
        };
        let rows = self.branches.range(first..).map(|(_, row)| row);
        let own = rows.take_while(move |row| row.key.transaction == id);
        own.filter_map(|row| Some((row, self.branch_contents.get(&row.key)?)))
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn subscription(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Option<&Arc<SubscriptionRow>> {
        self.subscriptions.get(namespace)?.get(name)
    }

    /// Puts `row` in the place of what `id` was, or takes that away; returns what was there, so that putting
    /// it back undoes this.
    pub(super) fn put_transaction(
        &mut self,
        id: TransactionId,
        row: Option<TransactionRow>,
    ) -> Option<TransactionRow> {
        self.index
            .transaction(self.transactions.get(&id), row.as_ref());
        match row {
            Some(row) => self.transactions.insert(id, row),
            None => self.transactions.remove(&id),
        }
    }

    /// The same for a delivery.
    pub(super) fn put_delivery(
        &mut self,
        key: &DeliveryKey,
        row: Option<DeliveryRow>,
    ) -> Option<DeliveryRow> {
        self.index.delivery(self.deliveries.get(key), row.as_ref());
        match row {
            Some(row) => self.deliveries.insert(key.clone(), row),
            None => self.deliveries.remove(key),
        }
    }

    /// The same for a branch.
    pub(super) fn put_branch(
        &mut self,
        key: BranchKey,
        row: Option<BranchRow>,
    ) -> Option<BranchRow> {
        self.index.branch(self.branches.get(&key), row.as_ref());
        match row {
            Some(row) => self.branches.insert(key, row),
            None => self.branches.remove(&key),
        }
    }
}
