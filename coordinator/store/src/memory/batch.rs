//! A batch of writes that can be taken back: the memory store's database transaction.

use std::sync::Arc;

use earnest_protocol::{Name, Ordinal, Timestamp, Topic, TransactionId};

use super::tables::Tables;
use crate::{
    AttemptKind, AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow,
    Message, StoreError, SubscriptionRow, TransactionRow, engine::Rows,
};

/// Writes go straight into the tables; what they replaced is noted, and put back unless the batch is kept.
pub(super) struct Batch<'a> {
    tables: &'a mut Tables,
    undo: Vec<Undo>,
}

enum Undo {
    Transaction(TransactionId, Option<Box<TransactionRow>>),
    Delivery(DeliveryKey, Option<Box<DeliveryRow>>),
    Message(TransactionId),
    Branch(BranchKey, Option<Box<BranchRow>>),
    BranchContent(BranchKey),
    Attempt(TransactionId),
    /// Where it was among its transaction's.
    DeletedAttempt(usize, Box<AttemptRow>),
    Audit,
}

impl<'a> Batch<'a> {
    pub(super) fn new(tables: &'a mut Tables) -> Self {
        Self {
            tables,
            undo: Vec::new(),
        }
    }

    /// Commits it; false: there was nothing to commit.
    pub(super) fn keep(mut self) -> bool {
        let wrote = !self.undo.is_empty();
        self.undo.clear();
        wrote
    }

    fn put_transaction(&mut self, row: &TransactionRow) -> Option<&TransactionRow> {
        let old = self.tables.put_transaction(row.id, Some(row.clone()));
        self.undo.push(Undo::Transaction(row.id, old.map(Box::new)));
        match self.undo.last() {
            Some(Undo::Transaction(_, old)) => old.as_deref(),
            _ => None,
        }
    }

    fn put_branch(&mut self, row: &BranchRow) -> bool {
        let old = self.tables.put_branch(row.key, Some(row.clone()));
        let existed = old.is_some();
        self.undo.push(Undo::Branch(row.key, old.map(Box::new)));
        existed
    }

    fn put_delivery(&mut self, key: &DeliveryKey, row: Option<&DeliveryRow>) -> bool {
        let old = self.tables.put_delivery(key, row.cloned());
        let existed = old.is_some();
        self.undo
            .push(Undo::Delivery(key.clone(), old.map(Box::new)));
        existed
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for undo in self.undo.drain(..).rev() {
            match undo {
                Undo::Transaction(id, row) => {
                    self.tables.put_transaction(id, row.map(|row| *row));
                }
                Undo::Delivery(key, row) => {
                    self.tables.put_delivery(&key, row.map(|row| *row));
                }
                Undo::Branch(key, row) => {
                    self.tables.put_branch(key, row.map(|row| *row));
                }
                Undo::BranchContent(key) => {
                    self.tables.branch_contents.remove(&key);
                }
                Undo::Message(id) => pop(&mut self.tables.messages, id),
                Undo::Attempt(id) => pop(&mut self.tables.attempts, id),
                Undo::DeletedAttempt(at, row) => {
                    let attempts = self.tables.attempts.entry(row.transaction).or_default();
                    attempts.insert(at, *row);
                }
                Undo::Audit => {
                    self.tables.audit.pop();
                }
            }
        }
    }
}

/// Takes back the last of a transaction's rows.
fn pop<T>(table: &mut std::collections::BTreeMap<TransactionId, Vec<T>>, id: TransactionId) {
    if let Some(rows) = table.get_mut(&id) {
        rows.pop();
        if rows.is_empty() {
            table.remove(&id);
        }
    }
}

fn exactly_one(what: &str, holds: bool) -> Result<(), StoreError> {
    if holds {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!(
            "{what}: exactly one row must be written"
        )))
    }
}

impl Rows for Batch<'_> {
    fn transaction(&mut self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        Ok(self.tables.transactions().get(&id).cloned())
    }

    fn insert_transaction(&mut self, row: &TransactionRow) -> Result<(), StoreError> {
        let is_new = self.put_transaction(row).is_none();
        exactly_one("a new transaction", is_new)
    }

    fn update_transaction(&mut self, row: &mut TransactionRow) -> Result<(), StoreError> {
        let read = row.revision;
        row.revision += 1;
        let unchanged = self
            .put_transaction(row)
            .is_some_and(|old| old.revision == read);
        exactly_one("a transaction's step", unchanged)
    }

    fn insert_message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
        message: &Message,
    ) -> Result<(), StoreError> {
        let messages = self.tables.messages.entry(id).or_default();
        let in_order = messages.len() == ordinal.0 as usize;
        messages.push(message.clone());
        self.undo.push(Undo::Message(id));
        exactly_one("a new message", in_order)
    }

    fn message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
    ) -> Result<Option<Message>, StoreError> {
        let messages = self.tables.messages.get(&id);
        Ok(messages
            .and_then(|messages| messages.get(ordinal.0 as usize))
            .cloned())
    }

    fn messages(&mut self, id: TransactionId) -> Result<Vec<Message>, StoreError> {
        Ok(self.tables.messages.get(&id).cloned().unwrap_or_default())
    }

    fn subscriptions_of(
        &mut self,
        namespace: &Name,
        topic: &Topic,
    ) -> Result<Vec<Arc<SubscriptionRow>>, StoreError> {
        let rows = self
            .tables
            .subscriptions
            .get(namespace)
            .into_iter()
            .flat_map(|rows| rows.values());
        Ok(rows.filter(|row| row.topic == *topic).cloned().collect())
    }

    fn subscription(
        &mut self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<Arc<SubscriptionRow>>, StoreError> {
        Ok(self.tables.subscription(namespace, name).cloned())
    }

    fn insert_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        let existed = self.put_delivery(&row.key, Some(row));
        exactly_one("a new delivery", !existed)
    }

    fn delivery(&mut self, key: &DeliveryKey) -> Result<Option<DeliveryRow>, StoreError> {
        Ok(self.tables.delivery(key).cloned())
    }

    fn update_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        let existed = self.put_delivery(&row.key, Some(row));
        exactly_one("a delivery's step", existed)
    }

    fn delete_delivery(&mut self, key: &DeliveryKey) -> Result<(), StoreError> {
        let existed = self.put_delivery(key, None);
        exactly_one("a delivery's removal", existed)
    }

    fn deliveries(&mut self, id: TransactionId) -> Result<Vec<DeliveryRow>, StoreError> {
        Ok(self.tables.deliveries_of(id).cloned().collect())
    }

    fn order_tail(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<(i64, bool)>, StoreError> {
        let queue_key = (namespace.clone(), subscription.clone(), key.to_owned());
        let queue = self.tables.index().queues.get(&queue_key);
        Ok(queue.and_then(|queue| {
            let (last, _) = queue.all.last_key_value()?;
            Some((*last, !queue.open.is_empty()))
        }))
    }

    fn order_head(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let queue_key = (namespace.clone(), subscription.clone(), key.to_owned());
        let queue = self.tables.index().queues.get(&queue_key);
        let head = queue.and_then(|queue| queue.open.first_key_value());
        Ok(head.and_then(|(_, key)| self.tables.delivery(key)).cloned())
    }

    fn insert_branch(&mut self, row: &BranchRow, branch: &Branch) -> Result<(), StoreError> {
        let existed = self.put_branch(row);
        self.tables.branch_contents.insert(row.key, branch.clone());
        self.undo.push(Undo::BranchContent(row.key));
        exactly_one("a new branch", !existed)
    }

    fn branch(&mut self, key: &BranchKey) -> Result<Option<BranchRow>, StoreError> {
        Ok(self.tables.branch(key).cloned())
    }

    fn update_branch(&mut self, row: &BranchRow) -> Result<(), StoreError> {
        let existed = self.put_branch(row);
        exactly_one("a branch's step", existed)
    }

    fn branches(&mut self, id: TransactionId) -> Result<Vec<(BranchRow, Branch)>, StoreError> {
        let own = self.tables.branches_of(id);
        Ok(own
            .map(|(row, branch)| (row.clone(), branch.clone()))
            .collect())
    }

    fn insert_attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError> {
        self.tables
            .attempts
            .entry(row.transaction)
            .or_default()
            .push(row.clone());
        self.undo.push(Undo::Attempt(row.transaction));
        Ok(())
    }

    fn delete_attempt(
        &mut self,
        id: TransactionId,
        kind: &AttemptKind,
        number: u32,
    ) -> Result<(), StoreError> {
        let Some(attempts) = self.tables.attempts.get_mut(&id) else {
            return Ok(());
        };
        let is_it = |row: &AttemptRow| row.kind == *kind && row.number == number;
        if let Some(at) = attempts.iter().position(is_it) {
            let row = attempts.remove(at);
            self.undo.push(Undo::DeletedAttempt(at, Box::new(row)));
        }
        Ok(())
    }

    fn insert_audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.tables.audit.push(row.clone());
        self.undo.push(Undo::Audit);
        Ok(())
    }

    fn purge_horizon(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.tables.horizon)
    }
}

#[cfg(test)]
mod tests;
