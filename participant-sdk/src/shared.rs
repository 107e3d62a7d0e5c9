//! What every part of one connected service shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use earnest_proto::v1::{CancelRequest, ConfirmRequest, Options};
use sqlx::Pool;
use tokio::task::JoinSet;

use crate::{
    clock::{Chance, Clock},
    coordinator::Coordinator,
    handler::Handler,
    ids::TransactionId,
    open::OpenTransactions,
    sql::Db,
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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            prepare: Duration::from_secs(2),
            decide: Duration::from_secs(1),
            fence: Duration::from_secs(5),
        }
    }
}

pub(crate) struct Shared<D: Db> {
    pub(crate) service: String,
    pub(crate) namespace: String,
    pub(crate) resource_id: String,
    pub(crate) pool: Pool<D>,
    pub(crate) coordinator: Coordinator,
    pub(crate) options: Options,
    pub(crate) timeouts: Timeouts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) handlers: HashMap<String, Handler<D>>,
    pub(crate) handlers_at_once: usize,
    pub(crate) open: OpenTransactions,
    /// Work that ends with the last handle.
    pub(crate) background: Mutex<JoinSet<()>>,
}

impl<D: Db> Shared<D> {
    pub(crate) fn confirm_request(&self, id: TransactionId) -> ConfirmRequest {
        ConfirmRequest {
            id: id.to_string(),
            initiator: self.service.clone(),
        }
    }

    pub(crate) fn cancel_request(&self, id: TransactionId) -> CancelRequest {
        CancelRequest {
            id: id.to_string(),
            initiator: self.service.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        background.spawn(work);
    }
}
