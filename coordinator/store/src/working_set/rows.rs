//! The engine's rows, out of memory.

use std::sync::Arc;

use earnest_protocol::{Name, Ordinal, Timestamp, Topic, TransactionId};

use super::WorkingSet;
use crate::{
    AttemptKind, AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow,
    Message, StoreError, SubscriptionRow, TransactionRow, engine::Rows,
};

/// Ends a run over rows that are not all there; never seen outside, since the run is begun again.
fn missing() -> StoreError {
    StoreError::Unavailable {
        context: "a row is not in memory yet".into(),
        source: None,
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

impl WorkingSet {
    /// Whether the transaction is one that this batch records.
    fn is_new(&self, id: TransactionId) -> bool {
        self.written.transactions.contains_key(&id)
            && self.transactions.get(&id).is_none_or(Option::is_none)
    }

    fn put_delivery(&mut self, key: &DeliveryKey, row: Option<&DeliveryRow>) -> bool {
        let stored = self.deliveries.get(key).cloned().flatten();
        let old = match self.written.deliveries.get(key) {
            Some(written) => written.clone(),
            None => stored,
        };
        self.enqueue(old.as_ref(), row);
        self.written.deliveries.insert(key.clone(), row.cloned());
        old.is_some()
    }
}

impl Rows for WorkingSet {
    fn transaction(&mut self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        if let Some(row) = self.written.transactions.get(&id) {
            return Ok(Some(row.clone()));
        }
        if let Some(row) = self.transactions.get(&id) {
            return Ok(row.clone());
        }
        self.missing.readings.insert(id);
        Err(missing())
    }

    fn insert_transaction(&mut self, row: &TransactionRow) -> Result<(), StoreError> {
        let is_new = self.transaction(row.id)?.is_none();
        self.written.transactions.insert(row.id, row.clone());
        exactly_one("a new transaction", is_new)
    }

    fn update_transaction(&mut self, row: &mut TransactionRow) -> Result<(), StoreError> {
        let known = self.transaction(row.id)?;
        let unchanged = known.is_some_and(|known| known.revision == row.revision);
        row.revision += 1;
        self.written.transactions.insert(row.id, row.clone());
        exactly_one("a transaction's step", unchanged)
    }

    fn insert_message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
        message: &Message,
    ) -> Result<(), StoreError> {
        let messages = &mut self.written.messages;
        let old = messages.insert((id, ordinal), message.clone());
        exactly_one("a new message", old.is_none())
    }

    fn message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
    ) -> Result<Option<Message>, StoreError> {
        if let Some(message) = self.written.messages.get(&(id, ordinal)) {
            return Ok(Some(message.clone()));
        }
        if self.is_new(id) {
            return Ok(None);
        }
        if let Some(messages) = self.messages.get(&id) {
            return Ok(messages.get(ordinal.0 as usize).cloned());
        }
        self.missing.messages.insert(id);
        Err(missing())
    }

    fn messages(&mut self, id: TransactionId) -> Result<Vec<Message>, StoreError> {
        if self.is_new(id) {
            let all = (id, Ordinal(0))..=(id, Ordinal(u32::MAX));
            let own = self.written.messages.range(all);
            return Ok(own.map(|(_, message)| message.clone()).collect());
        }
        if let Some(messages) = self.messages.get(&id) {
            return Ok(messages.clone());
        }
        self.missing.messages.insert(id);
        Err(missing())
    }

    fn subscriptions_of(
        &mut self,
        namespace: &Name,
        topic: &Topic,
    ) -> Result<Vec<Arc<SubscriptionRow>>, StoreError> {
        let topic = (namespace.clone(), topic.clone());
        if let Some(rows) = self.topics.get(&topic) {
            return Ok(rows.clone());
        }
        self.missing.topics.insert(topic);
        Err(missing())
    }

    fn subscription(
        &mut self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<Arc<SubscriptionRow>>, StoreError> {
        let name = (namespace.clone(), name.clone());
        if let Some(row) = self.subscriptions.get(&name) {
            return Ok(row.clone());
        }
        self.missing.subscriptions.insert(name);
        Err(missing())
    }

    fn insert_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        let existed = self.put_delivery(&row.key, Some(row));
        exactly_one("a new delivery", !existed)
    }

    fn delivery(&mut self, key: &DeliveryKey) -> Result<Option<DeliveryRow>, StoreError> {
        if let Some(row) = self.written.deliveries.get(key) {
            return Ok(row.clone());
        }
        if let Some(row) = self.deliveries.get(key) {
            return Ok(row.clone());
        }
        if self.is_new(key.transaction) || self.deliveries_of.contains(&key.transaction) {
            return Ok(None);
        }
        self.missing.deliveries.insert(key.clone());
        Err(missing())
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
        if !self.is_new(id) && !self.deliveries_of.contains(&id) {
            self.missing.deliveries_of.insert(id);
            return Err(missing());
        }
        let stored = self.deliveries.values().flatten();
        let mut rows: Vec<DeliveryRow> = stored
            .filter(|row| {
                row.key.transaction == id && !self.written.deliveries.contains_key(&row.key)
            })
            .cloned()
            .collect();
        let first = DeliveryKey {
            transaction: id,
            ordinal: Ordinal(0),
            subscription: None,
        };
        let written = self.written.deliveries.range(first..);
        let own = written.take_while(|(key, _)| key.transaction == id);
        rows.extend(own.filter_map(|(_, row)| row.clone()));
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
    }

    fn order_tail(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<(i64, bool)>, StoreError> {
        let queue = (namespace.clone(), subscription.clone(), key.to_owned());
        let ends = self.ends(&queue).ok_or_else(missing)?;
        Ok(ends.last.map(|last| (last, ends.head.is_some())))
    }

    fn order_head(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let queue = (namespace.clone(), subscription.clone(), key.to_owned());
        match self.ends(&queue).ok_or_else(missing)?.head {
            Some(head) => self.delivery(&head),
            None => Ok(None),
        }
    }

    fn insert_branch(&mut self, row: &BranchRow, branch: &Branch) -> Result<(), StoreError> {
        let old = self.written.branches.insert(row.key, row.clone());
        self.written.branch_contents.insert(row.key, branch.clone());
        exactly_one("a new branch", old.is_none())
    }

    fn branch(&mut self, key: &BranchKey) -> Result<Option<BranchRow>, StoreError> {
        if let Some(row) = self.written.branches.get(key) {
            return Ok(Some(row.clone()));
        }
        if self.branches.contains_key(&key.transaction) || self.is_new(key.transaction) {
            return Ok(self.stored_branch(key).cloned());
        }
        self.missing.branches.insert(key.transaction);
        Err(missing())
    }

    fn update_branch(&mut self, row: &BranchRow) -> Result<(), StoreError> {
        let existed = self.branch(&row.key)?.is_some();
        self.written.branches.insert(row.key, row.clone());
        exactly_one("a branch's step", existed)
    }

    fn branches(&mut self, id: TransactionId) -> Result<Vec<(BranchRow, Branch)>, StoreError> {
        let mut rows = Vec::new();
        if !self.is_new(id) {
            let stored = self.branches.get(&id).zip(self.branch_contents.get(&id));
            let Some((stored, contents)) = stored else {
                self.missing.branches.insert(id);
                self.missing.branch_contents.insert(id);
                return Err(missing());
            };
            for row in stored {
                let row = self.written.branches.get(&row.key).unwrap_or(row);
                let Some(content) = contents.get(&row.key) else {
                    let gone = format!("{}: what it says is gone", row.key);
                    return Err(StoreError::Corrupt(gone));
                };
                rows.push((row.clone(), content.clone().of(row)));
            }
        }
        let [first, last] = [0, u32::MAX].map(|ordinal| BranchKey {
            transaction: id,
            ordinal: Ordinal(ordinal),
        });
        let new = self.written.branch_contents.range(first..=last);
        rows.extend(new.filter_map(|(key, content)| {
            Some((self.written.branches.get(key)?.clone(), content.clone()))
        }));
        rows.sort_unstable_by_key(|(row, _)| row.key);
        Ok(rows)
    }

    fn all_know_branches(&mut self) -> Result<bool, StoreError> {
        Ok(WorkingSet::all_know_branches(self))
    }

    fn insert_attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError> {
        self.written.attempts.push(row.clone());
        Ok(())
    }

    fn delete_attempt(
        &mut self,
        id: TransactionId,
        kind: &AttemptKind,
        number: u32,
    ) -> Result<(), StoreError> {
        let is_it =
            |row: &AttemptRow| row.transaction == id && row.kind == *kind && row.number == number;
        self.written.attempts.retain(|row| !is_it(row));
        let removed = (id, kind.clone(), number);
        self.written.removed_attempts.push(removed);
        Ok(())
    }

    fn insert_audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.written.audit.push(row.clone());
        Ok(())
    }

    fn purge_horizon(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.horizon)
    }
}
