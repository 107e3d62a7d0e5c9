//! Takes delivered messages: each in a local transaction of its own, whose first row is the message's inbox row.
//!
//! *OK* is answered for nothing but a COMMIT that was answered, or an inbox row that was already there.

use std::{panic::AssertUnwindSafe, sync::Arc};

use earnest_proto::v1::{
    DeliverRequest, DeliverResponse, DeliverResult, DeliveredMessage, DeliveryAnswer,
};
use futures_util::{FutureExt, StreamExt, stream};
use tracing::Instrument;

use crate::{
    commit::{Draft, FirstRow, Open},
    crash::{Step, crash_point},
    fate::Fate,
    fence::Inbox,
    handler::{Delivery, Handler, HandlerError, Refusal},
    shared::Shared,
    slot::Slot,
    sql::{Db, InboxKey},
    trace::TraceParent,
    tx::Tx,
};

const MAX_DETAIL_BYTES: usize = 1_024;

/// Why a message was not taken.
enum NotTaken {
    /// Deliver it again later.
    Unknown(String),
    /// Park it.
    Failed(String),
}

pub(crate) async fn answer<D: Db>(
    shared: &Arc<Shared<D>>,
    request: DeliverRequest,
) -> DeliverResponse {
    let answers = stream::iter(request.messages)
        .map(|message| answer_one(shared, message))
        .buffer_unordered(shared.handlers_at_once)
        .collect()
        .await;
    DeliverResponse { answers }
}

async fn answer_one<D: Db>(shared: &Arc<Shared<D>>, message: DeliveredMessage) -> DeliveryAnswer {
    let mut answer = DeliveryAnswer {
        transaction_id: message.transaction_id.clone(),
        ordinal: message.ordinal,
        subscription: message.subscription.clone(),
        result: DeliverResult::Ok.into(),
        detail: String::new(),
    };
    let span = tracing::info_span!(
        "earnest.deliver",
        transaction_id = message.transaction_id,
        ordinal = message.ordinal,
        subscription = message.subscription,
        attempt = message.attempt,
        traceparent = message.traceparent,
    );
    let taken = take(shared, message).instrument(span.clone()).await;
    if let Err(not_taken) = taken {
        let (result, detail) = match not_taken {
            NotTaken::Unknown(detail) => (DeliverResult::Unspecified, detail),
            NotTaken::Failed(detail) => (DeliverResult::Failed, detail),
        };
        let detail = shortened(detail);
        span.in_scope(|| tracing::warn!(?result, detail, "message not taken"));
        answer.result = result.into();
        answer.detail = detail;
    }
    answer
}

async fn take<D: Db>(shared: &Arc<Shared<D>>, message: DeliveredMessage) -> Result<(), NotTaken> {
    if message.namespace != shared.namespace {
        return Err(NotTaken::Unknown(format!(
            "this service is of namespace {}, not {}",
            shared.namespace, message.namespace
        )));
    }
    let delivery = message
        .transaction_id
        .parse()
        .ok()
        .and_then(|id| Delivery::from_wire(id, message))
        .ok_or_else(|| NotTaken::Unknown("the call carries no message, or no id".to_owned()))?;
    // A newer version of this service may have one.
    let handler = shared.handlers.get(&delivery.topic).ok_or_else(|| {
        NotTaken::Unknown(format!("there is no handler for topic {}", delivery.topic))
    })?;
    crash_point(Step::ConsumerBeforeInbox);
    let mut open = open(shared, &delivery)
        .await
        .map_err(|error| database(&error))?;
    let FirstRow::Inbox { key, .. } = &open.first_row else {
        unreachable!("a consumer's transaction starts with the inbox row");
    };
    let key = key.clone();
    let seen = D::insert_inbox(open.sql.connection_mut(), &key, delivery.created_at_us).await;
    match seen.map_err(|error| database(&error))? {
        Inbox::New => run(handler, open, delivery).await,
        Inbox::Duplicate => {
            tracing::debug!("taken before");
            roll_back(open).await;
            Ok(())
        }
        Inbox::Forgotten => {
            roll_back(open).await;
            Err(NotTaken::Failed(
                "the message is older than what this service still remembers, so it may have been taken before; nothing \
                 was run"
                    .to_owned(),
            ))
        }
    }
}

async fn open<D: Db>(shared: &Arc<Shared<D>>, delivery: &Delivery) -> Result<Open<D>, sqlx::Error> {
    let fate = Fate::new(Arc::clone(shared));
    let traceparent =
        TraceParent::parse(&delivery.traceparent).map(|parent| parent.child(&*shared.chance));
    Ok(Open {
        sql: shared.begin().await?,
        first_row: FirstRow::Inbox {
            key: InboxKey {
                message: delivery.id,
                subscription: delivery.subscription.clone(),
            },
            created_us: delivery.created_at_us,
        },
        draft: Draft {
            traceparent,
            ..Draft::default()
        },
        fate,
        answerable: false,
    })
}

async fn run<D: Db>(
    handler: &Handler<D>,
    open: Open<D>,
    delivery: Delivery,
) -> Result<(), NotTaken> {
    let slot = Slot::new();
    let tx = Tx::lent(open, slot.handle());
    // One handler's panic must not take the other messages' answers with it.
    let handled = AssertUnwindSafe(async { handler(tx, delivery).await })
        .catch_unwind()
        .await;
    let open = slot.take_back();
    let not_taken = match handled {
        Ok(Ok(())) => None,
        Ok(Err(HandlerError(Refusal::Retry(error)))) => {
            Some(NotTaken::Unknown(with_causes(&*error)))
        }
        Ok(Err(HandlerError(Refusal::Reject(reason)))) => Some(NotTaken::Failed(reason)),
        Err(_) => Some(NotTaken::Unknown("the handler panicked".to_owned())),
    };
    if let Some(not_taken) = not_taken {
        if let Some(open) = open {
            roll_back(*open).await;
        }
        return Err(not_taken);
    }
    let open = open.ok_or_else(|| {
        NotTaken::Unknown(
            "the handler returned while its Tx was still in use elsewhere, so nothing was committed; drop it before \
             returning"
                .to_owned(),
        )
    })?;
    match open.commit().await {
        Ok(_) => Ok(()),
        Err(error) => Err(NotTaken::Unknown(with_causes(&error))),
    }
}

/// Waits for the rollback, so that the next message doesn't meet this one's locks.
pub(crate) async fn roll_back<D: Db>(open: Open<D>) {
    if let Err(error) = open.rollback().await {
        tracing::debug!(%error, "the rollback was not answered");
    }
}

fn database(error: &sqlx::Error) -> NotTaken {
    NotTaken::Unknown(format!("the service's database failed: {error}"))
}

/// A detail is for people; an error that quotes a whole payload is not.
pub(crate) fn shortened(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
    detail
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
