//! The store under test, with short words for what cases do to it.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use earnest_protocol::{Name, NodeEpoch, TransactionId};

use super::{
    clock::TestClock,
    commands::{id, name, topic},
};
use crate::{
    AdmitNone, Applied, BranchWork, CheckBackWork, ClaimRequest, Claimed, Clock, Command,
    DeliveryRow, DeliveryWork, Destination, Detail, LeaseGrant, Line, Rejection, Reply, Store,
    SubscriptionRow, TransactionRow, Work,
};

/// How long a node of the cases counts as alive.
pub const LEASE: Duration = Duration::from_secs(30);

/// A fresh, empty store and its clock.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its time.
    pub clock: TestClock,
    _held: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("now", &self.clock.now())
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// `store` must be empty and take its time from `clock`; `held` is dropped after it (its directory, say).
    pub fn new(store: Arc<dyn Store>, clock: TestClock, held: impl Any + Send + Sync) -> Self {
        Self {
            store,
            clock,
            _held: Box::new(held),
        }
    }

    /// Runs one command that leases nothing.
    pub async fn run(&self, command: Command) -> Result<Reply, Rejection> {
        let mut applied = self.batch(vec![command], no_grant()).await;
        applied.results.remove(0)
    }

    /// Runs one command that must be accepted.
    pub async fn ok(&self, command: Command) -> Reply {
        let shown = format!("{command:?}");
        self.run(command)
            .await
            .unwrap_or_else(|rejection| panic!("{shown} was refused: {rejection}"))
    }

    /// Runs one command that must be accepted, and returns the transaction after it.
    pub async fn ok_row(&self, command: Command) -> TransactionRow {
        match self.ok(command).await {
            Reply::Transaction { row, .. } | Reply::Settled(row) | Reply::Contradicted(row) => *row,
            Reply::LostLease => panic!("the lease was lost"),
        }
    }

    /// Runs one command under `grant`, and returns the deliveries that it leased.
    pub async fn leased(&self, command: Command, grant: LeaseGrant) -> Vec<DeliveryWork> {
        let applied = self.batch(vec![command], grant).await;
        for result in &applied.results {
            assert!(result.is_ok(), "refused: {result:?}");
        }
        only_deliveries(applied.leased)
    }

    /// Runs a batch.
    pub async fn batch(&self, commands: Vec<Command>, grant: LeaseGrant) -> Applied {
        let expected = commands.len();
        let applied = self
            .store
            .apply(&commands, grant)
            .await
            .expect("the batch runs");
        assert_eq!(applied.results.len(), expected, "one answer per command");
        applied
    }

    /// The transaction number `n`.
    pub async fn row(&self, n: u8) -> TransactionRow {
        self.detail(n).await.transaction
    }

    /// The transaction number `n` with everything.
    pub async fn detail(&self, n: u8) -> Detail {
        self.detail_of(id(n))
            .await
            .expect("the transaction is known")
    }

    /// A transaction with everything.
    pub async fn detail_of(&self, id: TransactionId) -> Option<Detail> {
        self.store.detail(id).await.expect("the query runs")
    }

    /// The only delivery of transaction `n`.
    pub async fn delivery(&self, n: u8) -> DeliveryRow {
        let mut deliveries = self.detail(n).await.deliveries;
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        deliveries.remove(0)
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Enrols a node.
    pub async fn node(&self) -> NodeEpoch {
        self.store
            .enrol("node", LEASE)
            .await
            .expect("the node is enrolled")
    }

    /// Claims without any bound that matters.
    pub async fn claim(&self, epoch: NodeEpoch) -> Claimed {
        self.claim_within(ClaimRequest {
            epoch,
            total: 1_000,
            per_target: 1_000,
            room: HashMap::new(),
        })
        .await
    }

    /// Claims within bounds.
    pub async fn claim_within(&self, request: ClaimRequest) -> Claimed {
        self.store.claim(request).await.expect("the claim runs")
    }

    /// Claims deliveries; nothing else may be due.
    pub async fn deliveries(&self, epoch: NodeEpoch) -> Vec<DeliveryWork> {
        only_deliveries(self.claim(epoch).await.work)
    }

    /// Claims check-backs; nothing else may be due.
    pub async fn check_backs(&self, epoch: NodeEpoch) -> Vec<CheckBackWork> {
        let work = self.claim(epoch).await.work;
        let check_back = |work| match work {
            Work::CheckBack(work) => *work,
            Work::Delivery(other) => panic!("a delivery is due: {}", other.key),
            Work::Branch(other) => panic!("a branch is due: {}", other.key),
        };
        work.into_iter().map(check_back).collect()
    }

    /// Claims calls of branches, by key; nothing else may be due.
    pub async fn branch_work(&self, epoch: NodeEpoch) -> Vec<BranchWork> {
        let work = self.claim(epoch).await.work;
        let branch = |work| match work {
            Work::Branch(work) => *work,
            other => panic!("something else is due: {other:?}"),
        };
        let mut work: Vec<_> = work.into_iter().map(branch).collect();
        work.sort_by_key(|work| work.key);
        work
    }

    /// Claims the one call of a branch that is due.
    pub async fn one_branch(&self, epoch: NodeEpoch) -> BranchWork {
        let mut work = self.branch_work(epoch).await;
        assert_eq!(work.len(), 1, "{work:?}");
        work.remove(0)
    }

    /// Claims the one delivery that is due.
    pub async fn one_delivery(&self, epoch: NodeEpoch) -> DeliveryWork {
        let mut work = self.deliveries(epoch).await;
        assert_eq!(work.len(), 1, "{work:?}");
        work.remove(0)
    }

    /// Claims the one check-back that is due.
    pub async fn one_check_back(&self, epoch: NodeEpoch) -> CheckBackWork {
        let mut work = self.check_backs(epoch).await;
        assert_eq!(work.len(), 1, "{work:?}");
        work.remove(0)
    }

    /// Subscribes `called` to `to`.
    pub async fn subscribe(&self, called: &str, to: &str) -> SubscriptionRow {
        self.put(subscription(called, to)).await
    }

    /// The same, in order per key.
    pub async fn subscribe_ordered(&self, called: &str, to: &str) -> SubscriptionRow {
        self.put(SubscriptionRow {
            ordered: true,
            ..subscription(called, to)
        })
        .await
    }

    /// Creates or replaces a subscription.
    pub async fn put(&self, row: SubscriptionRow) -> SubscriptionRow {
        self.store
            .put_subscription(row)
            .await
            .expect("the subscription is kept")
    }

    /// Pauses or resumes a subscription.
    pub async fn pause(&self, called: &str, paused: bool) -> Option<SubscriptionRow> {
        let namespace = Name::default_namespace();
        self.store
            .pause_subscription(&namespace, &name(called), paused)
            .await
            .expect("the store runs")
    }
}

/// A subscription of the default namespace to a service of the same name.
pub fn subscription(called: &str, to: &str) -> SubscriptionRow {
    SubscriptionRow {
        namespace: Name::default_namespace(),
        name: name(called),
        topic: topic(to),
        destination: Destination::Service(name(called)),
        ordered: false,
        paused: false,
        concurrency: 16,
        timeout: Duration::from_secs(10),
        retry: earnest_protocol::RetryPolicy::default(),
        updated_at: TestClock::START,
    }
}

/// Leases nothing, and advances a line of its own.
pub fn no_grant() -> LeaseGrant {
    static LINES: AtomicI64 = AtomicI64::new(1);
    let id = LINES.fetch_add(1, Ordering::Relaxed);
    LeaseGrant {
        epoch: NodeEpoch(0),
        admission: Arc::new(AdmitNone),
        line: Line { id, last: None },
    }
}

/// The deliveries among `work`, which must be all of it.
pub fn only_deliveries(work: Vec<Work>) -> Vec<DeliveryWork> {
    let delivery = |work| match work {
        Work::Delivery(work) => *work,
        Work::CheckBack(other) => panic!("a check-back is due: {}", other.id),
        Work::Branch(other) => panic!("a branch is due: {}", other.key),
    };
    work.into_iter().map(delivery).collect()
}
