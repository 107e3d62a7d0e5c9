//! The rest of the faulty store: what is handed on unless the node is dead.

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{Name, NodeEpoch, Phase, Timestamp, TransactionId};
use earnest_store::{
    AuditRow, Backlog, BranchBacklog, ClaimRequest, Claimed, Cursor, Detail, Durability,
    LeaseStore, LossRow, Mark, Page, PurgeReport, QueryStore, Recall, RecallStore, RegistryStore,
    RetentionStore, ServiceRow, Store, StoreError, SubscriptionRow, TransactionFilter,
    TransactionRow,
};

use super::FaultyStore;

#[async_trait]
impl LeaseStore for FaultyStore {
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        self.answers().await?;
        self.inner.enrol(node, lease).await
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        self.answers().await?;
        self.inner.heartbeat(epoch, lease).await
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        self.answers().await?;
        self.inner.resign(epoch).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        self.answers().await?;
        let claimed = self.inner.claim(request).await?;
        self.claimed.fetch_add(claimed.work.len(), Ordering::SeqCst);
        self.alive().await;
        Ok(claimed)
    }
}

#[async_trait]
impl QueryStore for FaultyStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.now().await
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        self.alive().await;
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.inner.transaction(id).await
    }

    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError> {
        self.alive().await;
        self.inner.detail(id).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError> {
        self.inner.transactions(filter, after, limit).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.inner.backlog().await
    }

    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError> {
        self.inner.branch_backlog().await
    }

    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
        self.inner.unfinished().await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit(limit).await
    }
}

#[async_trait]
impl RegistryStore for FaultyStore {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        self.alive().await;
        self.inner.put_subscription(row).await
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        self.inner.delete_subscription(namespace, name).await
    }

    async fn pause_subscription(
        &self,
        namespace: &Name,
        name: &Name,
        paused: bool,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        self.alive().await;
        self.inner.pause_subscription(namespace, name, paused).await
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        self.inner.subscriptions(namespace).await
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        self.inner.put_service(row, replace).await
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        self.inner.service(namespace, name).await
    }

    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError> {
        self.inner.services(namespace).await
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        self.inner.delete_service(namespace, name).await
    }
}

#[async_trait]
impl RetentionStore for FaultyStore {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        self.alive().await;
        self.inner.purge(older_than, limit).await
    }
}

#[async_trait]
impl RecallStore for FaultyStore {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        self.answers().await?;
        self.inner.recall(lines).await
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        self.answers().await?;
        self.inner.report_loss(mark, node).await
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        self.answers().await?;
        self.inner.accept_losses(actor, reason).await
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn durability(&self) -> Result<Durability, StoreError> {
        self.inner.durability().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
