//! Takes calls of branches: each in a local transaction of its own, whose first row is the branch's fence row.
//!
//! *OK* is answered for nothing but a COMMIT that was answered, or a fence row that says that it was done before.

use std::{panic::AssertUnwindSafe, sync::Arc};

use earnest_proto::v1::{
    Branch, BranchAnswer, BranchCall, BranchCallKind, BranchResult, CallBranchesRequest,
    CallBranchesResponse,
};
use futures_util::{FutureExt, StreamExt, stream};
use tracing::Instrument;

use crate::{
    commit::{Draft, FirstRow, Open},
    crash::{self, crash_point},
    deliver::{roll_back, shortened, with_causes},
    fate::Fate,
    fence::{self, Call, Step as Fenced, Wrote},
    ids::BranchId,
    planted::planted,
    shared::Shared,
    slot::Slot,
    sql::Db,
    tcc::{NotDone, Reservation, Step},
    trace::TraceParent,
    tx::Tx,
};

/// What is answered instead of OK, and why.
type No = (BranchResult, String);

pub(crate) async fn answer<D: Db>(
    shared: &Arc<Shared<D>>,
    request: CallBranchesRequest,
) -> CallBranchesResponse {
    let answers = stream::iter(request.calls)
        .map(|call| answer_one(shared, call))
        .buffer_unordered(shared.handlers_at_once)
        .collect()
        .await;
    CallBranchesResponse { answers }
}

async fn answer_one<D: Db>(shared: &Arc<Shared<D>>, call: BranchCall) -> BranchAnswer {
    let mut answer = BranchAnswer {
        transaction_id: call.transaction_id.clone(),
        ordinal: call.ordinal,
        kind: call.kind,
        result: BranchResult::Ok.into(),
        detail: String::new(),
    };
    let span = tracing::info_span!(
        "earnest.branch",
        transaction_id = call.transaction_id,
        ordinal = call.ordinal,
        call = call.kind().as_str_name(),
        attempt = call.attempt,
        traceparent = call.traceparent,
    );
    if let Err((result, detail)) = take(shared, call).instrument(span.clone()).await {
        let detail = shortened(detail);
        span.in_scope(|| {
            if result == BranchResult::Refused {
                tracing::info!(detail, "branch refused");
            } else {
                tracing::warn!(?result, detail, "branch call not done");
            }
        });
        answer.result = result.into();
        answer.detail = detail;
    }
    answer
}

fn unknown(detail: impl Into<String>) -> No {
    (BranchResult::Unspecified, detail.into())
}

async fn take<D: Db>(shared: &Arc<Shared<D>>, call: BranchCall) -> Result<(), No> {
    let kind = match call.kind() {
        BranchCallKind::Try => Call::Try,
        BranchCallKind::Confirm => Call::Confirm,
        BranchCallKind::Cancel => Call::Cancel,
        BranchCallKind::Unspecified => {
            return Err(unknown("the call says neither Try, Confirm nor Cancel"));
        }
    };
    let transaction = call
        .transaction_id
        .parse()
        .map_err(|_| unknown("the transaction id is not a UUID"))?;
    let branch = call.branch.clone().unwrap_or_default();
    meant_for_us(shared, &call, &branch)?;
    // A newer version of this service may have one.
    let reservation = shared
        .tcc
        .get(&branch.action)
        .ok_or_else(|| unknown(format!("there is no action {} here", branch.action)))?;
    let id = BranchId {
        transaction,
        ordinal: call.ordinal,
    };
    crash_point(crash::Step::BranchBeforeFence);
    let began = open(shared, &call, id, kind);
    let (open, wrote, horizon_us) = tokio::time::timeout(shared.timeouts.fence, began)
        .await
        .map_err(|_| {
            let why = "another call of this branch, or the database, kept it waiting";
            (BranchResult::InProgress, why.to_owned())
        })?
        .map_err(|error| unknown(format!("the service's database failed: {error}")))?;
    let step = match fence::branch(kind, wrote, call.created_at_us, horizon_us) {
        Fenced::Run => match kind {
            Call::Try => Step::Try,
            Call::Confirm => Step::Confirm,
            Call::Cancel => Step::Cancel,
        },
        Fenced::Empty => Step::CancelWithoutTry,
        Fenced::Done => {
            tracing::debug!("done before");
            roll_back(open).await;
            return Ok(());
        }
        no => {
            roll_back(open).await;
            return Err(match no {
                Fenced::Barred => (
                    BranchResult::Refused,
                    "the transaction was cancelled before this Try came".to_owned(),
                ),
                Fenced::Failed(why) => (BranchResult::Failed, why.to_owned()),
                _ => unknown("the branch's fence row can't be understood now"),
            });
        }
    };
    run(reservation, step, open, &branch.payload).await
}

/// Another service or database must not answer for the one that is meant.
fn meant_for_us<D: Db>(shared: &Shared<D>, call: &BranchCall, branch: &Branch) -> Result<(), No> {
    if branch.service != shared.service || call.namespace != shared.namespace {
        return Err(unknown(format!(
            "this is service {} of namespace {}, not {} of {}",
            shared.service, shared.namespace, branch.service, call.namespace
        )));
    }
    let checked = !branch.resource_id.is_empty() && !planted!(ResourceIsIgnored);
    if checked && branch.resource_id != shared.resource_id {
        return Err(unknown(format!(
            "the branch is of database {:?}, and this service runs on {:?}: a restored copy, another shard, or a reused \
             address",
            branch.resource_id, shared.resource_id
        )));
    }
    Ok(())
}

async fn open<D: Db>(
    shared: &Arc<Shared<D>>,
    call: &BranchCall,
    id: BranchId,
    kind: Call,
) -> Result<(Open<D>, Wrote, i64), sqlx::Error> {
    let fate = Fate::new(Arc::clone(shared));
    let traceparent =
        TraceParent::parse(&call.traceparent).map(|parent| parent.child(&*shared.chance));
    let mut sql = shared.begin().await?;
    let created_us = call.created_at_us;
    let (wrote, horizon_us) = D::write_branch(sql.connection_mut(), id, kind, created_us).await?;
    let open = Open {
        sql,
        first_row: FirstRow::Branch {
            id,
            call: kind,
            wrote,
            created_us,
        },
        draft: Draft {
            traceparent,
            ..Draft::default()
        },
        fate,
        answerable: false,
    };
    Ok((open, wrote, horizon_us))
}

async fn run<D: Db>(
    reservation: &Arc<dyn Reservation<D>>,
    step: Step,
    open: Open<D>,
    payload: &[u8],
) -> Result<(), No> {
    let slot = Slot::new();
    let mut tx = Tx::lent(open, slot.handle());
    // One call's panic must not take the other branches' answers with it.
    let ran = AssertUnwindSafe(reservation.run(step, &mut tx, payload))
        .catch_unwind()
        .await;
    drop(tx);
    let open = slot.take_back();
    let no = match ran {
        Ok(Ok(())) => None,
        Ok(Err(NotDone::Refused(reason))) => Some((BranchResult::Refused, reason)),
        Ok(Err(NotDone::Failed(reason))) => Some((BranchResult::Failed, reason)),
        Ok(Err(NotDone::Again(error))) => Some(unknown(with_causes(&*error))),
        Err(_) => Some(unknown("the participant's code panicked")),
    };
    let Some(open) = open else {
        return Err(no.unwrap_or_else(|| unknown("the local transaction did not come back")));
    };
    if let Some(no) = no {
        roll_back(*open).await;
        return Err(no);
    }
    match open.commit().await {
        Ok(_) => Ok(()),
        Err(error) => Err(unknown(with_causes(&error))),
    }
}
