//! What a service does with messages: an effect, counted, and where order is asked for a log of it, in the handler's local
//! transaction.

use std::{io, sync::Arc, time::Duration};

use earnest::{
    Delivery, HandlerError, MessageId,
    memory::{Connection, Fault, Operation, Tx},
    reject,
};
use earnest_protocol::{Ordinal, TransactionId};
use earnest_store::DeliveryKey;

use super::{WireWorld, service::Builder};
use crate::{
    plan::{FaultKind, Mood, Party},
    world::topic,
};

/// Adds what a consumer handles.
pub(super) fn handles(world: &Arc<WireWorld>, builder: Builder, consumer: u8) -> Builder {
    let world = Arc::clone(world);
    let own = topic(consumer % world.setup.topics());
    builder.on_delivery(own, move |tx, delivery| {
        let world = Arc::clone(&world);
        async move { handle(&world, consumer, tx, delivery).await }
    })
}

async fn handle(
    world: &WireWorld,
    consumer: u8,
    mut tx: Tx,
    delivery: Delivery,
) -> Result<(), HandlerError> {
    let service = world.service_of(Party::Consumer(consumer));
    let key = key(delivery.id, &delivery.subscription);
    world.book.handed(&key);
    let some = world.wires.network.draw((consumer, "mood"), 2) == 0;
    // The SDK answers for each message; leaving one out is not in its power.
    let mood = match service.mood() {
        Some(Mood::Omits) => Some(Mood::Busy),
        mood => mood,
    };
    if let Some(mood) = mood {
        let kind = FaultKind::Consumer(consumer, mood);
        world.wires.network.meets(kind.name());
    }
    match mood {
        Some(Mood::Busy) => {
            return Err(io::Error::other("not now").into());
        }
        Some(Mood::Fails) if some => return reject("it never will"),
        Some(Mood::Slow) => tokio::time::sleep(Duration::from_secs(3)).await,
        Some(Mood::Unsure) => {
            let fault = if some {
                Fault::Unanswered
            } else {
                Fault::UnansweredFor(Duration::from_millis(500))
            };
            service.next(Operation::Commit, fault);
        }
        _ => {}
    }
    let effect = effect_row(&key);
    let connection: &mut Connection = &mut tx;
    connection
        .update(&effect, |count| {
            let count = count.and_then(|bytes| bytes.first().copied()).unwrap_or(0);
            Some(vec![count.saturating_add(1)])
        })
        .await?;
    // Where the subscription asks for no order, one row for all would only make them wait for each other.
    if !delivery.key.is_empty() && consumer % 2 == 1 {
        let log = log_row(&delivery.subscription, &delivery.key);
        connection
            .update(&log, |log| {
                let mut log = log.unwrap_or_default();
                log.extend_from_slice(effect.as_bytes());
                log.push(b'\n');
                Some(log)
            })
            .await?;
    }
    world.trace.note(format_args!("{key} is handled"));
    Ok(())
}

fn key(message: MessageId, subscription: &str) -> DeliveryKey {
    DeliveryKey {
        transaction: transaction(message.transaction),
        ordinal: Ordinal(message.ordinal),
        subscription: subscription.parse().ok(),
    }
}

/// The SDK's id as the coordinator has it.
pub(super) fn transaction(id: earnest::TransactionId) -> TransactionId {
    TransactionId::from_bytes(id.as_uuid().into_bytes()).expect("the SDK's ids are of version 7")
}

/// Where the effect of a delivery is counted.
pub(super) fn effect_row(key: &DeliveryKey) -> String {
    format!("effect {key}")
}

/// Where the effects of one key are noted in order.
pub(super) fn log_row(subscription: &str, key: &str) -> String {
    format!("log {subscription} {key}")
}
