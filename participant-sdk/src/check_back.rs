//! Answers *what became of your local transaction?* from the fence, without any of the service's code.
//!
//! A wrong answer here breaks every promise, so anything short of proof is *unknown*: another service, another
//! database, an error, a timeout, a purged row.

use earnest_proto::v1::{CheckBackRequest, CheckBackResponse, CheckBackResult};

use crate::{
    crash::{Step, crash_point},
    fence::FencingRead,
    ids::TransactionId,
    planted::planted,
    shared::Shared,
    sql::Db,
};

pub(crate) async fn answer<D: Db>(
    shared: &Shared<D>,
    request: CheckBackRequest,
) -> CheckBackResponse {
    let (result, detail) = match result(shared, &request).await {
        Ok(result) => (result, String::new()),
        Err(unknown) => (CheckBackResult::Unspecified, unknown),
    };
    tracing::info!(
        transaction_id = request.transaction_id,
        attempt = request.attempt,
        ?result,
        detail,
        traceparent = request.traceparent,
        "check-back answered"
    );
    CheckBackResponse {
        result: result.into(),
        transaction_id: request.transaction_id,
        detail,
    }
}

/// The error says why it is unknown.
async fn result<D: Db>(
    shared: &Shared<D>,
    request: &CheckBackRequest,
) -> Result<CheckBackResult, String> {
    let id: TransactionId = request
        .transaction_id
        .parse()
        .map_err(|_| "the transaction id is not a UUID".to_owned())?;
    if request.service != shared.service || request.namespace != shared.namespace {
        return Err(format!(
            "this is service {} of namespace {}, not {} of {}",
            shared.service, shared.namespace, request.service, request.namespace
        ));
    }
    if request.resource_id != shared.resource_id && !planted!(ResourceIsIgnored) {
        return Err(format!(
            "the transaction ran in database {:?}, and this service runs on {:?}: a restored copy, another shard, or a \
             reused address",
            request.resource_id, shared.resource_id
        ));
    }
    if shared.open.contains(id) {
        return Ok(CheckBackResult::InProgress);
    }
    crash_point(Step::CheckBackBeforeFence);
    let read = D::fencing_read(&shared.pool, id, request.created_at_us);
    let read = tokio::time::timeout(shared.timeouts.fence, read)
        .await
        .map_err(|_| "the service's database did not answer in time".to_owned())?
        .map_err(|error| format!("the service's database did not answer: {error}"))?;
    crash_point(Step::CheckBackAfterFence);
    match read {
        FencingRead::Committed => Ok(CheckBackResult::Committed),
        FencingRead::RolledBack => Ok(CheckBackResult::RolledBack),
        FencingRead::InProgress => Ok(CheckBackResult::InProgress),
        FencingRead::Forgotten => Err(
            "the transaction is older than what this service still remembers, so only a person can decide"
                .to_owned(),
        ),
        FencingRead::Unclear => Err("the fence row says something that this version doesn't know".to_owned()),
    }
}
