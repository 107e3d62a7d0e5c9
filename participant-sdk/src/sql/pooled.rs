//! A local transaction on one connection of a sqlx pool, whose end is always certain or known to be uncertain.
//!
//! sqlx's own guard would hand a connection back to the pool even when its ROLLBACK failed or a savepoint was left open;
//! the next transaction would then inherit it. This one closes such a connection.

use std::future::Future;

use sqlx::{SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager;
use tokio::runtime::Handle;

use super::Local;

/// A sqlx database, and what its local transactions leave behind in a session.
pub trait Pooled: sqlx::Database {
    /// Whether a session has to be put right before its connection goes back to the pool.
    const LEAVES_TRACES: bool = false;

    /// Puts the session's settings back as the service had them. Nothing is open then.
    fn hand_back(
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Rolls back when dropped.
pub struct PooledTransaction<D: Pooled> {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<D>>,
    open: bool,
    /// Whether a drop has tried to end it already.
    dropped: bool,
}

impl<D: Pooled> PooledTransaction<D> {
    pub(crate) async fn begin(
        connection: PoolConnection<D>,
        statement: SqlStr,
    ) -> Result<Self, sqlx::Error> {
        // Counts as open before it is: BEGIN may have arrived although it was not answered.
        let mut transaction = Self {
            connection: Some(connection),
            open: true,
            dropped: false,
        };
        let begun = D::TransactionManager::begin(transaction.connection_mut(), Some(statement));
        if let Err(error) = begun.await {
            transaction.discard();
            return Err(error);
        }
        Ok(transaction)
    }

    async fn ended(mut self, result: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
        if result.is_err() {
            self.discard();
            return result;
        }
        // What the database said of the end stands, whatever becomes of the connection.
        if D::LEAVES_TRACES && D::hand_back(self.connection_mut()).await.is_err() {
            self.discard();
        }
        self.open = false;
        result
    }

    /// Closing the connection ends whatever is open on it.
    fn discard(&mut self) {
        self.open = false;
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

const GONE: &str = "only the drop takes the connection";

impl<D: Pooled> Local for PooledTransaction<D> {
    type Connection = D::Connection;

    fn connection(&self) -> &D::Connection {
        self.connection.as_ref().expect(GONE)
    }

    fn connection_mut(&mut self) -> &mut D::Connection {
        self.connection.as_mut().expect(GONE)
    }

    fn has_savepoint(&self) -> bool {
        D::TransactionManager::get_transaction_depth(self.connection()) != 1
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        let committed = D::TransactionManager::commit(self.connection_mut()).await;
        self.ended(committed).await
    }

    async fn rollback(mut self) -> Result<(), sqlx::Error> {
        let mut rolled_back = Ok(());
        while rolled_back.is_ok()
            && D::TransactionManager::get_transaction_depth(self.connection()) > 0
        {
            rolled_back = D::TransactionManager::rollback(self.connection_mut()).await;
        }
        self.ended(rolled_back).await
    }
}

impl<D: Pooled> Drop for PooledTransaction<D> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if !D::LEAVES_TRACES {
            D::TransactionManager::start_rollback(self.connection_mut());
            return;
        }
        // Only ROLLBACK can be queued on a connection, so what comes after it is done by a task; without one it is closed. A
        // runtime that goes away drops its tasks: not once more then.
        match Handle::try_current() {
            Ok(runtime) if !self.dropped => {
                let rest = Self {
                    connection: self.connection.take(),
                    open: true,
                    dropped: true,
                };
                runtime.spawn(async move {
                    if let Err(error) = rest.rollback().await {
                        tracing::debug!(%error, "the rollback of a dropped transaction was not answered");
                    }
                });
            }
            _ => self.discard(),
        }
    }
}
