//! Leases due work and runs it: check-backs and deliveries are two instances of one driver.
//!
//! Work comes from the journal (the fast path: leased by the very commit that made it due) and from claims
//! (recovery, retries, check-backs). It waits on the [`Board`], bounded per target and altogether, is run through
//! the ports, and its end is written by the journal under the lease's token. The driver must never decide
//! anything: it reports what was answered.

mod board;
mod breaker;
mod claimer;
mod outcome;
mod reaper;
mod runner;
mod settler;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{BranchAnswer, DeliveryAnswer, RetryPolicy};
use earnest_store::{BranchWork, DeliveryWork, Store, StoreError};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use board::{Board, BoardDispatcher, BoardOptions, TargetStatus};
pub use breaker::{Breaker, BreakerState};
pub use outcome::CallOutcome;

use crate::{
    clock::Environment,
    journal::Journal,
    service::CheckBackPort,
    telemetry::Metrics,
    vigil::{self, Vigil},
};

/// Hands messages to a destination.
#[async_trait]
pub trait DeliveryPort: Send + Sync {
    /// One call with messages of one subscription; an outcome for each, in order.
    async fn deliver(&self, batch: &[DeliveryWork]) -> Vec<CallOutcome<DeliveryAnswer>>;
}

/// Calls branches at their participant.
#[async_trait]
pub trait BranchPort: Send + Sync {
    /// One call with branches of one service; an outcome for each, in order.
    async fn call(&self, batch: &[BranchWork]) -> Vec<CallOutcome<BranchAnswer>>;
}

/// How the driver works.
#[derive(Debug, Clone)]
pub struct DriverOptions {
    /// This node's name, for people.
    pub node: String,
    /// How long the node counts as alive without a heartbeat.
    pub lease: Duration,
    /// The longest time between two looks for due work.
    pub poll: Duration,
    /// How long one check-back may take.
    pub check_back_timeout: Duration,
    /// How long one call of branches may take.
    pub branch_timeout: Duration,
    /// When to call a branch again.
    pub branch_retry: RetryPolicy,
    /// How long after its decision a branch that is not done is set aside for a person; zero: never.
    pub branch_park_after: Duration,
    /// How long finished transactions are kept.
    pub retention: Duration,
    /// The time between two purges.
    pub purge_every: Duration,
    /// How long a drain waits for what is under way.
    pub drain: Duration,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            node: "node".into(),
            lease: Duration::from_secs(5),
            poll: Duration::from_millis(250),
            check_back_timeout: Duration::from_secs(10),
            branch_timeout: Duration::from_secs(10),
            branch_retry: RetryPolicy::default(),
            branch_park_after: Duration::ZERO,
            retention: Duration::from_hours(7 * 24),
            purge_every: Duration::from_mins(1),
            drain: Duration::from_secs(10),
        }
    }
}

/// What the driver works with.
pub struct DriverParts {
    /// Where work is leased.
    pub store: Arc<dyn Store>,
    /// Where ends are written.
    pub journal: Journal,
    /// Where work waits.
    pub board: Arc<Board>,
    /// Asks initiators.
    pub check_back: Arc<dyn CheckBackPort>,
    /// Hands messages on.
    pub delivery: Arc<dyn DeliveryPort>,
    /// Calls participants.
    pub branches: Arc<dyn BranchPort>,
    /// Time and chance.
    pub environment: Environment,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// While it misses something, no work is taken up.
    pub vigil: Arc<Vigil>,
}

/// The running driver.
pub struct Driver {
    store: Arc<dyn Store>,
    board: Arc<Board>,
    options: DriverOptions,
    /// Stops claims, new runs and purges.
    stop: CancellationToken,
    loops: TaskTracker,
    runs: TaskTracker,
    /// Stops heartbeats, when nothing is under way any more.
    stop_heart: CancellationToken,
    heart: TaskTracker,
}

impl Driver {
    /// Enrols the node; done before the journal starts, since leases need an epoch.
    pub async fn enrol(
        store: &dyn Store,
        board: &Board,
        options: &DriverOptions,
    ) -> Result<(), StoreError> {
        let epoch = store.enrol(&options.node, options.lease).await?;
        board.set_epoch(epoch);
        tracing::info!(node = options.node, epoch = epoch.0, "enrolled");
        Ok(())
    }

    /// Starts claims, runs, heartbeats and purges.
    pub fn start(parts: DriverParts, options: DriverOptions) -> Self {
        let (stop, stop_heart) = (CancellationToken::new(), CancellationToken::new());
        let (loops, runs, heart) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        let (store, board) = (Arc::clone(&parts.store), Arc::clone(&parts.board));
        let parts = Arc::new(parts);
        loops.spawn(vigil::watch(
            Arc::clone(&parts.vigil),
            Arc::clone(&store),
            options.lease / 3,
            stop.clone(),
        ));
        loops.spawn(runner::run(
            Arc::clone(&parts),
            options.clone(),
            runs.clone(),
            stop.clone(),
        ));
        loops.spawn(claimer::claim_loop(
            Arc::clone(&parts),
            options.clone(),
            stop.clone(),
        ));
        heart.spawn(claimer::heartbeat_loop(
            Arc::clone(&store),
            Arc::clone(&board),
            options.clone(),
            stop_heart.clone(),
        ));
        loops.spawn(reaper::purge_loop(
            Arc::clone(&parts),
            options.clone(),
            stop.clone(),
        ));
        Self {
            store,
            board,
            options,
            stop,
            loops,
            runs,
            stop_heart,
            heart,
        }
    }

    /// Takes no more work, finishes what is under way (for a bounded time), and gives the rest back. It ends
    /// although the database hangs.
    pub async fn drain(self) {
        self.board.close();
        self.stop.cancel();
        self.loops.close();
        self.runs.close();
        // The node counts as alive meanwhile, or others would take what it is finishing.
        let ended = async {
            self.loops.wait().await;
            self.runs.wait().await;
        };
        if timeout(self.options.drain, ended).await.is_err() {
            tracing::warn!(
                left = self.runs.len(),
                "drain: calls still under way are left to their leases"
            );
        }
        self.stop_heart.cancel();
        self.heart.close();
        let resigned = async {
            self.heart.wait().await;
            self.store.resign(self.board.epoch()).await
        };
        // After the length of a lease there is nothing left to give back.
        match timeout(self.options.lease, resigned).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "leases not given back: they run out by themselves"
            ),
            Err(_) => {
                tracing::warn!("leases not given back in time: they run out by themselves");
            }
        }
    }
}
