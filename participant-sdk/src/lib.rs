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
//! A participant of TCC says how to reserve, and how to use and to give back what is reserved. Each step runs in a local transaction
//! together with a fence row, so that calls that come twice, late or out of order are harmless:
//!
//! ```no_run
//! use earnest::sqlx::{self, Sqlite, SqlitePool};
//! use earnest::{Tcc, TryError, refuse, sqlite::{Earnest, Tx}};
//!
//! #[derive(serde::Deserialize)]
//! struct Debit { account: i64, cents: i64 }
//! struct Account;
//!
//! impl Tcc<Sqlite> for Account {
//!     type Payload = Debit;
//!     async fn try_(&self, tx: &mut Tx, d: &Debit) -> Result<(), TryError> {
//!         let frozen = "UPDATE account SET free = free - $2, frozen = frozen + $2 WHERE id = $1 AND free >= $2";
//!         let done = sqlx::query(frozen).bind(d.account).bind(d.cents).execute(&mut **tx).await?;
//!         if done.rows_affected() == 1 { Ok(()) } else { refuse("insufficient balance") }
//!     }
//!     async fn confirm(&self, tx: &mut Tx, d: &Debit) -> Result<(), sqlx::Error> {
//!         let used = "UPDATE account SET frozen = frozen - $2 WHERE id = $1";
//!         sqlx::query(used).bind(d.account).bind(d.cents).execute(&mut **tx).await?;
//!         Ok(())
//!     }
//!     async fn cancel(&self, tx: &mut Tx, d: &Debit) -> Result<(), sqlx::Error> {
//!         let back = "UPDATE account SET free = free + $2, frozen = frozen - $2 WHERE id = $1";
//!         sqlx::query(back).bind(d.account).bind(d.cents).execute(&mut **tx).await?;
//!         Ok(())
//!     }
//! }
//!
//! # async fn connect(pool: SqlitePool) -> Result<Earnest, earnest::Error> {
//! let earnest = Earnest::service("account")
//!     .pool(pool)
//!     .advertise("http://127.0.0.1:8082")
//!     .tcc("debit", Account)
//!     .connect("http://127.0.0.1:7450")
//!     .await?;
//! # Ok(earnest)
//! # }
//! ```
//!
//! An initiator reserves there, and sends what is to leave under the same decision, which is its own COMMIT:
//!
//! ```no_run
//! use earnest::{Error, TransactionId, branch, sqlite::Earnest};
//!
//! # #[derive(serde::Serialize)] struct Debit { account: i64, cents: i64 }
//! async fn pay(earnest: &Earnest, debit: Debit) -> Result<TransactionId, Error> {
//!     let mut tx = earnest
//!         .reserve()
//!         .branch(branch("account", "debit", &debit)?)
//!         .branch(branch("coupon", "redeem", &7)?)
//!         .begin() // registers, calls the Trys at the same time, then BEGIN; Error::Refused says why not
//!         .await?;
//!     tx.try_("credit", "reserve", &debit).await?; // one more may join, too
//!     tx.send("payment.made", debit.account, &debit)?;
//!     tx.commit().await // COMMIT, confirm; the coordinator confirms the branches
//! }
//! ```
//!
//! All are the same service type, and one service may do them all. When a process dies in between, the coordinator checks
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
mod reserve;
mod settle;
mod shared;
mod slot;
mod sql;
mod tcc;
mod tell;
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
    reserve::Reserving,
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
