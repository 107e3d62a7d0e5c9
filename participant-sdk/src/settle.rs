//! Telling the coordinator what became of a local transaction, once that is proven.
//!
//! Proof is COMMIT answered, a rollback answered, or the fencing read. Never: an error, a timeout, a failed closure.

use std::{sync::Arc, time::Duration};

use earnest_proto::v1::{Phase, Wait, WaitFor};

use crate::{
    coordinator_error::Reason,
    crash::{Step, crash_point},
    fence::FencingRead,
    ids::TransactionId,
    planted::planted,
    reconnect::Pauses,
    shared::Shared,
    sql::Db,
};

/// What is known for certain about a local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Committed,
    RolledBack,
}

/// Makes the fencing read until it is answered or the time for it is over: `None`.
pub(crate) async fn find_out<D: Db>(
    shared: &Shared<D>,
    id: TransactionId,
    created_us: i64,
) -> Option<FencingRead> {
    let tries = async {
        let mut pauses = Pauses::within_a_call();
        loop {
            match D::fencing_read(&shared.pool, id, created_us).await {
                // Our own transaction, which the database has not ended yet.
                Ok(FencingRead::InProgress) => {}
                Ok(read) => return read,
                Err(error) => {
                    tracing::debug!(%id, %error, "the fence did not answer; asking again");
                }
            }
            tokio::time::sleep(pauses.next(&*shared.chance)).await;
        }
    };
    tokio::time::timeout(shared.timeouts.fence, tries)
        .await
        .ok()
}

/// Finds out where needed, and tells. What can't be learnt or told is left to the check-back.
pub(crate) async fn settle<D: Db>(
    shared: &Arc<Shared<D>>,
    id: TransactionId,
    created_us: i64,
    proof: Option<Proof>,
) {
    let proof = match proof {
        Some(proof) => proof,
        None if planted!(CancelWithoutProof) => Proof::RolledBack,
        None => match find_out(shared, id, created_us).await {
            Some(FencingRead::Committed) => Proof::Committed,
            Some(FencingRead::RolledBack) => Proof::RolledBack,
            Some(FencingRead::InProgress | FencingRead::Forgotten | FencingRead::Unclear)
            | None => {
                tracing::warn!(%id, "the outcome of a local transaction could not be learnt; the check-back will settle it");
                return;
            }
        },
    };
    match proof {
        Proof::Committed => {
            confirm(shared, id, None).await;
        }
        Proof::RolledBack => cancel(shared, id).await,
    }
}

/// Confirms a committed transaction, and waits for its final phase where that is wanted. Its outcome stands whatever is answered; says
/// whether the final phase was seen.
pub(crate) async fn confirm<D: Db>(
    shared: &Shared<D>,
    id: TransactionId,
    wait: Option<Duration>,
) -> bool {
    crash_point(Step::BeforeConfirm);
    let mut request = shared.confirm_request(id);
    request.wait = wait.map(|wait| Wait {
        until: WaitFor::FinalPhase.into(),
        at_most_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
    });
    // Any of its tries may take as long as the wait.
    let deadline = shared.timeouts.decide + wait.unwrap_or_default() * 3;
    match shared.coordinator.confirm(deadline, &request).await {
        Ok(transaction) => {
            crash_point(Step::AfterConfirm);
            return transaction.phase() == Phase::Confirmed;
        }
        Err(failed) if failed.error.is_retryable() => {
            tracing::warn!(%id, error = %failed.error, "committed, but not confirmed yet; the check-back will confirm it");
        }
        Err(failed) => {
            // Someone overruled the outcome, or the coordinator lost what it had acknowledged.
            tracing::error!(
                %id, error = %failed.error, phase = failed.error.phase(),
                "committed here, but the coordinator does not confirm it; look at it with `earnest tx show {id}`"
            );
        }
    }
    false
}

/// Cancels a transaction that is known to have rolled back.
async fn cancel<D: Db>(shared: &Shared<D>, id: TransactionId) {
    let request = shared.cancel_request(id);
    match shared
        .coordinator
        .cancel(shared.timeouts.decide, &request)
        .await
    {
        Ok(()) => {}
        Err(failed) if failed.error.reason() == Some(&Reason::Decided) => {
            tracing::error!(
                %id, error = %failed.error,
                "rolled back here, but the coordinator decided otherwise; look at it with `earnest tx show {id}`"
            );
        }
        Err(failed) => {
            tracing::warn!(%id, error = %failed.error, "rolled back, but not cancelled yet; the check-back will cancel it");
        }
    }
}
