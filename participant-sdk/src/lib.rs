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
mod builder;
mod check_back;
mod clock;
mod commit;
mod coordinator;
mod coordinator_error;
mod crash;
mod deliver;
mod earnest;
mod error;
mod fate;
mod fence;
mod handler;
mod ids;
mod message;
mod open;
mod participant;
mod reconnect;
mod settle;
mod shared;
mod slot;
mod sql;
mod trace;
mod tx;

pub use sqlx;

pub use crate::{
    builder::{Builder, Named},
    clock::{Chance, Clock, SystemChance, SystemClock},
    coordinator_error::{CoordinatorError, Reason},
    earnest::Earnest,
    error::{Error, SetupError},
    handler::{Delivery, HandlerError, reject},
    ids::{InvalidTransactionId, MessageId, TransactionId},
    message::{Message, MessageProblem},
    participant::ParticipantService,
    shared::Timeouts,
    sql::Db,
    tx::Tx,
};

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
