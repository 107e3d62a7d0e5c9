//! What a batch fetches: a statement per kind of row, each under the lock that its use asks for.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use earnest_protocol::{Name, Timestamp, Topic, TransactionId};

use super::{Needs, QueueKey, WorkingSet};
use crate::{
    BranchKey, BranchRow, DeliveryKey, DeliveryRow, Message, StoreError, SubscriptionRow,
    TransactionRow, sql::branch::Content,
};

/// One open database transaction, as a batch fetches through it. Each statement sees what was committed before it, so
/// that what comes after a lock sees what its last holder wrote. Rows are locked in the order of their keys.
#[async_trait]
pub(crate) trait Tables: Send {
    /// Under a lock, where asked for.
    async fn transactions(
        &mut self,
        ids: &BTreeSet<TransactionId>,
        lock: bool,
    ) -> Result<Vec<TransactionRow>, StoreError>;
    /// Under a lock.
    async fn deliveries(
        &mut self,
        keys: &BTreeSet<DeliveryKey>,
    ) -> Result<Vec<DeliveryRow>, StoreError>;
    /// All of these, under a lock.
    async fn deliveries_of(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<DeliveryRow>, StoreError>;
    /// All of these, in order, under a lock.
    async fn branches(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<BranchRow>, StoreError>;
    /// What all of these say.
    async fn branch_contents(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<(BranchKey, Content)>, StoreError>;
    /// All of these, in order.
    async fn messages(
        &mut self,
        ids: &BTreeSet<TransactionId>,
    ) -> Result<Vec<(TransactionId, Message)>, StoreError>;
    /// By name, locked against removal (P4): a subscription goes only after all that was decided for it is parked.
    async fn subscriptions_of(
        &mut self,
        topics: &BTreeSet<(Name, Topic)>,
    ) -> Result<Vec<SubscriptionRow>, StoreError>;
    /// Likewise.
    async fn subscriptions(
        &mut self,
        names: &BTreeSet<(Name, Name)>,
    ) -> Result<Vec<SubscriptionRow>, StoreError>;
    /// Ordered keys: first the lock of each, since positions are given out and followed by one batch at a time (P9);
    /// then their ends. The deliveries themselves are not locked: an end that is being written waits for the key, and
    /// must not be waited for. Their writes are conditional.
    async fn queues(
        &mut self,
        keys: &BTreeMap<QueueKey, usize>,
        set: &mut WorkingSet,
    ) -> Result<(), StoreError>;
    /// The database's time; into `set` the purge horizon, and the oldest format that a node understands: read after the
    /// transactions, so that what a purge took away meanwhile is behind the horizon that is seen.
    async fn now(&mut self, set: &mut WorkingSet) -> Result<Timestamp, StoreError>;
}

/// Fetches rows into `set`.
pub(super) async fn fetch<T: Tables>(
    tables: &mut T,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    if !needs.transactions.is_empty() {
        let rows = tables.transactions(&needs.transactions, true).await?;
        set.put_transactions(needs.transactions.iter().copied(), rows);
    }
    if !needs.readings.is_empty() {
        let rows = tables.transactions(&needs.readings, false).await?;
        set.put_transactions(needs.readings.iter().copied(), rows);
    }
    if !needs.deliveries.is_empty() {
        let rows = tables.deliveries(&needs.deliveries).await?;
        set.put_deliveries(needs.deliveries.iter().cloned(), rows);
    }
    if !needs.deliveries_of.is_empty() {
        let rows = tables.deliveries_of(&needs.deliveries_of).await?;
        set.put_deliveries_of(needs.deliveries_of.iter().copied(), rows);
    }
    let decided_now = set.undecided(&needs.decisions, |row| row.state.branches > 0);
    let of: BTreeSet<_> = needs.branches.union(&decided_now).copied().collect();
    if !of.is_empty() {
        let rows = tables.branches(&of).await?;
        set.put_branches(of, rows);
    }
    let of: BTreeSet<_> = needs.branch_contents.union(&decided_now).copied().collect();
    if !of.is_empty() {
        let contents = tables.branch_contents(&of).await?;
        set.put_branch_contents(of, contents);
    }
    let undecided = set.undecided(&needs.decisions, |row| row.message_count > 0);
    let of: BTreeSet<_> = needs.messages.union(&undecided).copied().collect();
    if !of.is_empty() {
        let messages = tables.messages(&of).await?;
        set.put_messages(of, messages);
    }
    let mut topics = needs.topics.clone();
    topics.extend(set.topics_of(undecided));
    if !topics.is_empty() {
        let rows = tables.subscriptions_of(&topics).await?;
        set.put_topics(topics, rows);
    }
    if !needs.subscriptions.is_empty() {
        let rows = tables.subscriptions(&needs.subscriptions).await?;
        set.put_subscriptions(needs.subscriptions.iter().cloned(), rows);
    }
    if !needs.queues.is_empty() {
        tables.queues(&needs.queues, set).await?;
    }
    Ok(())
}
