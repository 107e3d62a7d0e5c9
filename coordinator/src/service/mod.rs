//! The use cases. Every transport calls only this; nothing here knows a wire format or SQL.

mod database;
mod error;
mod input;
mod operate;
mod registry;
mod summary;
mod transactions;
mod wait;

use std::sync::Arc;

use earnest_protocol::Limits;
use earnest_store::Store;

pub use database::DatabaseStatus;
pub use error::{Code, ServiceError};
pub use input::{
    BranchInput, DecideInput, ListInput, MessageInput, OperatorDecideInput, OptionsInput,
    PrepareInput, RegisterInput, ServiceInput, SubscriptionInput,
};
pub use operate::CheckBackPort;
pub(crate) use registry::{MAX_CONCURRENCY, MAX_ENDPOINTS, check_retry, check_url};
pub(crate) use summary::age;
pub use summary::summary;
pub use transactions::{Recorded, TransactionDetail};
pub use wait::{LONGEST as LONGEST_WAIT, Until, WaitInput};

use crate::{clock::Environment, driver::Board, journal::Journal, vigil::Vigil};

/// Bounds and defaults of the use cases.
#[derive(Debug, Clone, Copy)]
pub struct ServiceOptions {
    /// Bounds on what comes from outside.
    pub limits: Limits,
    /// Used where Prepare leaves an option out.
    pub defaults: earnest_protocol::Options,
    /// Deliveries under way at once, where a subscription does not say.
    pub concurrency: u32,
    /// How long one delivery attempt may take, where a subscription does not say; also an operator's question
    /// to an initiator.
    pub timeout: std::time::Duration,
    /// When to deliver again, where a subscription does not say.
    pub retry: earnest_protocol::RetryPolicy,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            defaults: earnest_protocol::Options::default(),
            concurrency: 64,
            timeout: std::time::Duration::from_secs(10),
            retry: earnest_protocol::RetryPolicy::default(),
        }
    }
}

/// What the use cases work with.
pub struct ServiceParts {
    /// Writes commands.
    pub journal: Journal,
    /// Answers queries.
    pub store: Arc<dyn Store>,
    /// Holds the work that a pause takes back.
    pub board: Arc<Board>,
    /// Asks initiators on an operator's behalf.
    pub check_back: Arc<dyn CheckBackPort>,
    /// Time and chance.
    pub environment: Environment,
    /// Watches what the database remembers.
    pub vigil: Arc<Vigil>,
}

/// The coordinator, as its transports see it. Cheap to clone.
#[derive(Clone)]
pub struct Coordinator {
    journal: Journal,
    store: Arc<dyn Store>,
    board: Arc<Board>,
    check_back: Arc<dyn CheckBackPort>,
    environment: Environment,
    vigil: Arc<Vigil>,
    options: ServiceOptions,
}

impl Coordinator {
    /// Puts the parts together.
    pub fn new(parts: ServiceParts, options: ServiceOptions) -> Self {
        let ServiceParts {
            journal,
            store,
            board,
            check_back,
            environment,
            vigil,
        } = parts;
        Self {
            journal,
            store,
            board,
            check_back,
            environment,
            vigil,
            options,
        }
    }

    /// The store, for readiness and metrics.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The journal, for readiness and metrics.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the database is known to have forgotten, for readiness and metrics.
    pub fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }
}
