//! One local transaction and its turn, whatever the database.
//!
//! The turn is handed on only after the transaction has ended: the next writer must not meet its locks.

use tokio::sync::OwnedSemaphorePermit;

use super::{Dialect, Local};

/// Rolls back when dropped.
pub(crate) struct LocalTransaction<D: Dialect> {
    // Dropped before the turn.
    local: D::Local,
    turn: Option<OwnedSemaphorePermit>,
}

impl<D: Dialect> LocalTransaction<D> {
    pub(crate) fn new(local: D::Local, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { local, turn }
    }

    pub(crate) fn connection(&self) -> &D::Connection {
        self.local.connection()
    }

    pub(crate) fn connection_mut(&mut self) -> &mut D::Connection {
        self.local.connection_mut()
    }

    /// Whether a savepoint is open, which would turn COMMIT into its release.
    pub(crate) fn has_savepoint(&self) -> bool {
        self.local.has_savepoint()
    }

    /// An error means that the outcome is unknown.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        let Self { local, turn } = self;
        let committed = local.commit().await;
        drop(turn);
        committed
    }

    /// `Ok` means that the rollback was seen.
    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        let Self { local, turn } = self;
        let rolled_back = local.rollback().await;
        drop(turn);
        rolled_back
    }
}
