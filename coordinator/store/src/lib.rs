//! What the coordinator keeps, and the only crate of the coordinator's that knows SQL.
//!
//! The traits in [`Store`] are the whole surface. What a command means is written once, in the engine, over
//! plain rows; the stores only read and write those rows, inside one database transaction per batch. One conformance suite holds them to the same behaviour.
//!
//! This crate must never decide what may happen to a transaction (the protocol crate does) and never call
//! a participant.

mod claiming;
mod clock;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
#[cfg(any(test, feature = "fill"))]
mod history;
mod mark;
mod memory;
mod mysql;
pub mod participant;
mod planted;
mod postgres;
mod query;
#[cfg(test)]
mod round;
mod row;
mod sql;
mod sqlite;
mod store;
mod work;
mod working_set;

pub use clock::Clock;
pub use command::{
    Admission, AdmitNone, Applied, AttemptNote, BranchSettled, BranchTried, Command, Decide,
    DeliverySettled, LeaseGrant, NewTransaction, OperatorAction, RegisterBranches, Rejection,
    Reply,
};
pub use error::StoreError;
#[cfg(any(test, feature = "fill"))]
pub use history::History;
pub use mark::{Line, Loss, LossRow, Mark, Recall};
pub use memory::MemoryStore;
pub use mysql::{MySqlOptions, MySqlStore};
pub use postgres::{PostgresOptions, PostgresStore};
pub use query::{Backlog, BranchBacklog, Cursor, Detail, Page, TransactionFilter};
pub use row::{
    AttemptKind, AttemptRow, AuditRow, BranchKey, BranchRow, DeliveryKey, DeliveryRow, Destination,
    Endpoint, EndpointProtocol, ServiceRow, SubscriptionRow, TransactionRow,
};
pub use sqlite::{SqliteOptions, SqliteStore, Synchronous};
pub use store::{
    ClaimRequest, Claimed, Durability, JournalStore, LeaseStore, PurgeReport, QueryStore,
    RecallStore, RegistryStore, RetentionStore, Store,
};
pub use work::{BranchWork, CheckBackWork, DeliveryWork, Target, Work};

/// A message's payload, shared between the store, the driver and the sinks without copying.
pub type Message = earnest_protocol::Message<bytes::Bytes>;

/// The same for a branch.
pub type Branch = earnest_protocol::Branch<bytes::Bytes>;
