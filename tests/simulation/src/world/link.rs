//! The database as one run of one node sees it: over a network, with faults of its own, and through the observer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use earnest_protocol::{Name, NodeEpoch, Phase, Timestamp, TransactionId};
use earnest_store::{
    Applied, AuditRow, Backlog, BranchBacklog, ClaimRequest, Claimed, Command, Cursor, Detail,
    Durability, JournalStore, LeaseGrant, LeaseStore, LossRow, Mark, Page, PurgeReport, QueryStore,
    Recall, RecallStore, RegistryStore, RetentionStore, ServiceRow, Store, StoreError,
    SubscriptionRow, TransactionFilter, TransactionRow,
};

use super::{Gate, Network, Trace};
use crate::{
    check::Observer,
    plan::{Party, StoreFault},
};

/// How long a node waits for its database before it takes the connection for lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of the transactions, how many hold a value that a refusing database refuses: one in so many.
const ONE_IN: u8 = 4;

/// What a node's database does wrong at the moment; shared by all runs of that node.
pub(crate) type StoreFaults = Arc<Mutex<Vec<StoreFault>>>;

/// The database as one run of a node sees it.
pub(crate) struct Link {
    pub(crate) node: u8,
    pub(crate) gate: Arc<Gate>,
    pub(crate) network: Arc<Network>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) faults: StoreFaults,
}

impl Link {
    /// A statement on its way there, done, and on its way back. What is lost on the way back was done.
    async fn exchange<T>(
        &self,
        writes: bool,
        statement: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let node = Party::Node(self.node);
        self.gate.pass().await;
        if !self.network.request(node, Party::Database).await {
            return self.silence(false).await;
        }
        let done = statement.await;
        if !self.network.response(Party::Database, node).await {
            return self.silence(writes).await;
        }
        self.gate.pass().await;
        done
    }

    async fn silence<T>(&self, unknown: bool) -> Result<T, StoreError> {
        tokio::time::sleep(PATIENCE).await;
        self.gate.pass().await;
        Err(if unknown {
            commit_unknown()
        } else {
            unavailable()
        })
    }

    /// What a write meets, if anything.
    fn fault(&self, commands: &[Command]) -> Option<StoreFault> {
        let faults = self.faults.lock().expect("nothing panics in here");
        let met = faults.iter().copied().find(|fault| match fault {
            StoreFault::Refused => commands.iter().any(is_refused),
            // Not every one, so that a batch gets through between others that don't.
            _ => self.network.draw((self.node, "store"), 3) > 0,
        });
        drop(faults);
        if let Some(fault) = met {
            self.network
                .meets(crate::plan::FaultKind::Store(self.node, fault).name());
        }
        met
    }

    async fn write<T>(
        &self,
        commands: &[Command],
        statement: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.fault(commands);
        let faulty = async {
            match fault {
                None => statement.await,
                Some(StoreFault::UnknownWritten) => {
                    statement.await?;
                    Err(commit_unknown())
                }
                Some(StoreFault::UnknownLost) => Err(commit_unknown()),
                Some(StoreFault::Serialization | StoreFault::Unavailable) => Err(unavailable()),
                Some(StoreFault::Refused) => Err(StoreError::Rejected {
                    context: "a fault of the simulation".to_owned(),
                    source: None,
                }),
            }
        };
        self.exchange(true, faulty).await
    }

    fn store(&self) -> &dyn Store {
        &**self.observer.store()
    }
}

fn is_refused(command: &Command) -> bool {
    command.transaction().as_bytes()[15].is_multiple_of(ONE_IN)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        context: "a fault of the simulation".to_owned(),
        source: None,
    }
}

fn commit_unknown() -> StoreError {
    StoreError::CommitUnknown {
        context: "a fault of the simulation".to_owned(),
        source: None,
    }
}

#[async_trait]
impl JournalStore for Link {
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError> {
        let written = async {
            let applied = self.observer.apply(commands, grant).await;
            for (n, command) in commands.iter().enumerate() {
                let answer = match &applied {
                    Ok(applied) => match applied.results.get(n) {
                        Some(Ok(_)) => "ok",
                        Some(Err(_)) => "refused",
                        None => "unanswered",
                    },
                    Err(_) => "failed",
                };
                self.trace.note(format_args!(
                    "node {} wrote {} {}: {answer}",
                    self.node,
                    command.name(),
                    command.transaction()
                ));
            }
            applied
        };
        self.write(commands, written).await
    }
}

#[async_trait]
impl LeaseStore for Link {
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError> {
        self.write(&[], self.store().enrol(node, lease)).await
    }

    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError> {
        self.write(&[], self.store().heartbeat(epoch, lease)).await
    }

    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError> {
        self.write(&[], self.store().resign(epoch)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError> {
        let claimed = self.write(&[], self.store().claim(request)).await?;
        if !claimed.work.is_empty() {
            self.trace.note(format_args!(
                "node {} claimed {}",
                self.node,
                claimed.work.len()
            ));
        }
        Ok(claimed)
    }
}

#[async_trait]
impl QueryStore for Link {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.exchange(false, self.store().now()).await
    }

    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError> {
        self.exchange(false, self.store().transaction(id)).await
    }

    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError> {
        self.exchange(false, self.store().detail(id)).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError> {
        self.exchange(false, self.store().transactions(filter, after, limit))
            .await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.exchange(false, self.store().backlog()).await
    }

    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError> {
        self.exchange(false, self.store().branch_backlog()).await
    }

    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError> {
        self.exchange(false, self.store().unfinished()).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.exchange(false, self.store().audit(limit)).await
    }
}

#[async_trait]
impl RegistryStore for Link {
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError> {
        self.write(&[], self.store().put_subscription(row)).await
    }

    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        self.write(&[], self.store().delete_subscription(namespace, name))
            .await
    }

    async fn pause_subscription(
        &self,
        namespace: &Name,
        name: &Name,
        paused: bool,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        self.write(
            &[],
            self.store().pause_subscription(namespace, name, paused),
        )
        .await
    }

    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        self.exchange(false, self.store().subscriptions(namespace))
            .await
    }

    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError> {
        self.write(&[], self.store().put_service(row, replace))
            .await
    }

    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError> {
        self.exchange(false, self.store().service(namespace, name))
            .await
    }

    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError> {
        self.exchange(false, self.store().services(namespace)).await
    }

    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError> {
        self.write(&[], self.store().delete_service(namespace, name))
            .await
    }
}

#[async_trait]
impl RetentionStore for Link {
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError> {
        let purged = self.observer.purge(older_than, limit);
        self.write(&[], purged).await
    }
}

#[async_trait]
impl RecallStore for Link {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        self.exchange(false, self.store().recall(lines)).await
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        self.write(&[], self.store().report_loss(mark, node)).await
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        self.write(&[], self.store().accept_losses(actor, reason))
            .await
    }
}

#[async_trait]
impl Store for Link {
    async fn durability(&self) -> Result<Durability, StoreError> {
        self.exchange(false, self.store().durability()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.exchange(false, self.store().ping()).await
    }
}
