//! What every part of one connected service shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use earnest_proto::v1::{CancelRequest, ConfirmRequest, Options};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    clock::{Chance, Clock},
    coordinator::Coordinator,
    handler::Handler,
    ids::TransactionId,
    open::OpenTransactions,
    participants::Participants,
    sql::{Db, local::LocalTransaction},
    tcc::Reservation,
};

/// How long the SDK waits for others.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the coordinator to record a transaction, all tries together. The local transaction's locks are held meanwhile.
    /// Default: 2 s.
    pub prepare: Duration,
    /// For the coordinator to take a decision, all tries together; then the check-back does it. Default: 1 s.
    pub decide: Duration,
    /// For the service's own database to say what became of a local transaction. Default: 5 s.
    pub fence: Duration,
    /// For one participant to answer its Try, all tries together; after a third of it another call is made beside the first. Your local
    /// transaction's locks are held meanwhile. Default: 2 s.
    pub try_: Duration,
    /// For earlier transactions of this process to end, where the database has one writer at a time; then the database's own
    /// lock is tried. Default: 5 s.
    pub turn: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            prepare: Duration::from_secs(2),
            decide: Duration::from_secs(1),
            fence: Duration::from_secs(5),
            try_: Duration::from_secs(2),
            turn: Duration::from_secs(5),
        }
    }
}

pub(crate) struct Shared<D: Db> {
    pub(crate) service: String,
    pub(crate) namespace: String,
    pub(crate) resource_id: String,
    pub(crate) pool: D::Pool,
    pub(crate) coordinator: Coordinator,
    pub(crate) options: Options,
    pub(crate) timeouts: Timeouts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) handlers: HashMap<String, Handler<D>>,
    /// By action.
    pub(crate) tcc: HashMap<String, Arc<dyn Reservation<D>>>,
    pub(crate) handlers_at_once: usize,
    pub(crate) participants: Participants,
    pub(crate) open: OpenTransactions,
    /// Where the database has one writer at a time: whose turn it is.
    pub(crate) turns: Option<Arc<Semaphore>>,
    /// Work that ends with the last handle.
    pub(crate) background: Mutex<JoinSet<()>>,
}

impl<D: Db> Shared<D> {
    pub(crate) fn confirm_request(&self, id: TransactionId) -> ConfirmRequest {
        ConfirmRequest {
            id: id.to_string(),
            initiator: self.service.clone(),
            marks: vec![],
            wait: None,
        }
    }

    pub(crate) fn cancel_request(&self, id: TransactionId) -> CancelRequest {
        CancelRequest {
            id: id.to_string(),
            initiator: self.service.clone(),
            namespace: self.namespace.clone(),
            marks: vec![],
            wait: None,
        }
    }

    /// Opens a local transaction, after those that asked before.
    pub(crate) async fn begin(&self) -> Result<LocalTransaction<D>, sqlx::Error> {
        // The turn only keeps order; the lock is the database's. So nobody waits for it without end: not the one who opens a
        // second transaction while holding the first, which the database then refuses.
        let turn = match &self.turns {
            Some(turns) => {
                let turn = Arc::clone(turns).acquire_owned();
                let in_time = tokio::time::timeout(self.timeouts.turn, turn).await;
                in_time.ok().and_then(Result::ok)
            }
            None => None,
        };
        Ok(LocalTransaction::new(D::begin(&self.pool).await?, turn))
    }

    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        background.spawn(work);
    }
}
