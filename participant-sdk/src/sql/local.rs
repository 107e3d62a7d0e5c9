//! One local transaction on one connection of the service's pool, whose end is always certain or known to be uncertain.
//!
//! sqlx's own guard would hand a connection back to the pool even when its ROLLBACK failed or a savepoint was left open;
//! the next transaction would then inherit it. This one closes such a connection.

use sqlx::{SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::OwnedSemaphorePermit;

/// Rolls back when dropped.
pub struct LocalTransaction<D: sqlx::Database> {
    connection: PoolConnection<D>,
    open: bool,
    /// Held to the end; the next writer comes after it.
    turn: Option<OwnedSemaphorePermit>,
}

impl<D: sqlx::Database> LocalTransaction<D> {
    pub(crate) async fn begin(
        connection: PoolConnection<D>,
        statement: SqlStr,
    ) -> Result<Self, sqlx::Error> {
        // Counts as open before it is: BEGIN may have arrived although it was not answered.
        let mut transaction = Self {
            connection,
            open: true,
            turn: None,
        };
        let begun = D::TransactionManager::begin(&mut transaction.connection, Some(statement));
        if let Err(error) = begun.await {
            transaction.discard();
            return Err(error);
        }
        Ok(transaction)
    }

    pub(crate) fn holding(mut self, turn: Option<OwnedSemaphorePermit>) -> Self {
        self.turn = turn;
        self
    }

    pub(crate) fn connection(&self) -> &D::Connection {
        &self.connection
    }

    pub(crate) fn connection_mut(&mut self) -> &mut D::Connection {
        &mut self.connection
    }

    /// Whether a savepoint is open, which would turn COMMIT into its release.
    pub(crate) fn has_savepoint(&self) -> bool {
        D::TransactionManager::get_transaction_depth(&self.connection) != 1
    }

    /// An error means that the outcome is unknown.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let committed = D::TransactionManager::commit(&mut self.connection).await;
        self.ended(committed)
    }

    /// `Ok` means that the rollback was seen.
    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        let mut rolled_back = Ok(());
        while rolled_back.is_ok()
            && D::TransactionManager::get_transaction_depth(&self.connection) > 0
        {
            rolled_back = D::TransactionManager::rollback(&mut self.connection).await;
        }
        self.ended(rolled_back)
    }

    fn ended(mut self, result: Result<(), sqlx::Error>) -> Result<(), sqlx::Error> {
        match result {
            Ok(()) => self.open = false,
            Err(_) => self.discard(),
        }
        result
    }

    /// Closing the connection ends whatever is open on it.
    fn discard(&mut self) {
        self.open = false;
        self.connection.close_on_drop();
    }
}

impl<D: sqlx::Database> Drop for LocalTransaction<D> {
    fn drop(&mut self) {
        if self.open {
            D::TransactionManager::start_rollback(&mut self.connection);
        }
    }
}
