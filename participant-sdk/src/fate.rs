//! How a local transaction ends when nobody is looking: the guard that settles it after a drop, an early return or a panic.
//!
//! It cancels only what it has proof of: a rollback that was seen, or its own fencing insert. Everything else it leaves
//! to the check-back.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::{
    fence::FencingRead,
    ids::TransactionId,
    settle::{self, Proof},
    shared::Shared,
    sql::Db,
};

/// How a transaction ended, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No end was seen: only the fence can tell.
    Open,
    /// COMMIT was answered.
    Committed,
    /// ROLLBACK was answered, or the fence is in the way of COMMIT.
    RolledBack,
    /// Nothing is left to do here.
    Settled,
}

/// Dropped last, after the local transaction itself.
pub(crate) struct Fate<D: Db> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) id: TransactionId,
    /// The coordinator's time of the transaction once it is known; until then our own.
    pub(crate) created_us: i64,
    pub(crate) stage: Stage,
    /// Whether the coordinator may know of it.
    pub(crate) told: bool,
}

impl<D: Db> Fate<D> {
    pub(crate) fn new(shared: Arc<Shared<D>>) -> Self {
        let id = TransactionId::make(&*shared.clock, &*shared.chance);
        Self::of(shared, id)
    }

    /// Of an id that was made before.
    pub(crate) fn of(shared: Arc<Shared<D>>, id: TransactionId) -> Self {
        let created_us = shared.clock.unix_micros();
        shared.open.add(id);
        Self {
            shared,
            id,
            created_us,
            stage: Stage::Open,
            told: false,
        }
    }

    /// The local transaction is over, one way or the other.
    pub(crate) fn ended(&mut self, stage: Stage) {
        self.stage = stage;
        self.shared.open.remove(self.id);
    }

    /// Asks the fence, for as long as there is time.
    pub(crate) async fn find_out(&self) -> Option<FencingRead> {
        settle::find_out(&self.shared, self.id, self.created_us).await
    }
}

impl<D: Db> Drop for Fate<D> {
    fn drop(&mut self) {
        self.shared.open.remove(self.id);
        if !self.told {
            return;
        }
        let proof = match self.stage {
            Stage::Settled => return,
            Stage::Open => None,
            Stage::Committed => Some(Proof::Committed),
            Stage::RolledBack => Some(Proof::RolledBack),
        };
        // Without a runtime nothing can be called; the check-back will.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (shared, id, created_us) = (Arc::clone(&self.shared), self.id, self.created_us);
        runtime.spawn(async move { settle::settle(&shared, id, created_us, proof).await });
    }
}
