//! Earnest for service teams: a message leaves if, and only if, your database transaction commits.
//!
//! A sender opens its local transaction here instead of at its pool, says what to send, and commits:
//!
//! ```no_run
//! use earnest::{Error, TransactionId, sqlite::Earnest, sqlx};
//!
//! # #[derive(serde::Serialize)] struct Order { id: i64, amount: i64 }
//! async fn place(earnest: &Earnest, order: Order) -> Result<TransactionId, Error> {
//!     let mut tx = earnest.begin().await?; // BEGIN + fence row
//!     sqlx::query("INSERT INTO orders VALUES ($1, $2)")
//!         .bind(order.id)
//!         .bind(order.amount)
//!         .execute(&mut *tx)
//!         .await?;
//!     tx.send("order.placed", order.id, &order)?; // only collects
//!     tx.commit().await // prepare, COMMIT, confirm
//! }
//! ```
//!
//! A consumer says what to do with the messages of a topic; its handler runs in a local transaction, and its effect
//! happens once although delivery is at least once:
//!
//! ```no_run
//! use earnest::sqlite::Earnest;
//! use earnest::sqlx::{self, SqlitePool};
//!
//! # #[derive(serde::Deserialize)] struct Order { id: i64, amount: i64 }
//! # async fn connect(pool: SqlitePool) -> Result<(), Box<dyn std::error::Error>> {
//! let earnest = Earnest::service("ledger")
//!     .pool(pool)
//!     .advertise("http://127.0.0.1:8081")
//!     .on("order.placed", |mut tx, order: Order| async move {
//!         sqlx::query("INSERT INTO lines VALUES ($1, $2)")
//!             .bind(order.id)
//!             .bind(order.amount)
//!             .execute(&mut *tx)
//!             .await?;
//!         Ok(())
//!     })
//!     .connect("http://127.0.0.1:7450")
//!     .await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
//! # #[cfg(feature = "axum")]
//! axum::serve(listener, earnest.router()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Both are the same service type, and one service may do both. When a process dies in between, the coordinator checks
//! back with any instance of the service, and the SDK answers from the fence row without any of the service's code.
//!
//! This crate never guesses an outcome: what it can't prove it leaves to the check-back.

mod background;
mod branch;
mod builder;
mod check_back;
mod clock;
mod commit;
mod context;
mod coordinator;
mod coordinator_error;
mod crash;
mod deliver;
mod earnest;
mod endpoints;
mod error;
mod execute;
mod fate;
#[doc(hidden)]
pub mod fence;
mod handler;
mod ids;
mod marks;
mod message;
mod open;
mod participant;
mod participants;
mod planted;
mod reconnect;
mod settle;
mod shared;
mod slot;
mod sql;
mod tcc;
mod trace;
mod trys;
mod tx;

pub use sqlx;

pub use crate::{
    builder::{Builder, Named},
    clock::{Chance, Clock, SystemChance, SystemClock},
    context::Context,
    coordinator_error::{CoordinatorError, Reason},
    earnest::Earnest,
    error::{Error, SetupError},
    execute::Execution,
    handler::{Delivery, HandlerError, reject},
    ids::{BranchId, InvalidTransactionId, MessageId, TransactionId},
    message::{Message, MessageProblem},
    participant::ParticipantService,
    shared::Timeouts,
    sql::Db,
    tcc::{Tcc, TryError, refuse},
    trys::{Branch, branch},
    tx::{Committed, Tx},
};

/// Earnest on a database in memory: for tests and simulation only, since it forgets everything with its process.
///
/// The service's own code runs on it as on any other database, with rows by key instead of SQL. It waits only by tokio's time and
/// has no thread, so a single-threaded runtime with paused time, a clock and a chance of your own ([`Clock`], [`Chance`])
/// repeat a run exactly. [`Database::inject`](memory::Database::inject) makes it fail.
///
/// ```
/// use earnest::memory::{Database, Earnest, Fault, Operation};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = Database::new("cashier-database");
/// let earnest = Earnest::service("cashier")
///     .pool(database.clone())
///     .connect("http://127.0.0.1:7450")
///     .await?;
/// let mut tx = earnest.begin().await?;
/// tx.put("orders/1", "blue").await?;
/// assert_eq!(database.row("orders/1"), None);
/// tx.commit().await?;
/// assert_eq!(database.row("orders/1").as_deref(), Some(&b"blue"[..]));
///
/// database.inject(|operation| (operation == Operation::Begin).then_some(Fault::Refused));
/// assert!(earnest.begin().await.unwrap_err().is_retryable());
/// # Ok(()) }
/// ```
#[cfg(feature = "memory")]
pub mod memory {
    pub use crate::sql::memory::{
        Connection, Database, Fault, LocalTransaction, Memory, Operation,
    };

    /// [`crate::Earnest`] in memory.
    pub type Earnest = crate::Earnest<Memory>;
    /// [`crate::Tx`] in memory.
    pub type Tx = crate::Tx<Memory>;
    /// [`crate::Builder`] in memory.
    pub type Builder = crate::Builder<Memory>;
}

/// Earnest on SQLite.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use crate::sql::sqlite::{SCHEMA, migrate};

    /// [`crate::Earnest`] on SQLite.
    pub type Earnest = crate::Earnest<sqlx::Sqlite>;
    /// [`crate::Tx`] on SQLite.
    pub type Tx = crate::Tx<sqlx::Sqlite>;
    /// [`crate::Builder`] on SQLite.
    pub type Builder = crate::Builder<sqlx::Sqlite>;
}

/// Earnest on PostgreSQL.
#[cfg(feature = "postgres")]
pub mod postgres {
    pub use crate::sql::postgres::{SCHEMA, migrate};

    /// [`crate::Earnest`] on PostgreSQL.
    pub type Earnest = crate::Earnest<sqlx::Postgres>;
    /// [`crate::Tx`] on PostgreSQL.
    pub type Tx = crate::Tx<sqlx::Postgres>;
    /// [`crate::Builder`] on PostgreSQL.
    pub type Builder = crate::Builder<sqlx::Postgres>;
}

/// Earnest on MySQL and MariaDB.
#[cfg(feature = "mysql")]
pub mod mysql {
    pub use crate::sql::mysql::{SCHEMA, migrate};

    /// [`crate::Earnest`] on MySQL.
    pub type Earnest = crate::Earnest<sqlx::MySql>;
    /// [`crate::Tx`] on MySQL.
    pub type Tx = crate::Tx<sqlx::MySql>;
    /// [`crate::Builder`] on MySQL.
    pub type Builder = crate::Builder<sqlx::MySql>;
}
