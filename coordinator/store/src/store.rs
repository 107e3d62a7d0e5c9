//! The traits of a store, one per concern, each of which can fail.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use earnest_protocol::{Name, NodeEpoch, Phase, Timestamp, TransactionId};

use crate::{
    Applied, AuditRow, Backlog, BranchBacklog, Command, Cursor, Detail, LeaseGrant, LossRow, Mark,
    Page, Recall, ServiceRow, StoreError, SubscriptionRow, Target, TransactionFilter,
    TransactionRow, Work,
};

/// Writing.
#[async_trait]
pub trait JournalStore: Send + Sync {
    /// Runs `commands` as one database transaction and commits it durably. Each command has its own answer;
    /// an `Err` means that nothing of the batch was acknowledged (it may be committed only after
    /// [`StoreError::CommitUnknown`]).
    ///
    /// Commands are idempotent: a batch may be run again after any error. The commands stay the caller's,
    /// who needs them for that.
    ///
    /// A batch that writes advances `grant.line`. A database that has forgotten what was acknowledged of that line is
    /// not written to: [`StoreError::Forgot`].
    async fn apply(&self, commands: &[Command], grant: LeaseGrant) -> Result<Applied, StoreError>;
}

/// What a node asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// For whom.
    pub epoch: NodeEpoch,
    /// At most this many altogether.
    pub total: usize,
    /// At most this many for a target that `room` doesn't name.
    pub per_target: usize,
    /// At most this many for these; 0: none (its breaker is open, or it is busy).
    pub room: HashMap<Target, usize>,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Leased now, the longest due first within each target.
    pub work: Vec<Work>,
    /// How long until the next thing not yet due is; `None`: nothing waits.
    pub next_due: Option<Duration>,
    /// Rows that could not be read: logged, and left alone.
    pub damaged: usize,
}

/// Leases: the right of one node, under a token, to drive one piece of work.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Enrols this run of a node and returns its epoch. `lease` is how long it counts as alive without a
    /// heartbeat.
    async fn enrol(&self, node: &str, lease: Duration) -> Result<NodeEpoch, StoreError>;
    /// Says that the node lives. False: it was taken for dead and what it held was given to others, so it
    /// must enrol anew.
    async fn heartbeat(&self, epoch: NodeEpoch, lease: Duration) -> Result<bool, StoreError>;
    /// Gives back all that the node holds and forgets it: drain.
    async fn resign(&self, epoch: NodeEpoch) -> Result<(), StoreError>;
    /// Frees what dead nodes held, then leases due work in batches, bounded per target, passing over
    /// paused subscriptions. The head of an ordered key only.
    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError>;
}

/// Reading.
#[async_trait]
pub trait QueryStore: Send + Sync {
    /// The store's time.
    async fn now(&self) -> Result<Timestamp, StoreError>;
    /// One transaction; `Ok(None)`: not known.
    async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, StoreError>;
    /// One transaction with everything.
    async fn detail(&self, id: TransactionId) -> Result<Option<Detail>, StoreError>;
    /// Newest first.
    async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<TransactionRow>, StoreError>;
    /// What each subscription owes; only those that owe something.
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;
    /// What each participant has still to be called for; only those that have something.
    async fn branch_backlog(&self) -> Result<Vec<BranchBacklog>, StoreError>;
    /// How many transactions are in each unfinished phase, and how many undecided ones are parked (`None`).
    async fn unfinished(&self) -> Result<Vec<(Option<Phase>, u64)>, StoreError>;
    /// The newest audit lines, newest first.
    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError>;
}

/// Services and subscriptions.
#[async_trait]
pub trait RegistryStore: Send + Sync {
    /// Creates or replaces. `updated_at` is set by the store; returns the row as kept.
    async fn put_subscription(&self, row: SubscriptionRow) -> Result<SubscriptionRow, StoreError>;
    /// Removes it and parks what it owes. False: there was none.
    async fn delete_subscription(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError>;
    /// Pauses or resumes; `Ok(None)`: there is none.
    async fn pause_subscription(
        &self,
        namespace: &Name,
        name: &Name,
        paused: bool,
    ) -> Result<Option<SubscriptionRow>, StoreError>;
    /// By name; `None`: of every namespace.
    async fn subscriptions(
        &self,
        namespace: Option<&Name>,
    ) -> Result<Vec<SubscriptionRow>, StoreError>;
    /// Creates a service, or adds its endpoints in front of those known (at most 64 are kept), or replaces
    /// them.
    async fn put_service(&self, row: ServiceRow, replace: bool) -> Result<ServiceRow, StoreError>;
    /// `Ok(None)`: not known.
    async fn service(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<Option<ServiceRow>, StoreError>;
    /// By name; `None`: of every namespace.
    async fn services(&self, namespace: Option<&Name>) -> Result<Vec<ServiceRow>, StoreError>;
    /// False: there was none.
    async fn delete_service(&self, namespace: &Name, name: &Name) -> Result<bool, StoreError>;
}

/// What one step of a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurgeReport {
    /// Transactions removed, with their messages, deliveries and attempts.
    pub removed: usize,
    /// More may be left: call again.
    pub more: bool,
}

/// Finished history.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Removes up to `limit` transactions that finished before `older_than` ago, and stores the purge
    /// horizon (ids made before it are refused) in the same database transaction. Never touches what is
    /// unfinished.
    async fn purge(&self, older_than: Duration, limit: usize) -> Result<PurgeReport, StoreError>;
}

/// What a database remembers of what it acknowledged (R5).
#[async_trait]
pub trait RecallStore: Send + Sync {
    /// What it remembers of `lines`, and what it is known to have forgotten.
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError>;
    /// Records that `mark`, which was acknowledged, is missing, so that every node hears of it. Looks again first:
    /// `Ok(None)`, it is there, or somebody has accepted that it is not.
    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError>;
    /// Goes on with the database as it is: begins an incarnation above all that was reported, writes an audit line, and
    /// returns what was given up. Empty: nothing was reported, and nothing was done.
    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError>;
}

/// How durable a commit is, as read from the live connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// `memory`, `sqlite`, …
    pub store: &'static str,
    /// For people and for benchmarks: `journal_mode=wal synchronous=full`.
    pub settings: String,
    /// Whether an acknowledged commit survives power loss.
    pub durable: bool,
}

/// All of it.
#[async_trait]
pub trait Store:
    JournalStore + LeaseStore + QueryStore + RegistryStore + RetentionStore + RecallStore
{
    /// Read from the live connection, not from a setting.
    async fn durability(&self) -> Result<Durability, StoreError>;
    /// Answers when the database does: readiness.
    async fn ping(&self) -> Result<(), StoreError>;
}
