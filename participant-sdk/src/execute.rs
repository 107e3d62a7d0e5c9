//! Execute: a transaction of branches for initiators that have no local outcome. The coordinator runs the Trys and decides.

use std::{fmt, sync::Arc, time::Duration};

use earnest_proto::v1::{ExecuteRequest, Phase, Wait, WaitFor};
use serde::Serialize;

use crate::{
    earnest::Earnest,
    error::Error,
    ids::TransactionId,
    message::{self, Message},
    shared::Shared,
    sql::Db,
    trace::TraceParent,
    trys::Branch,
};

/// How long a transaction may take to be decided, unless it says otherwise: the coordinator's default.
const DEADLINE: Duration = Duration::from_secs(10);

/// A transaction that the coordinator is to run; see [`Earnest::execute`].
#[must_use = "nothing happens before .run()"]
pub struct Execution<D: Db> {
    shared: Arc<Shared<D>>,
    id: TransactionId,
    deadline: Duration,
    request: ExecuteRequest,
}

impl<D: Db> Earnest<D> {
    /// Begins to describe a transaction for the coordinator to run: branches whose Trys it calls, and messages that leave when all were
    /// OK. For an initiator that has nothing of its own to commit; with a local transaction use [`Earnest::begin`].
    pub fn execute(&self) -> Execution<D> {
        let shared = Arc::clone(&self.shared);
        let id = TransactionId::make(&*shared.clock, &*shared.chance);
        let request = ExecuteRequest {
            id: id.to_string(),
            namespace: shared.namespace.clone(),
            initiator: shared.service.clone(),
            allow_no_subscription: shared.options.allow_no_subscription,
            traceparent: TraceParent::make(&*shared.chance).as_str().to_owned(),
            ..ExecuteRequest::default()
        };
        Execution {
            shared,
            id,
            deadline: DEADLINE,
            request,
        }
    }
}

impl<D: Db> Execution<D> {
    /// The id under which the coordinator knows this transaction.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// One more reservation; all are tried in parallel.
    pub fn branch(mut self, branch: Branch) -> Self {
        self.request.branches.push(branch.0);
        self
    }

    /// A message that leaves when the transaction is confirmed.
    pub fn send(
        mut self,
        topic: &str,
        key: impl fmt::Display,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Self, Error> {
        let message = Message::json(topic, &payload)?.key(key).checked()?;
        self.request.messages.push(message);
        Ok(self)
    }

    /// Your own reference, to find the transaction by.
    pub fn business_key(mut self, key: impl fmt::Display) -> Result<Self, Error> {
        self.request.business_key = message::checked_business_key(key.to_string())?;
        Ok(self)
    }

    /// When it is cancelled, if the Trys have not all been answered by then. Default: 10 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it, and waits for the decision. `Ok`: confirmed, and driven on. [`Error::Refused`] and [`Error::Cancelled`]: all of it is
    /// cancelled. [`Error::OutcomeUnknown`]: the coordinator did not say in time.
    pub async fn run(self) -> Result<TransactionId, Error> {
        let Self {
            shared,
            id,
            deadline,
            mut request,
        } = self;
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        request.deadline_ms = millis;
        request.wait = Some(Wait {
            until: WaitFor::Decision.into(),
            // The deadline's own decision takes a moment.
            at_most_ms: millis.saturating_add(1_000),
        });
        let patience = deadline + Duration::from_secs(2);
        let transaction = match shared.coordinator.execute(patience, &request).await {
            Ok(transaction) => transaction,
            Err(failed) if failed.may_have_acted => return Err(Error::OutcomeUnknown(id)),
            Err(failed) => return Err(failed.error.into()),
        };
        match transaction.phase() {
            Phase::Confirming | Phase::Confirmed => Ok(id),
            Phase::Cancelling | Phase::Cancelled => Err(match transaction.refusal {
                Some(refusal) => Error::Refused {
                    service: refusal.service,
                    reason: refusal.reason,
                },
                None => Error::Cancelled {
                    id,
                    by: transaction.decided_by,
                },
            }),
            Phase::Prepared | Phase::Unspecified => Err(Error::OutcomeUnknown(id)),
        }
    }
}

impl<D: Db> fmt::Debug for Execution<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
