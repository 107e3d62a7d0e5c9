//! The engine's rows over one open database transaction of the writer.

use std::{collections::HashMap, sync::Arc};

use earnest_protocol::{Name, Ordinal, Timestamp, Topic, TransactionId};
use rusqlite::Connection;

use super::{branch, delivery, message, meta, record, subscription, transaction};
use crate::{
    AttemptKind, AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow,
    Message, StoreError, SubscriptionRow, TransactionRow, engine::Rows,
};

/// Lives no longer than its database transaction: what it keeps in memory was read in this very one, which
/// nothing else can write beside.
pub(super) struct SqlRows<'c> {
    db: &'c Connection,
    of_topic: HashMap<(Name, Topic), Vec<Arc<SubscriptionRow>>>,
    by_name: HashMap<(Name, Name), Option<Arc<SubscriptionRow>>>,
    horizon: Horizon,
}

enum Horizon {
    Unread,
    Read(Option<Timestamp>),
}

impl<'c> SqlRows<'c> {
    pub(super) fn new(db: &'c Connection) -> Self {
        Self {
            db,
            of_topic: HashMap::new(),
            by_name: HashMap::new(),
            horizon: Horizon::Unread,
        }
    }
}

impl Rows for SqlRows<'_> {
    fn transaction(&mut self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        transaction::select(self.db, id)
    }

    fn insert_transaction(&mut self, row: &TransactionRow) -> Result<(), StoreError> {
        transaction::insert(self.db, row)
    }

    fn update_transaction(&mut self, row: &mut TransactionRow) -> Result<(), StoreError> {
        transaction::update(self.db, row)
    }

    fn insert_message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
        message: &Message,
    ) -> Result<(), StoreError> {
        message::insert(self.db, id, ordinal, message)
    }

    fn message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
    ) -> Result<Option<Message>, StoreError> {
        message::select(self.db, id, ordinal)
    }

    fn messages(&mut self, id: TransactionId) -> Result<Vec<Message>, StoreError> {
        message::select_all(self.db, id)
    }

    fn insert_branch(&mut self, row: &BranchRow, content: &Branch) -> Result<(), StoreError> {
        branch::insert(self.db, row, content)
    }

    fn branch(&mut self, key: &BranchKey) -> Result<Option<BranchRow>, StoreError> {
        branch::select(self.db, key)
    }

    fn update_branch(&mut self, row: &BranchRow) -> Result<(), StoreError> {
        branch::update(self.db, row)
    }

    fn branches(&mut self, id: TransactionId) -> Result<Vec<(BranchRow, Branch)>, StoreError> {
        branch::select_all(self.db, id)
    }

    fn subscriptions_of(
        &mut self,
        namespace: &Name,
        topic: &Topic,
    ) -> Result<Vec<Arc<SubscriptionRow>>, StoreError> {
        let key = (namespace.clone(), topic.clone());
        if let Some(known) = self.of_topic.get(&key) {
            return Ok(known.clone());
        }
        let rows = subscription::of_topic(self.db, namespace, topic)?;
        self.of_topic.insert(key, rows.clone());
        Ok(rows)
    }

    fn subscription(
        &mut self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<Arc<SubscriptionRow>>, StoreError> {
        let key = (namespace.clone(), name.clone());
        if let Some(known) = self.by_name.get(&key) {
            return Ok(known.clone());
        }
        let row = subscription::select(self.db, namespace, name)?.map(Arc::new);
        self.by_name.insert(key, row.clone());
        Ok(row)
    }

    fn insert_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        delivery::insert(self.db, row)
    }

    fn delivery(&mut self, key: &DeliveryKey) -> Result<Option<DeliveryRow>, StoreError> {
        delivery::select(self.db, key)
    }

    fn update_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        delivery::update(self.db, row)
    }

    fn delete_delivery(&mut self, key: &DeliveryKey) -> Result<(), StoreError> {
        delivery::delete(self.db, key)
    }

    fn deliveries(&mut self, id: TransactionId) -> Result<Vec<DeliveryRow>, StoreError> {
        delivery::select_all(self.db, id)
    }

    fn order_tail(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<(i64, bool)>, StoreError> {
        delivery::order_tail(self.db, namespace, subscription, key)
    }

    fn order_head(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        delivery::order_head(self.db, namespace, subscription, key)
    }

    fn insert_attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError> {
        record::insert_attempt(self.db, row)
    }

    fn delete_attempt(
        &mut self,
        id: TransactionId,
        kind: &AttemptKind,
        number: u32,
    ) -> Result<(), StoreError> {
        record::delete_attempt(self.db, id, kind, number)
    }

    fn insert_audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        record::insert_audit(self.db, row)
    }

    fn purge_horizon(&mut self) -> Result<Option<Timestamp>, StoreError> {
        if let Horizon::Read(horizon) = self.horizon {
            return Ok(horizon);
        }
        let horizon = meta::purge_horizon(self.db)?;
        self.horizon = Horizon::Read(horizon);
        Ok(horizon)
    }
}
