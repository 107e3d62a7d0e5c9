//! A local transaction on one connection of a sqlx pool, whose end is always certain or known to be uncertain.
//!
//! sqlx's own guard would hand a connection back to the pool even when its ROLLBACK failed or a savepoint was left open;
//! the next transaction would then inherit it. This one closes such a connection.

use sqlx::{SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager;

use super::Local;

/// Rolls back when dropped.
pub struct PooledTransaction<D: sqlx::Database> {
    connection: PoolConnection<D>,
    open: bool,
}

impl<D: sqlx::Database> PooledTransaction<D> {
    pub(crate) async fn begin(
        connection: PoolConnection<D>,
        statement: SqlStr,
    ) -> Result<Self, sqlx::Error> {
        // Counts as open before it is: BEGIN may have arrived although it was not answered.
        let mut transaction = Self {
            connection,
            open: true,
        };
        let begun = D::TransactionManager::begin(&mut transaction.connection, Some(statement));
        if let Err(error) = begun.await {
            transaction.discard();
            return Err(error);
        }
        Ok(transaction)
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

impl<D: sqlx::Database> Local for PooledTransaction<D> {
    type Connection = D::Connection;

    fn connection(&self) -> &D::Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut D::Connection {
        &mut self.connection
    }

    fn has_savepoint(&self) -> bool {
        D::TransactionManager::get_transaction_depth(&self.connection) != 1
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        let committed = D::TransactionManager::commit(&mut self.connection).await;
        self.ended(committed)
    }

    async fn rollback(mut self) -> Result<(), sqlx::Error> {
        let mut rolled_back = Ok(());
        while rolled_back.is_ok()
            && D::TransactionManager::get_transaction_depth(&self.connection) > 0
        {
            rolled_back = D::TransactionManager::rollback(&mut self.connection).await;
        }
        self.ended(rolled_back)
    }
}

impl<D: sqlx::Database> Drop for PooledTransaction<D> {
    fn drop(&mut self) {
        if self.open {
            D::TransactionManager::start_rollback(&mut self.connection);
        }
    }
}
