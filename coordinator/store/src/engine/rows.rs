//! The rows that the engine reads and writes: all that a store has to offer it.

use std::sync::Arc;

use earnest_protocol::{Name, Ordinal, Timestamp, Topic, TransactionId};

use crate::{
    AttemptKind, AttemptRow, AuditRow, Branch, BranchKey, BranchRow, DeliveryKey, DeliveryRow,
    Message, StoreError, SubscriptionRow, TransactionRow,
};

/// Rows inside one open database transaction, of which this is the only writer.
pub(crate) trait Rows {
    /// By id, as this database transaction sees it.
    fn transaction(&mut self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError>;
    /// A new one.
    fn insert_transaction(&mut self, row: &TransactionRow) -> Result<(), StoreError>;
    /// Rewrites it where its revision is still the row's, and raises that by one, here and there. Any other
    /// count of rows than one is an error: every transition is one conditional write (R1).
    fn update_transaction(&mut self, row: &mut TransactionRow) -> Result<(), StoreError>;

    /// Payloads are only ever inserted.
    fn insert_message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
        message: &Message,
    ) -> Result<(), StoreError>;
    /// One message.
    fn message(
        &mut self,
        id: TransactionId,
        ordinal: Ordinal,
    ) -> Result<Option<Message>, StoreError>;
    /// All of a transaction, in order.
    fn messages(&mut self, id: TransactionId) -> Result<Vec<Message>, StoreError>;

    /// The subscriptions of a topic, by name.
    fn subscriptions_of(
        &mut self,
        namespace: &Name,
        topic: &Topic,
    ) -> Result<Vec<Arc<SubscriptionRow>>, StoreError>;
    /// One subscription.
    fn subscription(
        &mut self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<Arc<SubscriptionRow>>, StoreError>;

    /// A new one.
    fn insert_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError>;
    /// One delivery.
    fn delivery(&mut self, key: &DeliveryKey) -> Result<Option<DeliveryRow>, StoreError>;
    /// Rewrites it.
    fn update_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError>;
    /// Removes one whose place others take (a topic that had no subscription and has one now).
    fn delete_delivery(&mut self, key: &DeliveryKey) -> Result<(), StoreError>;
    /// All of a transaction, by message and subscription.
    fn deliveries(&mut self, id: TransactionId) -> Result<Vec<DeliveryRow>, StoreError>;
    /// The highest position of an ordered key, and whether any delivery of it is not done.
    fn order_tail(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<(i64, bool)>, StoreError>;
    /// The first delivery of an ordered key that is not done.
    fn order_head(
        &mut self,
        namespace: &Name,
        subscription: &Name,
        key: &str,
    ) -> Result<Option<DeliveryRow>, StoreError>;

    /// A new one, with what it says, which is only ever inserted.
    fn insert_branch(&mut self, row: &BranchRow, branch: &Branch) -> Result<(), StoreError>;
    /// One branch.
    fn branch(&mut self, key: &BranchKey) -> Result<Option<BranchRow>, StoreError>;
    /// Rewrites it.
    fn update_branch(&mut self, row: &BranchRow) -> Result<(), StoreError>;
    /// All of a transaction, by ordinal, each with what it says.
    fn branches(&mut self, id: TransactionId) -> Result<Vec<(BranchRow, Branch)>, StoreError>;

    /// Whether every node that lives understands branches: else nobody writes any (DESIGN §6, mixed versions).
    fn all_know_branches(&mut self) -> Result<bool, StoreError> {
        // A database that only one program has open.
        Ok(true)
    }

    /// A call that failed.
    fn insert_attempt(&mut self, row: &AttemptRow) -> Result<(), StoreError>;
    /// Removes the record of attempt number `number` of that call, where there is one.
    fn delete_attempt(
        &mut self,
        id: TransactionId,
        kind: &AttemptKind,
        number: u32,
    ) -> Result<(), StoreError>;
    /// What an operator did.
    fn insert_audit(&mut self, row: &AuditRow) -> Result<(), StoreError>;
    /// Ids made before this may have been purged.
    fn purge_horizon(&mut self) -> Result<Option<Timestamp>, StoreError>;
}
