//! Where the fence and the inbox are kept: one sibling per database, each with its own SQL, and one in memory for simulation.
//!
//! A sibling is only hands: what rows mean is decided in [`crate::fence`]. It never calls the coordinator.
//!
//! All of them speak of failures as [`sqlx::Error`], so that a service's code reads the same on each.
//!
//! What every sibling must see to: the row that proves the local transaction is its first statement and is read again as its
//! last one, since some databases answer COMMIT of a lost transaction without an error.

use std::future::Future;

use crate::{
    fence::{Call, FencingRead, Held, Inbox, Wrote},
    ids::{BranchId, MessageId, TransactionId},
};

pub(crate) mod local;
#[cfg(feature = "memory")]
pub(crate) mod memory;
#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) mod pooled;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

/// The newest version of Earnest's tables that this crate knows.
pub(crate) const SCHEMA_VERSION: i64 = 1;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
const TABLES: [&str; 3] = ["earnest_resource", "earnest_fence", "earnest_inbox"];

/// A row is looked for by its id, which carries the initiator's time; it is judged by the coordinator's time. The clocks
/// may differ by this much before old rows stay a little longer.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
const CLOCK_SLACK_US: i64 = 24 * 3_600 * 1_000_000;

/// A database that Earnest's fence can live in. Sealed: see the modules of this crate for the databases there are.
pub trait Db: Dialect {}

/// What identifies a delivery in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InboxKey {
    pub(crate) message: MessageId,
    pub(crate) subscription: String,
}

/// What the one row about the database itself says.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) id: String,
    pub(crate) schema_version: i64,
}

/// Earnest's tables as they were found.
#[derive(Clone, Debug)]
pub enum Tables {
    /// They are there.
    Present(Resource),
    /// Some are not.
    Missing(Vec<&'static str>),
}

/// An open local transaction. Dropped, it rolls back.
pub trait Local: Send + 'static {
    /// What the service's own statements run on.
    type Connection;

    /// The connection that the transaction is open on.
    fn connection(&self) -> &Self::Connection;

    /// The same, to run statements on.
    fn connection_mut(&mut self) -> &mut Self::Connection;

    /// Whether a savepoint is open, which would turn COMMIT into its release.
    fn has_savepoint(&self) -> bool;

    /// An error means that the outcome is unknown.
    fn commit(self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// `Ok` means that the rollback was seen.
    fn rollback(self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// The operations that differ between databases. Not for use outside of this crate.
pub trait Dialect: Sized + Send + Sync + 'static {
    /// The database as a service holds it; clones share it.
    type Pool: Clone + Send + Sync + 'static;

    /// What the service's own statements run on, inside a local transaction.
    type Connection: Send + 'static;

    /// An open local transaction.
    type Local: Local<Connection = Self::Connection>;

    /// Whether the database lets one transaction write at a time. They then queue up in order here, instead of polling for the
    /// database's lock with a connection in hand.
    const ONE_WRITER: bool;

    /// How many handlers of one call run at the same time, unless the service says otherwise.
    const HANDLERS_AT_ONCE: usize;

    /// Opens a local transaction that can hold the fence.
    fn begin(pool: &Self::Pool) -> impl Future<Output = Result<Self::Local, sqlx::Error>> + Send;

    /// Inserts the outcome row `committed`, to become visible with the local transaction.
    fn insert_outcome(
        connection: &mut Self::Connection,
        id: TransactionId,
        created_us: i64,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The last statement before COMMIT: notes the coordinator's time in the outcome row, and says whether exactly that one row is
    /// still there.
    fn outcome_holds(
        connection: &mut Self::Connection,
        id: TransactionId,
        created_us: i64,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Inserts `rolled_back` unless there is a row, commits that durably, and then reads the row in a new statement.
    /// An insert that waits too long for an open local transaction is *in progress*; an error means that nothing is known.
    fn fencing_read(
        pool: &Self::Pool,
        id: TransactionId,
        created_us: i64,
    ) -> impl Future<Output = Result<FencingRead, sqlx::Error>> + Send;

    /// The first statement of a consumer's local transaction.
    fn insert_inbox(
        connection: &mut Self::Connection,
        key: &InboxKey,
        created_us: i64,
    ) -> impl Future<Output = Result<Inbox, sqlx::Error>> + Send;

    /// The last statement before a consumer's COMMIT: whether exactly its inbox row is still there, and no purge of rows of its age
    /// came in between.
    fn inbox_holds(
        connection: &mut Self::Connection,
        key: &InboxKey,
        created_us: i64,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// The first statements of a branch's local transaction: what the call writes (see [`Wrote`]), and the horizon.
    fn write_branch(
        connection: &mut Self::Connection,
        id: BranchId,
        call: Call,
        created_us: i64,
    ) -> impl Future<Output = Result<(Wrote, i64), sqlx::Error>> + Send;

    /// The last statement before a branch's COMMIT: how its row stands, and the horizon. `None`: the row, or the whole transaction,
    /// is gone.
    fn branch_stands(
        connection: &mut Self::Connection,
        id: BranchId,
    ) -> impl Future<Output = Result<(Option<Held>, i64), sqlx::Error>> + Send;

    /// Looks for Earnest's tables.
    fn tables(pool: &Self::Pool) -> impl Future<Output = Result<Tables, sqlx::Error>> + Send;

    /// Creates Earnest's tables where they are missing.
    fn migrate(pool: &Self::Pool) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Settings under which an answered COMMIT may still be lost, each as a sentence with its remedy.
    fn durability_gaps(
        pool: &Self::Pool,
    ) -> impl Future<Output = Result<Vec<String>, sqlx::Error>> + Send;

    /// Deletes at most `limit` rows of each table created before `cutoff_us`, and in the same local transaction moves the horizon
    /// past the youngest of them. Returns the rows deleted.
    ///
    /// The horizon follows the rows and not the clock: a clock that jumps ahead must not make the service refuse everything.
    fn purge_batch(
        pool: &Self::Pool,
        cutoff_us: i64,
        limit: u32,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

/// Whether a database error is of the kind that passes: locks, deadlocks, shutdowns.
pub(crate) fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    let asked: &[fn(&dyn sqlx::error::DatabaseError) -> Option<bool>] = &[
        #[cfg(feature = "sqlite")]
        sqlite::is_passing,
        #[cfg(feature = "postgres")]
        postgres::is_passing,
        #[cfg(feature = "mysql")]
        mysql::is_passing,
        #[cfg(feature = "memory")]
        memory::is_passing,
    ];
    asked.iter().find_map(|ask| ask(error)).unwrap_or(false)
}
