//! Where nodes run: one database, every destination, every initiator.

use std::{path::Path, sync::Arc, thread, time::Duration};

use earnest_coordinator::clock::Environment;
use earnest_protocol::{Name, RetryPolicy, TransactionId};
use earnest_store::{
    Clock, Destination, MemoryStore, SqliteOptions, SqliteStore, Store, SubscriptionRow,
    Synchronous,
};
use tokio::time::Instant;

use super::{
    FakeInitiator, FakeParticipants, FakeSink, Ledger, Node, Setup, TokioClock,
    violations::Violations,
};

/// The topic of every message, unless a test says otherwise.
pub(crate) const TOPIC: &str = "order.placed";
/// Its subscription.
pub(crate) const SUBSCRIPTION: &str = "ledger";

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sink: Arc<FakeSink>,
    pub(crate) participants: Arc<FakeParticipants>,
    pub(crate) initiator: Arc<FakeInitiator>,
    pub(crate) ledger: Ledger,
    pub(crate) environment: Environment,
    pub(crate) violations: Violations,
}

impl World {
    /// Over the memory reference, with the subscription of [`TOPIC`].
    pub(crate) async fn memory() -> Self {
        Self::restorable().await.0
    }

    /// The same, and the database itself, which can be copied and restored.
    pub(crate) async fn restorable() -> (Self, Arc<MemoryStore>) {
        let clock = Arc::new(TokioClock::start());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let world = Self::new(Arc::clone(&store) as _, clock).await;
        (world, store)
    }

    /// Over SQLite. Its thread knows no paused time.
    pub(crate) async fn sqlite(directory: &Path) -> Self {
        let clock = Arc::new(TokioClock::start());
        let options = SqliteOptions {
            synchronous: Synchronous::Off,
            ..SqliteOptions::new(directory.join("core.db"))
        };
        let store =
            SqliteStore::open(options, Arc::clone(&clock) as _).expect("a new database opens");
        Self::new(Arc::new(store), clock).await
    }

    async fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let violations = Violations::default();
        let world = Self {
            sink: Arc::new(FakeSink::new(Arc::clone(&store), violations.clone())),
            participants: Arc::new(FakeParticipants::new(
                Arc::clone(&store),
                violations.clone(),
            )),
            initiator: Arc::new(FakeInitiator::new()),
            ledger: Ledger::default(),
            environment: Environment::seeded(clock, 7),
            store,
            violations,
        };
        world.subscribe(SUBSCRIPTION, TOPIC, |_| ()).await;
        world
    }

    /// Adds a subscription, changed as `change` says.
    pub(crate) async fn subscribe(
        &self,
        name: &str,
        topic: &str,
        change: impl FnOnce(&mut SubscriptionRow),
    ) {
        let mut row = SubscriptionRow {
            namespace: Name::default_namespace(),
            name: name.parse().unwrap(),
            topic: topic.parse().unwrap(),
            destination: Destination::Service(name.parse().unwrap()),
            ordered: false,
            paused: false,
            concurrency: 64,
            timeout: seconds(2),
            retry: RetryPolicy {
                initial: millis(100),
                multiplier_milli: 2_000,
                cap: seconds(5),
            },
            updated_at: self.environment.now(),
        };
        change(&mut row);
        self.store
            .put_subscription(row)
            .await
            .expect("the store answers");
    }

    /// Starts a node with the options of most tests.
    pub(crate) async fn node(&self, name: &'static str) -> Node<'_> {
        self.node_with(name, Setup::default()).await
    }

    pub(crate) async fn node_with(&self, name: &'static str, setup: Setup) -> Node<'_> {
        Node::start(self, name, setup).await
    }

    pub(crate) fn id(&self) -> TransactionId {
        self.environment.transaction_id()
    }

    pub(crate) fn ids(&self, count: usize) -> Vec<TransactionId> {
        (0..count).map(|_| self.id()).collect()
    }

    /// Waits until everything is final or parked, and checks all that was acknowledged and done against it.
    pub(crate) async fn at_rest(&self) {
        until("everything is final or parked", async || {
            self.ledger.owed(&*self.store).await.is_empty()
        })
        .await;
        self.check().await;
    }

    /// Checks M1, M3, M5, K1, K3, T3, T5 as things stand.
    pub(crate) async fn check(&self) {
        self.ledger
            .check(&*self.store, &self.sink, &self.participants)
            .await;
        self.violations.none();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.violations.none();
        }
    }
}

/// Waits until `holds`; fails when that takes more than half an hour of the test's time.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + minutes(30);
    let mut step = Duration::from_micros(500);
    while !holds().await {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        tokio::time::sleep(step).await;
        step = (step * 5 / 4).min(millis(100));
    }
}

pub(crate) fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}
