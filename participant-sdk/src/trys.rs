//! The initiator's side of TCC: each branch is registered before its Try is called, and a Try that was not answered OK stands in the
//! way of the local COMMIT for good.

use std::sync::Arc;

use earnest_proto::v1;
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::{
    crash::{Step, crash_point},
    error::Error,
    message::{MessageProblem, is_name},
    participants::{self, Instance, Tried},
    shared::Shared,
    sql::Db,
    tell::Telling,
    tx::Tx,
};

/// A reservation to be made at a participant; see [`branch`].
#[derive(Clone, Debug)]
pub struct Branch(pub(crate) v1::Branch);

/// A reservation `action` at `service`, for [`Tx::try_all`] or [`Execution`](crate::Execution); `payload` as JSON.
pub fn branch(
    service: impl Into<String>,
    action: impl Into<String>,
    payload: &(impl Serialize + ?Sized),
) -> Result<Branch, Error> {
    let (service, action) = (service.into(), action.into());
    for name in [&service, &action] {
        if !is_name(name) {
            return Err(MessageProblem::Name(name.clone()).into());
        }
    }
    let payload = serde_json::to_vec(payload).map_err(|source| MessageProblem::Payload {
        topic: format!("{service}/{action}"),
        source,
    })?;
    Ok(Branch(v1::Branch {
        service,
        action,
        payload: payload.into(),
        content_type: "application/json".to_owned(),
        ..v1::Branch::default()
    }))
}

impl<D: Db> Tx<D> {
    /// Reserves at a participant: registers the branch with the coordinator and calls Try. `payload` as JSON.
    ///
    /// [`Error::Refused`] carries the participant's reason. After any error this transaction can't commit any more: everything that was
    /// reserved is cancelled when it is dropped or rolled back. Your row locks are held meanwhile, so reserve first where you can.
    pub async fn try_(
        &mut self,
        service: &str,
        action: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.try_all([branch(service, action, payload)?]).await
    }

    /// As [`Tx::try_`] for several at once: registered in one call, tried in parallel. The first no ends it.
    pub async fn try_all(
        &mut self,
        branches: impl IntoIterator<Item = Branch>,
    ) -> Result<(), Error> {
        let branches: Vec<Branch> = branches.into_iter().collect();
        if branches.is_empty() {
            return Ok(());
        }
        let open = self.open_mut();
        open.draft.untried = true;
        open.answerable().await?;
        open.telling().try_all(branches).await
    }
}

impl<D: Db> Telling<'_, D> {
    /// Registers them and calls their Trys.
    pub(crate) async fn try_all(&mut self, branches: Vec<Branch>) -> Result<(), Error> {
        if self.draft.failed_try {
            return Err(Error::NotAllTried { id: self.fate.id });
        }
        // Whatever happens from here on, even that this future is dropped: without an OK for each there is no COMMIT (T5).
        self.draft.untried = true;
        self.draft.failed_try = true;
        let shared = Arc::clone(&self.fate.shared);
        let mut placed = Vec::new();
        for (ordinal, Branch(mut branch)) in (self.draft.branches..).zip(branches) {
            let instances = instances(&shared, &branch.service).await?;
            let first = spread(&self.fate.id.to_string(), instances.len());
            branch.resource_id.clone_from(&instances[first].resource_id);
            placed.push((ordinal, branch, instances, first));
        }
        let told = placed
            .iter()
            .map(|(ordinal, branch, ..)| (*ordinal, branch.clone()));
        self.tell(told.collect()).await?;
        crash_point(Step::BeforeTry);
        let id = self.fate.id.to_string();
        let created_at_us = self.fate.created_us;
        let traceparent = self.draft.traceparent.clone();
        let trys = placed
            .into_iter()
            .map(|(ordinal, branch, instances, first)| {
                let service = branch.service.clone();
                let traceparent = traceparent.as_ref().map_or_else(String::new, |parent| {
                    parent.child(&*shared.chance).as_str().to_owned()
                });
                let call = v1::BranchCall {
                    namespace: shared.namespace.clone(),
                    initiator: shared.service.clone(),
                    created_at_us,
                    traceparent,
                    ..participants::try_call(id.clone(), ordinal, branch)
                };
                let shared = &shared;
                async move {
                    let (deadline, chance) = (shared.timeouts.try_, &*shared.chance);
                    match participants::call(&instances, first, call, deadline, chance).await {
                        Tried::Ok => Ok(()),
                        Tried::Refused(reason) => Err(Error::Refused { service, reason }),
                        Tried::Unanswered(detail) => {
                            shared.participants.forget(&service);
                            Err(Error::TryUnanswered { service, detail })
                        }
                    }
                }
            });
        try_join_all(trys).await?;
        crash_point(Step::AfterTry);
        self.draft.failed_try = false;
        self.draft.untried = false;
        Ok(())
    }
}

/// Where a participant is; never empty.
async fn instances<D: Db>(shared: &Shared<D>, service: &str) -> Result<Arc<[Instance]>, Error> {
    let known = shared.participants.known(service);
    if let Some((instances, true)) = &known {
        return Ok(Arc::clone(instances));
    }
    let (timeout, namespace) = (shared.timeouts.prepare, &shared.namespace);
    let instances = match shared
        .coordinator
        .resolve(timeout, namespace, service)
        .await
    {
        Ok(resolved) => shared.participants.learn(resolved),
        Err(failed) => match known {
            // Old news is better than none.
            Some((instances, _)) if failed.error.is_retryable() => instances,
            _ => return Err(failed.error.into()),
        },
    };
    if instances.is_empty() {
        shared.participants.forget(service);
        return Err(Error::NoInstance {
            service: service.to_owned(),
        });
    }
    Ok(instances)
}

/// A place below `count`, as evenly spread as the random end of the id.
fn spread(id: &str, count: usize) -> usize {
    let digits = id.len().checked_sub(8).and_then(|start| id.get(start..));
    let number = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    number.unwrap_or(0) % count.max(1)
}
